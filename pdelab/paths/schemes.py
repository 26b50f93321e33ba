"""Schemes: one step of a stochastic equation, as functions (sde, x, t, dt, noise) -> the state at t + dt.

`x` has the components (d, paths); `noise.dw` the increments of the Wiener processes (m, paths), `noise.dz` the
integrals int (W_s - W_t) ds, `noise.next_dw` the increments of the step that follows. A function written with these
and NumPy's arithmetic is compiled when the equation is made of formulas.

| scheme | equation | strong | weak |
|---|---|---|---|
| `euler_maruyama` | any (Ito) | 1/2, additive noise 1 | 1 |
| `milstein` | diagonal, scalar, commutative noise | 1 | 1 |
"""

import numpy as np


def euler_maruyama(sde, x, t, dt, noise):
    """x + b dt + σ ΔW with the Ito drift: strong order 1/2 (1 when σ does not depend on x), weak order 1."""
    return x + (sde.drift(x, t) + sde.correction(x, t)) * dt + sde.noise_term(x, t, noise.dw)
