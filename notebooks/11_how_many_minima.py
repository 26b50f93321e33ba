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
# # How many minima are there, and where are the dense ones?

# %% [markdown]
# ## Question
#
# Two landscapes that can be counted to the last point. A **spin glass** is a random cubic polynomial on the sphere
# $|x|^2 = N$,
#
# $$H(x) = -\frac1N \sum_{ijk} J_{ijk}\, x_i x_j x_k - h \cdot x, \qquad J \sim N(0, 1), \quad h_i \sim N(0, \nu^2),$$
#
# and the field $h$ stands for all that tilts a loss: data, decay, a good start. A **binary perceptron** has weights ±1
# and must sort $N$ random patterns; all of its $2^d$ weight vectors can be tried. How many minima and solutions are
# there, and does it matter which one is taken?

# %% [markdown]
# ## Prediction
#
# 1. The field grows. Do the minima of the glass disappear one by one, or all at once? How many are left at the end?
# 2. The mean number of solutions of a perceptron is 4. Has a typical one a solution?
# 3. A teacher labels the patterns. Whose errors on *new* patterns are fewer: those of a solution that is alone, or of
#    one with many solutions near it?

# %% [markdown]
# ## Run
#
# Descent from 200 starts, polished by Newton's method, against the exact mean over all glasses (Kac and Rice).

# %%
import math

import matplotlib as mpl
import numpy as np

from pdelab import exercises, perceptron, plotting, spin_glass

mpl.rcParams.update(plotting.STYLE)
N, fields, glasses = 10, (0.0, 0.5, 1.0, spin_glass.critical_field(3), 3.0), 60


def minima(field, seed):
    """The distinct minima that 200 descents find."""
    return spin_glass.descend(spin_glass.SpinGlass(N, 3, field, seed=seed), 200, seed=1).minima


for k, field in enumerate(fields):
    counts = [len(minima(field, glasses * k + seed).index) for seed in range(glasses)]
    mean, spread = np.mean(counts), np.std(counts, ddof=1) / math.sqrt(glasses)
    exact, error = spin_glass.expected_critical_points(N, 3, field, index=0, draws=4000)
    print(f"ν = {field:.2f}: {mean:5.2f} ± {spread:.2f} minima found, {exact:5.2f} expected")
    assert abs(mean - exact) < 4 * math.hypot(spread, error) + 0.05

# %% [markdown]
# At $\nu = \sqrt3$ the mean is 2, for every $N$. Beyond this field most glasses have one minimum, and are easy.
#
# Now the perceptron, with a teacher. For each solution: how many other solutions within three flips? And how often does
# it disagree with the teacher on a new pattern (an exact sum, no samples)?

# %%
d, patterns = 21, 12
gains, pictures = [], []
for seed in range(30):
    instance = perceptron.Perceptron(d, patterns, seed=seed)
    solutions = instance.solutions()
    near = perceptron.local_counts(solutions, d, 3)
    wrong = instance.generalisation_error(solutions)
    assert (instance.errors(solutions) == 0).all() and instance.teacher_code in solutions
    dense, sparse = near >= np.quantile(near, 0.9), near <= np.quantile(near, 0.1)
    gains.append(wrong[sparse].mean() - wrong[dense].mean())
gain, spread = np.mean(gains), np.std(gains, ddof=1) / math.sqrt(len(gains))
print(f"{len(solutions)} solutions in the last one, with {near.min()} to {near.max()} neighbours")
print(f"the densest tenth is wrong on {100 * gain:.1f} ± {100 * spread:.1f} % fewer new patterns than the sparsest")
assert gain > 2 * spread

# %% [markdown]
# All of them make no error on the patterns. The ones in dense places are better on new ones: this is what Entropy-SGD
# looks for. "The logarithm of how many solutions are near" is the discrete *local entropy*.

# %% [markdown]
# ## The wrong method
#
# With labels thrown by coins, the mean number of solutions is $2^{d - N}$, exactly. Where it is 4 there are solutions,
# are there not? And the same mean is used to count minima.

# %%
coins = 19
numbers = np.array([perceptron.Perceptron(d, coins, seed=seed, teacher=False).count() for seed in range(300)])
mean, expected = numbers.mean(), perceptron.expected_solutions(d, coins)
print(
    f"mean {mean:.2f} (exactly {expected:g}), but {100 * np.mean(numbers == 0):.0f} % have none; most: {numbers.max()}"
)
assert abs(mean - expected) < 4 * numbers.std() / math.sqrt(300)
assert np.mean(numbers == 0) > 0.25 and np.median(numbers) < expected / 2

# %% [markdown]
# A few instances with very many solutions make the mean. The typical number is far below, and large perceptrons lose
# their last solution at $N/d \approx 0.83$, where the mean is still huge.

# %% [markdown]
# ## Drag
#
# One glass, its field growing: the energies of all its minima, and how many of 200 starts end in each. The couplings
# stay the same.


# %%
def draw(field, seed):
    ends = minima(field, seed)
    figure, ax = plotting.subplots(size=(7.0, 3.6))
    ax.vlines(ends.energies, 0, ends.basins, color=plotting.COLORS["viscous"], lw=3)
    ax.set(xlabel="energy of the minimum, per spin", ylabel="starts of 200", ylim=(0, None))
    exact, _ = spin_glass.expected_critical_points(N, 3, field, index=0, draws=1000)
    title = f"{len(ends.index)} minima here, {exact:.1f} expected"
    return plotting.frame(figure, title, f"N = {N}, ν = {field:.2g}, glass {seed}")


plotting.drag(draw, field=(0.0, 4.0, 0.5), seed=(0, 20, 3))

# %% [markdown]
# ## Exercises
#
# **1. Neighbours.** Weight vectors as rows of ±1. Count, for each row, the rows within a Hamming distance, itself
# included.


# %%
def neighbours(vectors, radius):
    """For each row of an array of ±1, how many rows differ from it in at most `radius` places."""
    ...


# %%
def test_neighbours(neighbours):
    instance = perceptron.Perceptron(15, 6, seed=1)
    solutions = instance.solutions()
    for radius in (0, 1, 3):
        exact, answer = (
            perceptron.local_counts(solutions, 15, radius),
            neighbours(perceptron.unpack(solutions, 15), radius),
        )
        assert np.array_equal(answer, exact), f"at radius {radius} the first has {exact[0]}, not {np.ravel(answer)[0]}"


print(exercises.check(neighbours, test_neighbours))

# %% [markdown]
# <details><summary>Solution</summary>
#
# The scalar product of two such rows is $d$ minus twice their distance.
#
# ```python
# def neighbours(vectors, radius):
#     vectors = vectors.astype(int)
#     return (vectors.shape[1] - vectors @ vectors.T <= 2 * radius).sum(axis=1)
# ```
#
# </details>
#
# **2. Minima nobody saw.** 200 starts ended in some minima once, in others often. How probable is it that one more
# start ends in a minimum that none of them saw? You know only how often each minimum was found. (Any of the 200 might
# have been the last one.)


# %%
def next_is_new(basins):
    """The chance that the next start finds a new minimum, from an array of how often each one was found."""
    ...


# %%
def test_next_is_new(next_is_new):
    rng = np.random.default_rng(0)
    for sizes in (0.7 ** np.arange(40), np.ones(300), 1.0 / np.arange(1, 1000)):
        chances, wrong = sizes / sizes.sum(), []
        for _ in range(400):
            counts = rng.multinomial(200, chances)
            wrong.append(next_is_new(counts[counts > 0]) - chances[counts == 0].sum())
        error = np.std(wrong) / 20
        assert abs(np.mean(wrong)) < 4 * error + 1 / 200, (
            f"with {len(sizes)} minima of known sizes it is {np.mean(wrong):+.4f} ± {error:.4f} off in the mean"
        )


print(exercises.check(next_is_new, test_next_is_new))

# %% [markdown]
# <details><summary>Solution</summary>
#
# Leave one of the 200 starts out: it would have been new if its minimum was found by it alone. So the chance is the
# share of the starts that sit alone, the estimate of Good and Turing. How many minima there are in all is harder: there
# is Chao's lower estimate, `spin_glass.chao1`, from those found once and twice.
#
# ```python
# def next_is_new(basins):
#     return np.sum(basins == 1) / np.sum(basins)
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [The curve along which critical points vanish](../figures/topology.png), and a printed exponent that is wrong.
# - [When perceptrons lose their last solution](../figures/solutions.png).
# - [Which valley wins?](01_which_valley_wins.ipynb): the same preference for width, as an equation.
# - [What remains in a network?](12_what_remains_in_a_network.ipynb)
