"""Paths of stochastic equations through the public API against JAX, diffrax, torch, torchsde, NumPy and scalar Numba.

S1: overdamped Langevin dynamics of a double well, 10^5 paths; S2: ten dimensions, quadratic, 10^4 paths. Everyone does
Euler-Maruyama with a fixed step; diffrax and torchsde are general solvers (adaptive, differentiable, Levy areas), which
this task does not ask of them. Milliseconds are CPU time, one thread; `note` holds millions of path-steps a second.
Both forms take 200 steps, as the aims do: what a step costs in torchsde grows with the number of steps.
Also: normals alone and the paths made of them, orders, bits, the memory of 10^6 paths, two threads against one (wall
time; it needs two idle cores), and the first answer of a second process.
"""

import math
import os
import subprocess
import sys
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np

from benchmarks.harness import Row, peer, race

BETA, DT = 4.0, 0.01
KICK = math.sqrt(2 * DT / BETA)


def rows(quick=False):
    """One problem after the other, contestants interleaved."""
    repeats = 1 if quick else 5
    yield from _double_well(np.float64, 200, repeats)
    yield from _double_well(np.float32, 200, repeats)
    yield from _quadratic(200, repeats)
    yield from _normals(5 if quick else 20)
    yield from _orders(quick)
    yield _same_bits()
    yield _memory(1000 if quick else 10_000)
    yield from _threads(300 if quick else 1000, 5 if quick else 9)
    yield _first_answer()


def _rows(problem, contestants, work, repeats, targets, scale=()):
    """Rows of a race whose first contestant is ours; work: path-steps (or coordinate-steps) of one run.

    scale: {name: factor} for a contestant that did only a part of the work.
    """
    times = race(contestants, repeats)
    times = {name: time * dict(scale).get(name, 1.0) for name, time in times.items()}
    ours = times["pdelab"]
    for name, milliseconds in times.items():
        rate = f"{work / milliseconds / 1e3:.0f} M/s"
        yield Row(problem, name, milliseconds, ratio=milliseconds / ours, target=targets.get(name), note=rate)


# -------------------------------------------------------------------------------------------------- double well


def _double_well(dtype, steps, repeats, paths=100_000):
    import pdelab as pl

    single = dtype == np.float32
    sde = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), BETA)
    common = {"paths": paths, "seed": 1, "threads": 1, "store": False, "dtype": dtype}
    contestants = {"pdelab": lambda: pl.simulate(sde, 0.0, steps * DT, DT, **common).final}
    signs = common | {"scheme": pl.paths.weak_euler}
    contestants["pdelab, random signs"] = lambda: pl.simulate(sde, 0.0, steps * DT, DT, **signs).final
    contestants["numpy loop"] = lambda: _numpy_loop(np.zeros(paths, dtype), steps)
    if not single:
        contestants["numba, np.random.normal"] = _numba_loop(paths, steps)
    contestants |= _jax(lambda x: x**3 - x, (paths,), steps, dtype) | _diffrax(paths, steps, dtype)
    contestants |= _torch(lambda x: x**3 - x, (paths,), steps, dtype)
    contestants |= _torchsde(lambda x: x**3 - x, (paths, 1), steps, dtype)
    if not single:
        contestants |= _jitcsde(steps)
    if single:
        targets = {"jax lax.scan": 3.3, "torch eager": 1.8, "diffrax vmap": 40.0, "torchsde": 15.0}
    else:
        targets = {"jax lax.scan": 5.5, "torch eager": 6.5, "diffrax vmap": 25.0, "torchsde": 35.0}
        targets["numba, np.random.normal"] = 8.0
    scale = {"jitcsde, 500 paths as one system": paths / 500}
    yield from _rows(f"S1 double well, {np.dtype(dtype).name}", contestants, paths * steps, repeats, targets, scale)


def _quadratic(steps, repeats, paths=10_000, d=10):
    import pdelab as pl

    stiffness = np.linspace(0.5, 2.0, d)
    loss = pl.Loss(" + ".join(f"{h}*x{i}**2/2" for i, h in enumerate(stiffness)))
    sde = pl.Langevin(loss, BETA)
    common = {"paths": paths, "seed": 1, "threads": 1, "store": False}
    contestants = {"pdelab": lambda: pl.simulate(sde, np.zeros(d), steps * DT, DT, **common).final}
    contestants |= _jax(lambda x: stiffness[:, None] * x, (d, paths), steps, np.float64)
    contestants |= _diffrax(paths, steps, np.float64, stiffness)
    contestants |= _torchsde(lambda x: x, (paths, d), steps, np.float64)
    targets = {"jax lax.scan": 5.5, "diffrax vmap": 16.0, "torchsde": 38.0}
    yield from _rows("S2 quadratic, d = 10", contestants, paths * steps * d, repeats, targets)


def _numpy_loop(x, steps):
    rng, z = np.random.default_rng(1), np.empty_like(x)
    for _ in range(steps):
        rng.standard_normal(out=z, dtype=x.dtype)
        x = x - DT * (x * x * x - x) + x.dtype.type(KICK) * z
    return x


def _numba_loop(paths, steps):
    from numba import njit

    @njit(error_model="numpy")
    def run(paths, steps, dt, kick):
        x = np.zeros(paths)
        for i in range(paths):
            for _ in range(steps):
                x[i] += -dt * (x[i] ** 3 - x[i]) + kick * np.random.normal()  # noqa: NPY002 (what is measured)
        return x

    return lambda: run(paths, steps, DT, KICK)


def _jax(gradient, shape, steps, dtype):
    jax = peer("jax")
    if jax is None:
        return {}
    jax.config.update("jax_enable_x64", True)

    @jax.jit
    def run(key):
        def step(x, key):
            z = jax.random.normal(key, shape, dtype)
            return (x - DT * gradient(x) + KICK * z).astype(dtype), None

        return jax.lax.scan(step, jax.numpy.zeros(shape, dtype), jax.random.split(key, steps))[0]

    return {"jax lax.scan": lambda: run(jax.random.key(1)).block_until_ready()}


def _diffrax(paths, steps, dtype, stiffness=None):
    jax, diffrax = peer("jax"), peer("diffrax")
    if jax is None or diffrax is None:
        return {}
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    shape = () if stiffness is None else (len(stiffness),)
    sigma = math.sqrt(2 / BETA)

    def drift(t, x, args):
        return x - x**3 if stiffness is None else -jnp.asarray(stiffness, dtype) * x

    def noise(t, x, args):
        return jnp.asarray(sigma, dtype) if stiffness is None else sigma * jnp.eye(len(stiffness), dtype=dtype)

    def one(key):
        motion = diffrax.UnsafeBrownianPath(jax.ShapeDtypeStruct(shape, dtype), key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(noise, motion))
        end, start = jnp.asarray(steps * DT, dtype), jnp.zeros(shape, dtype)
        solution = diffrax.diffeqsolve(
            terms, diffrax.Euler(), jnp.zeros((), dtype), end, jnp.asarray(DT, dtype), start,
            adjoint=diffrax.DirectAdjoint(), max_steps=steps + 8,
        )  # fmt: skip
        return solution.ys

    run = jax.jit(jax.vmap(one))
    keys = jax.random.split(jax.random.key(1), paths)
    return {"diffrax vmap": lambda: run(keys).block_until_ready()}


def _torch(gradient, shape, steps, dtype):
    torch = peer("torch")
    if torch is None:
        return {}
    torch.set_num_threads(1)
    kind = torch.float32 if dtype == np.float32 else torch.float64

    def run():
        x = torch.zeros(shape, dtype=kind)
        for _ in range(steps):
            x = x - DT * gradient(x) + KICK * torch.randn(shape, dtype=kind)
        return x

    return {"torch eager": run}


def _torchsde(gradient, shape, steps, dtype):
    torch, torchsde = peer("torch"), peer("torchsde")
    if torch is None or torchsde is None:
        return {}
    torch.set_num_threads(1)
    kind = torch.float32 if dtype == np.float32 else torch.float64

    class Equation(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t, x):
            return -gradient(x)

        def g(self, t, x):
            return torch.full_like(x, math.sqrt(2 / BETA))

    times, start = torch.tensor([0.0, steps * DT], dtype=kind), torch.zeros(shape, dtype=kind)

    def run():
        with torch.no_grad():
            return torchsde.sdeint(Equation(), start, times, method="euler", dt=DT)[-1]

    return {"torchsde": run}


def _jitcsde(steps, paths=500):
    """One system of 500 equations: jitcsde compiles C for one system and has no ensembles. Its steps are made equal."""
    jitcsde = peer("jitcsde")
    if jitcsde is None:
        return {}
    drift = [jitcsde.y(i) - jitcsde.y(i) ** 3 for i in range(paths)]
    solver = jitcsde.jitcsde(drift, [math.sqrt(2 / BETA)] * paths, n=paths, verbose=False, additive=True)
    solver.set_seed(1)
    solver.set_initial_value(np.zeros(paths), 0.0)
    solver.set_integration_parameters(first_step=DT, max_step=DT, min_step=DT / 10, atol=1e3, rtol=1e3)
    solver.compile_C()
    return {"jitcsde, 500 paths as one system": lambda: solver.integrate(solver.t + steps * DT)}


# --------------------------------------------------------------------------------- noise, threads, first answer


def _normals(repeats, count=2**20):
    """The kernel that fills blocks against NumPy's generators, then whole paths against the fill: T4."""
    from numba import njit

    import pdelab as pl
    from pdelab.kernels import noise

    @njit(nogil=True)
    def fill(z, words, groups):
        for k in range(groups):
            noise.fill_normals(z, words, 512, 1, 0, k, 0)

    @njit(nogil=True)
    def fill32(z, words, groups):
        for k in range(groups):
            noise.fill_normals32(z, words, 512, 1, 0, k, 0)

    words, wide, narrow = np.empty((2, 512), np.uint64), np.empty((2, 512)), np.empty((4, 512), np.float32)
    rng, out, out32 = np.random.Generator(np.random.SFC64(1)), np.empty(count), np.empty(count, np.float32)
    sde, steps = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), BETA), 1000

    def paths(dtype):
        common = {"paths": 100_000, "seed": 1, "threads": 1, "store": False, "dtype": dtype}
        return lambda: pl.simulate(sde, 0.0, steps * DT, DT, **common)

    contestants = {
        "pdelab": lambda: fill(wide, words, count // 1024),
        "numpy SFC64": lambda: rng.standard_normal(out=out),
        "pdelab, float32": lambda: fill32(narrow, words, count // 2048),
        "numpy SFC64, float32": lambda: rng.standard_normal(out=out32, dtype=np.float32),
        "whole paths": paths(np.float64),
        "whole paths, float32": paths(np.float32),
    }
    times = race(contestants, repeats)
    for name in ("whole paths", "whole paths, float32"):
        times[name] *= count / (100_000 * steps)
    rates = {name: count / milliseconds / 1e3 for name, milliseconds in times.items()}
    for suffix, aim in (("", 350), (", float32", 550)):
        problem, ours = f"normals{suffix or ', float64'}", times["pdelab" + suffix]
        for name, target in (("pdelab", None), ("numpy SFC64", 3.0)):
            name += suffix
            note = f"{rates[name]:.0f} M/s" + (f", aim {aim}" if target is None else "")
            missed = target is None and rates[name] < aim
            yield Row(problem, name, times[name], ratio=times[name] / ours, target=target, note=note, missed=missed)
        name = "whole paths" + suffix  # the part of the time of a path-step that is its normal number
        note = f"{rates[name]:.0f} M/s; ratio: fill over path-step"
        yield Row(problem, f"pdelab, {name}", times[name], ratio=ours / times[name], target=0.85, note=note)


def _orders(quick):
    """T5: what the schemes and the fast-slow system converge like; `error` is the distance from the order, in notes."""
    from pdelab.figures import homogenization, sde_orders

    strong = sde_orders.compute(**sde_orders.PARAMETERS | (sde_orders.QUICK if quick else {}))
    limit = homogenization.compute(**homogenization.PARAMETERS | (homogenization.QUICK if quick else {}))
    aims = {
        "euler_maruyama_strong": (strong, 0.5, 0.05),
        "milstein_strong": (strong, 1.0, 0.05),
        "derivative_free_milstein_strong": (strong, 1.0, 0.05),
        "sra1_additive": (strong, 1.5, 0.1),
        "rms_order": (limit, 0.5, 0.07),
        "bias_order": (limit, 1.0, 0.2),
    }
    for name, (numbers, order, band) in aims.items():
        problem = "homogenization, orders in epsilon" if numbers is limit else "strong orders in dt"
        note = f"order {numbers[name]:.3f}, aim {order:g} +- {band:g}"
        error = abs(numbers[name] - order)
        yield Row(problem, name.removesuffix("_order"), None, error=error, note=note, missed=error > band)
    order = _order_in_the_fast_step(10_000 if quick else 30_000)
    problem, error, note = "homogenization, order in dt/epsilon", abs(order - 1), f"order {order:.3f}, aim 1 +- 0.2"
    yield Row(problem, "bias, euler_maruyama", None, error=error, note=note, missed=error > 0.2)


def _order_in_the_fast_step(paths, gamma=0.2, epsilon=0.005):
    """Bias of the slow variable by Euler-Maruyama against Leimkuhler-Matthews at a small step, same noise."""
    import pdelab as pl

    sde, common = (
        pl.FastSlow(pl.losses.three_wells(), gamma, BETA, epsilon),
        {"paths": paths, "seed": 3, "store": False},
    )
    exact = pl.simulate(sde, 1.0, 0.5, 0.02 * epsilon, **common).final[:, 0].mean()
    ratios = np.array([0.08, 0.04, 0.02, 0.01])
    scheme = pl.paths.euler_maruyama
    means = [pl.simulate(sde, 1.0, 0.5, r * epsilon, scheme=scheme, **common).final[:, 0].mean() for r in ratios]
    return np.polyfit(np.log(ratios), np.log(np.abs(np.array(means) - exact)), 1)[0]


def _same_bits(paths=20_000, steps=100):
    """T6: how many states differ between threads, numbers of paths and pieces of a run, how many normals come twice."""
    import pdelab as pl
    from pdelab import noise

    sde = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), BETA)

    def states(threads=1, count=paths, save_every=10, **options):
        run = pl.simulate(
            sde, 0.0, steps * DT, DT, paths=count, seed=1, threads=threads, save_every=save_every, **options
        )
        return run.states[:: 10 // save_every]

    one, keep = states(), lambda t, x: None
    others = [states(2), states(3), states(count=777), states(save_every=1), states(2, on_save=keep)]
    different = sum(int((other != one[:, : other.shape[1]]).sum()) for other in others)
    z = noise.normals(1, 1000, 400)
    different += z.size - len(np.unique(z))
    name = "threads, paths, pieces, no noise used twice"
    return Row("same bits", name, None, error=different, note="aim 0", missed=different > 0)


def _memory(steps):
    """Peak memory of a process that runs 10^6 paths with statistics at 100 times, two threads; the aim is 300 MB."""
    code = (
        "import pdelab as pl, time\n"
        "sde = pl.Langevin(pl.Loss('x**4/4 - x**2/2'), 4.0)\n"
        "start = time.perf_counter()\n"
        f"run = pl.simulate(sde, 0.0, {steps} * 0.01, 0.01, paths=10**6, seed=1, threads=2, store=False,\n"
        f"                  save_every={steps // 100}, histogram=pl.Grid(-3, 3, 301), exit=(-2, 2))\n"
        "assert run.mean.shape == (101,)\n"
        "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')][0]\n"
        "print(time.perf_counter() - start, int(peak.split()[1]) / 1024)\n"
    )
    if not os.path.exists("/proc/self/status"):
        return Row(f"memory, 10^6 paths x {steps} steps", "pdelab", None, note="skipped: reads /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, peak = (float(number) for number in done.stdout.split())
    note = f"peak {peak:.0f} MB of the whole process; ratio: 300 MB over it; wall time"
    return Row(f"memory, 10^6 paths x {steps} steps", "pdelab", 1e3 * seconds, ratio=300 / peak, target=1, note=note)


def _threads(steps, repeats, paths=200_000):
    """Wall time with one thread and with two, the least of several: it needs a moment of two idle cores."""
    import pdelab as pl

    sde = pl.Langevin(pl.Loss("x**4/4 - x**2/2"), BETA)
    times = {1: [], 2: []}
    for k in range(repeats + 1):
        for threads, milliseconds in times.items():
            start = time.perf_counter()
            pl.simulate(sde, 0.0, steps * DT, DT, paths=paths, seed=1, threads=threads, store=False)
            if k > 0:
                milliseconds.append(1e3 * (time.perf_counter() - start))
    one, two = (min(milliseconds) for milliseconds in times.values())
    note = f"load of the machine {os.getloadavg()[0]:.1f}: the ratio needs two idle cores"
    yield Row("threads (wall time)", "pdelab, 2 threads", two, ratio=1.0, note=note)
    yield Row("threads (wall time)", "pdelab, 1 thread", one, ratio=one / two, target=1.7)


def _first_answer():
    """CPU time of a second process from its start to the answer of a small simulation."""
    code = (
        "import pdelab as pl, os\n"
        "sde = pl.Langevin(pl.Loss('x**4/4 - x**2/2'), 4.0)\n"
        "pl.simulate(sde, 0.0, 1.0, 0.01, paths=1000, seed=1)\n"
        "print(sum(os.times()[:2]))\n"
    )
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    milliseconds = 1e3 * min(seconds[1:])
    note, missed = "below 2000 is the aim", milliseconds >= 2000
    return Row("first answer of a process", "pdelab", milliseconds, note=note, missed=missed)
