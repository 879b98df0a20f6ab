"""Signed distances at the vertices of a sparse lattice, and colours by keys and normals there (diner-surface)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.fields.protocol import CellBounds
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.precision import Precision
from inr_plugins.networks.relu_rows import network_of_rows
from inr_plugins.networks.voxels.key_table import KeyTable, distinct_rows, gather_distinct
from inr_plugins.networks.voxels.sparse_lattice import (
    SparseLattice,
    interpolate,
    pack_bits,
    trilinear_weights,
    unpack_bits,
)
from inr_plugins.networks.voxels.spherical_harmonics import NUM_COEFFICIENTS, spherical_harmonics
from inr_plugins.networks.voxels.stencils import LatticeStencils

_CHUNK = 1 << 17
_FAR_CELLS = 192
"""Cells along the longest side of the lattice of rough distances, away from the band."""
_LEAST_FAR = 1.5
"""Cells that a point outside the band is from the surface at the least."""


class VoxelDistanceField(nn.Module):
    """Signed distance, negative inside, and the colour of its level set.

    The distance is held in cells, one unsmoothed value a vertex of a band of cells around the surface; what is read is
    smoothed along the axes (`LatticeStencils.smoothed`) and interpolated, because single vertices run away otherwise
    (Voxurf, Wu et al. 2023, sec. 3.2). Colour is DINER's, with the surface's normal as a further input: key and normal
    of a vertex -> network -> 27 coefficients of spherical harmonics, which are interpolated. With the normal at hand,
    shading need not be carved into the surface.

    Outside the band the distance is rough: of the right sign, and never greater than the way to the surface.

    Attributes:
        degree: of the spherical harmonics that count, 0 to 2: colours that depend on the view explain a wrong surface.
    """

    lattice: SparseLattice
    solid: Tensor

    def __init__(
        self,
        lattice: SparseLattice,
        distances: Float[Tensor, " v"],
        solid: Bool[Tensor, "x y z"],
        *,
        key_width: int,
        network: CoordinateNetworkConfig,
        precision: Precision = "float32",
    ) -> None:
        """
        Args:
            lattice: of the band's cells; normalised frame.
            distances: signed distance of every vertex, in cells.
            solid: which cells of the whole lattice are inside; in the band it does not count.
            key_width: length of a key.
            network: behind keys and normals.
            precision: of the network's matrix products in training.
        """
        super().__init__()
        device = lattice.origin.device
        self.network = network.build(key_width + 3, 3 * NUM_COEFFICIENTS).to(device)
        self.precision: Precision = precision
        self.key_width = key_width
        self.degree = 2
        self.take(lattice, distances, KeyTable(lattice.num_rows, key_width).keys.detach().to(device), solid)

    def take(
        self,
        lattice: SparseLattice,
        distances: Float[Tensor, " v"],
        keys: Float[Tensor, "v width"],
        solid: Bool[Tensor, "x y z"],
    ) -> None:
        """Hold other cells from now on; both tables are new parameters, so their optimizers must be rebuilt."""
        self.lattice = lattice
        self.register_buffer("solid", pack_bits(solid))
        self.distances = nn.Parameter(distances.detach().clone())
        self.keys = nn.Parameter(keys.detach().clone())
        self.stencils = LatticeStencils(lattice)
        self._forget()

    def _forget(self) -> None:
        self._flat: Tensor | None = None
        self._far: Tensor | None = None
        self._baked: tuple[tuple[object, ...], Reading] | None = None

    def _apply(self, fn, recurse=True):
        """As nn.Module's, which moves to other devices; what is derived is made anew there."""
        found = super()._apply(fn, recurse)
        self.stencils = LatticeStencils(self.lattice)
        self._forget()
        return found

    @property
    def solid_cells(self) -> Bool[Tensor, "x y z"]:
        """Cells whose middle is inside; within the band by its distances."""
        found = unpack_bits(self.solid, self.lattice.shape).reshape(-1)
        means = self.reading().distance.detach()[self.lattice.corner_rows.long()].mean(-1)
        return found.index_copy(0, self.flat_cells, means < 0).view(self.lattice.shape)

    @property
    def flat_cells(self) -> Int[Tensor, " c"]:
        """Flat index of each cell of the band."""
        if self._flat is None:
            self._flat = (self.lattice.cell_row >= 0).nonzero()[:, 0]
        return self._flat

    def reading(self) -> Reading:
        """Smoothed distances and their gradients at all vertices, for one pass; kept in eval until something moves."""
        if self.training and torch.is_grad_enabled():
            return self._read()
        parameters = (self.distances, self.keys, *self.network.parameters())
        state = (*[(id(p), p._version, p.device) for p in parameters],)
        if self._baked is None or self._baked[0] != state:
            with torch.no_grad():
                self._baked = (state, self._read())
        return self._baked[1]

    def _read(self) -> Reading:
        distance = self.stencils.smoothed(self.distances)
        return Reading(self, distance, self.stencils.gradient(distance))

    def coefficients(self, keys: Float[Tensor, "u width"], gradients: Float[Tensor, "u 3"]) -> Float[Tensor, "u 27"]:
        """SH coefficients of vertices: nine of red, nine of green, nine of blue."""
        entry = torch.cat([keys, F.normalize(gradients, dim=-1)], -1)
        return network_of_rows(self.network, entry, self.precision, training=self.training)

    def train(self, mode: bool = True) -> VoxelDistanceField:
        """As nn.Module's; training lets go of what eval keeps."""
        if mode:
            self._baked = None
        return super().train(mode)

    # -- at any points: the protocol of inr_plugins.fields.protocol --

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in normalised units, negative inside; differentiable in x within the band."""
        distance = self.reading().distance.detach()
        parts = [self._sdf_part(part, distance) for part in x.split(_CHUNK)]
        return torch.cat(parts) if parts else x.new_zeros(0)

    def _sdf_part(self, x: Tensor, distance: Tensor) -> Tensor:
        lattice = self.lattice
        cell, _ = lattice.locate(x.detach())
        hit = (cell >= 0).nonzero()[:, 0]
        at = ((x[hit] - lattice.origin) / lattice.edge).clamp(min=0)
        low = torch.minimum(at.detach().floor(), lattice.cells.to(at) - 1)
        corner_values = distance[lattice.corner_rows[cell[hit]].long()]
        values = (corner_values * trilinear_weights((at - low).clamp(0, 1))).sum(-1)
        return self._far_distance(x.detach()).index_copy(0, hit, values * lattice.edge)

    def _far_distance(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        lattice = self.lattice
        shape = lattice.cells.to(x.device)
        u = (x - lattice.origin) / lattice.edge
        beyond = torch.maximum(-u, u - shape).clamp(min=0).norm(dim=-1)
        ijk = torch.minimum(u.nan_to_num(0.0).floor().clamp(min=0), (shape - 1).to(u)).long()
        flat = (ijk[:, 0] * shape[1] + ijk[:, 1]) * shape[2] + ijk[:, 2]
        solid = (self.solid[flat >> 3] >> (flat & 7)) & 1
        far, factor = self._far_table()
        coarse = ijk // factor
        cells = far[coarse[:, 0], coarse[:, 1], coarse[:, 2]]
        sign = torch.where((solid > 0) & (beyond == 0), -1.0, 1.0)
        return sign * (_LEAST_FAR + torch.maximum(cells, beyond)) * lattice.edge

    def _far_table(self) -> tuple[Tensor, int]:
        """A lower bound, in cells, of the way to the band from any point of each coarse cell, and cells along one."""
        factor = max(1, -(-max(self.lattice.shape) // _FAR_CELLS))
        if self._far is None:
            from scipy.ndimage import distance_transform_edt

            occupied = self.lattice.occupied
            held = F.max_pool3d(occupied.float()[None, None], factor, ceil_mode=True)[0, 0] > 0
            way = torch.from_numpy(distance_transform_edt(~held.cpu().numpy())).float() * factor
            # Between middles of coarse cells; from any point of one to any of the other it may be a diagonal less.
            self._far = (way - 3**0.5 * factor).clamp(min=0).to(occupied.device)
        return self._far, factor

    @property
    def level_reach(self) -> float:
        """Largest distance at which the level set lies in the band, to be drawn there; normalised units."""
        return _LEAST_FAR * float(self.lattice.edge)

    @torch.no_grad()
    def cell_bounds(self) -> CellBounds:
        """Bounds of the distance in each cell: of the band by its corners, elsewhere by the side of the surface.

        Solid cells beyond the band's box are left open, since whoever cuts the solid off there makes a surface.
        """
        lattice, edge = self.lattice, float(self.lattice.edge)
        corners = self.reading().distance.detach()[lattice.corner_rows.long()]
        solid = self.solid_cells
        least, largest = (torch.full(lattice.shape, sign * torch.inf, device=solid.device) for sign in (-1, 1))
        least[~solid] = _LEAST_FAR * edge
        boxed = torch.zeros_like(solid)
        first, last = lattice.occupied.nonzero().aminmax(dim=0)
        boxed[tuple(slice(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True))] = True
        largest[solid & boxed] = -_LEAST_FAR * edge
        # What is interpolated in float32 may leave the corners' range by rounding.
        slack = 1e-5 * corners.abs().amax(-1)
        least.view(-1)[self.flat_cells] = (corners.amin(-1) - slack) * edge
        largest.view(-1)[self.flat_cells] = (corners.amax(-1) + slack) * edge
        return CellBounds(lattice.origin, edge, least, largest, lattice.aabb)

    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals, outward, from smoothed differences; zero outside the band."""
        return self._in_band(x, lambda reading, rows, weights, hit: reading.normal_at(rows, weights))

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] at points of the normalised frame seen along unit directions d; black outside the band."""
        return self._in_band(x, lambda reading, rows, weights, hit: reading.colour_at(rows, weights, d[hit]))

    @torch.no_grad()
    def _in_band(self, x: Tensor, ask) -> Tensor:
        reading, out = self.reading(), torch.zeros_like(x)
        for first in range(0, len(x), _CHUNK):
            cell, fraction = self.lattice.locate(x[first : first + _CHUNK])
            hit = (cell >= 0).nonzero()[:, 0]
            rows, weights = self.lattice.corner_rows[cell[hit]], trilinear_weights(fraction[hit])
            out[first + hit] = ask(reading, rows, weights, first + hit)
        return out


@dataclass
class Reading:
    """A field's distances as they are read in one pass: `inr_plugins.rendering.distance_render.DistanceShading`.

    Attributes:
        field: whose.
        distance: smoothed signed distance of each vertex, in cells.
        gradient: its differences, per cell.
    """

    field: VoxelDistanceField
    distance: Float[Tensor, " v"]
    gradient: Float[Tensor, "v 3"]
    _coefficients: Tensor | None = None

    def corners(
        self, flat_cell: Int[Tensor, " s"], fraction: Float[Tensor, "s 3"]
    ) -> tuple[Int[Tensor, "s 8"], Float[Tensor, "s 8"]]:
        """Table rows and weights of the eight vertices around points in cells of the band."""
        lattice = self.field.lattice
        rows = lattice.corner_rows.index_select(0, lattice.cell_row.index_select(0, flat_cell))
        return rows, trilinear_weights(fraction)

    def located(self, x: Float[Tensor, "s 3"]) -> tuple[Bool[Tensor, " s"], Int[Tensor, " s"], Float[Tensor, "s 3"]]:
        """Whether points lie in the band, and flat cell and fraction (of some cell, where they do not)."""
        cell, fraction = self.field.lattice.locate(x)
        return cell >= 0, self.field.flat_cells[cell.clamp(min=0)], fraction

    def distance_at(self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"]) -> Float[Tensor, " s"]:
        """Signed distance in cells."""
        return interpolate(self.distance[:, None], rows, weights)[:, 0]

    def normal_at(self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"]) -> Float[Tensor, "s 3"]:
        """Unit normals: interpolated gradients of the vertices."""
        return F.normalize(interpolate(self.gradient.detach(), rows, weights), dim=-1)

    def colour_at(
        self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"], directions: Float[Tensor, "s 3"]
    ) -> Float[Tensor, "s 3"]:
        """RGB in [0, 1] at interpolated points seen along unit directions."""
        field = self.field
        if field.training and torch.is_grad_enabled():
            distinct, place = distinct_rows(rows, len(self.distance))
            gradients = gather_distinct(self.gradient, distinct, sparse_grad=False)
            found = field.coefficients(gather_distinct(field.keys, distinct), gradients)
            coefficients = interpolate(found, place, weights)
        else:
            coefficients = interpolate(self.baked(), rows, weights)
        count = (field.degree + 1) ** 2
        basis = spherical_harmonics(directions)[:, None, :count]
        return torch.sigmoid((coefficients.view(-1, 3, NUM_COEFFICIENTS)[..., :count] * basis).sum(-1))

    def baked(self) -> Float[Tensor, "v 27"]:
        """SH coefficients of all vertices, evaluated once."""
        if self._coefficients is None:
            with torch.no_grad():
                pairs = zip(self.field.keys.split(_CHUNK), self.gradient.split(_CHUNK), strict=True)
                self._coefficients = torch.cat([self.field.coefficients(k, g) for k, g in pairs])
        return self._coefficients

    def at_level(self, level: float) -> Reading:
        """The distances to the surface where this one's have a value, in normalised units; colours stay."""
        return replace(self, distance=self.distance - level / self.field.lattice.edge)

    def second_differences(self) -> Float[Tensor, "v 3"]:
        """Along the axes, in cells."""
        return self.field.stencils.second_differences(self.distance)
