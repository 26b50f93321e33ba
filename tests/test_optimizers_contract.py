"""What torch's optimizers keep, kept by every optimizer on every engine: still weights, stale graphs, memory, seeds."""

import copy
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from optimizers_shared import DEVICE, ENGINES, NAMES, build, feed, give, parameters, problem, vector  # noqa: E402

from pdelab.networks import SGLD, EntropyAdam, EntropySGD, Heat, LocalEntropy, Parle, TrivializedSGD  # noqa: E402

REPLICATED = ("ElasticSGD", "ElasticSGD official", "Parle thesis", "Parle official", "DiLoCo", "LocalSGD")
NOISY = [name for name in NAMES if name.split()[0] in ("SGLD", "EntropySGD", "Heat", "Entropy-Adam", "Parle")]

pytestmark = pytest.mark.usefixtures("branch")


def two_networks(x):
    return parameters(x) + parameters(x)


def advance(opt, params, gradient, first, last, without=()):
    """Steps in which the parameters `without` have no gradient."""
    for k in range(first, last):
        for r in (0, 3):
            give(params[r : r + 3], gradient(vector(params[r : r + 3]), k + r))
        for number in without:
            params[number].grad = None
        opt.step()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warm", [False, True])
def test_a_parameter_without_a_gradient_stays_exactly(name, engine, warm):
    """Also after loops in which it had one, which fill its momentum buffers: it then stays where it came to be."""
    x, gradient = problem()
    params = two_networks(x)
    start = vector([params[1], params[4]])
    opt = build(name, params, engine=engine)
    if warm:
        advance(opt, params, gradient, 0, 2 * opt.loop_length())
        with opt.outer_weights():
            start = vector([params[1], params[4]])
    before = [{key: value.clone() for key, value in row.items() if key in ("outer_m",)} for row in states(opt, params)]
    advance(opt, params, gradient, 9, 9 + 2 * opt.loop_length(), without=(1, 4))
    with opt.outer_weights():
        assert (vector([params[1], params[4]]) == start).all()
        assert not np.allclose(vector(params[:1]), x[:12])
    if not warm:
        assert (vector([params[1], params[4]]) == start).all()  # the inner weights too
    for number in (1, 4):
        for key, value in before[number].items():
            assert torch.equal(states(opt, params)[number][key], value), key


def states(opt, params):
    opt.state_dict()
    return [opt.state[p] for p in params]


@pytest.mark.parametrize("engine", ENGINES)
def test_one_replica_without_a_gradient_stays_while_the_master_moves(engine):
    x, gradient = problem()
    params = two_networks(x)
    opt = Parle(params, replicas=2, inner_steps=3, inner_lr=0.05, engine=engine)
    advance(opt, params, gradient, 0, 3, without=(4,))
    assert (vector([params[4]]) == x[12:16]).all() and (vector([params[1]]) != x[12:16]).all()
    with opt.outer_weights():
        assert (vector([params[1]]) != x[12:16]).all() and (vector([params[1]]) == vector([params[4]])).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_heat_leaves_frozen_weights_alone(engine):
    x, gradient = problem()
    params = parameters(x)
    params[1].requires_grad_(False)
    opt = Heat(params, gamma=1e-2, inner_steps=2, seed=1, engine=engine)
    assert (vector([params[1]]) == x[12:16]).all() and (vector([params[0]]) != x[:12]).all()
    for k in range(5):
        give(params, gradient(vector(params), k))
        params[1].grad = None
        opt.step()
        assert (vector([params[1]]) == x[12:16]).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_a_graph_through_weights_that_step_changed_does_not_run_backward(name, engine):
    x, gradient = problem()
    params = two_networks(x)
    opt = build(name, params, engine=engine)
    for _ in range(2 * opt.loop_length()):
        loss = sum((p * p).sum() * p.sum() for p in params)
        loss.backward(retain_graph=True)
        before = vector(params)
        opt.step()
        if (vector(params) != before).any():
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                loss.backward()
        opt.zero_grad()
    loss = sum((p * p).sum() * p.sum() for p in params)
    before = vector(params)
    opt.eval()
    if (vector(params) != before).any():
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


EXCHANGES = {
    "vector_to_parameters": lambda net, v: torch.nn.utils.vector_to_parameters(v, net.parameters()),
    "data": lambda net, v: [
        setattr(p, "data", part.view_as(p).clone()) for p, part in zip(net.parameters(), cut(net, v))
    ],
    "float64 and back": lambda net, v: (net.double(), net.float(), EXCHANGES["data"](net, v)),
}  # fmt: skip


def cut(net, v):
    return torch.split(v, [p.numel() for p in net.parameters()])


@pytest.mark.parametrize("way", EXCHANGES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("evaluating", [False, True])
def test_weights_exchanged_outside_win_when_memory_is_rebuilt(name, way, evaluating):
    x, gradient = problem()
    params = [torch.nn.Parameter(p.detach().float()) for p in two_networks(x)]
    net = torch.nn.ParameterList(params)
    opt = build(name, params)
    feed(opt, params, gradient, 0, opt.loop_length() + 1)
    if evaluating:
        opt.eval()
    new = torch.linspace(-1.0, 1.0, 86).repeat(2)
    EXCHANGES[way](net, new)
    with pytest.raises(RuntimeError, match="rebuild"):
        opt.train() if evaluating else opt.step()
    opt.rebuild()
    if not (name == "Heat" and not evaluating):  # whose inner weights are perturbed ones
        assert (vector(params) == new.numpy()).all()
    opt.eval()
    assert (vector(params) == new.numpy()).all()
    opt.train()
    feed(opt, params, gradient, 3, 3 + 2 * opt.loop_length())
    assert np.isfinite(vector(params)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("evaluating", [False, True])
def test_a_model_that_only_moves_goes_on_bit_for_bit(name, evaluating):
    x, gradient = problem()
    params, twins = ([torch.nn.Parameter(p.detach().float()) for p in two_networks(x)] for _ in range(2))
    opt, other = build(name, params), build(name, twins)
    for o, ps in ((opt, params), (other, twins)):
        feed(o, ps, gradient, 0, o.loop_length() + 1)
    if evaluating:
        opt.eval()
        shown = vector(params)
    torch.nn.ParameterList(params).double().float()
    opt.rebuild()
    if evaluating:
        assert (vector(params) == shown).all()
        opt.train()
    for o, ps in ((opt, params), (other, twins)):
        feed(o, ps, gradient, 3, 3 + 2 * o.loop_length())
    assert (vector(params) == vector(twins)).all()


def test_two_optimizers_take_turns_on_one_model():
    x, gradient = problem()
    params = parameters(x)
    a, b = EntropySGD(params, inner_steps=1), SGLD(params, lr=0.1, temperature=0.0)
    for k in range(4):
        before = vector(params)
        give(params, gradient(before, k))
        opt = (a, b)[k % 2]
        opt.rebuild()
        assert (vector(params) == before).all()
        opt.step()
        assert (vector(params) != before).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", REPLICATED)
def test_a_late_group_has_one_master(name, engine):
    x, gradient = problem()
    params = two_networks(x)
    opt = build(name, params, engine=engine)
    feed(opt, params, gradient, 0, opt.loop_length() + 1)
    late = [torch.nn.Parameter(torch.full((5,), v, dtype=torch.float64, device=DEVICE)) for v in (1.0, 2.0)]
    opt.eval()
    shown = vector(params)
    opt.add_param_group({"params": late})
    assert (vector(params) == shown).all() and (vector(late) == 1).all()
    opt.train()
    assert (vector(late) == 1).all()
    for k in range(2 * opt.loop_length()):
        for a, p in enumerate(late):
            p.grad = p.detach() - a
        feed(opt, params, gradient, k, k + 1)
        with opt.outer_weights():
            assert torch.equal(*late)
    assert (vector(late) != 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_mode_survives_a_new_group_a_copy_and_a_pickle(name):
    x, gradient = problem()
    params, twins = two_networks(x), two_networks(x)
    opt, plain = build(name, params), build(name, twins)
    for o, ps in ((opt, params), (plain, twins)):
        feed(o, ps, gradient, 0, o.loop_length() + 2)
    inner = vector(params)
    opt.eval()
    shown = vector(params)
    twin_params, twin = copy.deepcopy((params, opt))
    assert (vector(twin_params) == shown).all()
    with pytest.raises(RuntimeError, match="opt.train"):
        twin.step()
    twin.train()
    assert (vector(twin_params) == inner).all() and (vector(params) == shown).all()
    if name not in ("Trivialized Adam", "Entropy-Adam", "DiLoCo", "LocalSGD"):  # those hold a function
        again_params, again = pickle.loads(pickle.dumps((params, opt)))
        assert (vector(again_params) == shown).all()
        again.train()
        assert (vector(again_params) == inner).all()
    opt.load_state_dict(opt.state_dict())
    assert (vector(params) == shown).all()
    opt.train()
    assert (vector(params) == inner).all()
    for o, ps in ((opt, params), (plain, twins), (twin, twin_params)):
        feed(o, ps, gradient, 5, 5 + o.loop_length())
    assert (vector(params) == vector(twins)).all() and (vector(twin_params) == vector(twins)).all()


def chain(torch_seed, **settings):
    torch.manual_seed(torch_seed)
    w = torch.nn.Parameter(torch.zeros(2000, device=DEVICE))
    opt = SGLD([w], lr=0.1, temperature=1.0, **settings)
    for _ in range(3):
        w.grad = torch.zeros_like(w)
        opt.step()
    return w.detach()


def test_torch_seeds_the_noise_and_a_number_fixes_it():
    chains = torch.stack([chain(seed) for seed in range(4)])
    correlation = torch.corrcoef(chains).fill_diagonal_(0.0)
    assert correlation.abs().max() < 4.5 / 2000**0.5
    assert torch.equal(chain(0), chains[0])
    assert torch.equal(chain(0, seed=3), chain(1, seed=3))


def test_one_optimizer_a_layer_draws_different_noise():
    torch.manual_seed(0)
    layers = [torch.nn.Parameter(torch.zeros(2000, device=DEVICE)) for _ in range(3)]
    for w in layers:
        opt = SGLD([w], lr=0.1, temperature=1.0)
        w.grad = torch.zeros_like(w)
        opt.step()
    correlation = torch.corrcoef(torch.stack([w.detach() for w in layers])).fill_diagonal_(0.0)
    assert correlation.abs().max() < 4.5 / 2000**0.5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", [
    lambda p, **o: SGLD(p, lr=0.1, temperature=1.0, **o), lambda p, **o: Heat(p, gamma=1.0, temperature=1.0, **o),
    lambda p, **o: EntropySGD(p, inner_lr=0.1, temperature=1.0, **o),
])  # fmt: skip
def test_groups_of_one_optimizer_draw_different_noise(make, engine):
    """Two groups lie in one memory one after the other, and so do their random numbers."""
    layers = [torch.nn.Parameter(torch.zeros(2000, device=DEVICE)) for _ in range(2)]
    opt = make([{"params": [w]} for w in layers], seed=3, engine=engine)
    for w in layers:
        w.grad = torch.zeros_like(w)
    opt.step()
    one, other = (w.detach() for w in layers)
    assert one.abs().max() > 0.1
    assert torch.corrcoef(torch.stack([one, other]))[0, 1].abs() < 4.5 / 2000**0.5


@pytest.mark.parametrize("make", [
    lambda p: SGLD(p), lambda p: EntropySGD(p, temperature=1e-3), lambda p: Heat(p, gamma=1e-3), lambda p: Parle(
        p, temperature=1e-3), lambda p: EntropyAdam(p, temperature=1e-3), lambda p: TrivializedSGD(p, layers=4),
])  # fmt: skip
def test_the_drawn_key_is_part_of_the_state(make):
    """Two groups share it, a resumed run takes it from the checkpoint, and without noise nothing is drawn."""
    params, fresh = parameters(problem()[0]), parameters(problem()[0])
    opt = make([{"params": params[:1]}, {"params": params[1:]}])
    keys = {group["seed"] for group in opt.param_groups}
    assert len(keys) == 1 and isinstance(keys.pop(), int)
    other = make([{"params": fresh[:1]}, {"params": fresh[1:]}])
    assert other.seed() != opt.seed()
    memory = io.BytesIO()
    torch.save(opt.state_dict(), memory)
    memory.seek(0)
    other.load_state_dict(torch.load(memory, weights_only=True))
    assert other.seed() == opt.seed()


def test_without_noise_nothing_is_drawn():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    opt = EntropySGD(parameters(problem()[0]))
    assert torch.equal(torch.rand(3), expected)
    assert opt.param_groups[0]["seed"] is None


def test_a_closure_may_return_more_than_the_loss():
    w = torch.nn.Parameter(torch.ones(3, device=DEVICE))
    opt = EntropySGD([w], inner_steps=2)

    def closure(factor=1.0):
        opt.zero_grad()
        loss = factor * (w**2).sum()
        loss.backward()
        return loss, {"accuracy": 0.5}

    loss, extra = opt.step(closure)
    assert loss.item() == 3.0 and extra == {"accuracy": 0.5}
    with pytest.raises(ValueError, match="the loss is inf"):
        opt.step(lambda: closure(float("inf")))


def test_a_base_that_needs_a_closure_is_refused():
    with pytest.raises(ValueError, match="base: expected an optimizer whose step\\(\\) needs no closure, got LBFGS"):
        LocalEntropy([torch.nn.Parameter(torch.ones(3))], torch.optim.LBFGS)


@pytest.mark.parametrize("nesterov", [True, False])
def test_parle_warns_of_rates_that_diverge(nesterov):
    """On f = h x²/2, h large: z is 0 and two replicas that differ contract or grow by 1 + e/rho, as warned."""
    for factor in (0.98, 1.02):
        limit = 3.8 / 2.8 if nesterov else 3.8
        params = [torch.nn.Parameter(torch.tensor([v], dtype=torch.float64, device=DEVICE)) for v in (1.0, -1.0)]
        settings = {"rho": 0.5, "inner_lr": 0.01, "gamma": 1e9, "momentum": 0.0, "averaging": 1.0, "inner_steps": 1}
        make = lambda lr, p=params, s=settings: Parle(  # noqa: E731
            p, lr=lr, replicas=2, nesterov=nesterov, init="independent", **s
        )
        if factor > 1:
            with pytest.warns(UserWarning, match="may diverge: take lr below"):
                opt = make(factor * limit / 3.0)
        else:
            opt = make(factor * limit / 3.0)
        for _ in range(400):
            for p in params:
                p.grad = 100.0 * p.detach()  # one inner step of rate 1/100 reaches 0
            opt.step()
        assert (abs(params[0].item()) > 1.0) == (factor > 1)
