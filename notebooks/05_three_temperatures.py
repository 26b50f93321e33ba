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
# # Three temperatures: which noise samples exp(-βf)?

# %% [markdown]
# ## Question
#
# Three numbers look alike in the papers, and most factors of 2 that are lost there are lost between them:
#
# - β, the inverse temperature of the Gibbs weight $e^{-\beta f}$;
# - $\nu = 1/(2\beta)$, the viscosity of Hamilton-Jacobi, $u_t = -\tfrac12 u_x^2 + \nu\, u_{xx}$;
# - $D$, the diffusivity of the stochastic equation that runs, $dX = -f'(X)\, dt + \sqrt{2D}\, dW$.
#
# The thesis prints $dX = -f'\, dt + \beta^{-1/2}\, dW$ and says that its law tends to $e^{-\beta f}$. Does it?

# %% [markdown]
# ## Prediction
#
# The generator of the printed equation is $-f' \partial_x + \tfrac{1}{2\beta} \partial_{xx}$, with the very
# coefficient of Hamilton-Jacobi. Is that a reason to trust it? What would you measure to find out?

# %% [markdown]
# ## Run
#
# 20 000 paths, half of them from each well, and one number: how far they spread about the wells.

# %%
import math

import matplotlib as mpl
import numpy as np

import pdelab as pl
from pdelab import exercises, plotting

mpl.rcParams.update(plotting.STYLE)
f, beta = pl.Loss("(x**2 - 1)**2/4"), 8.0
grid = pl.Grid(-2.5, 2.5, 501)


def law(inverse_temperature):
    """The density exp(-βf)/Z on the grid."""
    weight = np.exp(-inverse_temperature * (f.on(grid) - f.on(grid).min()))
    return weight / grid.integrate(weight)


def run(diffusivity):
    """Where 20 000 paths of dX = -f' dt + sqrt(2D) dW are after a long time."""
    start = np.where(np.arange(20_000) % 2, 1.0, -1.0)
    return pl.simulate(pl.Langevin(f, 1 / diffusivity), start, 50.0, 0.02, paths=20_000, seed=1).states[-1]


spread = {}
for name, diffusivity in (("D = 1/β", 1 / beta), ("D = 1/(2β), as printed", 1 / (2 * beta))):
    squares = (np.abs(run(diffusivity)) - 1) ** 2
    spread[name], error = squares.mean(), squares.std() / math.sqrt(squares.size)
    exact = grid.integrate((np.abs(grid.x) - 1) ** 2 * law(1 / diffusivity))
    print(f"{name:22}: spread {spread[name]:.4f} ± {error:.4f}, that of exp(-{1 / diffusivity:.0f} f) is {exact:.4f}")
    assert abs(spread[name] - exact) < 4 * error + 0.02 * exact  # a step of 0.02 warms by up to 0.02 f''/2

# %% [markdown]
# The sampler of $e^{-\beta f}$ needs $D = 1/\beta$. The printed noise samples $e^{-2\beta f}$: it is half as warm.
#
# But Hamilton-Jacobi's viscosity is half of that, and rightly so. Put local entropy into the equation, with a factor
# in front of $1/\beta$ to be found:

# %%
x, gamma, tau = np.linspace(-1.5, 1.5, 31), 0.2, 1e-4
u_t = (pl.local_entropy(f, x, gamma + tau, beta) - pl.local_entropy(f, x, gamma - tau, beta)) / (2 * tau)
slope, bend = pl.local_entropy_gradient(f, x, gamma, beta), pl.local_entropy_hessian(f, x, gamma, beta)
factor = (u_t + slope**2 / 2) * beta / bend
print(f"u_t + u_x²/2 = factor · u_xx/β with a factor from {factor.min():.6f} to {factor.max():.6f}")
assert np.abs(factor - 0.5).max() < 1e-4

# %% [markdown]
# ## The wrong method
#
# Looking at a picture. The two clouds of paths are drawn as histograms; would you have noticed?

# %%
figure, ax = plotting.subplots(size=(7.0, 3.6))
for diffusivity, name, meaning in ((1 / beta, "D = 1/β", "viscous"), (0.5 / beta, "D = 1/(2β)", "inviscid")):
    ax.hist(
        run(diffusivity), 60, range=(-2, 2), density=True, histtype="step", color=plotting.COLORS[meaning], label=name
    )
ax.plot(grid.x, law(beta), lw=1.0, label="exp(-βf)/Z", **plotting.look("exact"))
ax.set(xlabel="x", ylabel="density", xlim=(-2, 2))
plotting.label_ends(ax)
assert spread["D = 1/(2β), as printed"] < 0.6 * spread["D = 1/β"]
plotting.frame(figure, "Both noises fill both wells; only one is the law", f"β = {beta:g}")

# %% [markdown]
# Without the black curve both look like a Gibbs law, because both are one: of different temperatures. A picture does
# not tell which; a number beside its exact value does.

# %% [markdown]
# ## Drag
#
# The stationary density of the equation that runs, from its own matrix, against the Gibbs law of β. When do they
# agree?


# %%
def draw(beta, D):
    density = pl.stationary(pl.FokkerPlanck(f, diffusivity=D), grid)
    figure, ax = plotting.subplots(size=(7.0, 3.6))
    ax.plot(grid.x, density, label="what runs", **plotting.look("viscous"))
    ax.plot(grid.x, law(beta), lw=1.0, label="exp(-βf)/Z", **plotting.look("exact"))
    ax.set(xlabel="x", ylabel="density", xlim=(-2, 2))
    plotting.label_ends(ax)
    title = f"This noise samples exp(-{1 / D:.3g} f)" + (
        "" if abs(beta * D - 1) > 0.02 else ", and that is the law of β"
    )
    return plotting.frame(figure, title, f"β = {beta:.3g}, ν = 1/(2β) = {0.5 / beta:.3g}, D = {D:.3g}")


plotting.drag(draw, beta=(1.0, 16.0, 8.0), D=(0.03, 0.5, 0.0625, "log"))

# %% [markdown]
# ## Exercises
#
# **1. The sampler's line.** Write one step of the sampler of $e^{-\beta f}$ with step η. (It is tested on a parabola.)


# %%
def step(y, gradient, eta, beta, normal):
    """The next y; gradient is f'(y), normal a standard normal number for each y."""
    ...


# %%
def test_step(step):
    rng, a, eta, b = np.random.default_rng(0), 2.0, 0.01, 4.0
    y = np.zeros(40_000)
    for _ in range(400):
        y = step(y, a * y, eta, b, rng.standard_normal(y.size))
    for expected, said in (
        (0.5 / b, "sampling exp(-2βf)"),
        (eta / b, "forgetting that the noise goes with sqrt(step)"),
    ):
        assert abs(y.var() * a / expected - 1) > 0.1, (
            f"the variance is {y.var():.4f}, not {1 / (a * b)}: you are {said}"
        )
    assert abs(y.var() * a * b - 1) < 0.05, f"the variance is {y.var():.4f}, that of exp(-βf) is {1 / (a * b):.4f}"


print(exercises.check(step, test_step))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def step(y, gradient, eta, beta, normal):
#     return y - eta * gradient + np.sqrt(2 * eta / beta) * normal
# ```
#
# </details>
#
# **2. The temperature of SGD.** Its step is $x \leftarrow x - \eta\, (f'(x) + s\, \xi)$ with a standard normal ξ, the
# noise of the mini-batch. Which β has it, for small η?


# %%
def beta_of_sgd(eta, s):
    """The β of the Gibbs law that SGD samples."""
    ...


# %%
def test_beta_of_sgd(beta_of_sgd):
    for eta, s, a in ((1e-4, 2.0, 1.0), (1e-5, 0.5, 3.0)):
        variance = (eta * s) ** 2 / (1 - (1 - eta * a) ** 2)  # of x ← (1 - ηa) x - ηsξ, for ever
        measured, answer = 1 / (a * variance), beta_of_sgd(eta, s)
        assert abs(answer / measured - 1) < 1e-3, (
            f"with η = {eta}, s = {s} the paths have β = {measured:.6g}, not {answer:.6g}"
        )


print(exercises.check(beta_of_sgd, test_beta_of_sgd))

# %% [markdown]
# <details><summary>Solution</summary>
#
# In a time η the noise has the variance $\eta^2 s^2 = 2 D \eta$: so $D = \eta s^2/2$ and $\beta = 1/D$. The step is
# part of the temperature. (The thesis calls $\beta^{-1}$ the variance of the gradients; there the step is missing.)
#
# ```python
# def beta_of_sgd(eta, s):
#     return 2 / (eta * s**2)
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [Why SGD is not that simple](../figures/sgd-density.png): the noise of mini-batches depends on the place.
# - [Which valley wins?](01_which_valley_wins.ipynb) depends on β, and so on all of this.
