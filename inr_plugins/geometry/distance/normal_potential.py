"""Normals of points as the slopes of one function: what is left of them when all that turns in circles is taken away.

A closed surface's outward normals, each with the area that its point stands for, are minus the gradient of the
function that is 1 inside and 0 outside (Kazhdan et al. 2006). So a set of normals that is right is, a little blurred,
a field without curl, and one with a patch turned over is not: taking the part of it that is a gradient asks every
point what all others say of its normal. As in iterative Poisson reconstruction (Hou et al. 2022) and winding-number
normal consistency (Lin et al. 2024) that answer becomes the next normal; here it is the Helmholtz projection k kᵀ/|k|²
of a Fourier transform on a lattice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import scipy.fft
from jaxtyping import Float
from scipy.sparse import csr_matrix

from inr_plugins.shape_points import point_spacing

_FINEST = 128
"""Most cells along a side of the lattice: 0.1 s for a projection."""
_EDGE, _WIDEST = 0.5, 1.1
"""Edge of a cell, in spacings: what is wanted, and beyond which the lattice tells too little of the points."""
_MARGIN = 0.25
"""Of the points' extent, on each side: the transform is periodic."""
_MOST_AREA = 4.0
"""Of a point, in that of the one in the middle: strays would have all say."""
_FLIP_WIDTHS = (1.5, 1.0)
"""Widths, in spacings, with which signs are asked for: patches that are turned over are found by wide ones, and thin
parts are hurt by those."""
_MOST_ROUNDS, _HARDLY = 10, 1e-3
"""How often signs are asked for, unless fewer than this share of them are turned before."""
_CLOSE = 0.95
"""By what part of the best candidate's agreement another's must reach to be mended too."""
_JUDGE_WIDTH, _WIDTH, _ROUNDS = 0.5, 0.3, 4
"""Widths, in spacings, with which sets of normals are compared and directions are found, and how often the latter."""
_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])


class NormalPotential:
    """The part of a field of normals that is a gradient, at the points that have them.

    Attributes:
        spacing: of the points, their unit.
        is_fine: whether the lattice's cells are narrow enough for what it says to be worth anything.
    """

    def __init__(self, points: Float[np.ndarray, "n 3"], around: Float[np.ndarray, " n"]) -> None:
        """
        Args:
            points: different points of a surface, at least seven.
            around: the distance of each from one of its neighbours, the same one in order of distance, whose square
                tells what area it stands for.
        """
        self.spacing = point_spacing(points)
        low, extent = points.min(0), float(np.ptp(points, axis=0).max())
        side = (1 + 2 * _MARGIN) * extent
        wanted = min(_FINEST, max(2, int(np.ceil(side / (_EDGE * self.spacing)))))
        self._count = int(scipy.fft.next_fast_len(wanted, real=True))
        self._edge = side / self._count
        self.is_fine = self._edge <= _WIDEST * self.spacing
        area = around**2
        self._area = np.minimum(area / max(float(np.median(area)), np.finfo(float).tiny), _MOST_AREA).astype(np.float32)
        self._places = (points - low) / self._edge + _MARGIN * extent / self._edge

    def gradient_part(self, normals: Float[np.ndarray, "n 3"], width: float) -> Float[np.ndarray, "n 3"]:
        """What of the normals, blurred, is a gradient, at the points; of no particular length.

        Args:
            normals: unit vectors.
            width: standard deviation of the blur, in spacings; that of the lattice comes on top.
        """
        shape = (self._count,) * 3
        waves = self._waves
        total = np.zeros((*shape[:2], self._count // 2 + 1), dtype=np.complex64)
        for axis in range(3):
            spread = self._spread @ (normals[:, axis].astype(np.float32) * self._area)
            total += waves[axis] * scipy.fft.rfftn(spread.reshape(shape), workers=-1)
        squares = waves[0] ** 2 + waves[1] ** 2 + waves[2] ** 2
        squares[0, 0, 0] = 1.0
        total *= np.exp(-((width * self.spacing / self._edge) ** 2) * squares) / squares
        parts = [scipy.fft.irfftn(wave * total, s=shape, workers=-1, overwrite_x=True).reshape(-1) for wave in waves]
        return np.stack([self._reading @ part for part in parts], axis=1).astype(np.float64)

    def agreement(self, normals: Float[np.ndarray, "n 3"]) -> float:
        """How much of the normals is a gradient: the mean of their products with it, by area.

        The same for normals that are all turned over; larger is better among sets of one cloud with the same
        directions.
        """
        parts = self.gradient_part(normals, _JUDGE_WIDTH)
        return float((self._area * (normals * parts).sum(1)).mean())

    def best_signs(self, candidates: Sequence[Float[np.ndarray, "n 3"]]) -> Float[np.ndarray, "n 3"]:
        """The set of normals of which most is a gradient, among the candidates and what the best of them become when
        each normal is turned to the gradient part again and again, for blurs of several widths."""
        agreements = [self.agreement(each) for each in candidates]
        most = max(agreements)
        best = candidates[agreements.index(most)]
        bound = _CLOSE * most
        for candidate, agreement in zip(candidates, agreements, strict=True):
            for width in _FLIP_WIDTHS if agreement >= bound else ():
                turned = self._turned(candidate, width)
                agreement = self.agreement(turned)
                if agreement > most:
                    best, most = turned, agreement
        return best

    def settled(self, normals: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Unit normals in the direction of the gradient part, again and again: less noisy than estimates of planes."""
        for _ in range(_ROUNDS):
            parts = self.gradient_part(normals, _WIDTH)
            length = np.linalg.norm(parts, axis=1, keepdims=True)
            normals = np.where(length > 0, parts / np.where(length > 0, length, 1.0), normals)
        return normals

    def _turned(self, normals: Float[np.ndarray, "n 3"], width: float) -> Float[np.ndarray, "n 3"]:
        for _ in range(_MOST_ROUNDS):
            against = (normals * self.gradient_part(normals, width)).sum(1) < 0
            normals = np.where(against[:, None], -normals, normals)
            if against.mean() < _HARDLY:
                break
        return normals

    @cached_property
    def _reading(self) -> csr_matrix:
        """(n, cells) from values of the lattice to those at the points, between eight of them each."""
        low = np.floor(self._places).astype(np.int64)
        part = (self._places - low)[:, None]
        weights = np.where(_CORNERS, part, 1 - part).prod(-1).astype(np.float32)
        at = (low[:, None] + _CORNERS) % self._count @ np.array([self._count**2, self._count, 1])
        starts = np.arange(0, at.size + 1, 8)
        return csr_matrix((weights.reshape(-1), at.reshape(-1), starts), shape=(len(at), self._count**3))

    @cached_property
    def _spread(self) -> csr_matrix:
        return self._reading.T.tocsr()

    @cached_property
    def _waves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Wave numbers along the axes, in radians a cell, each to be broadcast against the others."""
        whole = (2 * np.pi * np.fft.fftfreq(self._count)).astype(np.float32)
        half = (2 * np.pi * np.fft.rfftfreq(self._count)).astype(np.float32)
        return whole[:, None, None], whole[None, :, None], half[None, None, :]
