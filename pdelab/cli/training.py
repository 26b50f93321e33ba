"""`pdelab train` and `spectrum`: the torch side from the shell."""

import argparse
import ast
import functools
import math
import os
import sys
import time
from pathlib import Path

from pdelab import records
from pdelab.cli.shared import note, progress

__all__ = ["add_spectrum", "add_train", "need_torch"]


def _one_sentence(verb):
    """A verb whose failures in the machine (memory, a lost rank) are said in one sentence."""

    @functools.wraps(verb)
    def guarded(arguments):
        try:
            return verb(arguments)
        except RuntimeError as error:
            note(f"pdelab: {str(error).splitlines()[0]}")
            return 1

    return guarded


def add_train(verbs):
    """The verb `train`."""
    parser = verbs.add_parser("train", help="train a network: optimizer, model, data, checkpoint and resume")
    parser.add_argument("--optimizer", nargs="+", help="`pdelab list optimizers` (default: sgd); several are compared")
    parser.add_argument("--model", help="`pdelab list models` (default: mlp)")
    parser.add_argument("--data", help="`pdelab list data` (default: digits, built in)")
    parser.add_argument("--recipe", nargs="+", help="tuned settings, `pdelab list recipes`; several are compared")
    parser.add_argument("--folder", type=Path, help="where the files of the data set lie")
    parser.add_argument("--epochs", type=int, help="effective epochs: passes in gradients (default: 25)")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="several seeds give a table")
    parser.add_argument(
        "--folds", type=int, help="train so many times a seed and test on every image (digits, mnist-5k)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time, each with one thread (default: 1)")
    parser.add_argument("--batch-size", type=int, help="samples of a gradient (default: 64)")
    for what in ("optimizer", "model", "data"):
        parser.add_argument(
            f"--{what}-set", nargs="+", action="extend", default=[], metavar="key=value", help=f"options of the {what}"
        )
    parser.add_argument("--drops", type=float, nargs="+", help="epochs (or fractions) that lower the rate")
    parser.add_argument("--drop-factor", type=float, help="by this factor (default: 0.2)")
    parser.add_argument("--initialisation", help="default or he")
    parser.add_argument("--clip", type=float, help="largest norm of a gradient")
    parser.add_argument("--replacement", action="store_true", help="draw mini-batches with replacement")
    parser.add_argument("--replicas", type=int, help="copies in this process (elastic-sgd, parle, ...)")
    parser.add_argument("--share", type=float, help="part of the data each replica sees")
    parser.add_argument("--precision", help="float32 or bfloat16")
    parser.add_argument("--device", help="cpu or cuda (default: cpu)")
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument(
        "--graphs", action=argparse.BooleanOptionalAction, help="record the optimizer's loops as CUDA graphs (default: "
        "on a GPU, where it can be done)"
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder for log, checkpoint and weights")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    parser.add_argument("--checkpoint-seconds", type=float, help="time between checkpoints (default: 30)")
    parser.add_argument("--json", action="store_true", help="print the runs as JSON, and how contestants compare")
    parser.set_defaults(run=_run_train)


@_one_sentence
def _run_train(arguments):
    need_torch("train")
    from pdelab.networks import training

    runs, seeds, results, comparison = _contestants(arguments, training.recipe), arguments.seed, [], None
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"expected different seeds, one is named twice: {seeds}")
    first = os.environ.get("RANK", "0") == "0"  # of the ranks of torchrun, one speaks
    epochs = sum(run.get("epochs", training.train.__kwdefaults__["epochs"]) for run in runs.values())
    with progress(epochs * len(seeds) * (arguments.folds or 1), "epochs", shown=first) as bar:

        def on_run(name, seed, final):
            results.append({"name": name, "seed": seed, "final": final})
            if first and not arguments.json:
                with bar.external_write_mode(sys.stdout):
                    print(_said(name if len(runs) > 1 else "", seed, final), flush=True)

        common = {"out": arguments.out}
        if arguments.jobs == 1:
            common["on_epoch"] = lambda record: _show_epoch(bar, record)
        else:
            bar.reset(total=len(runs) * len(seeds) * (arguments.folds or 1))
            bar.unit, common["progress"] = " runs", lambda done, total: bar.update(done - bar.n)
        if arguments.folds is not None and len(seeds) == 1:
            raise ValueError("--folds needs at least two --seed")
        if len(runs) * len(seeds) > 1:
            shared = {"folds": arguments.folds, "jobs": arguments.jobs}
            comparison = training.compare(runs, seeds=seeds, on_run=on_run, **shared, **common)
        else:
            ((name, run),) = runs.items()
            result = training.train(seed=seeds[0], **run, **common)
            on_run(name, seeds[0], result.final)
            if first and arguments.device not in (None, "cpu") and result.graphs:
                note(f"not recorded as CUDA graphs: {result.graphs}")
    if first and arguments.json:
        print(records.dumps({"runs": results, "comparison": comparison.rows()} if len(runs) > 1 else results))
    elif first and comparison:
        print(comparison.table())
    return 0


_AS_GIVEN = ("folder", "epochs", "batch_size", "drop_factor", "initialisation", "clip", "replicas", "share")
_AS_GIVEN += ("precision", "device", "checkpoint_seconds", "replacement", "deterministic", "resume", "graphs")


def _contestants(arguments, recipe):
    """{name: arguments of `train`}: recipes or optimizers, changed by what else was given."""
    given = {name: getattr(arguments, name) for name in _AS_GIVEN if getattr(arguments, name) is not None}
    if arguments.drops:
        given["drops"] = [int(drop) if drop.is_integer() else drop for drop in arguments.drops]
    subject = {name: getattr(arguments, name) for name in ("model", "data") if getattr(arguments, name)}
    if arguments.recipe and (arguments.optimizer or subject):
        raise ValueError("give either --recipe or --optimizer, --model and --data: a recipe names all three")
    names = arguments.recipe or arguments.optimizer or ["sgd"]
    if len(set(names)) < len(names):
        raise ValueError(f"expected different contestants, one is named twice: {' '.join(names)}")
    contestants = {}
    for name in names:
        run = recipe(name) if arguments.recipe else {"optimizer": name, **subject}
        for what in ("optimizer", "model", "data"):
            settings = dict(map(_setting, getattr(arguments, f"{what}_set")))
            run[f"{what}_options"] = run.get(f"{what}_options", {}) | settings
        contestants[name] = run | given
    return contestants


def _show_epoch(bar, record):
    error = record["validation_error"]
    said = "" if error is None else f", validation error {error:.2f} %"
    bar.set_postfix_str(f"loss {record['train_loss']:.4g}{said}", refresh=False)
    bar.update()


def _said(name, seed, final):
    parts = [f"{split}: loss {v['loss']:.4g}, error {v['error']:.2f} %" for split, v in final.items()]
    return f"{name}{', ' if name else ''}seed {seed}: " + "; ".join(parts)


_WORDS = {"true": True, "false": False, "none": None, "inf": math.inf, "nan": math.nan}


def _setting(text):
    """("key", value) of key=value, the value as a Python literal or a word such as true or inf where it is one."""
    key, separator, value = text.partition("=")
    if not separator or not key.isidentifier():
        raise ValueError(f"expected key=value, got {text!r}")
    if value.lower() in _WORDS:
        return key, _WORDS[value.lower()]
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def need_torch(verb):
    """Refuse a verb that needs torch and scikit-learn where they are not installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("sklearn") is None:
        raise ValueError(f"{verb} needs pdelab[networks]: pip install 'pdelab[networks]'")


def add_spectrum(verbs):
    """The verb `spectrum`."""
    parser = verbs.add_parser("spectrum", help="Hessian and gradient-noise spectra of a trained network")
    parser.add_argument("folder", type=Path, help="the --out of `pdelab train`")
    parser.add_argument("--of", nargs="+", default=["hessian", "noise"], metavar="WHAT", help="hessian, noise, fisher")
    parser.add_argument(
        "--method", default="auto", help="exact, lanczos or auto (default: exact where it takes seconds)"
    )
    parser.add_argument("--split", default="train", help="which part of the data (default: train)")
    parser.add_argument("--samples", type=int, help="only so many samples")
    parser.add_argument("--count", type=int, default=3, help="extreme eigenvalues at each end (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the random probes of a large network")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="file stem for the arrays: STEM.npz and STEM.json")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_spectrum)


_ROUTES = {
    "exact": "exact: all of them",
    "lanczos": "lanczos: the ends converged, the rest estimated (--method exact: all of them)",
}


def _show_products(bar, done, total):
    bar.total = total
    bar.update(round(done) - bar.n)


@_one_sentence
def _run_spectrum(arguments):
    need_torch("spectrum")
    from pdelab.networks import curvature

    if arguments.out:
        records.output_folder(arguments.out.parent)
    names = ("method", "split", "samples", "count", "seed", "device")
    options, start = {name: getattr(arguments, name) for name in names}, time.perf_counter()
    spectra = {}
    for what in arguments.of:
        with progress(None, "products") as bar:
            bar.set_description_str(what)
            spectra[what] = curvature.spectrum(
                arguments.folder, of=what, on_progress=lambda done, total, bar=bar: _show_products(bar, done, total),
                **options,
            )  # fmt: skip
    numbers = {what: {"method": s.method, "weights": s.dimension, "samples": s.samples} | s.numbers
               for what, s in spectra.items()}  # fmt: skip
    print(records.dumps(numbers) if arguments.json else "\n".join(map(_spectrum_said, spectra.items())))
    if arguments.out:
        arrays = {f"{what}_{part}": getattr(s, part) for what, s in spectra.items() for part in ("nodes", "weights")}
        given = options | {"run": str(arguments.folder)}
        record = records.provenance(given, time.perf_counter() - start, arguments.seed) | {"numbers": numbers}
        for path in records.save(arguments.out, arrays, record):
            print(path, file=sys.stderr if arguments.json else sys.stdout)
    return 0


def _spectrum_said(item):
    what, spectrum = item
    first = f"{what} of {spectrum.dimension} weights over {spectrum.samples} samples, {_ROUTES[spectrum.method]}"
    return "\n".join([first, *(f"  {name:<24} {value:.6g}" for name, value in spectrum.numbers.items())])
