"""Attacks on what training reads and writes: names stay names, files of others are refused in a sentence, one process a
folder."""

import gzip
import hashlib
import io
import multiprocessing
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from pdelab.networks import checkpoints, data, training  # noqa: E402

QUICK = {"epochs": 2, "model_options": {"hidden": (4,)}}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    "name",
    ["../x", "../../x", "/tmp/x", "a/../../x", "a/..", "a//b", ".", "..", "", " ", "a\\b", "a\0b", "a\nb", 3, None],
)
@pytest.mark.parametrize("others", [{}, {"sgd": {}}])
def test_names_of_contestants_stay_below_out(tmp_path, name, others):
    out = tmp_path / "a" / "b"
    with pytest.raises(ValueError, match="contestants: expected names"):
        training.compare({name: {}} | others, seeds=2, out=out, **QUICK)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seeds", [["../../x", 1], [0, -1], [0.5, 1], [True, 2]])
def test_seeds_are_numbers(tmp_path, seeds):
    with pytest.raises(ValueError, match="seed"):
        training.compare({"sgd": {}}, seeds=seeds, out=tmp_path, **QUICK)
    assert not list(tmp_path.iterdir())


def test_names_of_recipes_are_folders(tmp_path):
    training.compare({"digits-mlp/sgd": {}, "b": {}}, seeds=2, out=tmp_path, **QUICK)
    assert sorted(p.name for p in (tmp_path / "digits-mlp" / "sgd").iterdir()) == ["seed_0", "seed_1"]


@pytest.mark.parametrize("file", ["../../../etc/passwd", "../secret.txt", "a/../../secret.txt"])
def test_texts_lie_in_their_folder(tmp_path, monkeypatch, file):
    (tmp_path / "secret.txt").write_text("secret " * 100)
    (tmp_path / "data" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data")
    with pytest.raises(ValueError, match="file: expected a name in the folder"):
        data.load("text", tmp_path / "data", file=file)


# Files of data ------------------------------------------------------------------------------------------------------


def bomb(path, size):
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(size >> 24):
            file.write(bytes(1 << 24))


@pytest.fixture(scope="module")
def bombs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    bomb(folder / "bomb.gz", 1200 << 20)  # 1.2 GB from 1.2 MB
    assert (folder / "bomb.gz").stat().st_size < 2 << 20
    return folder / "bomb.gz"


@pytest.mark.parametrize(
    "name, needed, options",
    [
        ("mnist", "train-images-idx3-ubyte", {}),
        ("cifar10", "cifar-10-batches-bin/data_batch_1.bin", {}),
        ("text", "war.txt", {"file": "war.txt.gz"}),
    ],
)
def test_what_unpacks_to_gigabytes_is_refused(tmp_path, bombs, name, needed, options):
    for file in data.DATA[name][2] or (needed,):
        place = tmp_path / f"{file}.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(bombs)
    with pytest.raises(ValueError, match="holds more than 1073741824 bytes"):
        data.load(name, tmp_path, **options)


# Checkpoints --------------------------------------------------------------------------------------------------------


def signed(path, payload):
    """A checkpoint as an attacker makes it: the checksum fits."""
    path.write_bytes(b"pdelab checkpoint 1 " + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def torch_file(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def repacked(change):
    """A file of torch with its pickled part changed, or all parts compressed."""
    source, target = zipfile.ZipFile(io.BytesIO(torch_file({"x": torch.zeros(1000)}))), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for part in source.infolist():
            change(archive, part.filename, source.read(part))
    return target.getvalue()


def compressed(archive, name, content):
    archive.writestr(name, content, compress_type=zipfile.ZIP_DEFLATED)


def greedy(archive, name, content):
    """The pickle claims 2^38 bytes where the file has 4000."""
    if name.endswith("data.pkl"):
        claim = b"\x8a\x05" + (1 << 36).to_bytes(5, "little")
        content = content.replace(b"M\xe8\x03", claim)
    archive.writestr(name, content)


def without(part):
    return lambda archive, name, content: None if name.endswith(part) else archive.writestr(name, content)


CHECKPOINTS = {
    "nothing": b"",
    "text": b"hello",
    "pickle": pickle.dumps({"a": 1}),
    "empty archive": b"PK\x05\x06" + bytes(18),
    "half": torch_file({"x": torch.zeros(10)})[:300],
    "no pickle inside": repacked(without("data.pkl")),
    "no numbers inside": repacked(without("data/0")),
    "compressed": repacked(compressed),
    "claims 256 GB": repacked(greedy),
    "a list": torch_file([1, 2]),
    "a number": torch_file(3),
    "spread over 256 GB": torch_file({"x": torch.zeros(1).expand(1 << 36)}),
    "a sparse giant": torch_file({"x": torch.sparse_coo_tensor([[0]], [1.0], (1 << 36,), check_invariants=True)}),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_an_odd_checkpoint_is_refused_in_a_sentence(tmp_path, name):
    signed(tmp_path / "model.pt", CHECKPOINTS[name])
    with pytest.raises(ValueError, match="model.pt (is not a checkpoint|holds more)") as refusal:
        checkpoints.load(tmp_path / "model.pt")
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400
    with pytest.raises(ValueError, match="model.pt"):
        training.load_run(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.clear(),
        lambda s: s.pop("config"),
        lambda s: s.update(config=3),
        lambda s: s["config"].pop("model"),
        lambda s: s["config"].update(model=["mlp"]),
        lambda s: s["config"].update(data="../../etc"),
        lambda s: s["config"].update(data_options={"magic": 1}),
        lambda s: s["config"].update(model_options={"hidden": (5,)}),
        lambda s: s["config"].update(model_options={"magic": 5}),
        lambda s: s["model"].pop("1.bias"),
        lambda s: s.update(model={"1.bias": 3}),
        lambda s: s.update(model=None),
    ],
)
def test_a_foreign_model_is_refused_in_a_sentence(tmp_path, run, change):
    state = checkpoints.load(run / "model.pt")
    change(state)
    checkpoints.save(tmp_path / "model.pt", state)
    with pytest.raises(ValueError):
        training.load_run(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    training.train(out=folder, **QUICK)
    return folder


FIELDS = ("config", "models", "optimizer", "scheduler", "rng", "position", "losses", "carried", "history")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, 3, "text", [], {}, (1, 2, 3), torch.zeros(2)])
def test_a_foreign_checkpoint_is_refused_or_continues_to_the_same_weights(tmp_path, run, field, value):
    state = checkpoints.load(run / "checkpoint.pt")
    state[field] = value
    checkpoints.save(tmp_path / "checkpoint.pt", state)
    try:
        result = training.train(out=tmp_path, resume=True, **QUICK)
    except ValueError as error:
        assert str(tmp_path) in str(error)
        return
    model, *_ = training.load_run(run)  # a field that a finished run no longer needs
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), result.model.parameters()))


# Two processes ------------------------------------------------------------------------------------------------------


def other(folder, reply):
    try:
        training.train(out=folder, resume=True, **QUICK)
        reply.put("trained")
    except ValueError as error:
        reply.put(str(error))


def test_two_processes_do_not_share_a_folder(tmp_path):
    """While one trains the other is refused, writes nothing and sweeps nothing; afterwards it may."""
    context, said = multiprocessing.get_context("fork"), []

    def meet(record):
        unfinished = tmp_path / ".checkpoint-abcdefgh.pt"
        unfinished.write_bytes(b"being written")
        before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        reply = context.SimpleQueue()
        process = context.Process(target=other, args=(tmp_path, reply))
        process.start()
        said.append(reply.get())
        process.join()
        assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
        with pytest.raises(ValueError, match="another process trains in"):
            training.train(out=tmp_path, resume=True, **QUICK)

    training.train(out=tmp_path, on_epoch=meet, checkpoint_seconds=0, **QUICK)
    assert len(said) == 2 and all("another process trains in" in text for text in said)
    training.train(out=tmp_path, resume=True, **QUICK)


def test_a_run_that_fails_gives_its_folder_back(tmp_path):
    def fail(record):
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        training.train(out=tmp_path, on_epoch=fail, **QUICK)
    training.train(out=tmp_path, resume=True, **QUICK)
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(ValueError, match="not a checkpoint"):
            training.train(out=tmp_path, resume=True, **QUICK)


# Replicas -----------------------------------------------------------------------------------------------------------


def test_every_replica_is_clipped_and_counts_once():
    """Two gradient steps of two replicas by hand: norms of both are cut, the recorded loss is their mean."""
    digits = data.load("digits", seed=0)
    settings = {"epochs": 1, "clip": 0.05, "replicas": 2, "data": digits, "batch_size": 1078, "seed": 3}
    norms = []

    class Watched(torch.optim.SGD):
        def __init__(self, params, replicas):
            super().__init__(params, lr=0.1)
            self.replicas = replicas

        def step(self):
            parts = np.array_split(np.arange(len(self.param_groups[0]["params"])), self.replicas)
            for part in parts:
                grads = [self.param_groups[0]["params"][k].grad.flatten() for k in part]
                norms.append(torch.cat(grads).norm().item())
            return super().step()

    result = training.train(Watched, model_options={"hidden": (4,)}, **settings)
    assert norms == pytest.approx([0.05, 0.05], rel=1e-4)
    once = training.train("sgd", model_options={"hidden": (4,)}, **(settings | {"replicas": 1}))
    # the whole training set is one batch, so both replicas have the loss of one
    assert result.history[0]["train_loss"] == pytest.approx(once.history[0]["train_loss"], rel=1e-5)
