"""`pdelab solve` and `simulate`: one equation or one SDE from the shell."""

import time
from inspect import signature
from pathlib import Path

from pdelab import records
from pdelab.cli.catalogue import equation
from pdelab.cli.shared import progress, say_compiling, show

__all__ = ["add_simulate", "add_solve"]


def add_solve(verbs):
    """The verb `solve`."""
    parser = verbs.add_parser("solve", help="one equation from the shell; the result is an .npz with its record")
    parser.add_argument(
        "formula",
        help="initial data, or the potential of fokker-planck and backward-kolmogorov, e.g. 'x**2/2'; a space goes "
        "before a minus that comes first: ' -x'",
    )
    parser.add_argument("--equation", default="hamilton-jacobi", help="`pdelab list equations`")
    parser.add_argument("--initial", help="initial data of an equation with a potential")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--beta", type=float, help="inverse temperature; inf means no viscosity or noise")
    size.add_argument("--viscosity", type=float, help="nu of hamilton-jacobi, heat, burgers")
    size.add_argument("--diffusivity", type=float, help="D of fokker-planck")
    parser.add_argument("--lower", type=float, nargs="+", default=[-3.0])
    parser.add_argument("--upper", type=float, nargs="+", default=[3.0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[1024])
    parser.add_argument(
        "--boundary",
        nargs="+",
        default=["reflecting"],
        help="reflecting, absorbing, outflow or periodic; one an axis, in 1-D also one an end",
    )
    parser.add_argument("--times", type=float, nargs="+", default=[1.0])
    parser.add_argument("--scheme", help="`pdelab list schemes`")
    parser.add_argument("--dt", type=float)
    parser.add_argument("--out", type=Path, default=Path("solution"), help="file stem: STEM.npz and STEM.json")
    parser.set_defaults(run=_run_solve)


def _run_solve(arguments):
    import pdelab as pl

    loss = pl.Loss(arguments.formula)
    grid = pl.Grid(*_box(arguments, loss.dimension), boundary=arguments.boundary)
    problem, initial = _problem(arguments, loss, grid)
    records.output_folder(arguments.out.parent)
    start, reached = time.perf_counter(), {}
    say_compiling()
    try:
        with progress(100, "%") as bar:
            solution = pl.solve(
                problem, initial, grid, arguments.times, scheme=arguments.scheme, dt=arguments.dt,
                on_save=lambda t, values: reached.update({t: values.copy()}),
                progress=lambda t, end: bar.update(int(100 * t / end if end else 100) - bar.n),
            )  # fmt: skip
    except KeyboardInterrupt as interruption:
        words = f"{len(reached)} of {len(arguments.times)} saved times were reached"
        if reached:
            _write(arguments, grid, list(reached), list(reached.values()), start, interrupted=words)
        raise KeyboardInterrupt(words + (" and are written" if reached else ", nothing is written")) from interruption
    _write(arguments, grid, solution.times, solution.values, start, info=solution.info)
    return 0


def _write(arguments, grid, times, values, start, **more):
    """Fields at the times, the axes and the record, whole or interrupted."""
    arrays = {f"axis_{k}": axis for k, axis in enumerate(grid.axes)} | {"times": times, "values": values}
    parameters = {k: v for k, v in vars(arguments).items() if k not in ("run", "out")}
    record = records.provenance(parameters, time.perf_counter() - start) | more
    for path in records.save(arguments.out, arrays, record):
        print(path)


def _box(arguments, dimension):
    """Corners and nodes of the grid; one node count stands for all axes, corners are one an axis."""
    for name in ("lower", "upper", "nodes"):
        given = getattr(arguments, name)
        if len(given) != dimension and not (name == "nodes" and len(given) == 1):
            wanted = " ".join([f"{given[0]:g}"] * dimension)
            raise ValueError(f"{name}: expected {dimension} numbers, one a variable of the formula: --{name} {wanted}")
    nodes = arguments.nodes * dimension if len(arguments.nodes) == 1 else arguments.nodes
    return arguments.lower, arguments.upper, nodes


def _problem(arguments, loss, grid):
    """The problem and its initial data, from the options of `solve`."""
    import pdelab as pl

    kind = equation(arguments.equation)
    coefficients = {name: getattr(arguments, name) for name in ("beta", "viscosity", "diffusivity")}
    coefficients = {name: value for name, value in coefficients.items() if value is not None}
    takes = signature(kind).parameters
    for name in coefficients:
        if name not in takes:
            others = " or ".join(f"--{other}" for other in ("beta", "viscosity", "diffusivity") if other in takes)
            raise ValueError(f"{arguments.equation} takes {others}, not --{name}")
    initial = None if arguments.initial is None else pl.Loss(arguments.initial, variables=loss.variables).on(grid)
    return kind.from_formula(loss, initial, **coefficients)


def add_simulate(verbs):
    """The verb `simulate`."""
    parser = verbs.add_parser("simulate", help="Langevin paths from the shell; the result is an .npz with its record")
    parser.add_argument("formula", help="the loss, e.g. '(x**2 - 1)**2/4'")
    parser.add_argument("--beta", type=float, required=True, help="inverse temperature: invariant law exp(-beta f)")
    parser.add_argument("--friction", type=float, help="underdamped Langevin with this friction")
    parser.add_argument("--initial", type=float, nargs="+", default=[0.0], help="where all paths start (default: 0)")
    parser.add_argument("--time", type=float, required=True, help="where they end")
    parser.add_argument("--dt", type=float, required=True, help="the largest step")
    parser.add_argument("--scheme", help="`pdelab list schemes`, those of paths")
    parser.add_argument("--paths", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, required=True, help="the same seed, the same paths")
    parser.add_argument("--save-every", type=int, help="steps between saved times (default: only t = 0 and the end)")
    parser.add_argument("--exit", type=float, nargs=2, metavar=("LOWER", "UPPER"),
                        help="save when each path first leaves this interval of its first coordinate")  # fmt: skip
    parser.add_argument("--bridge", action="store_true", help="draw the exits between two steps too")
    parser.add_argument("--threads", type=int, help="default: all; the paths do not depend on it")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("paths"),
        help="file stem: STEM.npz and STEM.json; what Ctrl-C interrupted goes on from STEM.checkpoint.npz",
    )
    parser.set_defaults(run=_run_simulate)


def _run_simulate(arguments):
    import pdelab as pl

    loss = pl.Loss(arguments.formula)
    langevin = arguments.friction is None
    sde = pl.Langevin(loss, arguments.beta) if langevin else pl.Underdamped(loss, arguments.beta, arguments.friction)
    initial = arguments.initial[0] if len(arguments.initial) == 1 else arguments.initial
    records.output_folder(arguments.out.parent)
    checkpoint = arguments.out.with_name(arguments.out.name + ".checkpoint.npz")
    start = time.perf_counter()
    say_compiling()
    with progress(None, "steps") as bar:
        paths = pl.simulate(
            sde, initial, arguments.time, arguments.dt, paths=arguments.paths, seed=arguments.seed,
            scheme=arguments.scheme, save_every=arguments.save_every, threads=arguments.threads, exit=arguments.exit,
            bridge=arguments.bridge, checkpoint=checkpoint,
            progress=lambda done, total: show(bar, done, total),
        )  # fmt: skip
    parameters = {k: v for k, v in vars(arguments).items() if k not in ("run", "out")}
    record = records.provenance(parameters, time.perf_counter() - start, seed=arguments.seed)
    arrays = {"times": paths.times, "states": paths.states}
    if arguments.exit:
        arrays["exit_times"] = paths.exit_times
    for path in records.save(arguments.out, arrays, record | {"info": paths.info}):
        print(path)
    checkpoint.unlink(missing_ok=True)
    return 0
