"""Loops that are recorded once and replayed: everything but a GPU's own recording runs on the CPU.

`Again` replays by calling what was recorded; numbers, ticks, gradients and clocks go the way they go on a GPU.
"""

import copy
import importlib
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs the extra "networks"')

from optimizers_shared import DEVICE, NAMES, SHAPES, build, parameters, problem, vector  # noqa: E402

from pdelab.networks import SGLD, EntropyAdam, EntropySGD, Exponential, Parle, RecordedLoop  # noqa: E402
from pdelab.networks.optimizers import gpu  # noqa: E402
from pdelab.networks.optimizers.recording import Again, CudaGraph  # noqa: E402

KIND = CudaGraph if DEVICE.type == "cuda" else Again
OVER_OTHERS = ("Entropy-Adam", "Trivialized Adam", "DiLoCo", "LocalSGD")
RECORDABLE = [name for name in NAMES if name not in OVER_OTHERS]


def loss(params, shift):
    """Smooth, and its gradient changes along the loop; the second tensor of each network is not in it."""
    total = 0.0
    for k, p in enumerate(params):
        if k % 3 != 1:
            total = total + (1 + k % 2) * (p - 0.3 * shift).square().sum() + torch.sin(3 * p + shift).sum()
    return total


def both(name, engine, dtype=torch.float64, **more):
    """The same optimizer twice, and functions that take one loop of each: stepwise and recorded."""
    x, _ = problem()
    sets = [parameters(x, dtype) + parameters(x, dtype) for _ in range(2)]
    plain, recorded = (build(name, params, engine=engine, **more) for params in sets)
    shifts = torch.linspace(0, 1, 8, dtype=dtype, device=DEVICE)

    def stepwise():
        for k in range(plain.loop_length()):
            plain.zero_grad()
            loss(sets[0], shifts[k]).backward()
            plain.step()

    loop = RecordedLoop(recorded, lambda k: loss(sets[1], shifts[k]).backward(), KIND)
    return plain, recorded, sets, stepwise, loop


@pytest.mark.parametrize("engine", ["torch", "foreach"])
@pytest.mark.parametrize("name", RECORDABLE)
def test_replays_are_the_steps(name, engine):
    """Schedules, noise and rates that change between loops included, and ordinary loops in between."""
    plain, recorded, (a, b), stepwise, loop = both(name, engine)
    for k in range(7):
        stepwise()
        if k == 4:  # an ordinary loop by hand, whose gradients lie elsewhere
            for position in range(recorded.loop_length()):
                recorded.zero_grad()
                loss(b, torch.linspace(0, 1, 8, dtype=b[0].dtype, device=DEVICE)[position]).backward()
                recorded.step()
            recorded.zero_grad()
        else:
            loop.run()
        if k == 5:
            for opt in (plain, recorded):
                for group in opt.param_groups:
                    group["lr"] *= 0.5
        np.testing.assert_allclose(vector(b), vector(a), rtol=0, atol=1e-13 * max(1, np.abs(vector(a)).max()))
        with plain.outer_weights(), recorded.outer_weights():
            np.testing.assert_allclose(vector(b), vector(a), rtol=0, atol=1e-13 * max(1, np.abs(vector(a)).max()))
        assert (recorded.outer_steps, recorded.inner_step) == (plain.outer_steps, 0)
    assert loop.recorded
    for p, q in zip(plain.param_groups[0]["params"], recorded.param_groups[0]["params"]):
        assert plain.state[p]["seen"] == recorded.state[q]["seen"]
    if hasattr(plain, "communicator"):
        assert recorded.communicator.numbers == plain.communicator.numbers


@pytest.mark.parametrize("name", ["EntropySGD thesis", "Parle official", "SGLD", "Heat"])
def test_tritons_kernel_reads_its_numbers_on_the_device(name, monkeypatch):
    pytest.importorskip("triton", reason="the GPU's kernels are run by Triton's interpreter: pip install triton")
    if DEVICE.type == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
        importlib.reload(gpu.kernels())
    plain, recorded, (a, b), stepwise, loop = both(name, "triton")
    for _ in range(4):
        stepwise()
        loop.run()
        np.testing.assert_allclose(vector(b), vector(a), rtol=0, atol=1e-13)
    assert loop.recorded
    monkeypatch.undo()
    if DEVICE.type == "cpu":
        importlib.reload(gpu.kernels())


def test_noise_of_replays_differs():
    w = torch.nn.Parameter(torch.zeros(64, device=DEVICE))
    opt = SGLD([w], lr=0.1, temperature=1.0, seed=3, engine="torch")
    loop = RecordedLoop(opt, lambda k: (0.0 * w).sum().backward(), KIND)
    seen = [w.detach().clone()]
    for _ in range(6):
        loop.run()
        seen.append(w.detach().clone())
    steps = [b - a for a, b in pairwise(seen)]
    assert all(not torch.equal(p, q) for k, p in enumerate(steps) for q in steps[:k])


def test_a_changed_setting_is_recorded_anew():
    plain, recorded, (a, b), stepwise, loop = both("EntropySGD thesis", "torch")
    for k in range(8):
        stepwise()
        loop.run()
        assert loop.recorded == (k in (2, 6, 7)), k
        if k == 3:
            for opt in (plain, recorded):
                opt.param_groups[0]["outer_momentum"] = 0.1
        if k == 2:
            for opt in (plain, recorded):
                opt.param_groups[0]["momentum"] = 0.5
    np.testing.assert_allclose(vector(b), vector(a), rtol=0, atol=1e-13)


def test_a_graph_still_needed_must_not_run_after_a_replay():
    weight = torch.nn.Parameter(torch.ones(3, device=DEVICE))
    opt = EntropySGD([weight], inner_steps=2, engine="torch")
    loop = RecordedLoop(opt, lambda k: (weight**2).sum().backward(), KIND)
    for _ in range(4):
        old = (weight**3).sum()
        loop.run()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            old.backward()


def test_what_cannot_be_recorded_is_refused_in_words():
    w = torch.nn.Parameter(torch.ones(SHAPES[0], device=DEVICE))
    fill = lambda k: (w**2).sum().backward()  # noqa: E731
    with pytest.raises(ValueError, match="is none of pdelab.networks's own"):
        RecordedLoop(torch.optim.SGD([w], lr=0.1), fill, KIND)
    with pytest.raises(ValueError, match="works over another optimizer"):
        RecordedLoop(EntropyAdam([w]), fill, KIND)
    hooked = EntropySGD([w], engine="torch")
    hooked.register_step_post_hook(lambda *_: None)
    with pytest.raises(ValueError, match="has hooks of its step"):
        RecordedLoop(hooked, fill, KIND)
    if DEVICE.type == "cpu":
        with pytest.raises(ValueError, match="has its parameters on cpu, not on one GPU"):
            RecordedLoop(EntropySGD([w], engine="torch"), fill)
        with pytest.raises(ValueError, match="reads its numbers on the host"):
            RecordedLoop(EntropySGD([w], engine="fused"), fill, KIND)
    opt = EntropySGD([w], inner_steps=3, engine="torch")
    loop = RecordedLoop(opt, fill, KIND)
    fill(0)
    opt.step()
    with pytest.raises(RuntimeError, match="begins where a loop of the optimizer begins"):
        loop.run()


def test_a_run_goes_on_bit_for_bit_from_a_state_between_replays():
    """State dicts of a recorded run are those of any other."""
    _, recorded, (_, b), _, loop = both("EntropySGD thesis", "torch")
    for _ in range(4):
        loop.run()
    state, before = copy.deepcopy(recorded.state_dict()), vector(b)
    for _ in range(2):
        loop.run()
    end = vector(b)
    recorded.load_state_dict(state)
    assert (vector(b) == before).all()
    for _ in range(2):
        loop.run()
    np.testing.assert_allclose(vector(b), end, rtol=0, atol=1e-14)


def test_parles_scopes_move_on_the_device():
    x, _ = problem()
    nets = parameters(x) + parameters(x)
    scopes = {"gamma": Exponential(10.0, 0.3, 1.0), "rho": Exponential(1.0, 0.3, 0.2)}
    opt = Parle(nets, lr=0.05, inner_lr=0.05, inner_steps=3, replicas=2, engine="torch", **scopes)
    loop = RecordedLoop(opt, lambda k: loss(nets, torch.tensor(0.1 * k, device=DEVICE)).backward(), KIND)
    for _ in range(3):
        loop.run()
    sent = []
    for _ in range(3):
        loop.run()
        sent.append(loop.numbers.reals.vector[: loop.numbers.reals.used].tolist())
    assert sent[0] != sent[1] != sent[2]
