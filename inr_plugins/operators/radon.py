"""The Radon transform of a slice by a parallel beam: line integrals at angles."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.errors import InputError
from inr_plugins.operators.protocol import check_measurements

_AT_ONCE = 1 << 22
"""Places at which a slice is looked up at once, about."""


def spread_angles(views: int, *, start: float = 0.0, turn: float = 180.0) -> Float[Tensor, " views"]:
    """Angles in degrees, evenly over a turn of which the end, where the first view would come again, is left out."""
    return start + torch.arange(views, dtype=torch.float64) * (turn / views)


class ParallelBeam:
    """Line integrals of a slice of square pixels along the rays of a parallel beam.

    The slice's middle is the axis of rotation and the origin of (x, y), x to the right along columns and y up, against
    rows. The ray of angle θ and offset s is the line x cos θ + y sin θ = s, as in `skimage.transform.radon`; the middle
    of detector bin k of n is at s = (k - (n - 1) / 2 + shift) pitch. So views at θ and θ + 180° are mirror images.

    A ray is summed as Joseph (1982) has it: it is looked up once in each row, or in each column where it runs more
    along rows, linearly between two pixels, and each look-up stands for the length of ray between rows. A slice in
    1/mm gives integrals without a unit (-log of the transmitted share), whatever the pixels are.

    Attributes:
        input_shape: rows and columns of the slice.
        output_shape: views and bins of the sinogram.
    """

    def __init__(
        self,
        size: tuple[int, int],
        angles_deg: Float[Tensor, " views"],
        *,
        bins: int,
        pixel_mm: float = 1.0,
        pitch_mm: float | None = None,
        shift: float = 0.0,
        rays_per_bin: int = 1,
    ) -> None:
        """
        Args:
            size: rows and columns of the slice.
            angles_deg: θ of each view, degrees.
            bins: of the detector.
            pixel_mm: side of a pixel of the slice, mm.
            pitch_mm: distance of the middles of neighbouring bins, mm; None: that of the pixels.
            shift: of the detector along s, bins; the axis of rotation is seen at bin (n - 1) / 2 - shift.
            rays_per_bin: whose mean a bin measures, spread evenly over it; 1: the ray through its middle.

        Raises:
            InputError: something is not positive, or no finite number.
        """
        pitch = pixel_mm if pitch_mm is None else pitch_mm
        if min(*size, bins, rays_per_bin, len(angles_deg)) < 1:
            raise InputError("A parallel beam needs a slice, views, bins and rays of at least one each.")
        if not (0 < pixel_mm < math.inf and 0 < pitch < math.inf and math.isfinite(shift)):
            raise InputError(f"Pixels of {pixel_mm} mm and bins of {pitch} mm are no lengths: give positive ones.")
        if not bool(torch.isfinite(angles_deg).all()):
            raise InputError("An angle of the views is no finite number.")
        self.input_shape, self.output_shape = (int(size[0]), int(size[1])), (len(angles_deg), bins)
        self.angles_deg = angles_deg.detach().double().cpu()
        self.pixel_mm, self.pitch_mm, self.shift, self.rays_per_bin = pixel_mm, pitch, shift, rays_per_bin
        self._kept: tuple[tuple[torch.dtype, torch.device], list[tuple[Tensor, Tensor]]] | None = None

    def views(self, chosen: Shaped[Tensor, " n"]) -> ParallelBeam:
        """The same instrument with some of its views, by their numbers."""
        return ParallelBeam(
            self.input_shape,
            self.angles_deg[chosen.cpu()],
            bins=self.output_shape[1],
            pixel_mm=self.pixel_mm,
            pitch_mm=self.pitch_mm,
            shift=self.shift,
            rays_per_bin=self.rays_per_bin,
        )

    def forward(self, x: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch views bins"]:
        """The sinogram of slices: their unit times mm, a row for each view."""
        slices = x.reshape(1, -1, *self.input_shape)
        parts = []
        for places, lengths in self._rays(x):
            found = F.grid_sample(slices, places, padding_mode="zeros", align_corners=False)
            # Rows of places are the rays of some views.
            parts.append(found.sum(-1)[0] * lengths)
        rays = torch.cat(parts, -1).reshape(*x.shape[:-2], *self.output_shape, self.rays_per_bin)
        return rays.mean(-1)

    def adjoint(self, y: Float[Tensor, "*batch views bins"]) -> Float[Tensor, "*batch rows columns"]:
        """The transpose of `forward`: back-projection without a filter, by torch's own reverse mode; no gradients."""
        with torch.enable_grad():
            x = y.new_zeros((*y.shape[:-2], *self.input_shape), requires_grad=True)
            (found,) = torch.autograd.grad(self.forward(x), x, y.detach())
        return found

    def check(self, data: Float[Tensor, "*batch views bins"]) -> None:
        """See Operator."""
        check_measurements(data, self.output_shape)

    # -- rays ----------------------------------------------------------------------------------------------------------

    def _rays(self, like: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For parts of the views: places of look-ups (1, rays, steps, 2) for grid_sample, and lengths of steps, mm."""
        key = (like.dtype, like.device)
        if self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        per_view = self.output_shape[1] * self.rays_per_bin * max(self.input_shape)
        # Views that run along rows have another number of steps than others, of slices that are not square.
        along_columns = self.angles_deg.deg2rad().cos().abs() >= math.sqrt(0.5)
        made, first, most = [], 0, max(1, _AT_ONCE // per_view)
        while first < len(along_columns):
            end = first + 1
            while end < min(first + most, len(along_columns)) and along_columns[end] == along_columns[first]:
                end += 1
            places, lengths = self._rays_of(self.angles_deg[first:end].deg2rad(), bool(along_columns[first]))
            made.append((places.to(like), lengths.to(like)))
            first = end
        if sum(places.numel() for places, _ in made) <= 8 * _AT_ONCE:
            self._kept = (key, made)
        return made

    def _rays_of(self, theta: Float[Tensor, " views"], along_columns: bool) -> tuple[Tensor, Tensor]:
        rows, columns = self.input_shape
        bins, many = self.output_shape[1], self.rays_per_bin
        within = (torch.arange(bins * many, dtype=torch.float64) + 0.5) / many - 0.5
        offset = (within - (bins - 1) / 2 + self.shift) * (self.pitch_mm / self.pixel_mm)
        cos, sin = theta.cos()[:, None, None], theta.sin()[:, None, None]
        s = offset[None, :, None]
        if along_columns:
            y = (rows - 1) / 2 - torch.arange(rows, dtype=torch.float64)[None, None]
            x, y = (s - y * sin) / cos, y.expand(len(theta), len(offset), -1)
        else:
            x = torch.arange(columns, dtype=torch.float64)[None, None] - (columns - 1) / 2
            y, x = (s - x * cos) / sin, x.expand(len(theta), len(offset), -1)
        # grid_sample's coordinates: the edges of the slice are at -1 and 1, and rows go down.
        places = torch.stack([2 * x / columns, -2 * y / rows], -1).flatten(0, 1)[None]
        lengths = self.pixel_mm / (cos if along_columns else sin).abs().flatten()
        return places, lengths.repeat_interleave(len(offset))


@torch.no_grad()
def filtered_back_projection(
    beam: ParallelBeam, y: Float[Tensor, "views bins"], *, smooth: bool = False
) -> Float[Tensor, "rows columns"]:
    """A slice by the inverse of the Radon transform, for views over 180 or 360 degrees.

    A view counts by the angles that are nearer to it than to others (`shares_of_views`), so a view that is left out
    between others does no more harm than it must.

    The ramp is that of a detector of limited width (Kak and Slaney 1988, eq. 3.61), so that the mean of the slice is
    right. scikit-image's `iradon` has its axis in the middle of a bin and of a pixel, whatever their numbers are, which
    moves a slice of an even number of pixels by half of one; hence this.

    Args:
        beam: what was measured by.
        y: its measurements.
        smooth: dampen high frequencies by a Hann window, against noise.
    """
    ramp = _ramp(y) / beam.pitch_mm
    if smooth:
        ramp = ramp * (0.5 + 0.5 * torch.cos(torch.linspace(0, math.pi, len(ramp), dtype=y.dtype, device=y.device)))
    filtered = _filtered(y, ramp)
    shares = math.pi * shares_of_views(beam.angles_deg).to(filtered)
    return _smeared(beam, F.pad(filtered * shares[:, None], (1, 1)))


def root_of_ramp(y: Float[Tensor, "*views bins"]) -> Float[Tensor, "*views bins"]:
    """Views through the square root of the ramp filter, with gradients: their squares tell what the slice is missed by.

    The coefficients of a view are those of the slice along a line through frequency 0 (the Fourier slice theorem), and
    the lines of all views stand 1 / |f| closely there. So |A x|² counts the square of a coefficient of x at the
    frequency f with 1 / |f|, and with this before the squares are taken all count alike, up to where views are too few.
    """
    return _filtered(y, _ramp(y).sqrt())


def _ramp(y: Float[Tensor, "*views bins"]) -> Float[Tensor, " frequencies"]:
    """The ramp filter of bins a unit apart, for `_filtered`: |f| in cycles a bin, and a little more than 0 at 0."""
    length = _length_for(y.shape[-1])
    place = torch.arange(length, dtype=y.dtype, device=y.device)
    place = torch.minimum(place, length - place)
    kernel = torch.where(place % 2 == 1, -1 / (math.pi * place.clamp(min=1)) ** 2, torch.zeros_like(place))
    kernel[0] = 0.25
    return torch.fft.rfft(kernel).real


def _filtered(y: Float[Tensor, "*views bins"], response: Float[Tensor, " frequencies"]) -> Float[Tensor, "*views bins"]:
    """Each view through a filter, with as many zeros behind it that it does not come round."""
    length = _length_for(y.shape[-1])
    return torch.fft.irfft(torch.fft.rfft(y, n=length) * response, n=length)[..., : y.shape[-1]]


def _length_for(bins: int) -> int:
    return 1 << (2 * bins - 1).bit_length()


def shares_of_views(angles_deg: Float[Tensor, " views"]) -> Float[Tensor, " views"]:
    """How much of 180 degrees is nearer to a view than to others, as a share; views 180 degrees apart are one twice.

    A gap between views counts as three mean ones at the most: what no view says of a missing wedge, its neighbours do
    not say either.
    """
    sorted_, order = torch.sort(angles_deg.double().remainder(180))
    gaps = torch.cat([sorted_[1:], sorted_[:1] + 180]) - sorted_
    gaps = gaps.clamp(max=3 * 180 / len(gaps))
    shares = torch.empty_like(gaps)
    shares[order] = (gaps + gaps.roll(1)) / 360
    return shares


def _smeared(beam: ParallelBeam, y: Float[Tensor, "views bins_and_2"]) -> Float[Tensor, "rows columns"]:
    """The sum of views in the middle of each pixel, linear between bins, of which there is one more at both ends.

    The adjoint would do this too but for ripples, since its rays miss the middles of pixels.
    """
    rows, columns = beam.input_shape
    up = ((rows - 1) / 2 - torch.arange(rows, dtype=y.dtype, device=y.device))[:, None]
    right = torch.arange(columns, dtype=y.dtype, device=y.device)[None] - (columns - 1) / 2
    found = y.new_zeros(rows, columns)
    for theta, view in zip(beam.angles_deg.deg2rad().tolist(), y, strict=True):
        offset = (right * math.cos(theta) + up * math.sin(theta)) * (beam.pixel_mm / beam.pitch_mm)
        place = (offset + (len(view) - 1) / 2 - beam.shift).clamp(0, len(view) - 1)
        low = place.floor().long().clamp(max=len(view) - 2)
        found += torch.lerp(view[low], view[low + 1], place - low)
    return found
