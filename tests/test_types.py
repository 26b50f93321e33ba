"""Hints: every public function, class and method has them, and a type checker understands all there are."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from surface import callables, methods, signature

ROOT = Path(__file__).parents[1]


def unhinted(value):
    """Arguments without a hint, and "return" where a function does not say what it returns."""
    call = signature(value)
    if call is None:
        return []
    absent = [p.name for p in call.parameters.values() if p.name not in ("self", "cls") and p.annotation is p.empty]
    return absent + ["return"] * (not inspect.isclass(value) and call.return_annotation is call.empty)


def test_every_public_function_and_class_is_hinted():
    assert len(callables()) > 400
    assert not {name: absent for name, value in callables().items() if (absent := unhinted(value))}


def test_every_public_method_is_hinted():
    kinds = {name: kind for name, kind in callables().items() if inspect.isclass(kind)}
    assert not {
        f"{name}.{method}": absent
        for name, kind in kinds.items()
        for method, function in methods(kind).items()
        if (absent := unhinted(function))
    }


def test_a_missing_hint_is_found():
    def half(x, y: int): ...

    class Half:
        def __init__(self, x, y: int): ...

        @property
        def whole(self): ...

    assert unhinted(half) == ["x", "return"]
    assert unhinted(Half) == ["x"]
    assert unhinted(methods(Half)["whole"]) == ["return"]


@pytest.mark.slow
def test_the_type_checker_passes(tmp_path):
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
