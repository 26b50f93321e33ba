"""Work of `reproduce` and `verify` in as many processes as there are cores; kernels are compiled first."""

import math
import os
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context

from pdelab.cli.shared import say_compiling

__all__ = ["compile_door", "compile_first", "cores", "decide_claim", "draw_figure", "workers"]

THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores():
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def workers(jobs):
    """A function (task, items) -> results as they come, each (item, result), in `jobs` processes of one thread each.

    One job stays in this process. Tasks and items are sent by pickling: tasks are functions of modules.
    """
    if jobs == 1:
        yield lambda task, items: ((item, task(item)) for item in items)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed

    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))  # no fork: Numba's threads do not survive it

    def each(task, items):
        sent = {pool.submit(task, item): item for item in items}
        for done in as_completed(sent):
            yield sent[done], done.result()

    try:
        yield each
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def draw_figure(item):
    """(names of failed checks, how many checks there are, picture, seconds) of (name, folder, quick, redraw, runs)."""
    from pdelab import figures

    name, folder, quick, again, runs = item
    runs = runs if figures.races_in(figures.find(name)) else None
    result, picture = figures.redraw(name, folder) if again else figures.run(name, folder, quick=quick, runs=runs)
    failed = [check.name for check in result.checks if not check.holds]
    return failed, len(result.checks), picture, result.record["seconds"]


def decide_claim(item):
    """(verdict without its claim, its record) of (id, quick, whether its wrong versions are measured, too)."""
    from pdelab import claims

    id, quick, versions = item
    (row,) = claims.find([id])
    verdict = claims.decide(row, quick=quick)
    return replace(verdict, claim=None), claims.record(row, verdict=verdict) if versions else verdict.as_dict()


def compile_first(each):
    """Compile the kernels of the doors once, each in one process only, before many ask for them."""
    if say_compiling():
        for _ in each(compile_door, range(len(_DOORS))):
            pass


def compile_door(k):
    """Run a door of the package on the smallest data."""
    import pdelab as pl

    _DOORS[k](pl)


def _solve(kind, dimension=1, **options):
    def run(pl):
        f = pl.Loss("x**2/2" if dimension == 1 else "x**2/2 + y**2")
        grid = pl.Grid([-1.0] * dimension, [1.0] * dimension, [17] * dimension)
        pl.solve(getattr(pl, kind)(**options), f, grid, [0.0, 0.01], rtol=math.inf)

    return run


def _density(pl):
    grid = pl.Grid(-1.0, 1.0, 17)
    problem = pl.FokkerPlanck(potential=pl.Loss("x**2/2"), diffusivity=0.5)
    for scheme in (pl.fokker_planck.implicit, None):
        pl.solve(problem, [0.5] * 17, grid, [0.0, 0.01], scheme=scheme, rtol=math.inf)


def _closed_forms(pl):
    f, grid = pl.Loss("x**2/2"), pl.Grid(-1.0, 1.0, 17, boundary="outflow")
    pl.hopf_lax(f, grid, 0.1)
    pl.local_entropy(f, grid, 0.1, beta=2.0)
    pl.proximal(f, grid, 0.1)


def _paths(pl):
    pl.simulate(pl.Langevin(pl.Loss("x**2/2"), 2.0), 0.0, 0.02, 0.01, paths=4, seed=0)


_DOORS = (
    _closed_forms, _density, _paths, _solve("HamiltonJacobi", beta=2.0), _solve("HamiltonJacobi", 2, beta=2.0),
    _solve("HamiltonJacobi", viscosity=0.0), _solve("Heat", viscosity=0.1), _solve("Heat", 2, viscosity=0.1),
)  # fmt: skip
