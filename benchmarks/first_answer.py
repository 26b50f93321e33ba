"""Seconds from nothing to the first answer: a fresh process imports, solves P1 once and ends (median wall time)."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.harness import Row, peer

OURS = """
import numpy as np, pdelab as pl
grid = pl.Grid(-1.0, 1.0, 1024, boundary="periodic")
x = grid.x
f = (1 - np.cos(np.pi * x)) / 2 + 0.3 * np.cos(6 * np.pi * x) + 0.1 * np.sin(2 * np.pi * x)
pl.solve(pl.HamiltonJacobi(beta=10.0), f, grid, 0.2)
"""
LANGEVIN = """
import pdelab as pl
pl.simulate(pl.Langevin(pl.losses.double_well(), 5.0), 0.0, 1.0, 0.01, paths=1000, seed=0)
"""
PY_PDE = """
import numpy as np, pde
grid = pde.CartesianGrid([[-1, 1]], 1024, periodic=True)
x = grid.axes_coords[0]
f = (1 - np.cos(np.pi * x)) / 2 + 0.3 * np.cos(6 * np.pi * x) + 0.1 * np.sin(2 * np.pi * x)
eq = pde.PDE({"u": "0.05 * laplace(u) - 0.5 * gradient_squared(u)"})
eq.solve(pde.ScalarField(grid, f), t_range=0.2, dt=3e-5, tracker=None)
"""


def rows(quick=False):
    """First solve of Hamilton-Jacobi and first simulation, second process of ours, against py-pde."""
    count = 1 if quick else 3
    solve, langevin = _seconds(OURS, count), _seconds(LANGEVIN, count)
    for code, name in ((OURS, "solve"), (LANGEVIN, "simulate")):
        with tempfile.TemporaryDirectory() as empty:
            caches = {"NUMBA_CACHE_DIR": empty, "PDELAB_CACHE": empty}
            note = "every kernel is compiled, once on a machine"
            yield Row("first answer", f"pdelab: the very first {name}", 1e3 * _once(code, caches), note=note)
    for seconds, name in ((solve, "solve"), (langevin, "simulate")):
        name = f"pdelab: import and first {name}"
        yield Row("first answer", name, 1e3 * seconds, note="aim < 2 s", missed=seconds >= 2)
    if peer("py-pde", "pde"):
        seconds = _seconds(PY_PDE, count)
        yield Row("first answer", "py-pde", 1e3 * seconds, ratio=seconds / solve, target=8)


def _seconds(code, count):
    """Median wall seconds of a fresh process, after one that fills the caches."""
    return statistics.median([_once(code) for _ in range(count + 1)][1:])


def _once(code, settings=None):
    """Wall seconds of a fresh process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | (settings or {})
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - start
