"""The binary perceptron: enumeration against products, exact counts and errors against brute force, refusals."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from pdelab import perceptron
from pdelab.perceptron import Perceptron


def everything(d):
    return np.array(list(itertools.product([-1, 1], repeat=d)), dtype=np.int8)


@pytest.mark.parametrize("d, n, teacher, margin", [
    (1, 1, True, 0.0), (1, 0, False, 0.0), (3, 2, False, 0.0), (5, 3, True, -0.5), (7, 4, False, 0.3),
    (11, 6, True, 0.0), (13, 5, False, 0.5), (13, 9, False, -0.4), (9, 2, False, 9.0),
])  # fmt: skip
def test_solutions_are_those_of_the_definition(d, n, teacher, margin):
    for seed in range(5):
        instance = Perceptron(d, n, seed=seed, teacher=teacher, margin=margin)
        points = everything(d)
        agreements = points.astype(int) @ (instance.labels[:, None] * instance.inputs).T.astype(int)
        right = (agreements > margin * math.sqrt(d)).all(1)
        expected = np.sort(perceptron.pack(points[right]))
        solutions = instance.solutions()
        assert solutions.dtype == np.uint64 and np.array_equal(solutions, expected)
        assert instance.count() == expected.size
        assert np.array_equal(instance.errors(points), (agreements <= margin * math.sqrt(d)).sum(1))


def test_threads_change_nothing():
    instance = Perceptron(25, 14, seed=2)
    assert np.array_equal(instance.solutions(threads=1), instance.solutions(threads=3))
    assert (instance.errors(instance.solutions()) == 0).all()


def test_the_teacher_is_a_solution_and_makes_no_error():
    for seed in range(20):
        instance = Perceptron(17, 12, seed=seed)
        assert instance.teacher_code in instance.solutions()
        assert instance.generalisation_error(instance.teacher_weights) == 0
        assert instance.generalisation_error(-instance.teacher_weights) == 1


def test_as_many_solutions_as_expected():
    """E Z = 2^(d - N) within four standard errors (d = 15 and 21)."""
    for d, n, draws in ((15, 6, 300), (15, 9, 300), (21, 13, 120)):
        counts = [Perceptron(d, n, seed=seed, teacher=False).count() for seed in range(draws)]
        error = np.std(counts, ddof=1) / math.sqrt(draws)
        assert abs(np.mean(counts) - perceptron.expected_solutions(d, n)) < 4 * error


def test_as_many_pairs_as_expected():
    """Solutions at distance k from the teacher: C(d, k) (2 P_k)^N within four standard errors."""
    for d, n, draws in ((15, 6, 400), (21, 10, 200)):
        tables = []
        for seed in range(draws):
            instance = Perceptron(d, n, seed=1000 + seed)
            tables.append(perceptron.distance_counts(instance.solutions(), d, [instance.teacher_code])[0])
        mean, error = np.mean(tables, 0), np.std(tables, 0, ddof=1) / math.sqrt(draws)
        for k in (1, 2, 3, 4):
            assert abs(mean[k] - perceptron.expected_pairs(d, n, k)) < 4 * error[k]
        assert mean[0] == 1 and perceptron.expected_pairs(d, n, 0) == 1


@pytest.mark.parametrize("d", [1, 3, 5, 9])
def test_disagreement_is_a_count(d):
    points = everything(d).astype(int)
    x = points[0]
    for k in range(d + 1):
        y = x.copy()
        y[:k] *= -1
        share = Fraction(int((np.sign(points @ x) != np.sign(points @ y)).sum()), 2**d)
        assert perceptron.disagreement(d, k) == float(share)


def test_the_arc_cosine_is_the_limit():
    distances = [max(abs(perceptron.disagreement(d, k) - perceptron.angle(1 - 2 * k / d)) for k in range(d + 1))
                 for d in (5, 11, 21, 51, 101)]  # fmt: skip
    assert np.allclose(distances, [0.0798, 0.0511, 0.0361, 0.0228, 0.0161], atol=5e-5)  # theory2.md, P3.3
    assert all(perceptron.disagreement(21, k) == perceptron.disagreement(21, k + 1) for k in range(1, 20, 2))


def test_errors_are_measured_on_new_patterns(rng):
    instance = Perceptron(21, 8, seed=4)
    students = instance.solutions()[::500]
    inputs = rng.integers(0, 2, (40000, 21)) * 2 - 1
    wrong = np.sign(inputs @ instance.teacher_weights)[:, None] != np.sign(inputs @ perceptron.unpack(students, 21).T)
    exact = instance.generalisation_error(students)
    assert (abs(wrong.mean(0) - exact) <= 5 * np.sqrt(exact * (1 - exact) / 40000)).all()


@pytest.mark.parametrize("radius", [0, 1, 4, 9, 15])
def test_the_transform_counts_as_pairs_do(radius, rng):
    solutions = Perceptron(15, 6, seed=1).solutions()
    everywhere = perceptron.counts_everywhere(solutions, 15, radius)
    references = rng.integers(0, 2**15, 200).astype(np.uint64)
    expected = [sum(bin(int(a) ^ int(b)).count("1") <= radius for b in solutions) for a in references]
    assert np.array_equal(everywhere[references], expected)
    for method in ("pairs", "transform", "auto"):
        counts = perceptron.local_counts(solutions, 15, radius, references=references, method=method)
        assert np.array_equal(counts, expected)
    assert (perceptron.local_counts(solutions, 15, radius) >= 1).all()


def test_local_entropy_is_minus_infinity_where_no_solution_is_near():
    values = perceptron.local_entropy(np.array([0], np.uint64), 9, 2, references=np.array([0, 7, 511], np.uint64))
    assert values[0] == 0.0 and values[1] == -math.inf and values[2] == -math.inf


def components(codes, flips):
    """Connected components, one breadth-first search after the other, and who has no neighbour."""
    near = {a: {b for b in codes if 0 < bin(a ^ b).count("1") <= flips} for a in codes}
    todo, parts = set(codes), set()
    while todo:
        part, edge = set(), {next(iter(todo))}
        while edge:
            part |= edge
            edge = set().union(*(near[a] for a in edge)) - part
        parts.add(frozenset(part))
        todo -= part
    return parts, [not near[a] for a in codes]


@pytest.mark.parametrize("flips", [1, 2, 3])
def test_isolated_and_clusters_agree_with_a_graph(flips):
    for seed in range(4):
        solutions = Perceptron(13, 8, seed=seed).solutions()
        parts, alone = components([int(code) for code in solutions], flips)
        labels = perceptron.clusters(solutions, 13, flips=flips)
        assert {frozenset(map(int, solutions[labels == k])) for k in np.unique(labels)} == parts
        if flips == 1:
            assert perceptron.isolated(solutions, 13).tolist() == alone


def test_free_flips_are_neighbouring_solutions():
    instance = Perceptron(15, 5, seed=3, margin=-0.3)
    solutions = instance.solutions()
    for code in solutions[:: max(solutions.size // 20, 1)]:
        neighbours = [(int(code) ^ (1 << bit)) in set(solutions.tolist()) for bit in range(15)]
        assert instance.free_flips(code).tolist() == neighbours


def test_typical_solutions_are_isolated_only_for_many_weights():
    """P(the planted solution has no neighbour) rises with d at load 0.4 (theory2.md, P.iso)."""
    shares = []
    for d in (25, 101, 401):
        alone = [
            not (i := Perceptron(d, round(0.4 * d), seed=s)).free_flips(i.teacher_weights).any() for s in range(200)
        ]
        shares.append(np.mean(alone))
    assert shares[0] < shares[1] < shares[2] and shares[2] > 0.6 > 0.2 > shares[0]


def test_dense_solutions_generalise_better():
    """Weighting by (local count)^tilt lowers the error monotonically (theory2.md, P.dense)."""
    tilts = (0.0, 1.0, 2.0, 5.0, 10.0)
    curves = []
    for seed in range(60):
        instance = Perceptron(21, 13, seed=seed)
        solutions = instance.solutions()
        counts, errors = perceptron.local_counts(solutions, 21, 4), instance.generalisation_error(solutions)
        curves.append([perceptron.tilted_average(errors, counts, y) for y in tilts])
    curves = np.array(curves)
    assert (np.diff(curves.mean(0)) < 0).all()
    gain = curves[:, 0] - curves[:, -1]
    assert gain.mean() > 4 * gain.std(ddof=1) / math.sqrt(60)


def test_tilted_averages_at_their_ends():
    values, counts = np.array([1.0, 2.0, 4.0]), np.array([1, 3, 3])
    assert perceptron.tilted_average(values, counts, 0) == pytest.approx(7 / 3)
    assert perceptron.tilted_average(values, counts, 1) == pytest.approx(19 / 7)
    assert perceptron.tilted_average(values, counts, math.inf) == 3.0
    assert perceptron.tilted_average(values, counts, -math.inf) == 1.0
    assert perceptron.tilted_average(values, counts, 1e6) == pytest.approx(3.0)


@pytest.mark.parametrize("copies, power", [(1, 0), (1, 1), (4, 0), (4, 1)])
def test_what_a_search_returns_is_a_solution(copies, power):
    instance = Perceptron(51, 20, seed=6)
    result = perceptron.search(instance, 20000, copies=copies, power=power, runs=8, seed=1)
    assert result.solutions.shape == (result.solved.sum(), 51) and result.solved.any()
    assert (instance.errors(result.solutions) == 0).all()
    assert (result.proposals <= 20000).all() and (result.proposals[~result.solved] == 20000).all()
    low, high = result.interval()
    assert 0 <= low <= result.rate <= high <= 1
    again = perceptron.search(instance, 20000, copies=copies, power=power, runs=3, seed=1)
    assert np.array_equal(again.proposals, result.proposals[:3])


def test_a_search_for_what_does_not_exist_finds_nothing():
    instance = next(i for i in (Perceptron(15, 20, seed=s, teacher=False) for s in range(99)) if i.count() == 0)
    result = perceptron.search(instance, 2000, runs=5)
    assert result.rate == 0.0 and result.proposals.tolist() == [2000] * 5 and not len(result.solutions)


def test_packing_and_back(rng):
    for d in (1, 7, 63):
        points = rng.integers(0, 2, (20, d)).astype(np.int8) * 2 - 1
        assert np.array_equal(perceptron.unpack(perceptron.pack(points), d), points)
    assert int(perceptron.pack([1, -1, 1])) == 0b101


@pytest.mark.parametrize("call, words", [
    (lambda: Perceptron(14, 3), "odd"),
    (lambda: Perceptron(15.0, 3), "whole number"),
    (lambda: Perceptron(15, -1), "patterns"),
    (lambda: Perceptron(15, 3, seed=-1), "seed"),
    (lambda: Perceptron(15, 3, teacher=1), "True or False"),
    (lambda: Perceptron(15, 3, margin=math.nan), "margin"),
    (lambda: Perceptron(15, 3, margin=0.2), "teacher"),
    (lambda: Perceptron(47, 3).solutions(), "at most 45"),
    (lambda: Perceptron(15, 3, teacher=False).generalisation_error(np.uint64(1)), "random labels"),
    (lambda: Perceptron(15, 3).errors(np.zeros(15)), "±1"),
    (lambda: Perceptron(15, 3).errors(np.ones(14)), "15"),
    (lambda: Perceptron(15, 3).errors(np.uint64(2**15)), "below 2"),
    (lambda: Perceptron(15, 9, seed=1).free_flips(-Perceptron(15, 9, seed=1).teacher_weights), "not|something else"),
    (lambda: perceptron.disagreement(20, 1), "odd"),
    (lambda: perceptron.disagreement(21, 22), "distance"),
    (lambda: perceptron.angle(1.5), "overlap"),
    (lambda: perceptron.local_counts([0, 3], 1, 1), "below 2"),
    (lambda: perceptron.local_counts([0.5], 3, 1), "unsigned integers"),
    (lambda: perceptron.local_counts([0], 3, 4), "radius"),
    (lambda: perceptron.local_counts([0], 3, 1, method="fast"), "method"),
    (lambda: perceptron.counts_everywhere([0], 28, 1), "at most 27"),
    (lambda: perceptron.clusters([0], 3, flips=4), "flips"),
    (lambda: perceptron.tilted_average([1.0], [0], 1), "counts"),
    (lambda: perceptron.expected_solutions(2001, 10), "fewer than 2\\^1024 solutions"),
    (lambda: perceptron.expected_pairs(3001, 0, 1500), "fewer than 1e308 pairs"),
    (lambda: perceptron.tilted_average([1.0], [1], math.nan), "tilt"),
    (lambda: perceptron.pack(np.ones(64)), "63"),
    (lambda: perceptron.unpack(8, 3), "below"),
    (lambda: perceptron.search("x", 10), "Perceptron"),
    (lambda: perceptron.search(Perceptron(5, 1), 0), "proposals"),
    (lambda: perceptron.search(Perceptron(5, 1), 9, hot=0.1, cold=0.2), "cold"),
])  # fmt: skip
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_isolation_counts_the_neighbours_at_distance_one():
    """P(no other solution at distance 1) = exp(-expected number of them), the chance of one by listing all patterns."""
    for d, n in ((5, 0), (5, 3), (7, 2)):
        patterns = np.array(list(itertools.product((-1, 1), repeat=d)))
        one, other = np.ones(d, int), np.ones(d, int)
        other[0] = -1
        agree = (np.sign(patterns @ one) == np.sign(patterns @ other)).mean()
        assert perceptron.isolation_probability(d, n) == pytest.approx(math.exp(-d * agree**n), rel=1e-12)
