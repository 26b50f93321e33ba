"""Regularity: what u_t = -½|∇u|² + 1/(2 beta) Δu does to curvature, convexity and critical points of its data.

Two kinds of statement live here. On node values, constants of the grid function itself (one-sided bounds on second
differences) and the tracks of its extrema in time. On a Loss, the exact laws of the inviscid flow: inflection points
that move in straight lines until the first shock, the time until which a critical point persists.

Chaudhari, thesis, section 4.5; corrections are marked.
"""

from pdelab.regularity.constants import (
    hessian_bounds,
    laplacian_bound,
    lipschitz,
    second_differences,
    semiconcavity,
    semiconcavity_bound,
)
from pdelab.regularity.convexity import (
    convexity_interval,
    convexity_intervals,
    first_shock_time,
    inflection_points,
    transported_inflections,
)
from pdelab.regularity.critical import CriticalPoints, critical_points, persistence_times
from pdelab.regularity.tracks import Track, track
from pdelab.regularity.widths import harmonic_mean, harmonic_mean_bound, quadratic_robust_width, robust_width

__all__ = [
    "CriticalPoints", "Track", "convexity_interval", "convexity_intervals", "critical_points", "first_shock_time",
    "harmonic_mean", "harmonic_mean_bound", "hessian_bounds", "inflection_points", "laplacian_bound", "lipschitz",
    "persistence_times", "quadratic_robust_width", "robust_width", "second_differences", "semiconcavity",
    "semiconcavity_bound", "track", "transported_inflections",
]  # fmt: skip
