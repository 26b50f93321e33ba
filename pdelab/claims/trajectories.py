"""Thesis 6.3: the noise of a network's gradients, and what spectra and correlations of long trajectories show."""

import math
from functools import cache

import numpy as np
from scipy import stats

from pdelab import nonequilibrium
from pdelab.claims import at_least, at_most, claim, equal, standard_error


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


@cache
def long_runs(epochs, burn_in, classes):
    """(network, {row: weights of every epoch}) of a small classifier of pooled digits."""
    from pdelab.networks import snapshots

    network = snapshots.SmallClassifier(*snapshots.pooled_digits(classes))
    settings = {"settled": {"rate": 0.05, "decay": 0.01}, "no noise": {"rate": 0.2, "batch": None}}
    runs = {name: network.train(burn_in + epochs, **options).weights[burn_in:] for name, options in settings.items()}
    return network, runs


def low_power(weights, segments=4):
    """(mean power below .01 cycles an epoch of increments of the weights that move, quantiles 1e-4 of white noise)."""
    increments = np.diff(weights, axis=0)
    increments = increments[:, increments.std(0) > 1e-6 * increments.std(0).max()]
    spectrum = nonequilibrium.spectrum(increments, segments=segments)
    low = spectrum.frequencies <= 0.01
    freedom = 36 * segments**2 / (19 * segments - 1) * low.sum() / 1.5  # a Hann window is 1.5 bins wide
    return spectrum.power[low].mean(), stats.chi2.ppf([1e-4, 1 - 1e-4], freedom) / freedom


@claim(
    "E20", source="thesis Figure 6.3, Remark 6.41", as_printed="wrong", needs="networks",
    printed="Empirical evidence of limit cycles in SGD dynamics ... Our iterates are significantly correlated with "
    "each other even at very large lags. This further indicates that trajectories of SGD do not perform "
    "Brownian motion",
    statement="on the digits power at low frequencies and correlations that last come without any noise, by drift; "
    "SGD that has settled has less power below .01 cycles an epoch than white noise",
    perturbation=["gradient descent without noise has neither: they are evidence of cycles, as printed",
                  "SGD that has settled has as much power as white noise"],
    rejects=[{"control": "white"}, {"row": "white"}],
    tolerance="quantiles 1e-4 of white noise, as if all weights were one; its 99 % band",
)  # fmt: skip
def excess_without_noise(quick=False, control="no noise", row="settled"):
    network, runs = long_runs(*((6000, 3000, 5) if quick else (16000, 8000, 5)))
    white = np.random.default_rng(0).normal(size=(len(runs["settled"]), 40))
    series = {name: low_power(weights) for name, weights in runs.items()} | {"white": low_power(white.cumsum(0))}
    positions = runs.get(control, white)
    moving = positions[:, np.diff(positions, axis=0).std(0) > 1e-6 * np.diff(positions, axis=0).std(0).max()]
    lasting, band = nonequilibrium.autocorrelation(moving, [10])
    power, (least, most) = series[row][0], series[control][1]
    return [at_least(most, series[control][0]), at_most(least, power), at_least(band, lasting)]


@claim(
    "E20.null", source="thesis Figure 6.3, Remark 6.41", as_printed="new", needs="networks",
    statement="near its minimum SGD with replacement relaxes along each direction of the Hessian with phi = "
    "(1 - eta h)^steps an epoch, nothing fitted, whether it turns or not; pairs of directions do turn, as the Hessian "
    "and D predict",
    perturbation=["white noise: the increments' spectra are flat", "no rotation, as in detailed balance",
                  "the opposite rotation"],
    rejects=[{"flat": True}, {"share": 0.0}, {"share": -1.0}],
    tolerance="of eight bands of 99 % at most one is missed; five standard errors, and a quarter for the curvature of "
    "the well",
)  # fmt: skip
def relaxation_along_the_hessian(quick=False, flat=False, share=1.0):
    network, runs = long_runs(*((6000, 3000, 5) if quick else (16000, 8000, 5)))
    weights = runs["settled"]
    near = network.relaxation(weights.mean(0), 0.05, decay=0.01, count=8)
    along, inside = (weights - weights.mean(0)) @ near.directions, 0
    for series, phi in zip(along.T, near.memory):
        power, (least, most) = low_power(series[:, None])
        frequencies = nonequilibrium.spectrum(np.diff(series), segments=4).frequencies
        null = nonequilibrium.increment_spectrum(frequencies, 1.0 if flat else phi)
        expected = null[frequencies <= 0.01].mean() / null.mean()
        inside += least * expected <= power <= most * expected
    products = np.einsum("ti,ij,tj->t", along[:-1], near.Q, along[1:]) / (near.Q**2).sum()
    pieces = products[: len(products) // 24 * 24].reshape(24, -1).mean(1)
    return [at_least(7, inside), equal(share, pieces.mean(), 5 * standard_error(pieces) + 0.25)]


@claim(
    "C6.41", source="thesis Remark 6.41, Figure 6.3a", as_printed="corrected",
    printed="Iterates of SGD ... are expected to perform Brownian motion ..., the FFT in Figure 6.3a would be flat if "
    "this were so. Instead, we see low-frequency modes in the trajectory that are indicators of a periodic dynamics of "
    "the force j(x)",
    statement="increments of a process that relaxes, turning or not, have less power at low frequencies: 4 sin^2(w/2)/"
    "|1 - phi e^{iw}|^2; a peak shows rotation only where a > k/sqrt 3 for F = [[k, -a], [a, k]]",
    perturbation=["flat, as printed", "a peak for every a"], rejects=[{"flat": True}, {"turns": (0.3, 0.5)}],
    tolerance="a 99.9 % band of the mean; the step of the frequencies",
)  # fmt: skip
def spectrum_of_increments(quick=False, flat=False, turns=(1.0, 3.0)):
    phi, rng = 0.95, np.random.default_rng(9)
    x = np.zeros((2048, 40))
    x[0] = rng.normal(size=40) / math.sqrt(1 - phi * phi)
    noise = rng.normal(size=x.shape)
    for k in range(1, len(x)):
        x[k] = phi * x[k - 1] + noise[k]
    spectrum = nonequilibrium.spectrum(np.diff(x, axis=0), segments=16, confidence=0.999)
    low = slice(1, 6)
    null = np.ones_like(spectrum.power) if flat else nonequilibrium.increment_spectrum(spectrum.frequencies, phi)
    omega, peaks = np.linspace(0.001, 10, 10001), []
    for a in turns:
        power = nonequilibrium.linear_spectrum(nonequilibrium.linear([[1, -a], [a, 1]], np.eye(2)), omega)[:, 0, 0]
        peaks.append(omega[power.real.argmax()])
    return [
        equal(null[low], spectrum.power[low], (spectrum.high - spectrum.low)[low]),
        equal([0.910, 2.996], peaks, 1.5e-3),
    ]


@claim(
    "C6.41b", source="thesis Remark 6.41, Figure 6.3b", as_printed="corrected",
    printed="the AC for Brownian motion which decays to zero very quickly and stays within the red confidence bands "
    "(99%)",
    statement="white noise stays within the band of 99 %; Brownian motion is outside it at lags 1, 10 and 100 of 4000, "
    "and a reversible Ornstein-Uhlenbeck process up to the lag log(sqrt(n)/2.576)/(lambda dt)",
    perturbation=["Brownian motion stays within the band, as printed", "noise that remembers", "half of that lag"],
    rejects=[{"walk": 0.01}, {"memory": 0.5}, {"reach": 0.5}],
    tolerance="five standard errors of a share of independent series; four of a stationary mean (Bartlett), 400 series",
)  # fmt: skip
def correlation_of_brownian_motion(quick=False, walk=1.0, memory=0.0, reach=1.0):
    rng, n, count, lags, rate = np.random.default_rng(10), 4000, 400, [1, 10, 100], 0.05
    white = rng.normal(size=(n, count))
    white += memory * np.roll(white, 1, axis=0)
    band = nonequilibrium.autocorrelation(white, lags)[1]

    def share_outside(series):
        return np.mean([np.abs(nonequilibrium.autocorrelation(x, lags)[0]) > band for x in series.T], axis=0)

    relaxing, phi = rng.normal(size=(n, count)), math.exp(-rate)
    relaxing[1:] *= math.sqrt(1 - phi**2)
    for k in range(1, n):
        relaxing[k] += phi * relaxing[k - 1]
    lag = math.log(math.sqrt(n) / 2.576) / rate
    bias = (1 + phi) / (1 - phi) / n  # of the mean that is taken off
    correlation = nonequilibrium.autocorrelation(relaxing, [round(reach * lag)])[0][0]
    return [
        equal(walk, share_outside(np.cumsum(white, axis=0)), 5 * math.sqrt(0.01 * 0.99 / count)),
        equal(0.01, share_outside(white), 5 * math.sqrt(0.01 * 0.99 / count)),
        equal(phi ** round(lag) - bias, correlation, 4 * math.sqrt((1 + phi**2) / (1 - phi**2) / n / count)),
    ]
