"""`pdelab solve` and `simulate`: one equation or one SDE from the shell."""

import time
from pathlib import Path

from pdelab import records
from pdelab.cli.catalogue import scheme_table
from pdelab.cli.shared import progress

EQUATIONS = ("hamilton-jacobi", "heat", "burgers", "fokker-planck")


def add_solve(verbs):
    """The verb `solve`."""
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
        raise ValueError(
            f"unknown scheme {arguments.scheme!r} for {arguments.equation}: choose from {', '.join(schemes)}"
        )
    records.output_folder(arguments.out.parent)
    start = time.perf_counter()
    with progress(len(arguments.times), "times") as bar:
        solution = pl.solve(
            problem, initial, grid, arguments.times, scheme=schemes.get(arguments.scheme), dt=arguments.dt,
            on_save=lambda t, values: bar.update(),
        )  # fmt: skip
    arrays = {f"axis_{k}": axis for k, axis in enumerate(grid.axes)} | {
        "times": solution.times,
        "values": solution.values,
    }
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


def add_simulate(verbs):
    """The verb `simulate`."""
    parser = verbs.add_parser("simulate", help="Langevin paths from the shell; the result is an .npz with its record")
    parser.add_argument("formula", help="the loss, e.g. '(x**2 - 1)**2/4'")
    parser.add_argument("--beta", type=float, required=True, help="inverse temperature: invariant law exp(-beta f)")
    parser.add_argument("--friction", type=float, help="underdamped Langevin with this friction")
    parser.add_argument("--initial", type=float, nargs="+", default=[0.0])
    parser.add_argument("--time", type=float, required=True)
    parser.add_argument("--dt", type=float, required=True)
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--save-every", type=int, help="steps between saved times (default: only t = 0 and the end)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, default=Path("paths"), help="file stem: STEM.npz and STEM.json")
    parser.set_defaults(run=_run_simulate)


def _run_simulate(arguments):
    import pdelab as pl

    loss = pl.Loss(arguments.formula)
    langevin = arguments.friction is None
    sde = pl.Langevin(loss, arguments.beta) if langevin else pl.Underdamped(loss, arguments.beta, arguments.friction)
    initial = arguments.initial[0] if len(arguments.initial) == 1 else arguments.initial
    records.output_folder(arguments.out.parent)
    start = time.perf_counter()
    with progress(None, "times") as bar:
        paths = pl.simulate(
            sde, initial, arguments.time, arguments.dt, paths=arguments.paths, seed=arguments.seed,
            save_every=arguments.save_every, threads=arguments.threads,
            on_save=lambda t, states: bar.update(),
        )  # fmt: skip
    parameters = {k: v for k, v in vars(arguments).items() if k not in ("run", "out")}
    record = records.provenance(parameters, time.perf_counter() - start, seed=arguments.seed)
    for path in records.save(arguments.out, {"times": paths.times, "states": paths.states}, record):
        print(path)
    return 0
