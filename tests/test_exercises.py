"""Exercises: an answer that is not there, one that is wrong, and one that is right are told apart, in words."""

import pytest

from pdelab.exercises import check


def doubles(double):
    for x in (1, 3):
        assert double(x) == 2 * x, f"twice {x} is {2 * x}, not {double(x)}"


def dots(x): ...


def refuses(x):
    raise NotImplementedError


@pytest.mark.parametrize("attempt", [..., None, dots, refuses, lambda x: ...])
def test_no_answer_yet(attempt):
    assert check(attempt, doubles).startswith("not yet")


def test_what_is_wrong_is_said():
    assert check(lambda x: x + 1, doubles).startswith("wrong: twice 3 is 6, not 4")
    assert check(lambda x: x / 0, doubles) == "wrong: it stops with ZeroDivisionError: division by zero"
    assert check(lambda: 2, doubles).startswith("wrong: it stops with TypeError")


def test_a_right_answer():
    assert check(lambda x: x + x, doubles) == "right"


def test_a_value_can_be_an_answer():
    def even(number):
        assert number % 2 == 0, f"{number} is odd"

    assert check(4, even) == "right"
    assert check(3, even).startswith("wrong: 3 is odd")
