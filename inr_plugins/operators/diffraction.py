"""Intensity diffraction tomography: images of a weakly scattering volume in the light of one LED after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.errors import InputError
from inr_plugins.operators.protocol import check_measurements

_EDGE = 1e-6
"""Of the pupil's radius: an LED on the edge, as those of a ring are, is seen."""


@dataclass(frozen=True)
class Optics:
    """A volume of slices before a microscope, and the light that it is seen in.

    x goes along columns, y along rows (down) and z with the light, from the LEDs to the objective. The volume's middle
    is that of the pictures. Lengths are those in the object, in µm.

    Attributes:
        rows: of the pictures and of each slice.
        columns: of the same.
        slices: of the volume, the first one nearest to the LEDs.
        pitch_um: distance of pixels.
        slice_um: distance of slices, and their thickness.
        first_um: z of the middle of the first slice; 0 is in focus.
        wavelength_um: of the light in vacuum.
        na: numerical aperture of the objective.
        medium_index: refractive index of what is around the object.
    """

    rows: int
    columns: int
    slices: int
    pitch_um: float
    slice_um: float
    first_um: float
    wavelength_um: float
    na: float
    medium_index: float

    def __post_init__(self) -> None:
        """
        Raises:
            InputError: there is nothing, a length is none, or the aperture is that of no objective in the medium.
        """
        if min(self.rows, self.columns, self.slices) < 1:
            raise InputError("A volume before a microscope needs rows, columns and slices, of at least one each.")
        lengths = (self.pitch_um, self.slice_um, self.wavelength_um, self.na, self.medium_index)
        if not all(0 < each < math.inf for each in lengths) or not math.isfinite(self.first_um):
            raise InputError("Pixels, slices, the wavelength, the aperture and the index are to be positive numbers.")
        if self.na >= self.medium_index:
            raise InputError(
                f"A numerical aperture of {self.na:g} is not below the index of the medium, {self.medium_index:g}, "
                "where it would see light at 90 degrees: give both as they are."
            )

    @property
    def wavenumber(self) -> float:
        """2 pi over the wavelength in vacuum, 1/µm."""
        return 2 * math.pi / self.wavelength_um

    @property
    def depths_um(self) -> Float[Tensor, " slices"]:
        """z of the middles of the slices."""
        return self.first_um + torch.arange(self.slices, dtype=torch.float64) * self.slice_um

    def axial(self, lateral: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n"]:
        """kz in the medium (1/µm) of waves of spatial frequencies (x, y), cycles/µm; 0 of those that fade away."""
        around = (2 * math.pi * lateral).square().sum(-1)
        return ((self.wavenumber * self.medium_index) ** 2 - around).clamp(min=0).sqrt()

    def passes(self, lateral: Float[Tensor, "*n 2"]) -> Shaped[Tensor, "*n"]:
        """Whether the objective lets waves of spatial frequencies (x, y), cycles/µm, through."""
        return lateral.norm(dim=-1) <= self.na / self.wavelength_um * (1 + _EDGE)


def light_of(led_na: Float[Tensor, "leds 2"], optics: Optics) -> Float[Tensor, "leds 2"]:
    """Spatial frequencies (x, y), cycles/µm, of the light of LEDs.

    Args:
        led_na: where each is seen from the object, as the sine of its angle in air along x and along y. Its light goes
            the other way: exp(2 pi i (f_x x + f_y y)) with f = -led_na / wavelength.
        optics: for the wavelength.
    """
    return -led_na.double() / optics.wavelength_um


class WeakScattering:
    """Intensities over that of the empty field, less 1, of a volume that scatters weakly: Born's first approximation.

    The volume is the permittivity contrast n² - n0² of the medium's index n0, its real part (phase) and its imaginary
    one (absorption), as two real volumes. With u that of an LED's light and v that of the object, in cycles/µm, and
    kz(f) = 2 pi sqrt((n0 / wavelength)² - |f|²), a slice at z adds to the field over that of the light

        T(v) = i k0² / (2 kz(v + u)) * dz sinc * P(v + u) * exp(-i z (kz(v + u) - kz(u)))

    times its Fourier transform: k0 = 2 pi / wavelength, P the pupil, dz sinc the integral of the last factor over the
    slice's thickness. The intensity is 2 Re of it, so the transfer functions are T(v) + conj T(-v) of the real part and
    i (T(v) - conj T(-v)) of the imaginary one (Ling et al. 2018; Li et al. 2019). The released code of aIDT and DeCAF
    has the wavelength in vacuum inside of the roots; in the medium it is that over n0, as here.

    Outside of the volume is nothing, as far as a margin goes; there it comes again.

    Attributes:
        input_shape: real and imaginary part, slices, rows and columns.
        output_shape: LEDs, rows and columns.
    """

    def __init__(self, optics: Optics, led_na: Float[Tensor, "leds 2"], *, margin: int = 0) -> None:
        """
        Args:
            optics: of the instrument.
            led_na: where the LEDs are (see `light_of`).
            margin: pixels around the volume that are empty.

        Raises:
            InputError: there is no LED, or the objective does not see one of them (dark field, which is not linear).
        """
        led_na = led_na.detach().double().cpu()
        if not len(led_na) or not bool(torch.isfinite(led_na).all()):
            raise InputError("An instrument needs one LED or more, and finite numbers of where each is.")
        light = light_of(led_na, optics)
        dark = int((~optics.passes(light)).sum())
        if dark:
            beyond = f"LEDs {'is' if dark == 1 else 'are'} beyond"
            raise InputError(
                f"{dark} of {len(led_na)} {beyond} the objective's aperture of {optics.na:g}, the farthest at "
                f"{float(led_na.norm(dim=1).max()):.4g}: leave their pictures out, which are dark field."
            )
        self.optics, self.led_na, self.margin = optics, led_na, margin
        self.input_shape = (2, optics.slices, optics.rows, optics.columns)
        self.output_shape = (len(led_na), optics.rows, optics.columns)
        self._frequencies, self._places, self._transfer = _transfer(optics, light, self.padded)
        self._kept: tuple[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor, Tensor]] | None = None

    def leds(self, chosen: Shaped[Tensor, " n"]) -> WeakScattering:
        """The same instrument with some of its LEDs, by their numbers."""
        return WeakScattering(self.optics, self.led_na[chosen.cpu()], margin=self.margin)

    def forward(self, x: Float[Tensor, "*batch 2 slices rows columns"]) -> Float[Tensor, "*batch leds rows columns"]:
        """Intensities less 1, over that of the empty field."""
        frequencies, places, transfer = self._of(x)
        spectrum = torch.fft.fft2(self.with_margin(torch.complex(*x.unbind(-4)))).flatten(-2)
        seen = (spectrum.index_select(-1, frequencies) * transfer).sum(-2)
        leds, count = len(self.led_na), math.prod(self.padded)
        full = seen.new_zeros((*seen.shape[:-1], leds * count)).index_copy(-1, places, seen)
        field = torch.fft.ifft2(full.unflatten(-1, (leds, *self.padded)))
        return 2 * self.without_margin(field.real)

    def adjoint(self, y: Float[Tensor, "*batch leds rows columns"]) -> Float[Tensor, "*batch 2 slices rows columns"]:
        """See Operator."""
        frequencies, places, transfer = self._of(y)
        count = math.prod(self.padded)
        spectrum = torch.fft.fft2(self.with_margin(y)).flatten(-3).index_select(-1, places)
        spread = spectrum.unsqueeze(-2) * transfer.conj()
        full = spread.new_zeros((*spread.shape[:-1], count)).index_add(-1, frequencies, spread)
        found = 2 * self.without_margin(torch.fft.ifft2(full.unflatten(-1, self.padded)))
        return torch.stack([found.real, found.imag], -4)

    def check(self, data: Float[Tensor, "*batch leds rows columns"]) -> None:
        """See Operator."""
        check_measurements(data, self.output_shape)

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns with the margin, of which there are Fourier transforms."""
        return self.optics.rows + 2 * self.margin, self.optics.columns + 2 * self.margin

    def transfer_functions(self, frequencies: Int[Tensor, " n"]) -> Complex[Tensor, "2 leds slices n"]:
        """From the transforms of the real and of the imaginary part of slices to those of the intensities.

        Args:
            frequencies: numbers of the transform's, row by row.
        """
        rows, columns = self.padded
        row, column = frequencies // columns, frequencies % columns
        found = []
        for numbers in (frequencies, -row % rows * columns + -column % columns):
            wanted = (torch.arange(len(self.led_na))[:, None] * (rows * columns) + numbers).reshape(-1)
            at = torch.searchsorted(self._places, wanted).clamp(max=len(self._places) - 1)
            there = self._transfer[:, at] * (self._places[at] == wanted)
            found.append(there.unflatten(1, (-1, len(numbers))).transpose(0, 1))
        plus, minus = found[0], found[1].conj()
        return torch.stack([plus + minus, 1j * (plus - minus)])

    def with_margin(self, x: Shaped[Tensor, "*batch rows columns"]) -> Shaped[Tensor, "*batch more_rows more_columns"]:
        """0 around it."""
        return F.pad(x, (self.margin,) * 4) if self.margin else x

    def without_margin(
        self, x: Shaped[Tensor, "*batch more_rows more_columns"]
    ) -> Shaped[Tensor, "*batch rows columns"]:
        """The inverse of `with_margin`."""
        rows, columns = x.shape[-2:]
        return x[..., self.margin : rows - self.margin, self.margin : columns - self.margin]

    def _of(self, like: Tensor) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Complex[Tensor, "slices m"]]:
        """What is computed with, in the type and on the device of a tensor; the last one is kept."""
        key = (like.dtype, like.device)
        if self._kept is None or self._kept[0] != key:
            there = like.device
            self._kept = (
                key,
                (
                    self._frequencies.to(there),
                    self._places.to(there),
                    self._transfer.to(there, like.dtype.to_complex()),
                ),
            )
        return self._kept[1]


def spatial_frequencies(size: tuple[int, int], pitch_um: float) -> Float[Tensor, "rows columns 2"]:
    """Those of the discrete Fourier transform, (x, y) in cycles/µm, in its order."""
    down, across = (torch.fft.fftfreq(side, pitch_um, dtype=torch.float64) for side in size)
    return torch.stack(torch.meshgrid(down, across, indexing="ij")[::-1], -1)


def _transfer(
    optics: Optics, light: Float[Tensor, "leds 2"], size: tuple[int, int]
) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Complex[Tensor, "slices m"]]:
    """T where the pupil is open: numbers of frequencies, the same with the LED's before it, and T of each slice."""
    object_ = spatial_frequencies(size, optics.pitch_um).reshape(-1, 2)
    scattered = object_ + light[:, None]
    places = optics.passes(scattered).reshape(-1).nonzero()[:, 0]
    led, frequency = places // len(object_), places % len(object_)
    along = optics.axial(scattered.reshape(-1, 2)[places])
    shift = along - optics.axial(light)[led]
    # torch.sinc(x) is sin(pi x) / (pi x).
    thick = optics.slice_um * torch.sinc(shift * optics.slice_um / (2 * math.pi))
    phase = -optics.depths_um[:, None] * shift
    return frequency, places, torch.polar(optics.wavenumber**2 / (2 * along) * thick, phase + math.pi / 2)
