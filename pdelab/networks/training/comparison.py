"""Several seeds, paired: is one algorithm better than another, or are they the same to within a margin?

Every contestant sees the same seeds, and with a seed the same split, initial weights and batches, so differences are
taken seed by seed. Intervals are Student's t over the seeds; they say nothing about other data or other budgets.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pdelab.networks.checks import choice, several, whole
from pdelab.networks.training.loop import train
from pdelab.networks.training.setup import unboxed

_KEPT = ("train_loss", "validation_loss", "validation_error", "gradients")  # of the history of a run


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured.

    Attributes
    ----------
    names : tuple of str
    seeds : tuple of int
    values : array (contestants, seeds)
        The metric at the end of each run.
    curves : dict
        {name: array (seeds, epochs)} of the metric on the validation split along the way.
    losses : dict
        {name: array (seeds, epochs)} of the training loss along the way, as the mini-batches came.
    gradients : dict
        {name: array (epochs,)} of the gradients (of one replica) spent by then.
    finals : dict
        {name: tuple of the `final` of each seed}.
    baseline : str
    level, margin : float
        Confidence of the intervals; the largest difference that counts as the same.
    metric, split : str
    """

    names: tuple
    seeds: tuple
    values: np.ndarray
    curves: dict
    losses: dict
    gradients: dict
    finals: dict
    baseline: str
    level: float
    margin: float
    metric: str
    split: str

    def rows(self):
        """One dict a contestant: name, mean, deviation, and against the baseline difference, low, high, p, verdict."""
        first = self.values[self.names.index(self.baseline)]
        found = []
        for name, values in zip(self.names, self.values):
            row = {"name": name, "mean": float(values.mean()), "deviation": float(values.std(ddof=1))}
            if name != self.baseline:
                row |= paired(values - first, self.level)
                row["verdict"] = _verdict(row["low"], row["high"], self.margin)
            found.append(row)
        return found

    def table(self):
        """The rows as text, in the form of the papers' tables."""
        percent, width = " (%)" if self.metric == "error" else "", max(16, 1 + max(map(len, self.names)))
        against = f"    minus {self.baseline}, {self.level:.0%} interval" if len(self.names) > 1 else ""
        lines = [f"{'':{width}s}{self.split} {self.metric}{percent:4s}{against}"]
        for row in self.rows():
            line = f"{row['name']:{width}s}{row['mean']:8.3f} ± {row['deviation']:.3f}"
            if "low" in row:
                line += f"    {row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]  {row['verdict']}"
            lines.append(line)
        return "\n".join(lines)


def compare(
    contestants,
    *,
    seeds=10,
    baseline=None,
    metric="error",
    split="test",
    level=0.95,
    margin=0.2,
    jobs=1,
    out=None,
    on_run=None,
    **common,
):
    """Train every contestant with every seed and compare them pair by pair.

    Parameters
    ----------
    contestants : dict
        {name: arguments of `train`}.
    seeds : int or sequence of int
        How many (0, 1, ...) or which; at least two.
    baseline : str, optional
        Whom the others are compared with; default: the first.
    metric, split : str
        "error" (per cent) or "loss"; "train", "validation" or "test".
    level : float
        Confidence of the intervals.
    margin : float
        Two contestants are the same when the interval of their difference lies within ± margin.
    jobs : int
        Processes, each with one thread (joblib).
    out : path, optional
        Folder of the runs: NAME/seed_S below it (seed_S with one contestant); with resume=True it continues there.
    on_run : callable, optional
        Called with (name, seed, final) as runs end.
    common
        Arguments of `train` that all contestants share.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        Fewer than one contestant or two seeds, an unknown baseline, metric or split.

    Examples
    --------
    >>> found = compare({"sgd": {}, "adam": {"optimizer": "adam"}}, seeds=2, epochs=2)
    >>> found.values.shape, found.rows()[1]["name"]
    ((2, 2), 'adam')
    """
    seeds, names = _seeds(seeds), tuple(contestants)
    baseline = baseline or (names[0] if names else None)
    if not names or len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError("expected at least one contestant and two different seeds")
    choice("baseline", baseline, names)
    choice("metric", metric, ("error", "loss"))
    choice("split", split, ("train", "validation", "test"))
    whole("jobs", jobs, 1)
    if not 0 < level < 1 or not margin >= 0:
        raise ValueError(f"expected 0 < level < 1 and margin >= 0, got {level} and {margin}")
    for name in names:
        _refuse_path(name)
    folders = {name: _folder(out, name if len(names) > 1 else "") for name in names}
    tasks = [(n, s, common | contestants[n] | {"seed": s, "out": folders[n](s)}) for s in seeds for n in names]
    runs, values = {}, np.zeros((len(names), len(seeds)))
    for name, seed, run in _all(tasks, jobs, on_run):
        runs[name, seed] = run
        values[names.index(name), seeds.index(seed)] = _measured(run["final"], split, metric)
    curves = {n: np.array([runs[n, s][f"validation_{metric}"] for s in seeds], float) for n in names}
    losses = {n: np.array([runs[n, s]["train_loss"] for s in seeds]) for n in names}
    gradients = {n: np.array(runs[n, seeds[0]]["gradients"]) for n in names}
    finals = {n: tuple(runs[n, s]["final"] for s in seeds) for n in names}
    return Comparison(names, seeds, values, curves, losses, gradients, finals, baseline, level, margin, metric, split)


def tune(arguments, grid, *, seeds=3, metric="error", jobs=1, on_run=None):
    """Validation error of every point of a grid of optimizer options: what was tried is part of the result.

    Parameters
    ----------
    arguments : dict
        Of `train`.
    grid : dict
        {option: values}; all combinations are tried.
    seeds, metric, jobs, on_run
        As for `compare`.

    Returns
    -------
    list of (mean, options), the best first

    Examples
    --------
    >>> found = tune({"epochs": 2}, {"lr": (0.01, 0.1)}, seeds=2)
    >>> len(found), found[0][0] <= found[1][0]
    (2, True)
    """
    grid = unboxed(grid)
    for option, tried in grid.items():
        several(f"the grid's {option}", tried)
    points = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    runs = {}
    for number, point in enumerate(points):
        options = dict(arguments.get("optimizer_options") or {}) | point
        runs[str(number)] = arguments | {"optimizer_options": options}
    seeds = _seeds(seeds)
    tasks = [(name, seed, run | {"seed": seed}) for seed in seeds for name, run in runs.items()]
    scores = {name: [] for name in runs}
    for name, _, run in _all(tasks, jobs, on_run, failures=True):
        scores[name].append(_measured(run["final"], "validation", metric) if run else np.inf)
    order = sorted(range(len(points)), key=lambda k: np.mean(scores[str(k)]))
    return [(float(np.mean(scores[str(k)])), points[k]) for k in order]


def paired(differences, level=0.95):
    """Mean of paired differences with Student's interval and p-value.

    Parameters
    ----------
    differences : array (n,), n >= 2
    level : float

    Returns
    -------
    dict
        difference, low, high, p (of no difference)

    Examples
    --------
    >>> found = paired([1.0, 2.0, 3.0])
    >>> round(found["difference"], 3), round(found["low"], 3), round(found["p"], 4)
    (2.0, -0.484, 0.0742)
    """
    from scipy.stats import t

    values = np.asarray(differences, float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"expected at least two finite differences in a row, got {differences!r}")
    if not 0 < level < 1:
        raise ValueError(f"expected 0 < level < 1, got {level!r}")
    count, mean = len(values), float(values.mean())
    error = float(values.std(ddof=1)) / count**0.5
    half = float(t.ppf(0.5 + level / 2, count - 1)) * error
    p = float(2 * t.sf(abs(mean) / error, count - 1)) if error else float(mean == 0)
    return {"difference": mean, "low": mean - half, "high": mean + half, "p": p}


def _seeds(seeds):
    if isinstance(seeds, int):
        return tuple(range(seeds))
    seeds = unboxed(seeds)
    if not isinstance(seeds, (list, tuple)):
        raise ValueError(f"expected seeds to be a whole number or a sequence of them, got {seeds!r}")
    for seed in seeds:
        whole("seed", seed, 0)
    return tuple(seeds)


def _refuse_path(name):
    """A contestant's name is a folder below `out`: words, with single slashes between them."""
    words = name.split("/") if isinstance(name, str) else [""]
    if not all(word.strip() and word.strip(".") and word.isprintable() and "\\" not in word for word in words):
        raise ValueError(f"contestants: expected names without .., backslashes or a leading slash, got {name!r}")


def _measured(final, split, metric):
    if split not in final:
        raise ValueError(f"the data set has no {split} samples: choose another split")
    return final[split][metric]


def _folder(out, name):
    return lambda seed: None if out is None else Path(out) / name / f"seed_{seed}"


def _verdict(low, high, margin):
    if -margin <= low and high <= margin:
        return "the same"
    return "worse" if low > 0 else "better" if high < 0 else "undecided"


def _all(tasks, jobs, on_run, failures=False):
    """Run the tasks, here or in processes; yields (name, seed, summary) in their order."""
    if jobs == 1:
        found = (_one(*task, failures=failures) for task in tasks)
    else:
        from joblib import Parallel, delayed

        found = Parallel(n_jobs=jobs, return_as="generator")(
            delayed(_one)(*task, threads=1, failures=failures) for task in tasks
        )
    for name, seed, run in found:
        if on_run:
            on_run(name, seed, run["final"] if run else None)
        yield name, seed, run


def _one(name, seed, arguments, threads=None, failures=False):
    import torch

    if threads:
        torch.set_num_threads(threads)
    try:
        result = train(**arguments)
    except FloatingPointError:
        if not failures:
            raise
        return name, seed, None
    kept = {key: [record[key] for record in result.history] for key in _KEPT}
    return name, seed, {"final": result.final, **kept}
