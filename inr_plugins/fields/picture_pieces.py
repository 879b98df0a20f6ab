"""Pictures cut into patches, or left whole, and values at places put together from those of the patches around."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.signal_grid import PixelGrid

_EDGE = 1e-6
"""Weight of a patch at its own edge, in pixels: so small that any other counts alone, and no sum is 0."""


@dataclass(frozen=True)
class PicturePieces:
    """The patches of a picture, all of one size; each is seen in its own frame, that of `signal_grid`.

    Patches begin every `patch - overlap` pixels from the upper left corner; the last of a row or column ends with the
    picture, and overlaps more where sides are no multiples. Where patches overlap, what they say is averaged, each
    weighed by how far the place is from its nearest edge, which makes the whole continuous.

    Attributes:
        width: of the picture, in pixels.
        height: of the picture.
        patch: side of a patch, in pixels; 0: the picture is one piece, whatever its sides are.
        overlap: pixels that neighbours share, less than a patch.

    Raises:
        ValueError: a patch larger than the picture, or an overlap that leaves no step.
    """

    width: int
    height: int
    patch: int = 0
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.patch > min(self.width, self.height):
            raise ValueError(f"a patch of {self.patch} pixels is larger than a picture of {self.width} x {self.height}")
        if not 0 <= self.overlap < max(self.patch, 1):
            raise ValueError(f"overlap must be 0 and more, and less than a patch of {self.patch}, got {self.overlap}")

    @property
    def grid(self) -> PixelGrid:
        """The pixels of a piece."""
        return PixelGrid(self.patch, self.patch) if self.patch else PixelGrid(self.width, self.height)

    @property
    def lefts(self) -> list[int]:
        """First columns of the pieces of a row."""
        return self._begins(self.width, self.grid.width)

    @property
    def tops(self) -> list[int]:
        """First rows."""
        return self._begins(self.height, self.grid.height)

    @property
    def count(self) -> int:
        """Pieces of a picture."""
        return len(self.lefts) * len(self.tops)

    def _begins(self, side: int, piece: int) -> list[int]:
        last, step = side - piece, piece - self.overlap
        return [*range(0, last, step), last]

    def cut(self, pictures: Float[Tensor, "s h w c"]) -> Float[Tensor, "s p n c"]:
        """The pixels of all pieces, row by row; n of each."""
        rows, columns = (
            torch.tensor(begins)[:, None] + torch.arange(side)
            for begins, side in ((self.tops, self.grid.height), (self.lefts, self.grid.width))
        )
        found = pictures[:, rows][:, :, :, columns]
        return found.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def around(
        self, pixels: Float[Tensor, "n 2"]
    ) -> tuple[Int[Tensor, "n m"], Float[Tensor, "n m"], Float[Tensor, "n m 2"]]:
        """The pieces that places may lie in, as many for each.

        Args:
            pixels: (column, row), whole numbers being the middles of pixels; in the picture.

        Returns:
            Their numbers, row by row; how much each counts at the place, 0 where the place is not in it, with a sum of
            1; and the place in each, in the coordinates of `signal_grid`.
        """
        across = self._along(pixels[:, 0], self.lefts, self.grid.width)
        down = self._along(pixels[:, 1], self.tops, self.grid.height)
        piece = (down[0][:, :, None] * len(self.lefts) + across[0][:, None]).flatten(1)
        weight = (down[1][:, :, None] * across[1][:, None]).flatten(1)
        many = (down[2].shape[1], across[2].shape[1])
        local = torch.stack([across[2][:, None].expand(-1, *many), down[2][:, :, None].expand(-1, *many)], -1)
        at = self.grid.to_coordinates(local.flatten(1, 2).flatten(0, 1)).view(*piece.shape, 2)
        return piece, weight, at

    @staticmethod
    def _along(place: Tensor, begins: list[int], side: int) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers of the pieces along an axis that hold places, their weights, and places in them in pixels."""
        first = place.new_tensor(begins)
        # Begins rise, so that those which hold a place are neighbours; the last of them is the last to begin before it.
        last = (torch.searchsorted(first, place + 0.5, right=True) - 1).clamp(min=0)
        most = max(sum(1 for other in begins if begin <= other < begin + side) for begin in begins)
        number = last[:, None] - torch.arange(most, device=place.device)
        within = place[:, None] - first[number.clamp(min=0)]
        inside = (number >= 0) & (within >= -0.5) & (within <= side - 0.5)
        number = number.clamp(min=0)
        weight = torch.where(inside, torch.minimum(within + 0.5, side - 0.5 - within).clamp(min=_EDGE), 0.0)
        return number, weight / weight.sum(1, keepdim=True), torch.where(inside, within, 0.0)
