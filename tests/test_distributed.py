"""Replicas as ranks of torch.distributed and stacked in one process: the same bits, one collective a loop."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this torch has no distributed package", allow_module_level=True)

import networks_ranks as ranks_module  # noqa: E402

from pdelab.networks import Parle, join, split_indices, stacked  # noqa: E402
from pdelab.networks.devices import generic  # noqa: E402
from pdelab.networks.optimizers.communication import REDUCTIONS, Communicator  # noqa: E402

SCRIPT = Path(__file__).parent / "networks_ranks.py"
CASES = list(ranks_module.CASES)


def environment(**more):
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "GLOO_SOCKET_IFNAME": "lo"} | more


@pytest.fixture(scope="module", params=[pytest.param(3, marks=pytest.mark.slow)])
def trained(request, tmp_path_factory):
    """What each rank found, under torchrun."""
    folder, n = tmp_path_factory.mktemp("ranks"), request.param
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(n),
        str(SCRIPT),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{n}-{rank}.pt", weights_only=True) for rank in range(n)]


@pytest.mark.parametrize("case", CASES)
def test_ranks_equal_stacked_replicas_bit_for_bit(trained, case):
    n = len(trained)
    stack = ranks_module.run(case, n, range(n))
    assert stack["steps"] > 2
    for rank, report in enumerate(trained):
        for moment in ("start", "end", "later", "resumed"):
            for weights in ("inner", "outer"):
                got, expected = report[case][moment][weights][0], stack[moment][weights][rank]
                assert torch.equal(got, expected), f"rank {rank}, {moment}, {weights}"
        assert torch.equal(report[case]["later"]["inner"][0], report[case]["resumed"]["inner"][0])
    outer = [report[case]["end"]["outer"][0] for report in trained]
    assert all(torch.equal(outer[0], other) for other in outer)
    assert not torch.equal(*[report[case]["end"]["inner"][0] for report in trained[:2]])


@pytest.mark.parametrize("case", CASES)
def test_every_replica_starts_at_the_first_ones_weights(trained, case):
    first = ranks_module.vector(ranks_module.network(ranks_module.CASES[case][0], seed=10))
    assert all(torch.equal(report[case]["start"]["inner"][0], first) for report in trained)


@pytest.mark.parametrize("case", CASES)
def test_one_collective_a_loop(trained, case):
    """One broadcast at first, then one all-reduce of the flat buffer a loop (two in the official variant of Parle)."""
    n = len(trained)
    dtype = ranks_module.CASES[case][0]
    net = ranks_module.network(dtype, 0)
    numbers = sum(p.numel() for p in net.parameters())
    columns = sum(-(-p.numel() // 64) * 64 for p in net.parameters()) + 64  # and who had a gradient
    per_loop = 2 if case == "parle official" else 1
    for report in trained:
        calls = per_loop * report[case]["steps"]
        assert report[case]["collectives"] == 1 + calls
        assert report[case]["bytes"] == columns * dtype.itemsize * (1 + calls)
        assert report[case]["numbers"] == 2 * n * numbers * calls


def test_several_replicas_on_every_rank(trained):
    """Two on each: the bits of all of them stacked, for rows of one number and of types that NumPy lacks too."""
    n = 2 * len(trained)
    for k, (reduction, dtype, size) in enumerate(ranks_module.MEANS):
        stack = Communicator(n, reduction=reduction).mean(ranks_module.several(n, dtype, size))
        assert all(torch.equal(report["means"][k], stack) for report in trained), (reduction, dtype, size)
        backwards = ranks_module.several(n, dtype, size).flip(0)
        if (reduction, dtype, size) == ("ordered", torch.float64, 1000):  # the order matters, and is kept
            assert not torch.equal(Communicator(n, reduction=reduction).mean(backwards), stack)


def test_data_parallel_ranks_are_one_process(trained):
    """Equal noise and averaged gradients: all ranks agree bit for bit, and with one process to rounding."""
    single = ranks_module.data_parallel(0, 1)
    for report in trained:
        for weights in ("inner", "outer"):
            assert torch.equal(report["data parallel"][weights][0], trained[0]["data parallel"][weights][0])
            assert torch.allclose(report["data parallel"][weights][0], single[weights][0], rtol=0, atol=1e-12)


def test_a_lost_rank_is_said_clearly():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = []
    for rank in range(2):
        env = environment(
            RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port, LOCAL_RANK=str(rank)
        )
        ranks.append(
            subprocess.Popen([sys.executable, str(SCRIPT), "lost"], stdout=subprocess.PIPE, text=True, env=env)
        )
    said = ranks[0].communicate(timeout=120)[0]
    ranks[1].communicate(timeout=120)
    assert "rank 0 of 2 lost contact with the others" in said and "from the last checkpoint" in said


def test_ranks_that_do_not_come_are_said_clearly(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match="rank 0 could not reach the other 1 within 1 s: start all ranks again"):
        join(timeout_seconds=1.0)


def test_stacked_means_are_the_ranks_means():
    """float32 sums in float64, rounded once: no order of the sum changes a bit; "native" does depend on it."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(5, 4000, generator=generator) * torch.logspace(-6, 6, 4000)
    exact, native, ordered = (Communicator(5, reduction=r) for r in ("exact", "native", "ordered"))
    expected = np.array([np.float32(sum(map(float, column)) / 5) for column in rows.T])
    assert (exact.mean(rows).numpy() == expected).all()
    assert torch.equal(exact.mean(rows), exact.mean(rows.flip(0)))
    assert torch.equal(exact.mean(rows), ordered.mean(rows))
    assert not torch.equal(native.mean(rows), native.mean(rows.flip(0)))
    assert torch.allclose(native.mean(rows), exact.mean(rows), rtol=1e-5, atol=1e-5 * rows.abs().max().item())
    assert ordered.numbers == 2 * 5 * 4000 and ordered.collectives == ordered.bytes == 0


@pytest.mark.parametrize("branch", [False, True], ids=["kernel", "generic"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_mean_leaves_the_rows_alone_on_both_branches(reduction, dtype, branch):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 200, generator=generator).to(dtype)
    before = rows.clone()
    with generic(branch):
        mean = Communicator(3, reduction=reduction).mean(rows)
    assert torch.equal(rows, before)
    expected = rows.double().mean(0)
    assert torch.allclose(mean.double(), expected, rtol=0, atol=4 * torch.finfo(dtype).eps)
    if reduction != "native":
        assert torch.equal(mean, Communicator(3, reduction=reduction).mean(rows))


@pytest.mark.parametrize(
    "count, replicas, share", [(120, 3, 0.5), (100, 6, 0.25), (10, 3, None), (7, 7, None), (9, 2, 1.0), (10, 3, 0.34)]
)
def test_split_data_covers_everything_in_equal_parts(count, replicas, share):
    parts = split_indices(count, replicas, share, seed=4)
    sizes = {len(part) for part in parts}
    assert len(parts) == replicas and len(sizes) == 1
    assert all(len(set(part)) == len(part) for part in parts)
    assert set(np.concatenate(parts)) == set(range(count))
    if share:
        assert sizes == {max(round(share * count), -(-count // replicas))}
    assert all((a == b).all() for a, b in zip(parts, split_indices(count, replicas, share, seed=4)))


def test_split_data_refuses_parts_that_cannot_cover():
    for share in (0.3, 0.0, 1.5, -1.0, np.nan):
        with pytest.raises(ValueError, match="share: expected a number in"):
            split_indices(100, 3, share)


def test_ranks_that_have_not_joined_are_warned(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.warns(UserWarning, match="WORLD_SIZE is 2, but there is no process group.*call pdelab.networks.join"):
        Parle(ranks_module.network(torch.float32, 0).parameters())


def test_a_gradient_of_one_rank_moves_the_master_of_all(trained):
    """A layer unused on all ranks stays exactly, one used on rank 0 alone moves there and in the master."""
    start, first = ranks_module.partial(0, 1)["start"], trained[0]["partial"]
    for report in trained:
        own = report["partial"]
        assert torch.equal(own["master"], first["master"]) and own["group"]
        for k in (4, 5):  # of no rank
            assert torch.equal(own["inner"][k], start[k]) and torch.equal(own["outer"][k], start[k])
        for k in (2, 3):  # of rank 0
            assert not torch.equal(own["outer"][k], start[k])
            assert torch.equal(own["inner"][k], start[k]) == (own is not first)


@pytest.mark.parametrize("name", ranks_module.SHARDED)
def test_shards_are_one_process(trained, name):
    """FSDP2, uneven shards: the noise of the whole network, and states that load back."""
    single = ranks_module.sharded(name, 1)
    assert torch.equal(single["end"], single["resumed"])
    for report in trained:
        own = report["sharded"][name]
        assert torch.equal(own["end"], own["resumed"])
        assert torch.allclose(own["end"], single["end"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name, what", ranks_module.SPOILT)
def test_what_is_not_finite_on_one_shard_is_refused_by_all_ranks(trained, name, what):
    """With the same clock afterwards: none waits for another, and nobody has moved."""
    for report in trained:
        own = report["spoilt"][name, what]
        assert "not finite" in own["said"] or "the loss is inf" in own["said"]
        assert ("on another rank" in own["said"]) == (report is not trained[-1])
        assert own["clock"] == trained[0]["spoilt"][name, what]["clock"]
        assert own["kept"] == [True]


def test_alone_there_is_nothing_to_join(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert join() is None
    nets = [ranks_module.network(torch.float32, seed) for seed in (0, 1)]
    assert [id(p) for p in stacked(nets)] == [id(p) for net in nets for p in net.parameters()]
