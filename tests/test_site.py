"""The documentation site: it builds offline without a warning, and every public name stands in it."""

import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

import pdelab as pl
from pdelab import claims, figures, records
from pdelab.figures import Check
from pdelab.stepping import EQUATIONS

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "extending"


def load(monkeypatch, name):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_shows_every_public_name(tmp_path):
    for package in ("sphinx", "furo", "myst_nb", "torch", "bokeh"):
        pytest.importorskip(package)
    from sphinx.util.inventory import InventoryFile

    sources = tmp_path / "docs"
    for part in ("README.md", "figures", "benchmarks", "notebooks"):
        (tmp_path / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / "docs", sources, ignore=shutil.ignore_patterns("_build", "generated"))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", str(sources), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert "explorer-page.html" in pages["explorer"] and "bokeh" in pages["explorer-page"].lower()
    assert "curvature now" in pages["start"].split("prints")[-1]
    for name in pkgutil.walk_packages(pl.__path__, "pdelab."):
        module = sys.modules.get(name.name)
        if name.name in pages and hasattr(module, "__all__"):
            absent = [key for key in module.__all__ if key not in pages[name.name]]
            assert not absent, (name.name, absent)
    inventory = (tmp_path / "site" / "objects.inv").read_bytes()
    known = InventoryFile.loads(inventory, uri="").data
    described = {key.rpartition(".")[2] for kind in ("py:class", "py:function") for key in known.get(kind, ())}
    absent = {key for key in pl.__all__ if not isinstance(getattr(pl, key), type(pl))} - described
    assert not absent
    rows = json.loads((ROOT / "figures" / "claims.json").read_text(encoding="utf-8"))
    assert all(row["id"] in pages["errata"] for row in rows)


def test_the_table_has_every_equation_and_names_what_there_is():
    rows = (ROOT / "docs" / "table.md").read_text(encoding="utf-8").split("\n\n")[1].splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert all(len(row) == 5 for row in cells)
    for equation in EQUATIONS.values():
        assert any(f"pl.{equation.__name__}" in row[1] for row in cells), equation
    for name in re.findall(r"`pl\.([\w.]+)", "\n".join(rows)):
        assert attrgetter(name)(pl), name
    for name in re.findall(r"`pdelab figure ([\w.-]+)`", "\n".join(rows)):
        assert figures.find(name)
    numbers = {number for row in cells for number in re.findall(r"\d\d", row[4])}
    assert numbers >= {path.name[:2] for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_recipe_for_a_loss(monkeypatch):
    ripples = load(monkeypatch, "ripples").ripples
    f, x = ripples(0.2, 5.0), np.linspace(-1.0, 1.0, 7)
    assert np.allclose(f(x), x**2 / 2 + 0.2 * np.cos(5 * x), rtol=1e-14)
    assert np.allclose(f.gradient(x), x - np.sin(5 * x), rtol=1e-12)
    with pytest.raises(ValueError, match="frequency"):
        ripples(0.2, -1.0)


def test_the_recipe_for_a_claim(monkeypatch):
    monkeypatch.setattr(claims, "_REGISTRY", added := {})
    load(monkeypatch, "curvature_claim")
    (row,) = added.values()
    assert claims.decide(row).holds
    refused = claims.challenge(row)
    assert refused and not any(verdict.holds for verdict in refused)


@pytest.mark.parametrize("quick", [False, True])
def test_the_recipe_for_a_figure(monkeypatch, quick):
    module = load(monkeypatch, "smoothing_figure")
    data = module.compute(**figures.parameters(module, quick=quick))
    for name, (low, high) in figures.bands(module, quick=quick).items():
        assert Check(name, data[name], low, high).holds
    assert module.draw(data).axes
    assert not Check("minima_after", data["minima_before"], *module.CHECKS["minima_after"]).holds
    assert records.Check is Check


def test_the_recipe_for_an_optimizer(monkeypatch):
    """On f = h x²/2 Euler's steps have the variance v ← (1 - ηh)² v + 2 η T_t; 20000 weights show it to 5 errors."""
    torch = pytest.importorskip("torch")
    kind = load(monkeypatch, "cooled_langevin").CooledLangevin
    x = torch.nn.Parameter(torch.zeros(20000, dtype=torch.float64))
    opt, h, variance = kind([x], lr=0.1, temperature=0.5, decay=0.5, seed=3), 2.0, 0.0
    for t in range(30):
        opt.zero_grad()
        (h * x**2 / 2).sum().backward()
        opt.step()
        variance = (1 - 0.1 * h) ** 2 * variance + 2 * 0.1 * 0.5 / (1 + t) ** 0.5
    assert abs(float((x.detach() ** 2).mean()) / variance - 1) < 5 * (2 / 20000) ** 0.5
    with pytest.raises(ValueError, match="temperature"):
        kind([x], temperature=-1.0)
