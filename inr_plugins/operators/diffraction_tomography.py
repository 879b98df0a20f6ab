"""Measurements by intensity diffraction tomography, made of a volume, and the answer to them without a network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.operators.diffraction import Optics, WeakScattering, light_of, spatial_frequencies
from inr_plugins.operators.tomography import relative_error

_AT_ONCE = 1 << 20
"""Numbers of the transfer functions that are handled at once."""
_TIKHONOV = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Weights, of the largest singular value squared of any frequency."""


@dataclass(frozen=True, eq=False)
class Intensities:
    """What was measured: pictures less that of the empty field, over that, which are learnt from, and others.

    Attributes:
        operator: measures the learnt ones.
        learnt: those.
        judge: measures the others.
        held_out: those, which judge a fit.
    """

    operator: WeakScattering
    learnt: Float[Tensor, "leds rows columns"]
    judge: WeakScattering
    held_out: Float[Tensor, "held_out rows columns"]


def ring(leds: int, na: float, *, start: float = 0.0) -> Float[Tensor, "leds 2"]:
    """LEDs evenly on a ring of a numerical aperture, the first one `start` steps after the x axis (see `light_of`)."""
    turn = (torch.arange(leds, dtype=torch.float64) + start) * (2 * math.pi / leds)
    return na * torch.stack([turn.cos(), turn.sin()], -1)


def refractive_index(
    real: Float[Tensor, "*n"], imaginary: Float[Tensor, "*n"] | float, medium_index: float
) -> Float[Tensor, "*n"]:
    """The real part of the index, of permittivity contrasts (DINER's journal version, eq. 15)."""
    permittivity = real + medium_index**2
    imaginary = torch.as_tensor(imaginary, dtype=real.dtype, device=real.device)
    return ((permittivity + (permittivity.square() + imaginary.square()).sqrt()) / 2).clamp(min=0).sqrt()


def permittivity_contrast(index: Float[Tensor, "*n"], medium_index: float) -> Float[Tensor, "*n"]:
    """n² - n0², of what does not absorb."""
    return index.square() - medium_index**2


@torch.no_grad()
def layered_intensities(
    volume: Float[Tensor, "slices rows columns"],
    optics: Optics,
    led_na: Float[Tensor, "leds 2"],
    *,
    layers: int = 2,
    around: float = 0.25,
) -> Float[Tensor, "leds rows columns"]:
    """Intensities over that of the empty field, less 1, of a volume through which light is followed layer by layer.

    Each layer scatters what all layers before it have made of the light, as strong as it is, and what a camera sees is
    the square: nothing of that is linear. Of a weak volume it is what `WeakScattering` says. A layer delays light that
    comes at an angle a by exp(i k0 (n - n0) d / cos a), and what it adds in another direction b is weighted by
    cos a / cos b, which is the factor 1 / kz of the Green's function (multi-slice propagation with the obliquity of the
    multi-layer Born model, Chen et al. 2020). Slices are cut into layers, linearly between their middles, and the
    volume is empty around.

    Args:
        volume: permittivity contrast, real: nothing is absorbed. Its type is that of what is computed.
        optics: of the instrument.
        led_na: where the LEDs are.
        layers: of a slice.
        around: empty pixels on each side, of the side.
    """
    cut, depths = _cut(volume, optics, layers)
    down, across = (math.ceil(side * around) for side in volume.shape[1:])
    thickness, medium = optics.slice_um / layers, optics.medium_index
    size = (optics.rows + 2 * down, optics.columns + 2 * across)
    object_ = spatial_frequencies(size, optics.pitch_um).to(volume.device)
    index = refractive_index(cut, 0.0, medium)
    delay = F.pad(optics.wavenumber * thickness * (index - medium), (across, across, down, down))
    return torch.stack(
        [
            _through(delay, optics, light, object_, thickness, depths[-1])[
                down : down + optics.rows, across : across + optics.columns
            ]
            for light in light_of(led_na, optics).to(volume.device)
        ]
    )


def _through(
    delay: Float[Tensor, "layers rows columns"],
    optics: Optics,
    light: Float[Tensor, " 2"],
    frequencies: Float[Tensor, "rows columns 2"],
    thickness: float,
    last_um: float,
) -> Float[Tensor, "rows columns"]:
    """The intensity less 1 of one LED's light behind layers, the last of which is at `last_um`.

    Args:
        delay: of light that goes straight through a layer, as an angle.
        optics: of the instrument.
        light: its spatial frequencies.
        frequencies: of the pictures.
        thickness: of a layer, µm.
        last_um: z of the last layer.
    """
    along, straight = optics.axial(frequencies + light), float(optics.axial(light[None])[0])
    travels = along > 0
    weight = torch.where(travels, straight / along.clamp(min=1e-9), 0.0).to(delay)
    forth, back = (
        torch.polar(open_.double(), (along - straight) * distance).to(delay.dtype.to_complex())
        for open_, distance in ((travels, thickness), (optics.passes(frequencies + light), -last_um))
    )
    # The field over that of the light, whose phase is known everywhere.
    spectrum = torch.zeros_like(forth)
    spectrum[0, 0] = spectrum.numel()
    slope = optics.wavenumber * optics.medium_index / straight
    for number, each in enumerate(torch.polar(torch.ones_like(delay), slope * delay) - 1):
        spectrum = spectrum + weight * torch.fft.fft2(torch.fft.ifft2(spectrum) * each)
        if number + 1 < len(delay):
            spectrum = spectrum * forth
    return torch.fft.ifft2(spectrum * back).abs().square() - 1


def _cut(
    volume: Float[Tensor, "slices rows columns"], optics: Optics, layers: int
) -> tuple[Float[Tensor, "layers rows columns"], list[float]]:
    """Layers of slices, and z of their middles."""
    place = (torch.arange(len(volume) * layers, dtype=volume.dtype, device=volume.device) + 0.5) / layers - 0.5
    low = place.floor().long()
    part = (place - low)[:, None, None]
    ends = [volume[(low + step).clamp(0, len(volume) - 1)] for step in (0, 1)]
    return torch.lerp(ends[0], ends[1], part), (optics.first_um + place * optics.slice_um).tolist()


def measure_volume(
    volume: Float[Tensor, "slices rows columns"],
    optics: Optics,
    *,
    leds: int,
    held_out: int,
    ring_na: float,
    margin: int,
    noise: float,
    seed: int,
    same_operator: bool = False,
) -> Intensities:
    """Measure a volume by a ring of LEDs, layer by layer, which no fit computes.

    Args:
        volume: permittivity contrast, real.
        optics: of the instrument.
        leds: that are learnt from.
        held_out: others half-way between two of those.
        ring_na: of the ring.
        margin: of the operator of fits.
        noise: its root mean square as a share of that of the measurements, normally distributed.
        seed: of the noise.
        same_operator: measure as a fit is measured, linearly; as codes of the papers do.
    """
    behind = torch.arange(held_out, dtype=torch.float64) * leds // held_out
    turn = (behind + 0.5) * (2 * math.pi / leds)
    between = ring_na * torch.stack([turn.cos(), turn.sin()], -1)
    operator = WeakScattering(optics, ring(leds, ring_na), margin=margin)
    judge = WeakScattering(optics, between, margin=margin)
    if same_operator:
        whole = torch.stack([volume.double(), torch.zeros_like(volume, dtype=torch.float64)])
        clean = torch.cat([operator.forward(whole), judge.forward(whole)])
    else:
        clean = layered_intensities(volume.double(), optics, torch.cat([operator.led_na, judge.led_na]))
    drawn = torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(seed))
    found = (clean + drawn * (noise * clean.square().mean().sqrt())).float()
    return Intensities(operator, found[:leds], judge, found[leds:])


@torch.no_grad()
def tikhonov(
    operator: WeakScattering, y: Float[Tensor, "leds rows columns"], *, weight: float, absorption: float = 1.0
) -> Float[Tensor, "2 slices rows columns"]:
    """x of the least |A x - y|² + weight' |x|², all slices at once: for each frequency one small system of the LEDs.

    Exact where the operator has no margin; with one, pictures are taken to be 0 there.

    Args:
        operator: A.
        y: measurements.
        weight: of the largest |transfer function|² of all frequencies, summed over slices.
        absorption: how large an imaginary part is allowed to be beside a real one; 0: there is none.
    """
    spectrum = torch.fft.fft2(operator.with_margin(y.double().cpu())).flatten(1)
    (leds, count), slices = spectrum.shape, operator.optics.slices
    found = torch.zeros((2, slices, count), dtype=torch.complex128)
    parts = torch.arange(count).split(max(1, _AT_ONCE // (leds * slices)))
    largest = max(float(operator.transfer_functions(part)[0].abs().square().sum(1).max()) for part in parts)
    for part in parts:
        functions = operator.transfer_functions(part)
        functions[1] *= absorption
        flat = functions.transpose(0, 1).flatten(1, 2).permute(2, 0, 1)
        gram = flat @ flat.mH + weight * largest * torch.eye(leds, dtype=flat.dtype)
        solved = flat.mH @ torch.linalg.solve(gram, spectrum[:, part].T[..., None])
        found[:, :, part] = solved[..., 0].T.unflatten(0, (2, slices))
    found[1] *= absorption
    volume = torch.fft.ifft2(found.unflatten(-1, operator.padded)).real
    return operator.without_margin(volume).to(y)


def smoothest_volume(measured: Intensities, *, absorbs: bool) -> Float[Tensor, "2 slices rows columns"]:
    """Tikhonov's answer of contrasts of 0 and more, with absorption or without; held-out LEDs choose its weight."""
    found = [tikhonov(measured.operator, measured.learnt, weight=w, absorption=float(absorbs)) for w in _TIKHONOV]
    # Judged as it is used, clipped.
    clipped = [each.clamp(min=0) for each in found]
    return min(clipped, key=lambda each: relative_error(measured.judge.forward(each), measured.held_out))
