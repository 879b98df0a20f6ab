"""A trained network in stages as the numbers of the one that a file holds."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from inr_plugins.codecs.exact_functions import MOST_TERMS
from inr_plugins.codecs.stream import StreamShape
from inr_plugins.errors import InputError
from inr_plugins.networks.activations.settings import PUBLISHED
from inr_plugins.networks.stream_network import StreamNetwork


def numbers_of_stream(network: StreamNetwork, stages: int) -> tuple[StreamShape, dict[str, np.ndarray]]:
    """Shape and float64 numbers of the first stages, of which each output v becomes the value (v + 1) / 2.

    Raises:
        InputError: it is wider than sums in a file can be.
    """
    config = network.config
    widths = config.widths[:stages]
    if widths[-1] > MOST_TERMS:
        raise InputError(f"A network of {widths[-1]:,} neurons in a layer cannot be compressed: {MOST_TERMS:,} can.")
    name = config.settings.activation
    constants = {each: config.settings.value(each) for each in PUBLISHED[name] if each != "first_bias"}
    shape = StreamShape(
        outputs=network.out_dim,
        widths=widths,
        hidden=config.hidden_layers,
        activation=name,
        constants=constants,
        inputs=network.in_dim,
    )
    state, values = network.state_dict(), {}
    for stage in range(1, stages + 1):
        for tensor in shape.of_stage(stage):
            _, layer, kind = tensor.split(".")
            is_head = int(layer) == config.hidden_layers
            own = _array(state[f"stages.{stage - 1}.{'head' if is_head else f'layers.{layer}'}.{kind}"])
            if is_head:
                own = (own + 1) / 2 if kind == "bias" else own / 2
            values[tensor] = own
    return shape, values


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
