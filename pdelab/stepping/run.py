"""One run of a stepper: the step-size rule, the check of its bound, blow-up, and chunks in which Ctrl-C is heard."""

import math
import time as clock

__all__ = ["Run"]

MOST_STEPS = 1e12  # hours even on two nodes
WATCHED, MOST_LOOKS = 64, 1024  # steps after which an equation that moves is looked at, if that is no more looks
SECONDS_PER_CHUNK = 0.4  # compiled steps are run in pieces of about this length, so that Ctrl-C is heard


class Run:
    """The step-size rule and the bookkeeping of one solve."""

    def __init__(self, stepper, dt, cfl, scale=1.0, tell=None, look=None, last=math.inf):
        """`look(field, time)` is called some `stepper.looks` times until the time `last`."""
        self.look = look if stepper.looks else None
        self.last, self.pause = last, last / max(stepper.looks, 1)
        self.due, self.breaks = self.pause, stepper.breaks(last) if dt is None and last < math.inf else ()
        self.stepper, self.dt, self.cfl, self.scale = stepper, dt, cfl, scale
        self.steps, self.largest_dt, self.monotonicity = 0, 0.0, 0.0
        self.chunk, self.field, self.extremes, self.tell = 16, None, None, tell

    def advance(self, state, begin, end):
        """The state at the end; without a dt of the caller's, steps end at the breaks of the stepper, too."""
        for stop in self.breaks:
            if begin < stop < end:
                state, begin = self._advance(state, begin, stop), stop
                if self.look is not None:
                    self.look(self.field, stop)
        return self._advance(state, begin, end)

    def _advance(self, state, begin, end):
        time = begin
        if not begin < end:
            self._check(state, begin, end)
        while time < end:
            bound = self.stepper.bound(state, time)
            step = self.step(bound, time)
            if self.scale < 1:  # shorter steps than one over the whole interval, however long they may be
                step = min(step, (end - begin) * self.scale)
            if (end - time) / step > MOST_STEPS:
                raise ValueError(
                    f"dt = {step:.3g} means {(end - time) / step:.1e} steps from t = {time:.6g} to {end:.6g}: "
                    "take an implicit scheme with a larger dt, or less viscosity or noise"
                )
            remaining = max(math.ceil((end - time) / step * (1 - 1e-12)), 1)
            dt = (end - time) / remaining
            if self.stepper.fixed and remaining > 1:
                state = self._many(state, time, dt, remaining)
                time = end
            else:
                state = self.stepper.advance(state, time, dt, 1)
                self._check(state, time, time + dt)
                time = end if remaining == 1 else time + dt
                remaining = 1
            self.steps += remaining
            self.largest_dt = max(self.largest_dt, dt)
            self.monotonicity = max(self.monotonicity, dt / bound)
        return state

    def step(self, bound, time):
        """The largest step from here: the caller's or the scheme's, times `scale`."""
        if self.dt is None:
            rule = self.stepper.dt
            step = self.cfl * bound if rule is None else min(rule, bound)
            if self.stepper.watched:
                step = min(step, self.last / self.stepper.looks)
            if not step > 0:
                raise ValueError(
                    f"initial: expected data less steep, got a bound of {bound} on dt at t = {time}: smooth them"
                )
        elif self.dt > bound * (1 + 1e-12):
            raise ValueError(
                f"dt = {self.dt:.6g} is above the bound {bound:.6g} that keeps this explicit scheme monotone "
                f"(at t = {time:.6g}): take a smaller dt, leave it to the scheme (dt=None), or use an implicit scheme"
            )
        else:
            step = self.dt
        return step if self.scale == 1 else min(self.scale * step, bound)

    def _many(self, state, time, dt, steps):
        done = 0
        while done < steps:
            count = min(self.chunk, steps - done)
            if self.look is not None:
                if self.stepper.watched:
                    self.pause = min(self.pause, max(WATCHED * dt, self.last / MOST_LOOKS))
                count = min(count, max(1, round(self.pause / dt)))
            tic = clock.perf_counter()
            state = self.stepper.advance(state, time + done * dt, dt, count)
            seconds = clock.perf_counter() - tic
            self._check(state, time + done * dt, time + (done + count) * dt)
            done += count
            if seconds > 0:
                self.chunk = max(1, min(8 * count, int(count * SECONDS_PER_CHUNK / seconds)))
        return state

    def _check(self, state, begin, end):
        """Look at the field: its extremes, and whether it is finite; tell how far it is."""
        if self.tell is not None:
            self.tell(end)
        self.field = self.stepper.values(state)
        low, high = self.extremes = float(self.field.min()), float(self.field.max())  # nan is the minimum where it is
        if not (math.isfinite(low) and math.isfinite(high)):
            raise FloatingPointError(
                f"the solution stopped being finite between t = {begin:.6g} and t = {end:.6g}: "
                "check the size of the data and the step"
            )
        if self.look is not None and end >= self.due:
            self.look(self.field, end)
            self.due = end + self.pause
