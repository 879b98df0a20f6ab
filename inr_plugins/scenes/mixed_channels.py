"""An image of known rank: a picture's red and green, or all three of its colours, and random mixes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class MixedChannels:
    """Which colours are taken, and how they are mixed.

    Attributes:
        colours: 2, red and green, or 3.
        mixes: further channels, each a weighted mean of those.
        seed: of the weights.
    """

    colours: int = 2
    mixes: int = 4
    seed: int = 0

    @property
    def weights(self) -> Float[np.ndarray, "mixes colours"]:
        """Of the colours in each mix: even in (0, 1) and divided by their sum, so that values stay in [0, 1]."""
        drawn = np.random.default_rng(self.seed).random((self.mixes, self.colours))
        return drawn / drawn.sum(1, keepdims=True)

    def of(self, picture: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width channels"]:
        """The colours, and the mixes behind them; about their mean of the rank of the colours, at the most."""
        own = picture[..., : self.colours].astype(np.float64)
        return np.concatenate([own, own @ self.weights.T], -1)
