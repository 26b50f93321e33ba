"""`pdelab train` and `spectrum`: the torch side from the shell."""

import sys
import time
from pathlib import Path

from pdelab import records
from pdelab.cli.shared import progress


def add_train(verbs):
    """The verb `train`."""
    parser = verbs.add_parser("train", help="train a network: optimizer, model, data, checkpoint and resume")
    parser.add_argument("--optimizer", default="sgd", help="`pdelab list optimizers` (default: sgd)")
    parser.add_argument("--model", default="mlp", help="`pdelab list models` (default: mlp)")
    parser.add_argument("--data", default="digits", help="`pdelab list data` (default: digits, built in)")
    parser.add_argument("--folder", type=Path, help="where the files of the data set lie")
    parser.add_argument("--epochs", type=int, default=25, help="effective epochs: passes in gradients (default: 25)")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="several seeds give a table")
    parser.add_argument("--batch-size", type=int, default=64)
    for what in ("optimizer", "model", "data"):
        parser.add_argument(
            f"--{what}-set", nargs="+", action="extend", default=[], metavar="key=value", help=f"options of the {what}"
        )
    parser.add_argument("--drops", type=float, nargs="+", default=(), help="epochs (or fractions) that lower the rate")
    parser.add_argument("--drop-factor", type=float, default=0.2)
    parser.add_argument("--initialisation", default="default", help="default or he")
    parser.add_argument("--clip", type=float, help="largest norm of a gradient")
    parser.add_argument("--replicas", type=int, default=1, help="copies in this process (elastic-sgd, parle, ...)")
    parser.add_argument("--share", type=float, default=1.0, help="part of the data each replica sees")
    parser.add_argument("--precision", default="float32", help="float32 or bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--out", type=Path, help="folder for log, checkpoint and weights")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(run=_run_train)


def _run_train(arguments):
    _need_torch("train")
    from pdelab.networks import training

    options = {
        f"{what}_options": dict(_setting(text) for text in getattr(arguments, f"{what}_set"))
        for what in ("optimizer", "model", "data")
    }
    same = ("folder", "epochs", "batch_size", "drop_factor", "initialisation", "clip", "replicas", "share", "precision")
    common = {name: getattr(arguments, name) for name in (*same, "device", "deterministic", "resume")}
    results = []
    with progress(arguments.epochs * len(arguments.seed), "epochs") as bar:
        for seed in arguments.seed:
            out = arguments.out if len(arguments.seed) == 1 or not arguments.out else arguments.out / f"seed_{seed}"
            drops = [int(d) if d >= 1 else d for d in arguments.drops]
            result = training.train(
                arguments.optimizer, arguments.model, arguments.data, seed=seed, drops=drops, out=out,
                on_epoch=lambda record: _show_epoch(bar, record), **options, **common,
            )  # fmt: skip
            results.append({"seed": seed, "final": result.final, "out": str(out) if out else None})
            if not arguments.json:
                with bar.external_write_mode(sys.stdout):
                    _print_final(seed, result.final)
    if arguments.json:
        print(records.dumps(results))
    return 0


def _show_epoch(bar, record):
    error = record["validation_error"]
    said = "" if error is None else f", validation error {error:.2f} %"
    bar.set_postfix_str(f"loss {record['train_loss']:.4g}{said}")
    bar.update()


def _print_final(seed, final):
    parts = [f"{split}: loss {v['loss']:.4g}, error {v['error']:.2f} %" for split, v in final.items()]
    print(f"seed {seed}: " + "; ".join(parts), flush=True)


def _setting(text):
    """("key", value) of key=value, the value as a Python literal where it is one."""
    import ast

    key, separator, value = text.partition("=")
    if not separator or not key.isidentifier():
        raise ValueError(f"expected key=value, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _need_torch(verb):
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


def _run_spectrum(arguments):
    _need_torch("spectrum")
    from pdelab.networks import curvature

    if arguments.out:
        records.output_folder(arguments.out.parent)
    names = ("method", "split", "samples", "count", "seed", "device")
    options, start = {name: getattr(arguments, name) for name in names}, time.perf_counter()
    found = {}
    for what in arguments.of:
        with progress(None, "products") as bar:
            bar.set_description_str(what)
            found[what] = curvature.spectrum(
                arguments.folder, of=what, on_progress=lambda done, total, bar=bar: _show_products(bar, done, total),
                **options,
            )  # fmt: skip
    numbers = {what: {"method": s.method, "weights": s.dimension, "samples": s.samples} | s.numbers
               for what, s in found.items()}  # fmt: skip
    if arguments.json:
        print(records.dumps(numbers))
    else:
        for what, spectrum in found.items():
            print(f"{what} of {spectrum.dimension} weights over {spectrum.samples} samples, {_ROUTES[spectrum.method]}")
            for name, value in spectrum.numbers.items():
                print(f"  {name:<24} {value:.6g}")
    if arguments.out:
        arrays = {f"{what}_{part}": getattr(s, part) for what, s in found.items() for part in ("nodes", "weights")}
        record = records.provenance(
            options | {"run": str(arguments.folder)}, time.perf_counter() - start, arguments.seed
        )
        for path in records.save(arguments.out, arrays, record | {"numbers": numbers}):
            print(path, file=sys.stderr if arguments.json else sys.stdout)
    return 0
