"""Several seeds, paired: is one algorithm better than another, or are they the same to within a margin?

Every contestant sees the same seeds, and with a seed the same split, initial weights and batches, so differences are
taken seed by seed. Intervals are Student's t over the seeds; they say nothing about other data or other budgets.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Progress
from pdelab.networks.checks import choice, several, whole
from pdelab.networks.schedules import to_plain
from pdelab.networks.training.loop import tell, train
from pdelab.networks.training.reuse import Finished
from pdelab.networks.training.setup import alone, unboxed

__all__ = ["Comparison", "compare", "merged", "paired", "tune", "verdict"]

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
    settings : dict
        {name: arguments of `train` besides the seed and what names places}, in plain values.
    effort : dict
        Runs "trained" and "reused", and the "seconds" that all of them took when they were trained.
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
    settings: dict = field(default_factory=dict)
    effort: dict = field(default_factory=dict)

    def rows(self) -> list[dict]:
        """One dict a contestant: name, mean, deviation, and against the baseline difference, low, high, p, verdict."""
        first = self.values[self.names.index(self.baseline)]
        table = []
        for name, values in zip(self.names, self.values):
            row = {"name": name, "mean": float(values.mean()), "deviation": float(values.std(ddof=1))}
            if name != self.baseline:
                row |= paired(values - first, self.level)
                row["verdict"] = verdict(row["low"], row["high"], self.margin)
            table.append(row)
        return table

    def table(self) -> str:
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
    contestants: dict[str, dict],
    *,
    seeds: int | Sequence[int] = 10,
    baseline: str | None = None,
    metric: str = "error",
    split: str = "test",
    level: float = 0.95,
    margin: float = 0.2,
    folds: int | None = None,
    jobs: int | None = 1,
    threads: int | None = None,
    out: str | PathLike | None = None,
    reuse: str | PathLike | None = None,
    on_run: Callable | None = None,
    progress: Progress = False,
    **common: Any,
) -> Comparison:
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
    folds : int, optional
        Train so many times a seed, each time testing on another part of the data (digits, mnist-5k): a seed's value is
        then over all images. Runs lie in seed_S/fold_K.
    jobs : int or None
        Processes (joblib); None: the backend and the number of `joblib.parallel_config`, a cluster for one.
    threads : int, optional
        Of torch in a run. Default: one where `jobs` is not 1, else as they are. With the same number the same numbers
        come to the last bit, however the runs are spread: seeds can be compared in shards and put together by
        `merged`.
    out : path, optional
        Folder of the runs: NAME/seed_S below it (seed_S with one contestant); with resume=True it continues there.
    reuse : path, optional
        Folder of the numbers of finished runs, for any number of comparisons. A run with the same arguments, seed,
        threads, versions and source of `pdelab.networks` is read from it, to the same bits; others are trained and
        left there. Only runs of named models, optimizers and built-in data, and not together with `out`.
    on_run : callable, optional
        Called with (name, seed, final) as runs end.
    progress : bool or callable
        True: a bar on stderr; or a function of (runs done, runs in all).
    common
        Arguments of `train` that all contestants share.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        Fewer than one contestant or two seeds, an unknown baseline, metric or split; both `out` and `reuse`.

    Examples
    --------
    >>> comparison = compare({"sgd": {}, "adam": {"optimizer": "adam"}}, seeds=2, epochs=2)
    >>> comparison.values.shape, comparison.rows()[1]["name"]
    ((2, 2), 'adam')
    """
    seeds, names = _seeds(seeds), tuple(contestants)
    baseline = baseline or (names[0] if names else "")
    if not names or len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"contestants, seeds: expected one or more and two different seeds or more, got {names} and {seeds}"
        )
    choice("baseline", baseline, names)
    choice("metric", metric, ("error", "loss"))
    choice("split", split, ("train", "validation", "test"))
    if folds is not None:
        checks.whole("folds", folds, 2)
    checks.within("level", level, 0, 1, "()")
    checks.nonnegative("margin", margin)
    for name in names:
        _refuse_path(name)
    if out is not None and reuse is not None:
        raise ValueError(
            "reuse, out: expected one of them, got both: reuse keeps the numbers of runs, out their weights"
        )
    folders = {name: _folder(out, name if len(names) > 1 else "") for name in names}
    tasks = [
        (name, seed, _folded(common | contestants[name] | {"seed": seed, "out": folders[name](seed)}, folds, fold))
        for seed in seeds for name in names for fold in range(folds or 1)
    ]  # fmt: skip
    parts: dict[tuple, list] = {}
    runs: dict[tuple, dict] = {}
    effort: dict[str, float] = {"trained": 0, "reused": 0, "seconds": 0.0}
    for name, seed, run in _all(tasks, jobs, None, threads=threads, progress=progress, reuse=reuse):
        effort["reused" if run["reused"] else "trained"] += 1
        effort["seconds"] += run["seconds"]
        parts.setdefault((name, seed), []).append(run)
        if len(parts[name, seed]) == (folds or 1):
            runs[name, seed] = _pooled(parts.pop((name, seed)))
            if on_run:
                on_run(name, seed, runs[name, seed]["final"])
    values = np.array([[_measured(runs[n, s]["final"], split, metric) for s in seeds] for n in names])
    curves = {n: np.array([runs[n, s][f"validation_{metric}"] for s in seeds], float) for n in names}
    losses = {n: np.array([runs[n, s]["train_loss"] for s in seeds]) for n in names}
    gradients = {n: np.array(runs[n, seeds[0]]["gradients"]) for n in names}
    finals = {n: tuple(runs[n, s]["final"] for s in seeds) for n in names}
    settings = {n: _settings(common | contestants[n] | {"folds": folds}) for n in names}
    return Comparison(
        names, seeds, values, curves, losses, gradients, finals, baseline, level, margin, metric, split, settings,
        effort,
    )  # fmt: skip


def merged(*comparisons: Comparison) -> Comparison:
    """Join comparisons of different seeds, made anywhere: to the last bit what all seeds at once give.

    Parameters
    ----------
    *comparisons : Comparison
        Of the same contestants and settings, with different seeds; at least one.

    Returns
    -------
    Comparison
        Seeds in ascending order.

    Raises
    ------
    ValueError
        Comparisons of other contestants or settings, or with a common seed.

    Examples
    --------
    >>> run = {"contestants": {"sgd": {}, "adam": {"optimizer": "adam"}}, "epochs": 1}
    >>> merged(compare(**run, seeds=(2, 3)), compare(**run, seeds=(0, 1))).seeds
    (0, 1, 2, 3)
    """
    if not comparisons or not all(isinstance(part, Comparison) for part in comparisons):
        raise ValueError("comparisons: expected at least one Comparison")
    first, seeds = comparisons[0], [seed for part in comparisons for seed in part.seeds]
    for part in comparisons:
        for name in ("names", "baseline", "level", "margin", "metric", "split"):
            if getattr(part, name) != getattr(first, name):
                got = f"{getattr(first, name)!r} and {getattr(part, name)!r}"
                raise ValueError(f"comparisons: expected shards of one comparison, got {name} {got}")
        for name in first.names:
            one, other = first.settings.get(name, {}), part.settings.get(name, {})
            for key in sorted({*one, *other}):
                if one.get(key) != other.get(key):
                    got = f"{key} {one.get(key)!r} and {other.get(key)!r} of {name!r}"
                    raise ValueError(f"comparisons: expected shards of one comparison, got {got}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"comparisons: expected different seeds in the shards, got {sorted(seeds)}")
    order = np.argsort(seeds)

    def joined(field):
        return {
            name: np.concatenate([getattr(part, field)[name] for part in comparisons])[order] for name in first.names
        }

    finals = {name: [final for part in comparisons for final in part.finals[name]] for name in first.names}
    return replace(
        first, seeds=tuple(seeds[k] for k in order), curves=joined("curves"), losses=joined("losses"),
        values=np.concatenate([part.values for part in comparisons], axis=1)[:, order],
        finals={name: tuple(chosen[k] for k in order) for name, chosen in finals.items()},
        effort={key: sum(part.effort.get(key, 0) for part in comparisons) for key in first.effort},
    )  # fmt: skip


def tune(
    arguments: dict,
    grid: dict[str, Sequence],
    *,
    seeds: int | Sequence[int] = 3,
    metric: str = "error",
    jobs: int | None = 1,
    threads: int | None = None,
    on_run: Callable | None = None,
    progress: Progress = False,
) -> list[tuple[float, dict]]:
    """Validation error of every point of a grid of optimizer options: what was tried is part of the result.

    Parameters
    ----------
    arguments : dict
        Of `train`.
    grid : dict
        {option: values}; all combinations are tried.
    seeds, metric, jobs, threads, on_run, progress
        As for `compare`.

    Returns
    -------
    list of (mean, options), the best first

    Examples
    --------
    >>> tuned = tune({"epochs": 2}, {"lr": (0.01, 0.1)}, seeds=2)
    >>> len(tuned), tuned[0][0] <= tuned[1][0]
    (2, True)
    """
    grid = unboxed(grid)
    for option, tried in grid.items():
        several(f"grid[{option!r}]", tried)
    points = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    runs = {}
    for number, point in enumerate(points):
        options = dict(arguments.get("optimizer_options") or {}) | point
        runs[str(number)] = arguments | {"optimizer_options": options}
    seeds = _seeds(seeds)
    tasks = [(name, seed, run | {"seed": seed}) for seed in seeds for name, run in runs.items()]
    scores: dict[str, list[float]] = {name: [] for name in runs}
    for name, _, run in _all(tasks, jobs, on_run, failures=True, threads=threads, progress=progress):
        scores[name].append(_measured(run["final"], "validation", metric) if run else np.inf)
    order = sorted(range(len(points)), key=lambda k: np.mean(scores[str(k)]))
    return [(float(np.mean(scores[str(k)])), points[k]) for k in order]


def paired(differences: ArrayLike, level: float = 0.95) -> dict[str, float]:
    """Mean of paired differences with Student's interval and p-value.

    Parameters
    ----------
    differences : array (n,), n >= 2
    level : float

    Returns
    -------
    dict
        difference, low, high, p (of no difference)

    Raises
    ------
    ValueError
        Fewer than two differences.

    Examples
    --------
    >>> interval = paired([1.0, 2.0, 3.0])
    >>> round(interval["difference"], 3), round(interval["low"], 3), round(interval["p"], 4)
    (2.0, -0.484, 0.0742)
    """
    from scipy.stats import t

    values = np.asarray(differences, float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"differences: expected at least two finite numbers in a row, got {differences!r}")
    checks.within("level", level, 0, 1, "()")
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
        raise ValueError(f"seeds: expected a whole number or a sequence of them, got {seeds!r}")
    for seed in seeds:
        whole("seed", seed, 0)
    return tuple(seeds)


def _refuse_path(name):
    """A contestant's name is a folder below `out`: words, with single slashes between them."""
    words = name.split("/") if isinstance(name, str) else [""]
    if not all(word.strip() and word.strip(".") and word.isprintable() and "\\" not in word for word in words):
        raise ValueError(f"contestants: expected names without .., backslashes or a leading slash, got {name!r}")


def _settings(arguments):
    """What a run's numbers depend on besides its seed, in plain values."""
    places = {"seed", "out", "folder", "resume", "device", "graphs", "checkpoint_seconds", "on_epoch", "progress"}
    return {key: _plain(value) for key, value in arguments.items() if key not in places and value is not None}


def _plain(value):
    value = to_plain(unboxed(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (int, float, str)) or value is None else type(value).__name__


def _measured(final, split, metric):
    if split not in final:
        raise ValueError(
            f"split: expected one of {', '.join(final)}, got {split!r}, of which the data set has no samples"
        )
    return final[split][metric]


def _folder(out, name):
    return lambda seed: None if out is None else Path(out) / name / f"seed_{seed}"


def verdict(low, high, margin):
    """The word for an interval of differences (smaller is better): the same, worse, better or undecided."""
    if -margin <= low and high <= margin:
        return "the same"
    return "worse" if low > 0 else "better" if high < 0 else "undecided"


def _folded(arguments, folds, fold):
    """The arguments of a run, or those of one of its folds."""
    if folds is None:
        return arguments
    out = arguments["out"]
    options = dict(arguments.get("data_options") or {}) | {"folds": folds, "fold": fold}
    return arguments | {"data_options": options, "out": None if out is None else out / f"fold_{fold}"}


def _pooled(runs):
    """One run from its folds: measures are means over all samples, histories means over the folds."""
    if len(runs) == 1:
        return runs[0]
    final = {}
    for split in runs[0]["final"]:
        weights = np.array([run["counts"][split] for run in runs], float)
        measures = {key: [run["final"][split][key] for run in runs] for key in runs[0]["final"][split]}
        final[split] = {key: float(weights @ values / weights.sum()) for key, values in measures.items()}
    histories = {
        key: np.array([run[key] for run in runs], float).mean(0).tolist() for key in _KEPT if key != "gradients"
    }
    return {"final": final, "gradients": runs[0]["gradients"], **histories}


def _all(tasks, jobs, on_run, *, threads=None, failures=False, progress=False, reuse=None):
    """Run the tasks, here or through joblib; yields (name, seed, summary) in their order."""
    for name, value in (("jobs", jobs), ("threads", threads)):
        if value is not None:
            whole(name, value, 1)
    with tell(progress, len(tasks), "runs") as told:
        if jobs == 1:
            finished = (_one(*task, threads=threads, failures=failures, reuse=reuse) for task in tasks)
        else:
            from joblib import delayed

            calls = [delayed(_one)(*task, threads=threads or 1, failures=failures, reuse=reuse) for task in tasks]
            finished = _parallel(jobs)(calls)
        for done, (name, seed, run) in enumerate(finished, 1):
            told(done)
            if on_run:
                on_run(name, seed, run["final"] if run else None)
            yield name, seed, run


def _parallel(jobs):
    """joblib's `Parallel`, which hands results out as they come where its backend can."""
    from joblib import Parallel

    try:
        return Parallel(n_jobs=jobs, return_as="generator")
    except ValueError:
        return Parallel(n_jobs=jobs)


def _one(name, seed, arguments, threads=None, failures=False, reuse=None):
    with alone():
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            finished = Finished(reuse, arguments)
            stored = finished.read()
            if stored is not None:
                return name, seed, stored | {"reused": True}
            run = _summary(train(**arguments))
            finished.keep(run)
        except FloatingPointError:
            if not failures:
                raise
            return name, seed, None
        finally:
            torch.set_num_threads(before)
    return name, seed, run | {"reused": False}


def _summary(result):
    history = {key: [record[key] for record in result.history] for key in _KEPT}
    counts = {split: len(getattr(result.data, split)) for split in result.final}
    return {"final": result.final, "counts": counts, "seconds": result.history[-1]["seconds"], **history}
