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
# # Does SGD go in circles?

# %% [markdown]
# ## Question
#
# When the noise of SGD has different sizes in different directions, its stationary law carries a current. Chapter 6 of
# Chaudhari's thesis concludes that SGD runs along closed loops, shows an example (6.43) in which it "converges to limit
# cycles around the saddle point", and looks for the loops in the spectrum of the weights. The example is
#
# $$dX = \big(j - \nabla\Phi\big)(X)\, dt + \sqrt2\, dB, \qquad \Phi = \tfrac14 (x_1^2 - 1)^2 + \tfrac12 x_2^2, \qquad
# j = \lambda\, e^{\Phi - |x|^4/4} \begin{pmatrix} -x_2 \\ x_1 \end{pmatrix}.$$
#
# Two wells at $(\pm 1, 0)$, a saddle between them, and a force $j$ that turns. Are there cycles? And how would one tell
# from a trajectory?

# %% [markdown]
# ## Prediction
#
# Write down your answers before you run a cell.
#
# 1. Without noise, at λ = 1.5: does a path from $(1, 0)$ end in a well, on a circle, or in the saddle?
# 2. With noise: as λ grows, does the density move towards the saddle?
# 3. You see a coordinate that is correlated with itself over long times. Does it turn?

# %% [markdown]
# ## Run

# %%
import math

import matplotlib as mpl
import numpy as np
from scipy.integrate import solve_ivp

import pdelab as pl
from pdelab import exercises, nonequilibrium, plotting

mpl.rcParams.update(plotting.STYLE)
Circulation = nonequilibrium.Circulation

for strength in (0.0, 0.5, 0.7, 0.8, 1.5):
    print(f"λ = {strength}: the drift vanishes at {Circulation(strength).zeros().round(3).tolist()}")
turning, radii = Circulation(1.5), np.array([0.1, 0.3, 0.6, 1.0, 1.5, 2.0])
back = np.array([turning.return_map(r) for r in radii])
print("λ = 1.5: from radius", radii.tolist(), "once round to", back.round(3).tolist())
assert len(Circulation(0.7).zeros()) == 3 and len(turning.zeros()) == 1
assert (back < radii).all()  # a cycle would come back where it was

# %% [markdown]
# Up to $\lambda_c = e^{-1/4}$ there are two stable places. Above it only the origin is left. Every turn around it ends
# nearer than it began: it *attracts*, and there is no cycle, for any radius. That answers the first question.
#
# Now with noise. $\mathrm{div}(j e^{-\Phi}) = 0$, so that $e^{-\Phi}$ should be stationary whatever λ is. We solve the
# Fokker-Planck equation for the stationary law, which knows nothing of Φ, and let paths wind.

# %%
grid = pl.Grid((-2.6, -4.0), (2.6, 4.0), (81, 121))
gibbs = np.exp(-turning.potential(grid.points))
gibbs /= grid.integrate(gibbs)


def equation(strength):
    """The example as a stochastic equation, in formulas."""
    speed = f"{strength}*exp(1/4 - x1**2/2 + x2**2/2 - x1**2*x2**2/2 - x2**4/4)"
    return pl.Diffusion([f"x1 - x1**3 - x2*{speed}", f"x1*{speed} - x2"], math.sqrt(2.0))


strengths, rates = (0.0, 0.5, 1.5), []
for strength in strengths:
    field = Circulation(strength)
    law = pl.stationary(pl.FokkerPlanck(drift=field.drift(grid.points), beta=1.0), grid)
    distance = grid.integrate(np.abs(law - gibbs))
    paths = pl.simulate(equation(strength), (1.0, 0.0), t=30.0, dt=0.01, paths=200, save_every=1, seed=1)
    settled = paths.times >= 6.0
    rates.append(nonequilibrium.winding(paths.states[settled], paths.times[settled], confidence=0.999))
    print(f"λ = {strength}: distance from exp(-Φ) {distance:.4f}; turns {rates[-1].value:.3f} rad per time")
    assert distance < 0.02
    assert rates[-1].low < field.winding_rate < rates[-1].high

# %% [markdown]
# The density stays where it was; no crowd gathers at the saddle. What λ changes is how fast the paths *wind*: at the
# rate $\lambda \pi^{3/2}/Z$. So there is a rotation in the mean, without a cycle that anything would converge to.

# %% [markdown]
# ## The wrong method
#
# Can a trajectory show it? The thesis compares the autocorrelation of $x_1$ with the band of white noise, and the
# spectrum of its increments with a flat one. Let us try this on the process *without* rotation, λ = 0.

# %%
lags, tests = np.arange(1, 400, 6), {}
figure, (left, right) = plotting.subplots(1, 2, size=(8.0, 3.6))
for strength, meaning in ((0.0, "sgd"), (1.5, "viscous")):
    run = pl.simulate(equation(strength), (1.0, 0.0), t=1000.0, dt=0.01, paths=16, save_every=5, seed=2)
    states = run.states[200:]
    tests[strength] = nonequilibrium.rotation(states, run.times[200:], lag=2, seed=0)
    values, band = nonequilibrium.autocorrelation(states[..., 0], lags)
    power = nonequilibrium.spectrum(np.diff(states[..., 0], axis=0), segments=64)
    left.plot(0.05 * lags, values, label=f"λ = {strength:g}", **plotting.look(meaning))
    right.loglog(20 * power.frequencies, power.power, **plotting.look(meaning))
    assert values[:5].min() > band, "white noise would be inside"
    assert power.high[power.frequencies < 0.01].max() < 1, "white noise would be flat"
left.axhspan(-band, band, color="#dddddd")
left.set(xlabel="lag", ylabel="autocorrelation of $x_1$")
plotting.label_ends(left)
right.axhline(1.0, color="#999999", lw=0.8)
right.set(xlabel="cycles per time", ylabel="power of increments of $x_1$")
plotting.frame(figure, "Outside the band of white noise, far from flat: with rotation and without")

# %% [markdown]
# Both fail the test of white noise, the innocent one as well: anything that relaxes does. Correlations that last show
# inertia, low power at low frequencies shows a well, and high power there shows drift. None of them turns.
#
# What turns is a *pair* of coordinates. Run time backwards, and $x_1(t)\, x_2(t + \tau) - x_2(t)\, x_1(t + \tau)$
# changes its sign; in detailed balance both directions are alike, so that its mean is zero. That is a null to test.

# %%
for strength, test in tests.items():
    low, high = 2 * test.low[0, 1], 2 * test.high[0, 1]
    print(f"λ = {strength}: area swept per time in [{low:.3f}, {high:.3f}], p = {test.p_value:.4f}")
assert tests[0.0].p_value > 0.01 and tests[1.5].p_value < 0.001 and tests[1.5].low[0, 1] > 0

# %% [markdown]
# ## Drag
#
# The drift without noise: two paths, from radius $r_0$ on either side; `strength` is λ. Find the λ at which the two
# ends meet in the saddle. Does the path for λ = 3 ever close?

# %%
axis = np.linspace(-2.2, 2.2, 81)
plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
levels = turning.potential(plane)


def draw(strength, radius):
    field = Circulation(strength)
    figure, ax = plotting.subplots(size=(5.0, 4.6))
    ax.contour(axis, axis, levels.T, levels=np.arange(0.1, 2.0, 0.25), colors="#c9c9c9", linewidths=0.8)
    for side, meaning in ((1, "viscous"), (-1, "inviscid")):
        flow = solve_ivp(lambda t, x: field.drift(x), (0, 30), [side * radius, 0.0], max_step=0.05)
        ax.plot(*flow.y, lw=1.0, color=plotting.COLORS[meaning])
    ax.plot(*field.zeros().T, "o", ms=6, mfc="white", mec="black")
    ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))
    count = {1: "one place, the saddle", 3: "three places"}[len(field.zeros())]
    return plotting.frame(figure, f"The drift vanishes at {count}", f"λ = {strength:.3g}, r₀ = {radius:.3g}")


plotting.drag(draw, strength=(0.0, 3.0, 1.5), radius=(0.2, 2.0, 1.5))

# %% [markdown]
# ## Exercises
#
# **1. Measure the rotation.** A particle at $x$ that moves by $dx$ sweeps (twice) the area $x_1 dx_2 - x_2 dx_1$. Write
# the mean per time, for one trajectory of shape `(times, 2)` that is saved every `step`.


# %%
def swept(states, step):
    """Mean of x1 dx2 - x2 dx1 per time, from the trajectory's mean place."""
    ...


# %%
def test_swept(swept):
    t = 0.01 * np.arange(628)
    circle = np.stack([1 + 2 * np.cos(3 * t), 2 * np.sin(3 * t)], -1)
    assert abs(swept(circle, 0.01) - 12) < 0.1, "a circle of radius 2, three radians per time, sweeps 4 · 3 = 12"
    assert abs(swept(circle[::-1], 0.01) + 12) < 0.1, "backwards in time it must change its sign"
    some = run.states[200:, 0]
    exact = nonequilibrium.rotation(some, run.times[200:]).areal_velocity[0, 1]
    assert abs(swept(some, 0.05) - exact) < 0.02, f"for a path of the example it is {exact:.3f}"


print(exercises.check(swept, test_swept))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def swept(states, step):
#     x = states - states.mean(0)
#     dx = np.diff(x, axis=0)
#     return float((x[:-1, 0] * dx[:, 1] - x[:-1, 1] * dx[:, 0]).mean() / step)
# ```
#
# </details>
#
# **2. When does a spectrum show it?** Take the linear process $dX = -FX\, dt + \sqrt2\, dB$ with
# $F = \begin{pmatrix} k & -a \\ a & k\end{pmatrix}$. The power of $x_1$ at the angular frequency ω is proportional to
# $(\omega^2 + a^2 + k^2)\,/\,\big((k^2 + a^2 - \omega^2)^2 + 4 k^2 \omega^2\big)$. Where is its peak?


# %%
def peak(k, a):
    """The ω > 0 at which the power of x1 is largest; 0 if it falls from the start."""
    ...


# %%
def test_peak(peak):
    omega = np.linspace(0.0, 12.0, 12001)
    for k, a in ((1.0, 0.4), (1.0, 1.0), (1.0, 3.0), (0.2, 3.0), (2.0, 1.1), (2.0, 1.3)):
        state = nonequilibrium.linear([[k, -a], [a, k]], np.eye(2))
        exact = omega[nonequilibrium.linear_spectrum(state, omega)[:, 0, 0].real.argmax()]
        answer = peak(k, a)
        assert abs(answer - exact) < 2e-3, f"for k = {k}, a = {a} the peak is at {exact:.3f}, not {answer:.3f}"


print(exercises.check(peak, test_peak))

# %% [markdown]
# <details><summary>Solution</summary>
#
# With $s = \omega^2$ and $R = k^2 + a^2$ the derivative vanishes where $(s + R)^2 = 4 a^2 R$, that is
# $\omega^2 = 2a\sqrt R - R$. It is positive if $4a^2 > R$, or $a > k/\sqrt3$. A slower rotation leaves no peak at all,
# though detailed balance is broken just as well.
#
# ```python
# def peak(k, a):
#     R = k * k + a * a
#     return math.sqrt(max(2 * abs(a) * math.sqrt(R) - R, 0.0))
# ```
#
# </details>

# %% [markdown]
# ## Where it leads
#
# - [Figure 6.3](../figures/figure_6_3.png) asks the same of a real network on the digits. SGD does turn there, by a few
#   hundredths of a variance in an epoch, as the covariance of its gradients predicts; gradient descent without any
#   noise has the spectrum that was taken for cycles.
# - [Figure 6.4](../figures/figure_6_4.png) is this example in one picture; `pdelab verify Ex6.43 C6.41 E20` checks it.
# - `pdelab.nonequilibrium.rotation` takes any saved trajectory, your own weights too: a few projections, saved often.
# - [Which valley wins?](01_which_valley_wins.ipynb) has noise that does not turn, and what it prefers.
