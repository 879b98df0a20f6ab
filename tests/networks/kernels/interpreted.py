"""Triton's kernels, which its interpreter runs on a CPU, beside their twins and float64; run by a test.

A process of its own: Triton looks at the variable TRITON_INTERPRET when the kernels are made. Prints what failed.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import interpreted_batch_norm
import interpreted_cross_norm
import interpreted_pointwise
import torch

from inr_plugins import kernel_trust
from inr_plugins.networks.kernels import cross_norm

CHECKS = {**interpreted_cross_norm.CHECKS, **interpreted_pointwise.CHECKS, **interpreted_batch_norm.CHECKS}


@contextmanager
def kernels_on_a_cpu() -> Iterator[None]:
    """Have kernels used, and trusted, for tensors of the CPU."""
    before = kernel_trust.are_possible, kernel_trust.is_trusted, cross_norm.fits
    kernel_trust.are_possible = lambda *tensors: all(each.numel() > 0 for each in tensors)
    kernel_trust.is_trusted = lambda *_: True
    cross_norm.fits = lambda *_: False
    try:
        yield
    finally:
        kernel_trust.are_possible, kernel_trust.is_trusted, cross_norm.fits = before


if __name__ == "__main__":
    failed = {}
    for name, check in CHECKS.items():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        torch.manual_seed(0)
        try:
            with kernels_on_a_cpu():
                check()
        except Exception:
            failed[name] = traceback.format_exc(limit=-3)
    print(json.dumps(failed))
