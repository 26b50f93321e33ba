"""SGD in all of weight space against SGD on its own plane: the same where the plane is everything."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from networks_device import DEVICE, array  # noqa: E402

from pdelab.networks import bridge  # noqa: E402
from pdelab.networks.bridge.projection import roam  # noqa: E402
from pdelab.networks.curvature import Objective  # noqa: E402


def linear(weights, seed=0):
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Linear(weights, 1, bias=False, dtype=torch.float64)
    x, y = (torch.randn(30, k, dtype=torch.float64, generator=generator) for k in (weights, 1))
    with torch.no_grad():
        model.weight.fill_(0.5)
    return Objective(model.to(DEVICE), (x, y), loss=lambda m, b: (m(b[0]) - b[1]).square().mean() / 2)


def test_a_plane_of_two_weights_is_everything():
    f = linear(2)
    plane = bridge.restrict(f, np.eye(2), origin=np.zeros(2))
    start = np.repeat(array(f.weights)[None], 40, 0)
    here = bridge.descend(plane, start, 0.1, 30, 3, seed=4).final
    np.testing.assert_allclose(roam(f, 0.1, 30, batch=3, runs=40, seed=4), here, atol=1e-12)
    comparison = bridge.compare_projection(f, 0.1, 30, batch=3, runs=200, seed=4)
    assert comparison.explained == pytest.approx(1.0)
    assert all(comparison.low[metric] == 0 < comparison.high[metric] for metric in ("w1", "w2", "tv"))


def test_data_of_any_form_take_the_same_runs():
    """A tensor, a dict and a nest in place of a pair: the same samples, the same mini-batches."""
    pair = linear(3)
    x, y = pair.data
    forms = (
        (torch.cat([x, y], 1), lambda m, b: (m(b[:, :3]) - b[:, 3:]).square().mean() / 2),
        ({"x": x, "y": y}, lambda m, b: (m(b["x"]) - b["y"]).square().mean() / 2),
        (((x,), y), lambda m, b: (m(b[0][0]) - b[1]).square().mean() / 2),
    )
    expected = roam(pair, 0.1, 5, batch=2, runs=4)
    for samples, loss in forms:
        ends = roam(Objective(pair.model, samples, loss=loss), 0.1, 5, batch=2, runs=4)
        np.testing.assert_allclose(ends, expected, atol=1e-14)


def test_moments_of_a_linear_model_are_exact():
    """Mean and second moment of SGD on a linear model obey a linear recursion, in all of weight space."""
    f, lr, steps = linear(3), 0.05, 20
    x, y = map(array, f.data)
    ends = roam(f, lr, steps, runs=4000, seed=1)
    mean = array(f.weights)
    A, b = x.T @ x / len(x), x.T @ y[:, 0] / len(x)
    second = np.outer(mean, mean)
    for _ in range(steps):
        moved = [(np.eye(3) - lr * np.outer(r, r), lr * t * r) for r, t in zip(x, y[:, 0])]
        second = sum(
            M @ second @ M.T + np.outer(M @ mean, c) + np.outer(c, M @ mean) + np.outer(c, c) for M, c in moved
        )
        second /= len(x)
        mean = mean - lr * (A @ mean - b)
    error = ends.std(0) / np.sqrt(len(ends))
    assert (abs(ends.mean(0) - mean) < 4 * error).all()
    spread = second - np.outer(mean, mean)
    assert np.abs(np.cov(ends.T) - spread).max() < 5 * np.sqrt(2 / len(ends)) * spread.max()


def test_where_other_directions_matter_the_laws_differ():
    """A network: SGD on its plane has less room than SGD in all of weight space, by more than the intervals."""
    pytest.importorskip("sklearn")
    f = bridge.trained_slice(1, epochs=3, device=str(DEVICE)).functions.objective
    laws = bridge.compare_projection(f, 0.05, 200, dimension=1, runs=200, seed=2)
    assert 0 < laws.explained < 0.5 and laws.low["w2"] > 0 and laws.distances["w2"] > laws.floor["w2"]
    np.testing.assert_allclose(laws.projected.mean(), 0.0, atol=1e-12)
    assert laws.spread[0] == laws.projected.std() > laws.restricted.std()


def test_planes_through_minima_and_along_a_run():
    pytest.importorskip("sklearn")
    common = {"epochs": 1, "hidden": 3, "samples": 30, "device": str(DEVICE)}
    plane, other = (bridge.trained_slice(dimension, "minima", **common) for dimension in (2, 1))
    np.testing.assert_array_equal(plane.basis[0], other.basis[0])
    second = bridge.trained_slice(1, seed=1, **common)
    away = plane.weights(plane.coordinates(second.origin)) - second.origin
    assert np.abs(away).max() < 1e-6, "the second network lies in the plane"
    line = bridge.trained_slice(1, "trajectory", **common)
    ends = roam(line.functions.objective, 0.05, 400, runs=50)
    along = ((ends - ends.mean(0)) @ line.basis[0]).var()
    assert along == pytest.approx(np.linalg.svd(ends - ends.mean(0), compute_uv=False)[0] ** 2 / 50, rel=1e-8)


@pytest.mark.parametrize("changes", [{"lr": 0.0}, {"steps": 0}, {"dimension": 3}, {"runs": 2}, {"resamples": 3}])
def test_refusals(changes):
    name = next(iter(changes))
    with pytest.raises(ValueError, match=f"{name}: expected"):
        bridge.compare_projection(linear(2), **({"lr": 0.1, "steps": 5, "runs": 20} | changes))
    with pytest.raises(ValueError, match="objective: expected"):
        roam(None, 0.1, 5)
    with pytest.raises(FloatingPointError, match="lower the rate"):
        roam(linear(2), 80.0, 400, runs=3)
