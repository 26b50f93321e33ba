"""Figure 6.3 of Chaudhari's thesis on the digits: spectra of long trajectories of SGD, with the controls they need.

The thesis takes power at low frequencies in the increments of the weights from epoch to epoch, and correlations that
last, for signs of limit cycles (above, left and middle). Neither is one. A process that relaxes in a well, turning or
not, has less power at low frequencies than white noise; SGD with weight decay, once it has settled, shows just this.
The excess comes with drift: gradient descent, without any noise, has far more of it, and correlations as long. Right:
the full gradient is as large as the noise keeps it; below it, the loss: rows without decay never settle. Below, left:
along a direction of the Hessian SGD near its minimum is autoregressive with φ = (1 - η h)^steps (dashed, nothing
fitted), whether pairs of directions turn or not: no such spectrum can show cycles. Middle: what can is the
antisymmetric part of the lagged covariance. It is there, small, and of the sign and nearly the size that the noise's
covariance D predicts (line); without replacement an epoch's noise nearly cancels, and so does the rotation. Intervals:
95 %. One autoregression a weight, fitted, is no null: `fit_gap` says by how much it misses.
"""

import math

import numpy as np
from scipy import stats

from pdelab import nonequilibrium

NAME = "6.3"
TITLE = (
    "Power at low frequencies shows drift, not cycles; SGD does turn, as its noise predicts, and no spectrum shows it"
)
NEEDS = "networks"
SEED = 0
PARAMETERS = {
    "epochs": 40000, "burn_in": 10000, "rate": 0.05, "batch": 32, "decay": 0.01, "control_rate": 0.2, "segments": 8,
    "directions": 8, "seed": 0,
}  # fmt: skip
QUICK = {"epochs": 12000, "burn_in": 6000}
ROWS = ("SGD, decay", "without replacement, decay", "SGD, no decay", "gradient descent, no decay")
EDGES = (0.0, 0.01, 0.05, 0.2, 0.5)  # cycles per epoch, whose mean powers are compared
LAGS = (1, 3, 10, 30, 100, 300, 1000)
PIECES = 24
CHECKS = {
    "low_over_white": (None, 1.0),  # SGD's power below .01 over the 1e-4 quantile of white noise, one series
    "drift_over_settled": (1.0, None),  # that power without decay over that with it, over the 1 - 1e-4 quantile of F
    "control_over_white": (1.0, None),  # of gradient descent, over the 1 - 1e-4 quantile of white noise
    "control_correlation": (1.0, None),  # of gradient descent at ten epochs, over the 99 % band of white noise
    "inside_null": (6.5, None),  # of the steepest eight directions, power below .01 in the 99 % band: fewer have .3 %
    "inside_white": (None, 0.5),  # of the same, in the band of white noise
    "rotation_z": (4.0, None),  # of the rotation, along that which D predicts, in standard errors
}


def compute(epochs, burn_in, rate, batch, decay, control_rate, segments, directions, seed):
    """Spectra and autocorrelations of the four rows; null and rotation of the two that are stationary."""
    from pdelab.networks import snapshots

    if epochs <= segments / EDGES[1]:
        raise ValueError(f"epochs: expected more than {segments / EDGES[1]:g} for {segments} segments, got {epochs}")
    network = snapshots.SmallClassifier(*snapshots.pooled_digits())
    common = {"rate": rate, "batch": batch}
    settings = (
        common | {"decay": decay}, common | {"decay": decay, "replacement": False}, common,
        {"rate": control_rate, "batch": None},
    )  # fmt: skip
    spectra, bands, correlations, slopes, losses, settled, fits = [], [], [], [], [], [], []
    for k, options in enumerate(settings):
        run = network.train(burn_in + epochs, seed=seed, **options)
        places = np.unique(np.geomspace(1, burn_in + epochs, 40).astype(int)) - 1
        slopes.append([_slope(network, run.weights[i], options.get("decay", 0.0)) for i in places])
        losses.append(run.losses[places])
        weights = run.weights[burn_in:]
        moving = np.diff(weights, axis=0).std(0)
        weights = weights[:, moving > 1e-6 * moving.max()]  # units that no sample switches on stand still
        power = nonequilibrium.spectrum(np.diff(weights, axis=0), segments=segments)
        spectra.append(power)
        bands.append(_in_bands(power.frequencies, power.power))
        values, band = nonequilibrium.autocorrelation(weights, [lag for lag in LAGS if lag < epochs // 4])
        correlations.append(values)
        if k < 2:
            fits.append(_fitted(weights, power.frequencies))
            near = network.relaxation(run.weights[burn_in:].mean(0), rate, batch=batch, decay=decay, count=directions)
            settled.append(_near_the_minimum(near, run.weights[burn_in:], segments, seed))
    bands = np.array(bands)
    freedom = _freedom(segments, epochs - 1)
    white = stats.chi2.ppf([1e-4, 1 - 1e-4], freedom) / freedom
    own, other = settled
    return {
        "frequencies": spectra[0].frequencies, "powers": np.array([s.power for s in spectra]),
        "lows": np.array([s.low for s in spectra]), "highs": np.array([s.high for s in spectra]),
        "edges": np.array(EDGES), "bands": bands, "lags": np.array(LAGS[: len(correlations[0])]),
        "correlations": np.array(correlations), "band": band, "slope_epochs": places + 1, "slopes": np.array(slopes),
        "losses": np.array(losses),
        "curvatures": own["curvatures"], "memory": own["memory"], "along": own["along"], "null": own["null"],
        "measured": np.array([minimum["measured"] for minimum in settled]), "predicted": own["predicted"],
        "halves": np.array([minimum["halves"] for minimum in settled]),
        "low_over_white": bands[0, 0] / white[0],
        "drift_over_settled": bands[2, 0] / bands[0, 0] / stats.f.ppf(1 - 1e-4, freedom, freedom),
        "control_over_white": bands[3, 0] / white[1],
        "control_correlation": correlations[3][LAGS.index(10)] / band,
        "inside_null": own["inside_null"], "inside_white": own["inside_white"],
        "inside_null_without_replacement": other["inside_null"], "fit_gap": np.abs(bands[:2, 0] / fits - 1).max(),
        "rotation_z": own["z"], "rotation_share": own["share"], "rotation_p": own["p_value"],
        "rotation_share_without_replacement": other["share"], "rotation_p_without_replacement": other["p_value"],
    }  # fmt: skip


def _in_bands(frequencies, power):
    """Mean power in each band of EDGES."""
    return [power[(frequencies > a) & (frequencies <= b)].mean() for a, b in zip(EDGES[:-1], EDGES[1:])]


def _freedom(segments, count):
    """Degrees of freedom of the power below EDGES[1] of one series (Percival, Walden 1993; 1.5 bins a Hann window)."""
    bins = math.floor(EDGES[1] * (count // segments))
    return 36 * segments**2 / (19 * segments - 1) * max(bins / 1.5, 1)


def _fitted(weights, frequencies):
    """Power below EDGES[1] of increments by one autoregression a weight, mean over the weights."""
    memory = [float(nonequilibrium.autocorrelation(series, [1])[0][0]) for series in weights.T]
    return np.mean([_in_bands(frequencies, nonequilibrium.increment_spectrum(frequencies, phi))[0] for phi in memory])


def _near_the_minimum(near, weights, segments, seed):
    """Spectra along the steepest directions beside their null, and the rotation of their pairs beside the predicted."""
    import warnings

    along = (weights - weights.mean(0)) @ near.directions
    powers = [nonequilibrium.spectrum(np.diff(series), segments=segments) for series in along.T]
    frequencies = powers[0].frequencies
    null = np.array([nonequilibrium.increment_spectrum(frequencies, phi) for phi in near.memory])
    null /= null.mean(1, keepdims=True)
    low = np.array([_in_bands(frequencies, s.power)[0] for s in powers])
    of_null = np.array([_in_bands(frequencies, power)[0] for power in null])
    freedom = _freedom(segments, len(along) - 1)
    least, most = stats.chi2.ppf([0.005, 0.995], freedom) / freedom
    with warnings.catch_warnings():  # slow weights turn the steep directions a little, long after they have relaxed
        warnings.filterwarnings("ignore", message="pieces of")
        turning = nonequilibrium.rotation(along, np.arange(len(along)), seed=seed)
    pairs = np.triu_indices(len(near.memory), 1)
    size = np.sqrt(np.outer(*2 * [np.diag(near.covariance)]))[pairs]
    # one number a piece: the rotation along the predicted one, 1 where they are equal
    length = (len(along) - 1) // PIECES
    ahead, behind = along[1 : 1 + length * PIECES], along[: length * PIECES]
    projected = np.einsum("ti,ij,tj->t", behind, near.Q, ahead) / (near.Q**2).sum()
    pieces = projected.reshape(PIECES, length).mean(1)
    return {
        "curvatures": near.curvatures, "memory": near.memory, "null": null,
        "along": np.array([s.power for s in powers]),
        "measured": turning.Q[pairs] / size, "predicted": near.Q[pairs] / size,
        "halves": (turning.high - turning.Q)[pairs] / size, "p_value": turning.p_value, "share": pieces.mean(),
        "z": pieces.mean() / (pieces.std(ddof=1) / math.sqrt(PIECES)),
        "inside_null": int(((low > least * of_null) & (low < most * of_null)).sum()),
        "inside_white": int(((low > least) & (low < most)).sum()),
    }  # fmt: skip


def _slope(network, weights, decay):
    """|gradient of the loss on all samples, decay included|."""
    return np.linalg.norm(network.gradients(weights).mean(0) + decay * weights)


def _in_decades(frequencies, *rows):
    """Means of rows (..., frequencies) over bins of equal ratio, 40 a decade."""
    bins = np.unique(np.floor(40 * np.log10(frequencies)), return_inverse=True)[1]
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    return [np.add.reduceat(row, starts, axis=-1) / np.bincount(bins) for row in rows]


def draw(data):
    """Above: spectra, autocorrelations and gradients of weights; below: spectra along directions, rotations, losses."""
    from pdelab.plotting import label_ends, look, subplots

    looks = [look(name) for name in ("inviscid", "viscous", "sgd", "bad")]
    colors = [style["color"] for style in looks]
    figure, (names, (left, middle, right), (below, turns, losses)) = subplots(
        3, 3, size=(8.0, 6.4), height_ratios=(0.08, 1, 1)
    )
    epochs = data["slope_epochs"]
    frequencies, powers, lows, highs, along, null = _in_decades(
        data["frequencies"], *(data[name] for name in ("frequencies", "powers", "lows", "highs", "along", "null"))
    )
    for k, (name, color) in enumerate(zip(ROWS, colors)):
        style = {"lw": 1.2, **looks[k]}
        left.fill_between(frequencies, lows[k], highs[k], color=color, alpha=0.25, lw=0)
        left.loglog(frequencies, powers[k], **style)
        middle.semilogx(data["lags"], data["correlations"][k], marker="o", ms=4, **style)
        right.loglog(epochs, data["slopes"][k], **style)
        names[0].plot([], [], label=name, **style)
        losses.loglog(epochs, data["losses"][k], **style)
    left.axhline(1.0, color="#999999", lw=0.8)
    left.set(xlabel="cycles per epoch", ylabel="power of increments", ylim=(3e-4, None))
    for ax in names:
        ax.axis("off")
    names[0].legend(ncols=4, loc="lower left", borderaxespad=0.0, columnspacing=1.2).set_in_layout(False)
    middle.axhspan(-data["band"], data["band"], color="#dddddd", lw=0)
    middle.set(xlabel="lag, epochs", ylabel="autocorrelation of weights")
    right.set(xlabel="epoch", ylabel="|full gradient|")
    losses.set(xlabel="epoch", ylabel="loss")
    for k, shift in zip((0, len(data["memory"]) // 2, -1), (1.0, 10.0, 100.0)):
        said = f"h = {data['curvatures'][k]:.2g}"
        below.loglog(frequencies, shift * along[k], color=colors[0], lw=0.8, label=said)
        below.loglog(frequencies, shift * null[k], "k--", lw=1.0)
    below.set(xlabel="cycles per epoch", ylabel="power along h, ×1, 10, 100")
    label_ends(below)
    for k in (1, 0):
        turns.errorbar(
            data["predicted"], data["measured"][k], data["halves"][k], fmt="o", ms=3, lw=0.8, color=colors[k]
        )
    ends = np.array([-1.1, 1.1]) * np.abs(data["predicted"]).max()
    turns.plot(ends, ends, color="#999999", lw=0.8)
    turns.set(xlabel="predicted rotation of a pair", ylabel="measured, share of variance")
    return figure
