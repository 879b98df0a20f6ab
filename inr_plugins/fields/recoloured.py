"""A voxel field seen in other colours than those it has learnt."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.fields.voxel_density import VoxelField
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.networks.voxels.sparse_lattice import interpolate
from inr_plugins.networks.voxels.spherical_harmonics import NUM_COEFFICIENTS, spherical_harmonics

_SPREAD = 1.5
"""Logit of a key that lies one standard deviation from the mean: 0.82 of a colour's range."""


class RecolouredField(VoxelField):
    """The density of another field, whose tensors it shares, under colours that do not depend on the view."""

    def __init__(self, field: VoxelField, logits: Callable[[], Float[Tensor, "v 3"]]) -> None:
        """
        Args:
            field: whose density is seen; it stays as it is.
            logits: gives the colour logits of its vertices; asked once, when the first colour is.
        """
        super().__init__(field.lattice, 0.0, field.contraction)
        self.density_table = field.density_table
        self._make, self._made = logits, threading.Lock()
        self._logits: Tensor | None = None

    def colour_at(
        self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"], directions: Float[Tensor, "s 3"]
    ) -> Float[Tensor, "s 3"]:
        with self._made:
            if self._logits is None:
                self._logits = self._make()
        return torch.sigmoid(interpolate(self._logits, rows, weights))


@torch.no_grad()
def degree_0_logits(field: VoxelSHField) -> Float[Tensor, "v 3"]:
    """The part of each vertex's colour logits that is the same from all sides: that of the constant harmonic."""
    constant = spherical_harmonics(torch.tensor([[0.0, 0.0, 1.0]]))[0, 0].to(field.density_table)
    return field.baked().view(-1, 3, NUM_COEFFICIENTS)[:, :, 0] * constant


class KeyColours:
    """Keys as colours: red, green and blue are the three directions in which the keys of a table spread most.

    These are the principal axes of the keys, turned within the space that they span to those of the table before, so
    that colours do not jump while keys are learnt.
    """

    def __init__(self) -> None:
        self._axes: Tensor | None = None

    @torch.no_grad()
    def __call__(self, keys: Float[Tensor, "v width"]) -> Float[Tensor, "v 3"]:
        """Colour logits: each channel has mean 0 and the same spread; keys shorter than 3 leave channels at grey."""
        centred = keys.float() - keys.float().mean(0)
        _, directions = torch.linalg.eigh(centred.T @ centred / len(keys))
        # Largest first; eigh's come in rising order.
        axes = directions.flip(-1)[:, :3]
        before = self._axes
        if before is not None and before.shape == axes.shape:
            # The rotation nearest to the axes before (orthogonal Procrustes).
            left, _, right = torch.linalg.svd(axes.T @ before.to(axes))
            axes = axes @ (left @ right)
        self._axes = axes
        along = centred @ axes
        logits = keys.new_zeros(len(keys), 3, dtype=torch.float32)
        logits[:, : along.shape[1]] = _SPREAD * along / along.std(0, unbiased=False).clamp(min=1e-30)
        return logits
