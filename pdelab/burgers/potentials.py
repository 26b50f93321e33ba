"""Fields that are gradients: the potential of p = Du, and how far from one p is."""

import numpy as np

__all__ = ["curl", "potential"]


def curl(p, grid):
    """max |∂_i p_k - ∂_k p_i| by central differences: round-off for a gradient computed by them."""
    parts = [grid.gradient(np.ascontiguousarray(p[..., k])) for k in range(grid.dimension)]
    return max(
        float(np.abs(parts[k][..., i] - parts[i][..., k]).max()) for i in range(grid.dimension) for k in range(i)
    )


def potential(p, grid):
    """(m, u): the mean of p along the periodic axes, shape (d,), and a potential of p - m, integrated line by line.

    Cubic splines along the first axis from the lower corner, then along the second from there, and so on.
    """
    from scipy.interpolate import CubicSpline  # a third of a second to import

    means, u = np.zeros(grid.dimension), 0.0
    for axis, (x, name, high) in enumerate(zip(grid.axes, grid.boundary, grid.upper)):
        line = p[..., axis]
        for other in range(axis + 1, grid.dimension):
            line = line.take([0], axis=other)
        if name == "periodic":
            means[axis] = p[..., axis].mean()
            line = line - line.mean(axis=axis, keepdims=True)
            closed = np.concatenate([line, line.take([0], axis=axis)], axis=axis)
            spline = CubicSpline(np.append(x, high), closed, axis=axis, bc_type="periodic")
        else:
            spline = CubicSpline(x, line, axis=axis)
        u = u + spline.antiderivative()(x)
    return means, np.ascontiguousarray(np.broadcast_to(u, grid.shape))
