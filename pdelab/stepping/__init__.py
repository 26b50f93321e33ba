"""solve(): the one time loop of the package.

An equation (a frozen dataclass marked by `equation`) says what is solved, a scheme (a function marked by `scheme`) how:

    scheme(problem, grid, values) -> Stepper

A `Stepper` carries no memory from step to step: what a scheme has to remember is its state, a value that `init` makes,
`advance` takes and returns, and `values` turns into the field. `solve` does the rest: saved times, the step-size rule,
the check of the scheme's bound, blow-up, `on_save`, an estimate of the error in time, and the certificate that comes
with every solution.
"""

from pdelab.stepping.accuracy import AccuracyWarning, integral_error, largest_error
from pdelab.stepping.beside import Beside
from pdelab.stepping.protocols import EQUATIONS, Problem, Scheme, Stepper, equation, scheme, schemes_of
from pdelab.stepping.solve import Solution, solve

__all__ = [
    "EQUATIONS",
    "AccuracyWarning",
    "Beside",
    "Problem",
    "Scheme",
    "Solution",
    "Stepper",
    "equation",
    "integral_error",
    "largest_error",
    "scheme",
    "schemes_of",
    "solve",
]
