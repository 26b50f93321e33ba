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
# # What remains of all this in a network?

# %% [markdown]
# ## Question
#
# On a line the smoothed loss is the exact solution of an equation. A network has thousands of weights, and Entropy-SGD
# is an optimizer. Does it compute the gradient that the equation defines? What does the smoothing do to the loss of a
# real network? And does the network get better? (Needs the extra `networks`.)

# %% [markdown]
# ## Prediction
#
# 1. The papers' inner loops have a momentum of 0.9. Does momentum change *which* function is descended on?
# 2. Smoothing by γ takes a curvature λ to $\lambda/(1 + \gamma\lambda)$ if the loss is a parabola. How good is that
#    along the sharpest direction of a network?
# 3. Same seeds, same number of gradients: is the test error of Entropy-SGD below that of SGD? By how much?

# %% [markdown]
# ## Run
#
# **The optimizer against the equation.** A trick makes the optimizer measurable: a "network" of 4000 weights that do
# not see each other, each with the same loss $f$ of one variable, all at $x = 1$. One outer step then samples $\langle
# y \rangle$ 4000 times, and $(x - \langle y \rangle)/\gamma$ must be $f_\gamma'(1)$.

# %%
import matplotlib as mpl
import numpy as np
import torch

import pdelab as pl
from pdelab import exercises, networks, plotting
from pdelab.networks import bridge, curvature, training

torch.set_num_threads(1)
mpl.rcParams.update(plotting.STYLE)
f, scope, cold, start, rate = pl.losses.three_wells(), 0.2, 4.0, 1.0, 0.01


def displacement(momentum):
    """Mean of x - z over the weights after one outer step of Entropy-SGD, and its standard error."""
    x = torch.nn.Parameter(torch.full((4000,), start, dtype=torch.float64))
    steps = int(25.0 / rate)
    optimizer = networks.EntropySGD(
        [x], lr=1.0, inner_lr=rate * (1 - momentum), inner_steps=steps, gamma=scope, temperature=1 / cold,
        momentum=momentum, averaging=rate / 5.0, seed=1,
    )  # fmt: skip
    for _ in range(steps):
        optimizer.zero_grad()
        (0.05 * x**4 - 0.4 * x**2 + 0.15 * x + 0.3 * torch.sin(3 * x)).sum().backward()
        optimizer.step()
    moved = start - x.detach().numpy()  # lr = 1: x is now the average z
    return moved.mean(), moved.std() / np.sqrt(moved.size)


assert f.formula == "0.05*x**4 - 0.4*x**2 + 0.15*x + 0.3*sin(3*x)"
mean, error = displacement(momentum=0.0)
exact = float(pl.local_entropy_gradient(f, start, scope, cold))
print(f"(x - <y>)/γ = {mean / scope:.4f} ± {error / scope:.4f}, f_γ'(x) = {exact:.4f}")
assert abs(mean / scope - exact) < 4 * error / scope + 0.01 * abs(exact)  # the step's bias, the average's memory

# %% [markdown]
# It does compute that gradient. **Now a real network**: handwritten digits, some thousand weights, and a line through
# them in the sharpest direction. On it the network's loss is a loss like any other here.

# %%
run = training.train(
    epochs=25, seed=0, model_options={"hidden": (16,)}, optimizer_options={"lr": 0.1, "weight_decay": 1e-4}
)
objective = curvature.Objective(run.model, run.data.train, samples=200)
sharp = bridge.curved_directions(objective, 1)
line = bridge.restrict(objective, sharp).loss
gamma, beta = 0.5, 1000.0
before, after = float(line.hessian(0.0)), float(pl.local_entropy_hessian(line, 0.0, gamma, beta))
place = float(pl.proximal(line, 0.0, gamma))
there = float(line.hessian(place))
guess, better = before / (1 + gamma * before), there / (1 + gamma * there)
print(f"{objective.dimension} weights: the curvature {before:.3f} becomes {after:.3f}")
print(f"a parabola would have {guess:.3f}; the curvature at the proximal point, y = {place:.2f}, gives {better:.3f}")
assert after < before and after < 1 / gamma
assert abs(better / after - 1) < 0.02

# %% [markdown]
# $f_\gamma'' \le 1/\gamma$ holds for every loss, but the parabola misleads. Where the noise is weak, $f_\gamma$
# inherits the curvature not of $x$ but of the *proximal point*, the minimiser of $f(y) + |x - y|^2/2\gamma$.
#
# **Does it get better?** The honest way to ask: paired seeds, equal gradients, settings tuned on other seeds, and an
# interval for the difference.

# %%
result = training.compare({name: training.recipe(f"digits-mlp/{name}") for name in ("sgd", "entropy-sgd")}, seeds=5)
print(result.table())
row = {r["name"]: r for r in result.rows()}["entropy-sgd"]
assert row["low"] < row["difference"] < row["high"] and abs(row["difference"]) < 1.0  # per cent of the test images

# %% [markdown]
# A difference below one per cent: on this small problem Entropy-SGD is as good as SGD at equal cost, and five seeds
# cannot tell them apart by more than that.

# %% [markdown]
# ## The wrong method
#
# Take γ from a paper's table and put it into the formula. Momentum multiplies gradients by $1/(1 - \mu) = 10$, but in
# the thesis' algorithm neither the elastic force nor the noise passes through it. In the limit of small steps the loop
# follows
#
# $$dy = -\Big(\frac{1}{1-\mu} f'(y) + \frac{y - x}{\gamma}\Big) dt + \sqrt{2/\beta}\,dW,$$
#
# and that samples local entropy with *another* scope, $\gamma/(1 - \mu)$, and at *another* temperature, $\beta/(1 -
# \mu)$.

# %%
mean, error = displacement(momentum=0.9)
print(f"with momentum 0.9, (x - <y>)/γ = {mean / scope:.4f}: the formula says {exact:.4f}")
assert abs(mean / scope / exact) > 2
wide, colder = scope / (1 - 0.9), cold / (1 - 0.9)
other = float(pl.local_entropy_gradient(f, start, wide, colder))
print(
    f"(x - <y>)/{wide:.0f} = {mean / wide:.4f} ± {error / wide:.4f}; at γ = {wide:.0f}, β = {colder:.0f}: {other:.4f}"
)
assert abs(mean / wide - other) < 4 * error / wide + 0.01 * abs(other)

# %% [markdown]
# ## Drag
#
# A plane through the trained network: its sharpest direction, and a random one. Raise γ: steep walls give way, the flat
# direction stays. Raise β towards the papers' values, near $10^8$: nothing changes any more, the temperature is in
# effect none.

# %%
plane = bridge.restrict(objective, np.vstack([sharp, bridge.random_directions(objective, 1)]))
grid = pl.Grid((-4.0, -4.0), (4.0, 4.0), (61, 61))
raw = plane.loss.on(grid)
levels = np.geomspace(0.01, 30.0, 12)


def draw(gamma, beta):
    smoothed = pl.cole_hopf(raw, grid, gamma, beta)
    figure, axes = plotting.subplots(1, 2, size=(7.0, 3.6), sharey=True)
    for ax, values, name in zip(axes, (raw, smoothed), ("the loss", "its local entropy")):
        ax.contour(*grid.axes, values.T, levels=levels, norm="log")
        ax.plot(0, 0, "k.")
        ax.set(title=name, xlabel="sharpest direction", aspect="equal")
    axes[0].set_ylabel("random direction")
    lower = raw[30, 50] - smoothed[30, 50], raw[50, 30] - smoothed[50, 30]
    title = f"2.7 away along the sharp direction it falls by {lower[1]:.2g}, along the other by {lower[0]:.2g}"
    return plotting.frame(figure, title, f"γ = {gamma:.2g}, β = {beta:.2g}")


plotting.drag(draw, gamma=(0.05, 2.0, 0.5, "log"), beta=(1.0, 1e4, 1e3, "log"))

# %% [markdown]
# ## Exercises
#
# **1. What a table means.** A table lists γ and β, and a momentum. Which local entropy does that loop descend on?


# %%
def meant(gamma, beta, momentum):
    """(scope, inverse temperature) of the local entropy that the loop of the thesis descends on."""
    ...


# %%
def test_meant(meant):
    for momentum, measured in ((0.0, displacement(0.0)[0]), (0.9, mean)):
        scope_meant, beta_meant = meant(scope, cold, momentum)
        slope = float(pl.local_entropy_gradient(f, start, scope_meant, beta_meant))
        wrong = abs(measured / scope_meant / slope - 1)
        assert wrong < 0.05, f"with momentum {momentum} the optimizer is {100 * wrong:.0f} % from your local entropy"


print(exercises.check(meant, test_meant))

# %% [markdown]
# <details><summary>Solution</summary>
#
# Multiply the loop's equation by $1 - \mu$: the force on $y$ is $f' + (y - x)(1 - \mu)/\gamma$.
#
# ```python
# def meant(gamma, beta, momentum):
#     return gamma / (1 - momentum), beta / (1 - momentum)
# ```
#
# </details>
#
# **2. One temperature?** All this assumed noise that is equal in all directions. How many equal directions would carry
# as much noise as the ones of this network? (The participation ratio of the eigenvalues of its covariance.)


# %%
def participation_ratio(eigenvalues):
    """The number n of equal eigenvalues with the same sum, and the same sum of squares, as these."""
    ...


# %%
def test_ratio(participation_ratio):
    for eigenvalues, exact in (([1.0, 1.0, 1.0], 3.0), ([4.0, 0.0], 1.0), ([3.0, 1.0], 1.6)):
        answer = participation_ratio(np.array(eigenvalues))
        assert abs(answer - exact) < 1e-12, f"of {eigenvalues} it is {exact}, not {answer}"


print(exercises.check(participation_ratio, test_ratio))
noise = curvature.gradient_noise(objective)
print(f"of this network: {noise.participation_ratio:.1f} of {noise.dimension}")
assert noise.participation_ratio < 0.05 * noise.dimension

# %% [markdown]
# <details><summary>Solution</summary>
#
# $n e = \sum \lambda$ and $n e^2 = \sum \lambda^2$. SGD's noise lives in a handful of directions: see the next links.
#
# ```python
# def participation_ratio(eigenvalues):
#     return eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [Where Entropy-SGD's loop points on a plane of a network](../figures/bridge-gradients.png), against the exact
#   gradient.
# - [SGD and Fokker-Planck on one slice](../figures/bridge-density.png), `pdelab bridge density`.
# - [Parle's replicas and their mean](../figures/figure_5_1.png); [Entropy-SGD on texts](../figures/figure_3_7.png).
# - [Does SGD go in circles?](10_does_sgd_go_in_circles.ipynb): what noise in a few directions does.
# - [Which valley wins?](01_which_valley_wins.ipynb), where it began.
