"""The optimizers' arithmetic: inner updates, thermal noise, a whole training step, the collective of replicas.

Three shapes of network: 12 tensors with 3,600 weights, LeNet's 14 with 132,220, ResNet-18's 62 with 11.2 million; all
in float32 on one core. `loop` is the authors' way, one tensor after the other with the same operations. An inner update
without noise has to read 20 bytes a weight and to write 12: the bare loop does that and next to nothing else. Aims: an
inner update of Entropy-SGD at least 8, 2.5 and 3.5 times as fast as the loop; with noise 2.5 times on the largest; a
training step of a small network at most 10 % over flat SGD with Nesterov momentum and no slower than torch's fused SGD;
a step of SGLD 3 times as fast as posteriors' and no slower than torch-sgld's; one collective 4 times as fast as the
authors' four a tensor. Collectives are timed in wall time on rank 0 of two and three processes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

from benchmarks.harness import Row, peer, race

NETWORKS = {
    "toy": [(24, 24), (24,)] * 6,
    "LeNet": [
        (20, 1, 5, 5), (20,), (20,), (20,), (50, 20, 5, 5), (50,), (50,), (50,), (200, 500), (500,), (500,), (500,),
        (500, 10), (10,),
    ],
    "ResNet-18": [
        (64, 3, 3, 3), *[(64, 64, 3, 3)] * 4, (128, 64, 3, 3), *[(128, 128, 3, 3)] * 3, (128, 64, 1, 1),
        (256, 128, 3, 3), *[(256, 256, 3, 3)] * 3, (256, 128, 1, 1), (512, 256, 3, 3), *[(512, 512, 3, 3)] * 3,
        (512, 256, 1, 1), *[(64,)] * 10, *[(128,)] * 10, *[(256,)] * 10, *[(512,)] * 10, (10, 512), (10,),
    ],
}  # fmt: skip
LOOP = {"inner_steps": 10**6, "gamma": 100.0, "weight_decay": 1e-4}


def rows(quick=False):
    """One problem after the other, contestants interleaved."""
    import torch

    torch.set_num_threads(1)
    names = ("toy", "LeNet") if quick else tuple(NETWORKS)
    repeats = 3 if quick else 9
    for name in names:
        yield from inner_updates(name, repeats)
    for name in names[-1:]:
        yield from noisy_updates(name, repeats)
    yield from training_steps(repeats)
    yield from langevin_steps(repeats)
    for ranks in (2,) if quick else (2, 3):
        yield from collectives(ranks, names[-1:] if quick else ("LeNet", "ResNet-18"))
    yield from traffic()


def weights(shapes, seed=0):
    """Parameters with gradients."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    made = [torch.nn.Parameter(0.1 * torch.randn(shape, generator=generator)) for shape in shapes]
    for p in made:
        p.grad = 0.01 * torch.randn(p.shape, generator=generator)
    return made


def loop_optimizer(params, deviation=0.0):
    """Entropy-SGD's inner update as the authors' code does it, tensor by tensor, in a torch optimizer."""
    import torch

    class Loop(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})
            self.x, self.z, self.m = (
                [torch.zeros_like(p) if zero else p.detach().clone() for p in params] for zero in (False, False, True)
            )

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p, x, z, m in zip(group["params"], self.x, self.z, self.m):
                    d = p.grad.add(p, alpha=1e-4)
                    m.mul_(0.9).add_(d)
                    d.add_(m, alpha=0.9)
                    d.add_(p - x, alpha=0.01)
                    p.add_(d, alpha=-group["lr"])
                    if deviation:
                        p.add_(torch.randn_like(p), alpha=deviation)
                    z.mul_(0.25).add_(p, alpha=0.75)

    return Loop(params)


def compare(problem, contestants, repeats, targets, errors=None):
    """Rows of a race, ratios against pdelab."""
    times = race(contestants, repeats)
    for name, milliseconds in times.items():
        ratio = milliseconds / times["pdelab"]
        error = (errors or {}).get(name)
        yield Row(problem, name, milliseconds, error, ratio, targets.get(name))


def inner_updates(name, repeats):
    """Entropy-SGD's inner update without noise against the loop; torch's SGD optimizers for scale."""
    import torch

    from pdelab.networks import EntropySGD

    shapes = NETWORKS[name]
    ours, theirs = weights(shapes), weights(shapes)
    entropy, loop = EntropySGD(ours, **LOOP), loop_optimizer(theirs)
    for _ in range(5):
        entropy.step()
        loop.step()
    error = max(float((a - b).detach().abs().max()) for a, b in zip(ours, theirs))
    sgd = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
    contestants = {
        "pdelab": entropy.step,
        "loop": loop.step,
        "pdelab, engine torch": EntropySGD(weights(shapes), engine="torch", **LOOP).step,
        "bare loop over the same bytes": bare_loop(sum(p.numel() for p in ours)),
        "torch SGD, loop": torch.optim.SGD(weights(shapes), foreach=False, **sgd).step,
        "torch SGD, fused": torch.optim.SGD(weights(shapes), fused=True, **sgd).step,
    }
    targets = {"loop": {"toy": 8.0, "LeNet": 2.5, "ResNet-18": 3.5}[name]}
    yield from compare(f"inner update, {name}", contestants, repeats, targets, {"loop": error})


def bare_loop(count):
    """The memory's limit: five vectors read and three of them written in one pass, with next to no arithmetic."""
    import numpy as np
    from numba import njit

    @njit(nogil=True, error_model="numpy")
    def touch(g, y, x, z, m):
        for i in range(g.size):
            m[i] += g[i]
            y[i] += x[i]
            z[i] += g[i]

    vectors = [np.zeros(count, np.float32) for _ in range(5)]
    return lambda: touch(*vectors)


def noisy_updates(name, repeats):
    """The same with thermal noise, and SGLD."""
    from pdelab.networks import SGLD, EntropySGD

    shapes = NETWORKS[name]
    contestants = {
        "pdelab": EntropySGD(weights(shapes), temperature=1e-5, **LOOP).step,
        "loop": loop_optimizer(weights(shapes), (2 * 0.1 * 1e-5) ** 0.5).step,
        "pdelab SGLD": SGLD(weights(shapes), lr=0.1, temperature=1e-5).step,
    }
    yield from compare(f"noisy inner update, {name}", contestants, repeats, {"loop": 2.5})


def small_network():
    """The 64-32-10 network of the digits and a batch of 64."""
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    return net, torch.randn(64, 64), torch.randint(0, 10, (64,))


def training_step(build):
    """A callable that takes one training step."""
    import torch

    net, inputs, labels = small_network()
    optimizer = build(net)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()

    return step


def flat_sgd(net):
    """SGD with Nesterov momentum on one flat buffer, as short as it gets."""
    import torch

    params = list(net.parameters())
    flat = torch.cat([p.detach().reshape(-1) for p in params])
    grads, buffer = torch.zeros_like(flat), torch.zeros_like(flat)
    offset = 0
    for p in params:
        p.data = flat[offset : offset + p.numel()].view_as(p)
        p.grad = grads[offset : offset + p.numel()].view_as(p)
        offset += p.numel()

    class Flat:
        def zero_grad(self):
            grads.zero_()

        @torch.no_grad()
        def step(self):
            buffer.mul_(0.9).add_(grads)
            flat.add_(grads, alpha=-0.1).add_(buffer, alpha=-0.09)

    return Flat()


def training_steps(repeats):
    """Forward, backward and update of the small network."""
    import torch

    from pdelab.networks import EntropySGD, Parle

    sgd = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    contestants = {
        "pdelab": training_step(lambda net: EntropySGD(net.parameters(), inner_steps=20, gamma=100.0)),
        "flat SGD": training_step(flat_sgd),
        "torch SGD, fused": training_step(lambda net: torch.optim.SGD(net.parameters(), fused=True, **sgd)),
        "torch SGD": training_step(lambda net: torch.optim.SGD(net.parameters(), **sgd)),
        "pdelab Parle": training_step(lambda net: Parle(net.parameters())),
    }
    targets = {"flat SGD": 1 / 1.1, "torch SGD, fused": 1.0}
    yield from compare("training step, 64-32-10, batch 64", contestants, 3 * repeats, targets)


def langevin_steps(repeats):
    """A step of SGLD with its gradient on the small network."""
    from pdelab.networks import SGLD

    contestants = {"pdelab": training_step(lambda net: SGLD(net.parameters(), lr=1e-3, temperature=1e-4))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of posteriors' imports
        torch_sgld, posteriors = peer("torch-sgld", "torch_sgld"), peer("posteriors")
    if torch_sgld:
        contestants["torch-sgld"] = training_step(
            lambda net: torch_sgld.SGLD(net.parameters(), lr=1e-3, temperature=1e-4)
        )
    if posteriors:
        contestants["posteriors"] = posteriors_step(posteriors)
    targets = {"torch-sgld": 1.0, "posteriors": 3.0}
    yield from compare("SGLD step, 64-32-10, batch 64", contestants, 3 * repeats, targets)


def posteriors_step(posteriors):
    """posteriors' SGLD on the small network, in place."""
    import torch

    net, inputs, labels = small_network()

    def log_posterior(params, batch):
        logits = torch.func.functional_call(net, params, (batch[0],))
        return -torch.nn.functional.cross_entropy(logits, batch[1]), torch.tensor([])

    transform = posteriors.sgmcmc.sgld.build(log_posterior, lr=1e-3, temperature=1e-4)
    state = [transform.init({name: p.detach().clone() for name, p in net.named_parameters()})]

    def step():
        state[0], _ = transform.update(state[0], (inputs, labels), inplace=True)

    return step


# communication


def collectives(ranks, names):
    """One collective of the flat buffer against one a tensor and the authors' four a tensor, wall time."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(__file__).resolve().parents[1]
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        command += ["-m", "benchmarks.optimizers", folder, *names]
        env = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        subprocess.run([sys.executable, *command], check=True, env=env, cwd=root, stderr=subprocess.DEVNULL)
        medians = json.loads((Path(folder) / "sync.json").read_text())
    for name, times in medians.items():
        disagreement = times.pop("disagreement")
        for who, milliseconds in times.items():
            ratio = milliseconds / times["pdelab"]
            target = 4.0 if who == "reduce and broadcast twice a tensor" else None
            error = disagreement if who == "pdelab" else None
            yield Row(f"mean of {ranks} ranks, {name}", who, milliseconds, error, ratio, target, "wall time")


def measure_collectives(folder, names):
    """What a rank does: time the patterns in turn; rank 0 writes the medians."""
    import torch
    import torch.distributed as dist

    from pdelab.networks import join
    from pdelab.networks.optimizers.communication import Communicator

    torch.set_num_threads(1)
    group = join()
    medians = {}
    for name in names:
        tensors = [p.detach() for p in weights(NETWORKS[name], seed=dist.get_rank())]
        flat = torch.cat([t.reshape(-1) for t in tensors])[None]
        out = torch.empty_like(flat[0])  # kept by the optimizers too
        exact, native = Communicator(1, group), Communicator(1, group, "native")
        contestants = {
            "pdelab": lambda c=exact, f=flat, o=out: c.mean(f, out=o),
            "pdelab, native": lambda c=native, f=flat, o=out: c.mean(f, out=o),
            "all-reduce a tensor": lambda ts=tensors: [dist.all_reduce(t.clone()) for t in ts],
            "reduce and broadcast twice a tensor": lambda ts=tensors: four_collectives(dist, ts),
        }
        times = {who: [] for who in contestants}
        for _ in range(9):
            for who, run in contestants.items():
                dist.barrier()
                start = time.perf_counter()
                run()
                times[who].append(1e3 * (time.perf_counter() - start))
        mean = exact.mean(flat)
        everyone = [torch.empty_like(mean) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, mean)
        medians[name] = {who: median(values[1:]) for who, values in times.items()}
        medians[name]["disagreement"] = max(float((other - mean).abs().max()) for other in everyone)
    if dist.get_rank() == 0:
        (Path(folder) / "sync.json").write_text(json.dumps(medians))
    dist.destroy_process_group()


def four_collectives(dist, tensors):
    """The authors' synchronisation: for the z's and again for the x's, reduce to rank 0 and broadcast, each tensor."""
    for _ in range(2):
        for t in tensors:
            copy = t.clone()
            dist.reduce(copy, 0)
            dist.broadcast(copy, 0)


def traffic(n=3, L=25):
    """Bytes a rank hands to collectives for each gradient, LeNet in float32: counted, not timed."""
    from pdelab.networks import Parle

    params = [p for a in range(n) for p in weights(NETWORKS["LeNet"], seed=a)]
    optimizer = Parle(params, replicas=n, inner_steps=L)
    for _ in range(L):
        optimizer.step()
    numbers = optimizer.communicator.numbers / (2 * n)  # sent by each replica in this loop
    patterns = {
        "pdelab Parle": 4 * numbers / L,
        "authors' Parle": 4 * 4 * numbers / L,
        "Elastic-SGD, period 1": 4 * numbers,
        "data-parallel SGD": 4 * numbers,
    }
    for name, size in patterns.items():
        ratio = size / patterns["pdelab Parle"]
        yield Row("traffic a gradient, LeNet", name, None, None, ratio, None, f"{size / 1e3:.1f} kB a rank")


if __name__ == "__main__":
    measure_collectives(sys.argv[1], sys.argv[2:])
