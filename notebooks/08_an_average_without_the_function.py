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
# # Can an average be the gradient of a function that nobody computed?

# %% [markdown]
# ## Question
#
# Local entropy $f_\gamma$ solves an equation on a grid. A network has a million weights, and no grid. Entropy-SGD never
# forms $f_\gamma$: it holds $x$, lets a second point $y$ run in a noisy inner loop, and uses the mean of $y$. Write
#
# $$\rho(y) \propto e^{-\beta (f(y) + |x - y|^2/2\gamma)}, \qquad\text{then}\qquad
# f_\gamma'(x) = \frac{x - \langle y \rangle_\rho}{\gamma} .$$
#
# (Differentiate $f_\gamma = -\frac1\beta \log \int e^{-\beta(f(y) + |x-y|^2/2\gamma)} dy + {\rm const}$ to see it.) The
# inner loop takes $L$ steps of size η. What does it get wrong, and which of the two numbers mends it?

# %% [markdown]
# ## Prediction
#
# 1. $L$ grows without end at a fixed η. Does the error go to zero?
# 2. η is halved, and $L$ doubled. By how much does what is left of the error fall?
# 3. Two schemes cost one gradient a step. Can one of them be much better?

# %% [markdown]
# ## Run
#
# First the formula, by quadrature. Then the inner loop itself: `inner_expectation` carries the whole density of $y$, so
# what it gives is the exact mean over all runs of the loop, with no sampling error.

# %%
import math

import matplotlib as mpl
import numpy as np

import pdelab as pl
from pdelab import exercises, homogenization, plotting

mpl.rcParams.update(plotting.STYLE)
f, x, gamma, beta = pl.losses.three_wells(), 1.0, 0.2, 4.0
exact = float(pl.local_entropy_gradient(f, x, gamma, beta))

y = np.linspace(-4.0, 6.0, 20_001)
weights = np.exp(-beta * (f(y) + (x - y) ** 2 / (2 * gamma)))
assert abs((x - weights @ y / weights.sum()) / gamma - exact) < 1e-9

longest, step_sizes = 200, (0.1, 0.05, 0.025)
common = {"gamma": gamma, "beta": beta}
error = {}
for step in step_sizes:
    mean = homogenization.inner_expectation(f, x, step=step, inner_steps=longest, averaging=None, **common)
    error[step] = mean - exact
    limit = -homogenization.inner_bias(f, x, step=step, **common) / gamma
    print(f"η = {step:5}: error {error[step][9]:+.4f} after 10 steps, {error[step][-1]:+.4f} after {longest}; "
          f"for ever {limit:+.4f}")  # fmt: skip
    assert abs(error[step][-1]) < abs(error[step][9]) and abs(limit) > 1e-3
left = [abs(homogenization.inner_bias(f, x, step=step, **common)) for step in step_sizes]
assert left[0] / left[1] > left[1] / left[2] > 2.0  # the ratio tends to 2: the first order in η
assert abs(left[1] / left[2] - 2) < 0.25

# %% [markdown]
# More steps remove what the start at $y = x$ has left, like $1/L$. They never remove the last part, which is
# proportional to η: the step has an invariant law of its own, and it is not ρ.
#
# Now a scheme that costs the same. Euler's step draws fresh noise each time. Leimkuhler and Matthews take the mean of
# the last two draws, and nothing else changes.

# %%
inner = pl.Langevin(pl.Loss(f"{f.formula} + (x - {x})**2/(2*{gamma})"), beta)
for scheme in (pl.paths.euler_maruyama, pl.paths.leimkuhler_matthews):
    run = pl.simulate(inner, x, 20.0, 0.1, paths=40_000, seed=2, scheme=scheme)
    bias, spread = (x - run.final.mean()) / gamma - exact, run.final.std() / gamma / math.sqrt(run.final.size)
    print(f"{scheme.__name__:20} error {bias:+.4f} ± {spread:.4f}")
    small = abs(bias) < 0.25 * left[0] / gamma + 4 * spread
    assert small == (scheme is pl.paths.leimkuhler_matthews)

# %% [markdown]
# ## The wrong method
#
# Several papers print the noise of the inner loop as $\beta^{-1/2} dW$, without the 2 under the root. The loop still
# converges, and the average is still a gradient of a local entropy. Of which?

# %%
printed = pl.Langevin(pl.Loss(f"{f.formula} + (x - {x})**2/(2*{gamma})"), 2 * beta)  # this noise is β^(-1/2) dW
run = pl.simulate(printed, x, 20.0, 0.02, paths=40_000, seed=3, scheme=pl.paths.leimkuhler_matthews)
slope, spread = (x - run.final.mean()) / gamma, run.final.std() / gamma / math.sqrt(run.final.size)
colder = float(pl.local_entropy_gradient(f, x, gamma, 2 * beta))
print(f"the printed loop says {slope:.4f} ± {spread:.4f}; the gradient at β is {exact:.4f}, at 2β {colder:.4f}")
assert abs(slope - colder) < 4 * spread < abs(slope - exact)

# %% [markdown]
# That of another smoothing, at half the temperature. No plot of a loop would have told.

# %% [markdown]
# ## Drag
#
# The mean of the loop against the number of inner steps, and the slope it should find. Make η small: the start is
# forgotten late. Make it large: what is left is large. Entropy-SGD weighs the newest iterate with $a$; $a = 1$ is no
# average at all.


# %%
def draw(step, a):
    mean = homogenization.inner_expectation(f, x, step=step, inner_steps=longest, averaging=a, **common)
    figure, ax = plotting.subplots(size=(7.0, 3.6))
    ax.semilogx(np.arange(1, longest + 1), mean, **plotting.look("viscous"), label="mean of (x - z)/γ")
    ax.axhline(exact, **plotting.look("initial"), label="exact slope")
    ax.set(xlabel="inner steps L", ylabel="slope", ylim=(1.6 * exact, 0.0))
    plotting.label_ends(ax, loc="lower right")
    title = f"After {longest} steps the loop is off by {100 * abs(mean[-1] / exact - 1):.2g} %"
    return plotting.frame(figure, title, f"η = {step:.3g}, a = {a:.2g}, γ = {gamma:g}, β = {beta:g}")


plotting.drag(draw, step=(0.01, 0.12, 0.05, "log"), a=(0.05, 1.0, 0.75))

# %% [markdown]
# ## Exercises
#
# **1. The update line.** Write one inner step. The check runs 20,000 loops of it and compares the average with the
# exact slope, within four standard errors and the error that a step of this size has.


# %%
def inner_step(y, x, slope, gamma, beta, step, normal):
    """The next y: one Euler step of Langevin's equation in f(y) + (x - y)²/(2γ); slope is f'(y), normal is N(0, 1)."""
    ...


# %%
def test_inner_step(inner_step):
    rng, size = np.random.default_rng(0), 0.02
    points = np.full(20_000, x)
    for _ in range(250):
        points = inner_step(points, x, f.gradient(points), gamma, beta, size, rng.standard_normal(points.size))
        assert np.isfinite(points).all(), "the loop runs away: is the sign of the force right?"
    slope, spread = (x - points.mean()) / gamma, points.std() / gamma / math.sqrt(points.size)
    width = math.sqrt(gamma / beta * (1 - gamma * pl.local_entropy_hessian(f, x, gamma, beta)))
    assert abs(points.std() / width - 1) < 0.08, f"the points spread over {points.std():.3f}, ρ over {width:.3f}"
    allowed = abs(homogenization.inner_bias(f, x, step=size, **common)) / gamma + 4 * spread
    assert abs(slope - exact) < allowed, f"the slope is {exact:.4f}, the loop says {slope:.4f} ± {spread:.4f}"


print(exercises.check(inner_step, test_inner_step))

# %% [markdown]
# <details><summary>Solution</summary>
#
# The force of $f(y) + (x - y)^2/2\gamma$, and a noise of variance $2\eta/\beta$.
#
# ```python
# def inner_step(y, x, slope, gamma, beta, step, normal):
#     return y - step * (slope + (y - x) / gamma) + math.sqrt(2 * step / beta) * normal
# ```
#
# </details>
#
# **2. A budget.** A number of gradients, to be split into independent loops of $L$ steps whose means are averaged. The
# mean of a loop is off by the bias $B(L)$, and one loop spreads by $s$ about that, whatever $L$. Which $L$ has the
# least mean square error?


# %%
def best_length(bias, spread, budget):
    """The L that is best; bias[k] is the error of the mean after k + 1 steps, spread that of a single loop."""
    ...


# %%
def test_best_length(best_length):
    for spread in (0.1, 0.5, 2.0):
        bias, budget = error[0.05], 10_000
        total = [bias[k] ** 2 + spread**2 * (k + 1) / budget for k in range(len(bias))]
        answer = best_length(bias, spread, budget)
        assert total[answer - 1] == min(total), (
            f"for a spread of {spread} it is {int(np.argmin(total)) + 1}, not {answer}"
        )


print(exercises.check(best_length, test_best_length))

# %% [markdown]
# <details><summary>Solution</summary>
#
# There are $n/L$ loops, so the average has the mean square error $B(L)^2 + s^2 L/n$. The bias of long loops is small,
# but there are few of them: the noisier a single loop, the shorter the best ones.
#
# ```python
# def best_length(bias, spread, budget):
#     lengths = np.arange(1, len(bias) + 1)
#     return int(lengths[np.argmin(bias**2 + spread**2 * lengths / budget)])
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [The picture of all inner loops](../figures/inner-steps.png), with averages of every weight.
# - [What happens when x moves, too](../figures/homogenization.png): two time scales, and how fast the limit is reached.
# - [Which noise samples which law?](05_three_temperatures.ipynb), where the factor of 2 comes from.
# - [What remains in a network?](12_what_remains_in_a_network.ipynb), where the slope is a vector of many thousands.
