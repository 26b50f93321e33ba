"""Attacks on what training reads and writes: names stay names, files of others are refused in a sentence, one process a
folder."""

import gzip
import hashlib
import io
import multiprocessing
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from networks_device import runs_there  # noqa: E402, F401

from pdelab.figures import network_text  # noqa: E402
from pdelab.networks import checkpoints, data, training  # noqa: E402

QUICK = {"epochs": 2, "model_options": {"hidden": (4,)}}

pytestmark = pytest.mark.usefixtures("one_thread")


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


@pytest.fixture
def secret(tmp_path, monkeypatch):
    """A text beside the folder of the data, in which the process stands."""
    (tmp_path / "secret.txt").write_text("secret " * 100)
    (tmp_path / "data" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path / "secret.txt"


OUTSIDE = ("../../../etc/passwd", "/etc/passwd", "../secret.txt", "a/../../secret.txt", "{secret}", "//etc/passwd")


@pytest.mark.parametrize("file", OUTSIDE)
def test_texts_lie_in_their_folder(secret, file):
    """The same rule for every place that takes the name: the function, the command, a figure's --set."""
    file = file.format(secret=secret)
    with pytest.raises(ValueError, match="file: expected a name below the folder"):
        data.load("text", file=file)
    with pytest.raises(ValueError, match="file: expected a name below the folder"):
        training.train(**network_text.panels("topics", "text", file=file)["letters"]["adam"], seed=0)
    with pytest.raises(ValueError, match="file: expected a name below the folder"):
        training.train("sgd", "char-lstm", "text", data_options={"file": file}, epochs=1)


@pytest.mark.parametrize("file", ["", ".", "a", "no.txt", "x\0y", "{long}"])
def test_names_of_no_text_are_refused(secret, file):
    with pytest.raises(ValueError, match="file"):
        data.load("text", file=file.format(long="x" * 4000))


def test_a_run_from_elsewhere_names_no_text_of_this_machine(secret, monkeypatch):
    """Its folder is followed for files of a published format only; the user may say where the text lies."""
    text, out = secret.with_name("texts"), secret.with_name("run")
    text.mkdir()
    (text / "book.txt").write_text("war and peace, " * 60)
    arguments = {"epochs": 1, "batch_size": 2, "model_options": {"hidden": 4, "layers": 1}, "out": out}
    training.train("sgd", "char-lstm", "text", folder=text, data_options={"file": "book.txt", "steps": 5}, **arguments)
    with pytest.raises(ValueError, match="there is no file data/book.txt"):
        training.load_run(out)
    assert training.load_run(out, text)[1].classes == len(set("war and peace, "))
    monkeypatch.setenv("PDELAB_DATA", str(text))
    assert training.load_run(out)[1].classes == len(set("war and peace, "))
    state = checkpoints.load(out / "model.pt")
    for change in ({"file": "/etc/passwd"}, {"file": "../secret.txt"}, {"file": "book.txt", "lines": 10**12}):
        state["config"]["data_options"] = change | {"steps": 5}
        checkpoints.save(out / "model.pt", state)
        with pytest.raises(ValueError, match="file: expected a name below|lines: expected at most"):
            training.load_run(out)


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
        lambda s: s["config"].update(model_options={"hidden": (10**11,)}),
        lambda s: s["config"].update(model_options={"hidden": (1,) * 10**5}),
        lambda s: s["config"].update(model="wrn-28-10", model_options={"depth": 6 * 10**8 + 4}),
        lambda s: s["config"].update(model="wrn-28-10", model_options={"widen": 10**9}),
        lambda s: s["config"].update(model="char-lstm", model_options={"layers": 10**9}),
        lambda s: s["config"].update(folder=["/etc"], data="mnist"),
        lambda s: s["config"].update(data_options={"train": 10**12}),
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


def pipe(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def sparse(path):
    """A file of 4 TB that takes no room."""
    with open(path, "wb") as file:
        file.write(b"pdelab checkpoint 1 " + b"0" * 64 + b"\n")
        file.truncate(1 << 42)


@pytest.mark.parametrize("make", [pipe, endless, sparse, pathlib.Path.mkdir])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make):
    make(tmp_path / "model.pt")
    with pytest.raises(ValueError, match="model.pt"):
        training.load_run(tmp_path)


def test_links_that_a_folder_came_with_are_not_written_through(tmp_path):
    """Log, lock, weights and record of a run: what they point to stays as it was."""
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run").mkdir()
    for name in ("log.jsonl", "model.pt", "result.json", ".lock", "checkpoint.pt.new"):
        (tmp_path / "run" / name).symlink_to(tmp_path / "precious")
    with pytest.raises((ValueError, OSError)):
        training.train(out=tmp_path / "run", **QUICK)
    (tmp_path / "run" / "model.pt").unlink()
    with pytest.raises((ValueError, OSError)):
        training.train(out=tmp_path / "run", **QUICK)
    (tmp_path / "run" / ".lock").unlink()
    training.train(out=tmp_path / "run", **QUICK)
    assert (tmp_path / "precious").read_text() == "mine"


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
