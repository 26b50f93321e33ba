"""Checkpoints: one file, whole or not at all, that says when it is damaged and executes nothing when it is read."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from os import PathLike
from pathlib import Path

import torch

from pdelab.checks import shown
from pdelab.records import atomic

__all__ = ["fields", "load", "save"]

_MAGIC = b"pdelab checkpoint 1 "
_HEAD = len(_MAGIC) + 64 + 1


def save(path: str | PathLike, content: dict) -> None:
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


def load(path: str | PathLike, device: str | torch.device = "cpu") -> dict:
    """Read what `save` wrote. No pickled class is executed.

    Parameters
    ----------
    path : path
    device : str or torch.device
        Where tensors go.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        A file that is missing, damaged or foreign.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/one.pt", {"step": 3})
    ...     load(f"{folder}/one.pt")["step"]
    3
    """
    path = Path(path)
    head, payload = _read(path)
    if hashlib.sha256(payload).hexdigest().encode() != head[len(_MAGIC) : _HEAD - 1]:
        raise ValueError(f"the checkpoint {path} is damaged: its contents do not match its checksum")
    try:
        _refuse_packed(payload)
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} holds more than tensors and plain values, which is not read") from error
    except Exception as error:  # torch raises whatever a foreign content leads to
        raise ValueError(f"{path} is not a checkpoint of pdelab: {shown(str(error) or type(error))}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a checkpoint of pdelab: it holds a {type(content).__name__}")
    return _placed(content, device, len(payload), path)


def _read(path):
    """Head and payload; what does not begin as a checkpoint is not read on, however large it is."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is not a checkpoint of pdelab: it is no regular file")
        with open(path, "rb") as file:
            head = file.read(_HEAD)
            if not head.startswith(_MAGIC):
                raise ValueError(f"{path} is not a checkpoint of pdelab, or its beginning is damaged")
            return head, file.read()
    except OSError as error:
        raise ValueError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise ValueError(f"{path} is not a checkpoint of pdelab: it is larger than the memory") from error


def _named(kind):
    return f"a {kind.__name__}" if isinstance(kind, type) else " or ".join(map(_named, kind))


def fields(content: dict, path: str | PathLike, **kinds: type | tuple) -> None:
    """Refuse a checkpoint that lacks one of these entries, or has one of another kind.

    Parameters
    ----------
    content : dict
        What `load` returned.
    path : path
        For the message.
    **kinds : type or tuple of types
        name=kind of the entries that must be there.

    Raises
    ------
    ValueError
        An entry that is missing or of another kind.

    Examples
    --------
    >>> fields({"step": 3}, "run.pt", step=int)
    """
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            got = f"a {type(content[name]).__name__}" if name in content else "nothing"
            raise ValueError(f"{path} is not such a checkpoint: expected {name} to be {_named(kind)}, got {got}")


def _refuse_packed(payload):
    """A checkpoint is an archive that is not compressed, so that nothing in it is larger than the file."""
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        for part in archive.infolist():
            if part.compress_type != zipfile.ZIP_STORED or part.file_size > len(payload):
                raise ValueError(f"its part {part.filename} is packed: {part.file_size} bytes in {part.compress_size}")


def _placed(value, device, most, path):
    """Nested containers with their tensors on the device; a tensor of more numbers than the file holds is refused."""
    if isinstance(value, torch.Tensor):
        size = value.numel() * value.element_size()
        if value.layout != torch.strided:
            raise ValueError(f"{path} is not a checkpoint of pdelab: it holds a tensor of layout {value.layout}")
        if max(size, value.untyped_storage().nbytes()) > most:
            raise ValueError(f"{path} is not a checkpoint of pdelab: a tensor claims {size} bytes, the file has {most}")
        return value.to(device)
    if isinstance(value, dict):  # in place: a Counter or an OrderedDict stays one
        for key, item in value.items():
            value[key] = _placed(item, device, most, path)
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_placed(item, device, most, path) for item in value)
    return value
