"""train(): the one training loop, and the state that makes it continue exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from pdelab.hints import Progress
from pdelab.networks import data as datasets
from pdelab.networks.checks import choice, place, positive, several, switch, whole
from pdelab.networks.devices import looking_waits
from pdelab.networks.distributed import join, split_indices
from pdelab.networks.training.measure import cross_entropy, evaluate, outer_weights, to_outer_weights
from pdelab.networks.training.recorded import Loops
from pdelab.networks.training.setup import (
    INITIALISATIONS,
    cuda,
    make_data,
    make_models,
    make_optimizer,
    milestones,
    surroundings,
    unboxed,
)
from pdelab.networks.training.store import Ranks, Store

__all__ = ["TrainingResult", "tell", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """A finished run.

    Attributes
    ----------
    config : dict
        Every choice of the run, in plain values.
    history : tuple of dict
        One record an epoch: epoch, gradients (of one replica), effective_epochs, lr, train_loss (mean over the
        mini-batches as they came), validation_loss, validation_error (per cent; None without such a split), seconds.
    final : dict
        {"train" | "validation" | "test": {"loss", "error"}} at the outer weights; empty splits are left out.
    model : torch.nn.Module
        With the outer weights, in eval mode.
    data : pdelab.networks.data.Data
    optimizer : torch.optim.Optimizer
    snapshots : dict
        {epoch: state_dict} of the outer weights at the epochs asked for.
    folder : Path or None
        Where log.jsonl, checkpoint.pt, model.pt and result.json lie.
    graphs : str or None
        Why the optimizer's loops were not recorded as CUDA graphs; None where they were.
    """

    config: dict
    history: tuple
    final: dict
    model: torch.nn.Module
    data: datasets.Data
    optimizer: torch.optim.Optimizer
    snapshots: dict = field(default_factory=dict)
    folder: Path | None = None
    graphs: str | None = None


def train(
    optimizer: str | Callable = "sgd",
    model: str | torch.nn.Module = "mlp",
    data: Any = "digits",
    *,
    epochs: int = 25,
    seed: int = 0,
    batch_size: int = 64,
    optimizer_options: dict | None = None,
    model_options: dict | None = None,
    data_options: dict | None = None,
    folder: str | PathLike | None = None,
    drops: Sequence[float] = (),
    drop_factor: float = 0.2,
    initialisation: str = "default",
    clip: float | None = None,
    replacement: bool = False,
    replicas: int = 1,
    share: float = 1.0,
    precision: str = "float32",
    snapshots: Sequence[int] = (),
    out: str | PathLike | None = None,
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
    device: str = "cpu",
    deterministic: bool = False,
    graphs: bool | None = None,
    on_epoch: Callable[[dict], object] | None = None,
    progress: Progress = False,
) -> TrainingResult:
    """Train a network and measure it.

    Parameters
    ----------
    optimizer : str or callable
        A key of `OPTIMIZERS`, or (parameters, **optimizer_options) -> torch.optim.Optimizer.
    model : str or torch.nn.Module
        A key of `pdelab.networks.models.MODELS` (sizes from the data and `model_options`), or a module, trained in
        place.
    data : str or Data
        A key of `pdelab.networks.data.DATA` (with `data_options`, files in `folder`), or a data set.
    epochs : int
        Effective epochs: passes over the training data in gradients, for each replica.
    seed : int
        Of initial weights, split, order of the batches, dropout and thermal noise.
    batch_size : int
        Samples of a gradient; the incomplete last batch of a pass is left out.
    drops, drop_factor
        The learning rate is multiplied by the factor after these epochs (whole numbers) or fractions of the run
        (numbers below 1).
    initialisation : "default" or "he"
        See `pdelab.networks.models.he`.
    clip : float, optional
        Largest norm of a gradient.
    replacement : bool
        Draw mini-batches with replacement.
    replicas : int
        Copies of the model in this process, for Elastic-SGD, Parle, LocalSGD and DiLoCo. Under torchrun every rank
        has so many.
    share : float
        Part of the training data each replica sees (thesis 5.5); each sample is seen by at least one.
    precision : "float32" or "bfloat16"
        Of the forward pass (autocast).
    snapshots : sequence of int
        Epochs whose outer weights are kept in the result.
    out : path, optional
        Folder for log, checkpoint, weights and result; nothing is written without it.
    resume : bool
        Continue from the checkpoint in `out` if there is one. Without it a folder that holds a run is refused.
    checkpoint_seconds : float
        Time between checkpoints; there is always one at the start and one at the end.
    device : str
        "cpu", "cuda", "cuda:1", ...
    deterministic : bool
        Only deterministic kernels, or an error where there is none.
    graphs : bool, optional
        Record a loop of the optimizer (`pdelab.networks.RecordedLoop`) as a CUDA graph and replay it. Default: on a GPU
        where it can be done, and the result's `graphs` says why where it cannot; True: refuse the run there.
    on_epoch : callable, optional
        Called with each record of the history.
    progress : bool or callable
        True: a bar on stderr; or a function of (epochs done, epochs in all). Quiet by default.
    optimizer_options, model_options, data_options : dict, optional
        Keyword arguments of the optimizer, the model and the data set.
    folder : path, optional
        Where data files lie.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        Unknown names, numbers out of range, a folder that holds a run, a checkpoint of another run or a damaged one.
    FloatingPointError
        The loss or the weights are not finite, with the epoch and the batch; the last checkpoint stays.

    Notes
    -----
    Dropout draws from torch's global generator, which is seeded inside and given back as it was.

    Under torchrun the ranks are joined (`pdelab.networks.join`) and replicas r, r + 1, ... live on rank r/replicas;
    without dropout the weights are those of as many replicas in one process, bit for bit. Rank 0 writes log and
    result; every rank keeps its two last checkpoints, one an epoch, and all resume at the last epoch they share.

    Good values
    -----------
    epochs : until the training loss no longer falls; an optimizer with L inner steps takes as many gradients an epoch
        as SGD.
    batch_size : 64 to 128 in the papers; larger means less noise and fewer steps.
    drops : at a half and three quarters of the run, by 0.2, in the papers.

    Examples
    --------
    >>> result = train("sgd", "mlp", "digits", epochs=2, optimizer_options={"lr": 0.05})
    >>> [record["gradients"] for record in result.history]
    [16, 32]
    """
    settings = {"epochs": epochs, "seed": seed, "batch_size": batch_size, "drops": drops, "drop_factor": drop_factor}
    settings |= {"clip": clip, "replacement": replacement, "precision": precision, "replicas": replicas}
    settings = _checked(unboxed(settings | {"share": share, "snapshots": snapshots}))
    choice("initialisation", initialisation, INITIALISATIONS)
    switch("deterministic", deterministic)
    if graphs is not None:
        switch("graphs", graphs)
    where, seed = place(device), settings["seed"]
    with surroundings(where, deterministic):
        torch.manual_seed(datasets.keyed_generator(seed, 0x5EED).initial_seed())
        with torch.device("cpu"):  # whatever torch's default: the same weights for a seed on every device
            dataset, config = make_data(data, folder, unboxed(data_options), seed)
            networks, more = make_models(model, dataset, unboxed(model_options), initialisation, settings["replicas"])
        for network in networks:
            network.to(where)
        group = join()
        stepper, chosen = make_optimizer(optimizer, networks, unboxed(optimizer_options), seed, group)
        ranks = Ranks(group)
        plain = chosen | more | config | settings | {"ranks": ranks.count}
        run = _Run(plain, networks, stepper, dataset, where, ranks)
        run.loops = Loops(run, graphs)
        total = settings["epochs"]
        with closing(Store(out, resume, checkpoint_seconds, run)) as store, tell(progress, total, "epochs") as told:
            told(run.epoch)
            while run.epoch < settings["epochs"]:
                run.finish_epoch(store.after_batch)
                store.after_epoch()
                told(run.epoch)
                if on_epoch:
                    with torch.random.fork_rng(devices=cuda(where)):
                        on_epoch(dict(run.history[-1]))
            store.last_checkpoint()
            final = run.final()
            store.result(final)
    return TrainingResult(
        run.config, tuple(run.history), final, run.model, dataset, stepper, run.snapshots, store.folder,
        run.loops.reason,
    )  # fmt: skip


@contextmanager
def tell(progress, total, unit):
    """A function of what is done: the caller's, with the total; a bar on stderr; or nothing."""
    if callable(progress):
        yield lambda done: progress(done, total)
    elif not switch("progress", progress):
        yield lambda done: None
    else:
        from tqdm import tqdm

        with tqdm(total=total, unit=f" {unit}", leave=False) as bar:
            yield lambda done: bar.update(done - bar.n)


class _Run:
    """The state of a training run: what `state` returns is everything the future depends on."""

    loops: Loops

    def __init__(self, config, networks, optimizer, data, device, ranks):
        self.config, self.networks, self.optimizer, self.data, self.device = config, networks, optimizer, data, device
        self.ranks, self.first = ranks, ranks.rank * len(networks)
        if ranks.rank:
            torch.manual_seed(datasets.keyed_generator(config["seed"], 0x5EED, ranks.rank).initial_seed())
        self.model = networks[0]
        parts = {"train": data.train, "validation": data.validation, "test": data.test}
        self.parts = {name: part.to(device) for name, part in parts.items() if len(part)}
        total = ranks.count * len(networks)
        splits = _shared(self.parts["train"], total, config["share"], config["seed"])
        self.splits = splits[self.first : self.first + len(networks)]
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, config["drops"], config["drop_factor"])
        self.batches = datasets.batch_count(self.splits[0], config["batch_size"], data.steps)
        self.epoch = self.batch = 0
        self.losses = torch.zeros(self.batches, device=device)
        self.carried = [None for _ in networks]
        self.history, self.snapshots, self.seconds = [], {}, 0.0

    def finish_epoch(self, after_batch):
        """The remaining batches of this epoch, then its record."""
        start = time.perf_counter()
        for network in self.networks:
            network.train()
        for count in self.loops.steps(zip(*map(self._batches, range(len(self.networks))))):
            self.batch += count
            if self.batch < self.batches:
                after_batch()
        self.check_finite()
        self.scheduler.step()
        self.epoch, self.batch, self.carried = self.epoch + 1, 0, [None for _ in self.networks]
        self._measure()
        self.seconds += time.perf_counter() - start
        self.history[-1]["seconds"] = round(self.seconds, 3)

    def check_finite(self):
        """Raise, before anything is written, when a loss of this epoch or a weight is not finite."""
        bad = (~torch.isfinite(self.losses[: self.batch])).nonzero()
        if len(bad):
            self._stop("loss is not finite in", bad[0].item() + 1)
        parameters = (p for network in self.networks for p in network.parameters())
        if not all(torch.isfinite(p).all() for p in parameters):
            self._stop("weights are not finite after", self.batch)

    def _stop(self, what, batch):
        place = f"epoch {self.epoch + 1}, batch {batch} of {self.batches}"
        raise FloatingPointError(f"the {what} {place}: a smaller learning rate may help")

    def final(self):
        """Measures of all splits at the outer weights, which stay in the model."""
        to_outer_weights(self.optimizer, self.model, self.parts["train"])
        self.model.eval()
        columns = {"train": self.config["batch_size"]}
        return {
            name: evaluate(self.model, part, steps=self.data.steps, columns=columns.get(name, 1))
            for name, part in self.parts.items()
        }

    def state(self):
        """Everything a checkpoint holds."""
        return {
            "config": self.config,
            "models": [network.state_dict() for network in self.networks],
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "threads": torch.get_num_threads(),
            "position": (self.epoch, self.batch),
            "losses": self.losses,
            "carried": self.carried,
            "history": self.history,
            "snapshots": self.snapshots,
            "seconds": self.seconds,
        }

    def restore(self, state):
        """Put a checkpoint's state back."""
        epoch, batch = state["position"]
        whole = 0 <= epoch <= self.config["epochs"] and 0 <= batch < self.batches and epoch == len(state["history"])
        if not whole or len(state["carried"]) != len(self.networks) or state["losses"].shape != self.losses.shape:
            raise ValueError("its parts do not belong together")
        for network, weights in zip(self.networks, state["models"], strict=True):
            network.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["rng"].cpu())
        if state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.device)
        self.epoch, self.batch = epoch, batch
        self.losses, self.carried = state["losses"], state["carried"]
        self.history, self.snapshots, self.seconds = state["history"], state["snapshots"], state["seconds"]

    def _batches(self, replica):
        return datasets.batches(
            self.splits[replica],
            self.config["batch_size"],
            seed=self.config["seed"],
            replica=self.first + replica,
            epoch=self.epoch,
            steps=self.data.steps,
            augment=self.data.augment,
            replacement=self.config["replacement"],
            start=self.batch,
        )

    def gradient_step(self, pairs):
        """One mini-batch gradient of every replica, then one step of the optimizer; the loss."""
        self.optimizer.zero_grad()
        loss = self.gradients(pairs)
        self.optimizer.step()
        return loss

    def gradients(self, pairs):
        """Add a mini-batch gradient to every replica's; the mean of their losses."""
        half, total = self.config["precision"] == "bfloat16", 0.0
        keep = self.loops.reason is not None  # weights cast for one forward pass are kept, but not in a graph
        for replica, (inputs, targets) in enumerate(pairs):
            network = self.networks[replica]
            with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=keep) if half else nullcontext():
                loss, carried = cross_entropy(network, inputs, targets, self.carried[replica])
            if not looking_waits(self.device) and not torch.isfinite(loss):
                self._stop("loss is not finite in", self.batch + 1)
            loss.backward()
            total = total + loss.detach()
            if self.splits[replica].stream:
                self.carried[replica] = tuple(part.detach() for part in carried)
            if self.config["clip"] is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), self.config["clip"])
        return total / len(pairs)

    def _measure(self):
        samples = self.config["batch_size"] * (self.data.steps if self.splits[0].stream else 1)
        record = {
            "epoch": self.epoch,
            "gradients": self.epoch * self.batches,
            "effective_epochs": self.epoch * self.batches * samples / len(self.splits[0]),
            "lr": self.optimizer.param_groups[0]["lr"],
            "train_loss": self.losses.mean().item(),
            "validation_loss": None,
            "validation_error": None,
        }
        if "validation" in self.parts or self.epoch in self.config["snapshots"]:
            with outer_weights(self.optimizer, self.model, self.parts["train"]):
                record |= self._validate()
        self.history.append(record)

    def _validate(self):
        if self.epoch in self.config["snapshots"]:
            weights = self.model.state_dict()
            self.snapshots[self.epoch] = {name: value.detach().clone() for name, value in weights.items()}
        if "validation" not in self.parts:
            return {}
        measured = evaluate(self.model, self.parts["validation"], steps=self.data.steps)
        return {f"validation_{key}": value for key, value in measured.items()}


def _shared(split, replicas, share, seed):
    if share == 1.0:
        return [split] * replicas
    if split.stream:
        raise ValueError(f"share: expected 1 for a running text, which cannot be split, got {share}: use lines=...")
    parts = split_indices(len(split), replicas, share, seed)
    return [split.take(torch.as_tensor(index, device=split.inputs.device)) for index in parts]


def _checked(settings):
    """The settings of a run, refused or completed: drops as epochs, snapshots in order."""
    for name, least in (("epochs", 1), ("seed", 0), ("batch_size", 1), ("replicas", 1)):
        whole(name, settings[name], least)
    positive("drop_factor", settings["drop_factor"])
    if settings["clip"] is not None:
        positive("clip", settings["clip"])
    switch("replacement", settings["replacement"])
    choice("precision", settings["precision"], ("float32", "bfloat16"))
    epochs, snapshots = settings["epochs"], settings["snapshots"]
    several("snapshots", snapshots)
    if not all(epoch in range(1, epochs + 1) for epoch in snapshots):
        raise ValueError(f"snapshots: expected epochs from 1 to {epochs}, got {snapshots!r}")
    return settings | {"drops": milestones(settings["drops"], epochs), "snapshots": sorted(snapshots)}
