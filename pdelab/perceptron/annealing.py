"""The search for a solution by simulated annealing, plain or on the local entropy, at equal cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from pdelab import checks
from pdelab.kernels.perceptron import anneal
from pdelab.perceptron.instance import Perceptron

__all__ = ["Search", "search"]


@dataclass(frozen=True)
class Search:
    """What `search` found.

    Attributes
    ----------
    solved : bool array (runs,)
    proposals : int array (runs,)
        Flips proposed until the first solution; all of them where none was found.
    solutions : int8 array (number solved, d)
        The solutions found, as ±1.
    copies : int
    """

    solved: NDArray[np.bool_]
    proposals: NDArray[np.int64]
    solutions: NDArray[np.int8]
    copies: int

    @property
    def rate(self) -> float:
        """The share of runs that found a solution."""
        return float(self.solved.mean())

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson interval of that probability.

        Parameters
        ----------
        confidence : float in (0, 1)

        Returns
        -------
        (float, float)

        Raises
        ------
        ValueError
            A confidence outside (0, 1).
        """
        test = scipy.stats.binomtest(int(self.solved.sum()), self.solved.size)
        ends = test.proportion_ci(checks.within("confidence", confidence, 0, 1, "()"))
        return float(ends.low), float(ends.high)


def search(
    instance: Perceptron,
    proposals: int,
    *,
    copies: int = 1,
    pull: float = 0.3,
    hot: float = 0.5,
    cold: float = 0.05,
    power: int = 1,
    runs: int = 100,
    seed: int = 0,
) -> Search:
    """Look for solutions by Metropolis annealing from random starts.

    One copy: plain simulated annealing on the training error. Several copies that attract each other: annealing on the
    local entropy, whose weight (number of solutions nearby)^(copies - 1) is what the copies estimate (thesis, Remark
    3.2). The cost is the number of proposed flips of all copies together, so that the two can be compared.

    Parameters
    ----------
    instance : Perceptron
    proposals : int
        Proposed flips of a run, shared by its copies. Good values: 100 to 10,000 a weight.
    copies : int in [1, 100]
        1: plain. Good values: 3 to 7.
    pull : float >= 0
        How strongly the copies attract each other at the end, in units of the energy a weight; it grows from 0.
    hot, cold : float > 0
        First and last temperature, falling geometrically. At hot = 0.5 most flips are accepted; at cold = 0.05 only
        those that do not raise the energy.
    power : 0 or 1
        A pattern that is missed costs 1 (0: the number of errors), or the flips that would satisfy it (1, smoother).
    runs : int
        Independent starts.
    seed : int in [0, 2**63)

    Returns
    -------
    Search

    Raises
    ------
    ValueError
        What is no Perceptron, cold > hot, numbers out of range.

    Examples
    --------
    >>> result = search(Perceptron(21, 8, seed=3), 20000, runs=10)
    >>> result.rate
    1.0
    """
    if not isinstance(instance, Perceptron):
        checks.refuse("instance", "a Perceptron", instance)
    proposals, copies = checks.whole("proposals", proposals, 1, 2**53), checks.whole("copies", copies, 1, 100)
    pull, hot, cold = checks.nonnegative("pull", pull), checks.positive("hot", hot), checks.positive("cold", cold)
    power, runs = checks.whole("power", power, 0, 1), checks.whole("runs", runs)
    seed = checks.whole("seed", seed, 0, 2**63 - 1)
    if cold > hot:
        raise ValueError(f"cold: expected at most hot = {hot}, got {cold}")
    margin = float(instance.d - 2 * (instance.most + 1))  # a pattern is missed where x·ξ <= margin
    steps, solutions = np.empty(runs, np.int64), []
    for run in range(runs):
        draw = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, run]))
        points = draw.integers(0, 2, (copies, instance.d), dtype=np.int8) * 2 - 1
        steps[run] = anneal(
            points, instance.aligned, proposals, hot, cold, pull, margin, power, np.uint64(seed), np.uint64(run)
        )
        if steps[run] >= 0:
            solutions.append(points[0].copy())
    solved = steps >= 0
    points = np.array(solutions, np.int8).reshape(-1, instance.d)
    return Search(solved, np.where(solved, steps, proposals), points, copies)
