"""Pointwise functions with analytic first and second derivatives: autograd keeps one tensor, the input.

A composition of torch operations keeps an intermediate result for most of its steps and goes through memory once for
each. Here the input is all that is kept, everything else is computed again from it, and the work is done in pieces
that stay in the processor's cache from the first step to the last. On CUDA a kernel of Triton's does it all in one
pass, of the functions that say how (`Pointwise.fused`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Inexact
from torch import Tensor

from inr_plugins.networks.kernels import pointwise_triton
from inr_plugins.networks.kernels.pointwise_triton import FusedFormula, Order

PIECE_ON_CPU = 2**17
"""Elements worked on at a time: a few float32 buffers of this size stay in the cache of a core."""
PIECE_ELSEWHERE = 2**24
"""Elements at a time on a GPU, where a piece only bounds the memory of the buffers."""


class Pointwise(ABC):
    """A function of one number, real or complex, applied to every entry of a tensor, with its derivatives.

    As a map of the real parts (one for a real number, two for a complex one) it has a Jacobian J(z). Gradients of
    complex numbers follow torch: d loss/d Re + j d loss/d Im. Every method sees numbers of at least 32 bits.
    `plain` and the `jet_*` methods are plain torch, differentiable any number of times; the others write into given
    memory.
    """

    complex_values: bool = False
    """Whether real numbers have complex values."""

    @abstractmethod
    def plain(self, z: Tensor) -> Tensor:
        """The values, as a composition of torch operations."""

    @abstractmethod
    def value(self, z: Tensor, out: Tensor, spare: Tensor) -> None:
        """Write the values into out; spare is memory like z."""

    @abstractmethod
    def pullback(self, z: Tensor, gradient: Tensor, out: Tensor, spare: Tensor) -> None:
        """Write the gradient of the input, J(z)^T gradient, into out; spare is memory like z."""

    @abstractmethod
    def jet_pushforward(self, z: Tensor, direction: Tensor) -> Tensor:
        """J(z) direction: how fast the values change when z moves in that direction."""

    @abstractmethod
    def jet_curvature(self, z: Tensor, gradient: Tensor, direction: Tensor) -> Tensor:
        """How fast J(z)^T gradient changes when z moves in that direction (the Hessian of gradient . f, applied)."""

    def fused(self) -> FusedFormula | None:
        """The function as kernels for CUDA know it, if they do; the other methods are their twins."""
        return None

    def pushforward(self, z: Tensor, direction: Tensor, out: Tensor, spare: Tensor) -> None:
        """Write `jet_pushforward` into out; spare is memory like z."""
        out.copy_(self.jet_pushforward(z, direction))

    def curvature(self, z: Tensor, gradient: Tensor, direction: Tensor, out: Tensor, spare: Tensor) -> None:
        """Write `jet_curvature` into out; spare is memory like z."""
        out.copy_(self.jet_curvature(z, gradient, direction))


def evaluate(function: Pointwise, z: Inexact[Tensor, "*n"]) -> Inexact[Tensor, "*n"]:
    """The values of a pointwise function, differentiable any number of times.

    float64 and float32 are computed as they are. bfloat16 and float16 are computed in float32 from the first step,
    because phases are large, and rounded at the end: the values are bounded, so the rounding is that of the next
    layer's input. A phase that was lost by rounding z itself cannot be brought back here.

    Args:
        function: what to apply.
        z: inputs, kept for the backward pass; nothing else is, and nothing at all without gradients.

    Returns:
        The values, of the type of z; of the complex type of the same precision (at least complex64) where a real z
        has complex values.

    Raises:
        ValueError: complex numbers in a function of real ones.
    """
    if z.is_complex() and not function.complex_values:
        raise ValueError(f"{type(function).__name__} takes real numbers, got {z.dtype}")
    if torch.compiler.is_compiling():
        # A compiler fuses the plain composition by itself, and decides what to keep.
        return function.plain(z.to(_working_dtype(z))).to(_value_dtype(function, z))
    return _Value.apply(z, function)


class _Value(torch.autograd.Function):
    """f(z)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, function: Pointwise) -> Tensor:
        ctx.save_for_backward(z)
        ctx.function = function
        return _computed(function, "value", (z,), _value_dtype(function, z))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (z,) = ctx.saved_tensors
        return _Pullback.apply(z, gradient, ctx.function), None


class _Pullback(torch.autograd.Function):
    """J(z)^T gradient, the backward pass of _Value; linear in gradient."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, gradient: Tensor, function: Pointwise) -> Tensor:
        ctx.save_for_backward(z, gradient)
        ctx.function = function
        return _computed(function, "pullback", (z, gradient), z.dtype)

    @staticmethod
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        z, gradient = ctx.saved_tensors
        function, bend, push = ctx.function, None, None
        if ctx.needs_input_grad[0]:
            bend = _second(function, "curvature", (z, gradient, direction), z.dtype)
        if ctx.needs_input_grad[1]:
            push = _second(function, "pushforward", (z, direction), gradient.dtype)
        return bend, push, None


def _second(function: Pointwise, order: Order, inputs: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """In one go, or as one short graph of plain torch where third derivatives are wanted."""
    if torch.is_grad_enabled():
        jet = function.jet_curvature if order == "curvature" else function.jet_pushforward
        return jet(*(t.to(_working_dtype(t)) for t in inputs)).to(dtype)
    return _computed(function, order, inputs, dtype)


def _computed(function: Pointwise, order: Order, inputs: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """A method of a function for all numbers, by a kernel for CUDA or in pieces."""
    formula = function.fused()
    if formula is not None and pointwise_triton.fits(formula, order, function.plain, *inputs):
        return pointwise_triton.run(formula, order, inputs, dtype)
    return _in_pieces(getattr(function, order), inputs, dtype)


def _in_pieces(write: Callable[..., None], inputs: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """Run write(*inputs, out, spare) over rows of the inputs, a cache-sized piece at a time.

    Args:
        write: fills out; sees its inputs, out and spare with at least 32 bits, spare being like the first input.
        inputs: of one shape.
        dtype: type of the result.
    """
    first = inputs[0]
    columns = first.shape[-1] if first.ndim > 1 else 1
    rows = [t.reshape(first.numel() // max(columns, 1), columns) for t in inputs]
    out = torch.empty(rows[0].shape, dtype=dtype, device=first.device)
    piece = PIECE_ON_CPU if first.device.type == "cpu" else PIECE_ELSEWHERE
    step = max(1, min(piece // max(columns, 1), len(out)))
    spare = torch.empty((step, columns), dtype=_working_dtype(first), device=first.device)
    for start in range(0, len(out), step):
        given = [t[start : start + step] for t in rows]
        part = out[start : start + step]
        wide = part if part.dtype == _working_dtype(part) else torch.empty_like(part, dtype=_working_dtype(part))
        write(*(t.to(_working_dtype(t)) for t in given), wide, spare[: len(part)])
        if wide is not part:
            part.copy_(wide)
    return out.view(first.shape)


def _working_dtype(t: Tensor) -> torch.dtype:
    """The type to compute in: that of the tensor, but at least 32 bits."""
    return torch.promote_types(t.dtype, torch.float32)


def _value_dtype(function: Pointwise, z: Tensor) -> torch.dtype:
    """The type of the values: that of z, or the complex one of its (working) precision."""
    return torch.promote_types(_working_dtype(z), torch.complex64) if function.complex_values else z.dtype
