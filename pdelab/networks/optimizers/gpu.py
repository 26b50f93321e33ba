"""What launches Triton's kernels, whose module is opened at first use: triton takes a second to import."""

import os
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec

import torch

from pdelab.networks.optimizers.thermal import TILE

__all__ = ["BLOCK", "WARPS", "fill", "kernels", "on_device", "send", "triton_refusal"]

BLOCK, WARPS = 1024, 2  # numbers and warps of a program: four float32 numbers of a row a thread at once


def triton_refusal(tensor):
    """Why Triton's kernels cannot serve a tensor (or what else has `device` and `dtype`), or None where they can: any
    float type on a GPU, and on the CPU where TRITON_INTERPRET=1 has Triton's interpreter run them, for tests."""
    if tensor.dtype not in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        return f"needs a float type of 16, 32 or 64 bits, got {tensor.dtype}"
    if tensor.device.type != "cuda" and (tensor.device.type != "cpu" or os.environ.get("TRITON_INTERPRET") != "1"):
        return f"needs a GPU, got {tensor.device}"
    if find_spec("triton") is None:
        return "needs triton, which is not installed here: pip install triton"
    return None


@cache
def kernels():
    """The module of the kernels."""
    from pdelab.networks.optimizers import triton_kernels

    return triton_kernels


def on_device(device):
    """Inside, launches go to this GPU, on its present stream."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def send(values, target):
    """target ← an array of the host, which does not wait."""
    source = torch.from_numpy(values).to(target.dtype)
    if target.device.type == "cuda":
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError("something that a recorded loop reads has moved since its rehearsal: record it anew")
        source = source.pin_memory()
    target.copy_(source.view(target.shape), non_blocking=True)


def fill(noise, first, address):
    """noise ← standard normals of whole tiles from `first` on; address: (seed, stream, tick), the tick a number or a
    tensor of one on the device."""
    tick = address[2]
    with on_device(noise.device):
        kernels().fill_normals[(-(-noise.numel() // BLOCK),)](
            noise, noise.numel(), first * TILE, *address, DEVICE_TICK=isinstance(tick, torch.Tensor),
            WIDE=noise.dtype == torch.float64, BLOCK=BLOCK, num_warps=WARPS,
            enable_fp_fusion=False,
        )  # fmt: skip
