"""Which pixels a training step sees: all of them, or a part of them that a pass goes through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class PixelBatches:
    """Batches of the pixels of an image, each a function of the seed and the step alone.

    Where one batch does not take all pixels, these are cut into stretches of as many neighbours as a pass has batches,
    and each batch of a pass takes one pixel out of every stretch, drawn anew for each pass. So a pass shows every pixel
    exactly once, a batch is spread evenly over the image, its rows ascend, and nothing is as long as the image.

    Attributes:
        pixels: of the image.
        most: in a batch, of all processes together.
        seed: of what is drawn.
        rank: of this process, which takes every `ranks`-th pixel of a batch.
        ranks: processes.
    """

    pixels: int
    most: int
    seed: int
    rank: int = 0
    ranks: int = 1

    @property
    def of_a_pass(self) -> int:
        """Batches of a pass over the image."""
        return -(-self.pixels // self.most)

    @property
    def size(self) -> int:
        """Pixels of a batch, of all processes together, at the most."""
        return -(-self.pixels // self.of_a_pass)

    def places(self, step: int) -> Int[Tensor, " n"] | None:
        """The numbers of the pixels of a step, ascending; None: all of them."""
        many = self.of_a_pass
        if many == 1:
            return None if self.ranks == 1 else torch.arange(self.rank, self.pixels, self.ranks)
        passed, batch = divmod(step, many)
        generator = np.random.default_rng((self.seed, passed))
        shifts = generator.integers(0, many, self.size)
        places = np.arange(self.size) * many + (shifts + batch) % many
        # The last stretch may be a shorter one.
        places = places[places < self.pixels][self.rank :: self.ranks]
        return torch.from_numpy(places)
