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
# # What remains in a network?

# %% [markdown]
# ## Question
#
# Entropy-SGD descends, so the papers say, the local entropy of a network's loss,
#
# $$f_\gamma(x) = -\tfrac1\beta \log \mathbb{E}\, e^{-\beta f(Y)}, \qquad Y \sim N(x, \gamma/\beta), \qquad
# \nabla f_\gamma(x) = \frac{x - \langle y \rangle}{\gamma},$$
#
# and Parle is many such descents that attract each other. A network has too many weights to integrate over. But on a
# *plane* through its weights the loss is a function of two variables like any other, and everything can be computed
# exactly. **Does the algorithm follow the exact gradient there? What does smoothing do to the loss? And does the
# network get better?** (Needs the extra `networks`.)

# %% [markdown]
# ## Prediction
#
# 1. Entropy-SGD's inner loop has L steps of size η' = 0.1 γ. After how many steps does it point along the gradient of
#    local entropy, to within a tenth?
# 2. The papers take momentum 0.9 in the inner loop, and smaller steps for it. Does that change the answer?
# 3. Parle, with three replicas and the same number of gradients each: is its test error lower than that of SGD?

# %% [markdown]
# ## Run
#
# A small network, trained on handwritten digits, and the plane of the two directions in which its loss is sharpest.

# %%
import matplotlib as mpl
import numpy as np
import torch

import pdelab as pl
from pdelab import exercises, networks, plotting
from pdelab.networks import bridge, curvature, training

torch.set_num_threads(1)
mpl.rcParams.update(plotting.STYLE)

plane = bridge.trained_slice(2, epochs=8, seed=3)
grid = pl.Grid((-3.0, -3.0), (3.0, 3.0), (241, 241))
loss = plane.loss.on(grid)
gamma, beta = 0.05, 50.0
print(f"{len(plane.origin)} weights; curvatures {np.linalg.eigvalsh(plane.loss.hessian(np.zeros(2))).round(2)}")

# %% [markdown]
# At six points of the plane: the loop's mean direction (full gradients, so that only its own noise is in it) beside the
# exact gradient by quadrature.

# %%
points = 0.6 * np.random.default_rng(0).standard_normal((6, 2))
lengths = (2, 5, 10, 20, 50)
loop = bridge.gradient_map(plane, grid, points, gamma, 1 / beta, shares=(0.1,), lengths=lengths, runs=60)
for length, bias, angle in zip(lengths, np.median(loop.relative_bias[0], -1), np.median(loop.angle[0], -1)):
    print(f"L = {length:2d}: off by {bias:.0%} of the length and {angle:.1f} degrees")
bias = np.median(loop.relative_bias[0], -1)
assert bias[0] > 0.5 > 0.2 > bias[-1], "a short loop has hardly moved, a long one is right"

# %% [markdown]
# The loop forgets its start like $(1 - \eta'/\gamma)^L$ and faster where the loss is curved. The exact local entropy,
# too, can be looked at, and it obeys a bound that holds for every loss: no curvature above 1/γ.


# %%
def sharpest(field):
    """The largest eigenvalue of the Hessian of node values, away from the ends."""
    hessian = np.stack([grid.gradient(slope) for slope in np.moveaxis(grid.gradient(field), -1, 0)], -1)
    return np.linalg.eigvalsh((hessian + hessian.swapaxes(-1, -2)) / 2)[40:-40, 40:-40].max()


smooth = pl.cole_hopf(loss, grid, gamma, beta)
largest = sharpest(loss), sharpest(smooth)
print(
    f"largest curvature in the middle of the plane: {largest[0]:.1f}, smoothed {largest[1]:.1f}, bound {1 / gamma:.1f}"
)
assert largest[1] < min(largest[0], 1 / gamma)

# %% [markdown]
# Now all weights, and Parle: the same seeds, the same number of gradients for one replica, an interval for the
# difference.

# %%
names = ("sgd", "parle")
race = training.compare({n: training.recipe(f"digits-mlp/{n}") | {"epochs": 15} for n in names}, seeds=3)
print(race.table())
row = race.rows()[1]
assert row["low"] < row["difference"] < row["high"] and abs(row["difference"]) < 3.0  # per cent of the test images

# %% [markdown]
# Look at the interval before the mean. Three seeds on a few hundred test images cannot see a difference smaller than
# half its length: what is smaller remains undecided, whatever the means say.

# %% [markdown]
# ## The wrong method
#
# Reading γ off a table. The papers run the inner loop with momentum μ = 0.9. Give the optimizer 2000 "networks" of one
# weight each, all with the same loss and the same start: one outer step then measures $\langle y \rangle$ directly.

# %%
formula, scope, cold, start, rate = pl.losses.three_wells().formula, 0.2, 4.0, 1.0, 0.02
well = pl.Loss(formula)


def displacement(momentum):
    """Mean of x - z over the weights after one outer step of Entropy-SGD, and its standard error."""
    x = torch.nn.Parameter(torch.full((2000,), start, dtype=torch.float64))
    steps = int(20.0 / rate)
    optimizer = networks.EntropySGD(
        [x], lr=1.0, inner_lr=rate * (1 - momentum), inner_steps=steps, gamma=scope, temperature=1 / cold,
        momentum=momentum, averaging=rate / 4.0, seed=1,
    )  # fmt: skip
    for _ in range(steps):
        x.grad = torch.from_numpy(well.gradient(x.detach().numpy()))
        optimizer.step()
    moved = start - x.detach().numpy()
    return moved.mean(), moved.std() / np.sqrt(moved.size)


exact = float(pl.local_entropy_gradient(well, start, scope, cold))
moved = {momentum: displacement(momentum) for momentum in (0.0, 0.9)}
for momentum, (mean, error) in moved.items():
    print(f"momentum {momentum}: (x - <y>)/γ = {mean / scope:.3f} ± {error / scope:.3f}; exact {exact:.3f}")
assert abs(moved[0.0][0] / scope - exact) < 4 * moved[0.0][1] / scope + 0.03 * abs(exact)
assert abs(moved[0.9][0] / scope / exact) > 2, "with momentum it is another gradient"

# %% [markdown]
# Momentum multiplies the gradients by $1/(1-\mu)$, but neither the elastic force nor the noise. What the loop then
# samples is the first exercise.

# %% [markdown]
# ## Drag
#
# The loss on the plane, smoothed up to γ at the temperature 1/β. Where does it begin to matter? What does a high
# temperature do that a wide scope does not?

# %%
coarse = pl.Grid((-3.0, -3.0), (3.0, 3.0), (81, 81))
values = plane.loss.on(coarse)


def draw(gamma, beta):
    smooth = pl.cole_hopf(values, coarse, gamma, beta)
    figure, (left, right) = plotting.subplots(1, 2, size=(8.0, 4.0))
    left.contour(*coarse.axes, smooth.T, levels=np.geomspace(0.05, 40.0, 14), norm="log")
    left.set(xlabel="sharpest direction", ylabel="second", aspect="equal")
    middle = len(coarse.axes[1]) // 2
    right.plot(coarse.axes[0], values[:, middle], label="the loss", **plotting.look("loss"))
    right.plot(coarse.axes[0], smooth[:, middle], label="smoothed", **plotting.look("viscous"))
    right.set(xlabel="sharpest direction", ylabel="loss", ylim=(0, 20))
    plotting.label_ends(right)
    return plotting.frame(figure, "A plane of a network, smoothed", f"γ = {gamma:.3g}, β = {beta:.3g}")


plotting.drag(draw, gamma=(0.01, 2.0, 0.2, "log"), beta=(1.0, 1000.0, 50.0, "log"))

# %% [markdown]
# ## Exercises
#
# **1. The scope with momentum.** In the limit of small steps the loop with momentum μ follows
# $dy = -\big(\tfrac{1}{1-\mu} f'(y) + (y - x)/\gamma\big)dt + \sqrt{2/\beta}\,dW$. Of which scope and which inverse
# temperature is that the local entropy?


# %%
def effective(gamma, beta, momentum):
    """(scope, inverse temperature) of the local entropy that a loop with momentum samples."""
    ...


# %%
def test_effective(effective):
    assert np.allclose(effective(0.3, 5.0, 0.0), (0.3, 5.0)), "without momentum nothing changes"
    scope_now, cold_now = effective(scope, cold, 0.9)
    gradient = float(pl.local_entropy_gradient(well, start, scope_now, cold_now))
    mean, error = moved[0.9]
    room = 4 * error / scope_now + 0.03 * abs(gradient)
    assert abs(mean / scope_now - gradient) < room, (
        f"the loop measured {mean / scope_now:.3f}, yours says {gradient:.3f}"
    )


print(exercises.check(effective, test_effective))

# %% [markdown]
# <details><summary>Solution</summary>
#
# Divide the drift by $1/(1-\mu)$: with time $t' = t/(1-\mu)$ it is $-f' - (y-x)(1-\mu)/\gamma$, and the noise has
# $\sqrt{2(1-\mu)/\beta}$. So both grow by the same factor; tables of γ in the papers are to be read with it.
#
# ```python
# def effective(gamma, beta, momentum):
#     return gamma / (1 - momentum), beta / (1 - momentum)
# ```
#
# </details>
#
# **2. How many directions carry the noise?** Local entropy assumes one temperature in all directions. The noise of
# mini-batches has a covariance with eigenvalues $\lambda_i$. Replace them by $n$ equal ones, and zeros, so that the sum
# and the sum of squares stay as they are. Write $n$.


# %%
def participation(eigenvalues):
    """The number of equal directions with the same sum and the same sum of squares."""
    ...


# %%
def test_participation(participation):
    assert abs(participation(np.ones(7)) - 7) < 1e-12, "seven equal directions are seven"
    assert abs(participation(np.array([1.0, 0.0, 0.0])) - 1) < 1e-12, "one direction is one"
    noise = curvature.gradient_noise(plane.functions.objective)
    answer, right = participation(np.asarray(noise.eigenvalues)), noise.participation_ratio
    assert abs(answer - right) < 1e-6 * right, f"of {noise.dimension} weights it is {right:.2f}, not {answer:.2f}"


print(exercises.check(participation, test_participation))

# %% [markdown]
# <details><summary>Solution</summary>
#
# $n$ eigenvalues $a$ have the sums $na$ and $na^2$: divide the square of the first by the second. Here it is a handful,
# of hundreds: the noise of mini-batches is not that of any temperature.
#
# ```python
# def participation(eigenvalues):
#     return eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [Where the loop is right](../figures/bridge-gradients.png): the map over L and η'/γ, with mini-batches too.
# - [Does smoothing help?](../figures/bridge-basins.png) Which minima are reached on a plane through three networks: by
#   the algorithms, by the exact equations, by the best control.
# - [How far a plane is from the whole](../figures/bridge-projection.png): SGD in all weights is not SGD on a plane.
# - [Does SGD go in circles?](10_does_sgd_go_in_circles.ipynb) What noise without one temperature does besides.
