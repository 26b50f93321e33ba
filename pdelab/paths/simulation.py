"""simulate(): ensembles of paths of a stochastic equation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pdelab.grid import Grid
from pdelab.hints import Box, OnSave, Progress, Times
from pdelab.paths.engine import prepared
from pdelab.paths.results import Paths
from pdelab.paths.systems import System

__all__ = ["simulate"]


def simulate(
    sde: System,
    initial: ArrayLike,
    t: Times,
    dt: float,
    *,
    scheme: Callable[..., np.ndarray] | str | None = None,
    paths: int | None = None,
    seed: int,
    save_every: int | None = None,
    threads: int | None = None,
    refine: int = 1,
    store: bool = True,
    histogram: Grid | None = None,
    exit: Box | None = None,
    walls: Grid | Sequence | None = None,
    bridge: bool | None = None,
    dtype: DTypeLike = np.float64,
    on_save: OnSave | None = None,
    start: float = 0.0,
    first_path: int = 0,
    progress: Progress = False,
    checkpoint: str | PathLike | None = None,
) -> Paths:
    """Simulate an ensemble of paths of a stochastic equation.

    Parameters
    ----------
    sde : Langevin, Underdamped, Diffusion, FastSlow, ...
        The equation. Made of formulas and numbers it is compiled (once; kept on disk); with Python functions in it
        it runs through NumPy, on the same noise.
    initial : float, (d,), (paths,) or (paths, d)
        The states at the start: real numbers, one for all paths, or one each.
    t : float > start, or increasing sequence
        Final time; or the times to be saved, of which the first may be the start.
    dt : float > 0
        The largest step: each stretch between the start and t, or between the times of a sequence, is cut into
        ceil(length / dt) equal steps.
    scheme : function or str, optional
        One of `pdelab.paths`, e.g. `milstein` or "milstein"; by default the equation's own choice.
    paths : int >= 1, optional
        By default as many as initial states are given.
    seed : int in [0, 2**64)
        With path, step and channel the address of every normal number: path i is the same path whatever the number
        of paths and threads.
    save_every : int >= 1, optional
        Steps between saved times; t itself is always saved. None keeps the start and t. Not with a sequence of times.
    threads : int >= 1, optional
        By default the processors this process may use. Results do not depend on it, to the bit.
    refine : int >= 1
        Each increment is the sum of `refine` finer ones: (dt, refine=2 k) and (dt/2, refine=k) follow the same
        Brownian paths, which is how strong errors are measured.
    store : bool
        False keeps no states but the final ones; mean, variance, density and exit times need none.
    histogram : Grid, optional
        Count the first coordinates at the saved times in the cells of the nodes of this grid (outside: not counted).
    exit : (lower, upper), optional
        Box of the first coordinates whose first exit is recorded, looked at after each step: exits between two looks
        are missed, as if the box were wider by 0.5826 sigma sqrt(dt), and mean exit times have an error O(sqrt(dt)).
    walls : Grid, (lower, upper) or (lower, upper, boundary), optional
        Box of the first coordinates with what its ends do, by the names of `Grid`: "reflecting" (the default),
        "absorbing", "periodic", one name, one an axis, or pairs (lower end, upper end). A reflecting end mirrors each
        step (the symmetrised Euler scheme; weak order 1, exact for Brownian motion) along the co-normal D n, as the
        no-flux condition of Fokker-Planck wants; noise whose co-normal changes along the wall is refused. An
        absorbing end stops a path at its place of exit. Bossy, Gobet & Talay, J. Appl. Probab. 41 (2004).
    bridge : bool, optional
        True: exits between two looks are drawn as well, with the probability that the Brownian bridge between both
        states has of touching the box (its coordinates taken as independent), and are noted at half a step: the error
        is O(dt) then. For noise that is constant in the box. By default True at absorbing walls where it can be, with a
        warning where it cannot, and False for `exit`. Gobet, Stochastic Process. Appl. 87 (2000).
    dtype : float64 or float32
        Precision of states and noise; float32 uses other normal numbers.
    on_save : callable (time, states), optional
        Called at each saved time; what it was handed survives Ctrl-C.
    start : float
        Time of the initial states.
    first_path : int >= 0
        Number of the first path: an ensemble may be run in parts, with the same paths to the bit.
    progress : bool or callable (steps done, steps in all)
        True shows a bar on stderr.
    checkpoint : path, optional
        A file .npz that takes the saved times as they come, every few seconds and on Ctrl-C. The same call goes on from
        it, with the same bits as a run in one piece; a file of another run is refused.

    Returns
    -------
    Paths

    Raises
    ------
    ValueError
        dt <= 0, paths < 1, a seed that is not an integer, a drift of the wrong shape or NaN, and the like.
    FloatingPointError
        A path exploded; the message says which one and when.

    Warns
    -----
    AccuracyWarning
        Explicit steps that overshoot as far as the last or further at a tenth of the end states or more.

    Good values
    -----------
    dt : halve it until what you look at no longer changes; `refine` keeps the Brownian paths while you do. A drift of
        rate h is stable below dt = 2/h in the explicit schemes. Below that no error of the steps is told: in those of
        weak order 1 variances are off by about h dt/2 of themselves, 10 % from h dt = 0.2 on.
    paths : a mean is known to its standard deviation over the square root of their number: 100 for a picture, 10,000
        for two digits. Memory is states times saved times; store=False keeps statistics alone.
    scheme : the default; `milstein` for single paths under noise that depends on the state, `leimkuhler_matthews` or
        `baoab` for averages at equilibrium, `weak_euler` for expectations in half the time.

    Examples
    --------
    >>> import pdelab as pl
    >>> sde = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), beta=4.0)
    >>> run = pl.simulate(sde, 1.0, t=2.0, dt=0.01, paths=600, seed=7, save_every=100)
    >>> run.times, run.states.shape
    (array([0., 1., 2.]), (3, 600))
    """
    return prepared(
        sde, initial, t, dt, scheme=scheme, paths=paths, seed=seed, save_every=save_every, threads=threads,
        refine=refine, store=store, histogram=histogram, exit=exit, walls=walls, bridge=bridge, dtype=dtype,
        on_save=on_save, start=start, first_path=first_path, progress=progress, checkpoint=checkpoint,
    ).result()  # fmt: skip
