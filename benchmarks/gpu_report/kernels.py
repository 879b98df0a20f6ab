"""Whether the kernels for CUDA agree with float64, and what a layer costs with them and without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args
from unittest.mock import patch

import torch

from inr_plugins import kernel_trust
from inr_plugins.networks.activations.settings import ActivationName, ActivationSettings, AnalyticActivation, ReLU
from inr_plugins.networks.activations.settings import make_activation as activation_of
from inr_plugins.networks.kernels import batch_norm_triton, cross_norm_trust, pointwise_triton
from inr_plugins.networks.kernels.pointwise_triton import Order
from inr_plugins.networks.normalization.batch import fused_activation
from inr_plugins.networks.normalization.registry import NoNormalization, make_normalization
from inr_plugins.rendering import nerfacc_scan

Check = Callable[[], dict[str, Any]]

WIDTHS = 64, 256
"""Channels: of NeRFs of FINER++ and the others."""
NUMBERS = torch.float32, torch.bfloat16
ROWS, STEPS, WARM = 1 << 18, 10, 3
"""Of a layer that is timed."""


def checks(device: torch.device) -> dict[str, Check]:
    """All by name; each gives what it found, and `passed`."""
    found: dict[str, Check] = {
        "kernels/cross norm": partial(_judge, device, _of_cross_norm(), layer=("cross", "relu")),
        "kernels/batch norm": partial(_judge, device, _of_batch_norm(), layer=("batch", "relu")),
        "kernels/packed sums": partial(_judge, device, _of_the_scan(), needs=nerfacc_scan.nerfacc_is_built),
    }
    for name in get_args(ActivationName):
        if isinstance(activation_of(ActivationSettings(name)), AnalyticActivation):
            found[f"kernels/{name}"] = partial(_judge, device, _of_activation(name), layer=("none", name))
    return found


def _of_cross_norm() -> Iterator[kernel_trust.Check]:
    for channels in WIDTHS:
        for dtype in NUMBERS:
            yield partial(_swapped, cross_norm_trust.first_trouble, channels, dtype)
            yield partial(_swapped, cross_norm_trust.second_trouble, channels, dtype)


def _swapped(check: Callable[..., str | None], channels: int, dtype: torch.dtype, device: torch.device) -> str | None:
    return check(device, channels, dtype)


def _of_batch_norm() -> Iterator[kernel_trust.Check]:
    for name in get_args(ActivationName):
        fused = fused_activation(activation_of(ActivationSettings(name)))
        for channels in WIDTHS if fused is not None else ():
            for dtype in NUMBERS:
                yield partial(_swapped, partial(batch_norm_triton.trouble, fused), channels, dtype)


def _of_the_scan() -> Iterator[kernel_trust.Check]:
    yield nerfacc_scan.trouble


def _of_activation(name: ActivationName) -> Iterator[kernel_trust.Check]:
    activation = activation_of(ActivationSettings(name))
    formula = activation.formula.fused()
    numbers = (*NUMBERS, torch.complex64) if activation.is_complex else NUMBERS
    for dtype in numbers if formula is not None else ():
        for order in get_args(Order):
            yield partial(pointwise_triton.trouble, formula, order, activation.formula.plain, dtype=dtype)


def _judge(
    device: torch.device,
    comparisons: Iterator[kernel_trust.Check],
    *,
    layer: tuple[str, ActivationName] | None = None,
    needs: Callable[[], bool] = lambda: True,
) -> dict[str, Any]:
    """What is wrong with kernels on a device, if anything, and what a layer costs with them and without."""
    if device.type != "cuda":
        return {"passed": None, "note": "the kernels are for CUDA"}
    if not needs():
        return {"passed": None, "note": "nerfacc's CUDA code is not built here"}
    told = [kernel_trust.trouble_on(device, each) for each in comparisons]
    wrong = [each for each in told if each is not None]
    found: dict[str, Any] = {"comparisons": len(told), "wrong": wrong, "passed": bool(told) and not wrong}
    if layer is not None:
        plain, twin, fused = (
            _layer_ms(device, *which, kernels=kernels)
            for which, kernels in ((("none", "relu"), True), (layer, False), (layer, True))
        )
        found["layer_ms"] = {"relu": plain, "kernels": fused, "torch": twin}
        note = f"a layer {fused:.3g} ms, by torch's operations {twin:.3g}, of relu alone {plain:.3g}"
        found["note"] = f"{wrong[0]}; {note}" if wrong else note
    elif wrong:
        found["note"] = wrong[0]
    return found


def _layer_ms(device: torch.device, normalization: str, activation: ActivationName, *, kernels: bool) -> float:
    """Milliseconds, forwards and backwards, of a layer of 256 over 262,144 rows in bfloat16."""
    norm = NoNormalization(256) if normalization == "none" else make_normalization(normalization, 256)
    norm, linear = norm.to(device).train(), torch.nn.Linear(256, 256, device=device)
    function = ReLU() if activation == "relu" else activation_of(ActivationSettings(activation))
    x = torch.randn(ROWS, 256, device=device, dtype=torch.bfloat16, requires_grad=True)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    with patch.dict(os.environ, {"INR_KERNELS": "on" if kernels else "off"}):
        for step in range(WARM + STEPS):
            if step == WARM:
                begin.record()
            with torch.autocast("cuda", torch.bfloat16):
                out = norm.activated(linear(x), function)
            out.backward(torch.ones_like(out))
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / STEPS
