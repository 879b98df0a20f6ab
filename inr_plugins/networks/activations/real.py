"""Sine and Gauss activations, their variable-periodic FINER++ forms, and softplus, as functions of real numbers."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_plugins.networks.activations.pointwise import Pointwise
from inr_plugins.networks.kernels.pointwise_triton import FusedFormula, FusedSine

Jet = tuple[Tensor, Tensor, Tensor]
"""A function's values and its first and second derivatives."""


def lowest_exponent(exponent: Tensor) -> float:
    """Where the argument of exp is held: its value there, 1e-35 in float32, is as good as zero.

    Near the end of the normal numbers (1e-38), exp on a CPU takes 17 times as long.
    """
    return math.log(1e3 * torch.finfo(exponent.dtype).tiny)


class RealFormula(Pointwise):
    """A real function of a real number: its Jacobian is a number."""

    @abstractmethod
    def jet(self, z: Tensor) -> Jet:
        """Value, slope and curvature in plain torch."""

    def plain(self, z: Tensor) -> Tensor:
        """The values, as a composition of torch operations."""
        return self.jet(z)[0]

    def jet_pushforward(self, z: Tensor, direction: Tensor) -> Tensor:
        """f'(z) direction."""
        return self.jet(z)[1] * direction

    def jet_curvature(self, z: Tensor, gradient: Tensor, direction: Tensor) -> Tensor:
        """f''(z) gradient direction."""
        return self.jet(z)[2] * gradient * direction

    def pushforward(self, z: Tensor, direction: Tensor, out: Tensor, spare: Tensor) -> None:
        """The Jacobian is its own transpose."""
        self.pullback(z, direction, out, spare)


@dataclass(frozen=True)
class SineFormula(RealFormula):
    """sin(ω z), or in the FINER++ form sin(ω (|z| + 1) z).

    The phase p = ω (|z| + 1) z of the FINER++ form has p' = ω (2|z| + 1) and p'' = 2 ω sign(z): at z = 0 the second
    derivative jumps from -2ω to 2ω, and the mean, 0, is what is given there. With the scale |z| + 1 held constant, as
    the authors' code does, autograd sees p' = ω (|z| + 1) and p'' = 0 instead.
    """

    omega: float
    """ω, radians for each unit of z."""
    variable: bool = False
    """The FINER++ form."""
    detach: bool = False
    """Hold the scale |z| + 1 constant when differentiating."""

    def fused(self) -> FusedFormula:
        """As kernels know it."""
        return FusedFormula("sine", sine=self.fused_sine())

    def fused_sine(self) -> FusedSine:
        """As kernels know it inside of another."""
        return FusedSine(self.omega, self.variable, self.detach)

    def jet(self, z: Tensor) -> Jet:
        """sin p with p the phase, its slope cos(p) p' and curvature cos(p) p'' - sin(p) p'²."""
        phase, slope = self.plain_phase(z), self.phase_slope(z)
        sine, cosine = torch.sin(phase), torch.cos(phase)
        return sine, cosine * slope, cosine * self.phase_bend(z) - sine * slope.square()

    def plain_phase(self, z: Tensor) -> Tensor:
        """p, in plain torch."""
        if not self.variable:
            return self.omega * z
        scale = z.abs() + 1
        return self.omega * (scale.detach() if self.detach else scale) * z

    def phase_slope(self, z: Tensor) -> Tensor:
        """p', in plain torch."""
        if not self.variable:
            return torch.full_like(z, self.omega)
        return self.omega * ((z.abs() + 1).detach() if self.detach else 2 * z.abs() + 1)

    def phase_bend(self, z: Tensor) -> Tensor:
        """p'', in plain torch."""
        return 2 * self.omega * z.sign() if self.variable and not self.detach else torch.zeros_like(z)

    def value(self, z: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = sin p."""
        self.phase(z, out, spare).sin_()

    def pullback(self, z: Tensor, gradient: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = gradient cos(p) p'."""
        self.times_slope(self.phase(z, out, spare).cos_().mul_(gradient), spare)

    def curvature(self, z: Tensor, gradient: Tensor, direction: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = (cos(p) p'' - sin(p) p'²) gradient direction."""
        phase = self.phase(z, out, spare)
        bend = phase.sin()
        self.times_slope(self.times_slope(bend, spare), spare).neg_()
        if self.variable and not self.detach:
            bend.addcmul_(phase.cos_(), z.sign(), value=2 * self.omega)
        torch.mul(bend, gradient, out=out).mul_(direction)

    def phase(self, z: Tensor, out: Tensor, size: Tensor) -> Tensor:
        """out = p; size = |z| in the FINER++ form."""
        if not self.variable:
            return torch.mul(z, self.omega, out=out)
        torch.abs(z, out=size)
        return torch.addcmul(z, z, size, out=out).mul_(self.omega)

    def times_slope(self, out: Tensor, size: Tensor) -> Tensor:
        """out *= p', given |z| in the FINER++ form."""
        if self.variable:
            torch.addcmul(out, out, size, value=1 if self.detach else 2, out=out)
        return out.mul_(self.omega)


@dataclass(frozen=True)
class SoftplusFormula(RealFormula):
    """log(1 + exp(β z)) / β = max(z, 0) + log(1 + exp(-|β z|)) / β, with the slope σ(β z).

    Where exp(-|β z|) is far below what a number beside 1 can show, value and slope are exactly those of max(z, 0): with
    NeuS's β = 100 that is nearly everywhere, and a matrix product of numbers near the end of the normal ones (1e-38)
    takes several times as long as one of zeros.
    """

    beta: float
    """β."""

    def fused(self) -> FusedFormula:
        """As kernels know it."""
        return FusedFormula("softplus", self.beta)

    def jet(self, z: Tensor) -> Jet:
        """Value, σ(β z) and β σ(β z) σ(-β z)."""
        reach = self._reach(z)
        scaled = (self.beta * z).clamp(-reach, reach)
        slope = torch.sigmoid(scaled) - self._least(reach)
        # Without |z|, whose derivatives autograd does not have at 0.
        beyond = torch.relu(z - reach / self.beta)
        value = beyond + (torch.logaddexp(scaled, torch.zeros_like(scaled)) - self._rest(reach)) / self.beta
        return value, slope, self.beta * slope * (1 - slope)

    @staticmethod
    def _reach(z: Tensor) -> float:
        """|β z| at which exp(-|β z|) is eps^1.5."""
        return -1.5 * math.log(torch.finfo(z.dtype).eps)

    @staticmethod
    def _least(reach: float) -> float:
        """σ(-reach), which is taken away everywhere, so that slopes end at 0."""
        return 1 / (1 + math.exp(reach))

    @staticmethod
    def _rest(reach: float) -> float:
        return math.log1p(math.exp(-reach))

    def value(self, z: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = max(z, 0) + log(1 + exp(-|β z|)) / β."""
        reach = self._reach(out)
        torch.abs(z, out=out).mul_(-self.beta).clamp_(min=-reach).exp_().log1p_().sub_(self._rest(reach))
        out.mul_(1 / self.beta).clamp_(min=0).add_(torch.clamp(z, min=0, out=spare))

    def pullback(self, z: Tensor, gradient: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = gradient σ(β z)."""
        self._slope(z, out).mul_(gradient)

    def curvature(self, z: Tensor, gradient: Tensor, direction: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = β σ(β z) σ(-β z) gradient direction."""
        slope = self._slope(z, spare)
        torch.addcmul(slope, slope, slope, value=-1, out=out).mul_(self.beta).mul_(gradient).mul_(direction)

    def _slope(self, z: Tensor, out: Tensor) -> Tensor:
        reach = self._reach(out)
        scaled = torch.mul(z, self.beta, out=out).clamp_(-reach, reach)
        return scaled.sigmoid_().sub_(self._least(reach)).clamp_(min=0)


@dataclass(frozen=True)
class GaussFormula(RealFormula):
    """exp(-(s u)²) of u = z, or in the FINER++ form of u = sin(ω (|z| + 1) z)."""

    scale: float
    """s."""
    inner: SineFormula | None = None
    """The sine of the FINER++ form."""

    def fused(self) -> FusedFormula:
        """As kernels know it."""
        return FusedFormula("gauss", self.scale, sine=None if self.inner is None else self.inner.fused_sine())

    def jet(self, z: Tensor) -> Jet:
        """f = exp(-(s u)²), f' = -2 s² u u' f and f'' = (4 s⁴ u² u'² - 2 s² (u'² + u u'')) f."""
        u, slope, bend = (z, torch.ones_like(z), torch.zeros_like(z)) if self.inner is None else self.inner.jet(z)
        square = self.scale**2
        exponent = -square * u.square()
        bump = torch.exp(exponent.clamp(min=lowest_exponent(exponent)))
        twice = 4 * square**2 * u.square() * slope.square() - 2 * square * (slope.square() + u * bend)
        return bump, -2 * square * u * slope * bump, twice * bump

    def value(self, z: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = exp(-(s u)²)."""
        u = z
        if self.inner is not None:
            self.inner.value(z, out, spare)
            u = out
        torch.mul(u, u, out=out).mul_(-(self.scale**2)).clamp_(min=lowest_exponent(out)).exp_()

    def pullback(self, z: Tensor, gradient: Tensor, out: Tensor, spare: Tensor) -> None:
        """out = -2 s² u u' exp(-(s u)²) gradient; for the sine u of a phase p, 2 u u' = sin(2p) p'."""
        square = self.scale**2
        if self.inner is None:
            self.value(z, out, spare)
            out.mul_(z).mul_(gradient).mul_(-2 * square)
            return
        phase = self.inner.phase(z, out, spare)
        bump = torch.sin(phase).square_().mul_(-square).clamp_(min=lowest_exponent(phase)).exp_()
        self.inner.times_slope(phase.mul_(2).sin_().mul_(bump).mul_(gradient), spare).mul_(-square)
