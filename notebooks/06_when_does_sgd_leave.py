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
# SGD sits in a well, shaken by its noise, $dX = -f'\, dt + \sqrt{2/\beta}\, dW$. Sooner or later it gets over the barrier
# into the next well. How long does it take? And if the noise is turned down slowly, *annealing*, how slowly is slow
# enough to end in the best well?

# %% [markdown]
# ## Prediction
#
# Twice as cold (β from 10 to 20), and the barrier is 0.33. Does it take twice as long, four times, or thirty times? Is
# the time shorter from a narrow well or from a wide one of the same depth?

# %% [markdown]
# ## Run
#
# $f = x^4/4 - x^2/2 + x/10$: a deep well on the left, a shallow one on the right, a top between. The mean time from the
# bottom of the left well to that of the right one, three times: by 2000 paths, by the equation $Q\tau = -1$ of the
# generator, and by Kramers' formula
#
# $$E\,\tau \approx \frac{2\pi}{\sqrt{|f''(\text{top})|\, f''(\text{bottom})}}\; e^{\beta\, (f(\text{top}) - f(\text{bottom}))} .$$

# %%
import matplotlib as mpl
import numpy as np

import pdelab as pl
from pdelab import exercises, plotting

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

paths = pl.simulate(pl.Langevin(f, 10.0), bottom, 3000.0, 0.02, paths=2000, seed=3, save_every=50)
arrived = paths.states >= target
first = paths.times[arrived.argmax(0)][arrived.any(0)]
print(f"β = 10 by {first.size} paths: {first.mean():.1f} ± {first.std() / first.size**0.5:.1f}")
