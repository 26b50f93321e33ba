"""A claim: the curvature of a smoothed quadratic, and the wrong sign that must be rejected."""

from pdelab import Loss, local_entropy_hessian
from pdelab.claims import claim, equal


@claim(
    "D1.2",
    source="thesis (3.10), of a quadratic",
    as_printed="new",
    statement="the curvature a of a quadratic becomes a/(1 + a gamma)",
    perturbation="a/(1 - a gamma)",
    rejects={"sign": -1.0},
    tolerance="round-off of a closed form",
)
def curvature_of_a_smoothed_quadratic(quick=False, sign=1.0):
    a, gamma = 3.0, 0.5
    measured = local_entropy_hessian(Loss("1.5*x**2"), 0.2, gamma, beta=4.0)
    return equal(a / (1 + sign * gamma * a), measured, tolerance=1e-9)
