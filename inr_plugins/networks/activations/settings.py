"""Activations of coordinate networks, each with the initialisation that it was published with.

    relu, softplus      max(z, 0); log(1 + exp(β z)) / β
    sine                sin(ω z), SIREN
    gauss               exp(-(s z)²)
    wavelet             exp(j c z - |s z|²), WIRE; complex
    finer-sine          u = sin(ω (|z| + 1) z)
    finer-gauss         exp(-(s u)²) of that u
    finer-wavelet       exp(j c u - |s u|²) of that u; complex

The FINER++ forms are eq. 4 and 5 of Zhu et al., "FINER++: Building a Family of Variable-periodic Functions for
Activating Implicit Neural Representation". Constants are those of the authors' code: omega is the paper's ω_f (ω_0
for the sine), scale is s_0 / ω_f and carrier is ω_0 / ω_f. The paper says ω_f = 2.5 for all experiments; the code has
10 for Gauss (s_0 = 30) and 5 for the wavelet (s_0 = 10, ω_0 = 20), which is followed here. The code of their surface
experiments also stretches finer-gauss to [0, 1]; that of their image experiments and the paper do not, nor is it done
here: the next linear layer can do the same.

The derivative is the true one. The authors hold |z| + 1 constant in the backward pass (`detach_scale`): what autograd
returns is then not the gradient of the function, and must not be used where a spatial gradient is taken.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from jaxtyping import Inexact
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.networks.activations.pointwise import Pointwise, evaluate
from inr_plugins.networks.activations.real import GaussFormula, SineFormula, SoftplusFormula
from inr_plugins.networks.activations.wavelet import WaveletFormula

ActivationName = Literal["relu", "softplus", "sine", "gauss", "wavelet", "finer-sine", "finer-gauss", "finer-wavelet"]

PUBLISHED: dict[str, dict[str, float | None]] = {
    "relu": {},
    "softplus": {"beta": 100.0},
    "sine": {"omega": 30.0},
    "gauss": {"scale": 30.0},
    "wavelet": {"carrier": 20.0, "scale": 10.0},
    "finer-sine": {"omega": 30.0, "first_bias": None},
    "finer-gauss": {"omega": 10.0, "scale": 3.0, "first_bias": 1.0},
    "finer-wavelet": {"omega": 5.0, "carrier": 4.0, "scale": 2.0, "first_bias": 1.0},
}
"""The settings that each activation has, and their values in the authors' image experiments (softplus: NeuS's)."""

LARGEST_WAVELET = 80.0
"""(c / 2s)² of a wavelet may not exceed this, because its largest value is exp of it, and float32 ends at exp(88)."""


@dataclass
class ActivationSettings:
    """Which activation, and its constants. Every configuration that has them inherits them; `make_activation` checks.

    None means the activation's own value: that of the field (`Backbone`), else the published one (`PUBLISHED`).
    """

    activation: ActivationName = "relu"
    """Activation of the hidden layers; the finer- forms are variable-periodic."""
    omega: float | None = None
    """Frequency ω of the sine in sine and finer activations, > 0, in radians for each unit of its input; None: the
    activation's own."""
    scale: float | None = None
    """Scale s of Gauss and wavelet activations, as in exp(-(s z)^2), > 0; None: the activation's own."""
    carrier: float | None = None
    """Frequency c of the wavelet's complex carrier, > 0, in radians for each unit of its input; None: the activation's
    own."""
    beta: float | None = None
    """Sharpness of softplus, > 0; None: the activation's own."""
    first_bias: float | None = None
    """Biases of the first layer of the finer activations start in U(-k, k) of this k > 0, which is how many periods
    they start with; None: the activation's own (of finer-sine 1/sqrt(inputs), PyTorch's)."""

    @property
    def constants(self) -> dict[str, float | None]:
        """The constants by name, None where the activation's own is meant."""
        return {name: getattr(self, name) for name in _CONSTANTS}

    def check_activation(self) -> None:
        """Refuse what is no activation.

        Raises:
            ValueError: an unknown name, a constant that the activation does not have, or one out of range. The message
                names it and the allowed range.
        """
        name = self.activation
        if name not in PUBLISHED:
            raise ValueError(f"unknown activation {name!r}: choose one of {', '.join(get_args(ActivationName))}")
        has = PUBLISHED[name]
        for constant, value in self.constants.items():
            if value is None:
                continue
            if constant not in has:
                own = f"it has {', '.join(has)}" if has else "it has none"
                raise ValueError(f"{constant} is no setting of the activation {name} ({own}): leave it at None")
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{constant} of the activation {name} must be finite and > 0, got {value}")
        self._check_wavelet()

    def _check_wavelet(self) -> None:
        if "carrier" in PUBLISHED[self.activation]:
            carrier, scale = self.value("carrier"), self.value("scale")
            if (carrier / (2 * scale)) ** 2 > LARGEST_WAVELET:
                most = f"{2 * math.sqrt(LARGEST_WAVELET):.1f}"
                raise ValueError(
                    f"carrier of the activation {self.activation} must be at most {most} times scale, got {carrier} "
                    f"and {scale}: complex values reach exp((carrier / (2 scale))²)"
                )

    def value(self, constant: str) -> float:
        """A constant that the activation has, or its published value."""
        own = getattr(self, constant)
        value = PUBLISHED[self.activation][constant] if own is None else own
        if value is None:
            raise ValueError(f"{constant} of the activation {self.activation} has no published value")
        return value


_CONSTANTS = tuple(each.name for each in fields(ActivationSettings) if each.name != "activation")


class Activation(nn.Module, ABC):
    """A pointwise function, and how the linear layers around it start."""

    is_complex: bool = False
    """Whether its values are complex, so that every linear layer after the first activation is complex."""
    detached: bool = False
    """Whether autograd sees something else than its derivative: forbidden where a spatial gradient is taken."""
    frequency: float | None = None
    """Ω of SIREN's initialisation, which keeps phases near unit variance in every layer; None: PyTorch's own rule."""
    first_bias: float | None = None
    """Biases of the first layer start in U(-k, k) with this k; None: U(±1/sqrt(fan_in)), as all other biases."""

    @abstractmethod
    def forward(self, z: Inexact[Tensor, "*n"]) -> Inexact[Tensor, "*n"]:
        """The function of every entry."""

    def weight_bound(self, fan_in: int, *, is_first: bool) -> float:
        """Weights of a linear layer before the activation (or of the last one) start in U(-bound, bound).

        PyTorch's rule is 1/sqrt(fan_in). SIREN's (Sitzmann et al. 2020, sec. 3.2) is 1/fan_in for the first layer,
        whose inputs are coordinates in [-1, 1], and sqrt(6/fan_in)/Ω after that, also for the last layer. For complex
        weights it holds for each part.
        """
        if self.frequency is None:
            return 1 / math.sqrt(fan_in)
        return 1 / fan_in if is_first else math.sqrt(6 / fan_in) / self.frequency

    def bias_bound(self, fan_in: int, *, is_first: bool) -> float:
        """Biases start in U(-bound, bound): k for the first layer where there is one, otherwise 1/sqrt(fan_in)."""
        return self.first_bias if is_first and self.first_bias is not None else 1 / math.sqrt(fan_in)

    def init_linear(self, layer: nn.Linear, *, is_first: bool) -> None:
        """Draw weights and bias of a real or complex linear layer whose output goes into this activation."""
        _uniform(layer.weight, self.weight_bound(layer.in_features, is_first=is_first))
        if layer.bias is not None:
            _uniform(layer.bias, self.bias_bound(layer.in_features, is_first=is_first))

    def init_last(self, layer: nn.Linear) -> None:
        """Draw weights and bias of the last linear layer, which no activation follows."""
        self.init_linear(layer, is_first=False)

    def hidden_width(self, width: int) -> int:
        """How wide a layer is that was asked to be `width` wide.

        Complex layers have int(width / √2) numbers, so that their weights take as much memory as real ones (WIRE).

        Raises:
            ValueError: a width that leaves nothing.
        """
        if width < (2 if self.is_complex else 1):
            raise ValueError(f"width must be at least {2 if self.is_complex else 1}, got {width}")
        return int(width / math.sqrt(2)) if self.is_complex else width


@torch.no_grad()
def _uniform(values: Tensor, bound: float) -> None:
    (torch.view_as_real(values) if values.is_complex() else values).uniform_(-bound, bound)


class ReLU(Activation):
    """max(z, 0)."""

    def forward(self, z: Inexact[Tensor, "*n"]) -> Inexact[Tensor, "*n"]:
        """The function of every entry."""
        return F.relu(z)


class AnalyticActivation(Activation):
    """An activation given by its formula."""

    def __init__(
        self,
        formula: Pointwise,
        *,
        frequency: float | None = None,
        first_bias: float | None = None,
        detached: bool = False,
    ) -> None:
        """
        Args:
            formula: the function and its derivatives.
            frequency: Ω of the initialisation, if it is SIREN's.
            first_bias: k, if the first layer's biases have one of their own.
            detached: whether the formula's derivative leaves something out.
        """
        super().__init__()
        self.formula = formula
        self.is_complex = formula.complex_values
        self.frequency = frequency
        self.first_bias = first_bias
        self.detached = detached

    def forward(self, z: Inexact[Tensor, "*n"]) -> Inexact[Tensor, "*n"]:
        """The function of every entry; see `evaluate` for types and precision."""
        return evaluate(self.formula, z)

    def extra_repr(self) -> str:
        """The formula with its constants."""
        return repr(self.formula)


class Softplus(AnalyticActivation):
    """log(1 + exp(β z)) / β.

    PyTorch's own is slow where exp(β z) is nearly zero, which with NeuS's β = 100 is wherever z is not: twice the time
    of a layer of a normalised network.
    """

    def __init__(self, beta: float) -> None:
        super().__init__(SoftplusFormula(beta))
        self.beta = beta


def make_activation(settings: ActivationSettings, *, detach_scale: bool = False) -> Activation:
    """The activation that the settings describe.

    Initialisation: Ω is ω for sine, finer-sine and finer-gauss, ω c for finer-wavelet; gauss and wavelet start as
    PyTorch's layers do, as in the authors' code.

    Args:
        settings: which one, and its constants.
        detach_scale: hold |z| + 1 of the FINER++ forms constant in the backward pass, as the authors do.

    Raises:
        ValueError: there is no such activation (`ActivationSettings.check_activation`), or none with such a scale.
    """
    settings.check_activation()
    name, value = settings.activation, settings.value
    if detach_scale and not name.startswith("finer-"):
        raise ValueError(f"detach_scale is a setting of the finer activations, not of {name}: leave it False")
    if name == "relu":
        return ReLU()
    if name == "softplus":
        return Softplus(value("beta"))
    if name == "sine":
        return AnalyticActivation(SineFormula(value("omega")), frequency=value("omega"))
    if name == "gauss":
        return AnalyticActivation(GaussFormula(value("scale")))
    if name == "wavelet":
        return AnalyticActivation(WaveletFormula(value("carrier"), value("scale")))
    return _make_finer(settings, detach_scale=detach_scale)


def _make_finer(settings: ActivationSettings, *, detach_scale: bool) -> Activation:
    name, omega = settings.activation, settings.value("omega")
    sine = SineFormula(omega, variable=True, detach=detach_scale)
    formula: Pointwise = sine
    frequency = omega
    if name == "finer-gauss":
        formula = GaussFormula(settings.value("scale"), sine)
    elif name == "finer-wavelet":
        formula = WaveletFormula(settings.value("carrier"), settings.value("scale"), sine)
        frequency = omega * settings.value("carrier")
    first_bias = settings.first_bias if settings.first_bias is not None else PUBLISHED[name]["first_bias"]
    return AnalyticActivation(formula, frequency=frequency, first_bias=first_bias, detached=detach_scale)
