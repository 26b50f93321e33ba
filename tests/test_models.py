"""Architectures: the counts of the papers, shapes, sizes by argument, clear refusals."""

import pytest

torch = pytest.importorskip("torch")

from networks_device import DEVICE  # noqa: E402
from torch.nn import functional  # noqa: E402

from pdelab.networks import models  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    "name, count",
    [
        ("lenet", 131_220),  # thesis 4.6.2
        ("small-lenet", 47_658),  # thesis 3.3.1
        ("small-lenet-bn", 13_338),  # thesis 6.3.1
        ("small-fc", 50_890),  # thesis 3.3.1, with the 64 units its count needs
        ("small-char-lstm", 32_640),  # thesis 3.3.1
        ("small-allcnn", 26_982),  # thesis 6.3.1
        ("digits-lenet", 3_706),
    ],
)
def test_exact_counts_of_the_text(name, count):
    with torch.device("meta"):
        assert models.parameter_count(models.build(name)) == count


@pytest.mark.parametrize(
    "name, low, high",
    [
        ("mnistfc", 1.86e6, 1.87e6),  # "1.86 million", thesis 4.6.2
        ("allcnn", 1.665e6, 1.675e6),  # "1.67 million", thesis 4.6.3
        ("ptb-lstm", 65.5e6, 66.5e6),  # "about 66 million", thesis 3.3.4
        ("wrn-28-10", 36.45e6, 36.55e6),  # 36.5 M, Zagoruyko and Komodakis (2016)
    ],
)
def test_rounded_counts_of_the_text(name, low, high):
    with torch.device("meta"):
        assert low <= models.parameter_count(models.build(name)) < high


def test_sixteen_layers_of_128_units():
    model = models.build("deep-mnistfc")
    hidden = [m for m in model if isinstance(m, torch.nn.Linear)]
    assert len(hidden) == 17 and hidden[0].weight.shape == (128, 784) and hidden[-1].weight.shape == (10, 128)


@pytest.mark.parametrize(
    "name, sizes, shape, classes",
    [
        ("mlp", {"inputs": 64}, (1, 8, 8), 10),
        ("mnistfc", {"hidden": 16}, (1, 28, 28), 10),
        ("lenet", {}, (1, 28, 28), 10),
        ("lenet", {"inputs": 3, "size": 32, "classes": 7}, (3, 32, 32), 7),
        ("block-lenet", {}, (1, 28, 28), 10),
        ("small-lenet-bn", {}, (1, 28, 28), 10),
        ("digits-lenet", {}, (1, 8, 8), 10),
        ("small-allcnn", {"classes": 100}, (3, 32, 32), 100),
        ("small-allcnn", {"inputs": 1}, (1, 8, 8), 10),
        ("wrn-16-4", {"widen": 1}, (3, 32, 32), 10),
    ],
)
def test_images_become_logits(name, sizes, shape, classes):
    model = models.build(name, **sizes).to(DEVICE)
    logits = model(torch.randn(3, *shape, device=DEVICE))
    assert logits.shape == (3, classes)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_allcnn_averages_eight_by_eight():
    body = models.allcnn()[:-2].eval().to(DEVICE)
    assert body(torch.randn(1, 3, 32, 32, device=DEVICE)).shape == (1, 10, 8, 8)


@pytest.mark.parametrize("depth, widen", [(10, 2), (16, 4), (28, 10)])
def test_wide_resnet_has_the_depth_of_its_name(depth, widen):
    with torch.device("meta"):
        model = models.wide_resnet(depth, widen)
    assert sum(isinstance(module, torch.nn.Conv2d) for module in model.modules()) == depth
    assert model[-1].in_features == 64 * widen


def test_language_model_carries_its_state():
    model = models.char_lstm(11, 6, 2).eval().to(DEVICE)
    tokens = torch.randint(0, 11, (4, 10), device=DEVICE)
    whole, _ = model(tokens)
    first, state = model(tokens[:, :6])
    second, _ = model(tokens[:, 6:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    assert whole.shape == (4, 10, 11)


@pytest.mark.parametrize("layers", [1, 2])
def test_elementary_lstm_equals_torch(layers):
    model = models.ptb_lstm(13, 7, layers).double().eval().to(DEVICE)
    tokens = torch.randint(0, 13, (3, 9), device=DEVICE)
    results = []
    for fused in (True, False):
        model.lstm.fused = fused
        logits, state = model(tokens)
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
        results.append((logits, *state, *torch.autograd.grad(loss, tuple(model.parameters()))))
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def test_he_variance_and_zero_biases():
    model = models.he(models.mlp(400, (300,), 10).to(DEVICE))
    weight = model[1].weight
    assert weight.var().item() == pytest.approx(2 / 400, rel=4 * (2 / weight.numel()) ** 0.5)
    assert all((m.bias == 0).all() for m in model if isinstance(m, torch.nn.Linear))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: models.build("resnet"), "model: expected one of .*, got 'resnet'"),
        (lambda: models.build("lenet", depth=3), "depth: expected a size of"),
        (lambda: models.lenet(size=8), "size: expected images large enough.*digits-lenet"),
        (lambda: models.mlp(0), "inputs"),
        (lambda: models.mlp(4, (3, -1)), "hidden"),
        (lambda: models.mlp(4, dropout=1.0), "dropout"),
        (lambda: models.wide_resnet(27), "depth: expected 10, 16"),
        (lambda: models.char_lstm(0), "vocabulary"),
        (lambda: models.mlp(4, 3), "hidden: expected a sequence, got 3"),
        (lambda: models.mlp(4, dropout="much"), "dropout: expected a number in .0, 1., got 'much'"),
        (lambda: models.mlp(4, batch_norm="no"), "batch_norm: expected True or False"),
        (lambda: models.lenet(pools=2), "pools: expected a sequence of 2, got 2"),
        (lambda: models.lenet(channels=(3,)), "channels: expected a sequence of 2"),
        (lambda: models.lenet(dropout=0.2), "dropout: expected a sequence of 2"),
        (lambda: models.lenet(padding=-1), "padding: expected a whole number, at least 0"),
        (lambda: models.allcnn(channels=(3, 4, 5)), "channels: expected a sequence of 2"),
        (lambda: models.allcnn(dropout=(0.1, 1.0)), "dropout: expected a number in"),
        (lambda: models.ptb_lstm(embedding=0), "embedding"),
        (lambda: models.char_lstm(decoder_bias="no"), "decoder_bias: expected True or False"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
