"""Where inr-mesh looks for the surface: the box, in whose frame it lies, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.levelset.lattice import Lattice, check_box

COARSE = 64
"""Samples along the longest side of the coarse pass."""

# Coarse samples added around what was found, since something thin may lie between them.
_MARGIN = 2


@dataclass(frozen=True)
class Region:
    """A box to look into.

    Attributes:
        box: lowest and highest corner, in the frame of the lattice.
        to_normalised: map from that frame to the normalised one.
        frame: "normalised", "dataset", or "turned" for that of a `TurnedBox`.
        limit: box of the normalised frame outside which the field counts as empty; None where it may be asked anywhere.
        source: where the box comes from, in words.
    """

    box: Float[np.ndarray, "2 3"]
    to_normalised: Similarity
    frame: str
    limit: Float[np.ndarray, "2 3"] | None
    source: str

    def in_dataset(self, dataset_to_normalised: Similarity) -> Float[np.ndarray, "2 3"]:
        """The box in the dataset's frame and units, or the box around it where the frames are turned."""
        if self.frame == "dataset":
            return self.box
        return dataset_to_normalised.inverse().after(self.to_normalised).bounding_box(self.box)


@dataclass(frozen=True)
class TurnedBox:
    """A box to look into whose sides need not lie along the axes of either frame.

    Attributes:
        box: lowest and highest corner in the box's own frame, in which it lies straight.
        to_normalised: map from that frame to the normalised one.
    """

    box: Float[np.ndarray, "2 3"]
    to_normalised: Similarity

    def region(self, limit: Float[np.ndarray, "2 3"]) -> Region:
        """What of the box a model's box can reach.

        Args:
            limit: the model's box, normalised frame.

        Raises:
            InputError: the box has no volume, or nothing of it lies in the model's.
        """
        wish, reach = check_box(self.box, name="crop box"), self.to_normalised.inverse().bounding_box(limit)
        low, high = np.maximum(reach[0], wish[0]), np.minimum(reach[1], wish[1])
        if (low >= high).any():
            raise InputError("The crop box lies outside the scene; move it, or do without it.")
        return Region(np.stack([low, high]), self.to_normalised, "turned", limit, "crop")


def model_box(model: Any) -> Float[np.ndarray, "2 3"]:
    """The box, in the normalised frame, that holds the model's surface: its own tight one, else the scene box.

    Raises:
        InputError: the box has no volume.
    """
    box = model.surface_aabb() if hasattr(model, "surface_aabb") else model.scene_box.aabb
    return check_box(box.detach().cpu().double().numpy(), name="run's scene box")


def plan_region(
    limit: Float[np.ndarray, "2 3"],
    dataset_to_normalised: Similarity,
    *,
    source: str,
    box: Float[np.ndarray, "2 3"] | None = None,
    crop: Float[np.ndarray, "2 3"] | None = None,
) -> Region:
    """The region that a model's box and the user's wishes make.

    Without wishes it is the model's box, in the normalised frame. A box or a crop is one of the dataset's frame, which
    the normalised frame may see turned, so then the lattice lies in the dataset's frame: the cuts are where the user
    put them. A crop is shrunk to what the model's box can reach; a box is taken as it is, and the field asked there.

    Args:
        limit: the model's box, normalised frame.
        dataset_to_normalised: map between the frames.
        source: where the model's box comes from.
        box: the user's box, dataset's frame.
        crop: the user's crop, dataset's frame.

    Raises:
        InputError: a box or crop without volume, or one that the model's box does not reach.
    """
    if box is None and crop is None:
        return Region(limit, Similarity.identity(), "normalised", limit, source)
    reach = dataset_to_normalised.inverse().bounding_box(limit)
    low, high = reach
    sources = []
    for name, wish in (("box", box), ("crop", crop)):
        if wish is None:
            continue
        wish = check_box(wish, name=setting(name))
        if (np.maximum(low, wish[0]) >= np.minimum(high, wish[1])).any():
            raise InputError(
                f"{setting(name)} {wish.ravel().tolist()} lies outside the scene, which reaches from "
                f"{reach[0].round(4).tolist()} to {reach[1].round(4).tolist()} in the dataset's frame."
            )
        low, high = wish if name == "box" else (np.maximum(low, wish[0]), np.minimum(high, wish[1]))
        sources.append(name)
    limit_kept = limit if box is None else None
    return Region(np.stack([low, high]), dataset_to_normalised, "dataset", limit_kept, " and ".join(sources))


def tight_box(inside: Bool[np.ndarray, "x y z"], lattice: Lattice) -> Float[np.ndarray, "2 3"]:
    """The box around the coarse samples that are inside, and two more each way; the lattice's where none is."""
    found = np.argwhere(inside)
    if len(found) == 0:
        return lattice.box
    low = np.maximum(found.min(axis=0) - _MARGIN, 0)
    high = np.minimum(found.max(axis=0) + _MARGIN, np.array(lattice.shape) - 1)
    return lattice.positions(np.stack([low, high]).astype(np.float64))


def lattice_points(lattice: Lattice) -> Float[np.ndarray, "n 3"]:
    """All points of a (coarse) lattice, in C order."""
    nx, ny, _ = lattice.shape
    return lattice.rows(0, nx * ny)


def torch_box(box: Float[np.ndarray, "2 3"], device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest corner as float32 tensors."""
    low, high = (torch.as_tensor(corner, dtype=torch.float32, device=device) for corner in box)
    return low, high
