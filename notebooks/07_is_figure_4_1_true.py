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
# # Is Figure 4.1 true?

# %% [markdown]
# ## Question
#
# The best known picture of the theory: a rugged loss, and a density that starts in a poor minimum. Under plain SGD it
# stays there. With the loss smoothed by Hamilton-Jacobi, and the smoothing slowly undone, it ends in a nearly optimal
# minimum; with viscosity, in the best one. The caption gives no formula, no clock and no temperature. Is it true?

# %% [markdown]
# ## Prediction
#
# Two clocks tick: the smoothing is undone over the time $T$, the density moves for a time $S$. Two temperatures: β in
# the smoothing, $D$ in the density. Most readers take $S = T$ and $D = \nu = 1/(2\beta)$. Predict where the three
# densities end then. And which of the four numbers would you change?

# %% [markdown]
# ## Run
#
# The whole figure, with each sentence of its caption as a number. Here $T = 2$, $S = 16$, $\beta = 2$, $D = 0.02$.

# %%
import matplotlib as mpl
import numpy as np

import pdelab as pl
from pdelab import exercises, figures, plotting

mpl.rcParams.update(plotting.STYLE)
result = figures.compute("4.1", quick=True)
for check in result.checks:
    print(f"{'holds' if check.holds else 'FAILS':6} {check.name:32} {check.value:.4g}")
assert result.holds
figures.draw(figures.find("4.1"), result.data, result.record["parameters"])

# %% [markdown]
# Every sentence holds. SGD stays. The inviscid flow is caught in the minimum at -1.38, nearly optimal, which
# *persists*: Hopf-Lax keeps its place and its value until long after $T$. The viscous loss is convex and leads to the
# best minimum.

# %% [markdown]
# ## The wrong method
#
# Take the caption by its letter: one clock, or one temperature.

# %%
f = pl.losses.rugged()
grid, box = pl.Grid(-6.0, 6.0, 601, boundary="outflow"), pl.Grid(-6.0, 6.0, 601)
x, T, beta, names = grid.x, 2.0, 2.0, ("SGD", "inviscid", "viscous")
smoothed = {
    "viscous": pl.solve(pl.HamiltonJacobi(beta=beta), f, grid, np.linspace(0.0, T, 101)),
    "inviscid": pl.solve(pl.HamiltonJacobi(viscosity=0.0), f, grid, np.linspace(0.0, T, 101)),
}
tops = np.array([-2.197, -0.790, 0.573])  # the maxima of f around the minima at -1.38 and -0.08
initial = np.exp(-((x + 2.73) ** 2) / (2 * 0.15**2))
initial /= box.integrate(initial)


def densities(S, D):
    """The three densities after the time S with the diffusivity D, smoothing undone on the way."""
    ends = {}
    for name in names:
        U = f.on(grid) if name == "SGD" else pl.fokker_planck.Slices.scoped(smoothed[name], S)
        problem = pl.FokkerPlanck(potential=U, diffusivity=D)
        ends[name] = pl.solve(problem, initial, box, S, scheme="implicit", dt=S / 200, rtol=np.inf).final
    return ends


def masses(density):
    """The masses in the starting place, around -1.38 and in the basin of the best minimum."""
    cuts = np.searchsorted(tops, x)
    return [round(float(box.integrate(np.where(cuts == k, density, 0.0))), 3) for k in range(3)]


print("masses at the start, at -1.38, in the best basin")
for said, S, D in (("one clock", T, 0.02), ("one temperature", 16.0, 1 / (2 * beta)), ("the recipe", 16.0, 0.02)):
    shares = {name: masses(density) for name, density in densities(S, D).items()}
    print(f"{said:16} S = {S:4}, D = {D:4}:  viscous {shares['viscous']}, inviscid {shares['inviscid']}")
    if said == "one clock":
        assert shares["viscous"][2] < 0.05 and shares["inviscid"][1] > 0.95  # both end at -1.38
    if said == "one temperature":
        assert max(shares["viscous"]) < 0.9 and max(shares["inviscid"]) < 0.9  # neither is concentrated
    if said == "the recipe":
        assert shares["viscous"][2] > 0.9 and shares["inviscid"][1] > 0.95

# %% [markdown]
# *One clock.* On the way down the exact solution carries a point to its proximal point, and from -2.73 the nearer
# minimum is always the cheaper. *One temperature.* The viscous loss is convex only if $\beta\, \Delta^2/4T$ is about
# 1 or less, Δ being the distance of two wells, and then the inviscid barrier is at most as high as the noise. So the
# density must be slower and colder than the smoothing.

# %% [markdown]
# ## Drag
#
# The clock $S$ and the temperature $D$ of the density, with the smoothing as it is. The title says whether the caption
# is true. How fast may the clock run, how warm may the density be?


# %%
def draw(S, D):
    figure, ax = plotting.subplots(size=(7.0, 3.8))
    ends = densities(S, D)
    ax.plot(x, 4 * (f.on(grid) - f.on(grid).min()), lw=0.8, label="4 (f - min f)", **plotting.look("loss"))
    for name in names:
        ax.plot(x, ends[name], label=name, **plotting.look(name.lower()))
    ax.set(xlabel="x", ylabel="density", xlim=(-3.6, 2.0), ylim=(0, 11))
    plotting.label_ends(ax, loc="upper right")
    viscous, inviscid = masses(ends["viscous"]), masses(ends["inviscid"])
    true = viscous[2] > 0.9 and inviscid[1] > 0.9
    title = (
        f"The caption is {'true' if true else 'not true'}: {viscous[2]:.0%} of the viscous density in the best basin"
    )
    return plotting.frame(figure, title, f"S = {S:.3g}, T = {T:g}, D = {D:.3g}, 1/(2β) = {0.5 / beta:g}")


plotting.drag(draw, S=(1.0, 32.0, 2.0, "log"), D=(0.005, 0.3, 0.02, "log"))

# %% [markdown]
# ## Exercises
#
# **How long does a minimum persist?** In $u(c, t) = \min_y f(y) + (y - c)^2/2t$ the point $y = c$ wins until a deeper
# one is cheap enough. Write the time until which the minimum at $c$ keeps its value.


# %%
def persistence(c, fc, y, fy):
    """The time T(c), from the place c and value fc of the minimum and arrays of all places y and values fy."""
    ...


# %%
def test_persistence(persistence):
    y = np.linspace(-6.0, 6.0, 24001)
    for c in (-2.72057, -1.38228, 0.70842):
        c = y[np.argmin(np.where(np.abs(y - c) < 0.1, f(y), np.inf))]
        t = persistence(c, f(c), y, f(y))
        for part, kept in ((0.97, True), (1.03, False)):
            u = np.min(f(y) + (y - c) ** 2 / (2 * part * t))
            assert (u > f(c) - 1e-9) == kept, (
                f"the minimum at {c:.2f} has {'lost' if kept else 'kept'} its value at {part} T"
            )


print(exercises.check(persistence, test_persistence))

# %% [markdown]
# <details><summary>Solution</summary>
#
# $y$ wins when $f(y) + (y - c)^2/2t < f(c)$: from $t = (y - c)^2/2 (f(c) - f(y))$ on, for those $y$ that lie deeper.
# The minimum at -1.38 has $T(c) = 9.8$, far beyond $T = 2$. A global minimum persists for ever.
#
# ```python
# def persistence(c, fc, y, fy):
#     deeper = fy < fc
#     return np.min((y[deeper] - c) ** 2 / (2 * (fc - fy[deeper])))
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [The caption by the letter](../figures/figure_4_1_literal.png): all clocks and temperatures in one picture.
# - [Figure 4.1](../figures/figure_4_1.png) in full; [which valley wins](01_which_valley_wins.ipynb) without a clock.
# - [An average without the function](08_an_average_without_the_function.ipynb): the same slope where nothing can be
#   solved.
