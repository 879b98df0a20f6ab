"""Options of a coordinate network that several models have."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.errors import InputError
from inr_plugins.models.common.nerf_backbones import BACKBONES, Backbone, network_config
from inr_plugins.networks.activations.settings import ActivationName, ActivationSettings
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.normalization.registry import NormalizationName
from inr_plugins.networks.precision import Precision, cuda_has_bfloat16, tf32_in_step
from inr_plugins.options import model_option


@dataclass
class PrecisionSettings:
    """In what precision networks are trained."""

    precision: Precision = "auto"
    """Precision of the networks in training (evaluation is always in float32). auto: bfloat16 where it is fast, on GPUs
    from Ampere on and on CPUs with AVX-512, AMX or Arm's BF16, else float32. Positions are never rounded; the rest is
    multiplied as TF32 on CUDA, unless this is float32."""

    def check_device(self, device: str) -> None:
        """See that networks can be trained so on a type of device, and say where that is not as fast as it could be.

        Raises:
            InputError: bfloat16 on a GPU that has none.
        """
        check_precision(self.precision, device)


def check_precision(precision: Precision, device: str) -> None:
    """As `PrecisionSettings.check_device`."""
    if device != "cuda" or precision == "float32" or cuda_has_bfloat16(torch.device("cuda")):
        return
    major, minor = torch.cuda.get_device_capability()
    gpu = f"This GPU ({torch.cuda.get_device_name()}, compute capability {major}.{minor}) has no bfloat16"
    if precision == "bfloat16":
        raise InputError(f"{gpu}: leave out {model_option('precision')}, or give it float32.")
    CONSOLE.print(f"{gpu}: networks are trained in float32.", markup=False, highlight=False)


class PreciseSteps:
    """A model whose steps of training are in the precision of its settings, auto being float32 where it learns what
    is finer than the others can tell."""

    config: Any
    device: Any
    always_exact: ClassVar[bool] = False

    def step_precision(self) -> AbstractContextManager[None]:
        """The context of a whole step, backward pass included; the trainer asks for it."""
        precision: Precision = "float32" if self.always_exact else self.config.precision
        return tf32_in_step(precision, torch.device(self.device))


@dataclass
class BackboneSettings(ActivationSettings):
    """What the network is made of."""

    activation: ActivationName = "finer-sine"
    """Activation of the hidden layers; encoding, constants and learning rate follow it unless they are given."""

    encoding: Literal["auto", "identity", "positional", "fourier"] = "auto"
    """Encoding of positions; auto: positional for relu and softplus, none for the others."""
    octaves: int | None = None
    """Octaves of the positional encoding; None: ten, of finer-sdf six, of cn-occupancy seven."""
    normalization: NormalizationName = "none"
    """Normalization before each activation."""
    width: int = 256
    """Width of the hidden layers."""
    hidden_layers: int = 3
    """Hidden layers, the first one included."""

    def network_config(
        self, backbones: Mapping[ActivationName, Backbone] = BACKBONES, **more: Any
    ) -> CoordinateNetworkConfig:
        """The network, in which what is left open is the activation's own.

        Args:
            backbones: the set-up of every activation.
            more: what else of CoordinateNetworkConfig is set.

        Raises:
            ValueError: there is no such activation, or settings cannot go together; it names them.
        """
        return network_config(
            self.activation,
            encoding=self.encoding,
            constants=self.constants,
            backbones=backbones,
            octaves=self.octaves,
            normalization=self.normalization,
            width=self.width,
            hidden_layers=self.hidden_layers,
            **more,
        )
