"""The panel of volumes: as that of all images, with planes in three directions, each at its own place, and a body."""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor

from inr_plugins.models.inverse.planes import AXES, COLUMN, ROW, SLICE, BodyView, Plane, PlaneView
from inr_plugins.models.signals.panels import ImagePanel
from inr_plugins.rendering.voxel_volume import RayKind

ALL, WHOLE = "all three", "volume"
_RAYS: tuple[RayKind, ...] = get_args(RayKind)


class VolumePanel(ImagePanel):
    """Draws one plane of a volume, at the place that a slider of its axis says, three beside each other, or all of it.

    Three, and all of it, are judged by a slice.
    """

    def __init__(
        self,
        *,
        planes: tuple[Plane, Plane, Plane],
        sides: tuple[int, int, int],
        voxel_mm: tuple[float, float, float],
        is_patient: bool,
        **settings: Any,
    ) -> None:
        """
        Args:
            planes: of the volume.
            sides: columns, rows and slices.
            voxel_mm: distances along those.
            is_patient: whether it is known how a patient lies in them.
            settings: see ImagePanel.
        """
        super().__init__(**settings)
        self.planes, self.sides, self.voxel_mm, self.is_patient = planes, sides, voxel_mm, is_patient
        self.own = next(each for each in planes if each.fixed == SLICE)

    def build(self) -> None:
        """See Panel."""
        names = tuple(each.name for each in self.planes)
        self._plane = self.gui.add_dropdown(
            "Plane",
            (*names, ALL, WHOLE),
            initial_value=self.own.name,
            hint="Which way the volume is cut, or all of it.",
        )
        self._rays = self.gui.add_dropdown(
            "Rays", _RAYS, hint="A fog that is the denser the whiter the volume is, or the whitest on each ray."
        )
        self._opacity = self.gui.add_slider(
            "Opacity", *(1, 100, 1, 20), hint="Of the fog: how much of the light is lost on the way."
        )
        for each in (self._rays, self._opacity):
            each.on_update(self.safely(lambda _: self._turn()))
        self._places: dict[int, Any] = {}
        for axis in (ROW, COLUMN):
            name, last = AXES[axis], self.sides[axis] - 1
            self._places[axis] = self.gui.add_slider(
                name.capitalize(), 0, max(last, 1), 1, self.sides[axis] // 2, hint=f"Which {name} is drawn, from 0."
            )
            self._places[axis].on_update(self.safely(lambda _: self._go()))
        super().build()
        self._places[SLICE] = self._frame
        self._edges = self.gui.add_markdown("")
        self._plane.on_update(self.safely(lambda _: self._turn()))
        self._show_sliders()

    @property
    def _chosen(self) -> tuple[Plane, ...]:
        if self._plane.value in (ALL, WHOLE):
            return self.planes
        return tuple(each for each in self.planes if each.name == self._plane.value)

    def _turn(self) -> None:
        self._show_sliders()
        self._go()

    def _show_sliders(self) -> None:
        chosen, whole = self._chosen, self._plane.value == WHOLE
        for axis, slider in self._places.items():
            slider.visible = axis == SLICE if whole else any(each.fixed == axis for each in chosen)
        self._rays.visible, self._opacity.visible = whole, whole and self._rays.value == "density"
        if whole:
            self._edges.content = "At first seen from the front, the left side at the right." if self.is_patient else ""
            return
        told = [
            f"{each.name}: {each.edges[0]} to {each.edges[1]}, {each.edges[2]} above" for each in chosen if each.edges
        ]
        self._edges.content = "; ".join(told) + ("." if told else "")

    def _at(self) -> tuple[int, int, int]:
        column, row, slice_ = (
            min(int(self._places[axis].value), self.sides[axis] - 1) for axis in (COLUMN, ROW, SLICE)
        )
        return column, row, slice_

    def _edit(self, model: Any) -> None:
        super()._edit(model)
        if self._plane.value == WHOLE:
            model.view = BodyView(self._rays.value, float(self._opacity.value))
            return
        column_mm, row_mm, _ = self.voxel_mm
        if self._chosen != (self.own,) or self.own.across != COLUMN or column_mm != row_mm:
            model.view = PlaneView(self._chosen, self._at(), self.sides, self.voxel_mm)

    # -- how near the fit is -------------------------------------------------------------------------------------------

    @property
    def _judged_axis(self) -> int:
        """That of the plane that is judged: of three the slice."""
        return SLICE if len(self._chosen) > 1 else self._chosen[0].fixed

    def _judged(self, model: Any) -> tuple[int, Tensor]:
        """See ImagePanel."""
        axis = self._judged_axis
        if axis == SLICE:
            return super()._judged(model)
        place = self._at()[axis]
        ranges = [torch.arange(side, device=model.device) for side in self.sides]
        ranges[axis] = torch.tensor([place], device=model.device)
        indices = torch.cartesian_prod(*ranges)
        places = model.grid.numbers(indices)
        count = min(len(places), self.most_judged)
        return place, places[torch.arange(count, device=model.device) * len(places) // count]

    def _size(self, model: Any) -> int:
        """See ImagePanel."""
        sides = [side for axis, side in enumerate(self.sides) if axis != self._judged_axis]
        return sides[0] * sides[1]

    def _where(self, place: int) -> str:
        """See ImagePanel."""
        return f" of {AXES[self._judged_axis]} {place}"
