"""Propagators that are exact in time on the grid, for steady problems whose generator is symmetric in disguise."""

import math

import numpy as np
from scipy.linalg import lapack
from scipy.special import ive

from pdelab.fokker_planck.schemes import certificates
from pdelab.fokker_planck.splitting import split_change
from pdelab.fokker_planck.timing import half_cells
from pdelab.generator import axis_rates, ito, largest_step
from pdelab.stencils import tridiagonal
from pdelab.stepping import Stepper


def spectral(problem, grid, values):
    """Exact in time on the grid, by the eigenvectors of the symmetrised generator: one reflecting axis, steady.

    Only modes that have not died out at the first saved time are computed; later times cost little more. The part at
    equilibrium is split off first and never touched: mass stays for any time. Not positive to the last digit; refused
    where the initial mass lies so deep in the tails of the equilibrium that round-off would show, and for times so
    long that the round-off of the rates would (there `crank_nicolson` and `implicit` serve).
    """
    if grid.boundary != ("reflecting",) or not problem.steady:
        raise ValueError("spectral: expected one reflecting axis and a steady problem; use crank_nicolson otherwise")
    form = ito(problem.coefficients(grid), grid)
    ((up, down),) = axis_rates(form, grid)
    up, down, half = up.ravel(), down.ravel(), half_cells(problem, grid)
    root = _root_of_equilibrium(up, down, "spectral")
    _check_amplification(values * half, root, problem.adjoint, "spectral")
    alive, last = _living_modes(-up - np.roll(down, 1), up[:-1] * down[:-1]), {"out": None}
    rest = root / np.linalg.norm(root)
    scale = 1 / root if problem.adjoint else root

    def advance(values, time, dt, steps):
        rates, vectors = alive(time + dt * steps)
        if values is last["out"] and len(last["amplitudes"]) >= len(rates):  # those of these values are known
            amplitudes = last["amplitudes"][-len(rates) :]
        else:
            m = values * half / scale
            last["resting"] = rest @ m
            amplitudes = vectors.T @ (m - last["resting"] * rest)
        last["amplitudes"] = np.exp(rates * (dt * steps)) * amplitudes
        moving = vectors @ last["amplitudes"]
        last["out"] = scale * (moving + (last["resting"] - rest @ moving) * rest) / half
        return last["out"]

    return Stepper(advance, dt=math.inf, certificates=certificates(problem, grid, form))


def _living_modes(diagonal, squares):
    """A function until -> (rates, vectors) of the modes not below e^-40 at that time; the first call finds the most."""
    modes, size, count = {}, 1e-9 * np.abs(diagonal).max(), len(diagonal)

    def alive(until):
        cut = -40 / until - size
        if not modes or modes["cut"] > cut:
            dead = np.empty(1)
            tridiagonal.below(diagonal, squares, np.array([cut]), np.empty(1), dead)
            rates = np.empty(count - int(dead[0]))
            tridiagonal.eigenvalues(diagonal, squares, cut, size, int(dead[0]), rates)
            block, split = np.ones(count, dtype=np.int32), np.full(count, count, dtype=np.int32)
            vectors, failed = lapack.dstein(diagonal, np.sqrt(squares), rates, block, split)
            if failed:
                raise ValueError("spectral: the modes did not converge; use crank_nicolson")
            modes["cut"], modes["pairs"] = cut, (np.minimum(rates, 0.0), vectors)
        rates, vectors = modes["pairs"]
        _check_gap(rates, np.finfo(float).eps * np.abs(diagonal).max(), until)
        first = np.searchsorted(rates, cut)
        return rates[first:], vectors[:, first:]

    return alive


def _check_gap(rates, rounding, until):
    """The rate of a mode besides the equilibrium's that lives at `until` must not be spoiled by round-off by then."""
    if len(rates) > 1 and rates[-2] * until > -40 and rounding * until > 1e-6:
        raise ValueError(
            f"spectral: the gap {-rates[-2]:.1e} is known to {rounding:.1e} only, too rough for t = {until:g}: "
            "use implicit or crank_nicolson with a step of your choice"
        )


def chebyshev(problem, grid, values):
    """Exact in time on the grid, to round-off, by Chebyshev polynomials of the generator: a steady potential, any d.

    exp(t Q) = exp(-z) (I_0(z) + 2 sum_k I_k(z) T_k(1 + t Q / z)), z = t times the largest rate out of a node: about
    8 sqrt(z) products with Q. Not positive to the last digit. Refused where the initial mass lies so deep in the tails
    of the equilibrium that round-off would show.
    """
    if not problem.gibbs:
        raise ValueError("chebyshev: expected a steady potential alone and D > 0: the spectrum must be real")
    form, half = ito(problem.coefficients(grid), grid), half_cells(problem, grid)
    U = form.potential - form.potential.min()
    root = np.exp(-U / (2 * problem.diffusivity)) * np.sqrt(grid.weights / np.prod(grid.spacing))
    _check_amplification(values * half, root, problem.adjoint, "chebyshev")
    rates, largest = axis_rates(form, grid), 1 / largest_step(form, grid)

    def advance(values, time, dt, steps):
        z = dt * steps * largest
        m = values * half
        shares = _bessel(z)
        before, here = m, split_change(m, rates, problem.adjoint, 1 / largest)
        total = shares[0] * before + shares[1] * here
        for share in shares[2:]:
            before, here = here, 2 * split_change(here, rates, problem.adjoint, 1 / largest) - before
            total += share * here
        return total / half

    return Stepper(advance, dt=math.inf, certificates=certificates(problem, grid, form))


def _bessel(z):
    """exp(-z) I_0(z), 2 exp(-z) I_1(z), ... up to round-off."""
    count = int(8.5 * math.sqrt(z)) + 40
    shares = 2 * ive(np.arange(count), z)
    shares[0] /= 2
    return shares[: max(int(np.flatnonzero(shares > 1e-18)[-1]) + 1, 2)]


def _root_of_equilibrium(up, down, name):
    """Square root of the equilibrium masses of a line, largest one."""
    if (up[:-1] == 0).any() or (down[:-1] == 0).any():
        raise ValueError(f"{name}: expected jumps both ways over every face; without noise none go against the drift")
    logs = np.concatenate([[0.0], np.cumsum(np.log(up[:-1]) - np.log(down[:-1]))])
    return np.exp((logs - logs.max()) / 2)


def _check_amplification(m, root, adjoint, name):
    """Round-off grows by sum |m| / root (densities) or 1 / root (functions) in the symmetrised picture."""
    total = np.abs(m).sum()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        growth = 1 / root.min() if adjoint else np.nansum(np.abs(m) / root) / total if total > 0 else 0.0
    if not growth * np.finfo(float).eps < 1e-7:
        raise ValueError(
            f"{name}: the data reach {growth:.1e} times into the tails of the equilibrium, where round-off would show: "
            "use crank_nicolson or implicit, or a smaller box"
        )
