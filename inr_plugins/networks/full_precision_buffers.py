"""Buffers that a cast to half precision leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class FullPrecisionBuffers(nn.Module):
    """A module whose own buffers never go below float32: `.half()` and `.bfloat16()` move them and keep their type.

    For buffers that half precision would spoil: a number of rows above 65,504, a running mean far from zero, a
    frequency whose phase runs over many periods.
    """

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> FullPrecisionBuffers:
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, old in before.items():
            new: Tensor = getattr(self, name)
            if new.is_floating_point() and torch.finfo(new.dtype).bits < 32:
                setattr(self, name, old.to(new.device))
        return self
