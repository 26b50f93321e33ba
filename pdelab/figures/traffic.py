"""Traffic as Burgers' equation: a light that turns green, the tail of a queue, and the fundamental diagram."""

import numpy as np

NAME = "traffic"
TITLE = "A green light spreads as a rarefaction; the tail of a queue runs back as a shock"
PARAMETERS = {
    "n": 801, "length": 600.0, "duration": 12.0, "free_speed": 15.0, "jam_density": 0.14, "arriving": 0.04, "times": 61,
}  # fmt: skip
QUICK = {"n": 401, "times": 31}
CHECKS = {
    # cars per second; u_m ρ_m / 4
    "capacity": (0.5249, 0.5251),
    # cars a driver passes: L1 error against the exact Riemann solutions, relative to the cars on the road
    "green_light_error": (None, 5e-3),
    "queue_error": (None, 5e-3),
    # Rankine-Hugoniot: u_m (1 - (ρ_l + ρ_r)/ρ_m) = -4.2857 m/s
    "queue_speed_error": (None, 0.02),
    "printed_variables_error": (0.1, None),
}


def compute(n, length, duration, free_speed, jam_density, arriving, times):
    """Two Riemann problems by the high-resolution scheme, against their exact solutions; and the diagram."""
    import pdelab as pl

    road = pl.burgers.traffic(free_speed, jam_density)
    grid = pl.Grid(-length / 2, length / 2, n, boundary="outflow")
    x, t = grid.x, np.linspace(0.0, duration, times)
    light = np.where(x < 0, jam_density, 0.0)
    queue = np.where(x < 0, arriving, jam_density)
    options = {"scheme": pl.burgers.high_resolution}
    green = road.solve(light, grid, t, **options)
    tail = road.solve(queue, grid, t, **options)
    cars = jam_density * length / 2
    exact_green, exact_tail = road.green_light(x, duration), road.queue(arriving, x, duration)
    middle = (arriving + jam_density) / 2
    place = np.array([_crossing(x, rho, middle) for rho in tail.values])
    speed = float(np.polyfit(t[times // 4 :], place[times // 4 :], 1)[0])
    theory = road.shock_speed(arriving, jam_density)
    densities = np.linspace(0.0, jam_density, 101)
    printed = jam_density / 2 * (1 - road.wave_speed(densities))  # (3.12) as printed, without u_m
    return {
        "x": x, "t": t, "green": green.values, "tail": tail.values, "place": place, "densities": densities,
        "flow": road.flow(densities), "states": np.array([0.0, arriving, jam_density]), "queue_speed": speed,
        "free_speed": free_speed, "jam_density": jam_density, "arriving": arriving, "theory": theory,
        "capacity": float(road.capacity),
        "green_light_error": grid.integrate(np.abs(green.final - exact_green)) / cars,
        "queue_error": grid.integrate(np.abs(tail.final - exact_tail)) / cars,
        "queue_speed_error": abs(speed / theory - 1),
        "printed_variables_error": float(np.abs(printed - densities).max() / jam_density),
    }  # fmt: skip


def _crossing(x, density, level):
    """Where an increasing profile passes a level, linear between nodes."""
    k = int(np.argmax(density >= level))
    part = (level - density[k - 1]) / (density[k] - density[k - 1])
    return x[k - 1] + part * (x[k] - x[k - 1])


def draw(data):
    """Density over road and time for both, and the fundamental diagram with the chord of the shock."""
    from pdelab.plotting import COLORS, legend_above, subplots

    figure, axes = subplots(1, 3, size=(8.0, 4.0), gridspec_kw={"width_ratios": [1, 1, 0.95]})
    for ax, name, title in zip(axes, ("green", "tail"), ("A red light turns green", "Cars run into a queue")):
        mesh = ax.pcolormesh(
            data["x"], data["t"], data[name], cmap="magma_r", vmin=0.0, vmax=float(data["jam_density"]),
            shading="nearest", rasterized=True,
        )  # fmt: skip
        ax.set(title=title, xlabel="place (m)", xlim=(-200, 200))
    axes[0].set_ylabel("time (s)")
    axes[1].plot(data["theory"] * data["t"], data["t"], ls="--", color="white", lw=1.2)
    axes[1].text(-190, 9.5, f"{data['theory']:.2f} m/s", color=COLORS["loss"], fontsize=9)
    figure.colorbar(mesh, ax=axes[1], label="density (cars/m)")
    diagram = axes[2]
    diagram.plot(data["densities"], data["flow"], color=COLORS["loss"])
    arriving, jam = float(data["arriving"]), float(data["jam_density"])
    height = np.interp(arriving, data["densities"], data["flow"])
    diagram.plot([arriving, jam], [height, 0], "o--", color=COLORS["viscous"], label="shock: slope of the chord")
    diagram.plot([0, jam], [0, 0], "s", color=COLORS["good"], label="green light: slopes between", zorder=3)
    diagram.set(title="Fundamental diagram", xlabel="density (cars/m)", ylabel="flow (cars/s)", ylim=(-0.03, 0.75))
    legend_above(diagram)
    return figure
