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
# # Where does smoothing a loss lead?
#
# Gradient descent goes to the nearest minimum, good or poor. Chaudhari, Oberman, Osher, Soatto and Carlier proposed to
# descend on a smoothed loss instead, and found that the smoothing is the solution of a partial differential equation:
#
# $$u_t = -\tfrac12 |\nabla u|^2 + \tfrac{1}{2\beta}\,\Delta u, \qquad u(x, 0) = f(x).$$
#
# At time $t = \gamma$ its solution is the *local entropy*
# $f_\gamma(x) = -\tfrac1\beta \log \big(G_{\gamma/\beta} * e^{-\beta f}\big)(x)$.
#
# Two questions, two figures. **Which valley does it prefer** (Figure 3.2)? **Where does stochastic gradient descent end
# when it follows it** (Figure 4.1)? Predict before you run a cell.

# %%
import math

import numpy as np

import pdelab as pl
from pdelab import figures

# %% [markdown]
# ## 1. Which valley?
#
# A wide, shallow valley on the left; a sharp, deeper one on the right. The global minimum is the sharp one.
#
# **Predict:** with growing scope γ, does the minimum of $f_\gamma$ stay at the sharp valley, move to the wide one
# gradually, or jump?

# %%
f = pl.losses.sharp_and_wide()
grid = pl.Grid(-6.0, 6.0, 1201, boundary="outflow")
beta = 2.0


def place(values):
    """Where a function on the grid is smallest."""
    return grid.x[np.argmin(values)]


scopes = [0.02, 0.05, 0.1, 0.2, 0.5]
for gamma in scopes:
    print(f"γ = {gamma:4}: minimum of local entropy at x = {place(pl.local_entropy(f, grid, gamma, beta)):+.2f}")

assert place(f.on(grid)) > 1.9
assert place(pl.local_entropy(f, grid, 0.05, beta)) > 1.8
assert place(pl.local_entropy(f, grid, 0.5, beta)) < -1.7

# %% [markdown]
# It jumps. The two valleys compete with their *free energies*: depth against width. For two parabolas the border can be
# computed by hand: the wide valley wins when
# $\beta\,\Delta f < \tfrac12 \log\frac{1 + \gamma q_{\rm sharp}}{1 + \gamma q_{\rm wide}}$ with curvatures $q$.
#
# **Predict:** what if there is no noise, β = ∞? Then local entropy is the Hopf-Lax formula
# $u(x, \gamma) = \min_y f(y) + |x - y|^2/2\gamma$.

# %%
for gamma in scopes:
    assert place(pl.local_entropy(f, grid, gamma, math.inf)) == place(f.on(grid))
print("β = ∞: the minimiser never moves, for any γ")

# %% [markdown]
# An inf-convolution keeps the minimum value and the minimiser of $f$ for ever: put $y = x$ to see that $u \le f$, and
# $u \ge \min f$ is plain. So the preference for wide valleys is a matter of *temperature*, not of smoothing alone.
#
# The papers also say that this effect "cannot be obtained by smoothing". Check it: heat smoothing with the very same
# Gaussian kernel.

# %%
result = figures.compute("3.2", quick=True)
assert result.holds, [check.name for check in result.checks if not check.holds]
print("heat smoothing puts the minimum at", result.data["heat_minimum_at_large_scope"])
figures.draw(figures.find("3.2"), result.data, result.record["parameters"])

# %% [markdown]
# The claim fails: heat smoothing prefers the wide valley too (row `WVh` of the ledger, `pdelab verify`).
#
# ## 2. Where does SGD end?
#
# A rugged loss with eight minima. A density starts in a poor one, at $x = -2.72$, and follows the Fokker-Planck
# equation with three drifts: of $f$ itself, and of the two smoothed losses, where the smoothing is slowly undone
# ("scoping").
#
# First the smoothing. The scheme is monotone and its error is known, because there is an exact answer to compare with.

# %%
f = pl.losses.rugged()
grid = pl.Grid(-6.0, 6.0, 1201, boundary="outflow")
inside = np.abs(grid.x) < 3.6
viscous = pl.solve(pl.HamiltonJacobi(beta=2.0), f, grid, [0.5, 1.0, 2.0])
exact = pl.cole_hopf(f, grid, [0.5, 1.0, 2.0], 2.0)
error = np.abs(viscous.values - exact)[:, inside].max()
print(f"largest error of the scheme {error:.4f}; its certificate: {viscous.info['monotonicity']:.3f} <= 1")
assert error < 0.02 and viscous.info["monotonicity"] <= 1

# %% [markdown]
# **A wrong method, on purpose.** Roe's choice of the slope takes the left one where the mean slope is positive, or the
# right one. It is stable. Without viscosity and from $f = |x|$ the exact solution keeps its minimum,
# $u(0, t) = 0$. **Predict:** does the error of Roe's scheme vanish as the cells shrink?

# %%
corner, end = pl.Loss("abs(x)"), 0.5
errors = {"Roe": [], "Godunov": []}
for nodes in (101, 201, 401):
    line = pl.Grid(-2.0, 2.0, nodes, boundary="outflow")
    middle = np.abs(line.x) < 1.0
    hopf_lax = pl.hopf_lax(corner, line, end, refine=True)[middle]
    wrong, steps = corner.on(line).copy(), 2 * nodes
    for _ in range(steps):
        slope = np.diff(wrong) / line.spacing[0]
        left, right = np.r_[slope[0], slope], np.r_[slope, slope[-1]]
        wrong -= end / steps * np.where(left + right > 0, left, right) ** 2 / 2
    godunov = pl.solve(pl.HamiltonJacobi(viscosity=0.0), corner, line, end).final
    for name, u in (("Roe", wrong), ("Godunov", godunov)):
        assert np.isfinite(u).all()
        errors[name].append(np.abs(u[middle] - hopf_lax).max())
    print(f"h = {line.spacing[0]:.2f}: error of Roe {errors['Roe'][-1]:.4f}, of Godunov {errors['Godunov'][-1]:.4f}")
assert min(errors["Roe"]) > 0.9 * end / 2  # the wrong solution |x| - t/2, at every h
assert errors["Godunov"][2] < 0.7 * errors["Godunov"][0] < 0.1 * end

# %% [markdown]
# Now the figure. **Predict** for each of the three densities in which minimum it ends.

# %%
result = figures.compute("4.1", quick=True)
for check in result.checks:
    print(f"{'holds' if check.holds else 'FAILS':6} {check.name:32} {check.value:.4g}")
assert result.holds
figures.draw(figures.find("4.1"), result.data, result.record["parameters"])

# %% [markdown]
# Each sentence of the printed caption is one of these numbers. SGD stays where it was. The inviscid flow is caught in a
# nearly optimal minimum, because a minimum that lies deep enough *persists*: it keeps its place and its value until
# $T(c) = \inf_y |y - c|^2 / (2 (f(c) - f(y)))$. The viscous loss is convex, and leads to the best minimum.
#
# ## 3. Is the caption literally true?
#
# Only if the density is colder than the smoothing and its clock slower. With one clock, or with one temperature, the
# picture is lost.

# %%
result = figures.compute("4.1-literal", quick=True)
assert result.holds
figures.draw(figures.find("4.1-literal"), result.data, result.record["parameters"])

# %% [markdown]
# ## Exercise
#
# At which time does the minimum at $x = -1.382$ of the rugged loss disappear from the Hopf-Lax solution? Compute $T(c)$
# from the formula above on the grid, then look for it in `pl.hopf_lax`. (It is far beyond $T = 2$: that is why the blue
# density stays.)

# %%
c = grid.x[np.argmin(np.where(np.abs(grid.x + 1.382) < 0.2, f.on(grid), np.inf))]
lower = f.on(grid) < f(c)
persistence = np.min((grid.x[lower] - c) ** 2 / (2 * (f(c) - f.on(grid)[lower])))
print(f"T(c) = {persistence:.2f}")
assert 9 < persistence < 11
