"""The complex wavelet (WIRE) and its FINER++ form, as pointwise functions of real or complex numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from inr_plugins.networks.activations.pointwise import Pointwise
from inr_plugins.networks.activations.real import SineFormula, lowest_exponent
from inr_plugins.networks.kernels.pointwise_triton import FusedFormula

LARGEST_ARGUMENT = 60.0
"""s |u| of the wavelet is held here, where its value is zero while its derivatives' factors are far from infinity."""


class _Unchanged:
    """u = z, the inner function of WIRE, with the maps of its derivatives."""

    def __init__(self, z: Tensor) -> None:
        self.u = z
        self.real = z.real.contiguous() if z.is_complex() else z
        self.imag = z.imag.contiguous() if z.is_complex() else None

    def push(self, direction: Tensor) -> Tensor:
        """How u moves when z moves."""
        return direction

    def pull(self, gradient: Tensor) -> Tensor:
        """The gradient of z, given that of u."""
        return gradient

    def bend(self, gradient: Tensor, direction: Tensor) -> Tensor:
        """How pull(gradient) changes when z moves."""
        return torch.zeros_like(gradient)


class _RealSine:
    """u = sin p(z) of a real z."""

    def __init__(self, z: Tensor, sine: SineFormula) -> None:
        self.sine, self.z = sine, z
        self.u = torch.sin(sine.plain_phase(z))
        self.real, self.imag = self.u, None

    @cached_property
    def derivatives(self) -> tuple[Tensor, Tensor]:
        """u' and u''."""
        return self.sine.jet(self.z)[1:]

    def push(self, direction: Tensor) -> Tensor:
        """u' direction."""
        return self.derivatives[0] * direction

    def pull(self, gradient: Tensor) -> Tensor:
        """u' gradient."""
        return self.derivatives[0] * gradient

    def bend(self, gradient: Tensor, direction: Tensor) -> Tensor:
        """u'' gradient direction."""
        return self.derivatives[1] * gradient * direction


class _ComplexSine:
    """u = sin(p(x) + j p(y)) of z = x + j y: the real and the imaginary part each have their own scale.

    sin(a + j b) = sin a cosh b + j cos a sinh b has derivative cos a cosh b - j sin a sinh b. It grows like exp |b|, so
    b is held at a bound, where |u| is at least sinh of it.
    """

    def __init__(self, z: Tensor, sine: SineFormula, bound: float) -> None:
        self.sine = sine
        self.x, self.y = z.real.contiguous(), z.imag.contiguous()
        a = sine.plain_phase(self.x)
        # torch's sinh and cosh take ten times as long as exp.
        growth = torch.exp(sine.plain_phase(self.y).clamp(-bound, bound))
        self.sin, self.cos = torch.sin(a), torch.cos(a)
        self.sinh, self.cosh = (growth - 1 / growth) / 2, (growth + 1 / growth) / 2
        self.real, self.imag = self.sin * self.cosh, self.cos * self.sinh

    @cached_property
    def u(self) -> Tensor:
        """Both parts as one number."""
        return torch.complex(self.real, self.imag)

    @cached_property
    def cosine(self) -> Tensor:
        """The derivative of the sine."""
        return torch.complex(self.cos * self.cosh, -self.sin * self.sinh)

    @cached_property
    def slopes(self) -> tuple[Tensor, Tensor]:
        """p'(x) and p'(y)."""
        return self.sine.phase_slope(self.x), self.sine.phase_slope(self.y)

    def push(self, direction: Tensor) -> Tensor:
        """cos(w) dw with dw = p'(x) dx + j p'(y) dy."""
        return self.cosine * self._scaled(direction)

    def pull(self, gradient: Tensor) -> Tensor:
        """The parts of conj(cos w) gradient, times p'(x) and p'(y)."""
        return self._scaled(self.cosine.conj() * gradient)

    def bend(self, gradient: Tensor, direction: Tensor) -> Tensor:
        """The derivative of pull: of the cosine, -sin(w) dw, and of p'(x) and p'(y)."""
        turned = self._scaled(-(self.u * self._scaled(direction)).conj() * gradient)
        pulled = self.cosine.conj() * gradient
        bend_x, bend_y = self.sine.phase_bend(self.x), self.sine.phase_bend(self.y)
        return turned + torch.complex(bend_x * direction.real * pulled.real, bend_y * direction.imag * pulled.imag)

    def _scaled(self, w: Tensor) -> Tensor:
        slope_x, slope_y = self.slopes
        return torch.complex(slope_x * w.real, slope_y * w.imag)


_Inner = _Unchanged | _RealSine | _ComplexSine


@dataclass(frozen=True)
class WaveletFormula(Pointwise):
    """f = exp(j c u - |s u|²) of u = z (WIRE), or in the FINER++ form of u = sin(ω (|z| + 1) z).

    |u| makes f non-holomorphic, so derivatives are those of the real and imaginary parts. With h = gradient conj(f) the
    gradient of u is -j c h - 2 s² Re(h) u; for a real u its real part.

    A complex z of the FINER++ form has its two parts scaled separately, u = sin(ω (|x|+1) x + j ω (|y|+1) y), as in the
    authors' image code, which also set the published constants; their SDF code scales the number by |z| + 1 instead.
    Both are the same for a real z. Along x = 0 and y = 0 second derivatives jump, and the mean is given.
    |f| is at most exp((c / 2s)²).
    """

    carrier: float
    """c."""
    scale: float
    """s."""
    inner: SineFormula | None = None
    """The sine of the FINER++ form."""

    complex_values = True

    def fused(self) -> FusedFormula:
        """As kernels know it."""
        if self.inner is None:
            return FusedFormula("wavelet", self.scale, self.carrier)
        return FusedFormula("wavelet", self.scale, self.carrier, self.inner.fused_sine(), self._largest_phase())

    def plain(self, z: Tensor) -> Tensor:
        """The values, as a composition of torch operations."""
        return self._wave(self._inner(z))

    def value(self, z: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = f."""
        out.copy_(self.plain(z))

    def pullback(self, z: Tensor, gradient: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = the gradient of z."""
        inner = self._inner(z)
        h = gradient * self._wave(inner).conj()
        out.copy_(inner.pull(self._of_kind(z, self._gradient_of_u(inner.u, h))))

    def jet_pushforward(self, z: Tensor, direction: Tensor) -> Tensor:
        """df = f (j c du - 2 s² Re(conj(u) du))."""
        inner = self._inner(z)
        return self._wave(inner) * self._exponent_change(inner.u, inner.push(direction))

    def jet_curvature(self, z: Tensor, gradient: Tensor, direction: Tensor) -> Tensor:
        """The derivative of the pullback: of the gradient of u, by the product rule, then of the inner function."""
        inner = self._inner(z)
        du = inner.push(direction)
        wave = self._wave(inner)
        h = gradient * wave.conj()
        dh = h * self._exponent_change(inner.u, du).conj()
        change = self._gradient_of_u(inner.u, dh) - 2 * self.scale**2 * h.real * du
        return inner.pull(self._of_kind(z, change)) + inner.bend(
            self._of_kind(z, self._gradient_of_u(inner.u, h)), direction
        )

    def _inner(self, z: Tensor) -> _Inner:
        if self.inner is None:
            return _Unchanged(z)
        if z.is_complex():
            return _ComplexSine(z, self.inner, self._largest_phase())
        return _RealSine(z, self.inner)

    def _largest_phase(self) -> float:
        """Where the phase of an imaginary part is held."""
        return math.asinh(LARGEST_ARGUMENT / self.scale)

    def _wave(self, inner: _Inner) -> Tensor:
        """exp(j c u - |s u|²) from real functions, as the real part of j c u is -c Im u."""
        exponent = -(self.scale**2) * inner.real * inner.real
        if inner.imag is not None:
            exponent = exponent - inner.imag * (self.carrier + self.scale**2 * inner.imag)
        envelope = torch.exp(exponent.clamp(min=lowest_exponent(exponent)))
        phase = self.carrier * inner.real
        return torch.complex(envelope * torch.cos(phase), envelope * torch.sin(phase))

    def _exponent_change(self, u: Tensor, du: Tensor) -> Tensor:
        return 1j * self.carrier * du - 2 * self.scale**2 * (u.conj() * du).real

    def _gradient_of_u(self, u: Tensor, h: Tensor) -> Tensor:
        return -1j * self.carrier * h - 2 * self.scale**2 * h.real * u

    @staticmethod
    def _of_kind(z: Tensor, gradient: Tensor) -> Tensor:
        """A real number's gradient is real."""
        return gradient if z.is_complex() else gradient.real
