"""Imports go down only, and `import pdelab` brings neither torch nor matplotlib nor sympy nor SciPy's statistics."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pdelab

ROOT = Path(pdelab.__file__).parent
FLOORS = [
    {"boundaries", "checks", "exercises", "grid", "hints", "losses", "kernels", "noise", "records"},
    {"stepping", "generator"},
    {"hamilton_jacobi", "burgers", "fokker_planck", "paths", "closed_forms", "spin_glass", "perceptron"},
    {"homogenization", "control", "regularity", "transport", "nonequilibrium", "sgd", "metastability"},
    {"networks"},
    {"plotting"},
    {"figures", "claims"},
    {"explorer"},
    {"cli"},
]
FLOOR = {name: k for k, names in enumerate(FLOORS) for name in names}
SAME_FLOOR = {("burgers", "hamilton_jacobi"), ("losses", "grid")}
HOME = {
    "torch": {"networks"},
    "triton": {"networks"},
    "sklearn": {"networks", "figures"},
    "matplotlib": {"plotting", "figures"},
    "bokeh": {"explorer"},
}


def sources():
    files = sorted(ROOT.rglob("*.py"))
    assert len(files) > 5
    return files


def unit(path):
    """The building block a file belongs to: pdelab/networks/data.py -> networks."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """(dotted name, at module level?) of everything a file imports."""
    return _imports(path, path.stat().st_mtime_ns)


@cache
def _imports(path, _written):
    return list(_all_imports(path))


def _all_imports(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nested = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in nested
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) not in nested


def upward(path, text=None):
    """Imports of a file that go up, or sideways without leave."""
    here = unit(path)
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] != "pdelab" or here == "__init__" or len(parts) < 2 or parts[1] not in FLOOR or parts[1] == here:
            continue
        there = parts[1]
        same = FLOOR[here] == FLOOR[there]
        siblings_may = FLOOR[here] in (0, 1, 3, 6) or (here, there) in SAME_FLOOR
        if FLOOR[there] > FLOOR[here] or (same and not siblings_may):
            yield f"{path.name} imports {name}"


def test_every_module_has_a_floor():
    missing = {unit(path) for path in sources()} - set(FLOOR) - {"__init__"}
    assert not missing, f"name the floor of {missing}"


def test_imports_go_down_only():
    lines = [line for path in sources() for line in upward(path)]
    assert not lines, lines


def test_siblings_do_not_import_in_circles():
    edges = {}
    for path in sources():
        here = unit(path)
        for name, _ in imports(path):
            parts = name.split(".")
            if parts[0] == "pdelab" and len(parts) > 1 and parts[1] in FLOOR and parts[1] != here and here in FLOOR:
                edges.setdefault(here, set()).add(parts[1])
    assert not on_a_circle(edges), "siblings import themselves through each other"


def on_a_circle(edges):
    """The nodes of a graph {node: successors} from which a way leads back to them."""
    nodes = []
    for start in edges:
        seen, todo = set(), list(edges[start])
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo += edges.get(node, ())
        nodes += [start] * (start in seen)
    return sorted(nodes)


def inner_edges(files, root):
    """Imports among files, inside functions too: {module: modules}; a package stands for its __init__."""
    modules = {".".join(path.relative_to(root.parent).with_suffix("").parts): path for path in files}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    edges = {}
    for here, path in modules.items():
        for name, _ in imports(path):
            there = name if name in modules else name.rpartition(".")[0]
            if there in modules and not (here + ".").startswith(there + ".") and there.count(".") > 1:
                edges.setdefault(here, set()).add(there)
    return edges


def test_files_of_a_package_do_not_import_in_circles():
    assert not on_a_circle(inner_edges(sources(), ROOT))


def test_a_circle_inside_a_package_is_found(tmp_path):
    package = tmp_path / "pdelab" / "paths"
    package.mkdir(parents=True)
    files = {
        "one": "from pdelab.paths.two import f",
        "two": "def f():\n    from pdelab.paths import three",
        "three": "",
    }
    for circle in (False, True):
        for name, text in files.items():
            (package / f"{name}.py").write_text(text)
        modules = on_a_circle(inner_edges(package.glob("*.py"), tmp_path / "pdelab"))
        assert modules == (["pdelab.paths.one", "pdelab.paths.three", "pdelab.paths.two"] if circle else [])
        files["three"] = "import pdelab.paths.one"


def test_heavy_packages_stay_at_home():
    for path in sources():
        for name, top_level in imports(path):
            package = name.split(".")[0]
            if package in HOME:
                assert unit(path) in HOME[package], f"{path.name} imports {name}"
            if package in ("matplotlib", "sympy", "sklearn"):
                assert not top_level, f"{path.name} imports {name} at module level"


def test_an_upward_import_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    planted = tmp_path / "grid.py"
    planted.write_text("def f():\n    from pdelab import cli\n")
    assert list(upward(planted)) == ["grid.py imports pdelab.cli"]


def test_import_is_light():
    heavy = [*HOME, "sympy", "scipy.stats", "scipy.signal", "scipy.ndimage", "scipy.optimize", "scipy.integrate"]
    code = f"import sys, pdelab; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
