"""In what precision networks compute: decided here, for every field."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]
"""Of matrix products in training; evaluation is always in float32."""


@functools.cache
def has_fast_bfloat16() -> bool:
    """Whether torch multiplies bfloat16 matrices fast on this CPU: with AVX-512, AMX or Arm's BF16.

    On one thread of an EPYC with AVX-512 BF16, four layers of 256 take 45 ms forwards and backwards, 166 ms in float32;
    held to plain AVX-512 151 and 197 ms, and held to AVX2 2208 and 206 ms (ONEDNN_MAX_CPU_ISA).
    """
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast_of(precision: Precision, device: torch.device, *, training: bool) -> AbstractContextManager[Any]:
    """The context in which a network computes.

    Args:
        precision: auto is bfloat16 on a CPU that is fast at it and float32 on others; on other devices it is what the
            caller has set, as the trainer does with mixed precision on CUDA. The others are so on every device.
        device: of the network.
        training: whether this is a step of training; all else is in float32.
    """
    if training and precision == "auto" and device.type != "cpu":
        return nullcontext()
    is_low = precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16())
    return torch.autocast(device.type, torch.bfloat16, enabled=training and is_low)
