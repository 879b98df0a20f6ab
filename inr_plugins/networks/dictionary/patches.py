"""Overlapping patches of a box, each with a frame of its own, and what is said in them blended (NID, sec. 3.3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class PatchGrid(nn.Module):
    """Patches centred on the vertices of a regular lattice over a box, each reaching to its neighbours' centres.

    A point lies in the 2³ patches at the corners of its cell. Along each axis their weights are 1 - s and s with
    s = t² (3 - 2 t) of its place t in the cell: they sum to 1, and as they and their slopes vanish where a patch ends,
    a blend of smooth functions has a continuous gradient (that of trilinear weights jumps at every lattice plane, which
    would be seen in the normals). Points outside of the box have the weights of the nearest point of it.

    Patches see points in their own frame, centre at 0 and neighbours' centres at distance 1, so that one dictionary of
    local parts can serve all of them with a code for each. The paper gives every patch a dictionary of its own, which
    is the same with codes that do not share experts. Both cost eight evaluations a point.
    """

    low: Tensor
    spacing: Tensor
    corners: Tensor
    strides: Tensor

    def __init__(self, box: Float[Tensor, "2 3"], patches_per_side: int) -> None:
        """
        Args:
            box: its lower and upper corner.
            patches_per_side: patches along each axis, at least 2.

        Raises:
            ValueError: an empty box, or fewer than 2 patches along an axis.
        """
        super().__init__()
        if patches_per_side < 2:
            raise ValueError(f"patches_per_side must be at least 2, got {patches_per_side}")
        if not bool((box[1] > box[0]).all()):
            raise ValueError(f"the box of patches must have a lower and an upper corner, got {box.tolist()}")
        self.per_side = patches_per_side
        corners = torch.cartesian_prod(*[torch.arange(2)] * 3)
        self.register_buffer("low", box[0].clone(), persistent=False)
        self.register_buffer("spacing", (box[1] - box[0]) / (patches_per_side - 1), persistent=False)
        self.register_buffer("corners", corners, persistent=False)
        self.register_buffer("strides", torch.tensor([patches_per_side**2, patches_per_side, 1]), persistent=False)

    @property
    def patches(self) -> int:
        """Number of patches."""
        return self.per_side**3

    def local(
        self, points: Float[Tensor, "p 3"]
    ) -> tuple[Int[Tensor, "p 8"], Float[Tensor, "p 8"], Float[Tensor, "p 8 3"]]:
        """The eight patches around points.

        Args:
            points: in the frame of the box.

        Returns:
            Their numbers (z fastest), the point's weight in each (sum 1), and where it is in each patch's frame: in
            [-1, 1] if it is in the box. Weights and places are differentiable.
        """
        place = (points - self.low) / self.spacing
        cell = place.detach().floor().clamp(0, self.per_side - 2)
        t = (place - cell).clamp(0, 1)
        upper = (t * t * (3 - 2 * t))[:, None]
        weights = torch.where(self.corners == 1, upper, 1 - upper)
        centre = cell[:, None] + self.corners
        patch = (centre.long() * self.strides).sum(-1)
        return patch, weights[..., 0] * weights[..., 1] * weights[..., 2], place[:, None] - centre

    def blend(
        self,
        points: Float[Tensor, "s p 3"],
        evaluate: Callable[[Tensor, Tensor], Tensor],
    ) -> Float[Tensor, "s p"]:
        """A function of each shape, blended from what is said of it in its patches.

        Places are gathered by shape and patch and filled up to the longest of these groups, so that all are evaluated
        in one batch: time grows with that length, and is lost where most points lie in few patches.

        Args:
            points: of each shape, in the frame of the box.
            evaluate: from numbers shape * patches + patch, (g,), and places in their frames, (g, q, 3), to values
                (g, q). Only groups with points are asked for.
        """
        shapes, count, _ = points.shape
        if count == 0:
            return points.new_zeros(shapes, 0)
        patch, weight, place = self.local(points.flatten(0, 1))
        shape = torch.arange(shapes, device=points.device).repeat_interleave(count)
        groups, group = torch.unique(patch + self.patches * shape[:, None], return_inverse=True)
        group, slot, rows = _places_in_groups(group.flatten(), len(groups))
        values = evaluate(groups, place.flatten(0, 1)[rows])
        return (weight * values[group, slot].view_as(weight)).sum(-1).view(shapes, count)


def _places_in_groups(group: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each entry's group and place in it, and the entry (groups, longest) at each place, 0 where there is none."""
    order = group.argsort(stable=True)
    counts = torch.bincount(group, minlength=groups)
    first = counts.cumsum(0) - counts
    entries = torch.arange(len(group), device=group.device)
    slot = torch.empty_like(entries)
    slot[order] = entries - first[group[order]]
    rows = entries.new_zeros(groups, int(counts.max()))
    rows[group, slot] = entries
    return group, slot, rows
