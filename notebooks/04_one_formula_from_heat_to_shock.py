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
# # One formula from heat to shock: can a computer use it?

# %% [markdown]
# ## Question
#
# Cole and Hopf turn the nonlinear equation into the heat equation: with $v = e^{-\beta u}$,
#
# $$u_t = -\tfrac12 u_x^2 + \tfrac{1}{2\beta}\, u_{xx} \iff v_t = \tfrac{1}{2\beta}\, v_{xx}, \qquad
# u(x, \gamma) = -\tfrac1\beta \log \int G_{\gamma/\beta}(x - y)\, e^{-\beta f(y)}\, dy .$$
#
# One formula for every β. Hot (β small) it averages, cold (β large) it minimises and has corners. Does the formula
# survive on a computer, whose largest number is $e^{709.8}$?

# %% [markdown]
# ## Prediction
#
# 1. Hold the kernel's variance $\gamma/\beta$ and let β → 0. Which simpler formula is the limit?
# 2. Hold γ and let β → ∞. How fast does the distance to Hopf-Lax shrink: like $1/\beta$, $1/\beta^2$, $e^{-\beta}$?
# 3. The loss below goes down to -1.25. At which β does the formula break, typed in as it stands?

# %% [markdown]
# ## Run

# %%
import math

import matplotlib as mpl
import numpy as np

import pdelab as pl
from pdelab import exercises, plotting

mpl.rcParams.update(plotting.STYLE)
f, x = pl.losses.three_wells(), np.linspace(-2.6, 2.6, 131)
grid = pl.Grid(-6.0, 6.0, 1201, boundary="outflow")

hot = []
for beta in (0.1, 0.01, 0.001):
    heat = pl.heat_smoothing(f, grid, 0.1 * beta, beta)  # G * f with variance 0.1
    hot.append(np.abs(pl.local_entropy(f, grid, 0.1 * beta, beta) - heat)[np.abs(grid.x) < 2.6].max())
    print(f"β = {beta:5}: distance to the plain average {hot[-1]:.2e}")
assert np.allclose(np.log10(np.divide(hot[:-1], hot[1:])), 1.0, atol=0.05)  # ten times hotter, ten times closer

gamma, away = 0.7, np.array([-1.5, 0.4, 1.0])  # no corner there
cold = []
for beta in (1e2, 1e4, 1e6, 1e8):
    cold.append(np.abs(pl.local_entropy(f, away, gamma, beta) - pl.local_entropy(f, away, gamma, math.inf)))
    print(f"β = {beta:5.0e}: distance to Hopf-Lax at three points {cold[-1]}")
assert np.allclose(np.log10(np.divide(cold[1:-1], cold[2:])), 2.0, atol=0.01)  # a hundred times colder, the same closer

# %% [markdown]
# Both limits hold, at first order: $f_\gamma = G * f - \tfrac\beta2 \mathrm{Var} + \dots$ on the hot side, and
# $f_\gamma = u_{\rm Hopf-Lax} + \tfrac1{2\beta} \log(1 + \gamma f''(y^*)) + \dots$ on the cold one. The library went
# up to β = 10⁸ without trouble. How?

# %% [markdown]
# ## The wrong method
#
# Type the formula in as it stands: exponentials, a sum, a logarithm.

# %%
y = np.arange(-6.0, 6.0, 2e-3)


def typed(x, gamma, beta, lift=0.0):
    """The integral by the trapezoid rule, as printed, with f lifted by a constant that is taken off at the end."""
    kernel = np.exp(-beta * (x[:, None] - y) ** 2 / (2 * gamma)) * math.sqrt(beta / (2 * math.pi * gamma))
    with np.errstate(all="ignore"):  # as many people run it
        return -np.log((kernel * np.exp(-beta * (f(y) + lift))).sum(1) * 2e-3) / beta - lift


def right(values, beta):
    """Where values agree with local entropy."""
    return np.abs(values - pl.local_entropy(f, x, gamma, beta)) < 1e-6


count = {}
for beta in (10.0, 500.0, 600.0, 2000.0):
    count[beta] = [right(typed(x, gamma, beta, lift), beta).sum() for lift in (0.0, -f(y).min())]
    print(f"β = {beta:5.0f}: as printed right at {count[beta][0]} of {x.size} points, lifted at {count[beta][1]}")
assert count[10.0] == count[500.0] == [x.size, x.size]
assert count[600.0][0] == 0 < count[2000.0][1] < count[600.0][1] < x.size

beta = 2000.0
lifted = typed(x, gamma, beta, -f(y).min())
figure, ax = plotting.subplots(size=(7.0, 3.6))
ax.plot(x, pl.local_entropy(f, x, gamma, beta), lw=1.0, label="in the log domain", **plotting.look("exact"))
finite = right(lifted, beta)
ax.plot(x[finite], lifted[finite], "o", ms=4, color=plotting.COLORS["good"], label="lifted formula: right")
ax.plot(x[~finite], 0 * x[~finite] - 1.4, "x", ms=4, color=plotting.COLORS["bad"], label="lifted formula: infinite")
ax.set(xlabel="x", ylabel="local entropy", ylim=(-1.5, 0.4))
plotting.label_ends(ax, loc="upper left")
plotting.frame(
    figure, "Even lifted, the formula knows only the surroundings of the minimum", f"γ = {gamma}, β = {beta:g}"
)

# %% [markdown]
# $e^{-\beta f}$ is infinite where $\beta f < -709.8$, first at β = 570, and infinity times zero is not a number.
# Lifting $f$ so that $\min f = 0$ does not help for long: then everything far from the global minimum is rounded to
# zero, and $\log 0 = -\infty$.

# %% [markdown]
# ## Drag
#
# From an average to corners, in one formula.


# %%
def draw(beta, gamma):
    figure, ax = plotting.subplots(size=(7.0, 4.0))
    ax.plot(x, f(x), lw=0.9, label="loss f", **plotting.look("loss"))
    ax.plot(x, pl.local_entropy(f, x, gamma, math.inf), label="Hopf-Lax, β = ∞", **plotting.look("inviscid"))
    ax.plot(x, pl.local_entropy(f, x, gamma, beta), label=f"β = {beta:.4g}", **plotting.look("viscous"))
    ax.set(xlabel="x", ylabel="smoothed loss", ylim=(-1.6, 1.6))
    plotting.label_ends(ax, loc="upper center")
    far = np.abs(pl.local_entropy(f, x, gamma, beta) - pl.local_entropy(f, x, gamma, math.inf)).max()
    title = f"At most {far:.2g} away from Hopf-Lax"
    return plotting.frame(figure, title, f"γ = {gamma:.3g}, β = {beta:.4g}, ν = {0.5 / beta:.3g}")


plotting.drag(draw, beta=(0.1, 1e4, 10.0, "log"), gamma=(0.01, 2.0, 0.5, "log"))

# %% [markdown]
# ## Exercises
#
# **Save the formula.** With $a_i = -\beta\, (f(y_i) + (x - y_i)^2/2\gamma)$ you need $\log \sum_i e^{a_i}$, without
# ever forming a number that is too large, or only zeros.


# %%
def log_of_sum(a):
    """log(sum(exp(a))) of an array, whatever the size of its numbers."""
    ...


# %%
def test_log_of_sum(log_of_sum):
    for a in (np.array([0.1, 0.7, -2.0]), np.array([1000.0, 999.0]), np.array([-5000.0, -5001.0])):
        exact = float(np.logaddexp.reduce(a))
        assert abs(log_of_sum(a) - exact) < 1e-12 * abs(exact), f"of {a} it is {exact:.6f}, not {log_of_sum(a)}"
    for beta in (10.0, 600.0, 2e4):
        a = -beta * (f(y) + (0.4 - y) ** 2 / (2 * gamma))
        answer = -(log_of_sum(a) + math.log(2e-3 * math.sqrt(beta / (2 * math.pi * gamma)))) / beta
        exact = float(pl.local_entropy(f, 0.4, gamma, beta))
        assert abs(answer - exact) < 1e-9, f"at β = {beta:g} local entropy is {exact:.9f}, yours {answer:.9f}"


print(exercises.check(log_of_sum, test_log_of_sum))

# %% [markdown]
# <details><summary>Solution</summary>
#
# Take the largest term out. What remains is a sum of numbers up to 1, and one of them is 1. Note that the largest
# $a_i$ sits at the minimiser of Hopf-Lax: the cold limit is in the formula from the start.
#
# ```python
# def log_of_sum(a):
#     top = a.max()
#     return top + math.log(np.exp(a - top).sum())
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [One formula](../figures/uniform-beta.png): the same from β = 0.1 to ∞, and the rate $1/\beta$.
# - [Which valley wins?](01_which_valley_wins.ipynb) is the term $\tfrac1{2\beta} \log(1 + \gamma q)$ at work.
