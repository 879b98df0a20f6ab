"""How often a page is shown something new while training goes on, and how much may be spent on it."""

from __future__ import annotations

import time

from inr_plugins.viewer.budget import Budget
from inr_plugins.viewer.source import FrameSource

_SOONEST, _LATEST = 0.5, 4.0
"""Seconds between snapshots while somebody looks."""
_LEAST_REFRESH, _MOST_REFRESH = 0.1, 1.0
"""Processor seconds for a refresh: it may be smaller than the sharp frame."""
_SHARP_RAYS = 512 * 288


class Pace:
    """Knows when the last snapshot was taken and whether it has been drawn; says when the next is due."""

    def __init__(self, budget: Budget, source: FrameSource) -> None:
        """
        Args:
            budget: the share of the processors that drawing has.
            source: knows what frames cost.
        """
        self._budget, self._source = budget, source
        self.taken_at = float("-inf")
        self.is_drawn = False
        """Whether a page has shown the last snapshot."""
        self._copy_seconds = 0.0

    def note_snapshot(self, seconds: float) -> None:
        """One has been taken just now, in so many processor seconds."""
        self.taken_at, self.is_drawn, self._copy_seconds = time.monotonic(), False, seconds

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next snapshot: early where frames are cheap, late where none has been drawn."""
        since = time.monotonic() - self.taken_at
        # A frame that is cheap even when it is sharp is drawn the more often.
        drawing = min(self.refresh_seconds, self._source.cost_of("refresh").of(_SHARP_RAYS))
        wait = max(_SOONEST, (self._fixed_seconds + drawing) / self._budget.still_share)
        return since > _LATEST or (self.is_drawn and since > wait)

    @property
    def _fixed_seconds(self) -> float:
        """Processor time of a snapshot, before anything is drawn of it."""
        return self._copy_seconds + self._source.overhead

    @property
    def refresh_seconds(self) -> float:
        """Processor time for a refresh, such that there is one every few seconds within the budget."""
        affordable = self._budget.still_share * _LATEST - self._fixed_seconds
        return min(max(affordable, _LEAST_REFRESH), _MOST_REFRESH)
