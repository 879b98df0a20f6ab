"""How Triton's kernels are started, and how rows of a matrix are shared out among their programs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

WIDEST = 4096
"""Channels of a matrix, at the most."""
_ELEMENTS = 2048
"""Of a block of rows, which a program holds in registers."""
_PROGRAMS = 1024
"""That add up columns, at the most; their sums are added by torch."""


def launch(kernel: Any, programs: int, like: Tensor, *arguments: Any, **settings: Any) -> None:
    """Run a kernel on the device of a tensor, as Triton takes the current one."""
    with torch.cuda.device_of(like):
        kernel[(programs,)](*arguments, **settings)


def blocks_of_rows(x: Tensor) -> tuple[int, dict[str, int]]:
    """Programs for one block of rows each; channels, the next power of two, and rows of a block."""
    padded = 1 << (x.shape[1] - 1).bit_length()
    sizes = {"CHANNELS": x.shape[1], "PADDED": padded, "BLOCK": max(1, _ELEMENTS // padded)}
    return -(-len(x) // sizes["BLOCK"]), sizes


def shares_of_rows(x: Tensor) -> tuple[int, int, dict[str, int]]:
    """Programs that share the rows, the blocks of rows of each, and sizes as of `blocks_of_rows`."""
    blocks, sizes = blocks_of_rows(x)
    each = -(-blocks // _PROGRAMS)
    return -(-blocks // each), each, sizes
