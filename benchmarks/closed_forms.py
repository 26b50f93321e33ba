"""Closed forms against time-stepping peers, NumPy and SciPy: P1, P2, P3, distances, and how the cost grows with n.

Errors of P1 and P2 are distances to mpmath's answers in 30 digits at some of the nodes; those of losses on grids, whose
integrals are over all of R^d, to sums over every node of a dense lattice at three of them, of kinks to mpmath's. There
"node values" sample the loss as far out and on as fine a grid as it takes them to be as accurate, or as 12 million
nodes are.
"""

import math

import numpy as np

import pdelab as pl
from benchmarks.explicit import P3, py_pde_steps, reachability_run
from benchmarks.harness import Row, peer, race


def rows(quick=False):
    """Hopf-Lax on P3 and P2, Cole-Hopf on P1, and their growth."""
    yield from _hopf_lax(256 if quick else 512, 2 if quick else 5)
    yield from _lax_oleinik()
    yield from _cole_hopf()
    yield from _losses_on_grids(quick)
    yield from _distances(256 if quick else 512, 2 if quick else 5)
    yield from _growth(quick)


def _min_plus(values, h, t):
    """The same minimum over nodes by NumPy: two dense min-plus products, O(n³)."""
    n = len(values)
    cost = (h * np.subtract.outer(np.arange(n), np.arange(n))) ** 2 / (2 * t)
    for _ in range(2):
        values = np.stack([(cost + line).min(axis=1) for line in values.T])
    return values


def _hopf_lax(n, repeats):
    f, t = pl.Loss(P3), 0.2
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
    chosen = np.flatnonzero(np.abs(grid.x) < 6.0)[::101]
    exact = np.array([_minimiser(float(x), t) for x in grid.x[chosen]])
    error = np.abs(pl.proximal(f, grid, t)[chosen] - exact).max()
    ms = race({"ours": lambda: pl.proximal(f, grid, t)})["ours"]
    name, note = "Lax-Oleinik, Loss, Newton-polished", "aim 1.5 ms, error 1e-10"
    yield Row("P2 N=8192", name, ms, error, note=note, missed=ms > 1.5 or error > 1e-10)


def _minimiser(x, t):
    """argmin of y/2 - cos y + (x - y)²/2t: stationary points of a fine lattice, polished in 30 digits by mpmath."""
    import mpmath

    value = lambda y: y / 2 - mpmath.cos(y) + (x - y) ** 2 / (2 * t)  # noqa: E731
    slope = lambda y: 0.5 + mpmath.sin(y) - (x - y) / t  # noqa: E731
    lattice = np.linspace(x - 4 * t, x + 4 * t, 4001)
    slopes = 0.5 + np.sin(lattice) - (x - lattice) / t
    with mpmath.workdps(30):
        starts = lattice[:-1][(slopes[:-1] < 0) & (slopes[1:] >= 0)]
        return float(min((mpmath.findroot(slope, float(y)) for y in starts), key=value))


def _p1(n):
    grid = pl.Grid(-1.0, 1.0, n, boundary="periodic")
    x = grid.x
    return grid, (1 - np.cos(np.pi * x)) / 2 + 0.3 * np.cos(6 * np.pi * x) + 0.1 * np.sin(2 * np.pi * x)


def _cole_hopf():
    grid, f = _p1(1024)
    chosen = np.arange(0, 1024, 64)
    contestants = {
        "Cole-Hopf": lambda: pl.cole_hopf(f, grid, 0.2, 10.0),
        "Cole-Hopf, beta osc f = 1600": lambda: pl.cole_hopf(f, grid, 0.2, 1000.0),
        "NumPy FFT": lambda: _by_fft(f, 0.2, 10.0),
    }
    exact = {beta: np.array([_integral(float(x), 0.2, beta) for x in grid.x[chosen]]) for beta in (10.0, 1000.0)}
    if pde := peer("py-pde", "pde"):
        step = 0.9 * (2 / 1024) ** 2 / 0.1
        steps = math.ceil(0.2 / step)
        contestants["py-pde Euler"] = py_pde_steps(pde, (-1, 1), (1024,), f, 0.2 / steps, steps)
    times = race(contestants, 11)
    for name, ms in times.items():
        ratio = ms / times["Cole-Hopf"] if name.startswith(("py-pde", "NumPy")) else None
        error = np.abs(contestants[name]()[chosen] - exact[1000.0 if "osc" in name else 10.0]).max()
        yield Row("P1 N=1024", name, ms, error, ratio, 90 if name.startswith("py-pde") else None)


def _by_fft(f, t, beta):
    """Cole-Hopf on the ring [-1, 1) in five lines of NumPy: digits are lost once beta osc f is large."""
    frequencies = np.pi * np.fft.rfftfreq(len(f), 1 / len(f))
    heat = np.exp(-(frequencies**2) * t / (2 * beta))
    smooth = np.fft.irfft(np.fft.rfft(np.exp(-beta * (f - f.min()))) * heat, len(f))
    return f.min() - np.log(smooth) / beta


def _integral(x, t, beta):
    """Local entropy of P1 at one point: the Gaussian average over the line by mpmath, 30 digits."""
    import mpmath

    with mpmath.workdps(30):
        pi = mpmath.pi
        f = lambda y: (1 - mpmath.cos(pi * y)) / 2 + 0.3 * mpmath.cos(6 * pi * y) + 0.1 * mpmath.sin(2 * pi * y)  # noqa: E731
        exponent = lambda y: -beta * (f(y) + (x - y) ** 2 / (2 * t))  # noqa: E731
        lattice = np.linspace(x - 3.0, x + 3.0, 6001)
        top = max(exponent(float(y)) for y in lattice)
        near = [float(y) for y in lattice if exponent(float(y)) > top - 80]
        cuts = np.linspace(near[0] - 0.001, near[-1] + 0.001, 60)
        area = mpmath.quad(lambda y: mpmath.exp(exponent(y) - top), [float(c) for c in cuts])
        return float(-(mpmath.log(area) + top - mpmath.log(2 * pi * t / beta) / 2) / beta)


def _losses_on_grids(quick):
    """Value, gradient and Hessian of the local entropy of a Loss: at most 5 times node values of equal accuracy."""
    cases = (
        ("smooth, 1-D", "x**2/2 + cos(5*x)/5", (-2.0, 2.0), 2001, 0.2, 20.0, 3.0),
        ("kinks, 1-D", "abs(x) + cos(5*x)/5", (-2.0, 2.0), 201, 0.2, 20.0, 3.0),
        ("smooth, 2-D", "x**2 + y**2 + cos(5*x)*sin(3*y)", (-2.0, 2.0), 129, 0.2, 20.0, 3.0),
        ("Rastrigin, 2-D", pl.losses.rastrigin(2).formula, (-3.0, 3.0), 33, 0.5, 100.0, 7.0),
        ("smooth, 3-D", "x**2 + y**2 + z**2/2 + cos(3*x)*sin(3*y)*cos(z)", (-1.0, 1.0), 17, 0.2, 20.0, 3.0),
    )
    for name, formula, box, n, gamma, beta, reach in cases[: 2 if quick else None]:
        f = pl.Loss(formula)
        d = f.dimension
        grid = pl.Grid((box[0],) * d, (box[1],) * d, n)
        nodes = np.random.default_rng(0).integers(0, n, (3, d))
        exact = np.array([_average(f, grid.points[tuple(k)], gamma, beta, reach, "abs" in formula) for k in nodes])
        apart = lambda u, nodes=nodes, exact=exact: float(np.abs(u[tuple(nodes.T)] - exact).max())  # noqa: E731
        error = apart(pl.local_entropy(f, grid, gamma, beta))
        finer = _finer(f, grid, gamma, beta, reach, apart, error + 1e-12, 10**5 if quick else 12 * 10**6)
        contestants = {
            "value": lambda f=f, grid=grid, gamma=gamma, beta=beta: pl.local_entropy(f, grid, gamma, beta),
            "gradient": lambda f=f, grid=grid, gamma=gamma, beta=beta: pl.local_entropy_gradient(f, grid, gamma, beta),
            "Hessian": lambda f=f, grid=grid, gamma=gamma, beta=beta: pl.local_entropy_hessian(f, grid, gamma, beta),
            "node values": finer[0],
        }
        times = race(contestants, 1)
        for kind, ms in times.items():
            ours = kind != "node values"
            ratio = times["node values"] / ms if ours else None
            note = "" if ours else f"{finer[2]} nodes"
            yield Row(
                f"{name}, {n}^{d}", kind, ms, (error if kind == "value" else None) if ours else finer[1], ratio,
                0.2 if ours else None, note,
            )  # fmt: skip


def _finer(f, grid, gamma, beta, reach, apart, error, most):
    """(run, error, nodes) of Cole-Hopf from node values on a wider grid, as fine as it takes or as `most` nodes are."""
    level, best = 1, None
    while gamma < 2.0 * beta * (grid.spacing[0] / level) ** 2:  # kernels narrower than the nodes see an interpolant
        level *= 2
    while True:
        more = math.ceil(reach / grid.spacing[0])
        count = level * (grid.shape[0] - 1 + 2 * more) + 1
        if best is not None and count**grid.dimension > most:
            return best
        ends = [(a - more * h, b + more * h) for a, b, h in zip(grid.lower, grid.upper, grid.spacing)]
        wide = pl.Grid([a for a, _ in ends], [b for _, b in ends], count)
        inner = (slice(level * more, count - level * more, level),) * grid.dimension
        run = lambda wide=wide, inner=inner: pl.cole_hopf(f.on(wide), wide, gamma, beta)[inner]  # noqa: E731
        best = run, apart(run()), count**grid.dimension
        if best[1] <= error:
            return best
        level *= 2


def _average(f, x, gamma, beta, reach, kinks):
    """-(1/beta) log of the Gaussian average of exp(-beta f) around one point."""
    d = f.dimension
    if kinks:
        import mpmath
        import sympy

        value = sympy.lambdify("x", f.formula.replace("abs", "Abs"), "mpmath")
        with mpmath.workdps(30):
            exponent = lambda y: -beta * (value(y) + (y - float(x)) ** 2 / (2 * gamma))  # noqa: E731
            cuts = sorted([0.0, *(float(x) + np.linspace(-reach, reach, 41))])
            area = mpmath.quad(lambda y: mpmath.exp(exponent(y)), cuts)
            return float(-mpmath.log(area * mpmath.sqrt(beta / (2 * mpmath.pi * gamma))) / beta)
    count = {1: 20_001, 2: 4001, 3: 201}[d]
    line = np.linspace(-reach, reach, count)
    away = line if d == 1 else np.stack(np.meshgrid(*[line] * d, indexing="ij"), axis=-1)
    square = away**2 if d == 1 else (away**2).sum(axis=-1)
    energy = f(x + away) + square / (2 * gamma)
    total = np.exp(-beta * (energy - energy.min())).sum() * (line[1] - line[0]) ** d
    return float(energy.min() - math.log(total * (beta / (2 * math.pi * gamma)) ** (d / 2)) / beta)


def _distances(n, repeats):
    """Hopf-Lax of the indicator of a set is half the squared distance to it: against SciPy's exact transform."""
    from scipy import ndimage

    grid = pl.Grid((0.0, 0.0), (n - 1.0, n - 1.0), (n, n))
    outside = np.random.default_rng(0).random((n, n)) > 0.001
    indicator = np.where(outside, np.inf, 0.0)
    contestants = {
        "Hopf-Lax of an indicator": lambda: pl.hopf_lax(indicator, grid, 0.5, refine=False),
        "SciPy distance_transform_edt": lambda: ndimage.distance_transform_edt(outside) ** 2,
    }
    ours, theirs = (run() for run in contestants.values())
    times = race(contestants, repeats)
    for name, ms in times.items():
        ratio = ms / times["Hopf-Lax of an indicator"] if "SciPy" in name else None
        yield Row(f"distances {n}x{n}", name, ms, np.abs(ours - theirs).max(), ratio)


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
