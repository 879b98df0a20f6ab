"""Whether the normals of a cloud are those of its surface, and what to make of them where they are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.distance.cloud_normals import (
    contradictions,
    least_variance,
    neighbourhoods,
    oriented_outward,
    with_outward_signs,
)

# In sound clouds of bodies whose parts touch, up to four pairs in a thousand look at each other across a gap. Fewer
# than this are not looked into.
_FEW = 5e-4
# Turning signs is a cure where it leaves less than this part of the contradictions.
_CURED = 0.5
_MANY = 0.05
# Random directions have a median cosine of a half with the surface's own; half of the places must be flat to tell.
_LEAST_COSINE, _LEAST_FLAT = 0.7, 0.5


@dataclass(frozen=True)
class SettledNormals:
    """Outward normals of a cloud and how they came about.

    Attributes:
        normals: unit normals that look outward.
        notes: what was wrong with those given and what was done, each a few words.
    """

    normals: Float[np.ndarray, "n 3"]
    notes: tuple[str, ...]


def settled_normals(
    points: Float[np.ndarray, "n 3"], given: Float[np.ndarray, "n 3"], neighbours: int = 12
) -> SettledNormals:
    """The given normals where they are those of the surface and agree; else with other signs, or estimated.

    Three things are told apart. Normals that do not stand across the surface, where the points lie flat enough to say,
    are replaced by estimated ones. Normals that stand across it but look to this side here and to the other there get
    new signs, if that leaves less than half of the contradictions. All others are kept, turned as a whole if they look
    inward.

    Args:
        points: of the surface, all different, at least 10.
        given: unit normals.
        neighbours: number of neighbours that are looked at.
    """
    near = neighbourhoods(points, neighbours)
    estimated, flat = least_variance(points, near)
    cosine = np.abs(np.einsum("ni,ni->n", given, estimated))
    if flat.mean() > _LEAST_FLAT and np.median(cosine[flat]) < _LEAST_COSINE:
        normals = with_outward_signs(points, estimated, near)
        return SettledNormals(normals, ("the file's normals do not stand across the surface, estimated instead",))
    normals, inward = oriented_outward(points, given)
    kept = SettledNormals(normals, ("normals looked inward, turned",) if inward else ())
    before = contradictions(points, normals, near)
    if before < _FEW:
        return kept
    around = with_outward_signs(points, estimated, near)
    # Around an edge, the estimated normals turn little by little, and hold better together than exact ones do.
    found = given * np.where(np.einsum("ni,ni->n", given, around) < 0, -1.0, 1.0)[:, None]
    after = contradictions(points, found, near)
    words = f"{min(_turned(found, given), 1 - _turned(found, given)):.1%} of them turned"
    if after > _MANY:
        found, words, after = around, "estimated instead", contradictions(points, around, near)
    share = f"{before:.1%} of the file's neighbouring normals look opposite ways"
    if after <= _CURED * before:
        return SettledNormals(found, (f"{share}, {words}",))
    # Few are left alone: parts that touch look at each other so.
    doubt = (f"{share}, and estimated ones do no better",) if before > _MANY else ()
    return SettledNormals(normals, (*kept.notes, *doubt))


def _turned(found: Float[np.ndarray, "n 3"], given: Float[np.ndarray, "n 3"]) -> float:
    return float((np.einsum("ni,ni->n", found, given) < 0).mean())
