"""What `simulate` returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdelab import checks
from pdelab.hints import Array
from pdelab.kernels.noise import BLOCK
from pdelab.paths.increments import Noise

__all__ = ["Paths", "name_of", "reduced", "unwrapped"]

FAR = 6.0  # standard deviations of a move between two saved times that must fit into half a period


@dataclass(frozen=True, repr=False)
class Paths:
    """What `simulate` returns; nothing in it changes. `print(paths)` is a summary.

    Attributes
    ----------
    times : array (k,)
        The saved times, from the start to t.
    states : array (k, paths) or None
        For more than one component (k, paths, components); None with store=False. A path that was absorbed stays at
        its place of exit.
    final : array (paths,)
        Or (paths, components), the states at the last time.
    density : np.ndarray | None
        (k, *grid.shape), the histogram as a density at the nodes of the grid, without what was absorbed; None
        without `histogram`.
    density_error : np.ndarray | None
        (k, *grid.shape), its standard errors: those of counts, without the width of the cells.
    exit_times : np.ndarray | None
        (paths,) time of the first state outside `exit`, or of absorption at `walls`; inf for paths that stayed;
        None without either.
    exit_sides : np.ndarray | None
        (paths,) where a path was absorbed, 2 axis for the lower end and 2 axis + 1 for the upper one, -1 for paths
        that stayed; None without absorbing walls. The place of exit is `final`.
    info : dict
        Equation, scheme, dt, steps, compiled (False: the equation ran through NumPy), threads, seed, bridge; with walls
        periods: the length of each axis of the box that is periodic, inf for the others.
    moments : callable () -> array
        Means and sums of squares over blocks of paths, for `mean` and `variance`.
    noise : tuple
        The address of the noise, for `increments`.
    """

    times: np.ndarray
    states: np.ndarray | None
    final: np.ndarray
    density: np.ndarray | None
    density_error: np.ndarray | None
    exit_times: np.ndarray | None
    exit_sides: np.ndarray | None
    info: dict
    moments: Callable
    noise: tuple

    def __str__(self):
        info, end = self.info, np.ravel(self.mean[-1])
        errors = np.ravel(self.standard_error[-1])
        ends = ", ".join(f"{m:.6g} ± {e:.2g}" for m, e in zip(end, errors))
        lines = [
            f"{len(self.final)} paths of {info['equation']} by {info['scheme']}",
            f"dt = {info['dt']:.6g}, {info['steps']} steps, seed {info['seed']}",
            f"t = {self.times[0]:.6g} to {self.times[-1]:.6g}, {len(self.times)} saved; mean at the end {ends}",
        ]
        if self.exit_times is not None:
            lines.append(f"{np.isfinite(self.exit_times).mean():.2%} left")
        return "\n".join(lines)

    __repr__ = __str__

    @cached_property
    def _mean_and_variance(self):
        mean, variance = self.moments()
        return (mean[:, 0], variance[:, 0]) if mean.shape[1] == 1 else (mean, variance)

    @property
    def mean(self) -> Array:
        """Means over the paths at the saved times, (k,) or (k, components): the same bits for any number of threads."""
        return self._mean_and_variance[0]

    @property
    def variance(self) -> Array:
        """Variances over the paths, with the divisor paths - 1 (NaN for a single path)."""
        return self._mean_and_variance[1]

    @property
    def standard_error(self) -> Array:
        """Standard errors of the means."""
        return np.sqrt(self.variance / len(self.final))

    @property
    def survival(self) -> Array:
        """The fraction of paths that have not left at the saved times, (k,).

        Raises
        ------
        ValueError
            A run without absorbing walls and without `exit`.
        """
        if self.exit_times is None:
            raise ValueError("survival: expected a run with absorbing walls or exit=, got one without")
        return (self.exit_times > self.times[:, None]).mean(axis=1)

    @property
    def unwrapped(self) -> Array:
        """The states without the jumps of periodic walls: the way along each periodic axis, turns and all.

        Raises
        ------
        ValueError
            No states, no periodic walls, or too few saved times to follow the paths: half a period must be more than
            the mean and six standard deviations of a move between two of them.
        """
        periods = self.info.get("periods", [])
        if self.states is None or not np.isfinite(periods).any():
            raise ValueError("unwrapped: expected a run with stored states and periodic walls, got one without")
        states = self.states if self.states.ndim == 3 else self.states[..., None]
        out = states.copy()
        for axis in np.flatnonzero(np.isfinite(periods)):
            out[..., axis] = unwrapped(states[..., axis], periods[axis])
        return out.reshape(self.states.shape)

    def increments(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """Increments of the Wiener processes in the steps first to last - 1, found again by their addresses.

        Parameters
        ----------
        first, last : int
            Steps, counted from 0; last defaults to all of them.

        Returns
        -------
        array (steps, paths, m), for one process (steps, paths)
            Of variance dt.

        Raises
        ------
        ValueError
            Steps that the run does not have, or last < first.
        """
        wieners, seed, shift, refine, dtype, pieces = self.noise
        total = sum(steps for _, steps in pieces)
        first = checks.whole("first", first, least=0, most=total)
        last = total if last is None else checks.whole("last", last, least=first, most=total)
        dts = np.repeat([dt for dt, _ in pieces], [steps for _, steps in pieces])
        noises = (Noise(wieners, len(self.final), dts[s], seed, s, refine, shift, dtype) for s in range(first, last))
        rows = np.array([noise.dw.T for noise in noises]).reshape(last - first, len(self.final), wieners)
        return rows[..., 0] if wieners == 1 else rows


def unwrapped(states: Array, period: float) -> Array:
    """One periodic coordinate (times, paths), followed by the shorter way round each time; ValueError if unsure."""
    moves = np.diff(states, axis=0)
    moves -= period * np.round(moves / period)
    reach = abs(float(moves.mean())) + FAR * float(moves.std()) if moves.size else 0.0
    if reach > period / 2:
        raise ValueError(
            f"states: saved too rarely to follow turns: between two saved times a coordinate moves up to {reach:.3g} "
            f"(the mean and {FAR:g} standard deviations), and half the period is {period / 2:.3g}: save more often"
        )
    return np.concatenate([states[:1], states[:1] + np.cumsum(moves, axis=0, dtype=float)])


def reduced(blocks, paths):
    """Sums of squares about block means -> about the common mean: (rows, blocks, 2, d) -> (rows, 2, d)."""
    sizes = np.full(blocks.shape[1], BLOCK, float)
    sizes[-1] = paths - BLOCK * (blocks.shape[1] - 1)
    means, squares = blocks[:, :, 0], blocks[:, :, 1]
    mean = means[:, 0] + np.einsum("b,rbd->rd", sizes, means - means[:, :1]) / paths
    total = squares.sum(axis=1) + np.einsum("b,rbd->rd", sizes, (means - mean[:, None]) ** 2)
    return np.stack([mean, total], axis=1)


def name_of(scheme):
    """A scheme's name as users write it."""
    function = getattr(scheme, "func", scheme)
    return f"{function.__module__.removeprefix('pdelab.').replace('.schemes', '')}.{function.__name__}"
