"""Closed forms against time-stepping peers and NumPy: P1, P2, P3, and how the cost grows with n."""

import math

import numpy as np

import pdelab as pl
from benchmarks.explicit import py_pde_steps, reachability_run
from benchmarks.harness import Row, peer, race


def rows(quick=False):
    """Hopf-Lax on P3 and P2, Cole-Hopf on P1, and their growth."""
    yield from _hopf_lax(256 if quick else 512, 2 if quick else 5)
    yield from _lax_oleinik()
    yield from _cole_hopf()
    yield from _growth(quick)


def _p3():
    bowl = "(x**2 + y**2)/4 - 0.8*exp(-((x - 0.6)**2 + (y - 0.3)**2)/0.08) - exp(-((x + 0.5)**2 + (y + 0.4)**2)/0.15)"
    return pl.Loss(bowl + " + 0.1*x*y")


def _min_plus(values, h, t):
    """The same minimum over nodes by NumPy: two dense min-plus products, O(n³)."""
    n = len(values)
    cost = (h * np.subtract.outer(np.arange(n), np.arange(n))) ** 2 / (2 * t)
    for _ in range(2):
        values = np.stack([(cost + line).min(axis=1) for line in values.T])
    return values


def _hopf_lax(n, repeats):
    f, t = _p3(), 0.2
    grid = pl.Grid((-2.0, -2.0), (2.0, 2.0), (n, n), boundary="outflow")
    values, frame = f.on(grid), n // 16
    inner = (slice(frame, -frame),) * 2
    exact = pl.local_entropy(f, grid, t, math.inf)
    contestants = {
        "plain": lambda: pl.hopf_lax(values, grid, t, refine=False),
        "refined": lambda: pl.hopf_lax(values, grid, t),
        "NumPy min-plus": lambda: _min_plus(values, grid.spacing[0], t),
    }
    results = {name: run() for name, run in contestants.items()}
    if reachability := peer("hj_reachability"):
        contestants["hj_reachability very_high"] = reachability_run(reachability, "very_high", values)
        results["hj_reachability very_high"] = contestants["hj_reachability very_high"]()
    times = race(contestants, repeats)
    for name, ms in times.items():
        gap = np.abs(np.asarray(results[name]) - exact)[inner]
        ours, target = ("plain", 50) if "min-plus" in name else ("refined", 60)
        ratio = ms / times[ours] if name not in ("plain", "refined") else None
        note = f"Linf {gap.max():.1e}"
        yield Row(f"P3 {n}x{n}", name, ms, gap.mean(), ratio, target if ratio else None, note)


def _lax_oleinik():
    """P2: u0 = 0.5 + sin x, T = 2, N = 8192, the velocity at the nodes from the proximal map of a Loss."""
    n, t = 8192, 2.0
    f = pl.Loss("0.5*x - cos(x)")
    grid = pl.Grid(-12.0, 12.0, n)
    inner = np.abs(grid.x) < 6.0
    point = pl.proximal(f, grid, t)
    error = np.abs(f.gradient(point) - (grid.x - point) / t)[inner].mean()
    ms = race({"ours": lambda: pl.proximal(f, grid, t)})["ours"]
    yield Row("P2 N=8192", "Lax-Oleinik, Loss, Newton-polished", ms, error, note="aim 1.5 ms, 1e-10")


def _p1(n):
    grid = pl.Grid(-1.0, 1.0, n, boundary="periodic")
    x = grid.x
    return grid, (1 - np.cos(np.pi * x)) / 2 + 0.3 * np.cos(6 * np.pi * x) + 0.1 * np.sin(2 * np.pi * x)


def _cole_hopf():
    grid, f = _p1(1024)
    fine, g = _p1(8192)
    exact = pl.cole_hopf(g, fine, 0.2, 10.0)[::8]
    contestants = {"Cole-Hopf": lambda: pl.cole_hopf(f, grid, 0.2, 10.0)}
    contestants["Cole-Hopf, beta osc f = 1600"] = lambda: pl.cole_hopf(f, grid, 0.2, 1000.0)
    if pde := peer("py-pde", "pde"):
        step = 0.9 * (2 / 1024) ** 2 / 0.1
        steps = math.ceil(0.2 / step)
        contestants["py-pde Euler"] = py_pde_steps(pde, (-1, 1), (1024,), f, 0.2 / steps, steps)
    errors = {name: np.abs(run() - exact).max() for name, run in contestants.items() if "osc" not in name}
    times = race(contestants, 11)
    for name, ms in times.items():
        ratio = ms / times["Cole-Hopf"] if name.startswith("py-pde") else None
        yield Row("P1 N=1024", name, ms, errors.get(name), ratio, 90 if ratio else None)


def _growth(quick):
    """Slope of log cost against log n: 1 is linear."""
    sizes = [2**k for k in range(11, 15 if quick else 18)]
    for name, run in (
        ("Hopf-Lax plain", lambda f, g: pl.hopf_lax(f, g, 0.2, refine=False)),
        ("Hopf-Lax refined", lambda f, g: pl.hopf_lax(f, g, 0.2)),
        ("Cole-Hopf, beta osc f = 1600", lambda f, g: pl.cole_hopf(f, g, 0.2, 1000.0)),
    ):
        times = []
        for n in sizes:
            grid, f = _p1(n)
            times.append(race({"ours": lambda f=f, grid=grid, run=run: run(f, grid)}, 5)["ours"])
        slope = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
        yield Row("growth", f"{name}, n = {sizes[0]}..{sizes[-1]}", times[-1], note=f"cost ~ n^{slope:.2f} a line")
