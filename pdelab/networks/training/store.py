"""What a run leaves on disk: log.jsonl, checkpoint.pt, model.pt, result.json; nothing without a folder."""

from __future__ import annotations

import itertools
import json
import time
import warnings
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import torch
from filelock import FileLock, Timeout  # torch needs it too
from torch.nn.modules.module import register_module_parameter_registration_hook

from pdelab import records
from pdelab.checks import nonnegative, switch
from pdelab.networks import checkpoints, models
from pdelab.networks import data as datasets

__all__ = ["Ranks", "Store", "load_run"]

_CHECKPOINT = {
    "config": dict,
    "models": list,
    "optimizer": dict,
    "scheduler": dict,
    "rng": torch.Tensor,
    "threads": int,
}
_CHECKPOINT |= {"position": tuple, "losses": torch.Tensor, "carried": list, "history": list, "snapshots": dict}


class Ranks:
    """The processes of a run: one, or those that torchrun started."""

    def __init__(self, group):
        self.group = group
        self.rank = 0 if group is None else torch.distributed.get_rank(group)
        self.count = 1 if group is None else torch.distributed.get_world_size(group)

    def wait(self):
        """Let all ranks come to this place."""
        if self.group is not None:
            torch.distributed.barrier(self.group)

    def shared(self, positions):
        """The last of the positions (epoch, batch) that every rank has, or None where no rank got beyond the start."""
        everyone = [positions]
        if self.group is not None:
            everyone = [None] * self.count
            torch.distributed.all_gather_object(everyone, positions, self.group)
        common = set.intersection(*map(set, everyone))
        if not common and any(epoch for theirs in everyone for epoch, _ in theirs):
            raise ValueError("the ranks have no checkpoint in common: bring all files back, or choose another folder")
        return max(common, default=None)


class Store:
    """The folder of a run, or none. One process keeps one checkpoint, ranks keep two each, one an epoch."""

    def __init__(self, out, resume, seconds, run):
        self.run, self.seconds, self.saved = run, seconds, time.monotonic()
        switch("resume", resume)
        nonnegative("checkpoint_seconds", seconds, infinite=True)
        if resume and out is None:
            raise ValueError("out: expected the folder of the run to resume, got None: give out=...")
        self.folder = None if out is None else records.output_folder(out)
        if self.folder is None:
            return
        self.log, self.alone = self.folder / "log.jsonl", run.ranks.count == 1
        names = [self._names(rank) for rank in range(run.ranks.count)]
        self.checkpoints = [self.folder / name for name in names[run.ranks.rank]]
        self._refuse_others(resume, set().union(*names))
        self.lock = FileLock(self.folder / ".lock", blocking=False)
        try:
            self._begin(resume, set().union(*names))
        except BaseException:
            self.lock.release()
            raise

    def close(self):
        """Let other processes use the folder."""
        if self.folder is not None:
            self.lock.release()

    def _begin(self, resume, names):
        """Take the folder, put the last state back where there is one, and write the first lines and checkpoint."""
        if self.run.ranks.rank == 0:
            try:
                self.lock.acquire()
            except Timeout as error:
                raise ValueError(
                    f"another process trains in {self.folder}: wait for it, or choose another folder"
                ) from error
        self._refuse_others(resume, names)
        self._sweep()
        there = resume and self._continue()
        if self.run.ranks.rank == 0:
            self._start_log(there)
        if self.alone or not there:
            self._save()

    def after_batch(self):
        """A checkpoint inside an epoch, when it is due."""
        if self.folder is not None and self.alone and time.monotonic() - self.saved >= self.seconds:
            self.run.check_finite()
            self._save()

    def after_epoch(self):
        """The epoch's line in the log, and a checkpoint when it is due."""
        if self.folder is None:
            return
        if self.run.ranks.rank == 0:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(_line({"event": "epoch", **self.run.history[-1]}))
        if not self.alone or time.monotonic() - self.saved >= self.seconds:
            self._save()

    def last_checkpoint(self):
        """The checkpoint of the finished run."""
        if self.folder is not None and self.alone:
            self._save()

    def result(self, final):
        """The outer weights and the measured result."""
        if self.folder is None or self.run.ranks.rank:
            return
        run = self.run
        weights = {name: value.detach().clone() for name, value in run.model.state_dict().items()}
        checkpoints.save(self.folder / "model.pt", {"config": run.config, "model": weights})
        record = {"final": final, **records.provenance(run.config, run.seconds, run.config["seed"])}
        records.save_json(self.folder / "result.json", record)

    def _save(self):
        self.run.ranks.wait()  # no rank may be two checkpoints ahead of another
        checkpoints.save(self.checkpoints[self.run.epoch % len(self.checkpoints)], self.run.state())
        self.saved = time.monotonic()

    def _names(self, rank):
        return ["checkpoint.pt"] if self.alone else [f"checkpoint-rank{rank}-{k}.pt" for k in (0, 1)]

    def _refuse_others(self, resume, names):
        there = sorted(path.name for path in self.folder.glob("checkpoint*.pt"))
        if not resume and (there or (self.folder / "model.pt").exists()):
            raise ValueError(f"{self.folder} holds a run: continue it with resume=True, or choose another folder")
        foreign = [name for name in there if name not in names]
        if foreign:
            raise ValueError(f"{self.folder} holds a run of other processes: {foreign[0]}; choose another folder")

    def _sweep(self):
        """Remove the unfinished files of a process that was killed while it wrote."""
        others = [self.log, self.folder / "model.pt", self.folder / "result.json"]
        for path in [*self.checkpoints, *([] if self.run.ranks.rank else others)]:
            for unfinished in self.folder.glob(f".{path.stem}-????????{path.suffix}"):  # as `records.atomic` names them
                unfinished.unlink(missing_ok=True)

    def _continue(self):
        """Put the last state back that all ranks have; False when there is none."""
        states = {}
        for path in self.checkpoints:
            if path.exists():
                state = checkpoints.load(path, self.run.device)
                checkpoints.fields(state, path, **_CHECKPOINT)
                _same(state["config"], self.run.config, path)
                states[tuple(state["position"])] = state
        position = self.run.ranks.shared(sorted(states))
        if position is None:
            return False
        state = states[position]
        if state["threads"] != torch.get_num_threads():
            warnings.warn(
                f"the checkpoint was made with {state['threads']} threads, this run has {torch.get_num_threads()}: "
                "the weights may differ in the last bits",
                stacklevel=5,
            )
        try:
            self.run.restore(state)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"the checkpoint in {self.folder} does not fit this run: {error}") from error
        return True

    def _start_log(self, resumed):
        start = {
            "event": "start",
            "config": self.run.config,
            "versions": records.versions(),
            "command": records.command(),
            "threads": torch.get_num_threads(),
        }
        lines = [start, *({"event": "epoch", **record} for record in self.run.history)]
        if resumed:
            lines.append({"event": "resume", "epoch": self.run.epoch, "batch": self.run.batch})
        with records.atomic(self.log) as temporary:
            temporary.write_text("".join(map(_line, lines)), encoding="utf-8")


def load_run(folder: str | PathLike, data_folder: str | PathLike | None = None) -> tuple:
    """The model (outer weights, eval mode), the data and the config of a finished run.

    Parameters
    ----------
    folder : path
        The `out` of `train`.
    data_folder : path, optional
        Where the files of the data lie. By default where the run had them if they have the names and the format of a
        published data set; a plain text, which may be any file, only where `data.load` looks for it (PDELAB_DATA or
        "data"), so that a run from elsewhere names no file of this machine.

    Returns
    -------
    model, data, config

    Raises
    ------
    ValueError
        No finished run there, damaged weights, or a run of a model or data set that was not given by name.

    Examples
    --------
    >>> import tempfile
    >>> from pdelab.networks.training import train
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = train(epochs=1, out=folder)
    ...     model, data, config = load_run(folder)
    >>> config["optimizer"]
    'sgd'
    """
    path = Path(folder) / "model.pt"
    state = checkpoints.load(path)
    checkpoints.fields(state, path, config=dict, model=dict)
    config = state["config"]
    checkpoints.fields(config, path, model=str, data=str, model_options=dict, data_options=dict)
    if config["model"] not in models.MODELS or config["data"] not in datasets.DATA:
        raise ValueError(f"{folder} was trained from objects: build the model, then load_state_dict from model.pt")
    published = datasets.DATA[config["data"]][2] and isinstance(config.get("folder"), str)
    where = data_folder if data_folder is not None else config["folder"] if published else None
    try:
        data = datasets.load(config["data"], where, **config["data_options"])
    except (RuntimeError, TypeError, MemoryError) as error:
        raise ValueError(f"{path} names data that cannot be made: {error}") from error
    try:
        with torch.device("meta"), _at_most(2 * len(state["model"])):  # no memory before the sizes are known to fit
            model = models.build(config["model"], data, **config["model_options"])
        model.load_state_dict({name: value.clone() for name, value in state["model"].items()}, assign=True)
    except (RuntimeError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ValueError(f"the weights in {path} do not fit the model {config['model']!r}: {error}") from error
    return model.eval(), data, config


@contextmanager
def _at_most(count):
    """Refuse a model of more parameters than `count` while it is built: a number in a file may ask for millions."""
    registered = itertools.count()

    def note(module, name, parameter):
        if next(registered) >= count:
            raise RuntimeError(f"it has more than {count} parameters")

    handle = register_module_parameter_registration_hook(note)
    try:
        yield
    finally:
        handle.remove()


def _same(old, new, path):
    differing = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if differing:
        key = differing[0]
        raise ValueError(f"{path} belongs to another run: its {key} is {old.get(key)!r}, here it is {new.get(key)!r}")


def _line(record):
    return json.dumps(json.loads(records.dumps(record))) + "\n"  # infinities as text, as everywhere in records
