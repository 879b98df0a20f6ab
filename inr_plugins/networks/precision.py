"""In what precision networks compute: decided here, for every field and every device."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]
"""Of matrix products in training; evaluation is always in float32."""

_FIRST_WITH_BFLOAT16 = 8
"""Compute capability from which on CUDA devices multiply bfloat16 and TF32: Ampere's."""


@functools.cache
def has_fast_bfloat16() -> bool:
    """Whether torch multiplies bfloat16 matrices fast on this CPU: with AVX-512, AMX or Arm's BF16.

    On one thread of an EPYC with AVX-512 BF16, four layers of 256 take 45 ms forwards and backwards, 166 ms in float32;
    held to plain AVX-512 151 and 197 ms, and held to AVX2 2208 and 206 ms (ONEDNN_MAX_CPU_ISA).
    """
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def cuda_has_bfloat16(device: torch.device) -> bool:
    """Whether a CUDA device multiplies bfloat16 matrices itself."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability(device)[0] >= _FIRST_WITH_BFLOAT16


def autocast_of(precision: Precision, device: torch.device, *, training: bool) -> AbstractContextManager[Any]:
    """The context in which a network computes, whatever its caller has set.

    Args:
        precision: auto is bfloat16 where the device is fast at it and float32 elsewhere, see `trains_low`. The others
            are so on every device.
        device: of the network.
        training: whether this is a step of training; all else is in float32.
    """
    if training and precision == "auto" and device.type not in ("cpu", "cuda"):
        return nullcontext()
    low = training and trains_low(precision, device)
    # Inside of a caller's autocast the casts of weights are kept until that ends; one of a pass without gradients, as
    # older torch keeps it, would take them from the pass that wants them.
    return torch.autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=torch.is_grad_enabled())


def trains_low(precision: Precision, device: torch.device) -> bool:
    """Whether hidden layers are trained in bfloat16 on this device."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return cuda_has_bfloat16(device)
    return device.type == "cpu" and has_fast_bfloat16()


@contextmanager
def tf32_in_step(precision: Precision, device: torch.device) -> Iterator[None]:
    """In it, CUDA multiplies what is in float32 as TF32, ten bits of mantissa, unless the precision is float32.

    For a step of training as a whole. The flag is one for the process, and a product looks at it when it runs: set
    around the forward pass alone, it would not reach the backward. Products that must not be rounded are no matrix
    products on CUDA (`exact_products`). Afterwards the flag is what it was, so that evaluation is not rounded.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
