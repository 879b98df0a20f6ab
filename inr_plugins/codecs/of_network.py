"""A trained coordinate network as the numbers of the one that a file holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from inr_plugins.codecs.network import ACTIVATIONS, NetworkShape
from inr_plugins.errors import InputError
from inr_plugins.networks.coordinate_network import CoordinateNetwork, CoordinateNetworkConfig
from inr_plugins.networks.encodings import Identity, Positional
from inr_plugins.networks.normalization.registry import (
    EPS,
    CrossNorm,
    LayerNorm,
    NoNormalization,
    RowCoupledNormalization,
)


def numbers_of(
    network: CoordinateNetwork, config: CoordinateNetworkConfig
) -> tuple[NetworkShape, dict[str, np.ndarray]]:
    """Shape and float64 numbers of a network as it is in evaluation, whose output v becomes the value (v + 1) / 2.

    Running statistics that are the same for every row (batch and global normalization) become a part of the weights;
    those of cross normalization, whose terms of a row are its own, are numbers of the file.

    Args:
        network: of x and y.
        config: what it was built from.

    Raises:
        InputError: it is of a kind that no file holds; it says which do.
    """
    octaves = _octaves(network)
    if config.activation not in ACTIVATIONS:
        raise InputError(
            f"A network with the activation {config.activation} cannot be compressed: {', '.join(ACTIVATIONS)} can."
        )
    if any(isinstance(norm, CrossNorm) and norm.cross_variance for norm in network.norms):
        raise InputError("Cross normalization with cross_variance cannot be compressed: train without it.")
    values: dict[str, np.ndarray] = {}
    rows = 0.0
    for place, layer in enumerate(network.layers):
        weight, bias = _array(layer.weight), _array(layer.bias)
        norm = network.norms[place] if place < len(network.norms) else None
        if norm is not None and not isinstance(norm, NoNormalization):
            own, rows_here = _of_norm(norm)
            if isinstance(norm, CrossNorm | LayerNorm):
                values |= {f"{place}.{name}": each for name, each in own.items()}
                rows = rows_here
            else:
                factor = own["gain"] / np.sqrt(own["spread"] ** 2 + EPS)
                weight, bias = weight * factor[:, None], (bias - own["mean"]) * factor + own["shift"]
        if norm is None:
            weight, bias = weight / 2, (bias + 1) / 2
        values |= {f"{place}.weight": weight, f"{place}.bias": bias}
    first = network.norms[0]
    kind = "cross" if isinstance(first, CrossNorm) else "layer" if isinstance(first, LayerNorm) else "none"
    constants = {name: config.value(name) for name in ("omega", "scale") if _has(config, name)}
    shape = NetworkShape(
        outputs=network.out_dim,
        width=network.features,
        hidden=len(network.norms),
        activation=config.activation,
        normalization=kind,
        octaves=octaves,
        skips=tuple(sorted(network.skips)),
        constants=constants,
        rows=rows,
        inputs=network.in_dim,
    )
    return shape, {name: values[name] for name in shape.tensors()}


def _octaves(network: CoordinateNetwork) -> int | None:
    encoding = network.encoding
    if network.fused is None and isinstance(encoding, Identity):
        return None
    if network.fused is None and isinstance(encoding, Positional) and encoding.include_input and encoding.base == 1.0:
        return len(encoding.factors)
    raise InputError("A network with this encoding cannot be compressed: identity and positional ones can.")


def _of_norm(norm: Any) -> tuple[dict[str, np.ndarray], float]:
    """Factor, summand, mean and standard deviation of each channel, and the number of rows; of rows the first two."""
    own = {"gain": _array(norm.weight), "shift": _array(norm.bias)}
    if not isinstance(norm, RowCoupledNormalization):
        return own, 0.0
    running = norm.statistics.running(0)
    mean, variance = (np.broadcast_to(_array(each), own["gain"].shape) for each in (running.mean, running.variance))
    # Before the first batch there are infinitely many.
    rows = min(float(running.rows), 1e9)
    return {**own, "mean": mean, "spread": np.sqrt(variance)}, rows


def _array(values: Tensor | Any) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().double().numpy()


def _has(config: CoordinateNetworkConfig, name: str) -> bool:
    try:
        config.value(name)
    except (KeyError, ValueError):
        return False
    return True
