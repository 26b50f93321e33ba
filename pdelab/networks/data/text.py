"""Data sets of text: Python's help topics, Penn Tree Bank, any plain text; by characters or by words."""

from collections import Counter
from pathlib import Path

import torch

from pdelab.networks.checks import whole
from pdelab.networks.data import files
from pdelab.networks.data.batches import keyed_generator
from pdelab.networks.data.splits import Data, Split, size

__all__ = ["NO_FILE", "PTB", "plain", "ptb", "topics"]

PTB = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")
NO_FILE = 'name a plain text in UTF-8 with the option file=..., e.g. file="war_and_peace.txt"'


def topics(folder, **options):
    """The text of Python's built-in help topics, by characters."""
    from pydoc_data.topics import topics as texts

    return _characters("\n".join(texts[key] for key in sorted(texts)), **options)


def plain(folder, *, file=None, **options):
    """Any plain text in UTF-8, by characters: file=..."""
    if not isinstance(file, (str, Path)):
        raise ValueError(f"the data set 'text' needs the name of a plain text: {NO_FILE}")
    if Path(file).anchor or ".." in Path(file).parts or "\0" in str(file):
        raise ValueError(
            f"file: expected a name below the folder of the data, {folder} here, got {str(file)!r}: name its folder "
            "with folder=..."
        )
    path = folder / file
    if not path.is_file():
        raise ValueError(f"there is no file {path}: put a plain text in UTF-8 there, or name another with file=...")
    return _characters(files.text(path), **options)


def ptb(folder, *, steps=35):
    """Penn Tree Bank, by words."""
    texts = [files.text(path) for path in files.locate(folder, "ptb", PTB).values()]
    words = [text.replace("\n", " <eos> ").split() for text in texts]
    return _tokens(words, tuple(_by_frequency(words[0])), steps)


def _characters(text, *, steps=50, lines=None, words=None, seed=0, train=None):
    """Training, validation and test parts of 80, 10 and 10 % (thesis 3.3.5), by characters or by words."""
    text = text if train is None else text[: size(train, len(text), "train")]
    tokens = text if words is None else _known_words(text.split(), words)
    vocabulary = tuple(sorted(set(tokens)))
    if len(tokens) < 100 or len(vocabulary) < 2:
        raise ValueError(f"text: expected at least 100 tokens, two of them different, got {len(tokens)}")
    cuts = [round(len(tokens) * part) for part in (0.0, 0.8, 0.9, 1.0)]
    data = _tokens([tokens[a:b] for a, b in zip(cuts, cuts[1:])], vocabulary, steps)
    return data if lines is None else _lines(data, lines, seed)


def _known_words(tokens, count):
    whole("words", count, 2)
    known = set(_by_frequency(tokens)[: count - 1])
    return [word if word in known else "<unk>" for word in tokens]


def _by_frequency(words):
    """The different words, the most frequent first."""
    counts = Counter(words)
    return sorted(counts, key=lambda word: (-counts[word], word))


def _tokens(parts, vocabulary, steps):
    whole("steps", steps, 1)
    number = {token: i for i, token in enumerate(vocabulary)}
    unknown = number.get("<unk>")
    ids = [[number.get(token, unknown) for token in part] for part in parts]
    if any(None in part for part in ids):
        raise ValueError("text: expected <unk> for tokens that the training part lacks, got such tokens and no <unk>")
    shortest = min(map(len, ids))
    if shortest < steps + 1:
        raise ValueError(f"steps: expected less than the {shortest} tokens of the shortest part, got {steps}")
    streams = [torch.tensor(part, dtype=torch.long, device="cpu") for part in ids]
    return Data("", "text", *(Split(s[:-1], s[1:]) for s in streams), len(vocabulary), steps, vocabulary=vocabulary)


def _lines(data, lines, seed):
    """`lines` windows at random places for training, and as many as fit, up to a quarter, for the other two."""
    whole("lines", lines, 1)
    if lines * data.steps > files.MOST // 8:
        raise ValueError(f"lines: expected at most {files.MOST // (8 * data.steps)} of {data.steps}, got {lines}")

    def cut(split, count, key):
        starts = torch.randint(
            len(split) - data.steps + 1, (count,), generator=keyed_generator(seed, key), device="cpu"
        )
        return split.take(starts[:, None] + torch.arange(data.steps, device="cpu"))

    counts = (lines, max(1, lines // 4), max(1, lines // 4))
    splits = (cut(s, n, k) for k, (s, n) in enumerate(zip((data.train, data.validation, data.test), counts)))
    return Data("", "text", *splits, data.classes, data.steps, vocabulary=data.vocabulary)
