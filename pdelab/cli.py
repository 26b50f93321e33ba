"""The command line: results to stdout, progress and notes to stderr; status 0 when all is as expected.

Status 1: a check or a claim failed. Status 2: the question was wrong, said in one sentence. Status 130: interrupted.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from pdelab import records

EQUATIONS = ("hamilton-jacobi", "heat", "burgers", "fokker-planck")


def main(argv=None):
    """Run the command line with these arguments; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except ValueError as error:
        return _refuse(str(error))
    except FloatingPointError as error:
        return _refuse(str(error), status=1)
    except ModuleNotFoundError as error:
        return _refuse(f"this needs a package that is not installed: {error}")
    except KeyboardInterrupt:
        return _refuse("interrupted; what was written so far is whole", status=130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser():
    """The argument parser: one `_add_<verb>` and one `_run_<verb>` for each verb."""
    parser = argparse.ArgumentParser(prog="pdelab", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True, metavar="verb")
    for add in (
        _add_list, _add_figure, _add_verify, _add_reproduce, _add_solve, _add_simulate, _add_train, _add_spectrum,
        _add_bench,
    ):  # fmt: skip
        add(verbs)
    return parser


# -- list ---------------------------------------------------------------------------------------------------------


def _add_list(verbs):
    parser = verbs.add_parser("list", help="equations, losses, schemes, optimizers, figures, claims, data sets")
    parser.add_argument("what", nargs="?", choices=[*CATALOGUE], help="one kind only")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_list)


def _run_list(arguments):
    kinds = [arguments.what] if arguments.what else list(CATALOGUE)
    found = {kind: CATALOGUE[kind]() for kind in kinds}
    if arguments.json:
        print(records.dumps(found))
        return 0
    for kind, entries in found.items():
        print(f"{kind} ({len(entries)})" if entries else f"{kind}: needs pdelab[networks]")
        for name, text in entries.items():
            print(f"  {name:<28} {text}")
    return 0


def _equations():
    import pdelab as pl

    names = ("HamiltonJacobi", "Heat", "Burgers", "FokkerPlanck", "BackwardKolmogorov", "Langevin", "Underdamped")
    names += ("Diffusion", "FastSlow")
    return {name: _first_line(getattr(pl, name)) for name in names if hasattr(pl, name)}


def _losses():
    from pdelab import losses

    return {name: _first_line(make) for name, make in losses.gallery().items()}


def _schemes():
    return {f"{verb}: {name}": _first_line(f) for verb, f_by_name in scheme_table().items() for name, f in f_by_name.items()}


def _figures():
    from pdelab import figures

    return {name: module.TITLE for name, module in figures.gallery().items()}


def _claims():
    from pdelab import claims

    return {row.id: f"[{row.as_printed}] {row.statement}" for row in claims.ledger().values()}


def _optimizers():
    try:
        from pdelab.networks.training import OPTIMIZERS
    except ImportError:
        return {}
    return {name: f"{module}.{factory}" for name, (module, factory, _) in OPTIMIZERS.items()}


def _models():
    try:
        from pdelab.networks.models import MODELS
    except ImportError:
        return {}
    return {name: _first_line(build) for name, (build, _) in MODELS.items()}


def _data():
    try:
        from pdelab.networks.data import DATA
    except ImportError:
        return {}
    return {name: _first_line(load) for name, (load, *_) in DATA.items()}


CATALOGUE = {
    "equations": _equations,
    "losses": _losses,
    "schemes": _schemes,
    "figures": _figures,
    "claims": _claims,
    "optimizers": _optimizers,
    "models": _models,
    "data": _data,
}


def scheme_table():
    """Schemes by equation and short name; the only place where a name stands for a scheme."""
    from pdelab import burgers, fokker_planck, hamilton_jacobi

    table = {
        "hamilton-jacobi": (hamilton_jacobi, ("monotone", "engquist_osher", "filtered", "fitted", "implicit")),
        "heat": (hamilton_jacobi, ("monotone",)),
        "burgers": (burgers, ("godunov", "engquist_osher", "rusanov", "high_resolution")),
        "fokker-planck": (fokker_planck, ("implicit", "crank_nicolson", "explicit", "spectral")),
    }
    return {
        verb: {name: getattr(module, name) for name in names if hasattr(module, name)}
        for verb, (module, names) in table.items()
    }


# -- figure -------------------------------------------------------------------------------------------------------


def _add_figure(verbs):
    parser = verbs.add_parser("figure", help="compute, check and draw one figure")
    parser.add_argument("name", help="its name, e.g. 4.1 (`pdelab list figures`)")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for the files (default: figures)")
    parser.add_argument("--quick", action="store_true", help="a coarser version in seconds")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="key=value", help="change parameters")
    parser.add_argument("--json", action="store_true", help="print the record instead of a table")
    parser.set_defaults(run=_run_figure)


def _run_figure(arguments):
    from pdelab import figures

    module = figures.find(arguments.name)
    if missing := figures.missing_extra(module):
        raise ValueError(f"figure {arguments.name} needs pdelab[{missing}]: pip install 'pdelab[{missing}]'")
    figures.parameters(module, quick=arguments.quick, changes=arguments.set)
    records.output_folder(arguments.out)
    _note(f"figure {arguments.name}: {module.TITLE}")
    result, picture = figures.run(arguments.name, arguments.out, quick=arguments.quick, changes=arguments.set)
    if arguments.json:
        print(records.dumps(result.record))
    else:
        _print_checks(result)
        print(picture)
    return 0 if result.holds else 1


def _print_checks(result):
    for check in result.checks:
        low = "-inf" if check.low is None else f"{check.low:.6g}"
        high = "inf" if check.high is None else f"{check.high:.6g}"
        print(f"  {'ok  ' if check.holds else 'FAIL'} {check.name:<40} {check.value:<12.6g} in [{low}, {high}]")


# -- verify -------------------------------------------------------------------------------------------------------


def _add_verify(verbs):
    parser = verbs.add_parser("verify", help="the ledger: every claim, its source, expected, measured, verdict")
    parser.add_argument("ids", nargs="*", metavar="ID", help="claims to check (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller samples and grids")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_verify)


def _run_verify(arguments):
    verdicts = verify_all(arguments.ids, quick=arguments.quick, show=not arguments.json)
    if arguments.json:
        print(records.dumps([verdict.as_dict() for verdict in verdicts]))
    return 0 if _summary(verdicts) else 1


def verify_all(ids=(), *, quick=False, show=True):
    """Verdicts of claims, printed as they come, with progress on stderr."""
    from pdelab import claims

    rows = claims.find(ids)
    verdicts = []
    if show:
        print(f"{'claim':<8} {'printed':<10} {'verdict':<8} {'expected':>12} {'measured':>12} {'tolerance':>10}  statement")
    with _progress(len(rows), "claims") as bar:
        for row in rows:
            bar.set_postfix_str(row.id)
            verdict = claims.decide(row, quick=quick)
            verdicts.append(verdict)
            if show:
                with bar.external_write_mode(sys.stdout):
                    _print_verdict(verdict)
            bar.update()
    return verdicts


def _print_verdict(verdict):
    row = verdict.claim
    word = "skipped" if verdict.holds is None else "holds" if verdict.holds else "FAILS"
    first = verdict.evidence[0] if verdict.evidence else None
    shown = [_number(getattr(first, name)) if first else "" for name in ("expected", "measured", "tolerance")]
    text = row.statement + (f" ({verdict.skipped})" if verdict.skipped else "")
    print(f"{row.id:<8} {row.as_printed:<10} {word:<8} {shown[0]:>12} {shown[1]:>12} {shown[2]:>10}  {text}", flush=True)


def _number(value):
    import numpy as np

    flat = np.ravel(value)
    return f"{float(flat[0]):.5g}" + (f" (+{flat.size - 1})" if flat.size > 1 else "")


def _summary(verdicts):
    holds = sum(v.holds is True for v in verdicts)
    failed = [v.claim.id for v in verdicts if v.holds is False]
    skipped = len(verdicts) - holds - len(failed)
    seconds = sum(v.seconds for v in verdicts)
    _note(f"{holds} claims hold, {len(failed)} failed, {skipped} not run, {seconds:.1f} s")
    if failed:
        _note(f"failed: {' '.join(failed)}")
    return not failed


# -- reproduce ----------------------------------------------------------------------------------------------------


def _add_reproduce(verbs):
    parser = verbs.add_parser("reproduce", help="the main job: all figures and the whole ledger")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for the files (default: figures)")
    parser.add_argument("--quick", action="store_true", help="under three minutes")
    parser.add_argument("--networks", action="store_true", help="also the figures of the torch side")
    parser.set_defaults(run=_run_reproduce)


def _run_reproduce(arguments):
    from pdelab import figures

    start = time.perf_counter()
    folder = records.output_folder(arguments.out)
    failed, pictures = [], []
    chosen = {n: m for n, m in figures.gallery().items() if arguments.networks or not hasattr(m, "NEEDS")}
    with _progress(len(chosen), "figures") as bar:
        for name, module in chosen.items():
            bar.set_postfix_str(name)
            if missing := figures.missing_extra(module):
                with bar.external_write_mode(sys.stdout):
                    print(f"figure {name:<24} skipped: needs pdelab[{missing}]", flush=True)
                bar.update()
                continue
            result, picture = figures.run(name, folder, quick=arguments.quick)
            pictures.append(picture)
            failed += [f"{name}:{check.name}" for check in result.checks if not check.holds]
            with bar.external_write_mode(sys.stdout):
                state = "ok" if result.holds else "FAIL"
                print(f"figure {name:<24} {state:<4} {len(result.checks)} checks  {picture}", flush=True)
            bar.update()
    verdicts = verify_all(quick=arguments.quick)
    records.save_json(folder / "claims.json", [verdict.as_dict() for verdict in verdicts])
    good = _summary(verdicts)
    print(f"{len(pictures)} pictures in {folder.resolve()}, the ledger in {folder / 'claims.json'}")
    _note(f"{time.perf_counter() - start:.0f} s in all")
    if failed:
        _note(f"checks that failed: {' '.join(failed)}")
    return 0 if good and not failed else 1


# -- solve --------------------------------------------------------------------------------------------------------


def _add_solve(verbs):
    parser = verbs.add_parser("solve", help="one equation from the shell; the result is an .npz with its record")
    parser.add_argument("formula", help="initial data; the potential for fokker-planck, e.g. 'x**2/2 + cos(5*x)'")
    parser.add_argument("--equation", choices=EQUATIONS, default=EQUATIONS[0])
    parser.add_argument("--initial", help="initial density, a formula (fokker-planck only)")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--beta", type=float, help="inverse temperature; inf means no viscosity or noise")
    size.add_argument("--viscosity", type=float, help="nu of hamilton-jacobi, heat, burgers")
    size.add_argument("--diffusivity", type=float, help="D of fokker-planck")
    parser.add_argument("--lower", type=float, nargs="+", default=[-3.0])
    parser.add_argument("--upper", type=float, nargs="+", default=[3.0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[1024])
    parser.add_argument("--boundary", nargs="+", default=["reflecting"], help="reflecting, outflow or periodic")
    parser.add_argument("--times", type=float, nargs="+", default=[1.0])
    parser.add_argument("--scheme", help="`pdelab list schemes`")
    parser.add_argument("--dt", type=float)
    parser.add_argument("--out", type=Path, default=Path("solution"), help="file stem: STEM.npz and STEM.json")
    parser.set_defaults(run=_run_solve)


def _run_solve(arguments):
    import pdelab as pl

    loss = pl.Loss(arguments.formula)
    grid = pl.Grid(arguments.lower, arguments.upper, arguments.nodes, boundary=arguments.boundary)
    problem, initial = _problem(arguments, loss, grid)
    schemes = scheme_table()[arguments.equation]
    if arguments.scheme not in (None, *schemes):
        raise ValueError(f"unknown scheme {arguments.scheme!r} for {arguments.equation}: choose from {', '.join(schemes)}")
    records.output_folder(arguments.out.parent)
    start = time.perf_counter()
    with _progress(len(arguments.times), "times") as bar:
        solution = pl.solve(
            problem, initial, grid, arguments.times, scheme=schemes.get(arguments.scheme), dt=arguments.dt,
            on_save=lambda t, values: bar.update(),
        )  # fmt: skip
    arrays = {f"axis_{k}": axis for k, axis in enumerate(grid.axes)} | {"times": solution.times, "values": solution.values}
    parameters = {k: v for k, v in vars(arguments).items() if k not in ("run", "out")}
    record = records.provenance(parameters, time.perf_counter() - start) | {"info": solution.info}
    for path in records.save(arguments.out, arrays, record):
        print(path)
    return 0


def _problem(arguments, loss, grid):
    """The problem and its initial data, from the options of `solve`."""
    import pdelab as pl

    if arguments.equation == "fokker-planck":
        if arguments.viscosity is not None:
            raise ValueError("fokker-planck takes --beta or --diffusivity, not --viscosity")
        if arguments.initial is None:
            raise ValueError("fokker-planck needs --initial, a formula of the density at t = 0")
        problem = pl.FokkerPlanck(loss, beta=arguments.beta, diffusivity=arguments.diffusivity)
        return problem, pl.Loss(arguments.initial, variables=loss.variables).on(grid)
    if arguments.diffusivity is not None or arguments.initial is not None:
        raise ValueError(f"{arguments.equation} takes --beta or --viscosity and no --initial: the formula is its data")
    kinds = {"hamilton-jacobi": pl.HamiltonJacobi, "heat": pl.Heat, "burgers": pl.Burgers}
    return kinds[arguments.equation](beta=arguments.beta, viscosity=arguments.viscosity), loss


# -- simulate -----------------------------------------------------------------------------------------------------


def _add_simulate(verbs):
    parser = verbs.add_parser("simulate", help="Langevin paths from the shell; the result is an .npz with its record")
    parser.add_argument("formula", help="the loss, e.g. '(x**2 - 1)**2/4'")
    parser.add_argument("--beta", type=float, required=True, help="inverse temperature: invariant law exp(-beta f)")
    parser.add_argument("--friction", type=float, help="underdamped Langevin with this friction")
    parser.add_argument("--initial", type=float, nargs="+", default=[0.0])
    parser.add_argument("--time", type=float, required=True)
    parser.add_argument("--dt", type=float, required=True)
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--saves", type=int, default=1, help="how many equally spaced times to save after t = 0")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, default=Path("paths"), help="file stem: STEM.npz and STEM.json")
    parser.set_defaults(run=_run_simulate)


def _run_simulate(arguments):
    import pdelab as pl

    loss = pl.Loss(arguments.formula)
    langevin = arguments.friction is None
    sde = pl.Langevin(loss, arguments.beta) if langevin else pl.Underdamped(loss, arguments.beta, arguments.friction)
    initial = arguments.initial[0] if len(arguments.initial) == 1 else arguments.initial
    if arguments.saves < 1:
        raise ValueError(f"--saves: expected at least 1, got {arguments.saves}")
    records.output_folder(arguments.out.parent)
    start = time.perf_counter()
    with _progress(arguments.saves + 1, "times") as bar:
        paths = pl.simulate(
            sde, initial, arguments.time, arguments.dt, paths=arguments.paths, seed=arguments.seed,
            save_every=arguments.time / arguments.saves, threads=arguments.threads,
            on_save=lambda t, states: bar.update(),
        )  # fmt: skip
    parameters = {k: v for k, v in vars(arguments).items() if k not in ("run", "out")}
    record = records.provenance(parameters, time.perf_counter() - start, seed=arguments.seed)
    for path in records.save(arguments.out, {"times": paths.times, "states": paths.states}, record):
        print(path)
    return 0


# -- train and spectrum -------------------------------------------------------------------------------------------


def _add_train(verbs):
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
    with _progress(arguments.epochs * len(arguments.seed), "epochs") as bar:
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
    bar.set_postfix_str(f"loss {record['train_loss']:.4g}" + ("" if error is None else f", validation error {error:.2f} %"))
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


def _add_spectrum(verbs):
    parser = verbs.add_parser("spectrum", help="Hessian and gradient-noise spectra of a trained network")
    parser.add_argument("folder", type=Path, help="the --out of `pdelab train`")
    parser.add_argument("--out", type=Path, help="file stem for the arrays: STEM.npz and STEM.json")
    parser.add_argument("--seed", type=int, default=0, help="of the random probes of a large network")
    parser.set_defaults(run=_run_spectrum)


def _run_spectrum(arguments):
    _need_torch("spectrum")
    raise ValueError("spectrum is not available in this version")


# -- bench --------------------------------------------------------------------------------------------------------


def _add_bench(verbs):
    parser = verbs.add_parser("bench", help="ours against the peers that are installed, and against the limit")
    parser.add_argument("names", nargs="*", help="benchmarks to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller problems, fewer repeats")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_bench)


def _run_bench(arguments):
    folder = Path(__file__).resolve().parents[1] / "benchmarks"
    names = sorted(p.stem for p in folder.glob("*.py") if p.stem not in ("harness", "__init__"))
    if not names:
        raise ValueError("the benchmarks come with the source checkout: install it with pip install -e")
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        raise ValueError(f"unknown benchmark {unknown[0]!r}: choose from {', '.join(names)}")
    for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    sys.path.insert(0, str(folder.parent))
    rows = []
    for name in arguments.names or names:
        _note(f"benchmark {name}")
        for row in __import__(f"benchmarks.{name}", fromlist=["rows"]).rows(quick=arguments.quick):
            rows.append({"benchmark": name} | row.as_dict())
            if not arguments.json:
                _print_row(row)
    if arguments.json:
        print(records.dumps({"rows": rows, "versions": records.versions(), "command": records.command()}))
    return 0


def _print_row(row):
    cell = lambda value, form: "" if value is None else format(value, form)  # noqa: E731
    target = "" if row.target is None else f"(aim {row.target:g})"
    print(
        f"{row.problem:<24} {row.name:<44} {cell(row.milliseconds, '.4g'):>10} ms  error {cell(row.error, '.2e'):>9}  "
        f"ratio {cell(row.ratio, '.3g'):>7} {target:<12} {row.note}",
        flush=True,
    )


# -- shared -------------------------------------------------------------------------------------------------------


def _progress(total, unit):
    from tqdm import tqdm

    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, mininterval=0.5, dynamic_ncols=True, leave=False)


def _note(text):
    print(text, file=sys.stderr, flush=True)


def _refuse(message, status=2):
    print(f"pdelab: {message}", file=sys.stderr)
    return status


def _first_line(thing):
    return (thing.__doc__ or "").strip().splitlines()[0] if thing.__doc__ else ""


if __name__ == "__main__":
    sys.exit(main())
