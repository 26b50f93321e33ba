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
# # Which valley wins?

# %% [markdown]
# ## Question
#
# A loss has two valleys: a wide, shallow one on the left, and a sharp, deeper one on the right. Gradient descent
# cannot choose between them. Entropy-SGD descends on a smoothed loss, the *local entropy*
#
# $$f_\gamma(x) = -\tfrac1\beta \log \big(G_{\gamma/\beta} * e^{-\beta f}\big)(x), \qquad
# u_t = -\tfrac12 |u_x|^2 + \tfrac{1}{2\beta}\, u_{xx}, \quad u(\cdot, 0) = f, \quad u(\cdot, \gamma) = f_\gamma .$$
#
# $G_s$ is the Gaussian of variance $s$. The scope γ is the time of the equation, β the inverse temperature. In which
# of the two valleys is the minimum of $f_\gamma$?

# %% [markdown]
# ## Prediction
#
# Write down your answers before you run a cell.
#
# 1. γ grows from zero. Does the lowest point stay, walk over, or jump?
# 2. Without noise, β = ∞: does it leave the sharp valley earlier, later, or never?

# %% [markdown]
# ## Run

# %%
import math

import matplotlib as mpl
import numpy as np
from scipy.optimize import brentq

import pdelab as pl
from pdelab import exercises, plotting

mpl.rcParams.update(plotting.STYLE)
f = pl.losses.sharp_and_wide()
grid = pl.Grid(-6.0, 6.0, 1201, boundary="outflow")


def place(values):
    """Where a function on the grid is smallest."""
    return grid.x[np.argmin(values)]


places = []
for gamma in (0.02, 0.05, 0.1, 0.2, 0.5):
    places.append(place(pl.local_entropy(f, grid, gamma, beta=2.0)))
    print(f"γ = {gamma:4}: the minimum of local entropy is at x = {places[-1]:+.2f}")
assert all(abs(x - 2) < 0.2 or abs(x + 2) < 0.3 for x in places)  # in a valley, never between the two
assert places[0] > 1.8 and places[-1] < -1.7

# %% [markdown]
# It jumps. Why then? Near its bottom a valley is a parabola, and a parabola can be smoothed by hand:
#
# $$f = c + \tfrac q2 x^2 \quad\Rightarrow\quad
# f_\gamma = c + \tfrac12 \frac{q}{1 + \gamma q}\, x^2 + \frac{1}{2\beta} \log(1 + \gamma q).$$
#
# The last term lifts every valley, and a sharp one (large $q$) more than a wide one: it is the price of being narrow.
# Below, two parabolas with the curvatures 60 and 1; the sharp one is 0.3 deeper. The curves are measured on the grid,
# the dots are the formula.

# %%
two, sharp, wide, gap, beta = pl.losses.two_parabolas(sharp=60.0, wide=1.0, gap=0.3), 60.0, 1.0, 0.3, 5.0
scopes = np.geomspace(0.01, 2.0, 25)
smoothed = pl.local_entropy(two, grid, scopes, beta)
left = grid.x < 0
measured = {"wide": smoothed[:, left].min(1), "sharp": smoothed[:, ~left].min(1)}
lift = {"wide": np.log1p(scopes * wide) / (2 * beta), "sharp": np.log1p(scopes * sharp) / (2 * beta) - gap}

figure, ax = plotting.subplots()
for name, meaning in (("wide", "viscous"), ("sharp", "inviscid")):
    ax.plot(scopes, measured[name], label=f"{name} valley", **plotting.look(meaning))
    ax.plot(scopes[::3], lift[name][::3], "o", color=plotting.COLORS[meaning], ms=5)
    assert np.abs(measured[name] - lift[name]).max() < 1e-3
ax.set(xscale="log", xlabel="scope γ", ylabel="lowest value of the smoothed valley")
plotting.label_ends(ax)
plotting.frame(figure, "The sharp valley rises faster: where the curves cross, the winner changes", f"β = {beta:g}")

# %% [markdown]
# ## The wrong method
#
# Is it the smoothing that likes wide valleys? Take the noise away and keep the scope: β = ∞ is the Hopf-Lax formula
# $u(x, \gamma) = \min_y f(y) + |x - y|^2/2\gamma$. A tiny noise is nearly that: the presets of the Entropy-SGD paper,
# a noise ε of $10^{-4}$ to $10^{-3}$, mean $\beta = 2/\varepsilon^2 \ge 2 \cdot 10^6$.

# %%
for beta_cold in (2e6, math.inf):
    for gamma in (0.1, 0.5, 2.0):
        assert abs(place(pl.local_entropy(f, grid, gamma, beta_cold)) - place(f.on(grid))) < 1e-9
print("cold: the minimum stays in the sharp valley, for every scope")

# %% [markdown]
# It never leaves. Put $y = x$ to see $u \le f$; and $u \ge \min f$ is plain. So Hopf-Lax keeps the minimum and its
# place for ever, and the preference for width is a matter of *temperature*.

# %% [markdown]
# ## Drag
#
# Move γ through the switch. Then keep γ and raise β: the sharp valley wins again.

# %%
inside = np.abs(grid.x) < 4.2


def draw(gamma, beta):
    u = pl.local_entropy(f, grid, gamma, beta)
    figure, ax = plotting.subplots(size=(7.0, 3.8))
    ax.plot(grid.x[inside], f.on(grid)[inside], lw=0.9, **plotting.look("loss"), label="loss f")
    ax.plot(grid.x[inside], u[inside], **plotting.look("viscous"), label="local entropy")
    ax.plot(place(u), u.min(), "o", color=plotting.COLORS["viscous"])
    ax.set(xlabel="x", ylabel="loss", ylim=(-1.75, 0.6))
    plotting.label_ends(ax, loc="lower center")
    winner = "wide" if place(u) < 0 else "sharp"
    return plotting.frame(figure, f"The {winner} valley wins", f"γ = {gamma:.3g}, β = {beta:.3g}, ν = {0.5 / beta:.3g}")


plotting.drag(draw, gamma=(0.01, 2.0, 0.2, "log"), beta=(0.5, 50.0, 2.0, "log"))

# %% [markdown]
# ## Exercises
#
# **1. A valley with a flat floor.** It has no curvature: $f = 0$ for $|x| < w/2$, and walls that nothing gets over. Is
# its middle lifted, too? Write by how much, in place of the dots. (`math.erf` is the error function: a standard normal
# number lies within $\pm r$ with the probability $\mathrm{erf}(r/\sqrt2)$.)


# %%
def lifted(width, gamma, beta):
    """Local entropy in the middle of a floor of height 0 and this width, between infinite walls."""
    ...


# %%
def test_lifted(lifted):
    for width, gamma, beta in ((1.0, 0.5, 2.0), (0.2, 0.5, 2.0), (0.5, 2.0, 10.0)):
        y = (np.arange(100_000) + 0.5) / 100_000 * width - width / 2
        normal = np.exp(-beta * y**2 / (2 * gamma)) * math.sqrt(beta / (2 * math.pi * gamma))
        exact, answer = -math.log(normal.mean() * width) / beta, lifted(width, gamma, beta)
        assert abs(answer - exact) < 1e-8, (
            f"for a width of {width}, γ = {gamma}, β = {beta} it is {exact:.6f}, not {answer:.6f}"
        )


print(exercises.check(lifted, test_lifted))

# %% [markdown]
# <details><summary>Solution</summary>
#
# $e^{-\beta f}$ is 1 on the floor and 0 outside: the integral is the probability that a normal number of variance
# $\gamma/\beta$ stays on the floor. Take $-\log$ and divide by β. Not curvature has the price, but being narrow.
#
# ```python
# def lifted(width, gamma, beta):
#     return -math.log(math.erf(width / 2 * math.sqrt(beta / (2 * gamma)))) / beta
# ```
#
# </details>
#
# **2. The border.** At a given scope, which β makes the two valleys equal?


# %%
def border(gamma, sharp, wide, gap):
    """The β below which the wide parabola beats one that is sharper, and deeper by the gap."""
    ...


# %%
def test_border(border):
    for gamma in (0.1, 0.5, 2.0):

        def lead(beta, gamma=gamma):
            u = pl.local_entropy(two, grid, gamma, beta)
            return u[left].min() - u[~left].min()

        measured, answer = brentq(lead, 2.0, 9.0, rtol=1e-6), border(gamma, 60.0, 1.0, 0.3)
        assert abs(answer / measured - 1) < 2e-3, f"at γ = {gamma} the grid says β = {measured:.3f}, you {answer:.3f}"


print(exercises.check(border, test_border))

# %% [markdown]
# <details><summary>Solution</summary>
#
# The lifts differ by the gap: $\beta_c\, \Delta f = \frac12 \log\frac{1 + \gamma q_s}{1 + \gamma q_w}$. As γ grows
# this tends to $\frac12 \log(q_s/q_w)$: colder than that, no scope helps at all.
#
# ```python
# def border(gamma, sharp, wide, gap):
#     return math.log((1 + gamma * sharp) / (1 + gamma * wide)) / (2 * gap)
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [Figure 3.2](../figures/figure_3_2.png) has the same landscape, and a surprise: plain heat smoothing prefers the
#   wide valley too, although the paper says that no smoothing can.
# - [Why do jams run backwards?](02_why_do_jams_run_backwards.ipynb) Without noise the slope makes shocks.
