"""Thesis 6.2.1 and 6.2.2: optimal transport and minimising movements on the line."""

import math

import numpy as np

from pdelab import losses, transport
from pdelab.claims import at_most, claim, equal, not_computable
from pdelab.grid import Grid


def normal(mean, deviation, n=801):
    """A normal law on the line, cell by cell."""
    grid = Grid(-7.0, 8.0, n)
    rho = np.exp(-((grid.x - mean) ** 2) / (2 * deviation**2))
    return transport.law(grid, rho / grid.integrate(rho))


def moments(law):
    """Mean and standard deviation of a law that is uniform in its cells."""
    middle, width = 0.5 * (law.left + law.right), law.right - law.left
    mean = law.masses @ middle
    return float(mean), math.sqrt(law.masses @ ((middle - mean) ** 2 + width**2 / 12))


@claim(
    "C6.18", source="thesis (6.18)-(6.20)", as_printed="right",
    statement="a minimising movement in a quadratic well takes N(m, s^2) to m' = m/(1 + lam tau) and the root s' of "
    "(lam + 1/tau) s'^2 - (s/tau) s' = 1/beta",
    perturbation=["an explicit step, m' = (1 - lam tau) m", "without the entropy"],
    rejects=[{"explicit": True}, {"entropy": 0.0}], tolerance="the laws' cells: the difference of two of their numbers",
)  # fmt: skip
def gaussian_movement(quick=False, explicit=False, entropy=1.0):
    lam, tau, mean, deviation = 1.5, 0.1, 1.0, 0.6
    V, shifted = losses.Loss(f"{lam / 2}*x**2"), []
    for n in (201, 401):
        start = normal(mean, deviation, n)
        m0, s0 = moments(start)
        m1, s1 = moments(transport.jko(start, V, tau)[-1])
        shifted.append((m1 - m0 + mean, s1 - s0 + deviation))
    coarse, fine = np.array(shifted)
    root = (deviation / tau + math.sqrt((deviation / tau) ** 2 + 4 * entropy * (lam + 1 / tau))) / (2 * (lam + 1 / tau))
    expected = np.array([(1 - lam * tau) * mean if explicit else mean / (1 + lam * tau), root])
    return equal(expected, fine, 2 * np.abs(fine - coarse))


@claim(
    "C6.W2", source="thesis 6.2.2, contraction in the Wasserstein metric", as_printed="right",
    statement="V'' >= lam: one minimising movement brings any two laws closer by 1/(1 + lam tau), in W2",
    perturbation="by 1/(1 + lam tau)^2", rejects={"power": 2.0}, tolerance="none: an inequality",
)  # fmt: skip
def contraction_of_a_movement(quick=False, power=1.0):
    tau, V = 0.05, losses.Loss("0.95*x**2 + 0.4*cos(x)")  # V'' >= 1.5
    pairs = [((1.0, 0.6), (-0.5, 0.3)), ((0.0, 1.0), (0.0, 0.4)), ((2.0, 0.5), (1.9, 0.5))]
    before, after = [], []
    for laws in pairs:
        first, second = (normal(mean, deviation, 401) for mean, deviation in laws)
        before.append(transport.wasserstein(first, second))
        after.append(transport.wasserstein(*(transport.jko(law, V, tau)[-1] for law in (first, second))))
    return at_most(np.array(before) / (1 + 1.5 * tau) ** power, after)


not_computable(
    "C6.15", source="thesis, Monge's problem before (6.15)", as_printed="corrected", reason="a letter in print",
    printed="int_A q(x) dx = int_{T^-1(A)} f(y) dy", statement="int_A q = int_{T^-1(A)} p: f is a slip for p",
)  # fmt: skip
not_computable(
    "R6.17", source="thesis Remark 6.17", as_printed="corrected",
    printed="the Dirichlet functional suggests that it minimizes the total-variation of its density",
    statement="the Dirichlet energy int |grad rho|^2/2 is not the total variation int |grad rho|",
    reason="fixes the name of a functional",
)  # fmt: skip
