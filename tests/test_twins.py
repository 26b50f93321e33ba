"""Every compiled kernel of the package agrees with a slow, obvious twin on random and ugly input."""

import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import pdelab

TWINS = Path(__file__).parent / "twins"


def modules():
    for info in pkgutil.walk_packages(pdelab.__path__, "pdelab."):
        if info.name == "pdelab.networks" or info.name.startswith("pdelab.networks."):
            pytest.importorskip("torch")
        yield importlib.import_module(info.name)


def kernels():
    """{(twin file, kernel name): dispatcher} of every jitted function, by the module that defines it."""
    jitted = {}
    for module in modules():
        for name, value in vars(module).items():
            if isinstance(value, Dispatcher) and value.py_func.__module__ == module.__name__:
                stem = module.__name__.removeprefix("pdelab.").replace(".", "_")
                jitted[stem, name] = value
    return jitted


def twins(stem):
    path = TWINS / f"{stem}.py"
    if not path.exists():
        return {}
    spec = importlib.util.spec_from_file_location(f"twins_{stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TWINS


KERNELS = kernels()


def test_there_are_kernels():
    assert len(KERNELS) > 5


def test_no_twin_without_its_kernel():
    for path in TWINS.glob("*.py"):
        orphans = [name for name in twins(path.stem) if (path.stem, name) not in KERNELS]
        assert not orphans, f"{path.name}: no kernels named {orphans}"


@pytest.mark.parametrize("stem, name", sorted(KERNELS))
def test_kernel_equals_its_twin(stem, name):
    registry = twins(stem)
    assert name in registry, f"tests/twins/{stem}.py has no twin for the kernel {name}"
    twin, cases, *rule = registry[name]
    rule = rule[0] if rule else 1e-12
    count = 0
    for arguments in cases(np.random.default_rng(20260)):
        ours, theirs = _copies(arguments), _copies(arguments)
        with np.errstate(all="ignore"):
            got, expected = KERNELS[stem, name](*ours), twin(*theirs)
        if callable(rule):  # of enclosures: what may differ from the twin, and how
            rule((got, ours), (expected, theirs), f"{name}: case {count}")
        else:
            _agree(got, expected, rule, f"{name}: returned value, case {count}")
            for k, (a, b) in enumerate(zip(ours, theirs)):
                _agree(a, b, rule, f"{name}: argument {k} afterwards, case {count}")
        count += 1
    assert count > 0


def _copies(arguments):
    copy = lambda a: a.copy() if isinstance(a, np.ndarray) else a  # noqa: E731
    return [tuple(map(copy, a)) if isinstance(a, tuple) else copy(a) for a in arguments]


def _agree(got, expected, rtol, message):
    if isinstance(expected, (tuple, list)):
        assert len(got) == len(expected), message
        for a, b in zip(got, expected):
            _agree(a, b, rtol, message)
    elif expected is None:
        assert got is None, message
    else:
        got, expected = np.asarray(got), np.asarray(expected)
        finite = np.abs(expected[np.isfinite(expected)]) if expected.dtype.kind in "fc" else np.array([])
        scale = finite.max() if finite.size else 0.0
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * scale, err_msg=message)
