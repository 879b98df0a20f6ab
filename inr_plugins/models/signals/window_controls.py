"""Window and level: which numbers, in their unit, a page draws black and white."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HOUNSFIELD = "HU"
_ALL = "all"
_PRESETS = {"soft tissue": (40.0, 400.0), "lung": (-600.0, 1500.0), "bone": (400.0, 1800.0), "brain": (40.0, 80.0)}
"""Level and window in Hounsfield units, as scanners have them."""
_STEPS = 200


class WindowControls:
    """Sliders of the middle of what is grey (level) and its width (window), for each part that has a scale."""

    def __init__(
        self,
        gui: Any,
        scales: tuple[tuple[str, tuple[float, float]], ...],
        *,
        on_change: Callable[[Any], None],
    ) -> None:
        """
        Args:
            gui: of the page.
            scales: of each part, its unit and what black and white are in that at first.
            on_change: called when a page has moved one.
        """
        self._scales, self._on_change = scales, on_change
        self._pairs = [self._pair(gui, *each) for each in scales]
        self._preset: Any = None
        if scales[0][0] == HOUNSFIELD:
            self._preset = gui.add_dropdown("Tissue", (_ALL, *_PRESETS), hint="Level and window that are usual for it.")
            self._preset.on_update(self._choose)
        self.show(0)

    def _pair(self, gui: Any, unit: str, span: tuple[float, float]) -> tuple[Any, Any]:
        low, high = span
        step, of = float(f"{(high - low) / _STEPS:.2g}"), "" if unit == "1" else f", {unit}"
        level = gui.add_slider(
            f"Level{of}", *(low, high, step, (low + high) / 2), hint="What is drawn half-way between black and white."
        )
        window = gui.add_slider(
            f"Window{of}", *(step, high - low, step, high - low), hint="From what is black to what is white."
        )
        for each in (level, window):
            each.on_update(self._on_change)
        return level, window

    def _choose(self, event: Any) -> None:
        (low, high), (level, window) = self._scales[0][1], self._pairs[0]
        chosen = str(self._preset.value)
        middle, width = _PRESETS.get(chosen, ((low + high) / 2, high - low))
        level.value, window.value = min(max(middle, low), high), min(width, high - low)
        self._on_change(event)

    def show(self, part: int) -> None:
        """Have the sliders of that part alone on the page."""
        for number, pair in enumerate(self._pairs):
            for each in pair:
                each.visible = number == part

    def ends(self, part: int) -> tuple[float, float]:
        """What is black and what is white, in the part's unit."""
        level, window = (float(each.value) for each in self._pairs[part])
        low, high = self._scales[part][1]
        if self._is_whole(part):
            return low, high
        return level - window / 2, level + window / 2

    def shares(self, part: int) -> tuple[float, float]:
        """The same as values, of which 0 and 1 are the ends of the scale."""
        (black, white), (low, high) = self.ends(part), self._scales[part][1]
        return (black - low) / (high - low), (white - low) / (high - low)

    def _is_whole(self, part: int) -> bool:
        """Whether it is as at first, but for what a page rounds."""
        (level, window), (low, high) = self._pairs[part], self._scales[part][1]
        off = max(abs(level.value - (low + high) / 2), abs(window.value - (high - low)))
        return bool(off < (high - low) / (4 * _STEPS))
