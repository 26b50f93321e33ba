"""Gradients of single samples, written straight into one N × d array, and their Gram matrix.

In eval mode samples do not see one another, so one ordinary backward pass gives δ_k = ∂f_k/∂(output of a layer) for
all of them. With a_k the layer's input, a linear layer has g_k = δ_k a_kᵀ, so ⟨g_j, g_k⟩ = ⟨δ_j, δ_k⟩⟨a_j, a_k⟩ needs
no gradient at all; a convolution is the same summed over positions, batch norm a product. Other layers (LSTM,
embedding, a layer used twice) go through `torch.func.vmap(grad)`.
"""

import numpy as np
import torch
from torch import nn
from torch.func import grad, vmap
from torch.nn import functional

from pdelab.kernels import curvature as fused

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def per_sample_gradients(objective, chunk=None):
    """Gradients of all samples, (N, d): row k is g_k.

    Parameters
    ----------
    objective : Objective
    chunk : int, optional
        Samples in one pass; default: what keeps a pass below 2^26 numbers.

    Returns
    -------
    tensor (N, d)
    """
    found = _memory(objective, objective.count)
    row = 0
    for x, y in objective.batches(_chunk(objective, chunk)):
        _fill(objective, x, y, found[row : row + len(y)])
        row += len(y)
    return found


def gradient_blocks(objective, chunk=None):
    """The rows of `per_sample_gradients` in blocks, in one buffer: use a block before the next one is asked for."""
    buffer = None
    for x, y in objective.batches(_chunk(objective, chunk)):
        if buffer is None or len(buffer) != len(y):
            buffer = _memory(objective, len(y))
        _fill(objective, x, y, buffer)
        yield buffer


def gram_matrix(objective, most=1 << 27, dtype=None):
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
    """
    dtype = dtype or objective.dtype
    total = torch.zeros(objective.count, objective.count, dtype=dtype, device=objective.device)
    for layer in _layers(objective) or _groups(objective, most // objective.count):
        if isinstance(layer, nn.Linear):
            inputs, slopes = (torch.cat(parts).to(dtype) for parts in zip(*_records(objective, layer)))
            total += (inputs @ inputs.T + (0.0 if layer.bias is None else 1.0)) * (slopes @ slopes.T)
            continue
        for rows in _columns(objective, layer, max(1, most // objective.count)):
            rows = rows.to(dtype)
            total += rows @ rows.T
    return total


def _memory(objective, rows):
    """An array (rows, d), not filled. On the CPU by NumPy, which asks for huge pages: the first touch of small ones can
    cost more than the gradients."""
    shape, dtype = (rows, objective.dimension), objective.dtype
    if objective.device.type == "cpu" and dtype in _NUMPY:
        return torch.from_numpy(np.empty(shape, _NUMPY[dtype]))
    return torch.empty(shape, dtype=dtype, device=objective.device)


def _columns(objective, layer, width):
    """The N × (numbers in a layer, or in a list of parameters) array, `width` columns at a time."""
    size = sum(p.numel() for p in (layer.parameters() if isinstance(layer, nn.Module) else layer.values()))
    for start in range(0, size, width):
        if isinstance(layer, nn.Module):
            blocks = (torch.cat(_gradients(layer, a, d), 1) for a, d in _records(objective, layer))
        else:
            blocks = (torch.cat(_by_vmap(objective, list(layer), x, y), 1) for x, y in objective.batches(256))
        yield torch.cat([block[:, start : start + width] for block in blocks])


def _records(objective, layer):
    return (_pass(objective, [layer], x, y)[0] for x, y in objective.batches())


def _groups(objective, most):
    """Parameters {name: tensor} in runs of at most `most` numbers (a larger one stands alone)."""
    groups, size = [], most + 1
    for name, parameter in objective.parameters.items():
        if size + parameter.numel() > most:
            groups.append({})
            size = 0
        groups[-1][name] = parameter
        size += parameter.numel()
    return groups


def _fill(objective, x, y, rows):
    layers = _layers(objective)
    if layers is None:
        torch.cat(_by_vmap(objective, list(objective.parameters), x, y), 1, out=rows)
        return
    column = 0
    for layer, (inputs, slopes) in zip(layers, _pass(objective, layers, x, y)):
        if isinstance(layer, nn.Linear):  # written in place: memory traffic is what it costs
            size = layer.weight.numel()
            _outer_products(slopes, inputs, rows, column)
            parts, column = [slopes] if layer.bias is not None else [], column + size
        else:
            parts = _gradients(layer, inputs, slopes)
        for part in parts:
            rows[:, column : column + part.shape[1]] = part
            column += part.shape[1]


def _outer_products(slopes, inputs, rows, column):
    """rows[k, column:] ← δ_k a_kᵀ, flat."""
    if rows.device.type == "cpu" and rows.dtype in _NUMPY:
        arrays = (slopes.contiguous(), inputs.contiguous(), rows)
        fused.outer_products(*(array.numpy() for array in arrays), column)
    else:
        shape = slopes.shape[1], inputs.shape[1]
        place = rows[:, column : column + shape[0] * shape[1]].unflatten(1, shape)
        torch.mul(slopes[:, :, None], inputs[:, None, :], out=place)


def _layers(objective):
    """The modules that hold all parameters, in their order, or None where the formulas do not apply."""
    if not hasattr(objective, "layers"):
        found = [m for m in objective.model.modules() if list(m.parameters(recurse=False))]
        owned = [p for m in found for p in m.parameters(recurse=False)]
        known = list(objective.parameters.values())
        same = len(owned) == len(known) and all(p is q for p, q in zip(owned, known))
        usable = same and all(map(_direct, found)) and _used_once(objective, found)
        objective.layers = found if usable else None
    return objective.layers


def _direct(module):
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    norm = isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.track_running_stats and module.affine
    return type(module) is nn.Linear or norm


def _used_once(objective, layers):
    """Whether a sample passes every layer exactly once, and linear ones as a vector."""
    calls = []

    def note(module, arguments, output):
        calls.append((module, not isinstance(module, nn.Linear) or arguments[0].ndim == 2))

    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            objective.model(objective.split.inputs[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return len(calls) == len(layers) == len({id(m) for m, _ in calls}) and all(fits for _, fits in calls)


def _pass(objective, layers, x, y):
    """[(input, δ)] of every layer from one forward and one backward pass."""
    inputs, outputs = {}, {}

    def keep(module, arguments, output):
        inputs[module], outputs[module] = arguments[0].detach(), output

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        loss = objective.sample_losses(objective.parameters, x, y).sum()
    finally:
        for hook in hooks:
            hook.remove()
    slopes = torch.autograd.grad(loss, [outputs[layer] for layer in layers])
    return [(inputs[layer], slope) for layer, slope in zip(layers, slopes)]


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


def _by_vmap(objective, names, x, y):
    """The general rule, for any model."""
    fixed = {n: p.detach() for n, p in objective.parameters.items()}

    def loss(parameters, a, b):
        return objective.sample_losses(fixed | parameters, a[None], b[None])[0]

    found = vmap(grad(loss), (None, 0, 0))({n: fixed[n] for n in names}, x, y)
    return [part.flatten(1) if part.ndim > 1 else part[:, None] for part in found.values()]


def _chunk(objective, chunk):
    return chunk or max(1, min(1 << 11, (1 << 26) // objective.dimension))
