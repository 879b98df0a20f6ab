"""How wide the frames of a page are: small while its camera moves, then, in few steps, as wide as the page wants."""

from __future__ import annotations

from typing import Any

_FRAMES_A_SECOND = 6.0
LEAST_WIDTH = 128
"""Of frames while the camera moves."""
_EXPENSIVE_WIDTH = 256
"""Of sharp frames whose rays are expensive: a wider one follows if it takes no more than so many processor seconds."""
_WIDER_WITHIN, _IDLE_WIDER_WITHIN = 10.0, 60.0
"""While something is trained, and where nothing is."""
_GROWTH = 2.5
"""How many times wider a frame is than the one before, until it is sharp."""
_NEARLY = 0.5
"""Part of the sharp frame's width: where the next one would be wider, the sharp one follows at once, shown in parts."""
_MOST_CROWDED = 10.0


class Widths:
    """Widths of one page's frames, pixels, from what frames have been seen to cost."""

    def __init__(self, live: Any, page: Any) -> None:
        """
        Args:
            live: the LiveViewer (inr_plugins.viewer.live) with the costs, the budget and the panel.
            page: nerfstudio's RenderStateMachine of the page.
        """
        self._live, self._page = live, page
        self._crowding = 1.0
        """Seconds that pass while a moving frame uses one of the processor: others want it too."""

    @property
    def aspect(self) -> float:
        """Width over height of what the page shows."""
        return float(self._page.client.camera.aspect) or 1.0

    @property
    def sharp(self) -> int:
        """Of a frame whose longer side is what the page's slider says, less where rays are too expensive for that."""
        live, longest, aspect = self._live, int(self._live.panel.max_res), self.aspect
        if live.source.is_expensive:
            within = _WIDER_WITHIN if live.is_learning else _IDLE_WIDER_WITHIN
            rays = round(longest**2 / max(aspect, 1 / aspect))
            if live.source.cost_of("sharp").of(rays) > within:
                longest = min(longest, _EXPENSIVE_WIDTH)
        return max(1, longest if aspect >= 1 else int(longest * aspect))

    @property
    def moving(self) -> int:
        """Of a frame while the camera moves, of which the budget allows some six a second."""
        width, cost = 0, self._live.source.cost_of("moving")
        if cost.is_known:
            width = self._within(self._live.budget.share("moving") / _FRAMES_A_SECOND / self._crowding)
        return min(self.sharp, max(LEAST_WIDTH, width))

    @property
    def refresh(self) -> int:
        """Of a frame that a newer snapshot is shown with."""
        return min(self.sharp, self._within(self._live.pace.refresh_seconds))

    def wider(self, width: int, *, sharpest: int) -> int:
        """Of the frame that follows on one of a camera that stands still.

        Args:
            width: of the last frame.
            sharpest: of the widest one of this view that was drawn as sharply as it gets; 0 if none was.
        """
        sharp, following = self.sharp, round(width * _GROWTH)
        if self._live.source.is_expensive:
            following = _EXPENSIVE_WIDTH if sharpest < _EXPENSIVE_WIDTH else sharp
        elif following > _NEARLY * sharp:
            following = sharp
        return max(1, min(sharp, following))

    def note_moving(self, seconds: float, *, used: float) -> None:
        """Take in how long a frame of a moving camera took, and how much of a processor it used."""
        if used > 0:
            self._crowding = min(_MOST_CROWDED, 0.7 * self._crowding + 0.3 * max(1.0, seconds / used))

    def _within(self, seconds: float) -> int:
        rays = self._live.source.cost_of("moving").rays_for(seconds)
        return max(LEAST_WIDTH // 2, int((rays * self.aspect) ** 0.5))
