"""Observed orders: error against spacing for each scheme and equation, always against an exact answer."""

import numpy as np

NAME = "orders"
TITLE = "Every scheme has the order that it promises, measured against exact solutions"
PARAMETERS = {"sizes": (64, 128, 256, 512, 1024), "end": 0.2, "beta": 10.0}
QUICK = {"sizes": (64, 128, 256, 512)}
CHECKS = {
    "hamilton_jacobi_monotone": (0.85, 1.15),
    "hamilton_jacobi_fitted": (1.7, 2.3),
    "hamilton_jacobi_filtered": (4.0, 6.0),
    "hamilton_jacobi_implicit": (0.85, 1.4),
    "heat_monotone": (1.9, 2.1),
    "heat_2d_monotone": (1.9, 2.1),
    "fokker_planck_implicit_in_dt": (0.9, 1.1),
    "fokker_planck_crank_nicolson_in_dt": (1.8, 2.3),
    "fokker_planck_in_h": (1.9, 2.1),
    "hamilton_jacobi_2d_monotone": (0.85, 1.15),
}


def compute(sizes, end, beta):
    """Errors of each scheme on refined grids; the slopes over the finest three are the numbers."""
    from pdelab.plotting import observed_order

    errors = {}
    h = 2.0 / np.array(sizes)
    errors |= {f"hamilton_jacobi_{k}": (h, e) for k, e in _hamilton_jacobi(sizes, end, beta).items()}
    errors |= _heat(sizes)
    errors |= _plane(tuple(n // 4 for n in sizes), end, beta)
    errors |= _fokker_planck(sizes)
    data = {}
    for name, (steps, wrong) in errors.items():
        data |= {f"steps_{name}": np.asarray(steps), f"errors_{name}": np.asarray(wrong)}
        data[name] = observed_order(steps, wrong)
    return data


def _data(x):
    return (1 - np.cos(np.pi * x)) / 2 + 0.3 * np.cos(6 * np.pi * x) + 0.1 * np.sin(2 * np.pi * x)


def _hamilton_jacobi(sizes, end, beta):
    import pdelab as pl
    from pdelab import hamilton_jacobi as hj

    schemes = {"monotone": hj.monotone, "fitted": hj.fitted, "filtered": hj.filtered, "implicit": hj.implicit}
    errors = {name: [] for name in schemes}
    for n in sizes:
        grid = pl.Grid(-1.0, 1.0, n, boundary="periodic")
        exact = pl.cole_hopf(_data(grid.x), grid, end, beta)
        for name, scheme in schemes.items():
            u = pl.solve(pl.HamiltonJacobi(beta=beta), _data(grid.x), grid, end, scheme=scheme, rtol=np.inf).final
            errors[name].append(np.abs(u - exact).max())
    return errors


def _heat(sizes):
    import pdelab as pl

    line, plane = [], []
    for n in sizes:
        grid = pl.Grid(-1.0, 1.0, n // 2, boundary="periodic")
        v = pl.solve(pl.Heat(viscosity=0.1), np.cos(2 * np.pi * grid.x), grid, 0.1, rtol=np.inf).final
        line.append(np.abs(v - np.exp(-0.4 * np.pi**2 * 0.1) * np.cos(2 * np.pi * grid.x)).max())
        grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), n // 4, boundary="periodic")
        wave = np.cos(np.pi * grid.points[..., 0]) * np.cos(2 * np.pi * grid.points[..., 1])
        v = pl.solve(pl.Heat(viscosity=0.1), wave, grid, 0.1, rtol=np.inf).final
        plane.append(np.abs(v - np.exp(-0.5 * np.pi**2 * 0.1) * wave).max())
    h = 2.0 / np.array(sizes)
    return {"heat_monotone": (2 * h, line), "heat_2d_monotone": (4 * h, plane)}


def _plane(sizes, end, beta):
    import pdelab as pl

    errors = []
    for n in sizes:
        grid = pl.Grid((-1.0, -1.0), (1.0, 1.0), 2 * n, boundary="periodic")
        x, y = np.moveaxis(grid.points, -1, 0)
        f = np.cos(np.pi * (x + y)) / 2 + 0.3 * np.sin(2 * np.pi * x)
        exact = pl.cole_hopf(f, grid, end, beta)
        errors.append(np.abs(pl.solve(pl.HamiltonJacobi(beta=beta), f, grid, end, rtol=np.inf).final - exact).max())
    return {"hamilton_jacobi_2d_monotone": (1.0 / np.array(sizes), errors)}


def _fokker_planck(sizes):
    """Ornstein-Uhlenbeck, whose density is a Gaussian known at all times."""
    import pdelab as pl

    def run(n, dt, scheme):
        grid = pl.Grid(-5.0, 5.0, n + 1)
        law = lambda t: _gaussian(grid.x, np.exp(-t), 0.5 + (0.04 - 0.5) * np.exp(-2 * t))  # noqa: E731
        problem = pl.FokkerPlanck(grid.x**2 / 2, beta=2.0)
        rho = pl.solve(problem, law(0.0), grid, 1.0, scheme=scheme, dt=dt, rtol=np.inf).final
        return grid.integrate(np.abs(rho - law(1.0)))

    implicit, crank_nicolson = pl.fokker_planck.implicit, pl.fokker_planck.crank_nicolson
    steps = np.array([0.1, 0.05, 0.025, 0.0125])
    fine = 4096
    return {
        "fokker_planck_in_h": (10.0 / np.array(sizes), [run(n, 2e-3, crank_nicolson) for n in sizes]),
        "fokker_planck_implicit_in_dt": (steps, [run(fine, dt, implicit) for dt in steps]),
        "fokker_planck_crank_nicolson_in_dt": (steps, [run(fine, dt, crank_nicolson) for dt in steps]),
    }


def _gaussian(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def draw(data):
    """One panel an equation; the order stands in the legend."""
    from pdelab.plotting import label_ends, orders, subplots

    panels = {
        f"Hamilton-Jacobi, β = {data.get('beta', 10):g}": "hamilton_jacobi",
        "Heat": "heat",
        "Fokker-Planck (OU)": "fokker_planck",
    }
    figure, axes = subplots(1, 3, size=(8.0, 4.6))
    for ax, (title, prefix) in zip(axes, panels.items()):
        names = [key.removeprefix("errors_") for key in data if key.startswith(f"errors_{prefix}")]
        for name in names:
            label = name.removeprefix(prefix + "_").replace("_", " ").replace("2d monotone", "monotone, 2-D")
            orders(data[f"steps_{name}"], data[f"errors_{name}"], ax, label)
        ax.set(title=title, xlabel="spacing h or step dt")
        label_ends(ax, columns=1)
    axes[0].set_ylabel("error")
    return figure
