"""Gradients of single samples, written straight into one N × d array, and their Gram matrix.

Three rules, the fastest first. By layers: in eval mode samples do not see one another, so one ordinary backward pass
gives δ_k = ∂f_k/∂(output of a layer) for all of them. With a_k the layer's input, a linear layer has g_k = δ_k a_kᵀ, so
⟨g_j, g_k⟩ = ⟨δ_j, δ_k⟩⟨a_j, a_k⟩ needs no gradient at all; a convolution is the same summed over positions, batch norm
a product. Any other model goes through `torch.func.vmap(grad)`, and what has no batched form sample by sample.

A rule is believed only where Σ_k g_k equals the gradient of the batch; where it does not, the next one serves.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn
from torch.func import grad, vmap
from torch.nn import functional

from pdelab.kernels import curvature as fused
from pdelab.networks.curvature.objective import Objective, derivative
from pdelab.networks.devices import kernels_serve

__all__ = ["gradient_blocks", "gram_matrix", "per_sample_gradients"]


def per_sample_gradients(objective: Objective, chunk: int | None = None) -> torch.Tensor:
    """Gradients of all samples, (N, d): row k is g_k.

    Parameters
    ----------
    objective : Objective
    chunk : int, optional
        Samples in one pass; default: what keeps a pass below 2^26 numbers.

    Returns
    -------
    tensor (N, d)

    Raises
    ------
    ValueError
        The rows do not add up to the gradient of the batch: samples see one another.

    Examples
    --------
    >>> import torch
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> rows = per_sample_gradients(f)
    >>> rows.shape, bool(torch.allclose(rows.mean(0), f.gradient()))
    (torch.Size([3, 3]), True)
    """
    gradients = _memory(objective, objective.count)
    row = 0
    for batch in objective.batches(_chunk(objective, chunk)):
        count = objective.length(batch)
        _fill(objective, batch, gradients[row : row + count])
        row += count
    return gradients


def gradient_blocks(objective, chunk=None):
    """The rows of `per_sample_gradients` in blocks, in one buffer: use a block before the next one is asked for."""
    buffer = None
    for batch in objective.batches(_chunk(objective, chunk)):
        if buffer is None or len(buffer) != objective.length(batch):
            buffer = _memory(objective, objective.length(batch))
        _fill(objective, batch, buffer)
        yield buffer


def gram_matrix(objective: Objective, most: int = 1 << 27, dtype: torch.dtype | None = None) -> torch.Tensor:
    """⟨g_j, g_k⟩ (N, N), summed over layers: never more than `most` numbers of the N × d array are held.

    Parameters
    ----------
    objective : Objective
    most : int
    dtype : torch.dtype, optional
        Of the products and their sum; default: the objective's.

    Returns
    -------
    tensor (N, N)

    Raises
    ------
    ValueError
        As `per_sample_gradients`.

    Examples
    --------
    >>> from pdelab.networks.bridge.examples import linear_model
    >>> f = linear_model([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0], [0, 0, 0])          # |w|²/6
    >>> gram_matrix(f).shape
    torch.Size([3, 3])
    """
    dtype, width = dtype or objective.dtype, max(1, most // objective.count)
    goal = objective.gradient() * objective.count
    return _believed(objective, lambda rule: _gram(objective, rule, width, dtype, goal))


def _believed(objective, attempt):
    """attempt(rule) for the first rule that can be used and whose rows add up; those that fail are not tried again."""
    if not hasattr(objective, "rules"):
        objective.rules = ["layers"] if _layers(objective) else []
        objective.rules += ["loop"] if objective.recurrent else ["vmap", "loop"]
    while True:
        rule = objective.rules[0]
        try:
            rows = attempt(rule)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # what torch.func or a layer cannot do
            if len(objective.rules) == 1:
                raise
            rows = None
        if rows is not None:
            return rows
        if len(objective.rules) == 1:
            raise ValueError(
                "model: expected samples that do not see one another: the gradients of single samples do not add up "
                "to the gradient of their batch"
            )
        objective.rules.pop(0)


def _fill(objective, batch, rows):
    """rows[k] ← g_k for the samples of a batch."""
    count, weights = len(rows), list(objective.parameters.values())

    def attempt(rule):
        if rule == "layers":
            sums, goal = _fill_layers(objective, batch, rows)
            if not _alone(objective, batch, rows[0].norm()):
                return None
        else:
            torch.cat(_RULES[rule](objective, list(objective.parameters), batch), 1, out=rows)
            goal = derivative(objective.mean_loss(batch) * count, weights)
            sums = rows.sum(0).split(objective.sizes)
        some = rows[:: max(1, count // 32)]
        lengths = [part.norm(dim=1).max() for part in some.split(objective.sizes, 1)]
        return _adds_up(sums, [part.flatten() for part in goal], lengths, count) or None

    _believed(objective, attempt)


def _alone(objective, batch, length):
    """Whether the first sample of a batch has a gradient of this length also when it is alone: asked once, as this
    depends on the model and not on the data."""
    if getattr(objective, "alone", False):
        return True
    loss = objective.mean_loss(next(objective.singles(batch)))
    exact = objective.flat(derivative(loss, list(objective.parameters.values()))).norm().to(length.dtype)
    objective.alone = bool((length - exact).abs() <= torch.finfo(objective.dtype).eps ** 0.5 * exact)
    return objective.alone


def _adds_up(sums, goals, lengths, count):
    """Whether sums over `count` samples equal what they should, to half the digits of rows of such lengths."""
    half = torch.finfo(sums[0].dtype).eps ** 0.5
    scales = [goal.norm() + count * length for goal, length in zip(goals, lengths)]
    floor = 1e-3 * half * max(scales)  # parts that are zero but for rounding
    return all((s - g).norm() <= half * scale + floor for s, g, scale in zip(sums, goals, scales))


def _gram(objective, rule, width, dtype, goal):
    """The Gram matrix by a rule, or None where the rows do not add up to `goal`."""
    total = torch.zeros(objective.count, objective.count, dtype=dtype, device=objective.device)
    parts = _layers(objective) if rule == "layers" else _groups(objective, width)
    sums, goals, lengths, first = [], [], [], 0
    for layer, names in parts:
        if isinstance(layer, nn.Linear):
            inputs, slopes = (torch.cat(records) for records in zip(*_records(objective, layer)))
            sums.append(torch.cat([(slopes.T @ inputs).flatten(), *([] if layer.bias is None else [slopes.sum(0)])]))
            lengths.append((slopes.norm(dim=1) * (inputs.square().sum(1) + 1.0).sqrt()).max())
            inputs, slopes = inputs.to(dtype), slopes.to(dtype)
            total += (inputs @ inputs.T + (0.0 if layer.bias is None else 1.0)) * (slopes @ slopes.T)
        else:
            columns = []
            for rows in _columns(objective, rule, layer, names, width):
                columns.append(rows.sum(0))
                rows = rows.to(dtype)
                total += rows @ rows.T
            sums.append(torch.cat(columns))
            lengths.append(rows.norm(dim=1).max().to(sums[-1].dtype))
        goals.append(goal[first : first + len(sums[-1])])
        first += len(sums[-1])
    if not _adds_up(sums, goals, lengths, objective.count):
        return None
    return total if rule != "layers" or _alone(objective, objective.data, total[0, 0].clamp(min=0).sqrt()) else None


def _memory(objective, rows):
    """An array (rows, d), not filled. On the CPU by NumPy, which asks for huge pages: the first touch of small ones can
    cost more than the gradients."""
    shape, dtype = (rows, objective.dimension), objective.dtype
    if kernels_serve(objective):
        return torch.from_numpy(np.empty(shape, np.float32 if dtype == torch.float32 else np.float64))
    return torch.empty(shape, dtype=dtype, device=objective.device)


def _columns(objective, rule, layer, names, width):
    """The N × (numbers in these parameters) array, `width` columns at a time."""
    size = sum(objective.parameters[name].numel() for name in names)
    for start in range(0, size, width):
        if rule == "layers":
            blocks = (torch.cat(_gradients(layer, a, d), 1) for a, d in _records(objective, layer))
        else:
            blocks = (torch.cat(_RULES[rule](objective, names, batch), 1) for batch in objective.batches(256))
        yield torch.cat([block[:, start : start + width] for block in blocks])


def _records(objective, layer):
    return (_pass(objective, [layer], batch)[0][0] for batch in objective.batches())


def _groups(objective, most):
    """(None, names) of parameters in runs of at most `most` numbers (a larger one stands alone)."""
    groups, size = [], most + 1
    for name, parameter in objective.parameters.items():
        if size + parameter.numel() > most:
            groups.append((None, []))
            size = 0
        groups[-1][1].append(name)
        size += parameter.numel()
    return groups


def _fill_layers(objective, batch, rows):
    """The rows of a batch by the formulas of its layers; returns their sums and the gradient of the batch, summed over
    samples, each a tensor a parameter. Of a linear layer Σ_k δ_k a_kᵀ is one product: the rows are not read again."""
    layers, column, sums = [layer for layer, _ in _layers(objective)], 0, []
    records, gradient = _pass(objective, layers, batch)
    for layer, (inputs, slopes) in zip(layers, records):
        if isinstance(layer, nn.Linear):  # written in place: memory traffic is what it costs
            size = layer.weight.numel()
            _outer_products(slopes, inputs, rows, column)
            sums.append((slopes.T @ inputs).flatten())
            parts, column = [slopes] if layer.bias is not None else [], column + size
        else:
            parts = _gradients(layer, inputs, slopes)
        sums += [part.sum(0) for part in parts]
        for part in parts:
            rows[:, column : column + part.shape[1]] = part
            column += part.shape[1]
    return sums, gradient


def _outer_products(slopes, inputs, rows, column):
    """rows[k, column:] ← δ_k a_kᵀ, flat."""
    if kernels_serve(rows):
        arrays = (slopes.contiguous(), inputs.contiguous(), rows)
        fused.outer_products(*(array.numpy() for array in arrays), column)
    else:
        shape = slopes.shape[1], inputs.shape[1]
        place = rows[:, column : column + shape[0] * shape[1]].unflatten(1, shape)
        torch.mul(slopes[:, :, None], inputs[:, None, :], out=place)


def _layers(objective):
    """[(module, names of its parameters)] that hold all of x in its order, or [] where the formulas do not apply."""
    if not hasattr(objective, "layers"):
        names = {id(p): name for name, p in objective.parameters.items()}
        owned = [(m, [names.get(id(p)) for p in m.parameters(recurse=False)]) for m in objective.model.modules()]
        layers = [(m, known) for m, known in owned if any(known)]
        same = [name for _, known in layers for name in known] == list(objective.parameters)
        usable = same and all(_direct(m) for m, _ in layers) and _used_once(objective, [m for m, _ in layers])
        objective.layers = layers if usable else []
    return objective.layers


def _direct(module):
    """Whether a module computes exactly what its class does in torch."""
    changed = "forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks
    if changed or {name for name, _ in module.named_parameters(recurse=False)} - {"weight", "bias"}:
        return False
    if type(module) is nn.Conv2d:
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    norm = type(module) in (nn.BatchNorm1d, nn.BatchNorm2d) and module.track_running_stats and module.affine
    return type(module) is nn.Linear or norm


def _used_once(objective, layers):
    """Whether samples pass every layer exactly once and along its first axis, linear ones as vectors."""
    calls, few = [], 2 if objective.count > 1 else 1
    ranks = {nn.Linear: (2,), nn.Conv2d: (4,), nn.BatchNorm1d: (2, 3), nn.BatchNorm2d: (4,)}

    def note(module, arguments, keywords, output):
        plain = not keywords and arguments[0].ndim in ranks[type(module)] and len(arguments[0]) == few
        calls.append((module, plain))

    hooks = [layer.register_forward_hook(note, with_kwargs=True) for layer in layers]
    try:
        with torch.no_grad():
            objective.mean_loss(objective.first(few))
    finally:
        for hook in hooks:
            hook.remove()
    return len(calls) == len(layers) == len({id(m) for m, _ in calls}) and all(plain for _, plain in calls)


def _pass(objective, layers, batch):
    """[(input, δ)] of every layer and the gradient of their parameters, from one forward and one backward pass.

    δ is asked for at the place in the graph where the layer ends: an activation may overwrite the tensor afterwards.
    """
    inputs, ends, versions = {}, {}, {}

    def keep(module, arguments, output):
        inputs[module], ends[module] = arguments[0].detach(), torch.autograd.graph.get_gradient_edge(output)
        versions[module] = arguments[0]._version

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        loss = objective.mean_loss(batch) * objective.length(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if any(inputs[layer]._version != versions[layer] for layer in layers):
        raise RuntimeError("the input of a layer was overwritten")
    weights = [p for layer in layers for p in layer.parameters(recurse=False)]
    slopes = torch.autograd.grad(loss, [*(ends[layer] for layer in layers), *weights])
    return [(inputs[layer], slope) for layer, slope in zip(layers, slopes)], slopes[len(layers) :]


def _gradients(layer, inputs, slopes):
    """Per-sample gradients of a layer's parameters, each (samples, numbers in the parameter)."""
    if isinstance(layer, nn.Linear):
        return [(slopes[:, :, None] * inputs[:, None, :]).flatten(1), *([slopes] if layer.bias is not None else [])]
    if isinstance(layer, nn.Conv2d):
        patches = functional.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        weight = torch.bmm(slopes.flatten(2), patches.transpose(1, 2)).flatten(1)
        return [weight, *([slopes.flatten(2).sum(2)] if layer.bias is not None else [])]
    shape = (1, -1, *[1] * (inputs.ndim - 2))
    spread = (layer.running_var + layer.eps).rsqrt().view(shape)
    normal = (inputs - layer.running_mean.view(shape)) * spread
    return [(slopes * normal).flatten(2).sum(2) if inputs.ndim > 2 else slopes * normal,
            slopes.flatten(2).sum(2) if inputs.ndim > 2 else slopes]  # fmt: skip


def _by_vmap(objective, names, batch):
    """The general rule, for any model whose operations have a batched form."""
    fixed = {n: p.detach() for n, p in objective.parameters.items()}

    def loss(parameters, single):
        return objective.mean_loss(single, fixed | parameters)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        gradients = vmap(grad(loss), (None, 0))({n: fixed[n] for n in names}, objective.apart(batch))
    return [gradients[name].flatten(1) if gradients[name].ndim > 1 else gradients[name][:, None] for name in names]


def _by_loop(objective, names, batch):
    """Sample by sample, for any model."""
    weights = [objective.parameters[name] for name in names]
    rows = [derivative(objective.mean_loss(single), weights) for single in objective.singles(batch)]
    return [torch.stack([part.flatten() for part in parts]) for parts in zip(*rows)]


_RULES = {"vmap": _by_vmap, "loop": _by_loop}


def _chunk(objective, chunk):
    return chunk or max(1, min(1 << 11, (1 << 26) // objective.dimension))
