"""Ensembles in parts: processes or a cluster by joblib's backends, and the same bits as in one piece.

Paths are addressed, so a part needs only its first path and how many there are; parts begin at whole blocks, and the
statistics are put together from the moments of those blocks in their order.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdelab import checks
from pdelab.hints import Times
from pdelab.kernels.noise import BLOCK
from pdelab.paths import engine
from pdelab.paths.results import Paths, reduced
from pdelab.paths.systems import System

__all__ = ["ensemble"]


def ensemble(
    sde: System,
    initial: ArrayLike,
    t: Times,
    dt: float,
    *,
    paths: int | None = None,
    seed: int,
    parts: int | None = None,
    workers: int | None = None,
    threads: int = 1,
    **options: Any,
) -> Paths:
    """`simulate` in parts by joblib: the same paths and statistics, to the bit.

    Parameters
    ----------
    sde, initial, t, dt, paths, seed
        As in `simulate`; so are all further options but `on_save`, `checkpoint`, `progress` and `first_path`.
    parts : int >= 1, optional
        How many parts; by default four for each worker. A part holds whole blocks of paths, so there may be fewer.
    workers : int >= 1, optional
        Processes; by default those of the backend in force: `joblib.parallel_config("dask")` sends the parts to a Dask
        cluster, which runs those of a lost worker again. Needs joblib (`pip install joblib`).
    threads : int >= 1
        Of each part.
    **options
        Further ones of `simulate`.

    Returns
    -------
    Paths
        `info["parts"]` says how many.

    Raises
    ------
    ValueError
        What `simulate` refuses, and options that a run in parts does not have.

    Examples
    --------
    >>> import pdelab as pl
    >>> sde = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), beta=4.0)
    >>> run = pl.paths.ensemble(sde, 1.0, t=0.1, dt=0.01, paths=2000, seed=7, parts=2, workers=1)
    >>> bool(run.mean[-1] == pl.simulate(sde, 1.0, t=0.1, dt=0.01, paths=2000, seed=7).mean[-1])
    True
    """
    from joblib import Parallel, delayed, effective_n_jobs

    for name in {"on_save", "checkpoint", "progress", "first_path"} & set(options):
        raise ValueError(f"{name}: expected nothing in an ensemble in parts, got {options[name]!r}")
    common = DEFAULTS | options | {"seed": seed, "threads": threads}
    whole = engine.prepared(sde, initial, t, dt, paths=paths, **common)
    workers = None if workers is None else checks.whole("workers", workers)
    ends = _ends(whole, 4 * effective_n_jobs(workers) if parts is None else checks.whole("parts", parts))
    states = whole.x.T if len(whole.x) > 1 else whole.x[0]
    each = ({"initial": states[a:b], "paths": b - a, "first_path": a} for a, b in pairwise(ends))
    tasks = (delayed(_part)(sde, common | {"t": t, "dt": dt} | own) for own in each)
    return _together(whole, Parallel(n_jobs=workers)(tasks))


DEFAULTS = {
    "scheme": None, "save_every": None, "refine": 1, "store": True, "histogram": None, "exit": None, "walls": None,
    "bridge": None, "dtype": np.float64, "on_save": None, "start": 0.0, "first_path": 0, "progress": False,
    "checkpoint": None,
}  # fmt: skip


def _ends(run, parts):
    """Where the parts begin and end: at whole blocks, for Python functions at what they see at once."""
    unit, paths = BLOCK if run.is_compiled else engine.NUMPY_PATHS, run.x.shape[1]
    units = -(-paths // unit)
    parts = min(parts, units)
    return [min(units * k // parts * unit, paths) for k in range(parts + 1)]


def _part(sde, options):
    """One part, as arrays that travel.

    Its arrays come in a dict: a bare array is put on one worker by joblib's Dask backend and is lost with that worker.
    """
    run = engine.prepared(sde, **options)
    run.keeps_blocks = True
    run.result()
    blocks = [run.blocks[row] for row in sorted(run.blocks)]
    return {
        "x": run.x, "saved": run.saved, "counts": run.counts, "exits": run.exits, "gone": run.gone, "blocks": blocks,
    }  # fmt: skip


def _together(run, parts):
    """The parts' arrays in the places of a run that has not begun."""
    for name in ("x", "saved", "exits", "gone"):
        getattr(run, name)[...] = np.concatenate([part[name] for part in parts], axis=-1)
    run.counts[...] = sum(part["counts"] for part in parts)
    for row in range(len(run.moments)):
        blocks = np.concatenate([part["blocks"][row] for part in parts])
        run.moments[row] = reduced(blocks[None], run.x.shape[1])[0]
    result = run.summary()
    result.info["parts"] = len(parts)
    return result
