"""`pdelab bridge`: the PDE side and the algorithms on one slice of a freshly trained network, from the shell."""

import time
from pathlib import Path

from pdelab import records
from pdelab.cli.shared import note

__all__ = ["add_bridge"]

_SLICE = ("dimension", "basis", "data", "folder", "hidden", "epochs", "samples", "optimizer", "seed", "device")


def add_bridge(verbs):
    """The verb `bridge`."""
    parser = verbs.add_parser("bridge", help="a slice of a network: SGD and Entropy-SGD against the PDE")
    parser.add_argument(
        "what", choices=tuple(_ANSWERS),
        help="SGD against Fokker-Planck; Entropy-SGD's loop against the exact gradient; the room of a minimum; the "
        "minima that algorithms, exact smoothing and control reach; SGD in all weights against SGD on its own plane",
    )  # fmt: skip
    parser.add_argument("--dimension", type=int, default=1, help="of the slice, 1 or 2 (default: 1)")
    parser.add_argument(
        "--basis", default="hessian", help="hessian, noise, gradient, random, filter, minima or trajectory"
    )
    parser.add_argument("--data", default="digits")
    parser.add_argument("--folder", type=Path, help="where the files of the data set lie")
    parser.add_argument("--hidden", type=int, default=6, help="units of the hidden layer (default: 6)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=100, help="training samples of the loss (default: 100)")
    parser.add_argument("--optimizer", default="sgd", help="that trains the network (default: sgd)")
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate of SGD on the slice (default: 0.01)")
    parser.add_argument("--t", type=float, nargs="+", default=[1.0], help="multiples of the rate (default: 1)")
    parser.add_argument("--batch", type=int, help="samples of a mini-batch (density: 1; gradient: full gradients)")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--width", type=float, default=2.0, help="half of the grid's box (default: 2)")
    parser.add_argument("--nodes", type=int, help="nodes an axis, odd (default: 401, in the plane 121)")
    parser.add_argument("--gamma", type=float, default=0.05, help="scope (default: 0.05)")
    parser.add_argument("--beta", type=float, default=50.0, help="inverse temperature (default: 50)")
    parser.add_argument(
        "--steps", type=int, default=400, help="of a chain of `volume`, of SGD in `basins`, `projection` (400)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="file stem for the arrays: STEM.npz and STEM.json")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_run_bridge)


def _run_bridge(arguments):
    from pdelab.cli.training import need_torch

    need_torch("bridge")
    from pdelab.networks import bridge

    if arguments.out:
        records.output_folder(arguments.out.parent)
    start = time.perf_counter()
    options = {name: getattr(arguments, name) for name in _SLICE}
    note("training the network")
    subspace = bridge.trained_slice(**options)
    numbers, arrays = _ANSWERS[arguments.what](arguments, subspace)
    print(records.dumps(numbers) if arguments.json else "\n".join(f"{k:<28} {v:.6g}" for k, v in numbers.items()))
    if arguments.out:
        parameters = {name: value for name, value in vars(arguments).items() if name not in ("run", "out", "json")}
        record = records.provenance(parameters, time.perf_counter() - start, arguments.seed) | {"numbers": numbers}
        for path in records.save(arguments.out, arrays, record):
            note(str(path))
    return 0


def _grid(arguments):
    from pdelab.grid import Grid

    nodes = (401 if arguments.dimension == 1 else 121) if arguments.nodes is None else arguments.nodes
    corner = (arguments.width,) * arguments.dimension
    return Grid(tuple(-x for x in corner), corner, (nodes,) * arguments.dimension)


def _batch(arguments):
    return 1 if arguments.batch is None else arguments.batch


def _density(arguments, subspace):
    from pdelab.networks import bridge

    comparison = bridge.compare_densities(
        subspace, _grid(arguments), arguments.lr, arguments.t, mean=[0.0] * arguments.dimension, deviation=0.1,
        batch=_batch(arguments), runs=arguments.runs, seed=arguments.seed,
    )  # fmt: skip
    numbers = {}
    for metric, distances in comparison.distances.items():
        for model, values in distances.items():
            numbers[f"{metric} {model}"] = float(values[-1])
        numbers[f"{metric} of exact samples, up to"] = float(comparison.floor[metric][-1])
    for model, (gain, low, high) in comparison.gain.items():
        numbers |= {f"w2 {model} - measured": gain, "  from": low, "  to": high} if model == "isotropic" else {}
    numbers["runs outside"] = comparison.outside
    names = {f"density_{name.replace(' ', '_')}": values for name, values in comparison.densities.items()}
    return {k: float(v) for k, v in numbers.items()}, names | {"states": comparison.states, "times": comparison.times}


def _gradient(arguments, subspace):
    import numpy as np

    from pdelab.networks import bridge

    points = 0.5 * np.random.default_rng(arguments.seed).standard_normal((12, arguments.dimension))
    bias_map = bridge.gradient_map(
        subspace, _grid(arguments), points[:, 0] if arguments.dimension == 1 else points, arguments.gamma,
        1 / arguments.beta, batch=arguments.batch, runs=min(arguments.runs, 100), seed=arguments.seed,
    )  # fmt: skip
    numbers = {}
    for share, biases, region in zip(bias_map.shares, np.median(bias_map.relative_bias, -1), bias_map.region()):
        for length, bias, inside in zip(bias_map.lengths, biases, region):
            numbers[f"bias, step {share:g}, L {length}"] = float(bias)
            numbers[f"right, step {share:g}, L {length}"] = float(inside)
    return numbers, {"exact": bias_map.exact, "mean": bias_map.mean, "standard_error": bias_map.standard_error}


def _volume(arguments, subspace):
    from pdelab.networks import bridge

    v = bridge.volume(
        subspace.functions.objective, arguments.gamma, arguments.beta, steps=arguments.steps,
        settle=arguments.steps // 2, seed=arguments.seed,
    )  # fmt: skip
    names = ("local_entropy", "low", "high", "laplace", "log_volume", "harmonic_mean", "value", "standard_error")
    arrays = {"nodes": v.nodes, "means": v.means, "standard_errors": v.standard_errors, "effective": v.effective}
    return {name.replace("_", " "): getattr(v, name) for name in names}, arrays


def _basins(arguments, subspace):
    from pdelab.networks import bridge

    basins = bridge.compare_basins(
        subspace, _grid(arguments), arguments.steps, mean=[0.0] * arguments.dimension, deviation=arguments.width / 4,
        gamma=arguments.gamma, beta=arguments.beta, lr=arguments.lr, batch=_batch(arguments), runs=arguments.runs,
        weight=None, seed=arguments.seed, contestants={
            "entropy-sgd": {"optimizer": "entropy-sgd", "lr": 1.0, "inner_lr": arguments.lr, "inner_steps": 20,
                            "gamma": arguments.gamma, "momentum": 0.0},
        },
    )  # fmt: skip
    numbers = {f"minimum {k}": float(value) for k, value in enumerate(basins.values)}
    for name in basins.ends:
        numbers |= {f"{name}, {what}{end}": float(v) for what, values in
                    (("share in the best", basins.share(name)), ("depth less sgd's", basins.difference(name)))
                    for end, v in zip(("", ", from", ", to"), values)}  # fmt: skip
    arrays = {f"ends_{name.replace('-', '_')}": x for name, x in basins.ends.items()}
    return numbers, arrays | {"minima": basins.minima, "values": basins.values, "starts": basins.starts}


def _projection(arguments, subspace):
    from pdelab.networks import bridge

    comparison = bridge.compare_projection(
        subspace.functions.objective, arguments.lr, arguments.steps, dimension=arguments.dimension,
        batch=_batch(arguments), runs=arguments.runs, seed=arguments.seed,
    )  # fmt: skip
    numbers = {"share of the variance": comparison.explained}
    for metric, value in comparison.distances.items():
        numbers |= {metric: value, f"{metric}, from": comparison.low[metric], f"{metric}, to": comparison.high[metric]}
        numbers[f"{metric} of two sets of one law, up to"] = comparison.floor[metric]
    return numbers, {"projected": comparison.projected, "restricted": comparison.restricted}


_ANSWERS = {
    "density": _density, "gradient": _gradient, "volume": _volume, "basins": _basins, "projection": _projection,
}  # fmt: skip
