"""Which rays can see a surface in a box, and about where: a lattice of signed distances, refreshed from the field."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.boxes import checked_box

DistanceFunction = Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]

SLOPE = 1.5
"""How many times faster a distance is taken to change than one does: networks' gradients have lengths around 1."""
_HALVINGS = 2
"""Cells are first looked at in blocks of 4 x 4 x 4."""


class DistanceGrid(nn.Module):
    """Signed distances at the middles of cubic cells, or bounds of them where the surface is far.

    With a field f whose slope is at most `SLOPE`, f >= f(middle) - SLOPE r within r of a cell's middle. A section of a
    ray on which f >= d > 0 throughout stops at most 1 - S(s d) = S(-s d) of the light (NeuS's eq. 13 with the logistic
    function S and sharpness s), and sections on which f falls multiply, so that this bounds a whole stretch of them. So
    a ray all of whose cells have S(-s d) below a tolerance is not worth a look. Where it is, distances between the
    cells' middles tell where: they are asked in the place of the field, but for the last places near the surface.

    To refresh is to ask for one distance in each block of 4 x 4 x 4 cells, then in those of 2 x 2 x 2 and in the cells
    that the surface can be near to; children of the others have their parent's distance less what it can change by
    on the way. Nothing is drawn at random.

    The buffers are the whole state.
    """

    origin: Tensor
    edge: Tensor
    distance: Tensor

    def __init__(self, box: Float[Tensor, "2 3"], resolution: int) -> None:
        """
        Args:
            box: what the cells cover at least, (minimum, maximum corner).
            resolution: cells along its longest side.

        Raises:
            ValueError: a box without volume, or a resolution out of range.
        """
        super().__init__()
        if not 2 <= resolution <= 1024:
            raise ValueError(f"resolution must be from 2 to 1024 cells, got {resolution}")
        self.resolution = resolution
        self.register_buffer("origin", torch.zeros(3))
        self.register_buffer("edge", torch.ones(()))
        self.register_buffer("distance", torch.zeros(4, 4, 4))
        self.place(box)

    @torch.no_grad()
    def place(self, box: Float[Tensor, "2 3"]) -> None:
        """Cover another box; nothing is known of it: every distance is 0, and no cell is skipped."""
        box = checked_box(box).to(self.origin)
        sides = (box[1] - box[0]).tolist()
        block = 2**_HALVINGS
        edge = max(sides) / (block * math.ceil(self.resolution / block))
        shape = [block * max(1, math.ceil(side / edge / block - 1e-4)) for side in sides]
        self.origin.copy_(box.mean(0) - edge / 2 * torch.tensor(shape).to(box))
        self.edge.fill_(edge)
        self.distance = torch.zeros(shape, device=box.device)
        self._known = False

    @torch.no_grad()
    def refresh(self, distance: DistanceFunction, reach: float) -> None:
        """Ask a field for distances.

        Args:
            distance: signed distance at points, in the units of the box.
            reach: how near to the surface single cells have to be told apart.
        """
        shape = [n // 2**_HALVINGS for n in self.distance.shape]
        found = self._ask(distance, torch.ones(shape, dtype=torch.bool, device=self.edge.device), 2**_HALVINGS)
        values = found.view(shape)
        for halving in range(_HALVINGS - 1, -1, -1):
            size = 2**halving
            # Half a diagonal of the parents, and from a parent's middle to a child's.
            wide, way = 3**0.5 * size * float(self.edge), 3**0.5 * size / 2 * float(self.edge)
            near = _doubled(values.abs() < SLOPE * wide + reach)
            away = _doubled(values)
            values = away.sign() * (away.abs() - SLOPE * way).clamp(min=0)
            values[near] = self._ask(distance, near, size)
        self.distance = values
        self._known = True

    def _ask(self, distance: DistanceFunction, where: Bool[Tensor, "x y z"], size: int) -> Float[Tensor, " n"]:
        """Distance at the middles of blocks of size^3 cells."""
        points = self.origin + self.edge * size * (where.nonzero() + 0.5)
        return distance(points).to(self.distance.dtype)

    # -- what is known of points ---------------------------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        """Whether distances have been asked for since it has this place."""
        return self._known

    def take_as_known(self) -> None:
        """The distances were set from elsewhere."""
        self._known = True

    def least(self, x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Signed distance, or less of it, at the middle of the cell that a point is in; of the nearest beyond them."""
        u = (x - self.origin) / self.edge
        flat: Tensor | None = None
        for axis, count in enumerate(self.distance.shape):
            index = u[..., axis].clamp(0, count - 0.5).long()
            flat = index if flat is None else flat * count + index
        assert flat is not None
        return self.distance.reshape(-1)[flat]

    def distance_at(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance, linear between middles of cells; good near the surface, less than the true one far away."""
        u = 2 * (x - self.origin) / self.edge
        # Counts are Python's: a tensor of them would be one more thing to send to a device. grid_sample wants z first.
        place = torch.stack([u[..., axis] / self.distance.shape[axis] - 1 for axis in (2, 1, 0)], dim=-1)
        found = F.grid_sample(
            self.distance[None, None], place[None, None, None], padding_mode="border", align_corners=False
        )
        return found.view(-1)

    @torch.no_grad()
    def rays_worth_a_look(
        self,
        origins: Float[Tensor, "r 3"],
        directions: Float[Tensor, "r 3"],
        near: Float[Tensor, " r"],
        far: Float[Tensor, " r"],
        *,
        sections: int,
        reach: Float[Tensor, ""] | float,
    ) -> Int[Tensor, " h"]:
        """The rays that can come nearer to the surface than a distance, or do not come from outside.

        Args:
            origins: ray origins, the box's frame.
            directions: unit ray directions.
            near: where each ray begins.
            far: where it ends.
            sections: of a ray that are told apart.
            reach: the distance, see `reach_of`.

        Returns:
            Their index, ascending.
        """
        share = torch.linspace(0, 1, sections + 1, device=near.device)
        length = (far - near) / sections
        middle = near[:, None] + (far - near)[:, None] * (share[:-1] + 0.5 / sections)
        least = self.least(origins[:, None] + directions[:, None] * middle[..., None])
        within = reach + SLOPE * (3**0.5 / 2 * self.edge + length[:, None] / 2)
        return ((least < within).any(-1) & (far > near)).nonzero()[:, 0]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        names = [prefix + name for name in ("origin", "edge", "distance")]
        if not any(name in state_dict for name in names):
            # Of a time before there were grids: nothing is known, and nothing skipped.
            state_dict = {**state_dict, **{name: getattr(self, name.rpartition(".")[2]) for name in names}}
        else:
            self.distance = torch.empty_like(state_dict[prefix + "distance"], device=self.edge.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._known = bool((self.distance != 0).any())


def reach_of(sharpness: Float[Tensor, ""], tolerance: float) -> Float[Tensor, ""]:
    """The distance d at which a logistic function of a sharpness s is S(-s d) = tolerance, in 1 / units of s."""
    return math.log((1 - tolerance) / tolerance) / sharpness


def _doubled(values: Tensor) -> Tensor:
    """Each cell's value for its eight halves."""
    for axis in range(3):
        values = values.repeat_interleave(2, axis)
    return values
