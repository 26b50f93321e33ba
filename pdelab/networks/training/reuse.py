"""Runs that need not be done twice: the numbers of finished runs, found again in a folder by what made them.

A file a run. Its name is a digest of the arguments of `train`, the number of threads, the versions of the packages and
the source of `pdelab.networks`: whatever could change a number changes the name, and the run is done anew.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from os import PathLike
from pathlib import Path

import torch

from pdelab import records
from pdelab.networks import data as datasets

__all__ = ["Finished"]

_SOURCE = Path(datasets.__file__).parents[1]
_NO_TRAINING = ("comparison.py", "recipes.py", "reuse.py")  # of training/: what they hold is in the arguments
_ABOUT_THE_RUN = ("out", "resume", "checkpoint_seconds", "progress", "on_epoch")


class Finished:
    """The finished run of these arguments in a folder; nothing where there is no folder or the run is not repeatable.

    Repeatable are runs of named optimizers, models and built-in data: files of data may change unseen.
    """

    def __init__(self, folder: str | PathLike | None, arguments: dict):
        self.path: Path | None = None
        text = None if folder is None else _made_by(arguments)
        if folder is not None and text is not None:
            self.words = json.loads(text)
            self.path = records.output_folder(folder) / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def read(self) -> dict | None:
        """What `keep` left, or None."""
        if self.path is None or not self.path.is_file():
            return None
        record = records.load_json(self.path)
        if not isinstance(record, dict) or record.get("made_by") != self.words or "summary" not in record:
            raise ValueError(f"the result {self.path} is damaged: delete it, and its run is done again")
        return record["summary"]

    def keep(self, summary: dict) -> None:
        """Leave the numbers of a run, where all of them are finite: the record has no others."""
        if self.path is not None and json.loads(records.dumps(summary)) == summary:
            records.save_json(self.path, {"made_by": self.words, "summary": summary})


def _made_by(arguments):
    """All that the numbers of a run depend on, as text; None where that cannot be said."""
    told = {key: value for key, value in arguments.items() if key not in _ABOUT_THE_RUN}
    data = told.get("data", "digits")
    if not isinstance(data, str) or data == "text" or datasets.DATA.get(data, ((), (), "?"))[2]:
        return None
    there = {"torch_threads": torch.get_num_threads(), "processor": torch.backends.cpu.get_cpu_capability()}
    try:
        return json.dumps(
            {"arguments": told, "versions": records.versions("mlxtend"), "source": _source(), **there}, sort_keys=True
        )
    except TypeError:
        return None


@cache
def _source():
    """A digest of the code that trains."""
    digest = hashlib.sha256()
    for path in sorted(_SOURCE.rglob("*.py")):
        if path.parent.name != "training" or path.name not in _NO_TRAINING:
            digest.update(path.relative_to(_SOURCE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
