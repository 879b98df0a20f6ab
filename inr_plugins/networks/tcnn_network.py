"""Fused ReLU networks of tinycudann, for CUDA."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

FULLY_FUSED_WIDTHS = (16, 32, 64, 128)
"""Widths of tinycudann's fully fused network; others go through its network of CUTLASS products."""


def import_tcnn() -> Any:
    """The module tinycudann.

    Raises:
        ValueError: it is not installed, cannot be loaded, or there is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise ValueError("implementation 'tcnn' needs a CUDA device, and none is there: set implementation to 'torch'")
    try:
        return importlib.import_module("tinycudann")
    except (ImportError, OSError) as error:
        raise ValueError(
            f"implementation 'tcnn' needs tinycudann, which cannot be loaded ({error}): install it from its repository "
            "(github.com/NVlabs/tiny-cuda-nn, bindings/torch), or set implementation to 'torch'"
        ) from error


class TcnnNetwork(nn.Module):
    """in_dim -> width -> ... -> width -> out_dim with ReLU and, as tinycudann's networks are, without biases."""

    def __init__(self, in_dim: int, out_dim: int, *, width: int, hidden_layers: int) -> None:
        """
        Args:
            in_dim: width of the input.
            out_dim: width of the output.
            width: width of the hidden layers.
            hidden_layers: their number.

        Raises:
            ValueError: tinycudann or a CUDA device is missing.
        """
        super().__init__()
        tcnn = import_tcnn()
        kind = "FullyFusedMLP" if width in FULLY_FUSED_WIDTHS else "CutlassMLP"
        self.network = tcnn.Network(
            n_input_dims=in_dim,
            n_output_dims=out_dim,
            network_config={
                "otype": kind,
                "activation": "ReLU",
                "output_activation": "None",
                "n_neurons": width,
                "n_hidden_layers": hidden_layers,
            },
        )

    def forward(self, x: Float[Tensor, "*n in_dim"]) -> Float[Tensor, "*n out_dim"]:
        """Evaluate every row on its own; computed in half precision, returned in the input's precision."""
        return self.network(x.reshape(-1, x.shape[-1])).to(x.dtype).reshape(*x.shape[:-1], -1)
