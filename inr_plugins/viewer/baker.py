"""The thread that bakes snapshots of methods whose rays are expensive, and what sharp frames save by that."""

from __future__ import annotations

import copy
import threading
import time
from typing import Any

import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.viewer.bake import BAKE_SECONDS, Baked, bake
from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.snapshot import Snapshot

_QUICK = "quick"
_MARGIN = 3.0
"""Cells of the baked lattice by which a sharp frame looks before and behind what the bake saw."""
_VISIBLE = 0.01


class Baker(threading.Thread):
    """Bakes the newest snapshot, then the next: pages draw the last one that is whole meanwhile."""

    def __init__(self, live: Any) -> None:
        """
        Args:
            live: the LiveViewer (inr_plugins.viewer.live) whose snapshots are baked.
        """
        super().__init__(name="viewer bake", daemon=True)
        self.live = live
        self.running = True
        self.whole: Snapshot | None = None
        """The newest snapshot that has a bake."""
        self._failed: Snapshot | None = None
        self._wake = threading.Event()

    def wake(self) -> None:
        """There is a new snapshot."""
        self._wake.set()

    def run(self) -> None:
        """Bake until the viewer ends."""
        settle_thread()
        while self.running:
            self._wake.clear()
            snapshot = self.live.snapshot
            if snapshot is None or snapshot in (self.whole, self._failed):
                self._wake.wait(0.1)
                continue
            begin = time.thread_time()
            try:
                made = bake(snapshot.model, seconds=BAKE_SECONDS, pause=self._pause)
            except _Ended:
                return
            except Exception as error:
                self._failed = snapshot
                self.live.fail(error)
                continue
            self.live.source.overhead = time.thread_time() - begin
            if made is None:
                # Nothing is there yet, or the field cannot be baked.
                self._failed = snapshot
                continue
            snapshot.baked[_QUICK] = made
            self.whole = snapshot
            self.live.wake_pages()

    def _pause(self, seconds: float) -> None:
        # The first one is waited for.
        kind = "sharp" if self.whole is None else "refresh"
        until = time.monotonic() + self.live.budget.spend(seconds, kind, took=seconds)
        while self.running and time.monotonic() < until:
            time.sleep(min(0.05, max(0.0, until - time.monotonic())))
        if not self.running:
            raise _Ended


class _Ended(Exception):
    pass


def quick(snapshot: Snapshot) -> Baked | None:
    """What a snapshot was baked into, if it was."""
    return snapshot.baked.get(_QUICK)


class Guided:
    """A model of which only those rays are asked that meet something in its bake, and only near to where they do."""

    def __init__(self, model: Any, baked: Baked) -> None:
        """
        Args:
            model: in eval mode. One with a method `narrow` is told by it that the ends of rays lie close around what
                they meet, so that it may place fewer samples between them.
            baked: made of it.
        """
        self.model, self.baked = copy.copy(model), baked
        if hasattr(self.model, "narrow"):
            self.model.narrow()
        self.scene_box, self.device = model.scene_box, model.device
        self._margin = _MARGIN * baked.grid.edge

    @torch.no_grad()
    def forward(self, ray_bundle: RayBundle) -> dict[str, Tensor]:
        """The model's outputs; those of its bake where that sees nothing."""
        rays = ray_bundle.flatten()
        outputs, first, last = self.baked.look(rays)
        asked = (last > first).nonzero()[:, 0]
        if len(asked) == 0:
            return outputs
        some = rays[asked]
        near, far = (first[asked] - self._margin).clamp(min=0), last[asked] + self._margin
        if some.nears is not None and some.fars is not None:
            near, far = torch.maximum(near, some.nears.reshape(-1)), torch.minimum(far, some.fars.reshape(-1))
        some.nears, some.fars = near[:, None], far[:, None]
        seen = self.model.forward(ray_bundle=some)
        return {
            name: outputs[name].index_copy(0, asked, value.reshape(len(asked), -1).to(outputs[name]))
            for name, value in seen.items()
            if isinstance(value, Tensor) and name in outputs
        }
