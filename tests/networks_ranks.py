"""What every rank runs in tests/test_distributed.py; the test runs the same functions with stacked replicas.

torchrun --nproc-per-node N tests/networks_ranks.py FOLDER
"""

import copy
import io
import os
import sys
from pathlib import Path

import torch

from pdelab.networks import (
    HJ,
    SGLD,
    DiLoCo,
    ElasticSGD,
    EntropyAdam,
    EntropySGD,
    Exponential,
    Heat,
    LocalEntropy,
    LocalSGD,
    Parle,
    Trivialized,
    TrivializedSGD,
    join,
    split_indices,
)
from pdelab.networks.optimizers.communication import Communicator

torch.set_num_threads(1)
STEPS = 13
LOOP = {"inner_lr": 0.05, "inner_steps": 4, "gamma": Exponential(2.0, 0.1), "rho": 0.7}


def adam(groups):
    return torch.optim.Adam(groups, lr=0.01)


CASES = {
    "parle": (torch.float32, lambda p, **k: Parle(p, temperature=1e-3, seed=5, **LOOP, **k)),
    "parle jacobi": (torch.float32, lambda p, **k: Parle(p, order="jacobi", master_lr=0.1, **LOOP, **k)),
    "parle official": (torch.float32, lambda p, **k: Parle(p, variant="official", **LOOP, **k)),
    "parle float64": (torch.float64, lambda p, **k: Parle(p, reduction="ordered", **LOOP, **k)),
    "parle float64 exact": (torch.float64, lambda p, **k: Parle(p, **LOOP, **k)),
    "parle foreach": (torch.float32, lambda p, **k: Parle(p, engine="foreach", **LOOP, **k)),
    "elastic": (torch.float32, lambda p, **k: ElasticSGD(p, rho=0.7, period=2, **k)),
    "elastic jacobi": (torch.float32, lambda p, **k: ElasticSGD(p, rho=0.7, order="jacobi", master_lr=0.05, **k)),
    "elastic official": (torch.float32, lambda p, **k: ElasticSGD(p, rho=0.7, period=3, variant="official", **k)),
    "diloco": (torch.float32, lambda p, **k: DiLoCo(p, adam, period=4, **k)),
    "local": (torch.float32, lambda p, **k: LocalSGD(p, adam, period=4, **k)),
}


def network(dtype, seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(12, 20), torch.nn.Tanh(), torch.nn.Linear(20, 20), torch.nn.Tanh(), torch.nn.Linear(20, 3)
    ).to(dtype)


def data(dtype):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(120, 12, generator=generator)
    return inputs.to(dtype), torch.randint(0, 3, (120,), generator=generator)


def feed(opt, nets, parts, steps):
    """Steps on each replica's own part of the data, one replica after the other."""
    inputs, labels = data(next(nets[0].parameters()).dtype)
    for k in steps:
        opt.zero_grad()
        for net, part in zip(nets, parts):
            batch = part[(k * 8 + torch.arange(8)) % len(part)]
            torch.nn.functional.cross_entropy(net(inputs[batch]), labels[batch]).backward()
        opt.step()


def vector(net):
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()])


def record(opt, nets):
    inner = [vector(net) for net in nets]
    with opt.outer_weights():
        return {"inner": inner, "outer": [vector(net) for net in nets]}


def parts(replicas):
    return [torch.as_tensor(part) for part in split_indices(120, replicas, 0.5, seed=3)]


def run(case, ranks, numbers, group=None):
    """Train the replicas `numbers` of `ranks`; every replica starts with weights of its own, the first one's win."""
    dtype, build = CASES[case]
    nets = [network(dtype, seed=10 + a) for a in numbers]
    own = [parts(ranks)[a] for a in numbers]
    opt = build([p for net in nets for p in net.parameters()], replicas=len(nets), group=group)
    start = record(opt, nets)
    feed(opt, nets, own, range(STEPS))
    report = {"start": start, "end": record(opt, nets), "steps": opt.outer_steps}
    communicator = opt.communicator
    report |= {"collectives": communicator.collectives, "bytes": communicator.bytes, "numbers": communicator.numbers}
    checkpoint = saved(opt.state_dict())
    feed(opt, nets, own, range(STEPS, STEPS + 5))
    report["later"] = record(opt, nets)
    fresh = [network(dtype, seed=99) for _ in numbers]
    other = build([p for net in fresh for p in net.parameters()], replicas=len(nets), group=group)
    other.load_state_dict(torch.load(checkpoint, weights_only=True))
    feed(other, fresh, own, range(STEPS, STEPS + 5))
    report["resumed"] = record(other, fresh)
    return report


def saved(state):
    memory = io.BytesIO()
    torch.save(state, memory)
    memory.seek(0)
    return memory


def data_parallel(rank, ranks):
    """Entropy-SGD under DistributedDataParallel: each rank has its share of every batch."""
    net = network(torch.float64, seed=4)
    wrapped = torch.nn.parallel.DistributedDataParallel(net) if ranks > 1 else net
    opt = EntropySGD(net.parameters(), inner_steps=3, inner_lr=0.05, temperature=1e-3, seed=2, gamma=5.0)
    inputs, labels = data(torch.float64)
    for k in range(8):
        batch = (12 * k + torch.arange(12)) % 120
        batch = batch[rank::ranks]
        opt.zero_grad()
        torch.nn.functional.cross_entropy(wrapped(inputs[batch]), labels[batch]).backward()
        opt.step()
    return record(opt, [net])


SHARDED = {
    "SGLD": lambda p: SGLD(p, lr=0.05, temperature=1e-2, seed=3),
    "EntropySGD": lambda p: EntropySGD(p, inner_steps=3, temperature=1e-3, seed=3, outer_momentum=0.5),
    "HJ": lambda p: HJ(p, inner_steps=3, outer_momentum=0.5),
    "Heat": lambda p: Heat(p, inner_steps=3, gamma=1e-3, seed=3),
    "LocalEntropy": lambda p: LocalEntropy(p, adam, inner_steps=3, temperature=1e-3, seed=3),
    "EntropyAdam": lambda p: EntropyAdam(p, lr=0.01, inner_steps=3, temperature=1e-3, seed=3),
    "Trivialized": lambda p: Trivialized(p, adam, layers=4, coupling=0.1, seed=3),
    "TrivializedSGD": lambda p: TrivializedSGD(p, layers=4, coupling=0.1, seed=3),
}


def sharded(name, ranks):
    """A network of fully_shard, all ranks with equal data: weights, and those of a run that was resumed on the way."""
    report = {}
    for seed, first in ((4, 0), (5, 5)):
        net = network(torch.float64, seed)
        if ranks > 1:
            from torch.distributed.fsdp import fully_shard

            fully_shard(net, mesh=torch.distributed.init_device_mesh("cpu", (ranks,)))
        opt = SHARDED[name](net.parameters())
        if first:
            opt.load_state_dict(report.pop("state"))
        inputs, labels = data(torch.float64)
        for k in range(first, 10):
            if k == 5 and not first:
                report["state"] = copy.deepcopy(opt.state_dict())
            opt.zero_grad()
            torch.nn.functional.cross_entropy(
                net(inputs[12 * k : 12 * k + 12]), labels[12 * k : 12 * k + 12]
            ).backward()
            opt.step()
        with opt.outer_weights():
            parts = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in net.parameters()]
            report["resumed" if first else "end"] = torch.cat([p.detach().reshape(-1) for p in parts])
    return report


def spoilt(name, rank, ranks, what):
    """The last rank's part of a gradient, or its loss, is not finite once: what every rank says and has afterwards."""
    from torch.distributed.fsdp import fully_shard

    net = network(torch.float64, 4)
    fully_shard(net, mesh=torch.distributed.init_device_mesh("cpu", (ranks,)))
    opt = SHARDED[name](net.parameters())
    inputs, labels = data(torch.float64)
    said, weights = None, []
    for k in range(5):
        before = [p.to_local().detach().clone() for p in net.parameters()]
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(inputs[12 * k : 12 * k + 12]), labels[12 * k : 12 * k + 12])
        loss.backward()
        bad = k == 3 and rank == ranks - 1
        if bad and what == "gradient":
            next(net.parameters()).grad.to_local()[-1:] = torch.nan
        value = loss.detach() * (torch.inf if bad and what == "loss" else 1.0)
        try:
            opt.step(lambda value=value: value)
        except ValueError as error:
            said = str(error)
            with opt.outer_weights():
                after = [p.to_local().detach().clone() for p in net.parameters()]
            weights = [all(torch.equal(a, b) for a, b in zip(before, after))]
    return {"said": said, "kept": weights, "clock": dict(opt.clock)}


def partial(rank, ranks):
    """Parle without `group`, where rank 0 uses two layers and the others only the first."""
    net = network(torch.float64, seed=4)
    start = [p.detach().clone() for p in net.parameters()]
    opt = Parle(net.parameters(), inner_steps=3, rho=0.5)
    inputs, labels = data(torch.float64)
    for _ in range(6):
        opt.zero_grad()
        hidden = net[1](net[0](inputs))
        (net[2](hidden) if rank == 0 else hidden).square().mean().backward()
        opt.step()
    report = {"start": start, "inner": [p.detach().clone() for p in net.parameters()]}
    with opt.outer_weights():
        report |= {"outer": [p.detach().clone() for p in net.parameters()], "master": vector(net)}
    return report | {"group": opt.communicator.ranks == ranks}


MEANS = [
    (reduction, dtype, size)
    for reduction, dtypes in {
        "exact": (torch.float32, torch.bfloat16),
        "ordered": (torch.float32, torch.float64),
    }.items()
    for dtype in dtypes
    for size in (1, 2, 65, 1000)
]


def several(replicas, dtype, size):
    """Rows of very different sizes, one a replica."""
    generator = torch.Generator().manual_seed(size)
    rows = torch.randn(replicas, size, generator=generator, dtype=torch.float64)
    return (rows * torch.logspace(-3, 3, replicas, dtype=torch.float64).flip(0)[:, None]).to(dtype)


def means(group, rank, ranks, local=2):
    """Means of several replicas on every rank."""
    averages = []
    for reduction, dtype, size in MEANS:
        rows = several(local * ranks, dtype, size)[local * rank : local * (rank + 1)]
        averages.append(Communicator(local, group, reduction).mean(rows.contiguous()))
    return averages


SPOILT = [(name, what) for name in ("SGLD", "EntropySGD", "EntropyAdam") for what in ("gradient", "loss")]


def main(folder):
    group = join(timeout_seconds=60.0)
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if folder == "lost":
        return lose(group, rank)
    reports = {case: run(case, ranks, [rank], group) for case in CASES}
    reports["means"] = means(group, rank, ranks)
    reports["sharded"] = {name: sharded(name, ranks) for name in SHARDED}
    reports["spoilt"] = {(name, what): spoilt(name, rank, ranks, what) for name, what in SPOILT}
    reports["partial"] = partial(rank, ranks)
    reports["data parallel"] = data_parallel(rank, ranks)
    torch.save(reports, Path(folder) / f"{ranks}-{rank}.pt")
    torch.distributed.destroy_process_group()
    return None


def lose(group, rank):
    """Rank 1 leaves after five steps; the others must say so."""
    net = network(torch.float32, 0)
    opt = Parle(net.parameters(), group=group, **LOOP)
    feed(opt, [net], parts(2)[rank : rank + 1], range(5))
    if rank == 1:
        os._exit(0)
    try:
        feed(opt, [net], parts(2)[rank : rank + 1], range(5, 13))
    except RuntimeError as error:
        print(error)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
