"""Network figures whose quick form is cheap: every check holds, and they are drawn.

The quick forms of the others take half a minute to a minute each: `pdelab reproduce --networks --quick` runs them all.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from pdelab import figures, plotting  # noqa: E402

OWN = ("2.2", "3.1", "5.1", "5.2", "6.1", "6.2")
FAST = ("5.1", "5.2", "6.1", "6.2")


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in OWN])
def test_quick_figure_holds(name, tmp_path):
    torch.set_num_threads(1)
    module, result = figures.find(name), figures.compute(name, quick=True)
    assert [check.as_dict() for check in result.checks if not check.holds] == []
    checked = [
        key for key in module.CHECKS if result.record["parameters"].get("more", "?") or not key.startswith("MNIST")
    ]
    assert all(np.ndim(result.data[key]) == 0 and np.isfinite(result.data[key]) for key in checked)
    assert plotting.save_figure(module.draw(result.data), tmp_path / "figure").stat().st_size > 10_000
