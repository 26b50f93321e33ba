"""Formulas: text -> checked syntax tree -> SymPy expression -> first-order Numba source.

The text is read by Python's own parser and every node of the tree is checked against a short list before anything is
built from it; nothing is ever evaluated. Derivatives are symbolic, common subexpressions are computed once, and
non-smooth functions have derivatives almost everywhere (at a kink the mean of the one-sided slopes):

    abs' = sign,   sign' = 0,   max(a, b)_a = 1, 1/2, 0 for a > b, a = b, a < b,   norm' = x/|x| and 0 at 0.

At kinks of kinks, such as min(abs(x), x), derivatives are taken from either side along the axis, where slopes decide
between equal arguments, and their mean is the answer.

The square of such a slope is that of its one-sided values, not that of their mean: abs(x)^2 and max(x, 0)^2 bend by 2
and 1 at 0, the means of the bends on both sides.
"""

import ast
import cmath
import math
import re
import threading
import warnings
from contextlib import contextmanager
from functools import cache
from itertools import combinations

import numpy as np

from pdelab.losses import tapes

__all__ = [
    "SMOOTH", "check_variables", "expression", "first_order_source", "is_kinked", "parse", "ridges",
    "second_order_source", "summands", "turned",
]  # fmt: skip

SMOOTH = ("sqrt", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh",
          "atanh", "erf", "erfc")  # fmt: skip
ARGUMENTS = dict.fromkeys((*SMOOTH, "abs", "sign"), (1, 1)) | {
    "atan2": (2, 2), "min": (1, math.inf), "max": (1, math.inf), "norm": (1, math.inf), "logsumexp": (1, math.inf),
}  # fmt: skip
KINKED = {"abs", "sign", "max", "min", "norm", "sqrt", "log", "asin", "acos", "acosh", "atanh", "atan2"}
SYNONYMS = {"Abs": "abs", "Min": "min", "Max": "max", "ln": "log",
            "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
            "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh"}  # fmt: skip
RESERVED = {*ARGUMENTS, *SYNONYMS, "pi"}
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub)
PARSER = (
    threading.Lock()
)  # Python counts the depth of trees, and keeps the filters of warnings, for all threads together
LARGEST_POWER = 1000
LONGEST, MOST, DEEPEST = 20_000, 1500, 80  # characters; operations and calls; levels, a sum or product being one
CURE = "give functions to Loss.from_functions"
WIDEST = {"*": 80, "(": 32}  # factors of a product, arguments of a function: their derivatives grow with the square
TRIPLED = 7  # levels of logsumexp, each of which writes its arguments three times
MOST_VARIABLES = 24  # of a Hessian: the work of compiling it grows faster than its entries
MOST_CODE = 100_000  # characters of generated source: some seconds of compiling
NESTED = {1: 6, 2: 3}  # levels of kinks within kinks of which derivatives are taken from both sides, by their order
MOST_TERMS = 64  # of a product of slopes that is multiplied out
DIGITS = 1100  # bits of a number's numerator and denominator: beyond the range of float64


# ------------------------------------------------------------------------------------------------ text -> tree


def parse(text):
    """Check a formula: returns (tree, names of its variables in natural order: x2 before x10).

    Raises ValueError with one sentence when the text is anything but numbers, names, the listed functions, pi,
    + - * / ** and signs.
    """
    if not isinstance(text, str):
        raise ValueError(f"a formula is text, such as 'x**2/2 + cos(x)', got {type(text).__name__}")
    if not text.strip():
        raise ValueError("a formula is text, such as 'x**2/2 + cos(x)', got an empty one")
    if "#" in text:
        _refuse(text, "'#' is not allowed")
    if len(text) > LONGEST:
        _refuse(text, f"it is longer than {LONGEST} characters: {CURE}")
    try:
        with PARSER, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1or x" and the like: refused below anyway
            tree = ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        _refuse(text, f"it does not parse ({getattr(error, 'msg', None) or error})")
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = set()
    for node in ast.walk(tree):
        _check(node, text)
        if isinstance(node, ast.Name) and id(node) not in called and node.id != "pi":
            names.add(_variable(node.id, text))
    _check_size(tree, text)
    return tree, tuple(sorted(names, key=_natural))


def _check_size(tree, text):
    """Refuse what SymPy would work on for more than about a second."""
    work = sum(isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Call)) for node in ast.walk(tree))
    if work > MOST:
        _refuse(text, f"it has more than {MOST} operations: {CURE}")
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            _refuse(text, "it is nested too deeply")
        level = [part for node in level for part in _parts(node, text)]
    if _tripled(tree) > TRIPLED:
        _refuse(text, f"logsumexp is nested more than {TRIPLED} deep")


def _tripled(node):
    """How many calls of logsumexp stand within one another."""
    deepest, todo = 0, [(node, 0)]  # no recursion: a sum of 600 terms is a tree of depth 600
    while todo:
        node, depth = todo.pop()
        depth += isinstance(node, ast.Call) and node.func.id == "logsumexp"
        deepest = max(deepest, depth)
        todo += [(child, depth) for child in ast.iter_child_nodes(node)]
    return deepest


def _parts(node, text):
    """The operands of a node: all terms of a sum and all factors of a product at once."""
    if isinstance(node, ast.Call):
        parts, kind = node.args, "("
    elif isinstance(node, ast.UnaryOp):
        parts, kind = [node.operand], "-"
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        parts, kind = [node.left, node.right], "^"
    elif isinstance(node, ast.BinOp):
        plus, minus, kind = (
            (ast.Add, ast.Sub, "+") if isinstance(node.op, (ast.Add, ast.Sub)) else (ast.Mult, ast.Div, "*")
        )
        parts = [part for _, part in _chain(node, plus, minus)]
    else:
        parts, kind = [], ""
    if len(parts) > WIDEST.get(kind, MOST):
        _refuse(
            text, f"it has {len(parts)} {'factors' if kind == '*' else 'arguments'} in a row, more than {WIDEST[kind]}"
        )
    return parts


def check_variables(variables, names, text):
    """The tuple of variables a user gave, checked against the names that the formula uses."""
    variables = (variables,) if isinstance(variables, str) else variables
    try:
        variables = tuple(variables)
    except TypeError as error:
        raise ValueError(f"variables: expected names such as ('x', 'y'), got {variables!r}") from error
    for name in variables:
        if not (isinstance(name, str) and name.isidentifier() and not name.startswith("_") and name not in RESERVED):
            raise ValueError(f"variables: expected names such as ('x', 'y'), got {name!r}")
    if len(set(variables)) < len(variables) or not variables:
        raise ValueError(f"variables: expected at least one name and each only once, got {variables!r}")
    if missing := [name for name in names if name not in variables]:
        raise ValueError(f"the formula {_short(text)} uses {', '.join(missing)}, not among variables={variables!r}")
    return variables


# ------------------------------------------------------------------------------------------- sums over coordinates


def is_kinked(text):
    """Does a formula call a function with kinks, or take a power that may have one?"""
    for node in ast.walk(parse(text)[0]):
        if isinstance(node, ast.Call) and SYNONYMS.get(node.func.id, node.func.id) in KINKED:
            return True
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            exponent = node.right
            if not (isinstance(exponent, ast.Constant) and isinstance(exponent.value, int)):
                return True
    return False


def summands(text, variables):
    """[(axes, text, names), ...]: the sums that a formula is the sum of, with no variable in two of them.

    Variables are named anew, so that equal sums of other variables are equal text. Constants go with the first.
    """
    terms = [(_variables_of(term), ast.unparse(term)) for term in _terms(parse(text)[0])]
    groups = [({name}, []) for name in variables]
    for names, part in terms:
        meet = [group for group in groups if group[0] & names] or groups[:1]
        union = set().union(*(group[0] for group in meet)), [p for group in meet for p in group[1]] + [part]
        groups = [union if group is meet[0] else group for group in groups if group not in meet[1:]]
    result = []
    for names, own in groups:
        axes = tuple(k for k, name in enumerate(variables) if name in names)
        plain = tuple(f"x{i}" for i in range(len(axes)))
        tree = ast.parse(" + ".join(f"({part})" for part in own) or "0", mode="eval").body
        renamed = dict(zip((variables[k] for k in axes), plain))
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = renamed.get(node.id, node.id)
        result.append((axes, ast.unparse(tree), plain))
    return result


def _terms(node):
    """The terms of a sum, of sums in brackets and times constants, too."""
    if isinstance(node, ast.UnaryOp):
        return [ast.UnaryOp(node.op, term) for term in _terms(node.operand)]
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, (ast.Add, ast.Sub)):
            parts = _chain(node, ast.Add, ast.Sub)
            return [
                term if sign > 0 else ast.UnaryOp(ast.USub(), term) for sign, part in parts for term in _terms(part)
            ]
        if isinstance(node.op, (ast.Mult, ast.Div)) and not _variables_of(node.right):
            return [ast.BinOp(term, node.op, node.right) for term in _terms(node.left)]
        if isinstance(node.op, ast.Mult) and not _variables_of(node.left):
            return [ast.BinOp(node.left, node.op, term) for term in _terms(node.right)]
    return [node]


def _variables_of(node):
    """The names of variables in a part of a checked tree."""
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)} - RESERVED


# ----------------------------------------------------------------------------------------- kinks along hyperplanes


def ridges(text, variables):
    """(a (m, d), c (m,)) of planes a·x + c = 0 along which a formula may have kinks, cusps or jumps, as far as is seen.

    They are where arguments of kinked functions are affine; of max and min where differences of two arguments are.
    """
    planes = []
    for node in ast.walk(parse(text)[0]):
        kinks, name = [], SYNONYMS.get(node.func.id, node.func.id) if isinstance(node, ast.Call) else ""
        if name in ("max", "min"):
            kinks = [ast.BinOp(a, ast.Sub(), b) for a, b in combinations(node.args, 2)]
        elif name in KINKED and len(node.args) == 1:
            kinks = node.args
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and is_kinked(ast.unparse(node)):
            kinks = [node.left]
        found = [_affine(kink, variables) for kink in kinks]
        planes += [affine for affine in found if affine is not None and affine[0].any()]
    return np.array([a for a, _ in planes]).reshape(-1, len(variables)), np.array([c for _, c in planes])


def turned(text, variables, matrix, origin):
    """(text, names) of a formula in coordinates y, x = origin + matrix y; max and min of affine terms by abs."""
    names = tuple(f"x{i}" for i in range(len(variables)))
    return ast.unparse(
        ast.fix_missing_locations(_Turned(variables, names, matrix, origin).visit(parse(text)[0]))
    ), names


class _Turned(ast.NodeTransformer):
    """Writes affine parts of a checked tree in turned coordinates; coefficients that are rounding are left out."""

    def __init__(self, variables, names, matrix, origin):
        self.variables, self.names, self.matrix, self.origin = variables, names, matrix, origin
        self.term = True  # is what is visited a term of the sum, which may be off by rounding?

    def visit(self, node):
        affine, term = _affine(node, self.variables), self.term
        if affine is not None:
            return self.written(*affine) if affine[0].any() else node
        sums = isinstance(node, ast.UnaryOp) or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub))
        self.term = term and (sums or _is_multiple(node))
        result = self.inner(node, term)
        self.term = term
        return result

    def inner(self, node, term):
        if isinstance(node, ast.Call):
            name, sides = SYNONYMS.get(node.func.id, node.func.id), [_affine(a, self.variables) for a in node.args]
            if term and name in ("max", "min") and len(sides) == 2 and None not in sides:
                (a, c), (b, e) = sides
                jump = ast.Call(ast.Name("abs", ast.Load()), [self.written(0.5 * (a - b), 0.5 * (c - e))], [])
                mean = self.written(0.5 * (a + b), 0.5 * (c + e))
                return ast.BinOp(mean, ast.Add() if name == "max" else ast.Sub(), jump)
            return ast.Call(node.func, [self.visit(a) for a in node.args], [])
        return self.generic_visit(node)

    def written(self, slope, constant):
        moved = constant + slope @ self.origin
        constant = moved if abs(moved) > 1e-15 * abs(constant) else 0.0
        slope = slope @ self.matrix
        terms = [
            f"({float(a)!r})*{n}" for a, n in zip(slope, self.names) if abs(a) > 1e-14 * np.abs(slope).max(initial=0.0)
        ]
        return (
            ast.parse(" + ".join([*terms, *([f"({float(constant)!r})"] if constant or not terms else [])]))
            .body[0]
            .value
        )


def _is_multiple(node):
    """Is a part of a checked tree another one times a number?"""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult | ast.Div)
        and (not _variables_of(node.right) or (isinstance(node.op, ast.Mult) and not _variables_of(node.left)))
    )


def _affine(node, variables):
    """(slope (d,), constant) of a part of a checked tree; None where it is not affine, or that is not seen."""
    if isinstance(node, ast.Constant):
        return np.zeros(len(variables)), float(node.value)
    if isinstance(node, ast.Name) and node.id in variables:
        return np.eye(len(variables))[variables.index(node.id)], 0.0
    if isinstance(node, ast.UnaryOp):
        inner, sign = _affine(node.operand, variables), -1.0 if isinstance(node.op, ast.USub) else 1.0
        return None if inner is None else (sign * inner[0], sign * inner[1])
    if not isinstance(node, ast.BinOp) or isinstance(node.op, ast.Pow):
        return None
    left, right = (_affine(side, variables) for side in (node.left, node.right))
    if left is None or right is None:
        return None
    if isinstance(node.op, (ast.Add, ast.Sub)):
        sign = 1.0 if isinstance(node.op, ast.Add) else -1.0
        return left[0] + sign * right[0], left[1] + sign * right[1]
    if isinstance(node.op, ast.Mult) and not left[0].any():
        left, right = right, left
    if right[0].any() or (isinstance(node.op, ast.Div) and right[1] == 0.0):
        return None
    factor = right[1] if isinstance(node.op, ast.Mult) else 1.0 / right[1]
    return left[0] * factor, left[1] * factor


def _check(node, text):
    """Refuse every node that is not on the list."""
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        if not isinstance(node.op, OPERATORS):
            power = isinstance(node.op, ast.BitXor)
            _refuse(text, "write powers with **, not ^" if power else f"the operator {_name(node.op)} is not allowed")
    elif isinstance(node, ast.Call):
        _check_call(node, text)
    elif isinstance(node, ast.Constant):
        _check_number(node.value, text)
    elif not isinstance(node, (ast.Name, ast.Load, *OPERATORS, ast.BitXor)):
        _refuse(text, f"{_name(node)} is not allowed, only numbers, names, + - * / ** and functions")


def _check_call(node, text):
    name = node.func.id if isinstance(node.func, ast.Name) else None
    name = SYNONYMS.get(name, name)
    if name not in ARGUMENTS:
        shown = repr(node.func.id) if name else _name(node.func)
        _refuse(text, f"it calls {shown}, which is not a known function ({', '.join(sorted(ARGUMENTS))})")
    low, high = ARGUMENTS[name]
    if not low <= len(node.args) <= high:
        wanted = f"{low} argument{'s' * (low > 1)}" if low == high else f"at least {low} argument"
        _refuse(text, f"{name} takes {wanted}, got {len(node.args)}")


def _check_number(value, text):
    if type(value) not in (int, float):
        _refuse(text, f"{_short(repr(value))} is not a real number")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        _refuse(text, "it contains a number beyond 1.8e308")


def _variable(name, text):
    if name in RESERVED:
        _refuse(text, f"{name} is a function, write {name}(...)")
    if name.startswith("_"):
        _refuse(text, f"{name!r} is not allowed as a name")
    return name


def _natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


def _name(node):
    kind = type(node).__name__
    return {
        "Attribute": "an attribute (a.b)", "Subscript": "an index (a[b])", "Compare": "a comparison",
        "keyword": "a named argument", "FloorDiv": "//", "Mod": "%",
    }.get(kind, kind)  # fmt: skip


def _short(text):
    text = " ".join(str(text).split())
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _refuse(text, reason):
    raise ValueError(f"cannot read the formula {_short(text)}: {reason}") from None


# ------------------------------------------------------------------------------------------ tree -> expression


@cache
def _functions():
    """SymPy counterparts of the listed functions; those with kinks are our own, with derivatives almost everywhere."""
    import sympy

    class Kinked(sympy.Function):
        is_extended_real = True

    class Abs(Kinked):
        @classmethod
        def eval(cls, a):
            return sympy.Abs(a) if a.is_number else None

        def fdiff(self, argindex=1):
            return Slope(self.args[0])

        def _eval_power(self, exponent):
            return self.args[0] ** exponent if exponent.is_Integer and exponent.is_even else None

    class Sign(Kinked):
        @classmethod
        def eval(cls, a):
            return sympy.sign(a) if a.is_number else None

        def fdiff(self, argindex=1):
            return sympy.S.Zero

    class Slope(Kinked):
        """Sign of a derivative, whose square is 1 also where it is the mean of -1 and 1; printed as Sign."""

        @classmethod
        def eval(cls, a):
            if a.is_number:
                return sympy.sign(a)
            size, rest = a.primitive()
            if rest.could_extract_minus_sign():
                return -cls(-rest)
            return None if size == 1 else cls(rest)

        def fdiff(self, argindex=1):
            return sympy.S.Zero

        def _eval_power(self, exponent):
            if exponent.is_Integer and exponent.is_positive:
                return sympy.S.One if exponent.is_even else self
            return None

    class Max(Kinked):
        @classmethod
        def eval(cls, a, b):
            return sympy.Max(a, b) if a.is_number and b.is_number else None

        def fdiff(self, argindex=1):
            a, b = self.args if argindex == 1 else self.args[::-1]
            return (1 + Slope(a - b)) / 2

    class Reciprocal(Kinked):
        """1/r, and 0 at r = 0."""

        @classmethod
        def eval(cls, r):
            if r.is_number:
                return sympy.S.Zero if r.is_zero else 1 / r
            return None

        def fdiff(self, argindex=1):
            return -(self**2)

    class Steep(Kinked):
        """base^-exponent, and 0 where base is 0."""

    class Norm(Kinked):
        def fdiff(self, argindex=1):
            return self.args[argindex - 1] * Reciprocal(self)

        def _eval_power(self, exponent):
            squares = sympy.Add(*(a**2 for a in self.args))
            return squares ** (exponent / 2) if exponent.is_Integer and exponent.is_even else None

    class Turn(Kinked):
        """The sign of the first argument, where that is 0 of the second."""

    class AtZero(Kinked):
        """The second argument where the first is 0, else 0."""

    class LogSumExp(Kinked):
        def fdiff(self, argindex=1):
            return sympy.exp(self.args[argindex - 1] - self)

    def largest(*args):
        while len(args) > 1:  # in pairs: kinks of kinks as few levels deep as can be
            args = [Max(*args[k : k + 2]) if k + 1 < len(args) else args[k] for k in range(0, len(args), 2)]
        return args[0]

    def smallest(*args):
        return -largest(*(-a for a in args))

    table = {name: getattr(sympy, name) for name in (*SMOOTH, "atan2")}
    table |= {"abs": Abs, "sign": Sign, "max": largest, "min": smallest, "norm": Norm, "logsumexp": LogSumExp}
    return table | {
        "Max": Max, "Reciprocal": Reciprocal, "Slope": Slope, "Steep": Steep, "Turn": Turn, "AtZero": AtZero,
    }  # fmt: skip


def expression(tree, variables, text):
    """The SymPy expression of a checked tree in the symbols x0, x1, ...; returns (expression, symbols)."""
    import sympy

    symbols = tuple(sympy.Symbol(f"x{i}", real=True) for i in range(len(variables)))
    built = _build(tree, dict(zip(variables, symbols)) | {"pi": sympy.pi}, text)
    return _real(built, text), symbols


def _build(node, names, text):
    """The expression of a node; a number that float64 cannot hold is refused before anything is built from it."""
    built = _built(node, names, text)
    coefficient = built.as_coeff_Mul()[0]
    if coefficient.is_Rational and max(coefficient.p.bit_length(), coefficient.q.bit_length()) > DIGITS:
        _refuse(text, "it contains a number beyond 1.8e308")
    if built.is_number:
        try:
            _value(built)
        except OverflowError:
            _refuse(text, "it contains a number beyond 1.8e308, not a finite real one")
    return built


def _value(number):
    """A SymPy number as complex, None if it is unknown; OverflowError beyond the range of float64."""
    import sympy

    if number.is_Rational:
        return complex(number.p / number.q)
    if number in (sympy.pi, sympy.E, sympy.I):
        return {sympy.pi: math.pi + 0j, sympy.E: math.e + 0j, sympy.I: 1j}[number]
    values = [_value(part) for part in number.args]
    if not values or None in values:
        return None
    try:
        if number.is_Add:
            result = sum(values)
        elif number.is_Mul:
            result = math.prod(values)
        elif number.is_Pow:
            result = values[0] ** values[1]
        else:
            result = getattr(cmath, type(number).__name__)(*values)
    except (ValueError, ZeroDivisionError, AttributeError, TypeError):
        return None
    if cmath.isinf(result):
        raise OverflowError
    return result


def _built(node, names, text):
    import sympy

    if isinstance(node, ast.Constant):
        return sympy.Integer(node.value) if isinstance(node.value, int) else sympy.Rational(repr(node.value))
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Call):
        head = _functions()[SYNONYMS.get(node.func.id, node.func.id)]
        return head(*(_build(argument, names, text) for argument in node.args))
    if isinstance(node, ast.UnaryOp):
        inner = _build(node.operand, names, text)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node.op, ast.Pow):
        return _power(_build(node.left, names, text), _build(node.right, names, text), text)
    if isinstance(node.op, (ast.Add, ast.Sub)):
        terms = [sign * _build(part, names, text) for sign, part in _chain(node, ast.Add, ast.Sub)]
        if sum(term.q.bit_length() for term in terms if term.is_Rational) > 10 * DIGITS:
            _refuse(text, "its numbers have too many digits")
        return sympy.Add(*terms)
    factors = [(sign, _build(part, names, text)) for sign, part in _chain(node, ast.Mult, ast.Div)]
    if any(sign < 0 and factor == 0 for sign, factor in factors):
        _refuse(text, "it divides by zero")
    return sympy.Mul(*(factor**sign for sign, factor in factors))


def _chain(node, plus, minus):
    """a + b - c + ... as (1, a), (1, b), (-1, c), ... without recursion: sums of thousands of terms are one level."""
    parts = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, (plus, minus)):
        parts.append((1 if isinstance(node.op, plus) else -1, node.right))
        node = node.left
    return [(1, node), *reversed(parts)]


def _power(base, exponent, text):
    import sympy

    if exponent.is_number and abs(exponent) > LARGEST_POWER:
        _refuse(text, f"an exponent is beyond {LARGEST_POWER}")
    if base == 0 and exponent.is_negative:
        _refuse(text, "it divides by zero")
    result = base**exponent
    powers = (factor.as_base_exp()[1] for factor in sympy.Mul.make_args(result))
    if any(power.is_Rational and abs(power) > LARGEST_POWER for power in powers):
        _refuse(text, f"an exponent is beyond {LARGEST_POWER}")
    return result


def _real(expr, text):
    """SymPy's own |x| and sign(x), which come from sqrt(x**2), replaced by ours; values that are not real refused."""
    import sympy

    table = _functions()
    expr = expr.replace(sympy.Abs, table["abs"]).replace(sympy.sign, table["sign"])
    if expr.has(sympy.I, sympy.zoo, sympy.oo, -sympy.oo, sympy.nan):
        _refuse(text, "it is not a finite real number for real variables")
    return expr


# ---------------------------------------------------------------------------------------- expression -> source

HEADER = """\
from math import {functions}

import numpy as np
from numba import njit

"""
DECORATOR = '@njit(cache=True, nogil=True, error_model="numpy")\n'


@contextmanager
def _one_clear_error(text):
    """What SymPy cannot do with a formula becomes one sentence."""
    try:
        yield
    except RecursionError:
        _refuse(text, "it is nested too deeply")
    except (TypeError, ArithmeticError, AttributeError, NotImplementedError) as error:
        _refuse(text, f"SymPy cannot handle it ({error})")


def first_order_source(tree, variables, text):
    """Source of a module with `value`, `gradient` (scalars) and `values`, `gradients` (loops over points)."""
    with _one_clear_error(text):
        expr, symbols = expression(tree, variables, text)
        gradient = [_real(expr.diff(symbol), text) for symbol in symbols]
        sides = [_both_sides(expr, [symbol], text) for symbol in symbols] if _has_outer_kinks(expr, NESTED[1]) else None
        module = _module(symbols, value=_Block([expr], text), gradient=_derivatives(gradient, sides, expr, text))
        _check_code(module, text)
        return module + f"\n\nTAPE = {tapes.instructions(expr, symbols, lambda e: _number(e, text))!r}\n"


def second_order_source(tree, variables, text):
    """Source of a module with `hessian` (scalars) and `hessians` (a loop over points)."""
    with _one_clear_error(text):
        expr, symbols = expression(tree, variables, text)
        if len(symbols) > MOST_VARIABLES:
            _refuse(text, f"it has second derivatives in {len(symbols)} variables, more than {MOST_VARIABLES}: {CURE}")
        gradient = [_real(expr.diff(symbol), text) for symbol in symbols]
        upper = [_real(gradient[i].diff(symbols[j]), text) for i, j in _pairs(len(symbols))]
        sides = None
        if _has_outer_kinks(expr, NESTED[2]):
            sides = [_both_sides(expr, [symbols[i], symbols[j]], text) for i, j in _pairs(len(symbols))]
        module = _module(symbols, hessian=_derivatives(upper, sides, expr, text))
        _check_code(module, text)
        return module


def _derivatives(derivatives, sides, expr, text):
    """The code of derivatives; that of `sides` where kinks of kinks are met."""
    if sides is None:
        return _Block(_guarded(derivatives, expr), text)
    return _Block(_guarded(derivatives, expr), text, _outer_kinks(expr), _Block(_guarded(sides, expr), text))


def _outer_kinks(expr):
    """What is 0 at the kinks of abs, max and norm whose arguments have kinks themselves."""
    table = _functions()
    kinked = [table[name] for name in ("abs", "Max", "norm")]
    nested = [e for e in expr.atoms(*kinked) if any(a.has(*kinked) for a in e.args)]
    switches = [e if isinstance(e, table["norm"]) else e.args[0] - sum(e.args[1:]) for e in nested]
    return sorted(set(switches), key=str)


def _has_outer_kinks(expr, most):
    """Are there kinks of kinks, at most so many levels of them?"""
    return 1 < _levels(expr, {}) <= most


def _levels(expr, known):
    """How many kinks stand within one another."""
    if expr not in known:
        table = _functions()
        own = isinstance(expr, (table["abs"], table["Max"], table["norm"]))
        known[expr] = own + max((_levels(a, known) for a in expr.args), default=0)
    return known[expr]


def _both_sides(expr, symbols, text):
    """The mean of the derivatives of an expression along an axis from both sides, by one or two of the symbols."""
    total = 0
    for side in (1, -1):
        derivative = expr
        for symbol in symbols:
            derivative = _one_sided(derivative, symbol, side, {})
        total += derivative
    return _real(total / 2, text)


def _one_sided(expr, symbol, side, known):
    """The derivative by a symbol from above, side 1, or below, side -1: at a kink the slopes themselves decide."""
    import sympy

    if symbol not in expr.free_symbols:
        return sympy.S.Zero
    if expr in known:
        return known[expr]
    table, args = _functions(), expr.args
    slopes = [_one_sided(a, symbol, side, known) for a in args]
    if expr.is_Symbol:
        result = sympy.S.One
    elif expr.is_Add:
        result = sympy.Add(*slopes)
    elif expr.is_Mul:
        result = sympy.Add(*(sympy.Mul(*args[:k], slope, *args[k + 1 :]) for k, slope in enumerate(slopes)))
    elif isinstance(expr, table["Max"]):
        gap = slopes[0] - slopes[1]
        result = slopes[1] + (1 + table["Turn"](args[0] - args[1], side * gap)) / 2 * gap
    elif isinstance(expr, table["abs"]):
        result = table["Turn"](args[0], side * slopes[0]) * slopes[0]
    elif isinstance(expr, (table["Turn"], table["AtZero"], table["sign"])):
        result = sympy.S.Zero
    else:
        dummies = [sympy.Dummy(f"d{k}", real=True) for k in range(len(args))]
        outer = expr.func(*dummies)
        result = sympy.Add(
            *(
                outer.diff(d).xreplace(dict(zip(dummies, args))) * slope
                for d, slope in zip(dummies, slopes)
                if slope != 0
            )
        )
        if isinstance(expr, table["norm"]):
            result += side * table["AtZero"](expr, table["norm"](*slopes))
    known[expr] = result
    return result


def _check_code(module, text):
    if len(module) > MOST_CODE:
        _refuse(text, f"its derivatives are too long to compile, {len(module)} characters: {CURE}")


def _guarded(derivatives, expr):
    """Derivatives in which a negative power of something with a kink, such as max(x, 0)^(-1/2), counts as 0 at 0.

    It comes with the factor 0 where max(x, 0) is flat, and 0 is the mean of the slopes at a cusp. Powers that are
    negative in the formula itself stay as they are.
    """
    import sympy

    table = _functions()
    kinked = [table[name] for name in ("abs", "sign", "Max", "norm")]
    poles = {power.base for power in expr.atoms(sympy.Pow) if power.exp.is_negative}
    poles |= {logarithm.args[0] for logarithm in expr.atoms(sympy.log)}
    poles |= {-base for base in poles}

    def steep(e):
        return e.is_Pow and e.exp.is_Rational and e.exp.is_negative and e.base.has(*kinked) and e.base not in poles

    derivatives = [_without_slopes(e) for e in derivatives]
    return [e.replace(steep, lambda e: table["Steep"](e.base, -e.exp)) for e in derivatives]


def _without_slopes(expr):
    """Products of slopes multiplied out, the square of each being 1; then slopes are signs."""
    import sympy

    slope = _functions()["Slope"]

    def has_two(e):
        return (e.is_Mul or e.is_Pow) and len(slopes(e)) > 1

    def slopes(e):
        """The factors of a product that hold slopes; those of a whole power one by one."""
        factors = []
        for factor in sympy.Mul.make_args(e):
            base, exponent = factor.as_base_exp()
            if exponent.is_Integer and exponent.is_positive and (base.is_Add or isinstance(base, slope)):
                factors += [base] * int(min(exponent, 8)) if base.has(slope) else []
        return factors

    def multiplied(e):
        factors = slopes(e)
        product = sympy.Mul(*factors)
        if math.prod(len(sympy.Add.make_args(factor)) for factor in factors) > MOST_TERMS:
            return e
        return e / product * product.expand(deep=False, power_exp=False, power_base=False, log=False, basic=False)

    if not expr.has(slope):
        return expr
    return expr.replace(has_two, multiplied).replace(slope, _functions()["sign"])


def _pairs(d):
    return [(i, j) for i in range(d) for j in range(i, d)]


class _Block:
    """Straight-line code of a few expressions: assignments of common subexpressions, then the results."""

    def __init__(self, expressions, text, switches=(), at_switches=None):
        import sympy

        shared, results = sympy.cse(
            [_lower(e) for e in (*expressions, *switches)], symbols=sympy.numbered_symbols("t", real=True), order="none"
        )
        self.assignments = [f"{name} = {_print(value, text)}" for name, value in shared]
        printed = [_print(value, text) for value in results]
        self.results, self.switches = printed[: len(expressions)], printed[len(expressions) :]
        self.at_switches = at_switches  # another block, whose results hold where a switch is 0

    def switched(self):
        """The condition of an if: a switch is 0."""
        return " or ".join(f"{switch} == 0.0" for switch in self.switches)

    def lines(self, indent, tail):
        return "".join(f"{' ' * indent}{line}\n" for line in [*self.assignments, *tail])


def _module(symbols, **blocks):
    """The text of a module: for each block a function of scalars and a loop over points."""
    names = [str(symbol) for symbol in symbols]
    parts = []
    for kind, block in blocks.items():
        if block.at_switches:
            parts.append(_scalar(f"{kind}_at_kinks", names, block.at_switches))
        parts += [_scalar(kind, names, block), _loop(kind, names, block)]
    body = "\n\n".join(parts)
    used = [name for name in ("fabs", *SMOOTH, "atan2") if re.search(rf"\b{name}\(", body)]
    return HEADER.format(functions=", ".join(used or ["pi"])) + "\n" + body


def _scalar(kind, names, block):
    """def gradient(x0, x1): ... return g0, g1; the Hessian's tuple is its upper triangle, row by row."""
    tail = [f"return {', '.join(block.results)}"]
    if block.at_switches:
        tail = [f"if {block.switched()}:", f"    return {kind}_at_kinks({', '.join(names)})", *tail]
    return f"{DECORATOR}def {kind}({', '.join(names)}):\n" + block.lines(4, tail)


def _loop(kind, names, block):
    """def gradients(points, out): points (n, d) -> out (n, d); in one dimension (n,) -> (n,)."""
    d = len(names)
    on_line = d == 1
    head = [f"{name} = points[i]" if on_line else f"{name} = points[i, {k}]" for k, name in enumerate(names)]
    if on_line or kind == "value":
        tail = [f"out[i] = {block.results[0]}"]
    elif kind == "gradient":
        tail = [f"out[i, {k}] = {result}" for k, result in enumerate(block.results)]
    else:
        tail = ["out[i] = 0.0"]
        tail += [f"out[i, {j}, {k}] = {r}" for (j, k), r in zip(_pairs(d), block.results) if r != "0.0"]
        targets = ", ".join(f"out[i, {j}, {k}]" for j, k in _pairs(d))
        tail += _switched(kind, names, block, targets)
        tail += ["for j in range(1, out.shape[1]):", "    for k in range(j):", "        out[i, j, k] = out[i, k, j]"]
    if kind != "hessian" or on_line:
        tail += _switched(kind, names, block, "out[i]" if on_line else ", ".join(f"out[i, {k}]" for k in range(d)))
    plural = {"value": "values", "gradient": "gradients", "hessian": "hessians"}[kind]
    loop = f"{DECORATOR}def {plural}(points, out):\n    for i in range(points.shape[0]):\n"
    return loop + "".join(f"{' ' * 8}{line}\n" for line in head) + block.lines(8, tail)


def _switched(kind, names, block, targets):
    """Lines of a loop that put other results where a switch is 0."""
    if not block.at_switches:
        return []
    return [f"if {block.switched()}:", f"    {targets} = {kind}_at_kinks({', '.join(names)})"]


def _lower(expr):
    """Norm and log-sum-exp in terms of what the printer knows; the latter with its maximum taken out."""
    import sympy

    table = _functions()

    def log_sum_exp(*args):
        largest = table["max"](*args)
        return largest + sympy.log(sympy.Add(*(sympy.exp(a - largest) for a in args)))

    expr = expr.replace(table["norm"], lambda *args: sympy.sqrt(sympy.Add(*(a**2 for a in args))))
    return expr.replace(table["logsumexp"], log_sum_exp)


def _print(expr, text):
    """A SymPy expression as Python source in float64."""
    import sympy

    if not expr.free_symbols:
        return _number(expr, text)
    if expr.is_Symbol:
        return expr.name
    if expr.is_Add:
        return "(" + " + ".join(_print(a, text) for a in expr.args) + ")"
    if expr.is_Mul:
        return _product(expr, text)
    if expr.is_Pow:
        return _print_power(expr, text)
    arguments = [_print(a, text) for a in expr.args]
    name = type(expr).__name__
    if isinstance(expr, sympy.exp) or name in (*SMOOTH, "atan2"):
        return f"{name}({', '.join(arguments)})"
    if name in ("Abs", "Sign", "Max"):
        head = {"Abs": "fabs", "Sign": "np.sign", "Max": "np.maximum"}[name]
        return f"{head}({', '.join(arguments)})"
    if name == "Turn":
        return f"(np.sign({arguments[0]}) if {arguments[0]} != 0.0 else np.sign({arguments[1]}))"
    if name == "AtZero":
        return f"({arguments[1]} if {arguments[0]} == 0.0 else 0.0)"
    if name == "Reciprocal":
        return f"(1.0 / {arguments[0]} if {arguments[0]} != 0.0 else 0.0)"
    if name == "Steep":
        power = _print_power(sympy.Pow(*expr.args, evaluate=False), text)
        return f"(1.0 / {power} if {arguments[0]} != 0.0 else 0.0)"
    return _refuse(text, f"its derivatives contain {name}, which has no compiled form")


def _number(expr, text):
    value = complex(expr.evalf(25))
    if value.imag or not math.isfinite(value.real):
        _refuse(text, f"it contains the constant {_short(expr)}, which is not a finite real number")
    return repr(value.real) if value.real >= 0 else f"({value.real!r})"


def _product(expr, text):
    """c * a * b / (d * e): all constants in one number, negative powers in the denominator."""
    constant, rest = expr.as_independent(*expr.free_symbols, as_Add=False)
    top, bottom = [], []
    for factor in rest.args if rest.is_Mul else (rest,):
        _, exponent = factor.as_base_exp()
        below = factor.is_Pow and exponent.is_Rational and exponent.is_negative
        (bottom if below else top).append(_print(1 / factor if below else factor, text))
    if constant != 1 or not top:
        top.insert(0, _number(constant, text))
    product = " * ".join(top)
    return f"({product})" if not bottom else f"({product} / ({' * '.join(bottom)}))"


def _print_power(expr, text):
    base, exponent = expr.args
    if exponent.is_Rational and exponent.is_negative:
        return f"(1.0 / {_print(1 / expr, text)})"
    inner = f"({_print(base, text)})" if base.is_Pow else _print(base, text)  # a**b**c is a**(b**c)
    if exponent.is_Integer:
        return f"{inner}**{exponent}"
    if exponent.is_Rational and exponent.q == 2:
        return f"sqrt({inner})" if exponent.p == 1 else f"sqrt({inner})**{exponent.p}"
    return f"{inner}**{_print(exponent, text)}"
