"""Weights and states through torch.save, safetensors, accelerate and distributed checkpoints."""

import copy
import io
import warnings

import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from optimizers_shared import ENGINES, NAMES, build  # noqa: E402

from pdelab.networks import EntropyAdam, EntropySGD, LocalEntropy  # noqa: E402

pytestmark = pytest.mark.usefixtures("branch")


def networks(seed):
    """Two equal networks, with a tied weight and a buffer, as one module: what replicated optimizers take."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    return torch.nn.ModuleList([net, copy.deepcopy(net)])


def advance(opt, nets, first, last):
    for k in range(first, last):
        opt.zero_grad()
        for r, net in enumerate(nets):
            inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(10 * k + r))
            net(inputs).sin().square().mean().backward()
        opt.step()


def weights(nets):
    return torch.cat([p.detach().reshape(-1) for p in nets.parameters()])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_safetensors_and_torch_save_hold_every_weight_and_no_more(name, engine, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    nets = networks(0)
    opt = build(name, list(nets.parameters()), engine=engine)
    advance(opt, nets, 0, 3)
    safetensors.save_model(nets, str(tmp_path / "model.safetensors"))
    safetensors.save_file(nets.state_dict(), str(tmp_path / "state.safetensors"))
    fresh = networks(1)
    assert safetensors.load_model(fresh, str(tmp_path / "model.safetensors")) == (set(), [])
    assert torch.equal(weights(fresh), weights(nets))
    assert safetensors.load_file(str(tmp_path / "state.safetensors")).keys() == nets.state_dict().keys()
    memory = io.BytesIO()
    torch.save(nets[0][3].state_dict(), memory)
    assert memory.tell() < 4000  # 15 numbers, and what a file says of itself
    pointers = [t.untyped_storage().data_ptr() for entry in opt.state.values() for t in entry.values() if is_tensor(t)]
    assert len(set(pointers)) == len(pointers)


def is_tensor(value):
    return isinstance(value, torch.Tensor) and value.numel() > 0


def test_accelerate_saves_every_weight(tmp_path):
    accelerate = pytest.importorskip("accelerate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of accelerate about this machine
        accelerator = accelerate.Accelerator(cpu=True)
        nets = networks(0)
        twins = copy.deepcopy(nets)
        opt, alone = (EntropySGD(n.parameters(), inner_steps=3, temperature=1e-4, seed=1) for n in (nets, twins))
        nets, opt = accelerator.prepare(nets, opt)
        for _ in range(2):
            advance(opt, nets, 0, 4)
            advance(alone, twins, 0, 4)
        accelerator.save_state(str(tmp_path))
        expected = weights(twins)
        advance(alone, twins, 4, 9)
        with torch.no_grad():
            for p in nets.parameters():
                p.fill_(7.0)
        accelerator.load_state(str(tmp_path))
    assert torch.equal(weights(nets), expected)
    advance(opt, nets, 4, 9)
    assert torch.equal(weights(nets), weights(twins))


@pytest.mark.parametrize("name", NAMES)
def test_distributed_checkpoints_resume_bit_for_bit(name, tmp_path):
    """Into a fresh optimizer, which shows all rows from construction on and does not move when it is asked for them."""
    checkpoint = pytest.importorskip("torch.distributed.checkpoint")
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    nets = networks(0)
    opt = build(name, list(nets.parameters()))
    for stop in (1, opt.loop_length() + 1):
        advance(opt, nets, opt.outer_steps * opt.loop_length() + opt.inner_step, stop)
        model, state = get_state_dict(nets, opt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is one process
            checkpoint.save({"model": model, "optimizer": state}, checkpoint_id=tmp_path / str(stop))
        fresh = networks(1)
        other = build(name, list(fresh.parameters()))
        before = weights(fresh)
        model, state = get_state_dict(fresh, other)
        assert torch.equal(weights(fresh), before) and other.outer_steps == other.inner_step == 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checkpoint.load({"model": model, "optimizer": state}, checkpoint_id=tmp_path / str(stop))
        set_state_dict(fresh, other, model_state_dict=model, optim_state_dict=state)
        assert torch.equal(weights(fresh), weights(nets))
        reference, its = copy.deepcopy((nets, opt))
        advance(its, reference, stop, stop + 2 * opt.loop_length())
        advance(other, fresh, stop, stop + 2 * opt.loop_length())
        assert torch.equal(weights(fresh), weights(reference))


def test_a_state_without_the_base_optimizers_is_refused():
    opt = EntropyAdam(networks(0).parameters())
    state = opt.state_dict()
    for entry in state["state"].values():
        del entry["base"], entry["begun"]
    with pytest.raises(ValueError, match="missing: \\['base'\\]"):
        opt.load_state_dict(state)


BASES = {
    "SGD": lambda g: torch.optim.SGD(g, lr=0.1, momentum=0.9),
    "AdamW": lambda g: torch.optim.AdamW(g, lr=0.01),
    "Adagrad": lambda g: torch.optim.Adagrad(g, lr=0.1, initial_accumulator_value=0.3),
    "NAdam": lambda g: torch.optim.NAdam(g, lr=0.01),
    "Rprop": lambda g: torch.optim.Rprop(g, lr=0.01),
}


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("stop", [2, 7])
def test_a_base_resumes_from_before_and_after_its_first_step(name, stop):
    nets, fresh = networks(0), networks(1)
    opt, other = (LocalEntropy(n.parameters(), BASES[name], inner_steps=3) for n in (nets, fresh))
    advance(opt, nets, 0, stop)
    memory = io.BytesIO()
    torch.save(opt.state_dict(), memory)
    memory.seek(0)
    fresh.load_state_dict(nets.state_dict())
    other.load_state_dict(torch.load(memory, weights_only=True))
    for o, n in ((opt, nets), (other, fresh)):
        advance(o, n, stop, stop + 9)
    assert torch.equal(weights(fresh), weights(nets))


def test_states_with_other_keys_in_their_groups_load():
    """As torch loads them: keys of schedulers and users, and names of parameters, on either side."""
    plain, named = networks(0), networks(0)
    one, two = EntropySGD(plain.parameters()), EntropySGD(named.named_parameters())
    torch.optim.lr_scheduler.OneCycleLR(one, 0.4, total_steps=10)
    one.param_groups[0]["layerwise"] = 3
    for a, b in ((one, two), (two, one)):
        b.load_state_dict(a.state_dict())
    assert EntropyAdam(networks(0).named_parameters()).param_groups[0]["param_names"][0] == "0.0.weight"
    state = one.state_dict()
    del state["param_groups"][0]["gamma"]
    with pytest.raises(ValueError, match="missing: \\['gamma'\\]"):
        two.load_state_dict(state)


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_belongs_to_the_process(name):
    nets, fresh = networks(0), networks(0)
    a, b = (build(name, list(n.parameters()), engine=e) for n, e in ((nets, "foreach"), (fresh, "auto")))
    advance(a, nets, 0, 3)
    b.load_state_dict(a.state_dict())
    assert b.param_groups[0]["engine"] == "auto"
    assert torch.equal(weights(nets), weights(fresh))
    with a.outer_weights(), b.outer_weights():
        assert torch.equal(weights(nets), weights(fresh))
