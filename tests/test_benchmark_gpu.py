"""The benchmark of a GPU, rehearsed on the CPU with the smallest of each problem; without a GPU it says so."""

import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
gpu = pytest.importorskip("benchmarks.gpu", reason="the benchmarks stand in a checkout, not in the package")

from pdelab.cli import main  # noqa: E402


def test_every_row_is_there_and_what_is_right_is_said_first():
    torch.set_num_threads(1)
    rows = list(gpu.rows(quick=True, device="cpu"))
    problems = list(dict.fromkeys(row.problem for row in rows))
    assert problems[0] == "correctness" and problems[1].startswith("copy of")
    for part in ("inner update, LeNet", "training step, mlp, float32", "training step, mlp, bfloat16"):
        ratios = {row.name: row.ratio for row in rows if row.problem == part}
        assert ratios["pdelab"] == 1.0 and "torch SGD, fused" in ratios
    assert any(part.startswith("spectra") for part in problems) and any(part.startswith("plane") for part in problems)
    checked = [row for row in rows if row.problem == "correctness"]
    assert {"EntropySGD", "HJ", "Heat", "SGLD", "Parle", "a recorded loop"} < {row.name for row in checked}
    assert all(row.error < 1e-12 and row.milliseconds is None for row in checked)
    assert [row.error for row in checked if row.name.startswith("noise")] == [0.0, 0.0]
    assert all(row.milliseconds > 0 for row in rows if row.problem != "correctness")


def test_nothing_is_timed_where_a_number_is_wrong(monkeypatch):
    right = gpu.trajectory
    monkeypatch.setattr(gpu, "trajectory", lambda build, device, engine: right(build, device, engine) + len(engine))
    seen = []
    with pytest.raises(RuntimeError, match="nothing was timed"):
        for row in gpu.rows(quick=True, device="cpu", engine="torch"):
            seen.append(row)
    assert seen and all(row.problem == "correctness" for row in seen)


def test_the_shapes_are_those_of_the_networks():
    sizes = {name: sum(torch.Size(shape).numel() for shape in shapes) for name, shapes in gpu.SHAPES.items()}
    assert sizes["LeNet"] == pytest.approx(0.132e6, rel=0.01)
    assert sizes["ResNet-18"] == pytest.approx(11.2e6, rel=0.01)
    assert sizes["WRN-28-10"] == pytest.approx(36.5e6, rel=0.01)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_one_sentence_and_the_exit_status_say_so(capsys, monkeypatch):
    from pdelab.cli import bench

    for name, value in bench.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["bench", "gpu", "--save"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.strip() == "pdelab: gpu needs a GPU that torch can use, and there is none here"
