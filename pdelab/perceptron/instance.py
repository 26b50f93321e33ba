"""One binary perceptron: its patterns, and all of its solutions."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdelab import checks
from pdelab.hints import Array
from pdelab.kernels.perceptron import solutions_in
from pdelab.perceptron.generalisation import disagreement, odd_dimension

__all__ = ["Perceptron", "pack", "unpack"]

WORD = 63  # configurations of up to so many weights fit an unsigned integer
LARGEST = 45  # going through 2^45 configurations takes hours; more is refused
CHUNK = 1 << 16  # blocks of 64 configurations that one task of a thread takes


@dataclass(frozen=True)
class Perceptron:
    """A binary perceptron with random patterns: x in {-1, 1}^d solves it where y_i x·ξ_i / sqrt(d) > κ for all i.

    Parameters
    ----------
    d : odd int in [1, 10001]
        Number of weights. Even d is refused: there x·ξ = 0 has positive probability, so that neither a label nor a
        prediction would be defined.
    patterns : int >= 0
        Number N of patterns ξ_i, independent and uniform in {-1, 1}^d. α = N/d is the load: at random labels solutions
        exist with high probability below α = 0.833 only.
    seed : int in [0, 2**63)
    teacher : bool
        True (default): labels y_i = sign(x*·ξ_i) of a random teacher x*, which then is a solution (κ = 0).
        False: labels are independent coins.
    margin : float
        The stability κ (thesis, Remark 3.1). Good values: 0 for the problem itself, ±0.1 to see solutions vanish or
        multiply.

    Attributes
    ----------
    inputs : int8 array (N, d), labels : int8 array (N,), teacher_weights : int8 array (d,) or None
    load : float, N/d

    Raises
    ------
    ValueError
        For even d, a negative number of patterns, or a teacher with a positive margin (it need not be a solution).

    Examples
    --------
    >>> instance = Perceptron(15, 6, seed=1)
    >>> solutions = instance.solutions()
    >>> bool((instance.errors(solutions) == 0).all()), bool(instance.teacher_code in solutions)
    (True, True)
    """

    d: int
    patterns: int
    seed: int = 0
    teacher: bool = True
    margin: float = 0.0

    def __post_init__(self):
        odd_dimension("d", self.d, 10001)
        checks.whole("patterns", self.patterns, 0)
        checks.whole("seed", self.seed, 0, 2**63 - 1)
        checks.switch("teacher", self.teacher)
        checks.finite("margin", self.margin)
        if self.teacher and self.margin > 0:
            raise ValueError(
                f"margin: expected at most 0 with a teacher, who need not keep a margin, got {self.margin}"
            )

    @cached_property
    def _drawn(self):
        bits = np.random.Generator(np.random.Philox(key=self.seed))
        inputs = bits.integers(0, 2, (self.patterns, self.d), dtype=np.int8) * 2 - 1
        weights = bits.integers(0, 2, self.d, dtype=np.int8) * 2 - 1
        coins = bits.integers(0, 2, self.patterns, dtype=np.int8) * 2 - 1
        labels = np.sign(inputs.astype(np.int64) @ weights).astype(np.int8) if self.teacher else coins
        for array in (inputs, weights, labels):
            array.flags.writeable = False
        return inputs, labels, weights if self.teacher else None

    @property
    def inputs(self) -> NDArray[np.int8]:
        """The patterns ξ, (N, d)."""
        return self._drawn[0]

    @property
    def labels(self) -> NDArray[np.int8]:
        """The labels y, (N,)."""
        return self._drawn[1]

    @property
    def teacher_weights(self) -> NDArray[np.int8] | None:
        """The teacher x*, (d,); None without one."""
        return self._drawn[2]

    @property
    def teacher_code(self) -> int:
        """The teacher as an integer, bit i set where x*_i = +1."""
        return int(pack(self._teacher()))

    @property
    def load(self) -> float:
        """α = N/d."""
        return self.patterns / self.d

    @cached_property
    def aligned(self) -> NDArray[np.int8]:
        """y_i ξ_i, (N, d): x is a solution where all of x·(y_i ξ_i) are above κ sqrt(d)."""
        return self.inputs * self.labels[:, None]

    @property
    def most(self) -> int:
        """The largest number of disagreements |x ^ y_i ξ_i| of a pattern that is satisfied; -1 if none is."""
        return max(math.ceil((self.d - self.margin * math.sqrt(self.d)) / 2) - 1, -1)

    def errors(self, points: ArrayLike) -> NDArray[np.int64]:
        """How many patterns each configuration misses.

        Parameters
        ----------
        points : unsigned integers (...), or an array (..., d) of ±1

        Returns
        -------
        int array (...)
        """
        points = self._signs(points)
        agreements = points.astype(np.int32) @ self.aligned.T.astype(np.int32)
        return (agreements <= self.d - 2 * (self.most + 1)).sum(-1)

    def count(self, *, threads: int | None = None) -> int:
        """Z, the number of solutions, by going through all 2^d configurations.

        Parameters
        ----------
        threads : int, optional
            By default all cores.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            threads < 1.
        """
        return sum(count for count, _ in self._enumerate(0, threads))

    def solutions(self, *, threads: int | None = None) -> NDArray[np.uint64]:
        """All solutions, by going through all 2^d configurations, 64 at a time.

        Parameters
        ----------
        threads : int or None
            None: one a processor. The answer does not depend on it.

        Returns
        -------
        uint64 array, ascending
            Bit i is set where x_i = +1; `unpack` makes ±1 of it.

        Raises
        ------
        ValueError
            For d above 45, or more solutions than memory is meant for (2^28): count them with `count`.
        """
        expected = 2.0 ** (self.d - self.patterns)
        total = self.count(threads=threads) if expected > 2**24 else 0
        if total > 2**28:
            raise ValueError(f"solutions: expected at most {2**28} of them, got {total}: `count` only counts them")
        room = int(min(4 * expected, 2**22)) + 1024
        pieces = []
        for k, (count, out) in enumerate(self._enumerate(room, threads)):
            if count > out.size:
                out = np.empty(count, np.uint64)
                self._chunk(k, out)
            pieces.append(out[:count].copy())
        return np.concatenate(pieces)

    def free_flips(self, point: ArrayLike) -> NDArray[np.bool_]:
        """Which single flips of a solution x lead to another solution.

        Parameters
        ----------
        point : array (d,) of ±1, or an unsigned integer

        Returns
        -------
        bool array (d,)

        Raises
        ------
        ValueError
            If x is not a solution.
        """
        x = self._signs(point)
        if x.shape != (self.d,) or self.errors(x):
            raise ValueError("point: expected one solution of this instance, got something else")
        fields = self.aligned.astype(np.int64) @ x
        tight = fields - 2 <= self.d - 2 * (self.most + 1)
        return ~((self.aligned[tight] * x) > 0).any(0)

    def generalisation_error(self, points: ArrayLike) -> Array:
        """Probability that x and the teacher disagree on a new pattern, exact for ξ uniform in {-1, 1}^d.

        The arc cosine of thesis (3.3) is its limit for many weights, and the probability of disagreement, not, as
        printed there, of agreement.

        Parameters
        ----------
        points : unsigned integers (...), or an array (..., d) of ±1

        Returns
        -------
        float array (...), in [0, 1]
        """
        points, teacher = self._signs(points), self._teacher()
        table = np.array([disagreement(self.d, k) for k in range(self.d + 1)])
        return table[(points != teacher).sum(-1)]

    def _teacher(self):
        if not self.teacher:
            raise ValueError(
                "teacher: expected an instance with a teacher, got random labels: Perceptron(teacher=True)"
            )
        return self.teacher_weights

    def _signs(self, points):
        points = np.asarray(points)
        if points.dtype.kind == "u" or not points.ndim:
            return unpack(points, self.d)
        if points.shape[-1] != self.d or not (np.abs(points) == 1).all():
            raise ValueError(
                f"points: expected unsigned integers or an array (..., {self.d}) of ±1, got shape {points.shape}"
            )
        return points.astype(np.int8)

    @cached_property
    def _tables(self):
        small = np.arange(64, dtype=np.uint64)
        distance = np.bitwise_count(small[:, None] ^ small[None, :])  # of a pattern's low part to the 64 lanes
        near = [((distance <= m) << small[None, :]).sum(1, dtype=np.uint64) for m in range(6)]
        lanes = np.uint64(2 ** min(2**self.d, 64) - 1)
        return pack(self.aligned), np.ascontiguousarray(np.transpose(near)), lanes

    def _chunk(self, k, out):
        codes, near, lanes = self._tables
        blocks = max(2**self.d // 64, 1)
        return solutions_in(k * CHUNK, min((k + 1) * CHUNK, blocks), codes, self.most, near, lanes, out)

    def _enumerate(self, room, threads):
        """(number of solutions, array that holds as many of them as fit) of one chunk after the other."""
        if self.d > LARGEST:
            raise ValueError(f"d: expected at most {LARGEST} to go through all 2^d configurations, got {self.d}")
        threads = (os.cpu_count() or 1) if threads is None else checks.whole("threads", threads)
        self.aligned.flags.writeable = False  # drawn once, before the threads start

        def work(k):
            out = np.empty(room, np.uint64)
            return self._chunk(k, out), out

        count = -(-max(2**self.d // 64, 1) // CHUNK)
        if count == 1 or threads == 1:
            yield from map(work, range(count))
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(work, range(count))


def pack(points: ArrayLike) -> NDArray[np.uint64]:
    """Configurations (..., d) of ±1, d <= 63, as unsigned integers (...): bit i is set where x_i = +1.

    Parameters
    ----------
    points : array (..., d) of ±1, d <= 63

    Returns
    -------
    array (...) of unsigned integers

    Raises
    ------
    ValueError
        Entries that are not ±1, d > 63.

    Examples
    --------
    >>> pack([[1, -1, -1], [1, 1, 1]])
    array([1, 7], dtype=uint64)
    """
    points = np.asarray(points)
    if points.ndim < 1 or points.shape[-1] > WORD or not (np.abs(points) == 1).all():
        raise ValueError(f"points: expected an array (..., d) of ±1 with d <= {WORD}, got shape {points.shape}")
    weights = np.uint64(1) << np.arange(points.shape[-1], dtype=np.uint64)
    return ((points > 0) * weights).sum(-1, dtype=np.uint64)


def unpack(codes: ArrayLike, d: int) -> NDArray[np.int8]:
    """Unsigned integers (...) as configurations (..., d) of ±1.

    Parameters
    ----------
    codes : array (...) of unsigned integers, below 2^d
    d : int in [1, 63]

    Returns
    -------
    array (..., d) of ±1

    Raises
    ------
    ValueError
        Codes of 2^d and more, negative ones.

    Examples
    --------
    >>> unpack([1, 7], 3).tolist()
    [[1, -1, -1], [1, 1, 1]]
    """
    d = checks.whole("d", d, 1, WORD)
    codes = np.asarray(codes)
    if codes.dtype.kind not in "iu" or (codes.size and (codes.min() < 0 or int(codes.max()) >> d)):
        raise ValueError(f"codes: expected unsigned integers below 2^{d}, got {checks.shown(codes)}")
    bits = codes.astype(np.uint64)[..., None] >> np.arange(d, dtype=np.uint64) & np.uint64(1)
    return bits.astype(np.int8) * 2 - 1
