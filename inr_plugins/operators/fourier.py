"""Magnetic resonance: some of the Fourier coefficients of a slice or a volume, seen by one coil or by several."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.operators.protocol import check_measurements


class MaskedFourier:
    """Coefficients of the discrete Fourier transform of a real slice or volume, where a mask has them.

    The transform is unitary (`norm="ortho"`), so noise of the measurements is as large in the volume. Voxel n // 2 of n
    is the origin along each axis, and coefficient n // 2 that of frequency 0, as `numpy.fft.fftshift` puts it: number k
    is (k - n // 2) / (n d) cycles per mm of voxels d mm apart. What is measured are complex numbers, each as its real
    and imaginary part, so that this is a linear map of real numbers and the adjoint one of real numbers too.

    A coil sees the volume times its map, S_c x. Maps that have the phase of the images (`coil_maps`) leave x real.

    Attributes:
        input_shape: axes of the volume.
        output_shape: coils, coefficients in the order of the mask, and 2.
    """

    def __init__(self, mask: Bool[Tensor, "*axes"], maps: Complex[Tensor, " coils *other"] | None = None) -> None:
        """
        Args:
            mask: which coefficients are measured, frequency 0 in the middle.
            maps: of the coils; None: one coil that sees all alike.

        Raises:
            InputError: nothing is measured, or the maps are of another size.
        """
        count = int(mask.sum())
        if count == 0:
            raise InputError("A mask without a single coefficient measures nothing: give one with some.")
        if maps is not None and maps.shape[1:] != mask.shape:
            raise InputError(f"Maps of {tuple(maps.shape[1:])} voxels are not of a volume of {tuple(mask.shape)}.")
        self.mask, self.maps = mask, maps
        self.input_shape = tuple(mask.shape)
        self.output_shape = (1 if maps is None else len(maps), count, 2)
        self._places = mask.reshape(-1).nonzero()[:, 0]

    def to(self, device: torch.device | str) -> MaskedFourier:
        """The same operator on a device."""
        return MaskedFourier(self.mask.to(device), None if self.maps is None else self.maps.to(device))

    def forward(self, x: Float[Tensor, "*batch_and_axes"]) -> Float[Tensor, "*batch coils samples 2"]:
        """Measured coefficients of real volumes (*batch, *axes)."""
        seen = x.unsqueeze(-len(self.input_shape) - 1)
        if self.maps is not None:
            seen = seen * self.maps.to(x.dtype.to_complex())
        found = torch.fft.fftshift(
            torch.fft.fftn(torch.fft.ifftshift(seen, dim=self._axes), dim=self._axes, norm="ortho"), dim=self._axes
        )
        return torch.view_as_real(found.flatten(-len(self._axes))[..., self._places])

    def adjoint(self, y: Float[Tensor, "*batch coils samples 2"]) -> Float[Tensor, "*batch_and_axes"]:
        """The adjoint: coefficients that were not measured are 0, and of the sum over coils the real part counts."""
        coefficients = torch.view_as_complex(y.contiguous())
        full = coefficients.new_zeros((*coefficients.shape[:-1], math.prod(self.input_shape)))
        full = full.index_copy(-1, self._places, coefficients).unflatten(-1, self.input_shape)
        seen = torch.fft.fftshift(
            torch.fft.ifftn(torch.fft.ifftshift(full, dim=self._axes), dim=self._axes, norm="ortho"), dim=self._axes
        )
        if self.maps is not None:
            seen = seen * self.maps.to(seen.dtype).conj()
        return seen.real.sum(-len(self._axes) - 1)

    def check(self, data: Float[Tensor, "*batch coils samples 2"]) -> None:
        """See Operator."""
        check_measurements(data, self.output_shape)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self.input_shape), 0))
