"""What an operator has to answer."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from inr_plugins.errors import InputError


@runtime_checkable
class Operator(Protocol):
    """A linear map A from the samples of a field to what an instrument measures of it."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of what is measured, without what stands before it."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of the measurements, without what stands before them."""

    def forward(self, x: Tensor) -> Tensor:
        """A x, with gradients: (..., *input_shape) to (..., *output_shape), in the type and on the device of x."""

    def adjoint(self, y: Tensor) -> Tensor:
        """The adjoint of that map, (..., *output_shape) to (..., *input_shape): <A x, y> = <x, adjoint(y)>."""

    def check(self, data: Tensor) -> None:
        """Raise InputError where measurements cannot be this operator's: their shape, or numbers that are none."""


class Identity:
    """A field that is measured itself; the operator of images.

    Attributes: see Operator.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        """`shape`: of what is measured."""
        self.input_shape = self.output_shape = tuple(shape)

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """x."""
        return x

    def adjoint(self, y: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """y."""
        return y

    def check(self, data: Shaped[Tensor, "*shape"]) -> None:
        """See Operator."""
        check_measurements(data, self.output_shape)


def check_measurements(data: Tensor, shape: tuple[int, ...]) -> None:
    """Raise InputError where measurements have another shape at their end, or numbers that are not finite."""
    if tuple(data.shape[-len(shape) :]) != shape:
        raise InputError(f"The measurements have the shape {tuple(data.shape)}, and {shape} is what is measured here.")
    count = int((~torch.isfinite(data)).sum())
    if count:
        raise InputError(f"{count:,} of {data.numel():,} measurements are no finite numbers: mend or leave them out.")
