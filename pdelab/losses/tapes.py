"""The tape of a formula: its SymPy tree as instructions of `kernels.tapes`, each shared subexpression once."""

import numpy as np

from pdelab.kernels import operations

__all__ = ["arrays", "instructions"]


def instructions(expr, symbols, number):
    """((code, left, right, constant), ...) of an expression; number(e) prints a constant as Python source."""
    return _Tape(symbols, number).of(expr)


def arrays(tape):
    """The four arrays that the kernels take."""
    code, left, right, constant = zip(*tape)
    return (*(np.array(part, dtype=np.int64) for part in (code, left, right)), np.array(constant, dtype=float))


class _Tape:
    def __init__(self, symbols, number):
        self.number, self.lines, self.known = number, [], {}
        for i, symbol in enumerate(symbols):
            self.known[symbol] = self.line(operations.VARIABLE, i)

    def of(self, expr):
        last = self.place(expr)
        if last != len(self.lines) - 1:
            self.line(operations.WHOLE_POWER, last, 1)
        return tuple(self.lines)

    def line(self, code, left=0, right=0, constant=0.0):
        self.lines.append((code, left, right, constant))
        return len(self.lines) - 1

    def place(self, expr):
        """The number of the instruction whose value is `expr`."""
        if expr not in self.known:
            self.known[expr] = self.build(expr)
        return self.known[expr]

    def build(self, expr):
        import sympy

        if not expr.free_symbols:
            return self.line(operations.CONSTANT, constant=float(self.number(expr).strip("()")))
        if expr.is_Add:
            return self.fold(operations.ADD, expr.args)
        if expr.is_Mul:
            return self.fold(operations.MULTIPLY, expr.args)
        if expr.is_Pow:
            return self.power(*expr.args)
        name = "exp" if isinstance(expr, sympy.exp) else type(expr).__name__
        if name == "Max":
            return self.fold(operations.MAXIMUM, expr.args)
        if name == "LogSumExp":
            return self.fold(operations.LOG_ADD_EXP, expr.args)
        if name == "Norm":
            return self.fold(operations.HYPOT, (*expr.args, sympy.S.Zero)[: max(2, len(expr.args))])
        if name == "atan2":
            return self.fold(operations.ATAN2, expr.args)
        return self.line(operations.FIRST_UNARY + operations.UNARY.index(name.lower()), self.place(expr.args[0]))

    def fold(self, code, parts):
        result = self.place(parts[0])
        for part in parts[1:]:
            result = self.line(code, result, self.place(part))
        return result

    def power(self, base, exponent):
        if exponent.is_Integer:
            return self.line(operations.WHOLE_POWER, self.place(base), int(exponent))
        if exponent.is_number:
            return self.line(operations.POWER, self.place(base), 0, float(self.number(exponent).strip("()")))
        logarithm = self.line(operations.FIRST_UNARY + operations.UNARY.index("log"), self.place(base))
        return self.line(operations.EXP, self.line(operations.MULTIPLY, self.place(exponent), logarithm))
