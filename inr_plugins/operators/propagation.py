"""Free-space propagation of a field of light: what it is a distance further on, and what a sensor sees there."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.errors import InputError
from inr_plugins.operators.protocol import check_measurements

Kernel = Literal["angular-spectrum", "fresnel"]
Frequencies = Literal["fft", "both-ends"]


class FreeSpace:
    """A field of one wavelength in the plane z = 0, as it is in planes at distances behind it.

    Its Fourier coefficient at the frequency f (cycles per mm) is multiplied by exp(i phi(f, z)). Of the wavelength l
    the angular spectrum (Goodman, Introduction to Fourier Optics, sec. 3.10) has

        phi = 2 pi z (sqrt(1 / l² - |f|²) - 1 / l),

    and Fresnel's approximation phi = -pi l z |f|². A plane wave along the axis stays as it is: its phase 2 pi z / l,
    which no intensity tells, is left out. Waves that fade (|f| > 1 / l) do so in the angular spectrum.

    What leaves a side of the field comes back on the other one, unless there is a margin, in which the field is 0.

    With frequencies "both-ends" the grid is linspace(-1 / 2p, 1 / 2p, n) of pixels p apart, as DINER's code for
    lensless imaging has it: it holds -1 / 2p and 1 / 2p, which are the same, of an even n no 0, and stretches all
    others by n / (n - 1). For data that were made so.

    Attributes:
        input_shape: rows and columns.
        output_shape: planes, rows and columns.
        distances_mm: of the planes.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        distances_mm: Float[Tensor, " planes"],
        *,
        wavelength_nm: float,
        pitch_um: float,
        kernel: Kernel = "angular-spectrum",
        margin: int = 0,
        frequencies: Frequencies = "fft",
    ) -> None:
        """
        Args:
            shape: rows and columns of the field.
            distances_mm: of the planes, mm; negative ones lie before the field. What is measured has gradients with
                respect to them.
            wavelength_nm: in the medium, nm.
            pitch_um: distance of the pixels, um.
            kernel: of the propagation.
            margin: pixels that are added on each side. Then frequencies whose light goes further to a side than the
                field with its margin is wide are left out (Matsushima and Shimobaba 2009, eq. 13).
            frequencies: the grid of them; "both-ends" has no margin.

        Raises:
            InputError: a number is out of range, or they do not go together.
        """
        if not (wavelength_nm > 0 and pitch_um > 0 and margin >= 0 and min(shape) >= 2):
            raise InputError("Propagation needs a wavelength, a pitch and two rows and columns above 0.")
        if frequencies == "both-ends" and margin:
            raise InputError("The grid of frequencies with both ends has no margin: leave one of them out.")
        self.input_shape = tuple(shape)
        self.output_shape = (len(distances_mm), *shape)
        self.distances_mm = distances_mm
        self.wavelength_nm, self.pitch_um = wavelength_nm, pitch_um
        self.kernel, self.margin, self.frequencies = kernel, margin, frequencies
        # Of one mm, in float64: a distance is thousands of wavelengths.
        self._rate, self._fading = self._rates(distances_mm.device)
        self._transfer = self._transfers(distances_mm) if not distances_mm.requires_grad else None

    def at(self, distances_mm: Float[Tensor, " planes"]) -> FreeSpace:
        """The same for other planes, on the device of their distances."""
        return FreeSpace(
            (self.input_shape[0], self.input_shape[1]),
            distances_mm,
            wavelength_nm=self.wavelength_nm,
            pitch_um=self.pitch_um,
            kernel=self.kernel,
            margin=self.margin,
            frequencies=self.frequencies,
        )

    def forward(self, x: Complex[Tensor, "*batch rows columns"]) -> Complex[Tensor, "*batch planes rows columns"]:
        """The field in all planes."""
        return self._cropped(torch.fft.ifft2(self.transfer(x.dtype) * torch.fft.fft2(self._padded(x)).unsqueeze(-3)))

    def adjoint(self, y: Complex[Tensor, "*batch planes rows columns"]) -> Complex[Tensor, "*batch rows columns"]:
        """The adjoint: fields in all planes propagated back, and added; <A x, y> is the sum of conj(A x) y."""
        back = self.transfer(y.dtype).conj() * torch.fft.fft2(self._padded(y))
        return self._cropped(torch.fft.ifft2(back.sum(-3)))

    def check(self, data: Tensor) -> None:
        """See Operator."""
        check_measurements(data, self.output_shape)

    def transfer(self, dtype: torch.dtype = torch.complex128) -> Complex[Tensor, "planes padded_rows padded_columns"]:
        """exp(i phi) of all planes, frequency 0 first."""
        if self._transfer is None:
            return self._transfers(self.distances_mm).to(dtype)
        if self._transfer.dtype != dtype:
            self._transfer = self._transfers(self.distances_mm).to(dtype)
        return self._transfer

    def _transfers(self, distances: Float[Tensor, " planes"]) -> Complex[Tensor, "planes rows columns"]:
        z = distances.double()[:, None, None]
        found = torch.polar(torch.exp(-z.abs() * self._fading), z * self._rate)
        if not self.margin:
            return found
        # A wave of the frequency f goes to the side by |d phi / d f| / 2 pi, along each axis.
        rows, columns = self._axes(distances.device)
        seen = torch.ones_like(self._rate, dtype=torch.bool).expand(found.shape)
        for f, axis in ((rows[:, None], 0), (columns[None, :], 1)):
            width = (self.input_shape[axis] + 2 * self.margin) * self.pitch_um * 1e-3
            seen = seen & (z.detach().abs() * self._slope * f.abs() <= width / 2)
        return found * seen

    def _rates(self, device: torch.device) -> tuple[Float[Tensor, "rows columns"], Float[Tensor, "rows columns"]]:
        """Phase and loss of one mm."""
        rows, columns = self._axes(device)
        square = rows.square()[:, None] + columns.square()[None, :]
        length = self.wavelength_nm * 1e-6
        if self.kernel == "fresnel":
            self._slope = torch.full_like(square, length)
            return -math.pi * length * square, torch.zeros_like(square)
        along = 1 - length**2 * square
        root = along.clamp(min=0).sqrt()
        self._slope = length / root.clamp(min=1e-9)
        # sqrt(1 - s) - 1 without the loss of digits of a difference.
        phase = -2 * math.pi * length * square.clamp(max=1 / length**2) / (1 + root)
        return phase, 2 * math.pi / length * (-along).clamp(min=0).sqrt()

    def _axes(self, device: torch.device) -> tuple[Float[Tensor, " rows"], Float[Tensor, " columns"]]:
        """Frequencies of rows and columns, cycles per mm, 0 first."""
        found = []
        for side in self.input_shape:
            count, pitch = side + 2 * self.margin, self.pitch_um * 1e-3
            if self.frequencies == "fft":
                found.append(torch.fft.fftfreq(count, pitch, dtype=torch.float64, device=device))
            else:
                ends = torch.linspace(-0.5 / pitch, 0.5 / pitch, count, dtype=torch.float64, device=device)
                found.append(torch.fft.ifftshift(ends))
        return found[0], found[1]

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, [self.margin] * 4) if self.margin else x

    def _cropped(self, x: Tensor) -> Tensor:
        if not self.margin:
            return x
        rows, columns = self.input_shape
        return x[..., self.margin : self.margin + rows, self.margin : self.margin + columns]


def intensity(field: Complex[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """|U|² of a field, which is what a sensor measures."""
    return field.real.square() + field.imag.square()
