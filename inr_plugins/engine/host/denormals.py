"""Numbers next to zero, for which processors are slow."""

from __future__ import annotations

import torch


def flush_denormals() -> bool:
    """From now on, let numbers below the smallest normal one (1.2e-38 of float32) count as 0 in this thread and in
    those that it makes; so before the first large operation, which makes torch's own.

    Functions with narrow tails, as Gauss's and Gabor's, have whole layers of such numbers, and products with them take
    a hundred times as long on many processors.

    Returns:
        Whether this processor can.
    """
    return torch.set_flush_denormal(True)
