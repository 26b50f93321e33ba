"""The engine of GPUs: its kernels run by Triton's interpreter on the CPU, and compiled for a GPU that is not there.

PDELAB_TEST_DEVICE=cuda runs them there.
"""

import importlib
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs the extra "networks"')
pytest.importorskip("triton", reason="the GPU's kernels are run by Triton's interpreter: pip install triton")

from optimizers_shared import DEVICE, NAMES, build, feed, give, parameters, problem, vector  # noqa: E402

from pdelab.kernels import optimizers as fused  # noqa: E402
from pdelab.networks import SGLD, EntropySGD, Exponential  # noqa: E402
from pdelab.networks.optimizers import buffers, engines, gpu  # noqa: E402
from pdelab.networks.optimizers.update import Rule  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def interpreted():
    """On the CPU Triton's functions are interpreted: this is decided where they are made."""
    if DEVICE.type == "cpu":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            importlib.reload(gpu.kernels())
            yield
        importlib.reload(gpu.kernels())
    else:
        yield


def addresses(rng, count):
    """Keys and ticks over the whole range of 63 bits."""
    for _ in range(count):
        yield tuple(int(rng.integers(1 << bits)) for bits in (63, 40, 50))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_are_those_of_the_cpu_bit_for_bit(dtype, rng):
    for address in addresses(rng, 3):
        tiles, first = 19, int(rng.integers(1 << 40))
        expected = np.empty(64 * tiles, np.float32 if dtype == torch.float32 else np.float64)
        fused.fill_normals(expected, first, np.array(address, np.uint64))
        out = torch.full((64 * tiles + 5,), 7.0, dtype=dtype, device=DEVICE)
        gpu.fill(out[:-5], first, address)
        assert (out[:-5].cpu().numpy() == expected).all()
        assert (out[-5:] == 7.0).all()
        there = torch.tensor(address[2], device=DEVICE)
        again = torch.empty(64 * tiles, dtype=dtype, device=DEVICE)
        gpu.fill(again, first, (*address[:2], there))
        assert torch.equal(again, out[:-5])


def rules(rng):
    """Rules with random terms: each of the kernel's branches several times."""
    flip = lambda: bool(rng.integers(2))  # noqa: E731
    for _ in range(12):
        momentum = float(rng.uniform(0.1, 0.9)) * flip()
        yield Rule(
            rate=float(rng.uniform(0.01, 0.2)), momentum=momentum, ahead=momentum * flip(), decay=0.3 * flip(),
            pull=0.7 * flip(), inside=flip(), heat=0.1 * flip(), field=flip(), average=0.75 * flip(), capture=flip(),
            fresh=flip(), reset=flip(), sign=1.0 - 2.0 * flip(),
        )  # fmt: skip


def segment_of(sizes, dtype, rng):
    """A segment with random rows and gradients; one tensor has none."""
    params = [torch.nn.Parameter(torch.tensor(rng.normal(size=n), dtype=dtype, device=DEVICE)) for n in sizes]
    layout = buffers.Layout([{"params": params}], 1)
    (segment,) = layout.segments
    segment.make("yxzm")
    for name in "xzm":
        segment.flat(name).copy_(torch.tensor(rng.normal(size=segment.flat(name).numel())))
    for p in params[:-1]:
        p.grad = torch.tensor(rng.normal(size=p.numel()), dtype=dtype, device=DEVICE)
    return segment


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_term_of_the_update_is_the_cpus_bit_for_bit(dtype, rng):
    """Over whole blocks, parts of one, and a tensor without a gradient; fma is used where the CPU uses it only."""
    sizes = (1, 1024, 1100, 0, 70)
    for rule, address in zip(rules(rng), addresses(rng, 12)):
        state = int(rng.integers(1000))
        a, b = (segment_of(sizes, dtype, np.random.default_rng(state)) for _ in range(2))
        for segment, kind in ((a, "fused"), (b, "triton")):
            if DEVICE.type != "cpu" and kind == "fused":
                pytest.skip("the CPU's kernel does not run there")
            engine = engines.KINDS[kind]
            engine.collect(segment)
            engine.apply(segment, rule, address if rule.heat else None)
        for name in "yxzm":
            for mine, theirs in zip(b.tensors(name), a.tensors(name)):
                assert torch.equal(mine, theirs), (name, rule)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_agrees_with_the_other_engines(name):
    """One parameter never has a gradient, one's gradient lies elsewhere at each step, one's has another order."""
    x, gradient = problem()
    ends = {}
    for engine in ("auto", "triton"):
        params = parameters(x) + parameters(x)
        opt = build(name, params, engine=engine)
        for k in range(opt.loop_length() + 2):
            for r in (0, 3):
                give(params[r : r + 3], gradient(vector(params[r : r + 3]), k + r))
                params[r + 1].grad = None
                params[r].grad = params[r].grad.t().contiguous().t()
            opt.step()
        with opt.outer_weights():
            ends[engine] = vector(params)
    np.testing.assert_allclose(ends["triton"], ends["auto"], rtol=0, atol=1e-13)


LOOP = {"inner_lr": 0.05, "inner_steps": 2, "gamma": Exponential(2.0, 0.1), "temperature": 1e-3, "seed": 3}


def test_numbers_and_addresses_are_sent_only_when_they_change(monkeypatch):
    from pdelab.networks.optimizers.engines import by_triton

    sent, usual = [], by_triton.send
    monkeypatch.setattr(by_triton, "send", lambda values, target: (sent.append(len(values)), usual(values, target)))
    x, gradient = problem()
    params = parameters(x)
    opt = EntropySGD(params, engine="triton", **LOOP | {"gamma": 2.0})
    give(params, gradient(vector(params), 0))
    for _ in range(4):
        opt.step()
    assert sorted(sent) == [2, 9, 9]  # one table of addresses, the numbers of a loop's first update and of the others
    opt.param_groups[0]["inner_lr"] = 0.01
    opt.step()
    assert len(sent) == 4


def test_parameters_that_are_views_of_one_tensor_are_served_by_their_addresses(monkeypatch):
    """As cuDNN's flat weights of an LSTM, which no buffer may replace."""
    monkeypatch.setattr(buffers, "why_not_views", lambda groups: "parameters are views of one buffer already")
    x, gradient = problem()
    flat = parameters(x)
    a = EntropySGD(flat, engine="triton", **LOOP)
    assert a._layout.reason and a._layout.segments[0].engine is engines.KINDS["triton"]
    monkeypatch.undo()
    views = parameters(x)
    b = EntropySGD(views, **LOOP)
    for opt, params in ((a, flat), (b, views)):
        feed(opt, params, gradient, 0, 5)
    np.testing.assert_allclose(vector(flat), vector(views), rtol=0, atol=1e-13)
    strided = torch.nn.Parameter(torch.ones(4, 6, device=DEVICE)[:, ::2])
    with pytest.raises(ValueError, match="engine='triton' needs parameters without gaps"):
        EntropySGD([strided], engine="triton")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_float32_rounded_when_it_is_stored(dtype, rng):
    start, slope = (torch.tensor(rng.normal(size=150), device=DEVICE).to(dtype) for _ in range(2))
    short, wide = (torch.nn.Parameter(start.to(kind)) for kind in (dtype, torch.float32))
    for p in (short, wide):
        opt = SGLD([p], lr=0.1, temperature=0.5, weight_decay=0.1, seed=5, engine="triton")
        p.grad = slope.to(p.dtype)
        opt.step()
    expected = wide.detach().to(dtype)
    if DEVICE.type == "cpu" and dtype == torch.bfloat16:  # the interpreter cuts the last bits off
        expected = (wide.detach().view(torch.int32) & -0x10000).view(torch.float32).to(dtype)
    assert torch.equal(short, expected)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, in whose arithmetic Triton interprets
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_found_at_the_outer_step(value):
    x, gradient = problem()
    params = parameters(x)
    opt = EntropySGD(params, engine="triton", **LOOP)
    feed(opt, params, gradient, 0, 2)
    with opt.outer_weights():
        outer = vector(params)
    give(params, gradient(vector(params), 2))
    params[2].grad[-1] = value
    opt.step()
    with pytest.raises(ValueError, match="not finite"):
        feed(opt, params, gradient, 3, 4)
    assert (vector(params) == outer).all()
    feed(opt, params, gradient, 4, 8)
    assert np.isfinite(vector(params)).all()


def fake(kind, dtype=torch.float32, views=True):
    buffer = SimpleNamespace(device=torch.device(kind), dtype=dtype)
    return SimpleNamespace(buffer=buffer, views=views, sharded=False, params=[])


def test_auto_takes_triton_on_a_gpu_and_what_there_is_without_it(monkeypatch):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert engines.chosen("auto", fake("cuda", dtype), None) is engines.KINDS["triton"]
    reason = "parameters are views of one buffer already (a cuDNN RNN)"
    assert engines.chosen("auto", fake("cuda", views=False), reason) is engines.KINDS["triton"]
    shared = "parameters share memory"
    assert engines.chosen("auto", fake("cuda", views=False), shared) is engines.KINDS["foreach"]
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    assert engines.chosen("auto", fake("cuda"), None) is engines.KINDS["torch"]
    with pytest.raises(ValueError, match="engine='triton' needs triton, which is not installed"):
        engines.chosen("triton", fake("cuda"), None)


def test_on_the_cpu_triton_is_refused(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="engine='triton' needs a GPU, got cpu"):
        EntropySGD([torch.nn.Parameter(torch.ones(2))], engine="triton")


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from pdelab.networks.optimizers import gpu, triton_kernels
from pdelab.kernels.optimizers import AVERAGE, CAPTURE, FIELD, FRESH, HEAT, LOOK, MOMENTUM, PULL, RESET

def compiled(flags, kind, device_tick):
    function = triton_kernels.inner_pass
    types = {name: "i64" for name in function.arg_names}
    types |= dict.fromkeys(("addresses", "sizes", "places", "blocks"), "*i64")
    types |= dict.fromkeys("xzm", "*" + kind) | {"amounts": "*fp64", "bad": "*i32"}
    types |= {"tick": "*i64"} if device_tick else {}
    fixed = {"FLAGS": flags, "DEVICE_TICK": device_tick, "ALIGNED": True, "BLOCK": gpu.BLOCK}
    types |= dict.fromkeys(fixed, "constexpr")
    place = function.arg_names.index
    aligned = {(place(name),): [["tt.divisibility", 16]] for name, type in types.items() if type[0] == "*"}
    source = ASTSource(function, types, {(place(name),): value for name, value in fixed.items()}, aligned)
    options = {"num_warps": gpu.WARPS, "enable_fp_fusion": False}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm

loop = MOMENTUM | LOOK | PULL | AVERAGE
for flags, kind, tick in ((loop | HEAT, "fp32", True), (CAPTURE | FRESH | RESET | loop, "fp64", False),
                          (FIELD | MOMENTUM, "bf16", False)):
    asm = compiled(flags, kind, tick)
    assert len(asm["cubin"]) > 1000
    if kind == "fp32":
        assert asm["ptx"].count("ld.global.v4.b32") >= 20, "whole blocks are read four numbers at a time"
        assert "fma.rn.f32" in asm["ptx"] and ".approx" not in asm["ptx"]
print("compiled")
"""


@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu():
    """To machine code of an H100 or H200, by the assembler that triton brings: no GPU is needed."""
    plain = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE]
    out = subprocess.run(command, env=plain, capture_output=True, text=True, timeout=300)
    assert out.returncode == 0 and "compiled" in out.stdout, out.stderr[-2000:]
