"""What the tensors of a dictionary do not say about it, in a form that a checkpoint can hold beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig


@dataclass(frozen=True)
class DictionarySettings:
    """Sizes of a dictionary and the network that its experts share.

    Raises:
        ValueError: a number out of range, or a trunk that cannot be shared by experts.
    """

    trunk: CoordinateNetworkConfig
    """Network whose hidden layers all experts share; its last, linear layer is left out."""
    experts: int
    """Number n of experts."""
    expert_width: int
    """Width of the first of the two layers that an expert has of its own."""
    active: int
    """Number k of experts that a code is made of."""
    patches_per_side: int = 1
    """Patches along each axis of the box; 1: shapes are coded as a whole."""

    def __post_init__(self) -> None:
        for name in ("experts", "expert_width", "active", "patches_per_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of a dictionary must be at least 1, got {getattr(self, name)}")
        if self.active > self.experts:
            raise ValueError(f"active must be at most the number of experts, {self.experts}, got {self.active}")
        if self.trunk.activation in ("wavelet", "finer-wavelet"):
            raise ValueError(
                f"activation {self.trunk.activation!r} makes complex features, which experts cannot take: choose a "
                "real one"
            )
        if self.trunk.normalization != "none":
            raise ValueError("normalization of a dictionary's trunk must be 'none'")

    def encoded(self) -> Tensor:
        """As bytes, which a checkpoint can hold among its tensors."""
        return encode(asdict(self))

    @classmethod
    def decoded(cls, stored: Tensor) -> DictionarySettings:
        """What `encoded` returned; ValueError if it is something else."""
        try:
            entries = decode(stored)
            trunk = entries.pop("trunk")
            return cls(trunk=CoordinateNetworkConfig(**{**trunk, "skips": tuple(trunk["skips"])}), **entries)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"these are not the settings of a dictionary of this version ({error})") from error

    def difference(self, other: DictionarySettings) -> str:
        """The first setting in which it differs from another, in words."""
        own, its = ({**asdict(each.trunk), **asdict(each), "trunk": None} for each in (self, other))
        return next((f"{name} {own[name]}, not {its[name]}" for name in own if own[name] != its[name]), "the same")


def encode(entries: dict[str, Any]) -> Tensor:
    """Plain entries as bytes (uint8) of JSON."""
    return torch.tensor(list(json.dumps(entries).encode()), dtype=torch.uint8)


def decode(stored: Tensor) -> dict[str, Any]:
    """What `encode` was given; ValueError if these are not its bytes."""
    return json.loads(bytes(stored.tolist()))
