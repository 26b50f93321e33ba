"""Exercises whose answers a machine reads: "not yet", "right", or what is wrong, in words.

A notebook gives a function whose body is `...`, and below it a cell that checks whatever stands there:

    def slope(gamma):
        # the slope at x = 1 of a parabola of curvature 1, smoothed up to gamma
        ...

    def test(slope):
        assert abs(slope(1.0) - 0.5) < 1e-9, f"at gamma = 1 the slope is 0.5, not {slope(1.0)}"

    print(exercises.check(slope, test))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["check"]


def check(attempt: Any, test: Callable[[Any], None]) -> str:
    """Say how far a student's answer is.

    Parameters
    ----------
    attempt : callable or value
        The answer. One that is `...`, that returns nothing, or that raises NotImplementedError is not yet written.
    test : callable
        Takes the answer and asserts what must hold, each assertion with a sentence that says what is wrong.

    Returns
    -------
    str
        Begins with "not yet", "right" or "wrong".

    Examples
    --------
    >>> def test(double):
    ...     assert double(3) == 6, f"twice 3 is 6, not {double(3)}"
    >>> def double(x): ...
    >>> check(double, test)
    'not yet: double gives nothing back; write it in place of the dots'
    >>> check(lambda x: x + 2, test)
    'wrong: twice 3 is 6, not 5'
    >>> check(lambda x: x + x, test)
    'right'
    """
    try:
        test(_answered(attempt))
    except NotImplementedError:
        name = getattr(attempt, "__name__", "the answer")
        return f"not yet: {name} gives nothing back; write it in place of the dots"
    except AssertionError as error:
        return f"wrong: {error}"
    except Exception as error:  # a student's code may stop in any way
        return f"wrong: it stops with {type(error).__name__}: {error}"
    return "right"


def _answered(attempt):
    """The attempt, which raises NotImplementedError where it has no answer."""
    if attempt is ... or attempt is None:
        raise NotImplementedError
    if not callable(attempt):
        return attempt

    def answer(*arguments, **keywords):
        value = attempt(*arguments, **keywords)
        if value is None or value is ...:
            raise NotImplementedError
        return value

    return answer
