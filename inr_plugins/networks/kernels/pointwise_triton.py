"""Activations and their derivatives in Triton, each in one pass over memory, for CUDA.

The twins are the methods of `Pointwise` in torch. Real numbers are float32 or bfloat16, complex ones complex64; all is
computed in float32. `kernel_trust` says when these are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from inr_plugins import kernel_trust
from inr_plugins.networks.kernels.triton_launch import launch

Order = Literal["value", "pullback", "pushforward", "curvature"]
"""The methods of `Pointwise`."""

_TOLERANCE = {torch.float32: 1e-3, torch.complex64: 1e-3, torch.bfloat16: 3e-2}
"""Of the check on the device, relative; of types of z that there are kernels for."""
_COUNT = 4099
"""Of numbers that are compared."""
_BLOCK = 1024
"""Numbers of a program."""


class FusedSine(NamedTuple):
    """sin(ω z), or sin(ω (|z| + 1) z) if variable, the scale held constant in derivatives if detached."""

    omega: float
    variable: bool
    detach: bool


class FusedFormula(NamedTuple):
    """A pointwise function as the kernels know it.

    Attributes:
        kind: sine, gauss, softplus, wavelet or relu.
        first: the scale of gauss and wavelet, β of softplus.
        carrier: of the wavelet.
        sine: the function itself, or inside of it.
        largest: where the phase of an imaginary part is held in the sine of complex numbers.
    """

    kind: str
    first: float = 1.0
    carrier: float = 0.0
    sine: FusedSine | None = None
    largest: float = 0.0

    def flags(self) -> dict[str, bool]:
        """What kernels are compiled for."""
        inner = self.sine or FusedSine(0.0, False, False)
        return {"INNER": self.sine is not None, "VARIABLE": inner.variable, "DETACH": inner.detach}

    @property
    def omega(self) -> float:
        """ω of the sine, where there is one."""
        return 0.0 if self.sine is None else self.sine.omega

    @property
    def unit(self) -> float:
        """A size of z at which there is something to be seen of the function."""
        return 1 / max(1.0, self.omega or max(self.first, self.carrier))


def fits(formula: FusedFormula, order: Order, plain: Callable[[Tensor], Tensor], *inputs: Tensor) -> bool:
    """Whether `run` can be used for these inputs; plain is the function in plain torch, differentiable twice."""
    z = inputs[0]
    return (
        kernel_trust.are_possible(*inputs)
        and z.dtype in _TOLERANCE
        and all(each.dtype in _TOLERANCE for each in inputs)
        and kernel_trust.is_trusted(
            f"Triton's kernels of the activation {formula.kind} ({order})",
            (formula, z.dtype),
            z.device,
            lambda device: trouble(formula, order, plain, device, z.dtype),
        )
    )


def run(formula: FusedFormula, order: Order, inputs: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """A method of `Pointwise` for all numbers.

    Args:
        formula: the function.
        order: the method.
        inputs: z, and what the method takes beside it, of one shape.
        dtype: of the result.
    """
    z = inputs[0]
    given = [_numbers(each) for each in inputs]
    out = torch.empty(z.shape, dtype=dtype, device=z.device)
    gradient = given[1] if order in ("pullback", "curvature") else given[0]
    direction = given[-1] if order in ("pushforward", "curvature") else given[0]
    count = z.numel()
    arguments: list[Any] = [given[0], gradient, direction, _numbers(out), count]
    settings: dict[str, Any] = {"ORDER": order, **formula.flags(), "BLOCK": _BLOCK}
    if formula.kind == "wavelet":
        kernels, arguments = _wavelets(), [*arguments, formula.carrier, formula.first, formula.omega]
        kernel = kernels.of_complex if z.is_complex() else kernels.of_real
        arguments += [formula.largest] if z.is_complex() else []
    else:
        kernel, arguments = _reals().real_function, [*arguments, formula.first, formula.omega]
        settings["KIND"] = formula.kind
    launch(kernel, -(-count // _BLOCK), z, *arguments, **settings)
    return out


def _numbers(t: Tensor) -> Tensor:
    """Contiguous float32 or bfloat16 numbers; those of complex ones in pairs."""
    t = t.resolve_conj().resolve_neg().contiguous()
    return torch.view_as_real(t) if t.is_complex() else t


def trouble(
    formula: FusedFormula, order: Order, plain: Callable[[Tensor], Tensor], device: torch.device, dtype: torch.dtype
) -> str | None:
    """What a kernel gives on a device that float64 and autograd do not, or None."""
    drawn = torch.Generator().manual_seed(0)
    exact = torch.promote_types(dtype, torch.float64)
    z = (torch.randn(_COUNT, generator=drawn, dtype=exact) * formula.unit).to(dtype)
    wide = z.to(exact).requires_grad_()
    values = plain(wide)
    gradient, direction = (torch.randn(_COUNT, generator=drawn, dtype=each.dtype) for each in (values, wide))
    of_values = torch.complex64 if values.is_complex() else dtype
    gradient, direction = gradient.to(of_values), direction.to(dtype)
    weight = gradient.to(values.dtype).requires_grad_()
    truth: dict[str, Tensor] = {order: values}
    inputs: tuple[Tensor, ...] = (z,)
    if order != "value":
        (pulled,) = torch.autograd.grad(values, wide, weight, create_graph=True)
        truth[order] = pulled
        inputs = (z, gradient) if order == "pullback" else (z, gradient, direction)
        if order != "pullback":
            leaf = weight if order == "pushforward" else wide
            (truth[order],) = torch.autograd.grad(pulled, leaf, direction.to(wide.dtype))
            inputs = (z, direction) if order == "pushforward" else inputs
    result = of_values if order in ("value", "pushforward") else dtype
    found: dict[str, Tensor] = {order: run(formula, order, tuple(each.to(device) for each in inputs), result)}
    return kernel_trust.disagreement(found, truth, tolerance=_TOLERANCE[dtype])


def _reals() -> Any:
    """The module of kernels of real functions; triton is imported when they are first wanted."""
    from inr_plugins.networks.kernels import pointwise_triton_kernels

    return pointwise_triton_kernels


def _wavelets() -> Any:
    from inr_plugins.networks.kernels import wavelet_triton_kernels

    return wavelet_triton_kernels
