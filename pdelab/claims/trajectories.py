"""Thesis 6.3 on the digits: the noise of a network's gradients, and what long trajectories of SGD show."""

from functools import cache

import numpy as np

from pdelab.claims import at_least, at_most, claim, equal


@cache
def noise_at(seed, epoch, epochs):
    """D(x) of a network on the digits, trained by SGD, at one epoch of its training (chapter 6)."""
    from pdelab.networks import curvature, training

    run = training.train(
        "sgd", "mlp", "digits", epochs=epochs, seed=seed, model_options={"hidden": (24,)}, snapshots=[epoch],
        data_options={"train": 1437, "validation": 360}, optimizer_options={"lr": 0.02},
    )  # fmt: skip
    run.model.load_state_dict(run.snapshots[epoch])
    return curvature.gradient_noise(curvature.Objective(run.model, run.data.train, samples=600))


@claim(
    "C6.37", source="thesis Remark 6.37, Figures 6.1 and 6.2", as_printed="wrong", needs="networks",
    printed="We have plotted the eigenspectra of the diffusion matrix in Figure 6.1 and Figure 6.2 at three different "
    "instants, 20%, 40% and 100% training completion; they are almost indistinguishable. This implies that the "
    "variance of the mini-batch gradients in deep networks can be considered a constant, highly non-isotropic matrix",
    statement="on the digits D is far from isotropic (ten directions hold most of its trace) but not constant: the "
    "gradients of samples that are learned vanish, and tr D falls by more than a half from 20 % to 100 % of training",
    perturbation=["D at the end is that at 20 %, as printed", "one direction holds most of the trace"],
    rejects=[{"end": 0.2}, {"directions": 1}], tolerance="a factor of two, for each of two seeds; one half",
)  # fmt: skip
def noise_fades(quick=False, end=1.0, directions=10):
    epochs, ratios, shares = 20 if quick else 60, [], []
    for seed in (0, 1):
        early, late = (noise_at(seed, round(part * epochs), epochs) for part in (0.2, end))
        ratios.append(late.eigenvalues.sum() / early.eigenvalues.sum())
        shares.append(late.eigenvalues[:directions].sum() / late.eigenvalues.sum())
    return [at_most(0.5, ratios), at_least(0.5, shares)]


@claim(
    "C6.rk", source="thesis 6.3.2, footnote 1", as_printed="corrected", needs="networks",
    printed="a large fraction of almost-zero eigenvalues with a very small rank that ranges between 0.3% - 2%; "
    "thresholded at lambda_max x d x machine-precision",
    statement="that rank is a statement about the precision in its threshold and the number of samples: in float64 "
    "the same D has more than twice the rank of float32, never above N - 1; the participation ratio "
    "(tr D)^2/tr(D^2) needs no threshold",
    perturbation=["the rank belongs to D whatever the precision, as printed", "a rank below half of the samples",
                  "a threshold moves the participation ratio as well"],
    rejects=[{"precision": "float32"}, {"share": 0.5}, {"cut": 0.1}],
    tolerance="a factor of two; a theorem; what the eigenvalues below the threshold of float32 can add to the trace",
)  # fmt: skip
def rank_and_precision(quick=False, precision="float64", share=1.0, cut=0.0):
    epochs = 20 if quick else 60
    noise = noise_at(0, epochs, epochs)
    ranks = [noise.rank("float32"), noise.rank(precision)]
    values, threshold = noise.eigenvalues, noise.dimension * np.finfo("float32").eps
    left = values[values > max(cut, threshold) * values[0]]
    error = 2 * (values.size - ranks[0]) * threshold * values[0] / values.sum()
    return [
        at_least(2 * ranks[0], ranks[1]),
        at_most(share * (noise.samples - 1), max(ranks)),
        equal(1.0, left.sum() ** 2 / (left**2).sum() / noise.participation_ratio, error),
    ]
