"""Checkpoints: one file, whole or not at all, that says when it is damaged and executes nothing when it is read."""

import hashlib
import io
import os
import pickle
from pathlib import Path

import torch

from pdelab.records import atomic

_MAGIC = b"pdelab checkpoint 1 "
_HEAD = len(_MAGIC) + 64 + 1


def save(path, content):
    """Write tensors and plain values atomically: a kill at any moment leaves the old file or the new one.

    Parameters
    ----------
    path : path
    content : dict
        Tensors, numbers, text, and lists, tuples and dicts of them.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> save(folder / "x.pt", {"weights": torch.ones(2), "epoch": 3})
    >>> load(folder / "x.pt")["epoch"]
    3
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getbuffer()
    with atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(_MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n")
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())


def load(path, device="cpu"):
    """Read what `save` wrote. No pickled class is executed; ValueError when the file is missing, damaged or foreign."""
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    if not raw.startswith(_MAGIC):
        raise ValueError(f"{path} is not a checkpoint of pdelab, or its beginning is damaged")
    payload = raw[_HEAD:]
    if hashlib.sha256(payload).hexdigest().encode() != raw[len(_MAGIC) : _HEAD - 1]:
        raise ValueError(f"the checkpoint {path} is damaged: its contents do not match its checksum")
    try:
        return torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} holds more than tensors and plain values, which is not read") from error
