"""What an optimizer accepts: one clear ValueError a mistake."""

import math

import torch
import torch.distributed as distributed
from torch.nn.parameter import is_lazy

from pdelab.networks.schedules import KINDS

__all__ = [
    "check", "check_loss", "check_parameters", "check_settings", "drawn_seed", "finite_loss", "inverse", "loss_value",
    "scope",
]  # fmt: skip

NOT_NEGATIVE = ("lr", "inner_lr", "weight_decay", "temperature", "decay", "elastic", "coupling", "outer_lr")
SCOPES = ("gamma", "rho")
FRACTIONS = ("averaging",)
BELOW_ONE = ("momentum", "outer_momentum")
COUNTS = ("inner_steps", "replicas", "period")
SWITCHES = ("nesterov", "maximize", "resampled", "outer_nesterov")
POSITIVE = ("decay_steps", "master_lr")


def check_settings(group):
    """Check every known setting of a parameter group."""
    for names, good, expected in (
        (NOT_NEGATIVE, lambda v: 0 <= v < math.inf, "a finite number >= 0"),
        (FRACTIONS, lambda v: 0 < v <= 1, "a number in (0, 1], the weight of the new iterate"),
        (BELOW_ONE, lambda v: 0 <= v < 1, "a number in [0, 1)"),
        (POSITIVE, lambda v: 0 < v < math.inf, "a finite number > 0"),
    ):
        for name in names:
            if name in group and group[name] is not None:
                check(name, group[name], good, expected)
    for name in SCOPES:
        if name in group and type(group[name]) not in KINDS.values():
            check(name, group[name], lambda v: v > 0, "a number > 0 (math.inf: no coupling) or a schedule")
    for name in COUNTS:
        if name in group:
            value = group[name]
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")
    for name in SWITCHES:
        if name in group and not isinstance(group[name], bool):
            raise ValueError(f"{name}: expected True or False, got {group[name]!r}")
    seed = group.get("seed", 0)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 63):
        raise ValueError(f"seed: expected an integer in [0, 2^63) or None, got {seed!r}")


def check(name, value, good, expected):
    """Raise ValueError unless `value` is a number, or a tensor of one number, that is `good`."""
    number = value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not good(number):
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def check_parameters(params, replicas):
    """Real, dense, floating tensors; with replicas, as many equal shares."""
    for p in params:
        if is_lazy(p):
            raise ValueError("params: expected tensors with a shape, got a lazy one: run the model once before")
        if p.is_meta:
            raise ValueError("params: expected numbers, got some on meta: model.to_empty(device=...) first")
        if p.layout is not torch.strided:
            raise ValueError(f"params: expected dense tensors, got layout {p.layout}: leave them to another optimizer")
        if p.dtype.is_complex:
            raise ValueError(
                f"params: expected real numbers, got {p.dtype}: train torch.view_as_real(parameter) instead"
            )
        if not p.dtype.is_floating_point:
            raise ValueError(f"params: expected floating-point numbers, got {p.dtype}")
    share, rest = divmod(len(params), replicas)
    shapes = [(p.shape, p.dtype) for p in params]
    if rest or any(shapes[k] != shapes[k % share] for k in range(len(params))):
        raise ValueError(
            f"replicas={replicas}: expected the parameters of {replicas} equal networks one after the other, got "
            f"{len(params)} tensors whose shapes do not repeat {replicas} times"
        )


def check_loss(loss):
    """Raise ValueError at a loss that is not finite."""
    if not finite_loss(loss):
        value = loss_value(loss)
        raise ValueError(f"the loss is {value}: nothing was updated; lower lr or inner_lr, or clip the gradients")


def finite_loss(loss):
    """Whether a loss is finite, or was not told."""
    value = loss_value(loss)
    return value is None or math.isfinite(value)


def loss_value(loss):
    """A loss as a number; of a tuple the loss is the first."""
    loss = loss[0] if isinstance(loss, (tuple, list)) and loss else loss
    return loss.item() if isinstance(loss, torch.Tensor) else loss


def scope(value, t):
    """γ or ρ after t outer steps."""
    return value(t) if callable(value) else value


def inverse(value, t):
    """1/γ or 1/ρ after t outer steps; 0 for an infinite scope."""
    value = scope(value, t)
    return 0.0 if value == math.inf else 1.0 / value


def drawn_seed(group=None):
    """A key of the noise from torch's generator, on all ranks of a process group that of its first one."""
    key = [int(torch.randint((1 << 63) - 1, (), dtype=torch.int64, device="cpu"))]
    ready = distributed.is_available() and distributed.is_initialized()
    if ready and distributed.get_world_size(group) > 1:
        distributed.broadcast_object_list(key, group=group, group_src=0)
    return key[0]
