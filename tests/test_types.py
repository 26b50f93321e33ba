"""Hints: public functions and equations of the top level have them, and a type checker understands all there are."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pdelab as pl

ROOT = Path(__file__).parents[1]
WITHOUT = {"Diffusion", "Loss", "simulate"}  # still to be hinted; no other name may join


def unhinted(thing):
    """Arguments without a hint, and "return" where a function does not say what it returns."""
    function = thing.__init__ if inspect.isclass(thing) else thing
    signature = inspect.signature(function)
    absent = [p.name for p in signature.parameters.values() if p.name != "self" and p.annotation is p.empty]
    return absent + ["return"] * (not inspect.isclass(thing) and signature.return_annotation is signature.empty)


def test_the_top_level_is_hinted():
    things = {name: getattr(pl, name) for name in pl.__all__}
    things = {name: thing for name, thing in things.items() if not inspect.ismodule(thing)}
    found = {name for name, thing in things.items() if name != "AccuracyWarning" and unhinted(thing)}
    assert len(things) > 20
    assert found == WITHOUT


def test_a_missing_hint_is_found():
    def half(x, y: int): ...

    assert unhinted(half) == ["x", "return"]


@pytest.mark.slow
def test_the_type_checker_passes(tmp_path):
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
