"""simulate(): ensembles of paths, block by block, with what is asked of them and nothing stored that is not."""

import math
import time as clock
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pdelab import checks
from pdelab.kernels import paths as kernels
from pdelab.kernels.noise import BLOCK
from pdelab.paths import door, tracing
from pdelab.paths.schemes import leimkuhler_matthews, weak_euler
from pdelab.paths.systems import System

SECONDS_PER_CHUNK = 0.1  # steps run in pieces of about this length, so that Ctrl-C is heard
STEPS_AT_FIRST = 2**22  # path-steps of the first piece of a compiled run: about 10 ms
NUMBERS_PER_CHUNK = 2**21  # of statistics that are not yet reduced: bounds their memory
NUMPY_PATHS = 32 * BLOCK  # paths that one call of a Python function sees: the same for any number of threads


@dataclass(frozen=True)
class Paths:
    """What `simulate` returns; nothing in it changes.

    times : (k,) the saved times, from 0 to t
    states : (k, paths), for more than one component (k, paths, components); None with store=False
    final : (paths,) or (paths, components), the states at t
    density : (k, *grid.shape), the histogram as a density at the nodes of the grid; None without `histogram`
    exit_times : (paths,) time of the first state outside `exit`, inf for paths that stayed; None without it
    info : scheme, dt, steps, compiled (False: the equation ran through NumPy), threads
    """

    times: np.ndarray
    states: np.ndarray | None
    final: np.ndarray
    density: np.ndarray | None
    exit_times: np.ndarray | None
    info: dict
    moments: Callable = field(repr=False)

    @cached_property
    def _mean_and_variance(self):
        mean, variance = self.moments()
        return (mean[:, 0], variance[:, 0]) if mean.shape[1] == 1 else (mean, variance)

    @property
    def mean(self):
        """Means over the paths at the saved times, (k,) or (k, components): the same bits for any number of threads."""
        return self._mean_and_variance[0]

    @property
    def variance(self):
        """Variances over the paths, with the divisor paths - 1 (NaN for a single path)."""
        return self._mean_and_variance[1]

    @property
    def standard_error(self):
        """Standard errors of the means."""
        return np.sqrt(self.variance / len(self.final))


def simulate(
    sde, initial, t, dt, *, scheme=None, paths=None, seed, save_every=None, threads=None, refine=1, store=True,
    histogram=None, exit=None, bridge=False, dtype=np.float64, on_save=None,
):  # fmt: skip
    """Simulate an ensemble of paths of a stochastic equation.

    Parameters
    ----------
    sde : Langevin, Underdamped, Diffusion, FastSlow, ...
        The equation. Made of formulas and numbers it is compiled (once; kept on disk); with Python functions in it
        it runs through NumPy, on the same noise.
    initial : float, (d,), (paths,) or (paths, d)
        The states at time 0: one for all paths, or one each.
    t : float > 0
        Final time.
    dt : float > 0
        The largest step: t is cut into ceil(t / dt) equal steps.
    scheme : function, optional
        One of `pdelab.paths`, e.g. `milstein`; by default the equation's own choice.
    paths : int >= 1, optional
        By default as many as initial states are given.
    seed : int in [0, 2**64)
        With path, step and channel the address of every normal number: path i is the same path whatever the number
        of paths and threads.
    save_every : int >= 1, optional
        Steps between saved times; t itself is always saved. None keeps the times 0 and t.
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
    bridge : bool
        True: exits between two looks are drawn as well, with the probability that the Brownian bridge between both
        states has of touching the box (its coordinates taken as independent), and are noted at half a step: the error
        is O(dt) then. For noise that is constant. Gobet, Stochastic Process. Appl. 87 (2000).
    dtype : float64 or float32
        Precision of states and noise; float32 uses other normal numbers.
    on_save : callable (time, states), optional
        Called at each saved time; what it was handed survives Ctrl-C.

    Returns
    -------
    Paths

    Raises
    ------
    ValueError
        dt <= 0, paths < 1, a seed that is not an integer, a drift of the wrong shape or NaN, and the like.
    FloatingPointError
        A path exploded; the message says which one and when.

    Examples
    --------
    >>> import pdelab as pl
    >>> sde = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), beta=4.0)
    >>> run = pl.simulate(sde, 1.0, t=2.0, dt=0.01, paths=600, seed=7, save_every=100)
    >>> run.times, run.states.shape
    (array([0., 1., 2.]), (3, 600))
    """
    if not isinstance(sde, System):
        raise ValueError(f"sde: expected an equation such as Langevin(loss, beta), got {type(sde).__name__}")
    if scheme is not None:
        door.takes(scheme, "scheme", "(sde, x, t, dt, noise), such as pdelab.paths.milstein")
    if on_save is not None:
        door.takes(on_save, "on_save", "(time, states)")
    dtype, steps = door.precision(dtype), door.steps(t, dt)
    every = steps if save_every is None else checks.whole("save_every", save_every)
    run = _Run(
        sde, sde.default_scheme if scheme is None else scheme, door.states(sde, initial, paths, dtype),
        float(t) / steps, steps, checks.seed("seed", seed), every,
        checks.whole("refine", refine), door.threads(threads), store, histogram, exit, bridge, on_save,
    )  # fmt: skip
    return run.result()


class _Run:
    """One simulation: the ensemble x (components, paths) and what is recorded on the way."""

    def __init__(
        self, sde, scheme, x, dt, steps, seed, every, refine, threads, store, histogram, exit, bridge, on_save,
    ):  # fmt: skip
        self.sde, self.scheme, self.x, self.dt, self.steps, self.seed = sde, scheme, x, dt, steps, seed
        self.before = np.empty_like(x)  # the states before the piece of the run that is under way
        self.every, self.refine, self.threads, self.on_save = min(every, steps), refine, threads, on_save
        self.grid, self.geometry, self.box = histogram, door.cells(histogram, len(x)), door.box(exit, len(x))
        if bridge:
            self.box = np.vstack([self.box, self._variances_of_a_step()])
        saved_steps = np.append(np.arange(0, steps, self.every), steps)
        self.times, rows = saved_steps * dt, len(saved_steps)
        self.saved = np.empty((rows if store else 0, *x.shape), x.dtype)
        self.moments = np.empty((0 if store else rows, 2, len(x)))
        self.counts = np.zeros((rows, math.prod(histogram.shape)) if histogram else (0, 0), np.int64)
        self.exits = np.full(x.shape[1] if exit is not None else 0, math.inf)
        if check := getattr(getattr(scheme, "func", scheme), "check", None):
            check(sde, x[:, :NUMPY_PATHS].astype(float))
        self.advance = self._compiled() or self._interpreted()
        self.tasks = self._tasks()
        self.rows_per_chunk = max(NUMBERS_PER_CHUNK // self._numbers_a_row(), 1)

    def _numbers_a_row(self):
        blocks, cells = -(-self.x.shape[1] // BLOCK), self.counts.shape[1] * len(self.tasks)
        return max(len(self.moments) and blocks * 2 * len(self.x), self.counts.size and cells, 1)

    def result(self):
        """Run to the end; returns Paths."""
        for axis, (low, high) in enumerate(self.box[:2].T):
            self.exits[~((self.x[axis] > low) & (self.x[axis] < high))] = 0.0
        self._record_now(0)
        with ThreadPoolExecutor(self.threads) as pool:
            self.map = map if self.threads == 1 else pool.map
            self._loop()
        for array in (self.times, self.saved, self.x, self.moments, self.exits):
            array.flags.writeable = False
        one = len(self.x) == 1
        view = (lambda a: a[..., 0, :]) if one else (lambda a: np.swapaxes(a, -1, -2))
        density = None
        if self.grid is not None:
            cells = self.x.shape[1] * self.grid.weights
            density = self.counts.reshape(-1, *self.grid.shape) / cells
        exit_times = self.exits * self.dt if self.box.size else None
        info = {"scheme": _name(self.scheme), "dt": self.dt, "steps": self.steps}
        info |= {"compiled": self.is_compiled, "threads": self.threads}
        states = view(self.saved) if len(self.saved) else None
        return Paths(self.times, states, view(self.x), density, exit_times, info, self._all_moments)

    # ------------------------------------------------------------------------------------------ the time loop

    def _loop(self):
        step, chunk = 0, max(STEPS_AT_FIRST // self.x.size, 4) if self.is_compiled else 4
        while step < self.steps:
            count = min(chunk, self.steps - step)
            if self.on_save is not None:
                count = min(count, self.every - step % self.every)
            count = min(count, self.rows_per_chunk * self.every)
            tic = clock.perf_counter()
            self._chunk(step, count)
            seconds = clock.perf_counter() - tic
            step += count
            if seconds < SECONDS_PER_CHUNK / 4 and count == chunk:
                chunk *= 4
            elif seconds > 2 * SECONDS_PER_CHUNK:
                chunk = max(chunk // 4, 1)
            if self.on_save is not None and (step % self.every == 0 or step == self.steps):
                self._hand_out(step)

    def _chunk(self, step, count):
        self.before[...] = self.x
        first_row, last_row = step // self.every + 1, (step + count) // self.every
        rows = max(last_row - first_row + 1, 0)
        saved = self.saved[first_row : last_row + 1] if len(self.saved) else self.saved
        moments = np.empty((rows if len(self.moments) else 0, -(-self.x.shape[1] // BLOCK), 2, len(self.x)))
        counts = np.zeros((len(self.tasks), rows if self.counts.size else 0, self.counts.shape[1]), np.int64)
        bound = self.advance(step, count, first_row)
        list(self.map(lambda task, own: bound(*task, saved, moments, own, self.exits), self.tasks, counts))
        if not np.isfinite(self.x).all():
            self._explain(step, count)
        if len(moments):
            self.moments[first_row : last_row + 1] = _reduce(moments, self.x.shape[1])
        if self.counts.size:
            self.counts[first_row : last_row + 1] = counts.sum(0)
        if step + count == self.steps and self.steps % self.every:
            self._record_now(len(self.times) - 1)

    def _tasks(self):
        """The ensemble in runs of whole blocks, about four for each thread, so that a slow core holds nobody up.

        Python functions see NUMPY_PATHS of them, whatever the threads: what they sum may depend on how many there are.
        """
        unit = BLOCK if self.is_compiled else NUMPY_PATHS
        paths = self.x.shape[1]
        units = -(-paths // unit)
        pieces = min(units, 4 * self.threads if self.threads > 1 else 1) if self.is_compiled else units
        ends = [min(units * k // pieces * unit, paths) for k in range(pieces + 1)]
        return list(zip(ends, ends[1:]))

    def _record_now(self, row):
        """Record the ensemble as it is, outside the time loop."""
        moments = np.empty((1 if len(self.moments) else 0, -(-self.x.shape[1] // BLOCK), 2, len(self.x)))
        saved, counts = self.saved[row : row + 1], self.counts[row : row + 1]
        kernels.record_all(self.x, 0, self.x.shape[1], 0, saved, moments, counts, self.geometry)
        if len(moments):
            self.moments[row] = _reduce(moments, self.x.shape[1])[0]
        if row == 0 and self.on_save is not None:
            self._hand_out(0)

    def _hand_out(self, step):
        states = self.x.copy()
        self.on_save(step * self.dt, states[0] if len(states) == 1 else states.T)

    def _all_moments(self):
        """Means and variances (rows, components), reduced over blocks in their order."""
        moments = self.moments
        if len(self.saved):
            moments = np.empty((len(self.times), 2, len(self.x)))
            block = np.empty((1, -(-self.x.shape[1] // BLOCK), 2, len(self.x)))
            nothing = np.empty((0, 0, 0), self.x.dtype), np.empty((0, 0), np.int64)
            for row, x in enumerate(self.saved):
                kernels.record_all(x, 0, x.shape[1], 0, nothing[0], block, nothing[1], self.geometry)
                moments[row] = _reduce(block, x.shape[1])[0]
        paths = self.x.shape[1]
        return moments[:, 0], moments[:, 1] / (paths - 1) if paths > 1 else np.full_like(moments[:, 1], np.nan)

    def _explain(self, step, count):
        """A path is not finite any more: run the piece again, step by step, and say which path and when."""
        self.x[...] = self.before
        nothing = [self.x[:0, None], np.empty((0,) * 4), np.empty((0, 0), np.int64), np.empty(0)]
        for s in range(step, step + count):
            previous = self.x.copy()
            bound = self.advance(s, 1, s // self.every + 1, quiet=True)
            for begin, end in self.tasks:
                bound(begin, end, *nothing)
            bad = ~np.isfinite(self.x).all(axis=0)
            if bad.any():
                path = int(np.argmax(bad))
                state = previous[:, path : path + 1].astype(float)
                if s == 0:
                    self._check_functions(state, first=path)
                with np.errstate(all="ignore"):
                    drift = np.asarray(self.sde.drift(state, s * self.dt))[:, 0]
                raise FloatingPointError(
                    f"path {path} exploded at t = {(s + 1) * self.dt:.6g} (step {s + 1} of {self.steps}, "
                    f"{int(bad.sum())} of {len(bad)} paths in this step); before it the state was {state[:, 0]}, "
                    f"the drift {drift}: take a smaller dt, or check the drift"
                )
        raise AssertionError("a piece of a run gave different numbers the second time")

    def _variances_of_a_step(self):
        """Of the coordinates in the box; ValueError where the bridge between two states is not Brownian."""
        axes, wieners, t = self.box.shape[1], self.sde.wieners, self.dt * self.steps
        if axes == 0:
            raise ValueError("bridge: expected a box, exit=(lower, upper)")
        if getattr(self.scheme, "func", self.scheme) in (leimkuhler_matthews, weak_euler):
            raise ValueError(f"bridge: the steps of {_name(self.scheme)} are not Brownian: use euler_maruyama or heun")
        kicks = np.sqrt(self.dt) * np.eye(wieners)[:, :, None]
        x = self.x[:, :1].astype(float)
        sizes = [[self.sde.noise_term(x, s, kick)[:axes, 0] for kick in kicks] for s in (0.0, 0.4 * t, t)]
        variances = np.square(sizes).sum(axis=1)
        if self.sde.kind != "additive" or not (variances == variances[0]).all() or not variances[0].any():
            raise ValueError("bridge: expected constant noise in the coordinates of the box: use a smaller dt instead")
        return variances[0]

    # -------------------------------------------------------------------------------------- compiled, or NumPy

    def _compiled(self):
        """A function (step, count, first_row) -> (begin, end, arrays...) that runs the compiled kernel, or None."""
        try:
            kernel, numbers, scheduled = self.sde.compiled(self.scheme, self.dt, self.refine, self.x.dtype)
        except tracing.NotTraceable:
            self.is_compiled = False
            return None
        self.is_compiled, seed = True, np.uint64(self.seed)

        def advance(step, count, first_row, quiet=False):
            schedules = scheduled((step + np.arange(count)) * self.dt)
            every = step + count + 1 if quiet else self.every

            def bound(begin, end, saved, moments, counts, exits):
                kernel(self.x, begin, end, step, count, every, self.refine, seed, numbers, schedules, saved,
                       first_row, moments, counts, self.geometry, exits, self.box)  # fmt: skip

            return bound

        return advance

    def _interpreted(self):
        """The same through NumPy: whole arrays of paths, one Python call a step."""
        self._check_functions(self.x[:, :NUMPY_PATHS].astype(float))

        wieners = self.sde.wieners

        def advance(step, count, first_row, quiet=False):
            def bound(begin, end, saved, moments, counts, exits):
                with np.errstate(all="ignore"):
                    for s in range(step, step + count):
                        x = self.x[:, begin:end].astype(float)  # as it was kept, in its own precision
                        noise = _Noise(wieners, end - begin, self.dt, self.seed, s, self.refine, begin, self.x.dtype)
                        before = x.astype(self.x.dtype)
                        self.x[:, begin:end] = self._moved(x, s, noise)
                        if exits.size:
                            kernels.leave_all(before, self.x, begin, end, np.uint64(self.seed), s + 1, exits, self.box)
                        if (s + 1) % self.every == 0 and not quiet:
                            row = (s + 1) // self.every - first_row
                            kernels.record_all(self.x, begin, end, row, saved, moments, counts, self.geometry)

            return bound

        return advance

    def _moved(self, x, step, noise):
        """One step by NumPy; ValueError if the scheme does not return states of the shape it was given."""
        moved = np.asarray(self.scheme(self.sde, x, step * self.dt, self.dt, noise), float)
        if moved.shape != x.shape:
            raise ValueError(f"scheme: expected states of shape {x.shape} back, got {moved.shape}")
        return moved

    def _check_functions(self, x, first=0):
        """ValueError if drift or noise is not finite at these initial states (their shapes they check themselves)."""
        noise = _Noise(self.sde.wieners, x.shape[1], self.dt, self.seed, 0, self.refine, first, self.x.dtype)
        with np.errstate(all="ignore"):
            parts = {"drift": self.sde.drift(x, 0.0), "noise": self.sde.noise_term(x, 0.0, noise.dw)}
        for name, values in parts.items():
            bad = ~np.isfinite(np.broadcast_to(values, x.shape)).all(axis=0)
            if bad.any():
                path = int(np.argmax(bad))
                raise ValueError(f"{name}: not finite at t = 0, initial state {x[:, path]} of path {first + path}")


class _Noise:
    """The noise of one step as arrays, computed when a scheme asks for it."""

    def __init__(self, wieners, paths, dt, seed, step, refine, first, dtype):
        self.dt, self._parts = dt, (wieners, paths, seed, step, refine, first, dtype)

    def _normals(self, ahead=0, pairs=False):
        wieners, paths, seed, step, refine, first, dtype = self._parts
        out = np.empty((2 * wieners if pairs else wieners, paths), dtype)
        kernels.normals_of_step(out, np.uint64(seed), step + ahead, refine, pairs, first)
        return out.astype(float)

    @cached_property
    def normals(self):
        return self._normals()

    @property
    def dw(self):
        return np.sqrt(self.dt) * self.normals

    @cached_property
    def next_dw(self):
        return np.sqrt(self.dt) * self._normals(ahead=1)

    @property
    def signs(self):
        wieners, paths, seed, step, refine, first, _ = self._parts
        if refine > 1:
            raise ValueError(tracing.NO_FINER_SIGNS)
        out = np.empty((wieners, paths))
        kernels.signs_of_step(out, np.uint64(seed), step, first)
        return out

    def words(self, draws):
        """Random 64-bit words (draws, paths) of this step."""
        _, paths, seed, step, _, first, _ = self._parts
        out = np.empty((draws, paths), np.uint64)
        kernels.words_of_step(out, np.uint64(seed), step, first)
        return out

    @cached_property
    def dz(self):
        z = self._normals(pairs=True)
        half = len(z) // 2
        return self.dt**1.5 * (0.5 * z[:half] + z[half:] / np.sqrt(12.0))


def _reduce(blocks, paths):
    """Sums of squares about block means -> about the common mean: (rows, blocks, 2, d) -> (rows, 2, d)."""
    sizes = np.full(blocks.shape[1], BLOCK, float)
    sizes[-1] = paths - BLOCK * (blocks.shape[1] - 1)
    means, squares = blocks[:, :, 0], blocks[:, :, 1]
    mean = means[:, 0] + np.einsum("b,rbd->rd", sizes, means - means[:, :1]) / paths
    total = squares.sum(axis=1) + np.einsum("b,rbd->rd", sizes, (means - mean[:, None]) ** 2)
    return np.stack([mean, total], axis=1)


def _name(scheme):
    function = getattr(scheme, "func", scheme)
    return f"{function.__module__.removeprefix('pdelab.').replace('.schemes', '')}.{function.__name__}"
