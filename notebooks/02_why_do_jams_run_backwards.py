# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why do jams run backwards?

# %% [markdown]
# ## Question
#
# On a road every car drives forward. Still the tail of a queue runs backward, towards the cars that arrive. Who
# carries it? Let ρ be the density of cars, and let drivers slow down where it is dense, $u = u_m (1 - \rho/\rho_m)$.
# Cars are neither made nor lost:
#
# $$\rho_t + (\rho\, u(\rho))_x = 0, \qquad w = u_m (1 - 2\rho/\rho_m) \quad\Rightarrow\quad w_t + w\, w_x = 0 .$$
#
# The second one is Burgers' equation, for the speed $w$ of small waves. The slope of a loss that is smoothed by
# Hamilton-Jacobi's equation obeys it too: a loss makes shocks as a road does.

# %% [markdown]
# ## Prediction
#
# Cars with 15 m/s on an empty road, 0.14 cars a metre where they stand. A stream of 0.04 cars a metre meets a standing
# queue. Does the tail of the queue move back faster or slower than the cars arrive, and what if the stream is thinner?

# %% [markdown]
# ## Run

# %%
import matplotlib as mpl
import numpy as np

import pdelab as pl
from pdelab import exercises, plotting

mpl.rcParams.update(plotting.STYLE)
road, jam, arriving = pl.burgers.traffic(free_speed=15.0, jam_density=0.14), 0.14, 0.04
grid = pl.Grid(-300.0, 300.0, 601, boundary="outflow")
x, times = grid.x, np.linspace(0.0, 12.0, 25)
queue = np.where(x < 0, arriving, jam)
solution = road.solve(queue, grid, times)


def tail(density):
    """Where the density passes the middle between the stream and the queue."""
    return np.interp((arriving + jam) / 2, density, x)


measured = np.polyfit(times, [tail(density) for density in solution.values], 1)[0]
counted = (road.flow(jam) - road.flow(arriving)) / (jam - arriving)
print(
    f"cars drive with {road.speed(arriving):+.2f} m/s, the tail with {measured:+.3f} m/s; counted: {counted:+.3f} m/s"
)
assert abs(measured - counted) < grid.spacing[0] / times[-1]  # one cell in the whole time
assert (road.speed(solution.values) >= 0).all()  # no car drives backward

# %% [markdown]
# The tail is no car. It is the place where cars stop, and the next car stops one place further back. Count them: each
# second $q(\rho_l) - q(\rho_r)$ cars are added to the queue, and each metre of queue holds $\rho_r - \rho_l$ more of
# them. So the speed is $(q_r - q_l)/(\rho_r - \rho_l)$, the law of Rankine and Hugoniot. Against a standing queue
# that is $-u_m \rho_l/\rho_m$: a thinner stream moves the tail back more slowly.

# %%
figure, ax = plotting.subplots(size=(7.0, 3.8))
for start in (*np.arange(-240.0, 0.0, 15.0), *np.arange(0.0, 130.0, 15.0 * arriving / jam)):
    v = road.speed(arriving) if start < 0 else 0.0
    stop = counted * start / (counted - v) if start < 0 else start
    ax.plot(np.minimum(start + v * times, stop), times, color=plotting.COLORS["sgd"], lw=0.9)
ax.plot([tail(density) for density in solution.values], times, **plotting.look("viscous"), label="tail of the queue")
ax.plot([], [], color=plotting.COLORS["sgd"], lw=0.9, label="cars")
ax.set(xlabel="place (m)", ylabel="time (s)", xlim=(-120, 120), ylim=(0, 12))
plotting.label_ends(ax, loc="upper right", frameon=True)
plotting.frame(figure, "Every car moves forward or stands; the tail moves back", f"{arriving} cars/m meet {jam} cars/m")

# %% [markdown]
# ## The wrong method
#
# Nothing is as natural as to carry each density along with its own speed $w(\rho)$, difference taken from where it
# comes. That is $\rho_t + w(\rho)\, \rho_x = 0$, the same equation for smooth ρ. **What does it do to the queue?**

# %%
for nodes in (151, 601, 2401):
    line = pl.Grid(-300.0, 300.0, nodes, boundary="outflow")
    rho, steps = np.where(line.x < 0, arriving, jam), 2 * nodes
    for _ in range(steps):
        slope, w = np.diff(rho) / line.spacing[0], road.wave_speed(rho)
        rho = rho - 12.0 / steps * w * np.where(w > 0, np.r_[0.0, slope], np.r_[slope, 0.0])
    print(f"h = {line.spacing[0]:4} m: the tail stands still, {12 * road.flow(arriving):.1f} cars have disappeared")
    assert (rho == np.where(line.x < 0, arriving, jam)).all()

# %% [markdown]
# The queue does not move at all, on any grid. The scheme is stable and consistent where ρ is smooth, but it does not
# count cars. At a jump only the count decides.

# %% [markdown]
# ## Drag
#
# A dense platoon, and time. The dashed curve carries every density along its straight line, $x_0 + w t$. Until the
# lines cross it is the solution. After that it has three densities at one place.

# %%
hump = arriving + 0.08 * np.exp(-((x / 60) ** 2))
moments = np.linspace(0.0, 20.0, 81)
platoon = road.solve(hump, grid, moments)
crossing = -1 / np.gradient(road.wave_speed(hump), x).min()


def draw(t):
    k = np.abs(moments - t).argmin()
    figure, ax = plotting.subplots(size=(7.0, 3.8))
    ax.plot(x, hump, **plotting.look("initial"), label="start")
    ax.plot(x + moments[k] * road.wave_speed(hump), hump, **plotting.look("inviscid"), label="lines")
    ax.plot(x, platoon.values[k], **plotting.look("viscous"), label="traffic")
    ax.set(xlabel="place (m)", ylabel="cars per metre", xlim=(-250, 250), ylim=(0, jam))
    plotting.label_ends(ax, loc="upper right")
    early = moments[k] < crossing
    title = "The lines carry the densities" if early else "The lines have crossed; a shock takes their place"
    return plotting.frame(figure, title, f"t = {moments[k]:.2f} s, lines cross at t* = {crossing:.2f} s")


plotting.drag(draw, t=(0.0, 20.0, 12.0))

# %% [markdown]
# ## Exercises
#
# **Count the cars.** Write the number of cars that pass from a cell into the next one each second. The cell behind
# wants to send `road.demand(left)`, the cell ahead has room for `road.supply(right)`.


# %%
def passing(left, right):
    """Cars per second from a cell of density left into one of density right."""
    ...


# %%
def test_passing(passing):
    h, dt = 2.0, 2.0 / 15.0
    x = np.arange(-200.0, 200.0, h) + h / 2

    def drive(rho, steps=60):
        for _ in range(steps):
            q = np.array([passing(a, b) for a, b in zip(np.r_[rho[0], rho], np.r_[rho, rho[-1]])])
            rho = np.clip(rho - dt / h * np.diff(q), 0.0, jam)
        return rho

    t = 60 * dt
    for name, behind, ahead in (("the queue", arriving, jam), ("the green light", jam, 0.0)):
        wrong = np.abs(drive(np.where(x < 0, behind, ahead)) - road.riemann(behind, ahead, x, t)).sum() * h
        assert wrong < 1.0, f"{name}: {wrong:.2f} cars are at a wrong place after {t:.0f} s"
    low = np.random.default_rng(0).uniform(0.0, jam, x.size)
    high = np.minimum(low + np.random.default_rng(1).uniform(0.0, 0.05, x.size), jam)
    assert (drive(low, 3) <= drive(high, 3) + 1e-12).all(), "more cars at the start, fewer at the end: not monotone"


print(exercises.check(passing, test_passing))

# %% [markdown]
# <details><summary>Solution</summary>
#
# What leaves is what is wanted and has room. This is Godunov's flux; Daganzo's cell transmission model says it in
# these words.
#
# ```python
# def passing(left, right):
#     return min(road.demand(left), road.supply(right))
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [Traffic](../figures/traffic.png): the queue and the green light, and the diagram that explains both speeds.
# - [Characteristics](../figures/characteristics.png): the same lines and shocks for the slope of a loss.
# - [Which code converges to the wrong answer?](03_which_code_converges_to_the_wrong_answer.ipynb) The loss has such
#   codes too, and there nothing is lost that could be counted.
