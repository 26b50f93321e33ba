"""From a scheme, written once as array arithmetic, to a compiled kernel.

A scheme is called once with symbols in place of numbers. Every operation on them is written down as one line of
straight code over one path; numbers stay outside as slots of an array, so that the code depends on the form of an
equation and not on its parameters. The kernel keeps a block of paths in the first-level cache and runs all its steps
there: fill the noise, update, next step. It is kept on disk like the derivatives of a loss.
"""

import ast
import hashlib
import inspect
import operator
import re
from functools import cache, lru_cache
from pathlib import Path

import numba
import numpy as np

from pdelab.kernels import march, noise
from pdelab.kernels.calls import address_of
from pdelab.losses import compiled_module

__all__ = [
    "ELEMENTARY", "LIBRARY", "NO_FINER_SIGNS", "NotTraceable", "Schedule", "Symbol", "Trace", "TracedNoise",
    "VECTORISED", "as_vector", "compiled_step", "kept_kernel", "scalar_functions", "trace_step",
]  # fmt: skip

VECTORISED = ("exp", "log", "sin", "cos", "tanh")
LIBRARY = ("sqrt", "fabs", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "atan2", "erf",
           "erfc")  # fmt: skip
ELEMENTARY = {"library": ", ".join(LIBRARY), "vectorised": ", ".join(f"v{name} as {name}" for name in VECTORISED)}
LARGEST_POWER = 32
NO_FINER_SIGNS = "refine: random signs are no sums of finer ones, they converge in law alone: take refine=1"


class NotTraceable(Exception):
    """A Python function stands in the way: the equation runs through NumPy instead."""


class Schedule:
    """A number that changes from step to step and is the same for all paths: its values at the steps of a run."""

    def __init__(self, values):
        self.values = np.asarray(values, float)

    def _with(self, other, operation, reverse=False):
        if isinstance(other, Schedule):
            other = other.values
        elif not _is_number(other):
            return NotImplemented
        return Schedule(operation(other, self.values) if reverse else operation(self.values, other))

    def __add__(self, other):
        return self._with(other, operator.add)

    def __sub__(self, other):
        return self._with(other, operator.sub)

    def __rsub__(self, other):
        return self._with(other, operator.sub, reverse=True)

    def __mul__(self, other):
        return self._with(other, operator.mul)

    def __truediv__(self, other):
        return self._with(other, operator.truediv)

    def __rtruediv__(self, other):
        return self._with(other, operator.truediv, reverse=True)

    def __pow__(self, other):
        return self._with(other, operator.pow)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return Schedule(-self.values)

    def sqrt(self):
        return Schedule(np.sqrt(self.values))

    def exp(self):
        return Schedule(np.exp(self.values))

    def log(self):
        return Schedule(np.log(self.values))

    def expm1(self):
        return Schedule(np.expm1(self.values))


class Symbol:
    """A number that differs from path to path; operations on it write code."""

    def __init__(self, trace, name, base=None, factor=1.0):
        self.trace, self.name = trace, name
        self.base, self.factor = self if base is None else base, factor  # products with numbers: one number

    def _with(self, other, sign, reverse=False):
        if (name := self.trace.name_of(other)) is None:
            return NotImplemented
        return self.trace.emit(f"{name} {sign} {self.name}" if reverse else f"{self.name} {sign} {name}")

    def __add__(self, other):
        return self if _is_number(other, 0) else self._with(other, "+")

    def __radd__(self, other):
        return self if _is_number(other, 0) else self._with(other, "+", reverse=True)

    def __sub__(self, other):
        return self if _is_number(other, 0) else self._with(other, "-")

    def __rsub__(self, other):
        return -self if _is_number(other, 0) else self._with(other, "-", reverse=True)

    def _times(self, number):
        factor = self.factor * number
        if factor in (0.0, 1.0):
            return self.base if factor else 0.0
        text = f"-{self.base.name}" if factor == -1.0 else f"{self.base.name} * {self.trace.name_of(factor)}"
        return self.trace.emit(text, self.base, factor)

    def __mul__(self, other):
        return self._times(float(other)) if _is_number(other) else self._with(other, "*")

    __rmul__ = __mul__

    def __truediv__(self, other):
        return self._with(other, "/")

    def __rtruediv__(self, other):
        return self._with(other, "/", reverse=True)

    def __neg__(self):
        return self._times(-1.0)

    def __pow__(self, power):
        if not isinstance(power, (int, np.integer)) or not 1 <= power <= LARGEST_POWER:
            raise NotTraceable
        half = self if power == 1 else self ** (power // 2)
        return half if power == 1 else half * half if power % 2 == 0 else half * half * self

    def __getattr__(self, name):
        """sqrt, exp, sin, ...: what NumPy calls on the elements of an object array."""
        name = {"absolute": "fabs", "arctan": "atan", "arcsin": "asin", "arccos": "acos"}.get(name, name)
        if name not in VECTORISED and name not in LIBRARY:
            raise NotTraceable if not name.startswith("_") else AttributeError(name)
        return lambda: self.trace.emit(f"{name}({self.name})")

    def __abs__(self):
        return self.trace.emit(f"fabs({self.name})")

    def _refuse(self, *other):
        raise NotTraceable

    __bool__ = __float__ = __int__ = __index__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __rpow__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __matmul__ = __rmatmul__ = _refuse


def _is_number(value, number=None):
    return isinstance(value, (int, float, np.integer, np.floating)) and (number is None or value == number)


class Trace:
    """The code of one step as it is being written: lines, numbers, schedules, functions of losses."""

    def __init__(self):
        self.lines, self.known, self.numbers, self.schedules, self.losses = [], {}, [], [], {}
        self.calls = set()

    def name_of(self, value):
        """The name by which code can use a value, or None if it is nothing that code can use."""
        if isinstance(value, Symbol):
            return value.name
        if isinstance(value, Schedule):
            self.schedules.append(value.values)
            return f"s{len(self.schedules) - 1}"
        if _is_number(value):
            self.numbers.append(float(value))
            return f"k{len(self.numbers) - 1}"
        return None

    def emit(self, text, base=None, factor=1.0):
        """The symbol of an expression; the same expression is computed once."""
        if text not in self.known:
            self.known[text] = Symbol(self, f"v{len(self.lines)}", base, factor)
            self.lines.append(f"v{len(self.lines)} = {text}")
        return self.known[text]

    def call(self, loss, kind, arguments):
        """value, gradient or hessian (its upper triangle by rows) of a formula at symbols: a list of symbols."""
        number = self.losses.setdefault(loss, len(self.losses))
        self.calls.add((number, kind))
        text = f"{kind}_{number}({', '.join(self.name_of(a) for a in arguments)})"
        if text not in self.known:
            d = loss.dimension
            count = {"value": 1, "gradient": d, "hessian": d * (d + 1) // 2}[kind]
            symbols = [Symbol(self, f"v{len(self.lines)}_{j}") for j in range(count)]
            self.lines.append(f"{', '.join(s.name for s in symbols)} = {text}")
            self.known[text] = symbols
        return self.known[text]

    def functions(self):
        """(loss, its number, the kinds of functions called), one entry a loss."""
        kinds = lambda k: sorted(kind for number, kind in self.calls if number == k)  # noqa: E731
        return [(loss, k, kinds(k)) for loss, k in self.losses.items()]

    def prune(self, results):
        """Keep the lines that the results need; returns all names that they use."""
        needed, lines = set(results), []
        for line in reversed(self.lines):
            left, right = line.split(" = ", 1)
            if not needed.isdisjoint(left.split(", ")):
                needed.update(re.findall(r"\w+", right))
                lines.append(line)
        self.lines = lines[::-1]
        return needed


class TracedNoise:
    """The noise of one step as symbols; after the trace `used` says which letters the step needs."""

    def __init__(self, trace, wieners, dt, coarse):
        self.trace, self.wieners, self.dt, self.coarse = trace, wieners, dt, coarse

    def _symbols(self, letter):
        return as_vector([Symbol(self.trace, f"{letter}{c}") for c in range(self.wieners)])

    @property
    def normals(self):
        return self._symbols("z")

    @property
    def dw(self):
        return np.sqrt(self.dt) * self.normals

    @property
    def next_dw(self):
        return np.sqrt(self.dt) * self._symbols("n")

    @property
    def signs(self):
        if self.coarse:
            raise ValueError(NO_FINER_SIGNS)
        return self._symbols("b")

    @property
    def dz(self):
        return self.dt**1.5 * (0.5 * self.normals + self._symbols("a") / np.sqrt(12.0))


def as_vector(symbols):
    """A one-dimensional object array, one entry a coordinate."""
    vector = np.empty(len(symbols), object)
    vector[:] = symbols
    return vector


# ------------------------------------------------------------------------------------------- the kernel's text


def trace_step(sde, scheme, times, dt, refine):
    """Write one step of a scheme down; raises NotTraceable when the equation contains a Python function."""
    trace = Trace()
    x = as_vector([Symbol(trace, f"x{j}") for j in range(sde.state_size)])
    increments = TracedNoise(trace, sde.wieners, dt, refine > 1)
    try:
        result = np.asarray(scheme(sde, x, Schedule(times), dt, increments))
    except (TypeError, IndexError, AttributeError) as error:  # numbers may pass where symbols do not
        raise NotTraceable from error
    if result.shape != x.shape:
        raise ValueError(f"scheme: expected states of shape {x.shape} back, got {result.shape}")
    results = [trace.name_of(r) for r in result]
    increments.used = {name[0] for name in trace.prune(results) if re.fullmatch(r"[zanb]\d+", name)}
    return trace, increments, results


def compiled_step(sde, scheme, dt, refine, dtype):
    """(kernel, its numbers, a function times -> its schedules at the steps of a piece of the run)."""
    trace, increments, results = trace_step(sde, scheme, np.zeros(1), dt, refine)
    source, drawn = _source(trace, increments, results, np.dtype(dtype))

    def schedules(times):
        if not trace.schedules:
            return np.empty((0, len(times)), dtype)
        again = trace_step(sde, scheme, times, dt, refine)[0].schedules
        return np.array([np.broadcast_to(values, len(times)) for values in again], dtype)

    return kept_kernel(source, drawn, dtype), np.array([*trace.numbers, 0.0], dtype), schedules


def kept_kernel(source, drawn, dtype):
    """`march` with the function `move` of a generated module, which is kept on disk until what it is made of changes.

    drawn : (normals, channels, pairs, drawn, first_word, period) of `pdelab.kernels.march`
    """
    module = compiled_module(source, f"{source}\n{_versions()}")
    real = numba.float32 if dtype == np.float32 else numba.float64
    address = address_of(module.move, march.step_arguments(real))

    def advance(*arguments):
        march.march(*arguments, address, *drawn)

    advance.__module__ = module.__name__
    return advance


@cache
def _versions():
    digest = hashlib.sha256()
    for module in (noise, march):
        digest.update(Path(module.__file__).read_bytes())
    return f"{numba.__version__} {digest.hexdigest()}"


TEMPLATE = """\
from math import {library}

import numpy as np
from numba import float32, njit

from pdelab.kernels.noise import random_sign, {vectorised}

{functions}
@njit(cache=True, nogil=True, error_model="numpy")
def move(xs, z, words, K, S, n, at, ahead, lane, step, column):
    {numbers}
    {schedules}
    now, then = z[at:], z[ahead:]
    for i in range(n):
        {loads}
{body}
        {stores}
"""


def _source(trace, increments, results, dtype):
    """(the text of a module with the function `move`, what `march` needs to know of its noise)."""
    single = dtype == np.float32
    m = increments.wieners if increments.used - {"b"} else 0
    signs = increments.wieners if "b" in increments.used else 0
    pairs, lookahead = "a" in increments.used, "n" in increments.used
    size, d, channels = 4 if single else 2, len(results), m * (2 if pairs else 1)
    if m == 0:
        normals, stride = march.NO_NORMALS, 0
    elif not (pairs or lookahead or increments.coarse):
        normals, stride = march.DIRECT, size * 512
    else:
        normals, stride = march.LOOK_AHEAD if lookahead else march.SUMMED, 512
    loads = [f"x{j} = xs[{512 * j} + i]" for j in range(d)]
    sources = [("z", "now", 0)] + [("a", "now", m)] * pairs + [("n", "then", 0)] * lookahead
    for letter, place, start in sources:
        loads += [f"{letter}{c} = {place}[{stride * (c + start)} + i]" for c in range(m)]
    loads += [f"b{c} = {'float32' * single}(random_sign(words[{c}, lane, i], step))" for c in range(signs)]
    numbers = [f"k{k} = K[{k}]" for k in range(len(trace.numbers))]
    schedules = [f"s{k} = S[{k}, column]" for k in range(len(trace.schedules))]
    rows = [f"xs[{512 * j} + i] = {name}" for j, name in enumerate(results)]
    text = TEMPLATE.format(
        functions="".join(scalar_functions(*entry, single) for entry in trace.functions()),
        numbers="; ".join(numbers) or "pass", schedules="; ".join(schedules) or "pass", loads="; ".join(loads),
        body="\n".join(" " * 8 + line for line in trace.lines), stores="; ".join(rows), **ELEMENTARY,
    )  # fmt: skip
    return text, (normals, channels, pairs, signs, noise.SIGNS, 64)


def scalar_functions(loss, number, kinds, single):
    """The scalar functions of a formula, renamed, with elementary functions that vectorise."""
    return "".join(_scalar_function(getattr(loss, f"{kind}_kernel"), number, single) for kind in kinds)


@lru_cache(maxsize=256)
def _scalar_function(kernel, number, single):
    """The text of a kernel of a formula and, before it, of the one that it calls where the formula has a kink."""
    function = kernel.py_func
    node = ast.parse(inspect.getsource(function)).body[0]
    calls = {call.id for call in ast.walk(node) if isinstance(call, ast.Name)}
    above = [function.__globals__[name] for name in sorted(calls) if name.endswith("_at_kinks")]
    node = _Renamed(number).visit(_Single().visit(node) if single else node)
    node.decorator_list = [ast.parse("njit(nogil=True, error_model='numpy', forceinline=True)", mode="eval").body]
    text = ast.unparse(ast.fix_missing_locations(node)) + "\n\n\n"
    return "".join(_scalar_function(other, number, single) for other in above) + text


class _Renamed(ast.NodeTransformer):
    """The function and the one at kinks that it calls under names that end in the number of the formula."""

    def __init__(self, number):
        self.number = number

    def visit_FunctionDef(self, node):
        node.name = f"{node.name}_{self.number}"
        return self.generic_visit(node)

    def visit_Name(self, node):
        if node.id.endswith("_at_kinks"):
            node.id = f"{node.id}_{self.number}"
        return node


class _Single(ast.NodeTransformer):
    """Numbers of a formula in single precision, so that the arithmetic stays there; exponents stay whole."""

    def visit_BinOp(self, node):
        node.left = self.visit(node.left)
        if not isinstance(node.op, ast.Pow):
            node.right = self.visit(node.right)
        return node

    def visit_Constant(self, node):
        if isinstance(node.value, float):
            return ast.Call(ast.Name("float32", ast.Load()), [node], [])
        return node

    def visit_FunctionDef(self, node):
        node.body = [self.visit(line) for line in node.body]
        return node
