"""Data for the networks: built-in digits and text, and the papers' data sets from a local folder, never the network.

Files are read in their published binary formats; no pickle is executed. What is missing is said in one sentence with
what to put where, what is damaged in one sentence with what was expected.
"""

import gzip
import math
import os
import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

__all__ = [
    "DATA",
    "Data",
    "Split",
    "batch_count",
    "batches",
    "contrast_normalise",
    "crops_and_flips",
    "keyed_generator",
    "load",
    "ready",
    "scale",
    "zca",
]


@dataclass(frozen=True)
class Split:
    """Inputs and targets of the same length: images (n, channels, height, width) with labels (n,); text as tokens
    (n,), one stream, or (n, steps), independent lines, with the tokens that follow."""

    inputs: torch.Tensor
    targets: torch.Tensor

    def __len__(self):
        return len(self.inputs)

    @property
    def stream(self):
        """Whether this is one running text, whose batches follow one another."""
        return self.inputs.ndim == 1

    def take(self, index):
        """The samples of an index array or slice."""
        return Split(self.inputs[index], self.targets[index])

    def to(self, device):
        """The same split on a device."""
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True)
class Data:
    """A data set in three splits.

    Attributes
    ----------
    name : str
    kind : "images" or "text"
    train, validation, test : Split
    classes : int
        Labels, or size of the vocabulary.
    steps : int or None
        Length of the windows of a text stream.
    augment : callable or None
        (images, torch.Generator) -> images, applied to training batches.
    options : dict
        The arguments of `load` that make this data set again.
    vocabulary : tuple of str
        Text only: the tokens in the order of their numbers.
    """

    name: str
    kind: str
    train: Split
    validation: Split
    test: Split
    classes: int
    steps: int | None = None
    augment: object = None
    options: dict = field(default_factory=dict)
    vocabulary: tuple = ()

    @property
    def shape(self):
        """Shape of one input: (channels, height, width), or (steps,) for text."""
        return tuple(self.train.inputs.shape[1:]) or (self.steps,)


def load(name="digits", folder=None, **options):
    """Load a data set by name.

    Parameters
    ----------
    name : str
        A key of `DATA`: "digits" and "topics" are built in, the others are read from `folder`.
    folder : path, optional
        Where the files lie, in a subfolder of the data set's name or directly; default: the environment variable
        PDELAB_DATA, else "data".
    options
        seed : int, the split (digits) or the part held out for validation; default 0.
        train, validation : int or fraction, sizes of these splits (images; default as in the papers).
        preprocess : "none", "scale", "contrast" or "zca" (images).
        augment : bool, random crops and mirror flips of the training images.
        steps : int, window of a text; lines : int, make that many independent lines of `steps` tokens; words : int,
        read words instead of characters, with a vocabulary of so many (the rarer ones become <unk>).
        size : int, downsample images to this side by averaging; classes : int, keep the first so many classes.
        file : path, the plain text to read ("text").

    Returns
    -------
    Data

    Raises
    ------
    ValueError
        Unknown name or option, missing files (with what to put where), damaged files, sizes that do not fit.

    Examples
    --------
    >>> digits = load("digits", seed=1)
    >>> len(digits.train), len(digits.validation), len(digits.test), digits.shape
    (1078, 359, 360, (1, 8, 8))
    """
    if name not in DATA:
        raise ValueError(f"unknown data set {name!r}: choose from {', '.join(DATA)}")
    loader, allowed, _ = DATA[name]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ValueError(f"the data set {name!r} has no option {', '.join(unknown)}: choose from {', '.join(allowed)}")
    folder = Path(folder if folder is not None else os.environ.get("PDELAB_DATA", "data"))
    return replace(loader(folder, **options), name=name, options=dict(options))


def ready(folder=None):
    """What can be loaded: {name: None if it is there, else the sentence that says what to put where}."""
    folder = Path(folder if folder is not None else os.environ.get("PDELAB_DATA", "data"))
    found = {}
    for name, (_, _, files) in DATA.items():
        try:
            for file in files:
                _find(folder, name, file)
            found[name] = None
        except ValueError as error:
            found[name] = str(error)
    if found["text"] is None:
        found["text"] = (
            'name a plain text file with the option file=..., e.g. data_options={"file": "war_and_peace.txt"}'
        )
    return found


# Batches ------------------------------------------------------------------------------------------------------------


def batch_count(split, size, steps=None):
    """Batches of one pass over a split: whole batches only, so that every gradient has the same noise."""
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"expected batch_size to be a positive whole number, got {size!r}")
    count = max((len(split) // size), 0) // steps if split.stream else len(split) // size
    if count < 1:
        need = f"{size} x {steps} tokens" if split.stream else f"{size} samples"
        raise ValueError(f"a batch needs {need}, the split has {len(split)}: choose a smaller batch_size")
    return count


def batches(split, size, *, seed, epoch, replica=0, steps=None, augment=None, replacement=False, start=0):
    """The batches of one pass, a pure function of (seed, replica, epoch): a resumed run sees the same ones.

    Parameters
    ----------
    split : Split
    size : int
        Samples in a batch; for a stream, parallel columns of `steps` tokens each, in running order.
    seed, epoch, replica : int
        Key of the order and of the augmentation.
    augment : callable, optional
        (images, generator) -> images.
    replacement : bool
        Draw every batch anew from all samples instead of walking through a permutation.
    start : int
        Batches to leave out, when a run continues inside an epoch.

    Yields
    ------
    inputs, targets
    """
    count = batch_count(split, size, steps)
    if split.stream:
        yield from _windows(split, size, steps, count, start)
        return
    order = torch.randperm(len(split), generator=keyed_generator(seed, replica, epoch))
    for number in range(start, count):
        if replacement:
            index = torch.randint(len(split), (size,), generator=keyed_generator(seed, replica, epoch, number, 0))
        else:
            index = order[number * size : (number + 1) * size]
        index = index.to(split.inputs.device)
        inputs, targets = split.inputs[index], split.targets[index]
        yield (augment(inputs, keyed_generator(seed, replica, epoch, number, 1)) if augment else inputs), targets


def _windows(split, size, steps, count, start):
    length = len(split) // size
    inputs, targets = (part[: size * length].view(size, length) for part in (split.inputs, split.targets))
    for number in range(start, count):
        part = slice(number * steps, (number + 1) * steps)
        yield inputs[:, part], targets[:, part]


def keyed_generator(*key):
    """A torch generator on the CPU whose stream is a function of a tuple of whole numbers."""
    seed = int(np.random.SeedSequence([int(k) for k in key]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(seed)


# Preprocessing ------------------------------------------------------------------------------------------------------


def scale(train, *others):
    """Pixels of range [0, 1] to [-1, 1] (thesis 2.4.2)."""
    return tuple(2.0 * images - 1.0 for images in (train, *others))


def contrast_normalise(train, *others, floor=1e-8):
    """Global contrast normalisation: every image gets mean 0 and variance 1 (Goodfellow et al. 2013).

    Their scale 55 for 3 × 32 × 32 images is √3072 to one per cent. An image of one colour becomes 0.
    """
    return tuple(_contrast(images, floor) for images in (train, *others))


def zca(train, *others, regularisation=0.1):
    """ZCA whitening x ← (x - x̄) U (Λ + ε)^-1/2 Uᵀ with mean and covariance U Λ Uᵀ of the training images.

    Parameters
    ----------
    train, *others : tensors (n, channels, height, width)
    regularisation : float
        ε > 0, added to the eigenvalues; 0.1 as in Goodfellow et al. (2013).

    Returns
    -------
    tuple of tensors of the same shapes
    """
    if not regularisation > 0:
        raise ValueError(f"expected regularisation > 0, got {regularisation}")
    flat = train.flatten(1)
    mean = flat.double().mean(0)
    covariance = torch.zeros(flat.shape[1], flat.shape[1], dtype=torch.float64)
    for part in flat.split(8192):
        centred = part.double() - mean
        covariance += centred.T @ centred / len(flat)
    values, vectors = torch.linalg.eigh(covariance)
    whitener = (vectors / (values.clamp(min=0) + regularisation).sqrt()) @ vectors.T
    mean, whitener = mean.to(train.dtype), whitener.to(train.dtype)
    return tuple(((images.flatten(1) - mean) @ whitener).view_as(images) for images in (train, *others))


def crops_and_flips(images, generator, padding=4):
    """Shift every image by up to `padding` pixels (zeros come in) and mirror it with probability 1/2 (thesis 5.4.3)."""
    count, _, height, width = images.shape
    device = images.device
    shift = torch.randint(2 * padding + 1, (2, count, 1), generator=generator)
    flip = torch.rand(count, 1, generator=generator) < 0.5
    rows, columns = shift[0] + torch.arange(height), torch.arange(width).expand(count, -1)
    columns = shift[1] + torch.where(flip, width - 1 - columns, columns)
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    picked = padded[torch.arange(count)[:, None, None], :, rows[:, :, None].to(device), columns[:, None, :].to(device)]
    return picked.movedim(-1, 1)


def _contrast(images, floor):
    flat = images.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    deviation = flat.square().mean(1, keepdim=True).sqrt()
    return torch.where(deviation > floor, flat / deviation.clamp(min=floor), 0.0).view_as(images)


def _contrast_and_zca(*images):
    return zca(*contrast_normalise(*images))


PREPROCESS = {
    "none": lambda *images: images,
    "scale": scale,
    "contrast": contrast_normalise,
    "zca": _contrast_and_zca,
}


# Images -------------------------------------------------------------------------------------------------------------


def _digits(folder, *, train=1078, validation=359, **options):
    """1797 digits of 8 x 8 pixels, built in (scikit-learn)."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16.0).reshape(-1, 1, 8, 8)
    seed = options.get("seed", 0)
    order = torch.randperm(len(images), generator=keyed_generator(seed)).numpy()
    count = len(images)
    first = _size(train, count, "train")
    second = _size(validation, count, "validation")
    if first + second > count:
        raise ValueError(f"train + validation = {first + second} exceeds the {count} digits")
    cuts = (order[:first], order[first : first + second], order[first + second :])
    return _images([(images[i], labels[i]) for i in cuts], 10, "scale", **options)


def _mnist(folder, **options):
    """70,000 digits of 28 x 28 pixels, in idx files."""
    images = [_idx(_find(folder, "mnist", f"{part}-images-idx3-ubyte"), 3) for part in ("train", "t10k")]
    labels = [_idx(_find(folder, "mnist", f"{part}-labels-idx1-ubyte"), 1) for part in ("train", "t10k")]
    for pixels, classes in zip(images, labels):
        if len(pixels) != len(classes):
            raise ValueError(f"mnist in {folder} is damaged: {len(pixels)} images but {len(classes)} labels")
    pairs = [(pixels[:, None] / 255.0, classes) for pixels, classes in zip(images, labels)]
    return _published(pairs, 10, "scale", **options)


def _cifar10(folder, **options):
    """60,000 images of 3 x 32 x 32 pixels in 10 classes, the binary version."""
    names = [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)]
    parts = [_cifar(_find(folder, "cifar10", name), 1) for name in names]
    train = tuple(np.concatenate(part) for part in zip(*parts))
    test = _cifar(_find(folder, "cifar10", "cifar-10-batches-bin/test_batch.bin"), 1)
    return _published([train, test], 10, "zca", **options)


def _cifar100(folder, **options):
    """60,000 images of 3 x 32 x 32 pixels in 100 classes, the binary version."""
    pairs = [_cifar(_find(folder, "cifar100", f"cifar-100-binary/{name}.bin"), 2) for name in ("train", "test")]
    return _published(pairs, 100, "zca", **options)


def _svhn(folder, *, extra=False, **options):
    """House numbers, 3 x 32 x 32 pixels, in MATLAB files (extra=True: 531,131 more)."""
    train = _mat(_find(folder, "svhn", "train_32x32.mat"))
    if extra:
        train = tuple(np.concatenate(p) for p in zip(train, _mat(_find(folder, "svhn", "extra_32x32.mat"))))
    return _published([train, _mat(_find(folder, "svhn", "test_32x32.mat"))], 10, "contrast", **options)


def _published(pairs, known, default, *, train=None, validation=0.12, seed=0, **options):
    """Hold out part of the published training set for validation: 12 % unless told otherwise (thesis 2.4.2)."""
    (pixels, labels), test = pairs
    held = _size(validation, len(pixels), "validation")
    kept = len(pixels) - held if train is None else _size(train, len(pixels), "train")
    if kept + held > len(pixels):
        raise ValueError(f"train + validation = {kept + held} exceeds the {len(pixels)} training images")
    order = torch.randperm(len(pixels), generator=keyed_generator(seed)).numpy()
    cuts = (order[:kept], order[kept : kept + held])
    return _images([*((pixels[i], labels[i]) for i in cuts), test], known, default, **options)


def _images(pairs, known, default, *, seed=0, augment=False, size=None, **options):
    kept, how = options.get("classes", known), options.get("preprocess", default)
    if how not in PREPROCESS:
        raise ValueError(f"unknown preprocess {how!r}: choose from {', '.join(PREPROCESS)}")
    if not isinstance(kept, int) or not 2 <= kept <= known:
        raise ValueError(f"expected classes between 2 and {known}, got {kept!r}")
    if not all(((labels >= 0) & (labels < known)).all() for _, labels in pairs):
        raise ValueError(f"a label lies outside 0..{known - 1}: the files are damaged")
    pairs = [(pixels[labels < kept], labels[labels < kept]) for pixels, labels in pairs]
    images = [_pooled(torch.as_tensor(pixels, dtype=torch.float32), size) for pixels, _ in pairs]
    images = PREPROCESS[how](*images)
    splits = [Split(x.contiguous(), torch.as_tensor(y).long()) for x, (_, y) in zip(images, pairs)]
    return Data("", "images", *splits, kept, augment=crops_and_flips if augment else None)


def _pooled(images, size):
    if size is None:
        return images
    side = images.shape[-1]
    if not isinstance(size, int) or not 1 <= size <= side or side % size:
        raise ValueError(f"expected size to divide the side {side} of the images, got {size!r}")
    return torch.nn.functional.avg_pool2d(images, side // size)


def _size(wanted, count, name):
    number = round(wanted * count) if isinstance(wanted, float) and wanted <= 1 else wanted
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= count:
        raise ValueError(f"expected {name} to be a number of samples up to {count} or a fraction, got {wanted!r}")
    return number


# Files --------------------------------------------------------------------------------------------------------------


def _find(folder, name, file):
    """The path of a file, directly in the folder or below the data set's name, plain or gzipped."""
    for base in (folder / name, folder):
        for candidate in (base / file, base / f"{file}.gz", base / Path(file).name):
            if candidate.is_file():
                return candidate
    needed = ", ".join(DATA[name][2])
    raise ValueError(f"{name} is not here: put {needed} (plain or .gz) into {folder / name}")


def _read(path):
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged and cannot be read: {error}") from error


def _idx(path, dimensions):
    raw, header = _read(path), 4 + 4 * dimensions
    if len(raw) < header or raw[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is damaged: it does not begin as an idx file of {dimensions} dimensions of bytes")
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    if len(raw) != header + math.prod(shape):
        raise ValueError(f"{path} is damaged: expected {header + math.prod(shape)} bytes, got {len(raw)}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _cifar(path, labels):
    raw, record = _read(path), labels + 3072
    if not raw or len(raw) % record:
        raise ValueError(f"{path} is damaged: expected records of {record} bytes, got {len(raw)} bytes")
    table = np.frombuffer(raw, np.uint8).reshape(-1, record)
    return table[:, labels:].reshape(-1, 3, 32, 32) / np.float32(255.0), table[:, labels - 1].astype(np.int64)


def _mat(path):
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["X", "y"])
        pixels, labels = content["X"], content["y"].ravel().astype(np.int64)
    except Exception as error:  # loadmat raises whatever the damage leads to
        raise ValueError(f"{path} is damaged or no MATLAB file with X and y: {error}") from error
    if pixels.shape != (32, 32, 3, len(labels)) or pixels.dtype != np.uint8:
        raise ValueError(f"{path} is damaged: expected X of 32 x 32 x 3 x {len(labels)} bytes, got {pixels.shape}")
    return pixels.transpose(3, 2, 0, 1) / np.float32(255.0), labels % 10


# Text ---------------------------------------------------------------------------------------------------------------


def _topics(folder, **options):
    """The text of Python's built-in help topics, by characters."""
    from pydoc_data.topics import topics

    return _characters("\n".join(topics[key] for key in sorted(topics)), **options)


def _text(folder, *, file=None, **options):
    """Any plain text in UTF-8, by characters: file=..."""
    if file is None:
        raise ValueError("the data set 'text' needs the option file=..., a plain text in UTF-8")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"there is no file {path}: put a plain text in UTF-8 there, or name another with file=...")
    return _characters(_decode(path), **options)


def _ptb(folder, *, steps=35):
    """Penn Tree Bank, by words."""
    texts = [_decode(_find(folder, "ptb", f"ptb.{part}.txt")) for part in ("train", "valid", "test")]
    words = [text.replace("\n", " <eos> ").split() for text in texts]
    counts = Counter(words[0])
    vocabulary = tuple(sorted(counts, key=lambda word: (-counts[word], word)))
    return _tokens(words, vocabulary, steps)


def _characters(text, *, steps=50, lines=None, words=None, seed=0, train=None):
    """Training, validation and test parts of 80, 10 and 10 % (thesis 3.3.5), by characters or by words."""
    text = text if train is None else text[: _size(train, len(text), "train")]
    tokens = text if words is None else _known_words(text.split(), words)
    vocabulary = tuple(sorted(set(tokens)))
    if len(tokens) < 100 or len(vocabulary) < 2:
        raise ValueError(f"expected a text of at least 100 tokens, two of them different, got {len(tokens)}")
    cuts = [round(len(tokens) * part) for part in (0.0, 0.8, 0.9, 1.0)]
    data = _tokens([tokens[a:b] for a, b in zip(cuts, cuts[1:])], vocabulary, steps)
    return data if lines is None else _lines(data, lines, seed)


def _known_words(tokens, count):
    if not isinstance(count, int) or count < 2:
        raise ValueError(f"expected words to be a whole number of at least 2, got {count!r}")
    counts = Counter(tokens)
    known = set(sorted(counts, key=lambda word: (-counts[word], word))[: count - 1])
    return [word if word in known else "<unk>" for word in tokens]


def _tokens(parts, vocabulary, steps):
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"expected steps to be a positive whole number, got {steps!r}")
    number = {token: i for i, token in enumerate(vocabulary)}
    unknown = number.get("<unk>")
    try:
        ids = [[number.get(token, unknown) for token in part] for part in parts]
        streams = [torch.tensor(part, dtype=torch.long) for part in ids]
    except (TypeError, RuntimeError) as error:
        raise ValueError("the text holds tokens that its training part lacks, and no <unk>") from error
    if min(map(len, streams)) < steps + 1:
        raise ValueError(f"the shortest part has {min(map(len, streams))} tokens: choose steps below that")
    return Data("", "text", *(Split(s[:-1], s[1:]) for s in streams), len(vocabulary), steps, vocabulary=vocabulary)


def _lines(data, lines, seed):
    """`lines` windows at random places for training, and as many as fit, up to a quarter, for the other two."""

    def cut(split, count, key):
        starts = torch.randint(len(split) - data.steps + 1, (count,), generator=keyed_generator(seed, key))
        return split.take(starts[:, None] + torch.arange(data.steps))

    counts = (lines, max(1, lines // 4), max(1, lines // 4))
    splits = (cut(s, n, k) for k, (s, n) in enumerate(zip((data.train, data.validation, data.test), counts)))
    return Data("", "text", *splits, data.classes, data.steps, vocabulary=data.vocabulary)


def _decode(path):
    try:
        return _read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged or not UTF-8: {error.reason} at byte {error.start}") from error


_IMAGES = ("seed", "train", "validation", "preprocess", "augment", "size", "classes")
_CHARACTERS = ("seed", "train", "steps", "lines", "words")
DATA = {
    "digits": (_digits, _IMAGES, ()),
    "topics": (_topics, _CHARACTERS, ()),
    "text": (_text, ("file", *_CHARACTERS), ()),
    "mnist": (
        _mnist,
        _IMAGES,
        tuple(f"{p}-{k}-ubyte" for p in ("train", "t10k") for k in ("images-idx3", "labels-idx1")),
    ),
    "cifar10": (
        _cifar10,
        _IMAGES,
        tuple(f"cifar-10-batches-bin/{n}.bin" for n in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")),
    ),
    "cifar100": (_cifar100, _IMAGES, ("cifar-100-binary/train.bin", "cifar-100-binary/test.bin")),
    "svhn": (_svhn, ("extra", *_IMAGES), ("train_32x32.mat", "test_32x32.mat")),
    "ptb": (_ptb, ("steps",), ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")),
}
