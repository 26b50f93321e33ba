"""The network figures in their quick form: every check holds, and they are drawn. (In a file of its own, for a worker
of its own.)"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from pdelab import figures, plotting  # noqa: E402

NAMES = [name for name, module in figures.gallery().items() if getattr(module, "NEEDS", "") == "networks"]
# the tables and Figure 5.6 are the races of other figures again
OWN = [name for name in NAMES if name != "5.6" and not name.startswith("table")]
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
