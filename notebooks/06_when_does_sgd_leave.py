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
# # When does SGD leave a minimum?

# %% [markdown]
# ## Question
#
# SGD sits in a well, shaken by its noise, $dX = -f'\, dt + \sqrt{2/\beta}\, dW$. Sooner or later it gets over the
# barrier into the next well. How long does it take? And if the noise is turned down slowly, *annealing*, how slowly
# is slow enough to end in the best well?

# %% [markdown]
# ## Prediction
#
# Twice as cold (β from 10 to 20), and the barrier is 0.36 high. Does it take twice as long, four times, or thirty
# times? Is the time shorter from a narrow well or from a wide one of the same depth?

# %% [markdown]
# ## Run
#
# $f = x^4/4 - x^2/2 + x/10$: a deep well on the left, a shallow one on the right, a top between. The mean time from
# the bottom of the left well to that of the right one, three times: by 2000 paths, by the equation $Q\tau = -1$ of
# the generator, and by Kramers' formula, from the bottom $x_1$ over the top $x_3$:
#
# $$E\,\tau \approx \frac{2\pi}{\sqrt{|f''(x_3)|\, f''(x_1)}}\; e^{\beta\, (f(x_3) - f(x_1))} .$$

# %%
import matplotlib as mpl
import numpy as np

import pdelab as pl
from pdelab import exercises, plotting
from pdelab.generator import splitting

mpl.rcParams.update(plotting.STYLE)
f = pl.Loss("x**4/4 - x**2/2 + x/10")
bottom, top, target = sorted(np.roots([1.0, 0.0, -1.0, 0.1]).real)
barrier = float(f(top) - f(bottom))
grid = pl.Grid(-2.5, target, 1201)


def mean_time(beta, diffusivity=None):
    """The mean time from the bottom to the target by the generator; D = 1/β unless another is given."""
    problem = pl.FokkerPlanck(f, diffusivity=diffusivity or 1 / beta)
    return float(np.interp(bottom, grid.x, pl.mean_exit_time(problem, grid, grid.x >= target - 1e-12)))


betas = np.array([5.0, 10.0, 20.0, 40.0, 80.0])
exact = np.array([mean_time(beta) for beta in betas])
kramers = np.array([pl.metastability.kramers_time(f, bottom, top, beta) for beta in betas])
for row in zip(betas, exact, kramers):
    print("β = {:3.0f}: mean time {:10.4g}, Kramers {:10.4g}".format(*row))
assert (np.diff(exact / kramers) < 0).all() and abs(exact[-1] / kramers[-1] - 1) < 2 / betas[-1]
growth = np.log(exact[-1] / exact[-2]) / (betas[-1] - betas[-2])
assert abs(growth / barrier - 1) < 0.01

ends = {"exit": (-9.0, target), "bridge": True, "store": False}
first = pl.simulate(pl.Langevin(f, 10.0), bottom, 2000.0, 0.02, paths=2000, seed=3, **ends).exit_times
error = first.std() / first.size**0.5
print(f"β = 10 by {first.size} paths: {first.mean():.1f} ± {error:.1f}")
assert np.isfinite(first).all() and abs(first.mean() - exact[1]) < 4 * error

# %% [markdown]
# Thirty times as long, for twice the cold: $e^{\beta \Delta}$ with the height Δ of the barrier and nothing else. The
# curvatures sit in front: from a sharp well of the same depth one leaves sooner. Kramers is right up to $O(1/\beta)$.

# %% [markdown]
# ## The wrong method
#
# The thesis prints this exponent beside $dX = -f'\, dt + \beta^{-1/2}\, dW$. That noise has $D = 1/(2\beta)$, and its
# law is $e^{-2\beta f}$. A factor of 2 in a noise seems harmless.

# %%
printed = np.array([mean_time(beta, diffusivity=0.5 / beta) for beta in betas[:4]])
print("wrong by the factors", (printed / kramers[:4]).round(0))
assert (printed / kramers[:4] > np.exp(betas[:4] * barrier) / 2).all()

figure, ax = plotting.subplots(size=(7.0, 3.8))
ax.semilogy(betas[:4], printed, "s", label="noise as printed", ms=5, **plotting.look("bad"))
ax.semilogy(betas[:4], exact[:4], "o", label="noise sqrt(2/β)", ms=5, **plotting.look("good"))
ax.semilogy(betas[:4], kramers[:4], lw=1.0, label="Kramers", **plotting.look("exact"))
ax.set(xlabel="β", ylabel="mean time to the other well")
plotting.label_ends(ax, loc="upper left")
plotting.frame(figure, "In an exponent a factor of 2 squares the answer", f"barrier {barrier:.3f}")

# %% [markdown]
# ## Drag
#
# Now cool slowly, $\beta(t) = \log(2 + t)/c$, from the shallow well on the right. Below $c = E^*$, its barrier, the
# noise dies before all have left. Above it the mass that is left falls like the Gibbs weight of the moment,
# $e^{-\beta(t)\, \Delta F} = (2 + t)^{-\Delta F/c}$: the dashed line, moved down a little.

# %%
deep = pl.Loss("1.5/0.15773*(x**4/4 - x**2/2 + x/10)")  # the same wells, the right one 1.5 deep
plain = pl.Grid(-2.0, 2.0, 401)
shallow, best = pl.metastability.wells(deep, plain)[1], pl.metastability.wells(deep, plain)[0]
escape, gap = shallow.barrier, shallow.value - best.value
start = np.exp(-((plain.x - shallow.point[0]) ** 2) / 0.02)
moments = np.geomspace(0.1, 1e7, 400)


def left_behind(c):
    """The mass in the shallow well at the moments, cooled with c."""
    schedule, begin = lambda t: np.log(2 + t) / c, start / plain.integrate(start)
    cooled = pl.metastability.anneal(deep, schedule, begin, plain, moments, rtol=np.inf)  # the early ones are rough
    return plain.integrate(np.where(plain.x > shallow.pass_point[0], cooled.values, 0.0))


def draw(c_over_barrier):
    c = c_over_barrier * escape
    mass, line = left_behind(c), (2 + moments) ** (-gap / c)
    figure, ax = plotting.subplots(size=(7.0, 3.8))
    ax.loglog(moments, mass, label="mass in the shallow well", **plotting.look("viscous"))
    if c >= escape:
        ax.plot(
            moments, 0.5 * mass[-1] * line / line[-1], lw=1.0, ls="--", color="black", label=f"slope {-gap / c:.3f}"
        )
    ax.set(xlabel="time", ylabel="mass left behind", ylim=(1e-7, 2))
    plotting.label_ends(ax, loc="lower left")
    title = "Slow enough: what is left follows Gibbs" if c >= escape else "Too fast: a part is frozen in the wrong well"
    return plotting.frame(figure, title, f"c = {c_over_barrier:.2f} E*, E* = {escape:.3f}, ΔF = {gap:.3f}")


plotting.drag(draw, c_over_barrier=(0.4, 2.0, 1.25))

# %% [markdown]
# ## Exercises
#
# **1. A well with two ways out.** It has a barrier on each side, and Kramers' time $\tau_l$ or $\tau_r$ for each as if
# it were the only one. Write the mean time until SGD leaves, and the chance that it leaves to the left.


# %%
def leave(tau_left, tau_right):
    """(mean time to leave, chance to leave to the left) from the times of both ways out, each alone."""
    ...


# %%
def test_leave(leave):
    tilted = pl.Loss("x**6/6 - 1.1*x**4 + 1.5*x**2 + x/20")
    left, over_left, middle, over_right, right = sorted(np.roots([1.0, 0.0, -4.4, 0.0, 3.0, 0.05]).real)
    line = pl.Grid(left, right, 1601, boundary="absorbing")
    for beta in (10.0, 20.0):
        problem = pl.FokkerPlanck(tilted, diffusivity=1 / beta)
        time = float(np.interp(middle, line.x, pl.mean_exit_time(problem, line)))
        goes_left = float(np.interp(middle, line.x, splitting(problem, line)[0, 0]))
        alone = [pl.metastability.kramers_time(tilted, middle, top, beta) for top in (over_left, over_right)]
        mean, share = leave(*alone)
        assert abs(mean / time - 1) < 3 / beta, f"at β = {beta:g} the mean time is {time:.1f}, not {mean:.1f}"
        assert abs(share - goes_left) < 1 / beta, f"at β = {beta:g} {goes_left:.1%} go left, not {share:.1%}"


print(exercises.check(leave, test_leave))

# %% [markdown]
# <details><summary>Solution</summary>
#
# An escape over a high barrier is a decay: in a short time $dt$ it happens with the chance $dt/\tau$. The chances of
# both add, and so do the rates $1/\tau$.
#
# ```python
# def leave(tau_left, tau_right):
#     rate = 1 / tau_left + 1 / tau_right
#     return 1 / rate, 1 / tau_left / rate
# ```
#
# </details>
#
# **2. Patience.** Anneal with some $c$ above $E^*$. By which factor must the time grow until ten times less mass is
# left in the shallow well?


# %%
def patience(gap, c):
    """How many times longer for a tenth of the mass, from the difference of the two minima and c."""
    ...


# %%
def test_patience(patience):
    for part in (1.25, 1.5):
        mass = left_behind(part * escape)
        tenth = np.interp(-np.log(mass[-1] * 10), -np.log(mass), np.log(moments))
        measured, answer = moments[-1] / np.exp(tenth), patience(gap, part * escape)
        assert abs(np.log(answer / measured)) < 0.1, f"for c = {part} E* it is {measured:.1f}, not {answer:.1f}"


print(exercises.check(patience, test_patience))

# %% [markdown]
# <details><summary>Solution</summary>
#
# What is left falls like $t^{-\Delta F/c}$. A larger $c$ is safer, and slower.
#
# ```python
# def patience(gap, c):
#     return 10 ** (c / gap)
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [Kramers](../figures/kramers.png): the next term, $C/\beta$; [annealing](../figures/annealing.png) at five speeds.
# - [Three temperatures](05_three_temperatures.ipynb) has the factor of 2 on its own.
