"""A classifier so small that the weights of every epoch can be kept: long trajectories of SGD (thesis 6.3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdelab import checks
from pdelab.kernels import classifiers

CHUNK = 256  # epochs whose batches are drawn at once


@dataclass(frozen=True, eq=False)
class SmallClassifier:
    """inputs - hidden - classes with rectified units and the cross-entropy, trained on these samples by SGD.

    Parameters
    ----------
    inputs : array (samples, inputs)
    labels : array of ints (samples,), from 0
    hidden : int

    Raises
    ------
    ValueError
        Samples that are not finite numbers, labels of one class only, hidden < 1.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.8, 0.1]])
    >>> network = SmallClassifier(x, [0, 1, 0, 1], hidden=4)
    >>> run = network.train(epochs=200, rate=0.5, batch=2, seed=0)
    >>> run.weights.shape, bool(run.losses[-1] < 0.1)
    ((200, 22), True)
    """

    inputs: NDArray[np.float64]
    labels: NDArray[np.int64]
    hidden: int = 12

    def __post_init__(self):
        inputs, labels = checks.reals("inputs", self.inputs), np.asarray(self.labels)
        if inputs.ndim != 2 or not inputs.size or not np.isfinite(inputs).all():
            raise ValueError(f"inputs: expected finite numbers (samples, inputs), got shape {inputs.shape}")
        if labels.shape != inputs.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() < 1:
            checks.refuse("labels", f"{len(inputs)} whole numbers from 0 of two classes or more", self.labels)
        object.__setattr__(self, "inputs", np.ascontiguousarray(inputs, float))
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "hidden", checks.whole("hidden", self.hidden))

    @property
    def classes(self) -> int:
        """How many classes the labels have."""
        return int(self.labels.max()) + 1

    @property
    def dimension(self) -> int:
        """Number of weights."""
        return self.hidden * (self.inputs.shape[1] + 1) + self.classes * (self.hidden + 1)

    def start(self, seed: int = 0) -> NDArray[np.float64]:
        """Random weights of variance 2/(units before) (He), without offsets.

        Parameters
        ----------
        seed : int >= 0

        Returns
        -------
        array (weights,)

        Raises
        ------
        ValueError
            seed < 0.
        """
        rng, width = np.random.default_rng(checks.whole("seed", seed, 0)), self.inputs.shape[1]
        first = rng.normal(size=self.hidden * width) * np.sqrt(2 / width)
        second = rng.normal(size=self.classes * self.hidden) * np.sqrt(2 / self.hidden)
        return np.concatenate([first, np.zeros(self.hidden), second, np.zeros(self.classes)])

    def gradients(self, weights: ArrayLike) -> NDArray[np.float64]:
        """The gradient of each sample's loss.

        Parameters
        ----------
        weights : array (weights,)

        Returns
        -------
        array (samples, weights)

        Raises
        ------
        ValueError
            Another length.
        """
        weights = self._weights(weights)
        rows = np.empty((len(self.labels), self.dimension))
        classifiers.sample_gradients(weights, self.inputs, self.labels, self.hidden, self.classes, rows)
        return rows

    def hessian(self, weights: ArrayLike, step: float = 1e-5) -> NDArray[np.float64]:
        """Second derivatives of the mean loss, by central differences of its gradient, made symmetric.

        Parameters
        ----------
        weights : array (weights,)
        step : float > 0
            Of the differences.

        Returns
        -------
        array (weights, weights)

        Raises
        ------
        ValueError
            Another length, step <= 0.
        """
        weights, step = self._weights(weights), checks.positive("step", step)
        rows = [
            (self.gradients(weights + move).mean(0) - self.gradients(weights - move).mean(0)) / (2 * step)
            for move in step * np.eye(self.dimension)
        ]
        return 0.5 * (np.array(rows) + np.transpose(rows))

    def relaxation(
        self, weights: ArrayLike, rate: float, *, batch: int = 32, decay: float = 0.0, count: int = 8
    ) -> Relaxation:
        """SGD with replacement near a minimum as a linear process, in the steepest directions of the Hessian there.

        Along unit eigenvectors v_i of curvature h_i a step is z_i <- (1 - η h_i) z_i + noise of covariance
        η² v_i·D v_j/b: each z_i by itself is autoregressive of order 1, and so shows no sign of a rotation; pairs turn
        where D couples directions of different curvature.

        Parameters
        ----------
        weights : array (weights,)
            A minimum of the loss with its decay, e.g. the mean of a long run.
        rate, batch, decay
            As in `train`.
        count : int
            Directions.

        Returns
        -------
        Relaxation

        Raises
        ------
        ValueError
            rate <= 0, decay < 0, weights of another length, more directions than there are weights.
        """
        rate, decay = checks.positive("rate", rate), checks.nonnegative("decay", decay)
        batch, count = checks.whole("batch", batch), checks.whole("count", count, 1, self.dimension)
        curvatures, directions = np.linalg.eigh(self.hessian(weights) + decay * np.eye(self.dimension))
        curvatures, directions = curvatures[: -count - 1 : -1], directions[:, : -count - 1 : -1]
        if not 0 < curvatures[-1] <= curvatures[0] < 2 / rate:
            raise ValueError(
                f"weights: expected curvatures in (0, {2 / rate:g}), got {curvatures}: nothing is stationary"
            )
        projections = self.gradients(weights) @ directions
        centred = projections - projections.mean(0)
        factors = 1 - rate * curvatures
        covariance = rate**2 / batch * (centred.T @ centred) / len(centred) / (1 - np.outer(factors, factors))
        memory = factors ** (len(self.labels) // batch)
        return Relaxation(curvatures, directions, memory, covariance, 0.5 * (memory - memory[:, None]) * covariance)

    def train(
        self,
        epochs: int,
        rate: float,
        *,
        batch: int | None = 32,
        decay: float = 0.0,
        replacement: bool = True,
        start: ArrayLike | None = None,
        seed: int = 0,
    ) -> Snapshots:
        """SGD with constant rate: θ <- θ - rate (mean gradient of a batch + decay θ), θ kept after each epoch.

        Parameters
        ----------
        epochs : int
        rate : float > 0
        batch : int or None
            None: gradient descent on all samples, one step an epoch.
        decay : float >= 0
        replacement : bool
            False: the batches of an epoch share a permutation of the samples (what is left over is dropped).
        start : array (weights,) or None
        seed : int

        Returns
        -------
        Snapshots

        Raises
        ------
        FloatingPointError
            When the weights are no longer finite: take a smaller rate.
        """
        count, epochs = len(self.labels), checks.whole("epochs", epochs)
        rate, decay = checks.positive("rate", rate), checks.nonnegative("decay", decay)
        batch = count if batch is None else checks.whole("batch", batch, 1, count)
        replacement = checks.switch("replacement", replacement)
        theta = self.start(seed) if start is None else self._weights(start).copy()
        rng, steps = np.random.default_rng([checks.whole("seed", seed, 0), 1]), count // batch
        saved, losses = np.empty((epochs, theta.size)), np.empty(epochs)
        for first in range(0, epochs, CHUNK):
            part = slice(first, min(first + CHUNK, epochs))
            shape = part.stop - first, steps, batch
            if batch == count:
                order = np.broadcast_to(np.arange(count), shape)
            elif replacement:
                order = rng.integers(0, count, shape)
            else:
                mixed = rng.permuted(np.broadcast_to(np.arange(count), (shape[0], count)), axis=1)
                order = mixed[:, : steps * batch].reshape(shape)
            classifiers.run_epochs(
                theta, self.inputs, self.labels, self.hidden, self.classes, np.ascontiguousarray(order), rate, decay,
                saved[part], losses[part],
            )  # fmt: skip
            if not np.isfinite(theta).all():
                lost = first + int(np.argmin(np.isfinite(saved[part]).all(1)))
                raise FloatingPointError(f"the weights overflow in epoch {lost + 1}: take a rate below {rate:g}")
        return Snapshots(saved, losses)

    def _weights(self, weights):
        weights = checks.reals("weights", weights)
        if weights.shape != (self.dimension,) or not np.isfinite(weights).all():
            raise ValueError(f"weights: expected {self.dimension} finite numbers, got shape {weights.shape}")
        return np.ascontiguousarray(weights)


@dataclass(frozen=True, eq=False)
class Snapshots:
    """What `SmallClassifier.train` leaves.

    Attributes
    ----------
    weights : array (epochs, weights)
        After each epoch.
    losses : array (epochs,)
        Mean over each epoch, at the weights of each step, without the decay's part.
    """

    weights: NDArray[np.float64]
    losses: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Relaxation:
    """SGD near a minimum, along unit directions, from epoch to epoch.

    Attributes
    ----------
    curvatures : array (k,)
        Eigenvalues h_i of the Hessian, decay included, largest first.
    directions : array (weights, k)
    memory : array (k,)
        φ_i = (1 - η h_i)^steps, the autocorrelation of z_i after one epoch.
    covariance : array (k, k)
        Of z.
    Q : array (k, k)
        (φ_j - φ_i) S_ij/2, what `nonequilibrium.rotation` of z at a lag of one epoch estimates.
    """

    curvatures: NDArray[np.float64]
    directions: NDArray[np.float64]
    memory: NDArray[np.float64]
    covariance: NDArray[np.float64]
    Q: NDArray[np.float64]


def pooled_digits(classes: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """scikit-learn's digits below `classes`, 4 x 4 pixels in [-1, 1], and their labels: 901 samples of five.

    Parameters
    ----------
    classes : int in [2, 10]

    Returns
    -------
    (inputs, labels) : array (samples, 16), array (samples,) of int

    Raises
    ------
    ValueError
        A number of classes out of range.

    Examples
    --------
    >>> inputs, labels = pooled_digits()
    >>> inputs.shape, int(labels.max())
    ((901, 16), 4)
    """
    from pdelab.networks import data

    digits = data.load("digits")
    splits = (digits.train, digits.validation, digits.test)
    images = np.concatenate([split.inputs.numpy() for split in splits]).reshape(-1, 4, 2, 4, 2).mean((2, 4))
    labels = np.concatenate([split.targets.numpy() for split in splits])
    chosen = labels < checks.whole("classes", classes, 2, 10)
    return images[chosen].reshape(-1, 16).astype(float), labels[chosen].astype(np.int64)


__all__ = ["Relaxation", "SmallClassifier", "Snapshots", "pooled_digits"]
