"""What can be known of a model before anything is read or made: settings that go together, and room for its weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from inr_plugins.errors import InputError
from inr_plugins.machine import memory_bytes
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig

_PREFIX = "--pipeline.model."
IN_TRAINING = 4
"""Numbers that training keeps for a weight at the least: itself, its gradient and Adam's two moments."""


@contextmanager
def naming_options() -> Iterator[None]:
    """Turn what networks and fields say of their settings into a sentence for a person.

    Raises:
        InputError: the body raised ValueError.
    """
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"The model cannot be built: {error} (options --pipeline.model.*).") from error


def hidden_weights(*networks: CoordinateNetworkConfig) -> int:
    """The numbers between the hidden layers of networks, which is nearly all that wide ones have."""
    return sum((each.hidden_layers - 1) * each.width**2 + each.width for each in networks)


def check_room(numbers: float, *options: str, copies: int = 1, prefix: str = _PREFIX) -> None:
    """Refuse what no memory of this machine holds; where there is a GPU, that is left to find out.

    Args:
        numbers: how many float32 numbers there will be, at the least.
        options: which settings of the model ask for them, as Python calls them.
        copies: how often each is kept; IN_TRAINING for weights.
        prefix: of the options on the command line.

    Raises:
        InputError: they take more than all of the memory.
    """
    wanted, there = 4.0 * numbers * copies, memory_bytes()
    if there is None or wanted <= there or torch.cuda.is_available():
        return
    names = " and ".join(prefix + name.replace("_", "-") for name in options)
    ask, lower = ("ask", "lower one of them") if len(options) > 1 else ("asks", "lower it")
    raise InputError(
        f"{names} {ask} for {_gigabytes(wanted)} GB of memory, and this machine has {_gigabytes(there)}: {lower}."
    )


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.0f}" if count >= 1e10 else f"{count / 1e9:.2g}"


def surface_cells(cells: int) -> float:
    """About how many of a lattice's cells a surface across it meets at the least."""
    return math.pow(cells, 2 / 3)
