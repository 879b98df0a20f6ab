"""Signs of normals that neighbours share: a field decides them for a whole sheet of a surface, not for each point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_NEIGHBOURS = 8
_ALIKE = 0.7
"""Least cosine of normals of neighbours that lie on one sheet, 45 degrees."""


@dataclass(frozen=True)
class Sheets:
    """Parts of a surface within which signs of normals are believed, as each is believed to be right or all wrong.

    Attributes:
        normals: with those signs, unit length.
        number: of the sheet that a point is in.
    """

    normals: Float[Tensor, "n 3"]
    number: Int[Tensor, " n"]

    @classmethod
    def of(cls, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], *, dense: bool = True) -> Sheets:
        """Points are in one sheet if steps from neighbour to neighbour lead from one to the other, each of them between
        normals that are alike.

        Where signs spread along a tree of neighbours are wrong, its edge across was a step between unlike ones.

        Args:
            points: of the surface.
            normals: unit vectors across it, which agree with those of neighbours.
            dense: False: of points so few that neighbours say nothing each is a sheet of its own.
        """
        count = len(points)
        if not dense or count <= _NEIGHBOURS:
            return cls(normals, torch.arange(count, device=points.device))
        # Loading a method of ns-train loads nothing but this package.
        from scipy.sparse import csr_matrix
        from scipy.sparse.csgraph import connected_components
        from scipy.spatial import cKDTree

        places, across = (each.double().cpu().numpy() for each in (points, normals))
        near = cKDTree(places).query(places, k=_NEIGHBOURS + 1, workers=-1)[1].reshape(-1)
        own = np.repeat(np.arange(count), _NEIGHBOURS + 1)
        alike = (across[own] * across[near]).sum(-1) >= _ALIKE
        graph = csr_matrix((alike[alike], (own[alike], near[alike])), shape=(count, count))
        number = connected_components(graph, directed=False)[1]
        return cls(normals, torch.from_numpy(number).long().to(points.device))

    def turn(self, normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Normals with the sheets' signs, those of a sheet the other way round where most of the given ones are.

        Args:
            normals: unit vectors across the surface, of signs that a field gave to each.
        """
        agreement = (normals * self.normals).sum(-1)
        votes = agreement.new_zeros(len(normals)).index_add(0, self.number, agreement)[self.number]
        return torch.where((agreement * votes < 0)[:, None], -normals, normals)
