"""Chapters 3 and 5 of the thesis: Entropy-SGD, Elastic-SGD and Parle, run on quadratics with known answers."""

import math

import numpy as np

from pdelab import closed_forms, losses
from pdelab.claims import claim, equal, not_computable

CENTRES = np.array([-1.0, 0.5, 2.0])  # the minima of the three replicas' losses f_a = (h/2)(x - c_a)²
OUTER = {"lr": 0.1, "inner_lr": 0.1, "inner_steps": 25, "momentum": 0.0, "outer_momentum": 0.0}


def run(kind, start, gradient, steps, inner=False, **settings):
    """Weights after every step of an optimizer of pdelab.networks; outer ones, or those gradients are taken at."""
    from pdelab import networks

    build = getattr(networks, kind)
    replicas = settings.get("replicas", 1)
    return networks.trajectory(lambda p: build(p, **settings), gradient, start, steps, replicas, inner)


@claim(
    "C3.10", source="thesis (3.10)", as_printed="corrected", needs="networks", perturbation="the printed sign",
    printed="-grad f_gamma(x) = gamma^-1 <x - y>", rejects={"sign": -1.0}, tolerance="a converged loop: 1e-13",
    statement="grad f_gamma(x) = +(x - <y>)/gamma: a long inner loop of Entropy-SGD on h x^2/2 gives h x/(1 + gamma h)",
)  # fmt: skip
def gradient_of_local_entropy(quick=False, sign=1.0):
    h, gamma, x, L = np.array([0.3, 1.3, 2.5]), 0.8, np.array([1.0, -2.0, 0.7]), 2000
    settings = {"lr": 1.0, "inner_lr": 0.05, "inner_steps": L, "gamma": gamma, "momentum": 0.0}
    end = run("EntropySGD", x, lambda w: h * w, L, **settings)[-1]
    return equal(expected=h * x / (1 + gamma * h), measured=sign * (x - end) / gamma, tolerance=1e-12)


@claim(
    "C3.mom", source="thesis 3.2.2, authors' code", as_printed="new", needs="networks",
    perturbation="the scope of the inner loop is gamma whatever the momentum", rejects={"share": 0.0},
    tolerance="a converged loop: 1e-13",
    statement="momentum on the gradient alone, with the elastic force outside as in the authors' code, makes the inner "
    "loop settle at scope gamma/(1 - mu)",
)  # fmt: skip
def momentum_widens_the_scope(quick=False, share=1.0):
    h, gamma, mu, L = 1.3, 0.2, 0.75, 3000
    settings = {"lr": 1.0, "inner_lr": 0.01, "inner_steps": L, "gamma": gamma, "momentum": mu, "averaging": 1.0}
    end = run("EntropySGD", [1.0], lambda w: h * w, L, **settings)[-1, 0]
    scope = gamma / (1 - share * mu)
    return equal(expected=1 / (1 + scope * h), measured=end, tolerance=1e-12)


@claim(
    "C5.2/5.7", source="thesis (5.2), (5.7)", as_printed="right",
    statement="with (5.2)'s normalised kernel f_gamma(x) = h x^2/(2(1+gamma h)) + log(1+gamma h)/2 on f = h x^2/2: f "
    "as gamma -> 0, and as gamma -> infinity constant in x (the constant grows like log(gamma)/2)",
    perturbation="the kernel of (3.9), not normalised", rejects={"kernel": 1.0},
    tolerance="quadrature: 1e-12; numbers computed once by other means, to five digits",
)  # fmt: skip
def local_entropy_of_a_quadratic(quick=False, kernel=0.0):
    h, x, gammas = 1.3, 1.0, np.array([1e-3, 1.0, 1e3])
    f = losses.quadratic(h)
    values = [float(closed_forms.local_entropy(f, x, gamma, 1.0)) for gamma in gammas]
    measured = np.array(values) - kernel * np.log(2 * math.pi * gammas) / 2
    exact = h * x**2 / (2 * (1 + gammas * h)) + np.log(1 + gammas * h) / 2
    return [
        equal(expected=exact, measured=measured, tolerance=1e-10),
        equal(expected=[0.64981, 0.69906, 3.58594], measured=measured, tolerance=1e-5),
    ]


not_computable(
    "C5.4", source="thesis (5.4b)", as_printed="corrected", statement="(5.4b) uses rho_k, as (5.4a) does",
    reason="an index left out in print", printed="x_{k+1} = x_k - (n eta'/rho)(x_k - ...)",
)  # fmt: skip


@claim(
    "C5.5/5.8", source="thesis (5.5c), (5.8c)", as_printed="corrected", needs="networks",
    perturbation="the printed timing: x moves when k/L is an integer, one step after y was reset",
    printed="x_{k+1}^a = x_k^a - (eta'/gamma)(x_k^a - z_{k+1}^a) if k/L is an integer; ... y_k^a are re-initialized to "
    "x_k^a every time k/L is an integer",
    rejects={"ahead": 0, "reset": False},
    statement="the x update belongs after L inner steps, (k+1)/L an integer; then y and z are reset to x",
)  # fmt: skip
def timing_of_the_outer_step(quick=False, ahead=1, reset=True):
    h, gamma, eta, lr, a, L, steps = 1.3, 0.8, 0.1, 0.7, 0.75, 4, 12
    settings = {"lr": lr, "inner_lr": eta, "inner_steps": L, "gamma": gamma, "averaging": a, "momentum": 0.0}
    measured = run("EntropySGD", [1.0], lambda w: h * w, steps, **settings)[1:, 0]
    x = y = z = 1.0
    expected = []
    for k in range(steps):
        y = y - eta * (h * y + (y - x) / gamma)
        z = (1 - a) * z + a * y
        if (k + ahead) % L == 0:
            x = x - lr * (x - z)
            y = x
            z = x if reset else z
        expected.append(x)
    return equal(expected=np.array(expected), measured=measured, tolerance=1e-14)


def shifted(h=1.0):
    """Gradients of the three replicas."""
    return lambda w, a: h * (w - CENTRES[a])


LIMIT = {"lr": 1.0, "inner_steps": 1, "gamma": math.inf, "averaging": 1.0, "momentum": 0.0, "outer_momentum": 0.0}


@claim(
    "C5.8-i", source="thesis 5.3, case (i)", as_printed="corrected", needs="networks",
    printed="Stochastic gradient descent for L = 1, n = 1 with gamma = infinity and rho = infinity ... For all the "
    "experiments in this chapter, the parameters of Parle in Equation (5.8) are fixed to L = 25 and alpha = 0.25",
    perturbation=["whatever alpha, as printed: rate eta0 at the chapter's alpha = 0.25",
                  "alpha = 0.25 does not change the rate"],
    rejects=[{"averaging": 0.75}, {"damped_rate": 1.0}],
    statement="Parle is SGD of rate eta0 for n = 1, L = 1, gamma = rho = infinity if also alpha = 0 and eta1 = gamma; "
    "alpha = 0.25 gives SGD of rate 0.75 eta0",
)  # fmt: skip
def parle_is_sgd(quick=False, averaging=1.0, damped_rate=0.75):
    eta = 0.07
    settings = LIMIT | {"inner_lr": eta, "rho": math.inf}
    slope = lambda w: w**3 - w + 0.3 * np.sin(5 * w)  # noqa: E731
    start = np.array([1.2, -0.4, 0.1])
    undamped = run("Parle", start, slope, 40, **settings | {"averaging": averaging})
    damped = run("Parle", start, slope, 40, **settings | {"averaging": 0.75})
    return [
        equal(expected=descent(slope, start, eta, 40), measured=undamped, tolerance=1e-14),
        equal(expected=descent(slope, start, damped_rate * eta, 40), measured=damped, tolerance=1e-14),
    ]


def descent(slope, x, rate, steps):
    """Plain gradient descent."""
    seen = [x]
    for _ in range(steps):
        seen.append(seen[-1] - rate * slope(seen[-1]))
    return np.array(seen)


@claim(
    "C5.8-ii", source="thesis 5.3, case (ii)", as_printed="corrected", needs="networks",
    printed="Elastic-SGD for L = 1, gamma = infinity ... For all the experiments in this chapter, the parameters of "
    "Parle in Equation (5.8) are fixed to L = 25 and alpha = 0.25",
    perturbation=["whatever alpha, as printed: at the chapter's alpha = 0.25", "the master follows the new replicas"],
    rejects=[{"averaging": 0.75}, {"lag": 0}],
    statement="Parle is Elastic-SGD (5.4) for L = 1, gamma = infinity if also alpha = 0, eta1 = gamma, "
    "eta0 = eta2 = eta, eta3 = eta'",
)  # fmt: skip
def parle_is_elastic_sgd(quick=False, averaging=1.0, lag=1):
    eta, shared = 0.07, {"rho": 0.8, "master_lr": 0.05, "order": "jacobi", "replicas": 3}
    start = np.array([[1.0], [1.0], [1.0]])
    settings = LIMIT | {"inner_lr": eta, "elastic": eta, "averaging": averaging} | shared
    parle = run("Parle", start, shifted(), 40, inner=True, **settings)
    x, master, expected = start.copy(), start[0].copy(), [start.copy()]
    for _ in range(40):
        old = x
        x = x - eta * (x - CENTRES[:, None] + (x - master) / 0.8)
        mean = (old if lag else x).mean(axis=0)
        master = master - 3 * 0.05 / 0.8 * (master - mean)
        expected.append(x.copy())
    elastic = run("ElasticSGD", start, shifted(), 40, inner=True, lr=eta, momentum=0.0, **shared)
    return [
        equal(expected=np.array(expected), measured=parle, tolerance=1e-14),
        equal(expected=np.array(expected), measured=elastic, tolerance=1e-14),
    ]


@claim(
    "C5.8-iii", source="thesis 5.3, case (iii)", as_printed="right", needs="networks",
    perturbation="two replicas on different losses", rejects={"replicas": 2}, tolerance="none: bit for bit",
    statement="Parle is Entropy-SGD for n = 1, rho = infinity, bit for bit",
)  # fmt: skip
def parle_is_entropy_sgd(quick=False, replicas=1):
    settings = {"lr": 0.3, "inner_lr": 0.05, "inner_steps": 6, "gamma": 2.0, "temperature": 1e-3, "outer_momentum": 0.5}
    settings["seed"] = 5  # the noise of both
    entropy = run("EntropySGD", [1.0], lambda w: w - CENTRES[0], 30, **settings)
    if replicas > 1:
        start = np.ones((replicas, 1))
        parle = run("Parle", start, shifted(), 30, rho=math.inf, replicas=replicas, **settings)[:, 0]
    else:
        parle = run("Parle", [1.0], lambda w: w - CENTRES[0], 30, rho=math.inf, **settings)
    return equal(expected=entropy, measured=parle, tolerance=0.0)


def contraction(h, gamma, L=25, alpha=0.25, eta0=0.1, rate=0.1):
    """p: an outer step of Entropy-SGD moves x - c by -p (x - c) on (h/2)(x - c)²; rate = η₁/γ."""
    m = 1 - eta0 * (h + 1 / gamma)
    G = alpha**L + (1 - alpha) * m * (m**L - alpha**L) / (m - alpha)
    return rate * gamma * h / (1 + gamma * h) * (1 - G)


def measured_modes(h, gamma, rho, order):
    """(factor of the mean and master mode, factor of the differences) of an outer step of Parle, from a short run."""
    start = np.array([[1.0], [-2.0], [0.5]])
    settings = OUTER | {"gamma": gamma, "rho": rho, "order": order, "replicas": 3, "init": "independent"}
    L, loops = OUTER["inner_steps"], 4
    master = run("Parle", start, shifted(h), L * loops, **settings)[::L, 0, 0]
    replicas = run("Parle", start, shifted(h), L * loops, inner=True, **settings)[::L, :, 0]
    master[0] = replicas[0].mean()
    modes = np.stack([replicas.mean(axis=1), master], axis=1) - CENTRES.mean()
    matrix = np.linalg.lstsq(modes[:-1], modes[1:], rcond=None)[0]
    moves = np.diff(replicas[:, 0] - replicas[:, 1])
    return np.abs(np.linalg.eigvals(matrix)).max(), moves[1] / moves[0]


@claim(
    "C5.8-q", source="thesis (5.8)", as_printed="new", needs="networks",
    perturbation=["the factors of the printed master order for the one that averages the new replicas",
                  "differences contract by 1-p-2e"],
    rejects=[{"exchanged": True}, {"pull": 2.0}],
    tolerance="factors computed once by other means, to five digits; eigenvalues of a fitted 2x2 matrix: 1e-11",
    statement="on (h/2)(x - c_a)^2 an outer step of Parle contracts differences by 1-p-e, mean and master by 1-p "
    "(new replicas averaged) or by the larger eigenvalue of [[1-p-e, e],[1, 0]] (printed order); e = eta2/rho",
)  # fmt: skip
def parle_contracts(quick=False, exchanged=False, pull=1.0):
    hs, gamma, rho = (1.0, 0.3, 2.0), 5.0, 0.8
    printed = {"jacobi": [0.92969, 0.96189, 0.92014], "gauss-seidel": [0.92024, 0.95694, 0.90929]}
    evidence = []
    for order, factors in printed.items():
        other = "gauss-seidel" if order == "jacobi" else "jacobi"
        modes = np.array([measured_modes(h, gamma, rho, other if exchanged else order) for h in hs])
        evidence.append(equal(expected=factors, measured=modes[:, 0], tolerance=6e-6))
        exact = np.array([1 - contraction(h, gamma) - pull * 0.1 / rho for h in hs])
        evidence.append(equal(expected=exact, measured=modes[:, 1], tolerance=1e-10))
    return evidence


@claim(
    "C5.8-stab", source="thesis (5.8d), 5.3.2", as_printed="wrong", needs="networks",
    printed="x_{k+1} = x_k - (eta^(3) n/rho_k)(x_k - (1/n) sum_a x_k^a) ... eta^(3) = rho_k/n ... We clip ... rho "
    "at 0.1",
    perturbation=["the printed master order is as stable as averaging the new replicas",
                  "averaging the new replicas behaves like the printed order"],
    rejects=[{"orders": ("gauss-seidel", "gauss-seidel")}, {"orders": ("jacobi", "jacobi")}],
    tolerance="factors computed once by other means, to four digits; signs; eigenvalues: 1e-11",
    statement="the printed master order with eta3 = rho/n is unstable iff e = eta/rho > 1 - p/2, as for the thesis's "
    "eta = rho = 0.1; averaging the new replicas is stable there",
)  # fmt: skip
def printed_order_is_unstable(quick=False, orders=("jacobi", "gauss-seidel")):
    h, gamma, rhos = 0.3, 1.0, (0.12, 0.1, 0.09)
    p = contraction(h, gamma)
    jacobi, seidel = (np.array([measured_modes(h, gamma, rho, order)[0] for rho in rhos]) for order in orders)
    unstable = np.array([0.1 / rho > 1 - p / 2 for rho in rhos], float)
    return [
        equal(expected=[0.9879, 1.0112, 1.1229], measured=jacobi, tolerance=6e-5),
        equal(expected=unstable, measured=(jacobi > 1).astype(float), tolerance=0.0),
        equal(expected=np.full(3, 1 - p), measured=seidel, tolerance=1e-10),
    ]


@claim(
    "C5.9", source="thesis (5.9)", as_printed="corrected", perturbation="workers shared by all deputies, as printed",
    printed="sum_a (sum_b f(y^b) + |y^b - x^a|^2/(2 gamma)) + |x^a - x|^2/(2 rho), minimised over x, x^1..x^n, "
    "y^1..y^n",
    rejects={"shared": True}, tolerance="quadrature of the library's local entropy: 1e-10",
    statement="the sheriff's problem needs n^2 workers y^ab: minimised out, they leave stiffness n h/(1+gamma h) in "
    "every mode of the deputies; the printed n shared ones leave n/gamma in their differences",
)  # fmt: skip
def deputies_need_their_own_workers(quick=False, shared=False):
    h, gamma, n = 1.0, 0.5, 3
    # what a worker of its own leaves of f: the Hopf-Lax value, whose curvature the library gives
    alone = float(closed_forms.local_entropy_hessian(losses.quadratic(h), 0.3, gamma, math.inf))
    if shared:  # n workers, each tied to the mean of the deputies, which their differences only stretch
        mean = np.full((n, n), 1 / n)
        matrix = n * alone * mean + n / gamma * (np.eye(n) - mean)
    else:
        matrix = n * alone * np.eye(n)
    return equal(expected=np.full(n, n * h / (1 + gamma * h)), measured=np.linalg.eigvalsh(matrix), tolerance=1e-9)


@claim(
    "C5.10", source="thesis (5.10)", as_printed="right", needs="networks", perturbation="a factor 1 - 1/B",
    rejects={"divisor": 1.0}, tolerance="counts; rounded to whole passes",
    statement="with the factor 1 - 1/(2B) gamma goes from 100 to its clip 1 in 3590 outer steps and rho from 1 to 0.1 "
    "in 1795 for B = 390: 230 and 115 passes over the data, whatever B",
)  # fmt: skip
def scoping_is_slow(quick=False, divisor=2.0):
    from pdelab.networks import Exponential

    def outer_steps(start, low, batches):
        rate = 1 / (divisor * batches)
        schedule, t = Exponential(start, rate, low=low), 0
        while schedule(t) > low:
            t += 1
        return t

    counts = np.array([outer_steps(100.0, 1.0, 390), outer_steps(1.0, 0.1, 390)])
    other = np.array([outer_steps(100.0, 1.0, 97), outer_steps(1.0, 0.1, 97)])
    return [
        equal(expected=[3590, 1795], measured=counts, tolerance=0.0),
        equal(expected=[230, 115], measured=counts * 25 / 390, tolerance=0.5),
        equal(expected=[230, 115], measured=other * 25 / 97, tolerance=1.0),
    ]


@claim(
    "C5.com", source="thesis 5.2.3, 5.3.1", as_printed="corrected", needs="networks",
    printed="each deputy communicates O(2nd) bits with its workers and the sheriff communicates another O(2nd) "
    "bits with "
    "each deputy. The total communication complexity is thus quadratic O(n^2 d^2)",
    statement="numbers sent through the master a weight update: Elastic-SGD 2nd, Parle 2nd/L; a sheriff and n deputies "
    "of n workers each, every one of them an Elastic-SGD, send 2n^2 d + 2nd, linear in d: O(n^2 d)",
    perturbation=["O(n^2 d^2), as printed: twice the weights, four times the numbers", "Elastic-SGD sends only now and "
                  "then, like Parle", "Parle sends at every step, like Elastic-SGD"],
    rejects=[{"power": 2}, {"elastic_loop": 25}, {"loop": 1}], tolerance="none: counts",
)  # fmt: skip
def traffic(quick=False, power=1, elastic_loop=1, loop=25):
    from pdelab import networks

    n, L, steps = 3, 25, 50

    def numbers(kind, d, **settings):
        built = []
        build = lambda p: built.append(getattr(networks, kind)(p, replicas=n, **settings)) or built[0]  # noqa: E731
        networks.trajectory(build, lambda w, a: w, np.ones((n, d)), steps, n)
        return built[0].communicator.numbers / steps

    elastic, parle = ([numbers(kind, d, **more) for d in (40, 80)] for kind, more in
                      (("ElasticSGD", {}), ("Parle", {"inner_steps": L})))  # fmt: skip
    both = [(n + 1) * count for count in elastic]  # the sheriff with its deputies, and n deputies with their workers
    sizes = np.array([40, 80])
    return [
        equal(expected=2 * n * sizes / elastic_loop, measured=elastic, tolerance=0.0),
        equal(expected=2 * n * sizes / loop, measured=parle, tolerance=1e-12),
        equal(expected=2.0**power, measured=both[1] / both[0], tolerance=1e-12),
        equal(expected=(2 * n**2 + 2 * n) * sizes**power, measured=both, tolerance=0.0),
    ]
