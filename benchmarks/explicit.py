"""Hamilton-Jacobi and Burgers in time steps: against a bare fused loop (the limit) and against the peers.

Rates: the same grid, the same number of steps, ours through `pdelab.solve`; `ratio` is the other's time over ours, so
that a bare loop at 0.7 means 70 % of the limit. P1: f = (1 - cos πx)/2 + 0.3 cos 6πx + 0.1 sin 2πx on [-1, 1),
1/beta = 0.1, T = 0.2. P2: Burgers from 0.5 + sin x, T = 2. P3: a bowl with two Gaussian wells on [-2, 2]², no
viscosity, T = 0.2, error away from a frame of 1/16. One thread (pin the process to one core for the peers' sake) but in
the rows "threads", where `ratio` is the wall time of one thread over that of one a core; on a machine that is busy
otherwise they show nothing. Grids too small for threads (`hamilton_jacobi.threads`) have a ratio near 1 there. In the
rows "memory" `ratio` is the peak of a new process beyond its input and output, in arrays of that size.
"""

import math
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
from numba import config, njit, set_num_threads
from scipy import sparse
from scipy.integrate import solve_ivp

import pdelab as pl
from benchmarks.harness import Row, peer, race
from pdelab import burgers, hamilton_jacobi

NU = 0.05


def rows(quick=False):
    """All lines of the comparison; quick: smaller grids, fewer repeats."""
    for part in (rate_rows, p1_rows, p2_rows, p3_rows, growth_rows):
        with threads(1):
            yield from part(quick)
    yield from thread_rows(quick)
    yield from memory_rows(quick)


# --- the limit: one fused loop, no boundary, all steps in one call ---------------------------------------------------


@njit(error_model="numpy")
def bare_row(out, left, here, right, k, d):
    for j in range(out.size):
        m = max(max(here[j] - left[j], here[j] - right[j]), 0.0)
        out[j] = here[j] - k * m * m + d * (left[j] - 2.0 * here[j] + right[j])


@njit(error_model="numpy")
def bare_1(a, b, steps, k, d):
    for _ in range(steps):
        bare_row(b[1:-1], a[:-2], a[1:-1], a[2:], k, d)
        a, b = b, a


@njit(error_model="numpy")
def bare_row_2(out, left, here, right, low, high, k, d):
    for j in range(out.size):
        m = max(max(here[j] - left[j], here[j] - right[j]), 0.0)
        p = max(max(here[j] - low[j], here[j] - high[j]), 0.0)
        out[j] = here[j] - k * (m * m + p * p) + d * (left[j] + right[j] + low[j] + high[j] - 4.0 * here[j])


@njit(error_model="numpy")
def bare_2(a, b, steps, k, d):
    for _ in range(steps):
        for i in range(1, a.shape[0] - 1):
            here = a[i]
            bare_row_2(b[i][1:-1], here[:-2], here[1:-1], here[2:], a[i - 1][1:-1], a[i + 1][1:-1], k, d)
        a, b = b, a


@njit(error_model="numpy")
def bare_row_3(out, left, here, right, low, high, back, front, k, d):
    for j in range(out.size):
        m = max(max(here[j] - left[j], here[j] - right[j]), 0.0)
        p = max(max(here[j] - low[j], here[j] - high[j]), 0.0)
        q = max(max(here[j] - back[j], here[j] - front[j]), 0.0)
        around = left[j] + right[j] + low[j] + high[j] + back[j] + front[j]
        out[j] = here[j] - k * (m * m + p * p + q * q) + d * (around - 6.0 * here[j])


@njit(error_model="numpy")
def bare_3(a, b, steps, k, d):
    for _ in range(steps):
        for h in range(1, a.shape[0] - 1):
            for i in range(1, a.shape[1] - 1):
                here = a[h, i]
                low, high, back, front = a[h, i - 1][1:-1], a[h, i + 1][1:-1], a[h - 1, i][1:-1], a[h + 1, i][1:-1]
                bare_row_3(b[h, i][1:-1], here[:-2], here[1:-1], here[2:], low, high, back, front, k, d)
        a, b = b, a


def rate_rows(quick):
    """Steps of the viscous equation: ours and the bare loop; then ours and py-pde's compiled Euler step.

    The limit comes first: each of py-pde's steps takes fresh memory, and what it leaves behind costs whoever asks for
    large arrays next, us in its own race.
    """
    pde = peer("py-pde", "pde")
    compared_to_peer = [((1024,), 4), ((4096,), 4), ((512, 512), 4), ((128, 128, 128), 10)]
    shapes = [shape for shape, _ in compared_to_peer]
    if not quick:
        shapes += [(65536,), (2**21,), (2048, 2048), (64, 64, 64), (256, 256, 256)]
    for shape in shapes:
        yield from rate_case(shape, quick, "bare loop", 0.7)
    for shape, target in compared_to_peer if pde else ():
        yield from rate_case(shape, quick, "py-pde", target, pde)


def rate_case(shape, quick, other, target, pde=None):
    d, size = len(shape), math.prod(shape)
    grid = pl.Grid((0.0,) * d, (1.0,) * d, shape, boundary="periodic")
    u = sum(np.meshgrid(*(np.sin(2 * np.pi * x) for x in grid.axes), indexing="ij")) / 100
    problem = pl.HamiltonJacobi(viscosity=NU)
    dt = 0.9 * hamilton_jacobi.monotone(problem, grid, u).largest_step(u, 0.0)
    steps = max(95 if size <= 2**21 else 24, int((2e7 if quick else 2e8) / size))
    contestants = {"pdelab": lambda: pl.solve(problem, u, grid, steps * dt, dt=dt, rtol=math.inf)}
    if pde:
        contestants[other] = py_pde_steps(pde, (0, 1), shape, u, dt, steps)
    else:
        k, diffusive = dt / (2 * grid.spacing[0] ** 2), NU * dt / grid.spacing[0] ** 2
        bare, buffers = (bare_1, bare_2, bare_3)[d - 1], (u.copy(), u.copy())
        contestants[other] = lambda: bare(*buffers, steps, k, diffusive)
    times = race(contestants, repeats=3 if quick else 5)
    name = "rate " + "x".join(map(str, shape))
    for who, ms in times.items():
        speed = f"{size * steps / ms / 1e6:.3g} Gcell/s"
        yield Row(name, who, ms, ratio=ms / times["pdelab"], target=target if who == other else None, note=speed)


def py_pde_steps(pde, box, shape, u, dt, steps):
    """A callable: values after that many of py-pde's compiled Euler steps, its set-up left out of the clock.

    Its cells are half a spacing off our nodes: on a periodic box the same problem.
    """
    grid = pde.CartesianGrid([box] * len(shape), shape, periodic=True)
    state = pde.ScalarField(grid, u)
    equation = pde.PDE({"u": f"{NU} * laplace(u) - 0.5 * gradient_squared(u)"})
    stepper = pde.EulerSolver(equation).make_stepper(state, dt=dt)

    def run():
        start = state.copy()
        stepper(start, 0, steps * dt)
        return start.data

    return run


# --- P1: viscous Hamilton-Jacobi in one dimension ---------------------------------------------------------------------


def p1(x):
    return (1 - np.cos(np.pi * x)) / 2 + 0.3 * np.cos(6 * np.pi * x) + 0.1 * np.sin(2 * np.pi * x)


def p1_rows(quick):
    """Error against time at N = 1024 and 4096; scipy's BDF with the sparse Jacobian is the peer to beat."""
    for n in (1024,) if quick else (1024, 4096):
        yield from p1_case(n, quick)


def p1_case(n, quick):
    grid = pl.Grid(-1.0, 1.0, n, boundary="periodic")
    f, problem, h = p1(grid.x), pl.HamiltonJacobi(beta=10.0), grid.spacing[0]
    v = np.fft.rfft(np.exp(-10 * f)) * np.exp(-NU * 0.2 * (np.pi * np.arange(n // 2 + 1)) ** 2)
    exact = -0.1 * np.log(np.fft.irfft(v, n))

    def right(t, u):
        up, down = np.roll(u, -1), np.roll(u, 1)
        return NU * (up - 2 * u + down) / h**2 - (up - down) ** 2 / (8 * h**2)

    def implicit_peer():
        return solve_ivp(right, (0, 0.2), f, "BDF", rtol=1e-6, atol=1e-9, jac_sparsity=ring).y[:, -1]

    ring = sparse.diags_array([1.0] * 5, offsets=[0, 1, -1, n - 1, 1 - n], shape=(n, n))
    schemes = [hamilton_jacobi.rosenbrock, hamilton_jacobi.fitted, hamilton_jacobi.monotone]
    runs = {s.__name__: (lambda s=s: pl.solve(problem, f, grid, 0.2, scheme=s, rtol=math.inf).final) for s in schemes}
    runs["scipy BDF"] = implicit_peer
    yield from compared(f"P1 N={n}", runs, lambda u: float(abs(u - exact).max()), {"scipy BDF": 10}, quick)


def compared(name, runs, error, targets, quick):
    """Rows with medians, errors, and time ratios to the first contestant."""
    results = {who: run() for who, run in runs.items()}
    times = race(runs, repeats=3 if quick else 5)
    first = next(iter(runs))
    for who, ms in times.items():
        yield Row(name, who, ms, error=error(results[who]), ratio=ms / times[first], target=targets.get(who))


# --- P2: inviscid Burgers ---------------------------------------------------------------------------------------------


def p2_exact(x, t=2.0):
    """p = (x - y)/t at the minimiser y of y/2 - cos y + (x - y)²/(2t), polished by Newton."""
    y = np.linspace(-2 * np.pi, 4 * np.pi, 3001)
    value = y / 2 - np.cos(y)
    best = np.array([y[np.argmin(value + (z - y) ** 2 / (2 * t))] for z in x])
    for _ in range(6):
        best = best - (0.5 + np.sin(best) + (best - x) / t) / (np.cos(best) + 1 / t)
    return (x - best) / t


def p2_rows(quick):
    """Errors in L1 away from the shock by six cells."""
    for n, target in ((1024, 25),) if quick else ((1024, 25), (8192, 10)):
        yield from p2_case(n, target, quick)


def p2_case(n, target, quick):
    grid, pyclaw = pl.Grid(0.0, 2 * np.pi, n, boundary="periodic"), peer("clawpack", "clawpack.pyclaw")
    exact = {"nodes": p2_exact(grid.x), "cells": p2_exact(grid.x + grid.spacing[0] / 2)}
    away = abs(grid.x - (np.pi + 1)) > 7 * grid.spacing[0]
    problem, start = pl.Burgers(viscosity=0.0), 0.5 + np.sin(grid.x)
    runs = {
        s.__name__: (lambda s=s: ("nodes", pl.solve(problem, start, grid, 2.0, scheme=s, rtol=math.inf).final))
        for s in (burgers.high_resolution, burgers.godunov)
    }
    if pyclaw:
        runs["pyclaw order 2"] = lambda: ("cells", clawpack_run(pyclaw, n))

    def error(result):
        where, p = result
        return float(2 * np.pi * abs(p - exact[where])[away].mean())

    yield from compared(f"P2 N={n}", runs, error, {"pyclaw order 2": target}, quick)


def clawpack_run(pyclaw, n):
    from clawpack import riemann

    solver = pyclaw.ClawSolver1D(riemann.burgers_1D)
    solver.limiters = pyclaw.limiters.tvd.MC
    solver.bc_lower[0] = solver.bc_upper[0] = pyclaw.BC.periodic
    domain = pyclaw.Domain(pyclaw.Dimension(0.0, 2 * np.pi, n, name="x"))
    state = pyclaw.State(domain, 1)
    state.problem_data["efix"] = True
    state.q[0] = 0.5 + np.sin(domain.grid.x.centers)
    run = pyclaw.Controller()
    run.solution, run.solver, run.tfinal = pyclaw.Solution(state, domain), solver, 2.0
    run.num_output_times, run.output_format, run.verbosity, run.keep_copy = 1, None, 0, False
    solver.max_steps = 10**6
    run.run()
    return run.solution.q[0].copy()


# --- P3: inviscid Hamilton-Jacobi in two dimensions -------------------------------------------------------------------

P3 = "(x**2 + y**2)/4 - 0.8*exp(-((x - 0.6)**2 + (y - 0.4)**2)/0.18) - exp(-((x + 0.5)**2 + (y + 0.3)**2 + x*y)/0.3)"


def p3_rows(quick):
    """Mean error away from the frame; hj_reachability at first order (its local dissipation) and at its highest."""
    for n in (256,) if quick else (256, 512):
        yield from p3_case(n, quick)


def p3_case(n, quick):
    """Ours also on a coarser grid, 7/8 of the nodes each way, where its error is closest to the peer's."""
    reachability, loss, problem = peer("hj_reachability"), pl.Loss(P3), pl.HamiltonJacobi(beta=math.inf)
    grids = {m: pl.Grid((-2.0, -2.0), (2.0, 2.0), (m, m), boundary="outflow") for m in (n, 7 * n // 8)}
    values = {m: loss.on(grid) for m, grid in grids.items()}
    exact = {m: pl.hopf_lax(loss, grid, 0.2) for m, grid in grids.items()}

    def ours(m, scheme):
        return lambda: pl.solve(problem, values[m], grids[m], 0.2, scheme=scheme, rtol=math.inf).final

    def error(u):
        inside = (slice(len(u) // 16, -(len(u) // 16)),) * 2
        return float(abs(u - exact[len(u)])[inside].mean())

    coarse = f"weno, n = {7 * n // 8}"
    runs = {s.__name__: ours(n, s) for s in (hamilton_jacobi.weno, hamilton_jacobi.filtered, hamilton_jacobi.monotone)}
    runs[coarse] = ours(7 * n // 8, hamilton_jacobi.weno)
    if reachability:
        for accuracy in ("very_high", "low"):
            runs["hj_reachability " + accuracy] = reachability_run(reachability, accuracy, values[n])
    rows = {row.name: row for row in compared(f"P3 {n}x{n}", runs, error, {}, quick)}
    yield from rows.values()
    if reachability:
        times = {name: row.milliseconds for name, row in rows.items()}
        pairs = (("very_high", coarse, 4), ("very_high", "weno", None), ("low", "monotone", 40))
        for accuracy, base, target in pairs:
            name, ratio = f"hj_reachability {accuracy}", times[f"hj_reachability {accuracy}"] / times[base]
            note = f"error {rows[name].error / rows[base].error:.2g} times ours"
            yield Row(f"P3 {n}x{n}", f"{name} over {base}", None, ratio=ratio, target=target, note=note)


def reachability_run(reachability, accuracy, f):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)  # float64, as ours

    class Quadratic(reachability.dynamics.Dynamics):
        """u_t + |p|²/2 = 0."""

        def __init__(self):
            super().__init__("max", "min", None, None)

        def __call__(self, state, control, disturbance, time):
            raise NotImplementedError("abstract in the peer; its solver asks for the Hamiltonian alone")

        optimal_control_and_disturbance = __call__

        def hamiltonian(self, state, time, value, grad_value):
            return 0.5 * grad_value @ grad_value

        def partial_max_magnitudes(self, state, time, value, box):
            return jnp.maximum(abs(box.lo), abs(box.hi))

    box = reachability.sets.Box(np.array([-2.0, -2.0]), np.array([2.0, 2.0]))
    grid = reachability.Grid.from_lattice_parameters_and_boundary_conditions(box, f.shape)
    local = reachability.artificial_dissipation.local_local_lax_friedrichs
    settings = reachability.SolverSettings.with_accuracy(accuracy, artificial_dissipation_scheme=local)
    dynamics, values = Quadratic(), jnp.asarray(f)

    def run():
        return np.asarray(reachability.step(settings, dynamics, grid, 0.0, values, 0.2, progress_bar=False))

    return run


# --- how cost grows with n --------------------------------------------------------------------------------------------


def growth_rows(quick):
    """Milliseconds of one inviscid solve against n per axis: the exponent should be d + 1 (cells times steps)."""
    sizes = {1: (1024, 2048, 4096), 2: (64, 128, 256), 3: (24, 48, 96)}
    for d, ns in sizes.items():
        runs = {}
        for n in ns:
            grid = pl.Grid((0.0,) * d, (2 * np.pi,) * d, n, boundary="periodic")
            f = sum(np.meshgrid(*map(np.cos, grid.axes), indexing="ij"))
            runs[str(n)] = lambda f=f, grid=grid: pl.solve(pl.HamiltonJacobi(math.inf), f, grid, 2.0, rtol=math.inf)
        times = race(runs, repeats=3)
        exponent = float(np.polyfit(np.log(ns), np.log(list(times.values())), 1)[0])
        for n, ms in times.items():
            yield Row(f"growth {d}-D", f"n = {n}", ms, note=f"exponent {exponent:.2f}")


# --- threads and memory -----------------------------------------------------------------------------------------------


@contextmanager
def threads(count):
    """Explicit steps on that many threads."""
    before, config.NUMBA_NUM_THREADS = config.NUMBA_NUM_THREADS, count
    if count == 1:
        set_num_threads(1)  # what py-pde compiles listens to this
    try:
        yield
    finally:
        config.NUMBA_NUM_THREADS = before


def thread_rows(quick):
    """One thread and all of them in turn, by the clock on the wall."""
    godunov = [(512, 512), (1024, 1024), (128, 128, 128)] + ([] if quick else [(2048, 2048), (256, 256, 256)])
    for shape in godunov:
        yield from thread_case(hamilton_jacobi.monotone, shape, max(8, int(5e7 / math.prod(shape))))
    for shape in [(256, 256), (512, 512)]:
        yield from thread_case(hamilton_jacobi.weno, shape, 20)


def thread_case(scheme, shape, steps):
    d = len(shape)
    grid = pl.Grid((0.0,) * d, (1.0,) * d, shape, boundary="periodic")
    u = sum(np.meshgrid(*(np.sin(2 * np.pi * x) for x in grid.axes), indexing="ij")) / 100
    problem, most = pl.HamiltonJacobi(viscosity=NU), len(os.sched_getaffinity(0))
    dt = 0.9 * scheme(problem, grid, u).largest_step(u, 0.0)
    seconds = {count: [] for count in (1, most)}
    for _ in range(6):
        for count, times in seconds.items():
            with threads(count):
                start = time.perf_counter()
                pl.solve(problem, u, grid, steps * dt, dt=dt, scheme=scheme, rtol=math.inf)
                times.append(time.perf_counter() - start)
    wall = {count: 1e3 * statistics.median(times[1:]) for count, times in seconds.items()}
    name = f"threads {scheme.__name__} " + "x".join(map(str, shape))
    for count, ms in wall.items():
        yield Row(name, f"{count} threads", ms, ratio=wall[1] / ms, note="wall")


MEMORY = """
import re, sys, time
import numpy as np
import pdelab as pl
n = int(sys.argv[1])
memory = lambda name: 1024 * int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
make = lambda n: pl.Grid((0, 0, 0), (1, 1, 1), n, boundary="periodic")
problem, small, grid = pl.HamiltonJacobi(viscosity=0.05), make(16), make(n)
pl.solve(problem, np.zeros(small.shape), small, 1e-3)
wave, f = np.sin(2 * np.pi * grid.axes[0]) / 100, np.empty(grid.shape)
np.add(wave[:, None, None], wave[:, None] + wave, out=f)
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before, start = memory("VmRSS"), time.process_time()
solution = pl.solve(problem, f, grid, 40 * 1.2 / n**2)
print(solution.steps, 1e3 * (time.process_time() - start), (memory("VmHWM") - before) / f.nbytes - 1)
"""


def memory_rows(quick):
    """Peak memory of a solve in a new process, as Linux reports it, beyond its input and its output: below 3."""
    if not os.path.exists("/proc/self/clear_refs"):
        return
    for n in (128,) if quick else (128, 256):
        process = subprocess.run([sys.executable, "-c", MEMORY, str(n)], capture_output=True, text=True, check=True)
        steps, ms, arrays = map(float, process.stdout.split())
        note = f"arrays beyond input and output, {steps:.0f} steps"
        yield Row(f"memory {n}x{n}x{n}", "pdelab", ms, ratio=arrays, note=note)
