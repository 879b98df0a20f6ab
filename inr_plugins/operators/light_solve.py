"""The light of an object from its intensities by Gauss and Newton's method, which finds slow phases, too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from inr_plugins.operators.lensless import light_at, wanted_of
from inr_plugins.operators.propagation import FreeSpace, intensity

Compared = Literal["amplitude", "intensity"]

DARK = 1e-6
"""Intensity whose root has a slope that can be learnt by; 1 is the light alone."""
_INNER = 100
"""Steps of the conjugate gradients in one of Gauss and Newton's."""
_SLOW = 5
"""Cosines along each side whose part of the equations is inverted as it is in the preconditioner."""
_FAINT = 0.05
"""Amplitude below which changes are not relative to it."""
_DAMPING = 0.05
"""Of a step, times the share of the measurements that is missed."""
_FLOOR = 1e-3
"""Of a weak object's equations, as a share of the largest of them: what they say below is not so of a strong one."""
_FURTHEST = 0.7
"""That the logarithm of an amplitude goes in a step."""
_LENGTHS = (1.0, 0.5, 0.25, 0.1)
_SMALLEST = 1e-9
"""Eigenvalue, as a share of the largest: a phase that is the same everywhere is not seen at all."""


@dataclass(frozen=True, eq=False)
class LightStep:
    """What a step has found.

    Attributes:
        amplitude: of the light, 0 and more, 1 being the light alone.
        turn: by how much its phase is changed, rad.
        before: |R - S|² before the step, of roots of intensities or of those themselves.
        after: the same after it, not more than before.
    """

    amplitude: Float[Tensor, "height width"]
    turn: Float[Tensor, "height width"]
    before: float
    after: float


@torch.no_grad()
def light_step(
    space: FreeSpace,
    field: Complex[Tensor, "height width"],
    measured: Float[Tensor, "n height width"],
    *,
    compared: Compared = "amplitude",
) -> LightStep:
    """One step of Gauss and Newton's method, damped as by Levenberg and Marquardt, towards measured intensities.

    Unknown are relative changes a + i p of the light, by which the intensities change linearly to first order. Their
    equations are solved by conjugate gradients. Of the frequency f a weak phase is seen as sin(pi l z f²): a slow one
    has coefficients of next to nothing, which is why descents do not find it. The preconditioner has two parts: the
    inverse of a weak object's equations, two for each frequency; and, for the slowest cosines, where a strong object's
    are far from those, the inverse of the equations as they are.

    The damping is a share of that of the measurements which is missed, |R - S|² / |S|² (Yamashita and Fukushima 2001):
    of noisy ones, what they tell least stays nearer to what it was.

    Args:
        space: from the object to the sensors.
        field: the light as it is; 1 is the light alone.
        measured: the intensities that it should have, -v where they are v or more.
        compared: their roots, whose noise is alike in light, or they themselves.

    Returns:
        The step, as long as it was better than half of it; of length 0 where nothing was better than before.
    """
    equations = _Equations(space, field, measured, compared)
    change = _conjugate_gradients(equations)
    size, angle = field.abs(), field.angle()
    best = LightStep(size, torch.zeros_like(size), equations.missed, equations.missed)
    for length in _LENGTHS:
        grown = torch.expm1((length * change.real).clamp(-_FURTHEST, _FURTHEST))
        amplitude = (size + size.clamp(min=_FAINT) * grown).clamp(min=0)
        turn = length * change.imag
        left, _ = _missed(space, torch.polar(amplitude, angle + turn), measured, compared)
        after = float(left.square().sum(dtype=torch.float64))
        if after < best.after:
            best = LightStep(amplitude, turn, equations.missed, after)
        elif best.after < equations.missed:
            break
    return best


def _missed(
    space: FreeSpace,
    field: Complex[Tensor, "height width"],
    measured: Float[Tensor, "n height width"],
    compared: Compared,
) -> tuple[Float[Tensor, "n height width"], Complex[Tensor, "n height width"]]:
    """S - R, and v, by which R changes by Re(conj(v) d) when the light at the sensors does by d.

    Both are 0 where S is one of those that are v or more, and R is.
    """
    light = light_at(space, field)
    found = intensity(light)
    wanted, says = wanted_of(measured, found), (measured >= 0) | (found < -measured)
    if compared == "intensity":
        return wanted - found, 2 * light * says
    root = (found + DARK).sqrt()
    return (wanted + DARK).sqrt() - root, light / root * says


class _Equations:
    """Those of relative changes of the light."""

    def __init__(
        self,
        space: FreeSpace,
        field: Complex[Tensor, "height width"],
        measured: Float[Tensor, "n height width"],
        compared: Compared,
    ) -> None:
        self.space = space
        self.left, self.slope = _missed(space, field, measured, compared)
        self.missed = float(self.left.square().sum(dtype=torch.float64))
        self.unit = torch.polar(field.abs().clamp(min=_FAINT), field.angle())
        wanted = (measured.abs() + DARK).sqrt() if compared == "amplitude" else measured
        self.scale = float(self.slope.abs().square().mean() * self.unit.abs().square().mean())
        share = self.missed / max(float(wanted.square().sum(dtype=torch.float64)), 1e-30)
        self.damping = _DAMPING * share * self.scale * len(measured)
        self._make_fast()
        self._make_slow()

    def forward(self, change: Complex[Tensor, "height width"]) -> Float[Tensor, "n height width"]:
        """By how much what is compared changes."""
        return (self.slope.conj() * self.space.forward(self.unit * change)).real

    def transposed(self, values: Float[Tensor, "n height width"]) -> Complex[Tensor, "height width"]:
        """The transposed of that, real parts being relative changes of the amplitude and imaginary ones the phase."""
        return self.unit.conj() * self.space.adjoint(self.slope * values)

    def preconditioned(self, gradient: Complex[Tensor, "height width"]) -> Complex[Tensor, "height width"]:
        """What is near to the answer to a gradient."""
        size, turn = torch.fft.fft2(gradient.real), torch.fft.fft2(gradient.imag)
        size, turn = (
            self._size * size + self._both * turn,
            self._both * size + self._turn * turn,
        )
        fast = torch.complex(torch.fft.ifft2(size).real, torch.fft.ifft2(turn).real)
        slow = self._slow_inverse @ self._slow_part(gradient).double()
        return fast + self._from_slow(slow.to(self.left.dtype))

    def _make_fast(self) -> None:
        """The inverse, 2 x 2 for each frequency, of the equations of changes of the light alone."""
        space, (rows, columns) = self.space, self.left.shape[1:]
        pitch, device = space.pitch_um * 1e-3, self.left.device
        square = torch.fft.fftfreq(rows, pitch, dtype=torch.float64, device=device).square()[:, None]
        square = square + torch.fft.fftfreq(columns, pitch, dtype=torch.float64, device=device).square()
        heights = space.distances_mm.detach().double()
        angle = math.pi * space.wavelength_nm * 1e-6 * heights[:, None, None] * square
        cosine, sine = angle.cos(), angle.sin()
        floor = _FLOOR * len(heights)
        size, turn = cosine.square().sum(0) + floor, sine.square().sum(0) + floor
        both = (cosine * sine).sum(0)
        inverse = torch.stack([turn, size, -both]) / (self.scale * (size * turn - both.square()))
        self._size, self._turn, self._both = inverse.to(self.left.dtype)

    def _make_slow(self) -> None:
        """The inverse of the equations of changes that are products of the slowest cosines, of both parts."""
        rows, columns = self.left.shape[1:]
        self._along = [self._cosines(count) for count in (rows, columns)]
        count = 2 * len(self._along[0]) * len(self._along[1])
        matrix = torch.empty(count, count, dtype=torch.float64, device=self.left.device)
        for number, one in enumerate(torch.eye(count, dtype=self.left.dtype, device=self.left.device)):
            matrix[number] = self._slow_part(self.transposed(self.forward(self._from_slow(one)))).double()
        values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
        values = values.clamp(min=0) + self.damping + _SMALLEST * values[-1]
        self._slow_inverse = (vectors / values) @ vectors.T

    def _cosines(self, count: int) -> Float[Tensor, "slow count"]:
        """Orthonormal ones."""
        places = torch.arange(count, dtype=torch.float64, device=self.left.device)
        found = torch.cos(math.pi * places[: min(_SLOW, count), None] * (places + 0.5) / count)
        return (found / found.norm(dim=1, keepdim=True)).to(self.left.dtype)

    def _slow_part(self, image: Complex[Tensor, "height width"]) -> Float[Tensor, " slow"]:
        down, across = self._along
        return torch.cat([(down @ part @ across.T).flatten() for part in (image.real, image.imag)])

    def _from_slow(self, slow: Float[Tensor, " slow"]) -> Complex[Tensor, "height width"]:
        down, across = self._along
        size, turn = slow.reshape(2, len(down), len(across))
        return torch.complex(down.T @ size @ across, down.T @ turn @ across)


def _conjugate_gradients(equations: _Equations) -> Complex[Tensor, "height width"]:
    """Of the damped normal equations, preconditioned.

    SciPy's has no tensors of an accelerator, and `least_squares.conjugate_gradients` no preconditioner.
    """
    residual = equations.transposed(equations.left)
    change = torch.zeros_like(residual)
    towards = equations.preconditioned(residual)
    direction, size = towards, _inner(residual, towards)
    for _ in range(_INNER):
        seen = equations.forward(direction)
        curvature = float(seen.square().sum(dtype=torch.float64)) + equations.damping * _inner(direction, direction)
        if not (size > 0 and curvature > 0):
            break
        length = size / curvature
        change = change + length * direction
        residual = residual - length * (equations.transposed(seen) + equations.damping * direction)
        towards = equations.preconditioned(residual)
        before, size = size, _inner(residual, towards)
        direction = towards + (size / before) * direction
    return change


def _inner(one: Complex[Tensor, "height width"], other: Complex[Tensor, "height width"]) -> float:
    """Of real and imaginary parts as numbers of their own."""
    return float((one.real * other.real + one.imag * other.imag).sum(dtype=torch.float64))
