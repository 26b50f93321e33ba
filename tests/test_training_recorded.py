"""Training in recorded loops: on the CPU by the stand-in that replays what was recorded by calling it."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from networks_device import DEVICE  # noqa: E402

from pdelab.networks import training  # noqa: E402
from pdelab.networks.optimizers.recording import Again  # noqa: E402
from pdelab.networks.training import recorded  # noqa: E402

QUICK = {"epochs": 3, "batch_size": 100, "model_options": {"hidden": (8,)}, "device": str(DEVICE)}
LOOP = {"lr": 0.05, "inner_steps": 4, "engine": "torch"}


@pytest.fixture
def stand_in(monkeypatch):
    if DEVICE.type == "cpu":
        monkeypatch.setattr(recorded, "GRAPH", Again)


def weights(result):
    return torch.cat([value.flatten().double() for value in result.model.state_dict().values()])


@pytest.mark.parametrize("optimizer, options, more", [
    ("entropy-sgd", LOOP | {"lr": 1.0, "temperature": 1e-4}, {"drops": (1,), "clip": 1.0}),
    ("parle", LOOP, {"replicas": 2}),
    ("sgld", {"lr": 0.05, "engine": "torch"}, {"precision": "bfloat16"}),
])  # fmt: skip
def test_recorded_loops_are_the_steps(optimizer, options, more, stand_in):
    """Also those that go from one epoch into the next: an epoch here has 10 batches, or 9, and a loop 4."""
    runs = [
        training.train(optimizer, "mlp", "digits", optimizer_options=options, graphs=graphs, **QUICK, **more)
        for graphs in (False, True)
    ]
    assert runs[0].graphs == "it was not wanted" and runs[1].graphs is None
    torch.testing.assert_close(weights(runs[1]), weights(runs[0]), rtol=0, atol=2e-6)
    for plain, quick in zip(runs[0].history, runs[1].history):
        assert quick["train_loss"] == pytest.approx(plain["train_loss"], abs=1e-6)
        assert quick["gradients"] == plain["gradients"]
    assert runs[1].optimizer.clock == runs[0].optimizer.clock


def test_a_recorded_run_goes_on_from_its_checkpoint(stand_in, tmp_path):
    settings = QUICK | {"optimizer_options": LOOP, "graphs": True}
    whole = training.train("entropy-sgd", "mlp", "digits", **settings)
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train("entropy-sgd", "mlp", "digits", out=tmp_path, checkpoint_seconds=0, on_epoch=stop, **settings)
    again = training.train("entropy-sgd", "mlp", "digits", out=tmp_path, resume=True, **settings)
    torch.testing.assert_close(weights(again), weights(whole), rtol=0, atol=2e-6)


@pytest.mark.parametrize("optimizer, more, reason", [
    ("sgd", {}, "the optimizer 'sgd' is none of pdelab.networks's own"),
    ("entropy-adam", {}, "the optimizer 'entropy-adam' works over another optimizer"),
    ("entropy-sgd", {"optimizer_options": {"inner_steps": 40, "engine": "torch"}}, r"an epoch has \d+ batches and a"),
])  # fmt: skip
def test_what_cannot_be_recorded_says_why(optimizer, more, reason, stand_in):
    settings = QUICK | {"epochs": 1} | more
    with pytest.raises(ValueError, match=f"graphs: expected a run whose loops can be recorded, but {reason}"):
        training.train(optimizer, "mlp", "digits", graphs=True, **settings)
    assert reason.split("\\")[0] in training.train(optimizer, "mlp", "digits", **settings).graphs


@pytest.mark.skipif(DEVICE.type != "cpu", reason="what is refused on the CPU")
def test_without_a_gpu_graphs_are_refused_in_words():
    with pytest.raises(ValueError, match="graphs: expected .* but CUDA graphs need a GPU, got device='cpu'"):
        training.train("entropy-sgd", "mlp", "digits", graphs=True, **QUICK)
    with pytest.raises(ValueError, match="graphs"):
        training.train("entropy-sgd", "mlp", "digits", graphs="yes", **QUICK)
