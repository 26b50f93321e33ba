"""One run of an ensemble: block by block, with what is asked of it and nothing stored that is not."""

import math
import time as clock
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np

from pdelab import checks
from pdelab.kernels import paths as kernels
from pdelab.kernels.noise import BLOCK
from pdelab.kernels.walls import confine_all
from pdelab.paths import arguments, checkpoints, tracing, walls
from pdelab.paths.increments import Noise
from pdelab.paths.results import Paths, name_of, reduced
from pdelab.paths.schemes import (
    baoab,
    derivative_free_milstein,
    euler_maruyama,
    heun,
    leimkuhler_matthews,
    milstein,
    sra1,
    weak_euler,
)
from pdelab.paths.systems import System
from pdelab.stepping import AccuracyWarning

__all__ = ["NUMPY_PATHS", "prepared"]

EXPLICIT = (euler_maruyama, weak_euler, milstein, derivative_free_milstein, heun, sra1, leimkuhler_matthews)
LONG = 0.4  # of the width of a box, from which on steps pass by its ends
MOST, SOME = 0.5, 0.1  # of the end states, shares that are told
GROWTH = 1.0 - 1e-9  # of overshooting steps, from which the noise is not forgotten; a bit less for rounding
SECONDS_PER_CHUNK = 0.1  # steps run in pieces of about this length, so that Ctrl-C is heard
STEPS_AT_FIRST = 2**22  # path-steps of the first piece of a compiled run: about 10 ms
NUMBERS_PER_CHUNK = 2**21  # of statistics that are not yet reduced: bounds their memory
NUMPY_PATHS = 32 * BLOCK  # paths that one call of a Python function sees: the same for any number of threads


def prepared(
    sde,
    initial,
    t,
    dt,
    *,
    scheme,
    paths,
    seed,
    save_every,
    threads,
    refine,
    store,
    histogram,
    exit,
    walls,
    bridge,
    dtype,
    on_save,
    start,
    first_path,
    progress,
    checkpoint,
):
    """The run that `simulate` starts, with everything checked."""
    if not isinstance(sde, System):
        checks.refuse("sde", "an equation such as Langevin(loss, beta)", sde)
    scheme = arguments.scheme(scheme, sde.default_scheme)
    if on_save is not None:
        checks.takes("on_save", on_save, "(time, states)")
    if callable(progress):
        checks.takes("progress", progress, "(done, total)")
    else:
        checks.switch("progress", progress)
    plan = arguments.plan(t, dt, start, save_every)
    x = arguments.states(sde, initial, paths, arguments.precision(dtype))
    return _Run(
        sde, scheme, x, plan, checks.seed("seed", seed), checks.whole("first_path", first_path, 0, 2**62),
        checks.whole("refine", refine), arguments.threads(threads), checks.switch("store", store), histogram, exit,
        walls, bridge if bridge is None else checks.switch("bridge", bridge), on_save, progress, checkpoint,
    )  # fmt: skip


class _Run:
    """One simulation: the ensemble x (components, paths) and what is recorded on the way."""

    keeps_blocks = False  # True: moments of all blocks stay apart, so that parts of an ensemble can be put together

    def __init__(
        self,
        sde,
        scheme,
        x,
        plan,
        seed,
        shift,
        refine,
        threads,
        store,
        histogram,
        exit,
        box,
        bridge,
        on_save,
        progress,
        checkpoint,
    ):
        self.sde, self.scheme, self.x, self.plan, self.seed, self.shift = sde, scheme, x, plan, seed, shift
        self.before = np.empty_like(x)  # the states before the piece of the run that is under way
        self.steps, self.every, self.times, self.origin = plan.steps, plan.every, plan.times, plan.pieces[0].start
        self.dt, self.first = plan.pieces[0].dt, 0
        self.refine, self.threads, self.on_save, self.progress = refine, threads, on_save, progress
        self.grid, self.geometry, self.box = histogram, arguments.cells(histogram, len(x)), arguments.box(exit, len(x))
        self.walls = walls.rows(box, sde)
        rows = len(self.times)
        self.saved = np.empty((rows if store else 0, *x.shape), x.dtype)
        self.moments = np.empty((0 if store else rows, 2, len(x)))
        self.blocks = {}
        self.counts = np.zeros((rows, math.prod(histogram.shape)) if histogram else (0, 0), np.int64)
        self.exits = np.full(x.shape[1] if exit is not None else 0, math.inf)
        self.gone = np.full(x.shape[1] if walls.absorbs(self.walls) else 0, math.inf)
        self._enter_the_box(exit)
        if check := getattr(getattr(scheme, "func", scheme), "check", None):
            check(sde, x[:, :NUMPY_PATHS].astype(float))
        self.bridge = self._with_bridge(bridge)
        self.kernel = None
        self._begin_piece(plan.pieces[0])
        self._tell_of_long_steps()
        self.tasks = self._tasks()
        self.rows_per_chunk = max(NUMBERS_PER_CHUNK // self._numbers_a_row(), 1)
        self.checkpoint = None if checkpoint is None else checkpoints.Checkpoint(checkpoint, self)

    def _enter_the_box(self, exit):
        """Refuse starts outside the walls; those on an absorbing end, or outside `exit`, have left at once."""
        if not len(self.walls):
            pass
        elif getattr(self.scheme, "func", self.scheme) is leimkuhler_matthews and walls.reflects(self.walls):
            raise ValueError("walls: a mirror spoils increments that are used twice: use euler_maruyama or heun")
        elif len(self.gone) and exit is not None:
            raise ValueError("exit: expected None beside absorbing walls, which record exits themselves")
        for axis, (low, high, *codes) in enumerate(self.walls[:, :4]):
            x = self.x[axis]
            outside = ~((x >= low) & (x <= high)) & (max(codes) > walls.OPEN)
            if outside.any():
                path = int(np.argmax(outside))
                raise ValueError(
                    f"initial: expected states inside the walls, got {x[path]} on axis {axis}, path {path}"
                )
        if len(self.gone):
            self.gone[walls.sides(self.x, np.zeros(self.x.shape[1]), self.walls) >= 0] = 0.0
        for axis, (low, high) in enumerate(self.box.T):
            self.exits[~((self.x[axis] > low) & (self.x[axis] < high))] = 0.0

    def _begin_piece(self, piece):
        """Steps of this size from here on."""
        self.dt, self.origin, self.first = piece.dt, piece.start, piece.first
        if self.bridge:
            variances = self._variances_of_a_step()
            if len(self.gone):
                self.walls[:, 4] = variances
            else:
                self.box = np.vstack([self.box[:2], variances])
        if walls.reflects(self.walls):
            states = walls.points_in(*self.walls[:, :2].T, self.x)
            walls.directions(self.walls, self.sde, states, self._some_times(), self.dt)
        self.advance = self._compiled() or self._interpreted()

    def time(self, step):
        """The time after so many steps of the run, in the present piece."""
        return self.origin + (step - self.first) * self.dt

    def _some_times(self):
        begin, end = self.plan.pieces[0].start, self.times[-1]
        return [begin, begin + 0.4 * (end - begin), end]

    def _numbers_a_row(self):
        blocks, cells = -(-self.x.shape[1] // BLOCK), self.counts.shape[1] * len(self.tasks)
        return max(len(self.moments) and blocks * 2 * len(self.x), self.counts.size and cells, 1)

    def result(self):
        """Run to the end; returns Paths."""
        self.done = 0 if self.checkpoint is None else self.checkpoint.load()
        if self.done == 0 and self.plan.saves_start:
            self._record_now(0)
            self._hand_out(0)
        try:
            with ExitStack() as stack:
                self.map = map if self.threads == 1 else stack.enter_context(ThreadPoolExecutor(self.threads)).map
                self.tell = arguments.teller(self.progress, self.steps, stack)
                self._loop()
        except KeyboardInterrupt as interrupt:
            if self.checkpoint is None:
                raise
            self.x[...] = self.before
            raise KeyboardInterrupt(self.checkpoint.save(self.done)) from interrupt
        if self.checkpoint is not None:
            self.checkpoint.save(self.steps)
        self._tell_of_instability()
        return self.summary()

    def _tell_of_long_steps(self):
        """Warn where the noise of one step is so wide that both ends of a box are within its reach."""
        box = self.walls[:, :2].T if len(self.walls) else self.box[:2]
        if len(self.walls) and not len(self.gone):  # mirrors alone, exact without a drift
            with np.errstate(all="ignore"):
                states = walls.points_in(*box, self.x)
                if not any(np.any(self.sde.drift(states, time)) for time in self._some_times()):
                    return
        width = np.diff(box, axis=0)[0]
        width[: len(self.walls)][self.walls[:, 2] == walls.PERIODIC] = math.inf
        if not np.isfinite(width).any():
            return
        matrices = walls.diffusion_matrices(self.sde, walls.points_in(*box, self.x), self._some_times(), self.dt)
        spread = np.sqrt(np.array([matrices[:, axis, axis].max() for axis in range(len(width))]))
        if (spread > LONG * width).any():
            axis = int(np.argmax(spread / width))
            warnings.warn(
                f"dt = {self.dt:.3g} makes steps with a standard deviation of {spread[axis]:.2g} in a box that is "
                f"{width[axis]:.2g} wide on axis {axis}: what happens at its ends is the scheme's own; take dt below "
                f"{self.dt * (LONG * width[axis] / spread[axis]) ** 2:.2g}",
                AccuracyWarning,
                stacklevel=5,
            )

    def _tell_of_instability(self):
        """Warn where explicit steps by the drift alone overshoot no less each time, from most end states or some.

        From a state to where its step leads the drift changes by -2/dt times the way or more. Bounded drifts hold such
        paths, but not at the law of the equation, unless their steps are small beside those of the noise, as at kinks.
        """
        scheme = getattr(self.scheme, "func", self.scheme)
        if scheme not in (*EXPLICIT, baoab):
            return
        x, t, momenta = self.x[:, :NUMPY_PATHS].astype(float), self.times[-1], scheme is baoab

        def step(x):  # of positions with momenta that of Verlet
            return 0.5 * self.dt**2 * self.sde.force(x) if momenta else self.dt * np.asarray(self.sde.drift(x, t))

        with np.errstate(all="ignore"):
            x = x[: self.sde.dimension] if momenta else x
            first = step(x)
            there = x + first
            for axis, (low, high) in enumerate(self.walls[:, :2]):  # what walls fold back
                there[axis] = np.clip(there[axis], low, high)
            slopes = (first * (step(there) - first)).sum(0) / (first**2).sum(0)
            growing = slopes <= -2 * GROWTH
            kick = 0.0 if momenta else self.sde.noise_term(x, t, np.repeat(self._kick(), x.shape[1], 1))
        share, large = growing.mean(), 4 * (first**2).sum(0) > np.sum(kick**2, axis=0)
        if share > MOST or (growing & large).mean() > SOME:
            below = self.dt * (-2 / float(np.nanquantile(slopes, SOME / 2))) ** (0.5 if momenta else 1.0)
            warnings.warn(
                f"dt = {self.dt:.3g} is beyond the stability of {name_of(self.scheme)} at {100 * share:.0f} % of the "
                "end states: each step overshoots as far as the last or further, and they are the scheme's own: take "
                f"dt below {below:.2g}, well below where laws count, or the schemes implicit or exponential",
                AccuracyWarning,
                stacklevel=4,
            )

    def summary(self):
        """The arrays as Paths."""
        for array in (self.times, self.saved, self.x, self.moments, self.exits, self.gone):
            array.flags.writeable = False
        single = len(self.x) == 1
        view = (lambda a: a[..., 0, :]) if single else (lambda a: np.swapaxes(a, -1, -2))
        density, error = arguments.densities(self.counts, self.grid, self.x.shape[1])
        left = self.gone if len(self.gone) else self.exits
        exit_times = self.plan.when(left) if len(left) else None
        sides = walls.sides(self.x, self.gone, self.walls) if len(self.gone) else None
        info = {"equation": type(self.sde).__name__, "scheme": name_of(self.scheme), "dt": self.plan.largest_step}
        info |= {"steps": self.steps, "compiled": self.is_compiled, "threads": self.threads, "seed": self.seed}
        info |= {"bridge": self.bridge} | ({"periods": walls.periods(self.walls)} if len(self.walls) else {})
        states = view(self.saved) if len(self.saved) else None
        pieces = [(piece.dt, piece.steps) for piece in self.plan.pieces]
        noise = self.sde.wieners, self.seed, self.shift, self.refine, self.x.dtype, pieces
        moments = self._all_moments
        return Paths(self.times, states, view(self.x), density, error, exit_times, sides, info, moments, noise)

    # ------------------------------------------------------------------------------------------ the time loop

    def _loop(self):
        chunk = max(STEPS_AT_FIRST // self.x.size, 4) if self.is_compiled else 4
        for piece in self.plan.pieces:
            if self.done < piece.end and piece.first > 0:
                self._begin_piece(piece)
            while self.done < piece.end:
                step = self.done
                count = min(chunk, piece.end - step, self.rows_per_chunk * self.every)
                if self.on_save is not None:
                    count = min(count, self.every - step % self.every)
                tic = clock.perf_counter()
                self._chunk(step, count, piece)
                seconds = clock.perf_counter() - tic
                self.before[...], self.done = self.x, step + count
                if seconds < SECONDS_PER_CHUNK / 4 and count == chunk:
                    chunk *= 4
                elif seconds > 2 * SECONDS_PER_CHUNK:
                    chunk = max(chunk // 4, 1)
                if self.done % self.every == 0 or self.done == piece.end:
                    self._hand_out(self.done)
                self.tell(self.done)
                if self.checkpoint is not None and self.checkpoint.is_due():
                    self.checkpoint.save(self.done)

    def _chunk(self, step, count, piece):
        self.before[...] = self.x
        first_row, last_row = step // self.every + 1, (step + count) // self.every
        rows = max(last_row - first_row + 1, 0)
        saved = self.saved[first_row : last_row + 1] if len(self.saved) else self.saved
        moments = np.empty((rows if len(self.moments) else 0, -(-self.x.shape[1] // BLOCK), 2, len(self.x)))
        counts = np.zeros((len(self.tasks), rows if self.counts.size else 0, self.counts.shape[1]), np.int64)
        bound = self.advance(step, count, first_row)
        list(self.map(lambda task, own: bound(*task, saved, moments, own), self.tasks, counts))
        if not np.isfinite(self.x).all():
            self._explain(step, count)
        if len(moments):
            self.moments[first_row : last_row + 1] = reduced(moments, self.x.shape[1])
            self.blocks |= {first_row + k: row for k, row in enumerate(moments) if self.keeps_blocks}
        if self.counts.size:
            self.counts[first_row : last_row + 1] = counts.sum(0)
        if step + count == piece.end and piece.end % self.every:
            self._record_now(piece.row)

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
        kernels.record_all(self.x, 0, self.x.shape[1], 0, saved, moments, counts, self.geometry, self.gone)
        if len(moments):
            self.moments[row] = reduced(moments, self.x.shape[1])[0]
            self.blocks |= {row: moments[0]} if self.keeps_blocks else {}

    def _hand_out(self, step):
        if self.on_save is not None:
            states = self.x.copy()
            self.on_save(self.time(step), states[0] if len(states) == 1 else states.T)

    def _all_moments(self):
        """Means and variances (rows, components), reduced over blocks in their order."""
        moments = self.moments
        if len(self.saved):
            moments = np.empty((len(self.times), 2, len(self.x)))
            block = np.empty((1, -(-self.x.shape[1] // BLOCK), 2, len(self.x)))
            nothing = np.empty((0, 0, 0), self.x.dtype), np.empty((0, 0), np.int64)
            for row, x in enumerate(self.saved):
                kernels.record_all(x, 0, x.shape[1], 0, nothing[0], block, nothing[1], self.geometry, self.gone[:0])
                moments[row] = reduced(block, x.shape[1])[0]
        paths = self.x.shape[1]
        return moments[:, 0], moments[:, 1] / (paths - 1) if paths > 1 else np.full_like(moments[:, 1], np.nan)

    def _explain(self, step, count):
        """A path is not finite any more: run the piece again, step by step, and say which path and when."""
        self.x[...] = self.before
        nothing = [self.x[:0, None], np.empty((0,) * 4), np.empty((0, 0), np.int64)]
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
                    drift = np.asarray(self.sde.drift(state, self.time(s)))[:, 0]
                raise FloatingPointError(
                    f"path {path + self.shift} exploded at t = {self.time(s + 1):.6g} (step {s + 1} of {self.steps}, "
                    f"{int(bad.sum())} of {len(bad)} paths in this step); before it the state was {state[:, 0]}, "
                    f"the drift {drift}: {self._advice(state, s)}"
                )
        raise AssertionError("a piece of a run gave different numbers the second time")

    def _advice(self, state, step):
        """What to do about a state after which a path was not finite."""
        t = self.time(step)
        with np.errstate(all="ignore"):
            parts = {"drift": self.sde.drift(state, t), "noise": self.sde.noise_term(state, t, self._kick())}
            if hasattr(self.sde, "bend"):
                parts["derivative of the noise"] = self.sde.bend(state, t)
        bad = [name for name, values in parts.items() if not np.isfinite(values).all()]
        if bad:
            return f"there the {' and the '.join(bad)} is not finite: mend the formula, or take another scheme"
        return "take a smaller dt, or check the drift"

    def _kick(self):
        return np.full((self.sde.wieners, 1), math.sqrt(self.dt))

    def _with_bridge(self, bridge):
        """Whether exits between two looks are drawn; by default at absorbing walls where the noise allows it."""
        if bridge is None and not len(self.gone):
            return False
        if bridge is not False:
            try:
                self._variances_of_a_step()
            except ValueError as reason:
                if bridge:
                    raise
                warnings.warn(
                    f"{reason}; exits are looked for after each step alone, with an error O(sqrt(dt)): bridge=False "
                    "says that this is meant", AccuracyWarning, stacklevel=5,
                )  # fmt: skip
                return False
        return bool(bridge is None or bridge)

    def _variances_of_a_step(self):
        """Of the coordinates in the box; ValueError where the bridge between two states is not Brownian."""
        box = self.walls[:, :2].T if len(self.gone) else self.box[:2]
        axes = box.shape[1]
        if axes == 0:
            raise ValueError("bridge: expected a box, exit=(lower, upper), or absorbing walls, got none")
        if getattr(self.scheme, "func", self.scheme) in (leimkuhler_matthews, weak_euler):
            raise ValueError(
                f"bridge: the steps of {name_of(self.scheme)} are not Brownian: use euler_maruyama or heun"
            )
        states = walls.points_in(*box, self.x)
        matrices = walls.diffusion_matrices(self.sde, states, self._some_times(), self.dt)
        variances = np.array([matrices[:, axis, axis] for axis in range(axes)])
        first = variances[:, 0, 0]
        constant = np.allclose(variances, first[:, None, None], rtol=1e-12, atol=0.0)
        if not walls.is_formula(self.sde) or not constant or not first.any():
            raise ValueError("bridge: expected constant noise in the coordinates of the box: use a smaller dt instead")
        return first

    def _records_of_exits(self, step, quiet):
        """The arrays that take exits; copies as they were after so many steps for a quiet run."""
        return (np.empty(0), np.where(self.gone > step, math.inf, self.gone)) if quiet else (self.exits, self.gone)

    # -------------------------------------------------------------------------------------- compiled, or NumPy

    def _compiled(self):
        """A function (step, count, first_row) -> (begin, end, arrays...) that runs the compiled kernel, or None."""
        try:
            kernel, numbers, scheduled = self.sde.compiled(self.scheme, self.dt, self.refine, self.x.dtype)
            self.kernel = kernel, numbers
        except tracing.NotTraceable:
            self.is_compiled = False
            return None
        self.is_compiled, seed = True, np.uint64(self.seed)

        def advance(step, count, first_row, quiet=False):
            schedules = scheduled(self.time(step + np.arange(count)))
            every = step + count + 1 if quiet else self.every

            exits, gone = (
                (np.empty(0), np.where(self.gone > step, math.inf, self.gone)) if quiet else (self.exits, self.gone)
            )

            def bound(begin, end, saved, moments, counts):
                kernel(self.x, begin, end, step, count, every, self.refine, seed, self.shift, numbers, schedules, saved,
                       first_row, moments, counts, self.geometry, exits, self.box, gone, self.walls)  # fmt: skip

            return bound

        return advance

    def _interpreted(self):
        """The same through NumPy: whole arrays of paths, one Python call a step."""
        self._check_functions(self.x[:, :NUMPY_PATHS].astype(float))

        wieners = self.sde.wieners

        def advance(step, count, first_row, quiet=False):
            exits, gone = (
                (np.empty(0), np.where(self.gone > step, math.inf, self.gone)) if quiet else (self.exits, self.gone)
            )
            seed = np.uint64(self.seed)

            def bound(begin, end, saved, moments, counts):
                with np.errstate(all="ignore"):
                    for s in range(step, step + count):
                        x = self.x[:, begin:end].astype(float)  # as it was kept, in its own precision
                        noise = Noise(
                            wieners, end - begin, self.dt, self.seed, s, self.refine, begin + self.shift, self.x.dtype
                        )
                        before = x.astype(self.x.dtype)
                        self.x[:, begin:end] = self._moved(x, s, noise)
                        if len(self.walls):
                            confine_all(before, self.x, begin, end, seed, self.shift, s + 1, gone, self.walls)
                        if exits.size:
                            kernels.leave_all(before, self.x, begin, end, seed, self.shift, s + 1, exits, self.box)
                        if (s + 1) % self.every == 0 and not quiet:
                            row = (s + 1) // self.every - first_row
                            kernels.record_all(self.x, begin, end, row, saved, moments, counts, self.geometry, gone)

            return bound

        return advance

    def _moved(self, x, step, noise):
        """One step by NumPy; ValueError if the scheme does not return states of the shape it was given."""
        moved = np.asarray(self.scheme(self.sde, x, self.time(step), self.dt, noise), float)
        if moved.shape != x.shape:
            raise ValueError(f"scheme: expected states of shape {x.shape} back, got {moved.shape}")
        return moved

    def _check_functions(self, x, first=0):
        """ValueError if drift or noise is not finite at these initial states (their shapes they check themselves)."""
        noise = Noise(
            self.sde.wieners, x.shape[1], self.dt, self.seed, 0, self.refine, first + self.shift, self.x.dtype
        )
        t = self.origin
        with np.errstate(all="ignore"):
            parts = {"drift": self.sde.drift(x, t), "noise": self.sde.noise_term(x, t, noise.dw)}
        for name, values in parts.items():
            bad = ~np.isfinite(np.broadcast_to(values, x.shape)).all(axis=0)
            if bad.any():
                path = int(np.argmax(bad))
                raise ValueError(
                    f"{name}: not finite at t = {t:.6g}, initial state {x[:, path]} of path {first + path}"
                )
