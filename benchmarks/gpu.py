"""A GPU: first whether its numbers are right, then optimizers, training steps, spectra and slices; by the wall.

`error` is the largest deviation from the same computation on the CPU, in float64; noise itself must be the CPU's bit
for bit, and no time is taken before all of that holds. An inner update of Entropy-SGD reads 20 bytes a weight and
writes 12: the limit is that at the bandwidth of a copy. Aims: with noise at most 1.25 times as long as torch's fused
SGD at 11 and 36 million weights and half as long at LeNet's size, three quarters of the limit's speed at 36 million.
A training step is forward, backward and update at a batch of 128 random images; "recorded" has all of a loop in one
CUDA graph. Milliseconds are medians by the wall, the device waited for before and after so many calls that they take
20 ms.
"""

import statistics
import time

import numpy as np

from benchmarks.harness import BATCH, Row
from benchmarks.optimizers import NETWORKS, weights

WIDE = [(16, 3, 3, 3), (160, 16, 3, 3), (160, 16, 1, 1), *[(160, 160, 3, 3)] * 7, (320, 160, 3, 3), (320, 160, 1, 1),
        *[(320, 320, 3, 3)] * 7, (640, 320, 3, 3), (640, 320, 1, 1), *[(640, 640, 3, 3)] * 7, *[(160,)] * 16,
        *[(320,)] * 16, *[(640,)] * 16, (10, 640), (10,)]  # fmt: skip
SHAPES = {"LeNet": NETWORKS["LeNet"], "ResNet-18": NETWORKS["ResNet-18"], "WRN-28-10": WIDE}
LOOP = {"inner_steps": 10**6, "gamma": 100.0, "weight_decay": 1e-4}
SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4, "fused": True}
EXACT = 1e-12  # float64 on two machines: sums in another order


def missing():
    """Why this benchmark cannot run here, or None."""
    import torch

    return None if torch.cuda.is_available() else "gpu needs a GPU that torch can use, and there is none here"


def rows(quick=False, device="cuda", engine="auto"):
    """One problem after the other. On the CPU, for the test of this file, only the smallest of each."""
    import torch

    device = torch.device(device)
    small, repeats = device.type == "cpu", 3 if quick else 7
    yield from correctness(device, engine)
    bandwidth = yield from copies(device, 1 << (14 if small else 28), repeats)
    for name in ("LeNet",) if small or quick else SHAPES:
        yield from inner_updates(name, device, engine, bandwidth, repeats)
    for model in ("mlp",) if small else ("lenet",) if quick else ("lenet", "allcnn", "wrn-16-4"):
        for precision in ("float32", "bfloat16"):
            yield from training_steps(model, precision, device, engine, repeats)
    yield from curvatures(device, small)
    yield from slices(device, 5 if small else 129)


# correctness


def correctness(device, engine):
    """Every optimizer against the CPU; raises RuntimeError where one is wrong, for then no time means anything."""
    import torch

    from pdelab.networks.optimizers.update import fill

    wrong = []
    for dtype in (torch.float32, torch.float64):
        here, there = (torch.empty(1 << 12, dtype=dtype, device=d) for d in ("cpu", device))
        for noise in (here, there):
            fill(noise, 5, (7, 1, 3 << 24))
        error = float((here - there.cpu()).abs().max())
        yield Row("correctness", f"noise, {str(dtype)[6:]}", None, error)
        wrong += [error] if error else []
    for name, build in contestants(engine).items():
        here = trajectory(build, torch.device("cpu"), "auto")
        error = float(np.abs(here - trajectory(build, device, engine)).max() / np.abs(here).max())
        yield Row("correctness", name, None, error)
        wrong += [error] if not error < EXACT else []
    error = recorded_error(device, engine)
    yield Row("correctness", "a recorded loop", None, error)
    if wrong or not error < EXACT:
        raise RuntimeError("the numbers of this device are not those of the CPU: nothing was timed")


def contestants(engine):
    """Every kind of optimizer as a function of parameters and an engine."""
    from pdelab.networks import HJ, SGLD, ElasticSGD, EntropySGD, Exponential, Heat, Parle, TrivializedSGD

    loop = {"inner_steps": 3, "gamma": Exponential(2.0, 0.1)}
    noisy = {"temperature": 1e-3, "seed": 7}
    return {
        "EntropySGD": lambda p, e: EntropySGD(p, outer_momentum=0.5, engine=e, **loop, **noisy),
        "HJ": lambda p, e: HJ(p, lr=0.2, engine=e, **loop),
        "Heat": lambda p, e: Heat(p, lr=0.05, inner_steps=3, gamma=1e-2, seed=7, engine=e),
        "SGLD": lambda p, e: SGLD(p, lr=0.05, engine=e, **noisy),
        "TrivializedSGD": lambda p, e: TrivializedSGD(p, lr=0.05, layers=4, coupling=0.01, seed=7, engine=e),
        "ElasticSGD": lambda p, e: ElasticSGD(p, lr=0.05, replicas=2, engine=e),
        "Parle": lambda p, e: Parle(p, lr=0.05, replicas=2, engine=e, **loop, **noisy),
    }


def two_networks(device):
    """Parameters of two small networks in float64."""
    import torch

    made = weights([(30, 40), (40,), (7, 11)] * 2)
    return [torch.nn.Parameter(p.detach().to(device, torch.float64)) for p in made]


def trajectory(build, device, engine, steps=8):
    """Where an optimizer comes to on a smooth loss."""
    params = two_networks(device)
    optimizer = build(params, engine)
    for k in range(steps):
        optimizer.zero_grad()
        slope(params, k).backward()
        optimizer.step()
    return np.concatenate([p.detach().cpu().numpy().ravel() for p in params])


def slope(params, k):
    """A loss whose gradient changes from step to step."""
    return sum((p**2).sum() + (3 * p + 0.1 * k).sin().sum() for p in params)


def recorded_error(device, engine):
    """Loops replayed against loops stepped through."""
    from pdelab.networks import EntropySGD, RecordedLoop
    from pdelab.networks.optimizers.recording import Again, CudaGraph

    kind, ends = CudaGraph if device.type == "cuda" else Again, []
    engine = "torch" if kind is Again and engine == "auto" else engine
    for recorded in (False, True):
        params = two_networks(device)
        optimizer = EntropySGD(params, inner_steps=3, gamma=2.0, temperature=1e-3, seed=7, engine=engine)
        loop = RecordedLoop(optimizer, lambda k, p=params: slope(p, k).backward(), kind)
        for _ in range(5):
            loop.run() if recorded else loop._ordinary()
        ends.append(np.concatenate([p.detach().cpu().numpy().ravel() for p in params]))
    return float(np.abs(ends[0] - ends[1]).max() / np.abs(ends[0]).max())


# times


def race(contestants, device, repeats):
    """Median milliseconds a call by the wall, {name: ms}; every one of them in each round."""
    import torch

    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def milliseconds(run, count):
        wait()
        start = time.perf_counter()
        for _ in range(count):
            run()
        wait()
        return 1e3 * (time.perf_counter() - start) / count

    least = BATCH if device.type == "cuda" else 0.0
    counts = {}
    for name, run in contestants.items():
        milliseconds(run, 3)
        counts[name] = max(1, int(least / max(milliseconds(run, 3), 1e-3)))
    times = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            times[name].append(milliseconds(run, counts[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def copies(device, count, repeats):
    """The bandwidth of a copy, and whose it is; returned in bytes a millisecond."""
    import torch

    source, target = (torch.zeros(count, device=device) for _ in range(2))
    milliseconds = race({"copy": lambda: target.copy_(source)}, device, repeats)["copy"]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    bandwidth = 8 * count / milliseconds
    yield Row(f"copy of {4 * count / 1e6:.0f} MB", name, milliseconds, None, None, None, f"{bandwidth / 1e9:.2f} TB/s")
    return bandwidth


def compare(problem, times, targets=()):
    """Rows with ratios against pdelab."""
    targets = dict(targets)
    for name, milliseconds in times.items():
        yield Row(problem, name, milliseconds, None, milliseconds / times["pdelab"], targets.get(name))


def inner_updates(name, device, engine, bandwidth, repeats):
    """Entropy-SGD with noise against torch's fused optimizers and the memory's limit."""
    import torch

    from pdelab.networks import SGLD, EntropySGD

    def made():
        params = [torch.nn.Parameter(p.detach().to(device)) for p in weights(SHAPES[name])]
        for p in params:
            p.grad = torch.full_like(p, 0.01)
        return params

    times = race(
        {
            "pdelab": EntropySGD(made(), temperature=1e-5, engine=engine, **LOOP).step,
            "pdelab, no noise": EntropySGD(made(), engine=engine, **LOOP).step,
            "pdelab SGLD": SGLD(made(), lr=0.1, temperature=1e-5, engine=engine).step,
            "torch SGD, fused": torch.optim.SGD(made(), **SGD).step,
            "torch AdamW, fused": torch.optim.AdamW(made(), fused=True).step,
        },
        device,
        repeats,
    )
    size = sum(int(np.prod(shape)) for shape in SHAPES[name])
    times["memory's limit"] = 32 * size / bandwidth
    targets = {"torch SGD, fused": 2.0 if name == "LeNet" else 0.8}
    targets |= {"memory's limit": 0.75} if name == "WRN-28-10" else {}
    yield from compare(f"inner update, {name}", times, targets)


def training_steps(model, precision, device, engine, repeats, length=10):
    """Forward, backward and update; of ten at once where they are recorded."""
    import torch

    from pdelab.networks import EntropySGD, RecordedLoop, models
    from pdelab.networks.optimizers.recording import Again, CudaGraph

    side, channels = {"mlp": (8, 1), "lenet": (28, 1)}.get(model, (32, 3))
    batch = 128 if device.type == "cuda" else 8
    shape = (batch, side * side) if model == "mlp" else (batch, channels, side, side)
    inputs, labels = torch.randn(shape, device=device), torch.randint(0, 10, (batch,), device=device)

    def gradients(recorded=False):
        network = models.build(model).to(device)

        def gradient(k=None):
            half = precision == "bfloat16"
            with torch.autocast(device.type, torch.bfloat16, enabled=half, cache_enabled=not recorded):
                loss = torch.nn.functional.cross_entropy(network(inputs), labels)
            loss.backward()

        return network, gradient

    def stepper(build):
        network, gradient = gradients()
        optimizer = build(network.parameters())

        def step():
            optimizer.zero_grad()
            gradient()
            optimizer.step()

        return step

    kind = CudaGraph if device.type == "cuda" else Again
    settings = {"inner_steps": length, "gamma": 100.0, "temperature": 1e-5}
    network, gradient = gradients(recorded=True)
    on_device = "torch" if kind is Again and engine == "auto" else engine
    loop = RecordedLoop(EntropySGD(network.parameters(), engine=on_device, **settings), gradient, kind)
    for _ in range(3):
        loop.run()
    times = race(
        {
            "pdelab": stepper(lambda p: EntropySGD(p, engine=engine, **settings)),
            "torch SGD, fused": stepper(lambda p: torch.optim.SGD(p, **SGD)),
            "pdelab, recorded": loop.run,
        },
        device,
        repeats,
    )
    times["pdelab, recorded"] /= length
    yield from compare(f"training step, {model}, {precision}", times)


def curvatures(device, small):
    """The ends of the Hessian's spectrum and the spectrum of D(x) of the digits network, against the CPU."""
    import torch

    from pdelab.networks.curvature import Hessian, extreme_eigenvalues, gradient_noise

    def ends(where):
        return extreme_eigenvalues(Hessian(digits(where, small)), 3)[0]

    def noise(where):
        return gradient_noise(digits(where, small)).eigenvalues

    for name, function in (("Hessian, three at each end", ends), ("D(x), all of it", noise)):
        values = {}
        for where in dict.fromkeys((device, torch.device("cpu"))):
            start = time.perf_counter()
            values[where] = np.asarray(function(where))
            milliseconds = 1e3 * (time.perf_counter() - start)
            reference = values[device]
            error = np.abs(values[where][: len(reference)] - reference).max() / np.abs(reference).max()
            yield Row(f"spectra, {name}", str(where), milliseconds, float(error))


def slices(device, nodes):
    """The digits network's loss, gradient and Hessian on the nodes of a plane, against the CPU."""
    import torch

    from pdelab.networks.bridge import random_directions, restrict

    axis = np.linspace(-1, 1, nodes)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    values = {}
    for where in dict.fromkeys((device, torch.device("cpu"))):
        objective = digits(where, nodes < 9)
        plane = restrict(objective, random_directions(objective, 2))
        plane.loss(points[:2, :2])
        start = time.perf_counter()
        values[where] = plane.loss(points)
        milliseconds = 1e3 * (time.perf_counter() - start)
        error = float(np.abs(values[where] - values[device]).max())
        yield Row(f"plane of {nodes} x {nodes} nodes, value", str(where), milliseconds, error)


def digits(device, small):
    """The digits network in float64, on some or all of its training images."""
    import torch

    from pdelab.networks import data, models
    from pdelab.networks.curvature import Objective

    torch.manual_seed(0)
    loaded = data.load("digits")
    network = models.build("mlp", loaded, hidden=(4,) if small else (32,)).to(device)
    return Objective(network, loaded.train, samples=40 if small else None)
