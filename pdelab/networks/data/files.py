"""The published formats, read without executing anything; what is missing or damaged is said in one sentence."""

import gzip
import io
import math
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np

__all__ = ["MOST", "cifar", "cifar_files", "idx", "locate", "mat", "read", "text"]

MOST = 1 << 30  # bytes of a file, unpacked: the largest of the published ones, EMNIST's images, have half of it


def locate(folder, name, files):
    """{file: path} of a data set's files: in the folder, below the data set's name, or where torchvision puts them
    (MNIST/raw); plain or gzipped."""
    paths = {file: _path(folder, name, file) for file in files}
    missing = [file for file, path in paths.items() if path is None]
    if missing:
        lack = "here" if len(missing) == len(files) else "complete"
        raise ValueError(f"{name} is not {lack}: put {', '.join(missing)} (plain or .gz) into {folder / name}")
    return paths


def _path(folder, name, file):
    for base in (folder / name, folder, folder / name.upper() / "raw"):
        for stem in (base / file, base / Path(file).name):
            for candidate in (stem, stem.with_name(f"{stem.name}.gz")):
                if candidate.is_file():
                    return candidate
    return None


def read(path, most=MOST):
    """The bytes of a file, unpacked when its name ends in .gz; refused when they are more than `most`."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            raw = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged and cannot be read: {error}") from error
    if len(raw) > most:
        raise ValueError(f"{path} is damaged or no file of this kind: it holds more than {most} bytes")
    return raw


def idx(path, dimensions):
    """An array of bytes in the idx format of MNIST."""
    raw, header = read(path), 4 + 4 * dimensions
    if len(raw) < header or raw[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is damaged: it does not begin as an idx file of {dimensions} dimensions of bytes")
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    if len(raw) != header + math.prod(shape):
        raise ValueError(f"{path} is damaged: expected {header + math.prod(shape)} bytes, got {len(raw)}")
    if not math.prod(shape):
        raise ValueError(f"{path} holds nothing: its shape is {' x '.join(map(str, shape))}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def cifar_files(folder, name, binary, python):
    """The files of CIFAR's binary version or, where only that is there, of its Python version."""
    try:
        return list(locate(folder, name, binary).values())
    except ValueError:
        if not any(_path(folder, name, file) for file in python):
            raise
        return list(locate(folder, name, python).values())


def cifar(path, labels):
    """Pixels in [0, 1] and the last of `labels` labels of each record of CIFAR's binary or Python version."""
    if path.name.removesuffix(".gz").endswith(".bin"):
        raw, record = read(path), labels + 3072
        if not raw or len(raw) % record:
            raise ValueError(f"{path} is damaged: expected records of {record} bytes, got {len(raw)} bytes")
        table = np.frombuffer(raw, np.uint8).reshape(-1, record)
        pixels, tags = table[:, labels:], table[:, labels - 1]
    else:
        pixels, tags = _pickled(path, b"labels" if labels == 1 else b"fine_labels")
    return pixels.reshape(-1, 3, 32, 32) / np.float32(255.0), tags.astype(np.int64)


def _pickled(path, key):
    """Pixels (n, 3072) and labels of a file of CIFAR's Python version, by an unpickler that knows arrays and nothing
    else: no code in the file is run."""
    try:
        content = _Arrays(io.BytesIO(read(path)), encoding="bytes").load()
        pixels, tags = np.asarray(content[b"data"]), np.asarray(content[key])
    except Exception as error:  # the unpickler raises whatever the damage leads to
        raise ValueError(f"{path} is damaged or no file of CIFAR's Python version: {error}") from error
    good = pixels.dtype == np.uint8 and pixels.ndim == 2 and pixels.shape[1] == 3072 and tags.dtype.kind in "iu"
    if not good or tags.shape != (len(pixels),) or not len(tags):
        raise ValueError(
            f"{path} is damaged: expected bytes (n, 3072) and n labels, got {pixels.shape} and {tags.shape}"
        )
    return pixels, tags


class _Arrays(pickle.Unpickler):
    """Arrays of plain numbers, and containers of them."""

    def find_class(self, module, name):
        """The few names that an array needs."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return lambda kind, shape, code: np.ndarray((0,), np.uint8) if shape == (0,) else self.refuse(module, name)
        if (module, name) == ("numpy", "ndarray"):
            return None  # only the first argument of _reconstruct
        if (module, name) == ("numpy", "dtype"):
            return _plain_dtype
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return lambda raw, kind, shape, order: np.frombuffer(raw, kind).reshape(shape, order=order)
        if (module, name) == ("_codecs", "encode"):  # bytes, in protocol 2 of Python 3
            return _encoded
        return self.refuse(module, name)

    def refuse(self, module, name):
        """Nothing else is looked up."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}; the binary version holds the same images")


def _plain_dtype(code, *flags):
    code = code.decode() if isinstance(code, bytes) else code
    if not isinstance(code, str) or np.dtype(code).kind not in "iuf":
        raise pickle.UnpicklingError(f"an array of {code!r}")
    return np.dtype(code)


def _encoded(text, encoding):
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("text of an unknown kind")
    return text.encode("latin1")


def mat(path):
    """Pixels in [0, 1] and labels 0 to 9 (the file says 10 for 0) of a MATLAB file of SVHN."""
    from scipy.io import loadmat, whosmat

    raw = io.BytesIO(read(path, 2 * MOST))
    try:
        shapes = {name: shape for name, shape, _ in whosmat(raw)}
        if math.prod(shapes["X"]) > 2 * MOST or math.prod(shapes["y"]) > MOST:  # before they are unpacked
            raise ValueError(f"arrays of shapes {shapes['X']} and {shapes['y']}")
        content = loadmat(raw, variable_names=["X", "y"])
        pixels, labels = content["X"], content["y"].ravel()
    except Exception as error:  # loadmat raises whatever the damage leads to
        raise ValueError(f"{path} is damaged or no MATLAB file with X and y: {error}") from error
    if pixels.shape != (32, 32, 3, len(labels)) or pixels.dtype != np.uint8:
        got = f"{pixels.dtype} of shape {pixels.shape}"
        raise ValueError(f"{path} is damaged: expected X of 32 x 32 x 3 x {len(labels)} bytes, got {got}")
    if not np.isin(labels, range(1, 11)).all():
        raise ValueError(f"{path} is damaged: expected labels 1 to 10")
    return pixels.transpose(3, 2, 0, 1) / np.float32(255.0), labels.astype(np.int64) % 10


def text(path):
    """A text in UTF-8, without the byte-order mark that some editors put in front."""
    try:
        return read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged or not UTF-8: {error.reason} at byte {error.start}") from error
