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
# # What does it cost to escape from a poor minimum?

# %% [markdown]
# ## Question
#
# SGD sits in a poor valley. Somebody may push it: $dX = (-f' - \alpha)\,dt + \sqrt{2D}\,dB$, and pays $\tfrac12
# \int_0^T |\alpha|^2 dt$ for the push and $V(X_T)$ for where it ends. The cheapest push is the slope of a solution of
# viscous Hamilton-Jacobi, run backward from $u(\cdot, T) = V$:
#
# $$-u_t = -f' u_x - \tfrac12 |u_x|^2 + D\, u_{xx}, \qquad \alpha = u_x .$$
#
# Theorem 4.11 of the thesis promises a gain: $E\,V(X_{\rm SGD}) - E\,V(X_{\rm pushed}) \ge \tfrac12 E\int |\alpha|^2$.
# How much is gained, and is the promise sharp?

# %% [markdown]
# ## Prediction
#
# 1. Is the gain equal to the effort, or larger? By how much?
# 2. Give the push more time. Does the effort grow?
# 3. A simpler idea: push straight down the slope of the goal, $\alpha = V'$. How close to the best is it?

# %% [markdown]
# ## Run

# %%
import math

import matplotlib as mpl
import numpy as np

import pdelab as pl
from pdelab import control, exercises, plotting

mpl.rcParams.update(plotting.STYLE)
f, grid, D, start = pl.losses.three_wells(), pl.Grid(-5.0, 5.0, 401), 0.25, 1.6
V = 5.0 * f.on(grid)  # what a low loss is worth against the push
point = control.point_mass(grid, start)

gains = {}
for T in (1.0, 2.0, 4.0):
    gap = control.gap(control.Control(f, V, T, D), grid, point)
    gain = gap.plain - gap.controlled
    gains[T] = gap
    print(f"T = {T:g}: gain {gain:.3f} = effort {gap.effort:.3f} + {gap.effort_plain:.3f}")
    assert gain > gap.effort
    assert abs(gain - gap.effort - gap.effort_plain) < 3e-3 * gain

# %% [markdown]
# The theorem holds, and gives away a good part. The gain is exactly the sum of **two** efforts: the one along the
# pushed paths, and the one that the same push would have made along the plain paths,
#
# $$E\,V(X_{\rm SGD}) - E\,V(X_{\rm pushed})
# = \tfrac12 E_{\rm pushed}\!\int |u_x|^2 + \tfrac12 E_{\rm SGD}\!\int |u_x|^2 .$$
#
# Divided by $2D$ these are the two relative entropies between the laws of the paths. The figure has both.

# %%
T = 4.0
problem = control.Control(f, V, T, D)
moments = np.linspace(0.0, T, 201)
value = control.logarithmic_transform(problem, grid, moments)
pushed = control.controlled_paths(value, start, paths=4000, steps=200, seed=1)
plain = control.controlled_paths(value, start, paths=4000, steps=200, seed=1, controlled=False)
best = float(grid.interpolate(value.values[0], start))
for name, run in (("plain", plain), ("pushed", pushed)):
    spread = run.cost.std() / math.sqrt(run.cost.size)
    print(f"{name:7} ends at V = {run.terminal.mean():+.3f}, pays {run.effort.mean():.3f}, in all "
          f"{run.cost.mean():+.3f} ± {spread:.3f}; u says {best:+.3f}")  # fmt: skip
assert abs(pushed.cost.mean() - best) < 4 * pushed.cost.std() / math.sqrt(4000) + 0.02
assert plain.cost.mean() > best + 10 * plain.cost.std() / math.sqrt(4000)

# %% [markdown]
# On every single path "terminal cost + effort - $\sqrt{2D}\int \alpha\, dB$" is the same number, $u(x_0, 0)$: the best
# push leaves nothing to luck. On the computer its spread is the error of the sum over steps, and falls like
# $\sqrt{dt}$.

# %%
spreads = [(pushed.cost - pushed.martingale).std()]
finer = control.logarithmic_transform(problem, grid, np.linspace(0.0, T, 801))
run = control.controlled_paths(finer, start, paths=4000, steps=800, seed=1)
spreads.append((run.cost - run.martingale).std())
print(f"that sum spreads by {spreads[0]:.3f}, at 800 steps by {spreads[1]:.3f}; the cost by {run.cost.std():.3f}")
assert 0.4 < spreads[1] / spreads[0] < 0.6 and spreads[1] < 0.15 * run.cost.std()

# %% [markdown]
# ## The wrong method
#
# Push straight down the goal: $\alpha = V'(x)$ at every time. It is what a greedy optimizer does, and it ignores how
# much time there is. Its price can be computed exactly: at a fixed push the cost solves a linear equation.

# %%
steps = 400


def price(slope):
    """What a push by a fixed slope costs from every place: -w_t = (-f' - slope) w_x + slope²/2 + D w_xx, w(T) = V."""
    uphill = -np.gradient(f.on(grid), grid.x) - slope
    cells, h = np.arange(len(grid.x)), grid.spacing[0]
    right, to_left = D / h**2 + np.maximum(uphill, 0) / h, D / h**2 + np.maximum(-uphill, 0) / h
    right[-1] = to_left[0] = 0.0
    rates = np.zeros((len(cells), len(cells)))
    rates[cells[:-1], cells[1:]], rates[cells[1:], cells[:-1]] = right[:-1], to_left[1:]
    rates -= np.diag(rates.sum(1))
    w = V.copy()
    inverse = np.linalg.inv(np.eye(len(cells)) - T / steps * rates)
    for _ in range(steps):
        w = inverse @ (w + T / steps * slope**2 / 2)
    return float(grid.interpolate(w, start))


greedy, nothing = price(np.gradient(V, grid.x)), price(0.0 * V)
print(f"the best push costs {best:+.2f}, no push {nothing:+.2f}, the greedy push {greedy:+.2f}")
assert best < nothing < greedy

# %% [markdown]
# Worse than doing nothing: it pays at every moment, and holds the path in the valley where it stands, because $V$ has
# the same valleys as $f$. The slope of $u$ looks ahead.

# %% [markdown]
# ## Drag
#
# Give the push more time, or more noise. With little time the barrier is not worth it, and the law stays.

# %%
coarse = pl.Grid(-5.0, 5.0, 201)


def draw(T, D):
    problem = control.Control(f, 5.0 * f.on(coarse), T, D)
    pair = control.forward_backward(problem, coarse, control.point_mass(coarse, start), [0.0, T])
    figure, ax = plotting.subplots(size=(7.0, 3.8))
    ax.plot(coarse.x, f.on(coarse), **plotting.look("initial"), label="loss f")
    ax.plot(coarse.x, pair.values[0] / 5, **plotting.look("viscous"), label="u(·, 0)/5")
    law = pair.densities[-1] / pair.densities[-1].max()
    ax.fill_between(coarse.x, -2.2 + law, -2.2, color=plotting.COLORS["good"], alpha=0.5, lw=0, label="law at T")
    ax.axvline(start, color=plotting.COLORS["sgd"], lw=1.0, ls=":")
    ax.set(xlim=(-3.4, 2.8), ylim=(-2.25, 1.6), xlabel="x", ylabel="loss")
    plotting.label_ends(ax, loc="upper right")
    share = coarse.integrate(np.where(coarse.x < 0, pair.densities[-1], 0.0))
    return plotting.frame(figure, f"{100 * share:.0f} % have left for the left half", f"T = {T:.2g}, D = {D:.2g}")


plotting.drag(draw, T=(0.2, 6.0, 4.0), D=(0.15, 1.0, 0.25))

# %% [markdown]
# ## Exercises
#
# **1. The push without a grid.** Where there is no loss, $f = 0$, a plain path from $x$ ends at $y = x + \sqrt{2DT}\,
# \xi$ with a normal ξ, and the equation is that of Cole and Hopf: $u(x, 0) = -2D \log E\, e^{-V(y)/2D}$. You have many
# ends of plain paths, and $V$ there. Write the best push at $x$, now.


# %%
def push(x, ends, V, T, D):
    """α(x, 0) from an array of ends of plain paths and the terminal costs there."""
    ...


# %%
def test_push(push):
    goal, normal = pl.losses.three_wells(), np.random.default_rng(0).standard_normal(100_000)
    for x, T, D in ((1.6, 1.0, 0.5), (0.3, 2.0, 0.25), (-2.0, 0.5, 1.0)):
        ends = x + math.sqrt(2 * D * T) * normal
        exact = float(pl.local_entropy_gradient(goal, x, T, 1 / (2 * D)))
        answer = push(x, ends, goal(ends), T, D)
        assert abs(answer - exact) < 0.02, f"at x = {x}, T = {T}, D = {D} it is {exact:.3f}, not {answer:.3f}"


print(exercises.check(push, test_push))

# %% [markdown]
# <details><summary>Solution</summary>
#
# $\alpha = u_x$, and in $e^{-u/2D} = \int e^{-(x - y)^2/4DT - V(y)/2D}\, dy$ only the Gaussian depends on $x$. Its
# derivative brings $(x - y)/T$: the push leads to the mean of the ends, weighed with $e^{-V/2D}$, in the time $T$. With
# γ for $T$ and β for $1/2D$ it is the gradient of the local entropy of $V$, and the average of Entropy-SGD's loop.
#
# ```python
# def push(x, ends, V, T, D):
#     weights = np.exp(-(V - V.min()) / (2 * D))
#     return (x - weights @ ends / weights.sum()) / T
# ```
#
# </details>
#
# **2. A case by hand.** No loss, $V = x^2/2$, time $T$. Put $u = \frac{a(t)}{2} x^2 + b(t)$ into the equation. What is
# $b$ at time 0, the price at the bottom?


# %%
def price_at_the_bottom(T, D):
    """u(0, 0) for f = 0 and V = x²/2."""
    ...


# %%
def test_price(price_at_the_bottom):
    line = pl.Grid(-9.0, 9.0, 901)
    for T, D in ((1.0, 0.5), (2.0, 0.25), (0.5, 1.0)):
        problem = control.Control(None, pl.Loss("x**2/2"), T, D)
        exact = float(line.interpolate(control.logarithmic_transform(problem, line, [0.0]).values[0], 0.0))
        answer = price_at_the_bottom(T, D)
        assert abs(answer - exact) < 2e-3, f"at T = {T}, D = {D} it is {exact:.4f}, not {answer:.4f}"


print(exercises.check(price_at_the_bottom, test_price))

# %% [markdown]
# <details><summary>Solution</summary>
#
# $a' = a^2$ with $a(T) = 1$, so $a = 1/(1 + T - t)$; and $b' = -D a$ with $b(T) = 0$.
#
# ```python
# def price_at_the_bottom(T, D):
#     return D * math.log(1 + T)
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [The gain and its two parts against the time](../figures/control-gap.png), `pdelab figure control-gap`.
# - [When does SGD leave by itself?](06_when_does_sgd_leave.ipynb): exponentially late.
# - [Is Figure 4.1 true?](07_is_figure_4_1_true.ipynb): descent on the smoothed loss as a push that costs nothing to
#   find.
