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
# # How does noise smooth a loss?
#
# The first notebook solved an equation for the smoothed loss $f_\gamma$. Nobody can do that in a million dimensions.
# Entropy-SGD never forms $f_\gamma$: it runs a noisy inner loop and averages. Why is that the same thing?
#
# Three steps. **What law does a noisy path have? What is the average of a fast variable? And is the noise of stochastic
# gradients of that kind?** Each step is checked against an exact answer. Predict before you run a cell.

# %%
import numpy as np

import pdelab as pl
from pdelab import figures

# %% [markdown]
# ## 1. The law of a noisy path
#
# Langevin's equation $dX = -f'(X)\,dt + \sqrt{2/\beta}\,dW$, many paths at once. After a long time their histogram is
# the Gibbs density $e^{-\beta f}/Z$.
#
# **Predict:** all paths start in the right well of $(x^2 - 1)^2/4 + x/20$, which is the higher one. How many of them
# are on the left in the end, more or less than half?

# %%
f, beta = pl.Loss("(x**2 - 1)**2/4 + x/20"), 8.0
grid = pl.Grid(-2.5, 2.5, 251)
run = pl.simulate(pl.Langevin(f, beta), 1.0, 400.0, 0.02, paths=20_000, seed=1)
final = run.states[-1]
gibbs = np.exp(-beta * f.on(grid))
gibbs /= grid.integrate(gibbs)
left = grid.integrate(np.where(grid.x < 0, gibbs, 0.0))
error = np.sqrt(left * (1 - left) / final.size)
print(
    f"on the left: {np.mean(final < 0):.3f} of the paths, {left:.3f} of the Gibbs density, standard error {error:.3f}"
)
assert abs(np.mean(final < 0) - left) < 4 * error + 0.005  # 0.005: the steps are of size 0.02, not 0

# %% [markdown]
# **A wrong method, on purpose.** Several papers print the noise as $\beta^{-1/2}dW$, without the 2. Would you notice in
# a plot? The statistics do.

# %%
wrong = pl.simulate(pl.Langevin(f, 2 * beta), 1.0, 400.0, 0.02, paths=20_000, seed=1).states[-1]
measure = lambda x: np.sqrt(((np.abs(x) - 1) ** 2).mean())  # noqa: E731
spread = [np.sqrt(grid.integrate((np.abs(grid.x) - 1) ** 2 * gibbs)), measure(final), measure(wrong)]
print(f"spread about the wells: Gibbs {spread[0]:.3f}, right noise {spread[1]:.3f}, printed noise {spread[2]:.3f}")
assert abs(spread[1] / spread[0] - 1) < 0.05 < abs(spread[2] / spread[0] - 1)

# %% [markdown]
# ## 2. The average of a fast variable
#
# Hold $x$, and let $y$ run in the loss $f(y) + (x - y)^2/2\gamma$ at the same temperature. By step 1 its law is
# $\rho(y) \propto e^{-\beta(f(y) + (x - y)^2/2\gamma)}$. Differentiate the definition of $f_\gamma$ to see that
#
# $$f_\gamma'(x) = \frac{x - \langle y \rangle}{\gamma}.$$
#
# So an average along one path is the gradient of a function that was never computed. **Predict:** the inner loop is run
# with step $\eta$. Does its error vanish with more inner steps, or with smaller ones?

# %%
rugged, x, gamma, beta = pl.losses.three_wells(), 1.0, 0.2, 4.0
inner = pl.Langevin(pl.Loss(f"{rugged.formula} + (x - {x})**2/(2*{gamma})"), beta)
exact = float(pl.local_entropy_gradient(rugged, x, gamma, beta))
bias = {}
for step, time in ((0.1, 20.0), (0.1, 80.0), (0.05, 20.0), (0.025, 20.0)):
    y = pl.simulate(inner, x, time, step, paths=40_000, seed=2, scheme=pl.paths.euler_maruyama).states[-1]
    bias[step, time] = (x - y.mean()) / gamma - exact
    error = y.std() / gamma / np.sqrt(y.size)
    print(f"η = {step:5}, {time / step:4.0f} steps: (x - <y>)/γ - f_γ'(x) = {bias[step, time]:+.4f} ± {error:.4f}")
print(f"f_γ'(x) = {exact:.4f}")
assert abs(bias[0.1, 80.0] - bias[0.1, 20.0]) < 4 * 2**0.5 * error
assert bias[0.1, 20.0] > bias[0.05, 20.0] > bias[0.025, 20.0] > 0

# %% [markdown]
# The bias is proportional to $\eta$ and more inner steps do not remove it. Now let $x$ move too, slowly: the fast-slow
# system of the thesis (Theorem 4.5). Its limit is gradient descent on $f_\gamma$, and how fast it gets there can be
# measured, because the exact drift is known.

# %%
result = figures.compute("homogenization", quick=True)
assert result.holds, [check.name for check in result.checks if not check.holds]
figures.draw(figures.find("homogenization"), result.data, result.record["parameters"])

# %% [markdown]
# The mean is off by $O(\varepsilon)$, a single path by $O(\sqrt\varepsilon)$. With the noise as printed (dotted) the
# error has a floor: that system smooths at another temperature.
#
# ## 3. Is the noise of SGD of that kind?
#
# A mini-batch gradient has the covariance $\Sigma(x)/b$, which depends on $x$, and so does the temperature.
# **Predict:** is a constant temperature, the mean of $\Sigma$, good enough to predict where many runs of SGD end?

# %%
result = figures.compute("sgd-density", quick=True)
for check in result.checks:
    print(f"{'holds' if check.holds else 'FAILS':6} {check.name:28} {check.value:.4g}")
assert result.holds
figures.draw(figures.find("sgd-density"), result.data, result.record["parameters"])

# %% [markdown]
# The density with the measured $D(x)$ is right within the error that theory allows, $O(\eta)$; the one with constant
# noise is not. SGD is a diffusion, but not Langevin's: its most likely places are not the minima of $f$ alone.
#
# ## Exercise
#
# A path that starts in a well of depth $\Delta$ leaves it after a time like $e^{\beta\Delta}$ (Kramers). Compute the
# mean exit time of the first loss from its right well to $x \le -1$ on the grid for β = 8 and β = 16. How good is the
# exponent?

# %%
times = []
for b in (8.0, 16.0):
    mean = pl.mean_exit_time(pl.FokkerPlanck(f, beta=b), grid, grid.x <= -1.0)
    times.append(np.interp(0.95, grid.x, mean))
slope = np.log(times[1] / times[0]) / 8.0
barrier = f(grid.x[np.abs(grid.x) < 0.5]).max() - f(grid.x[grid.x > 0.5]).min()
print(f"mean times {times[0]:.1f} and {times[1]:.1f}: exponent {slope:.3f}, barrier {barrier:.3f}")
assert abs(slope / barrier - 1) < 0.15
