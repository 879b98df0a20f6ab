"""The lines at the top of the page: step, time, quality and speed, of now."""

from __future__ import annotations

import time
from collections import deque

_WINDOW = 10.0
"""Seconds over which steps a second are counted."""


class Status:
    """What the page says about the training."""

    def __init__(self) -> None:
        self.step = 0
        self.last_step: int | None = None
        self.psnr: float | None = None
        self.resolution = "0x0px"
        self._begun: float | None = None
        self._recent: deque[tuple[float, int]] = deque()
        self.is_training = False

    def note_step(self, step: int, *, at: float | None = None) -> None:
        """Training has done `step`."""
        now = time.monotonic() if at is None else at
        self.step = step
        self._begun = now if self._begun is None else self._begun
        self._recent.append((now, step))
        while len(self._recent) > 2 and now - self._recent[0][0] > _WINDOW:
            self._recent.popleft()

    @property
    def steps_a_second(self) -> float | None:
        """Of the last seconds; None before two steps."""
        if len(self._recent) < 2:
            return None
        (begin, first), (end, last) = self._recent[0], self._recent[-1]
        return (last - first) / (end - begin) if end > begin else None

    def text(self) -> str:
        """Markdown, two blanks at the end of a line for a break. The first and the last line are as nerfstudio's."""
        lines = [f"Step: {self.step}"]
        if self.is_training and self._begun is not None and self._recent:
            seconds = round(self._recent[-1][0] - self._begun)
            line = f"Time: {seconds // 60}:{seconds % 60:02d}"
            speed = self.steps_a_second
            if speed is not None:
                line += f", {speed:.3g} steps/s"
            if self.last_step is not None and speed:
                line += f", {_rough_time((self.last_step - self.step) / speed)} to go"
            lines.append(line)
        if self.psnr is not None:
            lines.append(f"PSNR of the last batch: {self.psnr:.1f} dB")
        return "  \n".join([*lines, f"Resolution: {self.resolution}"])


def _rough_time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
