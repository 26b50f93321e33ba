"""Thesis 3.1.1: solutions of the binary perceptron, their neighbourhoods and their generalisation."""

import math

import numpy as np

from pdelab import perceptron
from pdelab.claims import at_least, at_most, claim, equal, not_computable
from pdelab.perceptron import Perceptron


@claim(
    "P.EZ", source="thesis 3.1.1, (3.4) at beta = 0", as_printed="new",
    statement="E Z = 2^{d-N} exactly for odd d and random labels",
    perturbation="2^{d-N-1}", rejects={"fewer": 1}, tolerance="four standard errors",
)  # fmt: skip
def mean_number_of_solutions(quick=False, fewer=0):
    draws, pieces = 150 if quick else 1500, []
    for d, n in ((15, 6), (15, 9), (21, 13)):
        counts = np.array([Perceptron(d, n, seed=s, teacher=False).count() for s in range(draws)])
        pieces.append(
            (perceptron.expected_solutions(d, n) / 2**fewer, counts.mean(), 4 * counts.std(ddof=1) / math.sqrt(draws))
        )
    return equal(*map(list, zip(*pieces)))


@claim(
    "P.ac", source="thesis 3.1.1", as_printed="corrected",
    printed="if alpha = N/d is less than alpha_c = 0.833, the probability of finding a solution ... drops to zero",
    statement="solutions exist with high probability below 0.833 and vanish above: P(Z > 0) falls with the load",
    perturbation="less than, as printed: P(Z > 0) small at load 0.4 and large at 1.4", rejects={"printed": True},
    tolerance="three standard errors of a share; 1/2 lies between the two loads at every d here",
)  # fmt: skip
def capacity(quick=False, printed=False):
    draws, pieces = 100 if quick else 600, []
    for d in (15, 21):
        low, high = (
            np.mean([Perceptron(d, round(load * d), seed=s, teacher=False).count() > 0 for s in range(draws)])
            for load in (0.4, 1.4)
        )
        if printed:
            low, high = high, low
        spread = 3 * 0.5 / math.sqrt(draws)
        pieces += [at_least(0.5, low, -spread), at_most(0.5, high, -spread)]
    return pieces


@claim(
    "P3.3", source="thesis (3.3)", as_printed="corrected",
    printed="this is simply the probability that two perceptrons ... agree on a randomly sampled input vector",
    statement="arccos(x·x*/d)/π is the limit for many weights of the probability that they disagree; at finite d it is "
              "1 - 2 P_k, and the two differ by 0.16/sqrt(d)",
    perturbation=["agree, as printed", "a difference of order 1/d", "0.17/sqrt(d)"],
    rejects=[{"agree": True}, {"order": 1.0}, {"size": 0.17}],
    tolerance="five standard errors; the ratio over four doublings of d within 3 %; half of the last digit",
)  # fmt: skip
def disagreement(quick=False, agree=False, order=0.5, size=0.16):
    rng, draws = np.random.default_rng(2), 20000 if quick else 200000
    instance = Perceptron(21, 8, seed=4)
    students = instance.solutions()[::800]
    inputs = rng.integers(0, 2, (draws, 21), dtype=np.int8) * 2 - 1
    signs = [np.sign(inputs.astype(np.int32) @ w.astype(np.int32).T) for w in
             (instance.teacher_weights, perceptron.unpack(students, 21))]  # fmt: skip
    wrong = (signs[0][:, None] != signs[1]).mean(0)
    exact = instance.generalisation_error(students)
    gaps = [
        max(abs(perceptron.disagreement(d, k) - perceptron.angle(1 - 2 * k / d)) for k in range(d + 1))
        for d in (25, 401)
    ]
    return [
        equal(1 - exact if agree else exact, wrong, 5 * np.sqrt(exact * (1 - exact) / draws) + 1e-12),
        equal((401 / 25) ** order, gaps[0] / gaps[1], 0.03 * (401 / 25) ** 0.5),
        equal(size, gaps[1] * math.sqrt(401), 0.005),
    ]


@claim(
    "P3.5", source="thesis (3.5)", as_printed="corrected",
    printed="all solutions y that are at a distance d(1 - 2 gamma) from the references solution x",
    statement="x·y/d = 1 - 2γ means Hamming distance γ d",
    perturbation="distance d(1 - 2γ), as printed", rejects={"printed": True},
)  # fmt: skip
def distance_of_an_overlap(quick=False, printed=False):
    d = 21
    x = np.ones(d, np.int8)
    flipped = np.array([np.where(np.arange(d) < k, -1, 1) for k in (2, 5, 9)], np.int8)
    gamma = (1 - flipped @ x / d) / 2
    counts = perceptron.distance_counts(perceptron.pack(flipped), d, perceptron.pack(x)[None])[0]
    return equal(d * (1 - 2 * gamma) if printed else d * gamma, np.flatnonzero(counts), 1e-9)


@claim(
    "P.pair", source="thesis 3.1.1", as_printed="new",
    statement="at distance k from a solution C(d, k) (2 P_k)^N solutions are expected",
    perturbation="C(d, k) P_k^N", rejects={"half": True}, tolerance="four standard errors",
)  # fmt: skip
def pairs_of_solutions(quick=False, half=False):
    d, n, draws = 15, 6, 200 if quick else 1500
    tables = []
    for seed in range(draws):
        instance = Perceptron(d, n, seed=seed)
        tables.append(perceptron.distance_counts(instance.solutions(), d, [instance.teacher_code])[0, 1:5])
    mean, error = np.mean(tables, 0), np.std(tables, 0, ddof=1) / math.sqrt(draws)
    expected = np.array([perceptron.expected_pairs(d, n, k) for k in (1, 2, 3, 4)]) / (2**n if half else 1)
    return equal(expected, mean, 4 * error)


@claim(
    "P.iso", source="thesis 3.1.1", as_printed="corrected",
    printed="typical solutions are isolated from each other for all values of alpha",
    statement="at load 0.4 fewer than one typical solution in three is isolated at d = 25, more than three in four "
              "at d = 601",
    perturbation="isolated at d = 25 already", rejects=[{"small": 601}, {"large": 25}],
    tolerance="a standard error of a share",
)  # fmt: skip
def isolation(quick=False, small=25, large=601):
    draws, shares = 80 if quick else 400, []
    for d in (small, large):
        instances = (Perceptron(d, round(0.4 * d), seed=s) for s in range(draws))
        shares.append(np.mean([not p.free_flips(p.teacher_weights).any() for p in instances]))
    spread = 0.5 / math.sqrt(draws)
    return [at_most(1 / 3, shares[0], spread), at_least(3 / 4, shares[1], spread)]


@claim(
    "P.dense", source="thesis 3.1.1, (ii)", as_printed="right",
    statement="solutions in dense regions generalise better: weighting by (local count)^y lowers the error, at d = 21",
    perturbation="weighting by (local count)^-y", rejects={"sign": -1.0},
    tolerance="three standard errors over instances",
)  # fmt: skip
def dense_solutions(quick=False, sign=1.0):
    instances, gains = 40 if quick else 150, []
    for seed in range(instances):
        instance = Perceptron(21, 13, seed=seed)
        solutions = instance.solutions()
        counts, errors = perceptron.local_counts(solutions, 21, 4), instance.generalisation_error(solutions)
        gains.append(errors.mean() - perceptron.tilted_average(errors, counts, sign * 5.0))
    return at_least(0.0, np.mean(gains) - 3 * np.std(gains, ddof=1) / math.sqrt(instances))


@claim(
    "P.wht", source="thesis (3.5)", as_printed="new",
    statement="the number of solutions around every configuration is a product of Walsh-Hadamard transforms, exactly",
    perturbation="a ball of radius one less", rejects={"radius": 3},
)  # fmt: skip
def transform(quick=False, radius=4):
    solutions = Perceptron(15, 6, seed=3).solutions()
    everywhere = perceptron.counts_everywhere(solutions, 15, radius)
    references = np.arange(0, 2**15, 400 if quick else 20, dtype=np.uint64)
    pairs = perceptron.local_counts(solutions, 15, 4, references=references, method="pairs")
    return equal(pairs, everywhere[references], 0)


@claim(
    "P.ts", source="thesis 3.1.1", as_printed="right",
    statement="in the teacher-student problem other solutions than the teacher disappear as the load grows",
    perturbation="at every load the teacher is alone", rejects=[{"loads": (3.0, 3.0)}, {"loads": (0.4, 0.4)}],
    tolerance="three standard errors of a share",
)  # fmt: skip
def only_the_teacher(quick=False, loads=(0.4, 3.0)):
    draws = 60 if quick else 300
    alone = [np.mean([Perceptron(21, round(load * 21), seed=s).count() == 1 for s in range(draws)]) for load in loads]
    spread = 3 * 0.5 / math.sqrt(draws)
    return [at_most(0.5, alone[0], -spread), at_least(0.5, alone[1], -spread)]


@claim(
    "P3.2", source="thesis (3.2)", as_printed="corrected",
    printed="f(x) = prod 1_{y_i != yhat_i} = prod Θ(y_i x·ξ_i/sqrt(d)) ... it is zero if and only if the perceptron "
            "classifies the entire dataset correctly",
    statement="the right product is 1, not 0, exactly for solutions; the left one is 0 unless all patterns are wrong; "
              "errors are counted by a sum: 'f = 0 exactly for solutions' is true of no x by the right product, "
              "and by the left one of Z solutions and their Z opposites alone",
    perturbation="of every x by both, as printed", rejects={"printed": True},
    tolerance="all x are gone through: a count",
)  # fmt: skip
def two_products(quick=False, printed=False):
    instance = Perceptron(13, 6, seed=1)
    every = perceptron.unpack(np.arange(2**13, dtype=np.uint64), 13)
    errors, count = instance.errors(every), 2**13
    products = errors == 0, errors == instance.patterns
    agree = [((product == 0) == (errors == 0)).sum() for product in products]
    return equal([count, count] if printed else [0, 2 * instance.count()], agree, 0)


not_computable(
    "P.Z", source="thesis, display after (3.5)", as_printed="corrected",
    printed="The log-partition function ... Z = -(1/(d beta)) log ...",
    statement="that is a free energy, not a log-partition function", reason="wording",
)  # fmt: skip
