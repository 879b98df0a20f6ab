"""When kernels for CUDA are used, Triton's and others': where they have agreed with what they stand for.

Nobody can try a kernel on every card, driver and compiler. So each is compared on the device at hand with a few lines
of float64, once a process and for each shape of its compilation, when it is first wanted. Where it fails or disagrees,
torch's own operations are used and a sentence says so, once for each.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Mapping

import torch
from torch import Tensor

_log = logging.getLogger(__name__)

Check = Callable[[torch.device], str | None]
"""Runs kernels on a device; what is wrong with what they give, in words, or None."""

_verdicts: dict[tuple[str, Hashable, torch.device], bool] = {}
_told: set[str] = set()


def are_possible(*tensors: Tensor) -> bool:
    """Whether kernels could work on these tensors at all: on one CUDA device, with numbers in them, switched on."""
    device = tensors[0].device
    return (
        device.type == "cuda"
        and all(each.device == device and each.numel() > 0 for each in tensors)
        and not torch.compiler.is_compiling()
        and os.environ.get("INR_KERNELS", "").lower() != "off"
    )


def is_trusted(kernels: str, kind: Hashable, device: torch.device, check: Check) -> bool:
    """Whether kernels have passed their check on a device; it is run when it is first asked for.

    Args:
        kernels: which, as the subject of a sentence: "Triton's kernels of cross normalization".
        kind: what they are compiled for, beside the device.
        device: a CUDA device.
        check: compares them with what they stand for.

    Raises:
        torch.cuda.OutOfMemoryError: the device has no room for the check, which says nothing about the kernels.
    """
    key = (kernels, kind, device)
    if key not in _verdicts:
        # A device that is only called so, as tests do, needs no sentence.
        there = torch.cuda.is_available()
        trouble = trouble_on(device, check) if there else None
        _verdicts[key] = there and trouble is None
        if trouble is not None and kernels not in _told:
            _told.add(kernels)
            _log.warning(
                "%s are not used on %s, because %s: torch's own operations are used instead.", kernels, device, trouble
            )
    return _verdicts[key]


def forget() -> None:
    """Check all kernels anew, and say again what is wrong with them."""
    _verdicts.clear()
    _told.clear()


def disagreement(found: Mapping[str, Tensor], truth: Mapping[str, Tensor], *, tolerance: float) -> str | None:
    """The first of some tensors that is not what it should be, in words, or None.

    Args:
        found: what kernels gave, by name.
        truth: what they should have given, under the same names, in float64 or complex128.
        tolerance: error allowed of a number: this times the number and a tenth of it times the largest of its tensor.
    """
    for name, right in truth.items():
        value = found[name].detach().to("cpu", right.dtype).reshape(right.shape)
        right = right.detach()
        largest = float(right.abs().max())
        if not torch.allclose(value, right, rtol=tolerance, atol=tolerance / 10 * largest):
            error = float((value - right).abs().max())
            return f"their {name} is off by {error:.2g} where float64 has {largest:.2g} at the most"
    return None


def trouble_on(device: torch.device, check: Check) -> str | None:
    """What a check says on a device, or how it failed; torch.cuda.OutOfMemoryError is raised on."""
    try:
        # Asked in the middle of a step, wherever that is.
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cuda", enabled=False):
            return check(device)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a compiler or a driver may raise
        lines = str(error).strip().splitlines()
        return f"they fail with {type(error).__name__}" + (f" ({lines[0].strip()[:200]})" if lines else "")
