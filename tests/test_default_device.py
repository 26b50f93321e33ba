"""Everything says where its tensors live: with a default device that holds no numbers the answers stay the same."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from pdelab.networks import bridge, curvature, data, models, training  # noqa: E402


def everything(tmp_path):
    """Numbers of data, training and curvature, one of each kind."""
    digits = data.load("digits", augment=True, preprocess="zca", seed=2)
    images = [x for x, _ in data.batches(digits.train, 200, seed=1, epoch=0, augment=digits.augment, replacement=True)]
    text = data.load("topics", train=3000, steps=5, lines=20)
    options = {"optimizer_options": {"lr": 0.05}, "epochs": 1, "seed": 3}
    run = training.train(out=tmp_path / "run", model_options={"hidden": (4,)}, snapshots=[1], **options)
    deep = training.train(model="digits-lenet", initialisation="he", data_options={"train": 100}, clip=1.0, **options)
    stream = training.train(model="char-lstm", data="topics", model_options={"hidden": 4}, batch_size=8,
                            data_options={"train": 2000, "steps": 5}, **options)  # fmt: skip
    model, part, _ = training.load_run(tmp_path / "run")
    f = curvature.Objective(model, part.train, samples=40)
    plane = bridge.restrict(f, bridge.random_directions(f, 2))
    spectra = [curvature.spectrum(run, of=of, samples=30) for of in ("hessian", "noise", "fisher")]
    return [
        *(image.numpy() for image in images), text.train.inputs.numpy(),
        [list(r.final["test"].values()) for r in (run, deep, stream)], *(s.nodes for s in spectra),
        *curvature.extreme_eigenvalues(curvature.Hessian(f), 2), curvature.trace(curvature.Hessian(f), probes=5),
        plane.loss([0.1, 0.2]), plane.loss.hessian([0.1, 0.2]), curvature.per_sample_gradients(f).numpy(),
        *curvature.stochastic_quadrature(curvature.Noise(f), probes=2, steps=5),
        curvature.overlap(curvature.align(model, model), model),
    ]  # fmt: skip


def test_nothing_relies_on_torchs_default_device(tmp_path):
    torch.set_num_threads(1)
    expected = everything(tmp_path / "cpu")
    try:
        torch.set_default_device("meta")
        tensors = everything(tmp_path / "meta")
        assert models.mlp(4)[1].weight.is_meta  # the default is in force
    finally:
        torch.set_default_device(None)
    for one, other in zip(expected, tensors, strict=True):
        np.testing.assert_array_equal(one, other)
