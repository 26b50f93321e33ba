"""Fokker-Planck against scipy's method of lines and against FiPy, fplanck and py-pde, at their errors.

P4: U = (x² - 1)²/4 + x/20 on [-2.5, 2.5], 1/beta = 0.2, T = 5, from N(0.4, 0.3²), n = 1024.
P5: the same + y²/2 + 0.3 x y on [-3, 3]², T = 2, from N((0.4, -0.3), 0.3² I), 128².
Errors are L1 distances to a reference that is exact in time and extrapolated in space. Ours go through `pdelab.solve`,
rates and factors included; scipy's contestants get the same rates for nothing.
"""

import functools
import math
import sys
import tracemalloc

import numpy as np
from scipy import sparse
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline, RectBivariateSpline
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import expm_multiply, splu

import pdelab as pl
from benchmarks.harness import Row, peer, race
from pdelab.fokker_planck import FokkerPlanck, Slices, chebyshev, compact, crank_nicolson, implicit, spectral
from pdelab.generator import generator

BETA, T4, T5 = 5.0, 5.0, 2.0


def rows(quick=False):
    """All lines of the comparison; quick: fewer contestants and repeats."""
    yield from line_rows(quick)
    yield from plane_rows(quick)
    yield from growth_rows(quick)
    yield from figure_row()
    yield from generator_row(256 if quick else 512)
    if not quick:
        yield from structure_rows()


# --- problems ----------------------------------------------------------------------------------------------------


def well(x):
    return (x**2 - 1) ** 2 / 4 + x / 20


def line(n):
    """(grid, potential, initial density) of P4."""
    grid = pl.Grid(-2.5, 2.5, n)
    start = np.exp(-((grid.x - 0.4) ** 2) / 0.18)
    return grid, well(grid.x), start / np.sum(grid.weights * start)


def plane(n):
    """(grid, potential, initial density) of P5."""
    grid = pl.Grid((-3.0, -3.0), (3.0, 3.0), (n, n))
    x, y = grid.points[..., 0], grid.points[..., 1]
    start = np.exp(-((x - 0.4) ** 2 + (y + 0.3) ** 2) / 0.18)
    return grid, well(x) + y**2 / 2 + 0.3 * x * y, start / np.sum(grid.weights * start)


def ours(setting, scheme, T, steps):
    """The bare steps."""
    grid, U, start = setting
    dt = None if steps is None else T / steps
    return pl.solve(FokkerPlanck(U, beta=BETA), start, grid, T, scheme=scheme, dt=dt, rtol=math.inf).final


def with_errors(setting, T):
    """What no option asks for: the default scheme, and how wrong it is."""
    grid, U, start = setting
    return pl.solve(FokkerPlanck(U, beta=BETA), start, grid, T).final


@functools.cache
def line_reference():
    """ρ(T) of P4 as a function: n = 4097 and 8193, exact in time, extrapolated."""
    coarse, fine = (ours(line(n), spectral, T4, None) for n in (4097, 8193))
    return CubicSpline(line(4097)[0].x, fine[::2] + (fine[::2] - coarse) / 3)


@functools.cache
def plane_reference():
    """ρ(T) of P5 as a function: 193² and 385², exact in time, extrapolated."""
    coarse, fine = (ours(plane(n), chebyshev, T5, None) for n in (193, 385))
    axis = plane(193)[0].axes[0]
    return RectBivariateSpline(axis, axis, fine[::2, ::2] + (fine[::2, ::2] - coarse) / 3, kx=5, ky=5)


def line_error(density):
    grid = line(density.size)[0]
    return float(np.sum(grid.weights * np.abs(density - line_reference()(grid.x))))


def plane_error(density):
    grid = plane(density.shape[0])[0]
    return float(np.sum(grid.weights * np.abs(density - plane_reference()(*grid.axes))))


# --- scipy on the same rates -------------------------------------------------------------------------------------


def on_masses(setting):
    """(Q^T, initial masses, masses -> density) of the same generator as ours."""
    grid, U, start = setting
    Q = generator(FokkerPlanck(U, beta=BETA), grid)
    return Q.T.tocsr(), (grid.weights * start).ravel(), lambda m: m.reshape(grid.shape) / grid.weights


def lsoda(setting, T, rtol):
    """Banded LSODA."""
    A, m, density = on_masses(setting)
    low, here, high = A.diagonal(-1), A.diagonal(), A.diagonal(1)
    banded = np.zeros((3, m.size))
    banded[0, 1:], banded[1], banded[2, :-1] = high, here, low

    def slope(t, m):
        out = here * m
        out[:-1] += high * m[1:]
        out[1:] += low * m[:-1]
        return out

    def run():
        done = solve_ivp(
            slope, (0, T), m, method="LSODA", rtol=rtol, atol=rtol * 1e-4, lband=1, uband=1,
            jac=lambda t, m: banded, t_eval=[T],
        )  # fmt: skip
        return density(done.y[:, -1])

    return run


def stiff(setting, T, method, rtol):
    """BDF or Radau with the exact sparse Jacobian."""
    A, m, density = on_masses(setting)
    A = A.tocsc()

    def run():
        done = solve_ivp(lambda t, m: A @ m, (0, T), m, method=method, rtol=rtol, atol=rtol * 1e-4, jac=A, t_eval=[T])
        return density(done.y[:, -1])

    return run


def sparse_crank_nicolson(setting, T, steps):
    """Crank-Nicolson with a sparse factorisation."""
    A, m0, density = on_masses(setting)
    half, eye = T / steps / 2 * A, sparse.eye_array(m0.size)

    def run():
        factors, ahead, m = splu((eye - half).tocsc()), (eye + half).tocsr(), m0
        for _ in range(steps):
            m = factors.solve(ahead @ m)
        return density(m)

    return run


def krylov(setting, T):
    """expm_multiply."""
    A, m, density = on_masses(setting)
    return lambda: density(expm_multiply(A * T, m))


def eigenvectors(setting, T):
    """The symmetrised generator by eigh_tridiagonal."""
    grid, U, start = setting
    A, m, density = on_masses(setting)
    root = np.exp(-BETA * (U - U.min()) / 2) * np.sqrt(grid.weights / grid.spacing[0])
    diagonal, off = A.diagonal(), np.sqrt(A.diagonal(1) * A.diagonal(-1))

    def run():
        values, vectors = eigh_tridiagonal(diagonal, off, select="v", select_range=(-40 / T, 1.0))
        return density(root * (vectors @ (np.exp(values * T) * (vectors.T @ (m / root)))))

    return run


# --- peers -------------------------------------------------------------------------------------------------------


def fipy_steps(setting, T, steps):
    """FiPy: exponential convection (Scharfetter-Gummel), backward Euler; None when it is not installed."""
    fipy = peer("fipy")
    if fipy is None:
        return None
    grid, U, start = setting
    h, n = grid.spacing, grid.shape
    if grid.dimension == 1:
        mesh = fipy.Grid1D(nx=n[0], dx=h[0])
    else:
        mesh = fipy.Grid2D(nx=n[0], ny=n[1], dx=h[0], dy=h[1])
    order = "F" if grid.dimension > 1 else "C"
    rho = fipy.CellVariable(mesh=mesh, value=start.ravel(order=order))
    potential = fipy.CellVariable(mesh=mesh, value=U.ravel(order=order))
    equation = fipy.TransientTerm() == fipy.DiffusionTerm(coeff=1 / BETA) + fipy.ExponentialConvectionTerm(
        coeff=potential.faceGrad
    )

    def run():
        rho.setValue(start.ravel(order=order))
        for _ in range(steps):
            equation.solve(var=rho, dt=T / steps)
        return np.asarray(rho.value).reshape(n, order=order)

    return run


def py_pde_run(setting, T):
    """py-pde: central differences, its compiled adaptive Euler steps, built beforehand; None when not installed."""
    pde = peer("py-pde", "pde")
    if pde is None:
        return None
    grid, U, start = setting
    sides = [[low - h / 2, high + h / 2] for low, high, h in zip(grid.lower, grid.upper, grid.spacing)]
    box = pde.CartesianGrid(sides, list(grid.shape))
    gradient = pde.ScalarField(box, U).gradient({"derivative": 0})
    laplacian = pde.ScalarField(box, U).laplace({"derivative": 0})
    equation = pde.PDE(
        {"c": f"dot(g, gradient(c)) + c * l + {1 / BETA} * laplace(c)"}, consts={"g": gradient, "l": laplacian},
        bc={"derivative": 0},
    )  # fmt: skip
    state = pde.ScalarField(box, start)
    stepper = pde.EulerSolver(equation, adaptive=True).make_stepper(state, dt=1e-5)

    def run():
        field = state.copy()
        stepper(field, 0, T)
        return field.data

    return run


def fplanck_run(setting, T):
    """fplanck: the same generator by expm_multiply; None when it is not installed or does not run here."""
    fplanck = peer("fplanck")
    if fplanck is None:
        return None
    if not hasattr(np, "product"):
        print("fplanck: skipped (this release needs NumPy < 2)", file=sys.stderr)
        return None
    grid, U, start = setting
    width = [h * n for h, n in zip(grid.spacing, grid.shape)]
    simulation = fplanck.fokker_planck(
        temperature=1 / (BETA * 1.380649e-23), drag=1.0, extent=width, resolution=list(grid.spacing),
        boundary=fplanck.boundary.reflecting, potential=lambda *_: U,
    )  # fmt: skip
    return lambda: simulation.propagate(lambda *_: start, T)


# --- the races ---------------------------------------------------------------------------------------------------


def compared(problem, contestants, error, base, targets, repeats, exact=None):
    """Rows of one race: `base` is ours, the ratio of the others is their time over ours.

    exact: (grid, {part of a name: density exact in time in the same discretisation}), "" for the others; the note then
    tells the error in time from the whole.
    """
    contestants = {name: run for name, run in contestants.items() if run is not None}
    times = race(contestants, repeats=repeats)
    for name, run in contestants.items():
        ratio = None if name == base else times[name] / times[base]
        final, note = run(), ""
        if exact is not None:
            grid, densities = exact
            density = next(value for part, value in densities.items() if part in name)
            note = f"in time alone {float(np.sum(grid.weights * np.abs(final - density))):.1e}"
        yield Row(problem, name, times[name], error(final), ratio, targets.get(name), note)


def line_rows(quick):
    """P4: the same error as banded LSODA at a fraction of its time."""
    setting = line(1024)
    base = "pdelab compact, 12 steps"
    contestants = {
        base: lambda: ours(setting, compact, T4, 12),
        "pdelab compact, 12 steps, n = 129": lambda: ours(line(129), compact, T4, 12),
        "pdelab crank_nicolson, 110 steps": lambda: ours(setting, crank_nicolson, T4, 110),
        "pdelab crank_nicolson, 70 steps": lambda: ours(setting, crank_nicolson, T4, 70),
        "pdelab implicit, 400 steps": lambda: ours(setting, implicit, T4, 400),
        "pdelab spectral": lambda: ours(setting, spectral, T4, None),
        "pdelab, no option, its errors told": lambda: with_errors(setting, T4),
        "scipy LSODA, banded, rtol 1e-5": lsoda(setting, T4, 1e-5),
        "scipy LSODA, banded, rtol 1e-6": lsoda(setting, T4, 1e-6),
        "scipy eigh_tridiagonal": eigenvectors(setting, T4),
    }
    if not quick:
        contestants |= {
            "scipy BDF": stiff(setting, T4, "BDF", 1e-6),
            "scipy Radau": stiff(setting, T4, "Radau", 1e-6),
        }
    targets = {"scipy LSODA, banded, rtol 1e-5": 12.0, "scipy LSODA, banded, rtol 1e-6": 12.0}
    yield from compared("P4", contestants, line_error, base, targets, 5 if quick else 11)
    if not quick:
        slow = {
            base: contestants[base],
            "scipy expm_multiply": krylov(setting, T4),
            "FiPy exponential, 100 steps": fipy_steps(setting, T4, 100),
            "py-pde, adaptive Euler": py_pde_run(setting, T4),
            "fplanck": fplanck_run(setting, T4),
        }
        targets = {"FiPy exponential, 100 steps": 800.0, "fplanck": 3000.0}
        yield from list(compared("P4", slow, line_error, base, targets, 1))[1:]
    yield hundred_times(setting)


def hundred_times(setting):
    """A hundred output times of the spectral route against the first of them alone, and against the last."""
    grid, U, start = setting
    problem = FokkerPlanck(U, beta=BETA)
    saved = np.linspace(0.05, 1, 100) * T4
    cases = {"first": saved[0], "last": T4, "hundred": saved}
    runs = {name: functools.partial(pl.solve, problem, start, grid, t, scheme=spectral) for name, t in cases.items()}
    times = race(runs)
    first, last = (times["hundred"] / times[name] for name in ("first", "last"))
    note = f"{first:.1f} times the cost of the first of them (the most modes), {last:.1f} of the last"
    return Row("P4", "pdelab spectral, 100 output times", times["hundred"], note=note)


def plane_rows(quick):
    """P5: the same error as scipy's best at a fraction of its time."""
    setting = plane(128)
    grid = setting[0]
    base = "pdelab compact, 6 steps"
    contestants = {
        base: lambda: ours(setting, compact, T5, 6),
        "pdelab compact, 12 steps": lambda: ours(setting, compact, T5, 12),
        "pdelab crank_nicolson, 40 steps": lambda: ours(setting, crank_nicolson, T5, 40),
        "pdelab implicit, 80 steps": lambda: ours(setting, implicit, T5, 80),
        "pdelab chebyshev": lambda: ours(setting, chebyshev, T5, None),
        "pdelab, no option, its errors told": lambda: with_errors(setting, T5),
        "scipy Crank-Nicolson, splu, 80 steps": sparse_crank_nicolson(setting, T5, 80),
        "scipy Crank-Nicolson, splu, 40 steps": sparse_crank_nicolson(setting, T5, 40),
    }
    targets = {"scipy Crank-Nicolson, splu, 80 steps": 30.0}
    exact = {"compact": ours(setting, compact, T5, 160), "": ours(setting, chebyshev, T5, None)}
    yield from compared("P5", contestants, plane_error, base, targets, 3 if quick else 5, (grid, exact))
    if not quick:
        slow = {
            base: contestants[base],
            "scipy expm_multiply": krylov(setting, T5),  # seconds of these slow down whoever comes next
            "scipy BDF, sparse": stiff(setting, T5, "BDF", 1e-5),
            "FiPy exponential, 40 steps": fipy_steps(setting, T5, 40),
            "py-pde, adaptive Euler": py_pde_run(setting, T5),
            "fplanck": fplanck_run(setting, T5),
        }
        targets = {"FiPy exponential, 40 steps": 400.0, "fplanck": 150.0, "py-pde, adaptive Euler": 10.0}
        yield from list(compared("P5", slow, plane_error, base, targets, 1))[1:]


def growth_rows(quick):
    """Cost of 50 Crank-Nicolson steps against the number of nodes: linear in each dimension."""
    sizes = {1: (1024, 4096, 16384), 2: (64, 128, 256), 3: (16, 32, 64)}
    for d, counts in sizes.items():
        counts = counts[:2] if quick else counts
        runs = {}
        for n in counts:
            grid = pl.Grid((-2.0,) * d, (2.0,) * d, (n,) * d)
            U = np.sum(well(grid.points), axis=-1) if d > 1 else well(grid.x)
            start = np.full(grid.shape, 1 / 4.0**d)
            problem = FokkerPlanck(U, beta=BETA)
            runs[n] = functools.partial(pl.solve, problem, start, grid, 1.0, scheme=crank_nicolson, dt=1 / 50)
        times = race(runs, repeats=3)
        nodes = np.array([float(n) ** d for n in counts])
        slope = np.polyfit(np.log(nodes), np.log([times[n] for n in counts]), 1)[0]
        for n in counts:
            rate = 50 * float(n) ** d / times[n] / 1e3
            note = f"{rate:.0f} M node-steps/s, slope {slope:.2f} in the nodes"
            yield Row(f"growth {d}-D", f"pdelab crank_nicolson, {n}^{d}", times[n], note=note)


def figure_row():
    """Figure 4.1's densities: 1600 implicit steps on 1201 nodes, the potential in 201 slices."""
    grid = pl.Grid(-6.0, 6.0, 1201)
    x = grid.x
    f = 0.2 * x**2 + 0.3 * np.cos(5 * x + 4.5) + 0.3 * np.cos(4 * x + 2)
    slices = Slices(np.linspace(0, 16, 201), np.linspace(1, 0.2, 201)[:, None] * f)
    start = np.exp(-((x + 2.73) ** 2) / 0.045)
    problem = FokkerPlanck(slices, diffusivity=0.02)
    times = race(
        {"run": lambda: pl.solve(problem, start, grid, 16.0, scheme=implicit, dt=0.01, rtol=math.inf)}, repeats=3
    )
    note, missed = "1600 steps; aimed at < 1000 ms", times["run"] >= 1000
    yield Row("figure 4.1", "pdelab implicit, moving potential", times["run"], note=note, missed=missed)


def generator_row(n):
    """The sparse generator of a diffusion whose long axis turns from place to place."""
    grid = pl.Grid((-2.0, -2.0), (2.0, 2.0), (n, n))
    turn = grid.points[..., 0] + grid.points[..., 1] / 2
    along = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    across = np.stack([-np.sin(turn), np.cos(turn)], axis=-1)
    tensor = sum(size * axis[..., :, None] * axis[..., None, :] for size, axis in ((1.0, along), (0.05, across)))
    problem = FokkerPlanck(grid.points[..., 0] ** 2, diffusivity=0.5, diffusion=tensor)
    milliseconds = race({"run": lambda: generator(problem, grid)}, repeats=3)["run"]
    tracemalloc.start()
    generator(problem, grid)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    note, missed = f"peak {peak:.0f} MB; aimed at < 2000 ms and 500 MB at 512^2", milliseconds >= 2000 or peak >= 500
    yield Row("generator", f"pdelab, turning D(x), {n}x{n}", milliseconds, note=note, missed=missed)


def structure_rows():
    """What no speed may cost: mass, equilibrium, positivity; error column: the largest violation."""
    for scheme in (implicit, crank_nicolson, compact):
        grid, U, start = line(256)
        gibbs = np.exp(-BETA * (U - U.min()))
        gibbs /= np.sum(grid.weights * gibbs)
        problem = FokkerPlanck(U, beta=BETA)
        done = pl.solve(problem, start, grid, 1000.0, scheme=scheme, dt=0.01, rtol=math.inf)
        held = pl.solve(problem, gibbs, grid, 1000.0, scheme=scheme, dt=0.01, rtol=math.inf)
        name = f"pdelab {scheme.__name__}, 1e5 steps"
        drift, away = float(done.info["mass_drift"].max()), float(np.abs(held.final / gibbs - 1).max())
        yield Row("mass drift", name, None, drift, note="at most 1e-13", missed=drift > 1e-13)
        yield Row("Gibbs drift", name, None, away, note="at most 1e-12", missed=away > 1e-12)
    grid, U, start = plane(128)
    lowest = pl.solve(FokkerPlanck(U, beta=BETA), start, grid, T5, scheme=implicit, dt=T5, rtol=math.inf).final.min()
    below = float(max(-lowest, 0.0))
    yield Row("positivity", "pdelab implicit, one step of P5", None, below, note="exactly 0", missed=below > 0)
