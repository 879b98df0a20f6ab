"""Which places count where only what cameras see is measured: a part of space that the truth and the cameras decide.

A place counts if a camera sees it past the true surface, or if the nearest point of the truth is one that a camera
sees. So a point of the truth counts if it is seen. Of a prediction count what covers a seen part, before or behind it,
and whatever stands where the pictures show that nothing is; how it closes a side that no camera sees does not. The
prediction has no say in what counts: by leaving out a part it loses what lies there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# Whether a camera sees each of the points (n, 3), past the truth: bools (n,).
Sees = Callable[[np.ndarray], np.ndarray]

COUNTED_PLACES = (
    "a place counts if a training camera sees it, in its picture and with no face of the truth in between, or if the "
    "nearest of the truth's points is one that a camera sees; points of both surfaces, of the floor's second sampling "
    "and of the volume's grid count by this rule. Distances are those to all of the other surface."
)


@dataclass(frozen=True)
class SeenPart:
    """The places that count.

    Attributes:
        points: of the truth.
        seen: which of them a camera sees.
        sees: tells of any point.
    """

    points: Float[np.ndarray, "n 3"]
    seen: Bool[np.ndarray, " n"]
    sees: Sees

    @classmethod
    def of(cls, points: Float[np.ndarray, "n 3"], sees: Sees) -> SeenPart:
        """The part of space that points of the truth and their being seen decide.

        Raises:
            ValueError: no point is seen.
        """
        seen = sees(points)
        if not seen.any():
            raise ValueError("no camera sees any of the truth; check that both are in one frame.")
        return cls(points, seen, sees)

    @property
    def unseen_share(self) -> float:
        """Share of the truth's area that no camera sees."""
        return 1 - float(self.seen.mean())

    def counts(self, places: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether places count."""
        from scipy.spatial import cKDTree

        return self.counts_beside(cKDTree(self.points).query(places)[1], places)

    def counts_beside(self, nearest: np.ndarray, places: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """As `counts`, where the numbers (n,) of the nearest points of the truth are known."""
        counted = self.seen[nearest]
        (rest,) = np.nonzero(~counted)
        if len(rest):
            counted[rest] = self.sees(places[rest])
        return counted
