"""Fitting a correction of a signed distance to points of the surface, as one sparse least-squares problem.

    Σ_i (f(p_i) + r(p_i))² + s² Σ_i |∇(f + r)(p_i) - n_i|² + λ Σ_v (|D² r|² + (h / ℓ)⁴ r²)    least

The points lie on the surface and have its normals, and s is a length: by what points are believed to miss the surface,
for each unit that normals are wrong by. It follows from what f misses held-out points by, so that where places are
noisy normals count more. In between, second differences D² along the axes of the lattice keep r smooth, and the last
term lets it fade out over a length ℓ of some points. How smooth, λ, is what points that were held out are met best
with, so that noise is not taken for detail; where no λ meets them better than f alone does, there is no correction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import LinearOperator, cg
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.surface_detail import Distance, SurfaceDetail, window
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, trilinear_weights
from inr_plugins.shape_points import point_spacing

SMOOTHNESS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
"""λ, from soft to stiff, among which it is chosen."""
_HELD_OUT = 5
"""Of so many points one is held out to choose by."""
_EDGE = 0.8
"""Edge of a cell, in the spacing of the points."""
_FINEST = 1 / 256
"""Shortest edge, normalised units: half a step of inr-mesh where no other resolution is asked for."""
_FADES, _ENDS = 2.0, 4.0
"""ℓ, over which the correction fades out, and the farthest cell from a point, in the spacing of the points."""
_NORMAL, _MOST_NORMAL = 0.3, 2.0
"""Least and largest s, in the spacing of the points."""
_FLATTEST = 0.3
_LAYERS = 3.0
"""Least reach of the correction across the surface, in cells; and in the largest of what is to be corrected."""
_CHUNK = 1 << 14


@dataclass(frozen=True)
class FittedDetail:
    """What was found.

    Attributes:
        detail: the correction, None where points that were held out are met no better with one.
        smoothness: λ.
        missed: mean distance of held-out points from the surface without the correction, normalised units.
        left: and with it.
        spacing: of the points, normalised units.
    """

    detail: SurfaceDetail | None
    smoothness: float | None
    missed: float
    left: float
    spacing: float


def fit_detail(
    rough: Distance,
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    *,
    part: Distance | None = None,
    held_out: Bool[Tensor, " n"] | None = None,
) -> FittedDetail:
    """The correction with which a field meets points of a surface.

    Args:
        rough: the field's signed distance.
        points: different points of the surface, at least ten, normalised frame.
        normals: outward unit normals there.
        part: the field as it would be without the points that are held out; None: as `rough`, which does not know them.
        held_out: those points; None: every fifth.
    """
    base, slope = _value_and_slope(rough, points)
    spacing = point_spacing(points.double().cpu().numpy())
    edge = max(_FINEST, _EDGE * spacing)
    reach = _LAYERS * max(edge, float(base.abs().quantile(0.95)))
    band = _band(rough, points, edge=edge, reach=reach, ends=_ENDS * spacing)
    missed = float(base.abs().mean())
    if band is None:
        return FittedDetail(None, None, missed, missed, spacing)
    lattice, free = band
    fade = (edge / (_FADES * spacing)) ** 4

    left_out = np.arange(len(points)) % _HELD_OUT == 0 if held_out is None else held_out.cpu().numpy()
    without = (base, slope) if part is None else _value_and_slope(part, points)
    normal_weight = _normal_weight(*(each[left_out] for each in (*without, normals)), spacing=spacing)

    def pose(base: Tensor, slope: Tensor) -> _Problem:
        told = (lattice, free, reach, points, normals, base, slope)
        return _Problem(*told, normal_weight=normal_weight, fade=fade)

    whole = pose(base, slope)
    problem = whole if part is None else pose(*without)
    none = np.zeros(problem.unknowns)
    missed = float(problem.away(none)[left_out].mean())
    best, least, chosen = SMOOTHNESS[0], math.inf, none
    for smoothness in SMOOTHNESS:
        tried = problem.solve(smoothness, ~left_out, chosen)
        error = float(problem.errors(tried)[left_out].mean())
        if error >= least:
            break
        best, least, chosen = smoothness, error, tried
    if least >= float(problem.errors(none)[left_out].mean()):
        return FittedDetail(None, None, missed, missed, spacing)
    left = float(problem.away(chosen)[left_out].mean())
    values = whole.solve(best, np.ones(len(points), dtype=bool), chosen)
    table = torch.zeros(lattice.num_rows)
    table[torch.from_numpy(free)] = torch.from_numpy(values).float()
    detail = SurfaceDetail(lattice, table.to(points.device), reach)
    return FittedDetail(detail, best, missed, left, spacing)


def _normal_weight(values: Tensor, slopes: Tensor, normals: Tensor, *, spacing: float) -> float:
    """s: by what distance a field misses points that it does not know, for each unit that it misses normals by."""
    along = max(_FLATTEST, float((slopes * normals).sum(-1).mean()))
    turns = float((slopes - normals).square().sum(-1).mean().sqrt())
    found = float(values.square().mean().sqrt()) / (along * max(turns, 1e-6))
    return min(_MOST_NORMAL, max(_NORMAL, found / spacing)) * spacing


def _value_and_slope(rough: Distance, points: Tensor) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
    """f and its gradient."""
    values, slopes = [], []
    for part in points.split(_CHUNK):
        with torch.enable_grad():
            x = part.detach().requires_grad_()
            value = rough(x)
            (slope,) = torch.autograd.grad(value.sum(), x)
        values.append(value.detach())
        slopes.append(slope)
    return torch.cat(values), torch.cat(slopes)


def _band(
    rough: Distance, points: Tensor, *, edge: float, reach: float, ends: float
) -> tuple[SparseLattice, Bool[np.ndarray, " v"]] | None:
    """Cells around the points in which |f| < reach may be, and which of their vertices may differ from zero.

    None where there are none. Those on the border along the surface may not, so that the correction is continuous.
    """
    wide = 2 * edge
    low = points.amin(0) - ends - 2 * wide
    shape = ((points.amax(0) + ends + 2 * wide - low) / wide).ceil().long().tolist()
    index = ((points - low) / wide).long()
    near = torch.zeros(shape, dtype=torch.float32, device=points.device)
    near[tuple(index.T)] = 1
    # Along one axis after the other: a cube around each point, which holds the ball.
    layers = math.ceil(ends / wide) + 1
    for axis in range(3):
        kernel = [1, 1, 1]
        kernel[axis] = 2 * layers + 1
        near = F.max_pool3d(near[None, None], kernel, stride=1, padding=[k // 2 for k in kernel])[0, 0]
    coarse = SparseLattice(low, wide, near > 0)
    with torch.no_grad():
        values = torch.cat([rough(part) for part in coarse.vertices().split(_CHUNK)])
    # A distance changes by no more than the way; what is learnt may be a little steeper.
    may = values.abs()[coarse.corner_rows.long()].amin(-1) < reach + 1.2 * math.sqrt(3) * wide
    kept = torch.zeros(near.numel(), dtype=torch.bool, device=points.device)
    kept[coarse.occupied.reshape(-1).nonzero()[:, 0][may]] = True
    fine = kept.view(shape)
    for axis in range(3):
        fine = fine.repeat_interleave(2, axis)
    cells = fine.nonzero()
    if len(cells) == 0:
        return None
    middles = low + edge * (cells + 0.5)
    across = coarse.read(values[:, None], middles)[:, 0].abs() < reach + math.sqrt(3) * edge
    tree = cKDTree(points.double().cpu().numpy())
    away = tree.query(middles.double().cpu().numpy(), distance_upper_bound=ends, workers=-1)[0]
    chosen = cells[across & torch.from_numpy(np.isfinite(away)).to(across.device)]
    if len(chosen) == 0:
        return None
    occupied = torch.zeros_like(fine)
    occupied[tuple(chosen.T)] = True
    lattice = SparseLattice(low, edge, occupied)
    # A vertex of a cell that was left out as too far from all points is itself nearly as far.
    limit = ends - math.sqrt(3) * edge
    away = tree.query(lattice.vertices().double().cpu().numpy(), distance_upper_bound=limit, workers=-1)[0]
    free = np.isfinite(away)
    return (lattice, free) if free.any() else None


class _Problem:
    """The equations of a correction, whose unknowns are its values at the free vertices of a lattice."""

    def __init__(
        self,
        lattice: SparseLattice,
        free: Bool[np.ndarray, " v"],
        reach: float,
        points: Tensor,
        normals: Tensor,
        base: Tensor,
        slope: Tensor,
        *,
        normal_weight: float,
        fade: float,
    ) -> None:
        """`normal_weight` is s, and `fade` is (h / ℓ)⁴."""
        self.unknowns = int(free.sum())
        column = np.full(lattice.num_rows, -1)
        column[free] = np.arange(self.unknowns)
        self._wanted = -base.double().cpu().numpy()
        value, slopes = _interpolation(lattice, reach, points, base, slope)
        cell, _ = lattice.locate(points)
        rows = lattice.corner_rows[cell.clamp(min=0)].long().cpu().numpy()
        columns = np.where((cell >= 0).cpu().numpy()[:, None], column[rows], -1)
        self._value = _sparse(value, columns, self.unknowns)
        self._slopes = [_sparse(normal_weight * part, columns, self.unknowns) for part in slopes]
        self._turns = (normal_weight * (normals - slope)).double().cpu().numpy()
        self._bends = _bending(lattice, free) + fade * diags(np.ones(self.unknowns))

    def errors(self, values: Float[np.ndarray, " u"]) -> Float[np.ndarray, " n"]:
        """What each point counts in the sum, its root: by the distance alone a flat field, or one with folds all
        around the points, would be a good one."""
        turns = np.stack([part @ values for part in self._slopes], -1) - self._turns
        return np.sqrt((self._value @ values - self._wanted) ** 2 + (turns**2).sum(1))

    def away(self, values: Float[np.ndarray, " u"]) -> Float[np.ndarray, " n"]:
        """The distance at the points, which should be 0."""
        return np.abs(self._value @ values - self._wanted)

    def solve(
        self, smoothness: float, known: Bool[np.ndarray, " n"], start: Float[np.ndarray, " u"]
    ) -> Float[np.ndarray, " u"]:
        """The values with which the `known` points are met best, by conjugate gradients from `start`."""
        parts = [(self._value, self._wanted), *zip(self._slopes, self._turns.T, strict=True)]
        gram = smoothness * self._bends
        moment = np.zeros(self.unknowns)
        for matrix, wanted in parts:
            own = matrix[known]
            gram = gram + own.T @ own
            moment += own.T @ wanted[known]
        gram = gram.tocsr()
        scale = 1 / gram.diagonal()
        jacobi = LinearOperator(gram.shape, matvec=lambda v: scale * v, dtype=np.float64)
        return cg(gram, moment, x0=start, rtol=1e-3, maxiter=300, M=jacobi)[0]


def _interpolation(
    lattice: SparseLattice, reach: float, points: Tensor, base: Tensor, slope: Tensor
) -> tuple[np.ndarray, list[np.ndarray]]:
    """What w(f) r is at points, and its three derivatives, as weights (n, 8) of the corners of their cells."""
    _, fraction = lattice.locate(points)
    with torch.enable_grad():
        at = fraction.double().requires_grad_()
        weights = trilinear_weights(at)
        # Each corner's weight by itself: a point's derivatives are those of its own row.
        turned = [torch.autograd.grad(weights[:, k].sum(), at, retain_graph=True)[0] for k in range(8)]
        f = base.double().requires_grad_()
        faded = window(f, reach)
        (fading,) = torch.autograd.grad(faded.sum(), f)
    weights, faded = weights.detach(), faded.detach()
    along = torch.stack(turned, -1) / float(lattice.edge)
    slopes = faded[:, None, None] * along + (fading[:, None] * slope.double())[..., None] * weights[:, None]
    return (faded[:, None] * weights).cpu().numpy(), [slopes[:, axis].cpu().numpy() for axis in range(3)]


def _sparse(weights: np.ndarray, columns: np.ndarray, unknowns: int) -> csr_matrix:
    """Rows with an entry for each corner that is free."""
    row, corner = np.nonzero(columns >= 0)
    return csr_matrix((weights[row, corner], (row, columns[row, corner])), shape=(len(weights), unknowns))


def _bending(lattice: SparseLattice, free: Bool[np.ndarray, " v"]) -> csr_matrix:
    """Σ over the axes of DᵀD, D the second differences at vertices that have both neighbours, free or not."""
    counts = [n + 1 for n in lattice.shape]
    ids = lattice.vertex_ids.cpu().numpy()
    row_of = np.full(math.prod(counts), -1, dtype=np.int64)
    row_of[ids] = np.arange(len(ids))
    total = csr_matrix((int(free.sum()),) * 2)
    for axis, stride in enumerate((counts[1] * counts[2], counts[2], 1)):
        at = ids // stride % counts[axis]
        inner = (at > 0) & (at + 1 < counts[axis])
        here = np.nonzero(inner)[0]
        up, down = row_of[ids[here] + stride], row_of[ids[here] - stride]
        both = (up >= 0) & (down >= 0)
        here, up, down = here[both], up[both], down[both]
        rows = np.tile(np.arange(len(here)), 3)
        entries = np.repeat([-2.0, 1.0, 1.0], len(here))
        difference = csr_matrix((entries, (rows, np.concatenate([here, up, down]))), shape=(len(here), len(ids)))
        difference = difference[:, free]
        total = total + difference.T @ difference
    return total
