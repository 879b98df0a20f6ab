"""The thread that makes snapshots ready to be drawn, by a bake where rays are expensive, and what a bake saves."""

from __future__ import annotations

import copy
import threading
import time
from typing import Any

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.rendering.crop import crop_of, narrowed
from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.viewer.bake import BAKE_SECONDS, Baked, bake, values_of
from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.snapshot import Snapshot

_QUICK = "quick"
_JUDGED_OFTEN = 12
_LATEST = 4.5
"""Seconds after which a snapshot is prepared, whatever is owed to training."""
_OPAQUE = 0.95
"""Accumulation from which on a bake is taken to hide what is behind it."""
_POINTS_AT_ONCE = 4096
_MARGIN = 3.0
"""Cells of the baked lattice by which a sharp frame looks before and behind what the bake saw."""
_DEEPEST, _BEHIND = 6.0, 0.05
"""Cells: where the bake's depth lies no deeper than the first behind the first thing that it saw, the surface is
thought to be met before the second behind that depth. Head on, it lies 0.4 cells too far."""


class Preparer(threading.Thread):
    """Makes the newest snapshot ready to be drawn, then the next: pages draw the last one that is whole meanwhile.

    Has the model make what it makes once, such as diner's table of colours; finds out what rays cost; and bakes where
    they are expensive.
    """

    def __init__(self, live: Any) -> None:
        """
        Args:
            live: the LiveViewer (inr_plugins.viewer.live) whose snapshots are prepared.
        """
        super().__init__(name="viewer snapshots", daemon=True)
        self.live = live
        self.running = True
        self.whole: Snapshot | None = None
        """The newest snapshot that can be drawn."""
        self._failed: Snapshot | None = None
        self._begun_at = float("-inf")
        self._count, self._judging = 0, 0.0
        self._wake = threading.Event()

    def wake(self) -> None:
        """There is a new snapshot."""
        self._wake.set()

    def run(self) -> None:
        """Prepare until the viewer ends."""
        settle_thread()
        while self.running:
            self._wake.clear()
            snapshot = self.live.snapshot
            if snapshot is None or snapshot in (self.whole, self._failed) or not self._may_begin():
                self._wake.wait(0.05)
                continue
            self._begun_at, begin = time.monotonic(), self.live.source.clock()
            try:
                made = self._prepare(snapshot)
            except _Ended:
                return
            except Exception as error:
                self._failed = snapshot
                self.live.fail(error)
                continue
            # What is only done now and then does not count.
            self.live.source.overhead = self.live.source.clock() - begin - self._judging
            if not made:
                # Nothing is there yet, or the field cannot be baked.
                self._failed = snapshot
                continue
            self.whole = snapshot
            self.live.wake_pages()

    def _may_begin(self) -> bool:
        if not self.live.is_ready or not self.live.pages:
            return False
        # The first one is waited for.
        is_late = time.monotonic() - self._begun_at > _LATEST
        return self.whole is None or is_late or self.live.budget.owed <= 0

    def _prepare(self, snapshot: Snapshot) -> bool:
        """Whether it can be drawn by now."""
        source, clock = self.live.source, self.live.source.clock()
        source.warm(snapshot)
        # What rays cost changes while a model learns, less and less often: a young distance is traced for long.
        is_due = self._count & (self._count - 1) == 0 or (source.may_become_cheap and self._count < _JUDGED_OFTEN)
        self._judging = 0.0
        if is_due or source.became_expensive:
            begin = source.clock()
            source.judge(snapshot)
            self._judging = source.clock() - begin
        self._count += 1
        self._pause(source.clock() - clock)
        if not source.is_expensive:
            return True
        seconds = BAKE_SECONDS if self.whole is None else min(BAKE_SECONDS, self.live.pace.refresh_seconds)
        made = bake(snapshot.model, seconds=seconds, pause=self._pause)
        if made is None:
            return False
        snapshot.baked[_QUICK] = made
        return True

    def _pause(self, seconds: float) -> None:
        self.live.budget.spend(seconds, "sharp" if self.whole is None else "refresh", took=seconds)
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
        near = torch.where(last > first, (first - self._margin).clamp(min=0), torch.inf)
        far = torch.where(last > first, last + self._margin, 0.0)
        cut = self._cut_open(rays)
        near, far = near.masked_fill(cut, 0), far.masked_fill(cut, torch.inf)
        if self.baked.has_scenery and rays.nears is None:
            # It is around the box, which is all that was baked.
            is_open = outputs["accumulation"][:, 0] < _OPAQUE
            near, far = near.masked_fill(is_open, 0), far.masked_fill(is_open, torch.inf)
        some = narrowed(rays, near, far, guess=self._guess(outputs, first))
        assert some.nears is not None
        assert some.fars is not None
        asked = (some.fars > some.nears).nonzero()[:, 0]
        if len(asked) == 0:
            return outputs
        seen = self.model.forward(ray_bundle=some[asked])
        return {
            name: outputs[name].index_copy(0, asked, value.reshape(len(asked), -1).to(outputs[name]))
            for name, value in seen.items()
            if isinstance(value, Tensor) and name in outputs
        }

    def _guess(self, outputs: dict[str, Tensor], first: Float[Tensor, " r"]) -> Float[Tensor, " r"] | None:
        """Where rays are just behind the surface, for those who look for one; infinite where the bake is not sure."""
        values = values_of(getattr(self.model, "field", None))
        if values is None or not values.is_surface:
            return None
        depth, edge = outputs["depth"][:, 0], self.baked.grid.edge
        is_sure = (outputs["accumulation"][:, 0] > _OPAQUE) & (depth - first < _DEEPEST * edge)
        return torch.where(is_sure, depth + _BEHIND * edge, torch.inf)

    def _cut_open(self, rays: RayBundle) -> Bool[Tensor, " r"]:
        """Rays whose crop begins in a solid, of which a bake has the surface only."""
        crop, values = crop_of(rays), values_of(getattr(self.model, "field", None))
        found = torch.zeros(len(rays), dtype=torch.bool, device=rays.origins.device)
        if crop is None or values is None or not values.is_surface:
            return found
        enter, leave = box_interval(rays.origins, rays.directions, self.baked.grid.box)
        begin, end = torch.maximum(crop[0], enter), torch.minimum(crop[1], leave)
        within = (end > begin).nonzero()[:, 0]
        for part in within.split(_POINTS_AT_ONCE):
            at = rays.origins[part] + rays.directions[part] * begin[part, None]
            found[part] = values.at(at) < 0
        return found
