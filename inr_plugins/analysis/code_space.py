"""Principal components of a dictionary's codes: how many directions its signals take up, and which are alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

MOST = 8
"""Components that are written down."""


@dataclass(frozen=True, eq=False)
class CodeSpace:
    """Where codes lie.

    Attributes:
        places: of each code along the principal directions, the longest first, in the codes' unit.
        shares: of the variance along each direction; of all of them 1 in sum, or 0 where all codes are the same.
        effective: how many directions of equal variance would be as many: exp of the entropy of the shares.
    """

    places: Float[np.ndarray, "codes k"]
    shares: Float[np.ndarray, " r"]
    effective: float


def code_space(codes: Float[np.ndarray, "codes n"]) -> CodeSpace:
    """Principal components of codes about their mean.

    The sign of a direction is that with which its largest place is positive.

    Args:
        codes: a row for each signal, at least two.

    Raises:
        ValueError: fewer than two codes.
    """
    if len(codes) < 2:
        raise ValueError(f"principal components need two codes, got {len(codes)}")
    centred = codes.astype(np.float64) - codes.mean(axis=0, dtype=np.float64)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    left, lengths = left[:, : len(codes) - 1], lengths[: len(codes) - 1]
    places = left * lengths
    largest = np.abs(places).argmax(axis=0)
    places = places * np.where(places[largest, np.arange(places.shape[1])] < 0, -1.0, 1.0)
    total = float((lengths**2).sum())
    shares = lengths**2 / total if total > 0 else np.zeros_like(lengths)
    known = shares[shares > 0]
    effective = float(np.exp(-(known * np.log(known)).sum())) if len(known) else 0.0
    return CodeSpace(places[:, :MOST], shares, effective)
