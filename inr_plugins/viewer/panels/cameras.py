"""The cameras of the dataset: look from one, and compare what is drawn with its photograph."""

from __future__ import annotations

from typing import Any

from inr_plugins.errors import InputError
from inr_plugins.viewer.comparison import SHOWN, Comparison, photograph
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.start_view import stand_before, view_from

_HOW = "*Compare* shows the photograph left of the split and what is drawn right of it, until the camera is moved."


class CamerasPanel(Panel):
    """For methods that learn from photographs; of others it is not there."""

    title = "Cameras"

    def install(self, live: LiveViewer, *, order: float) -> None:
        """Nothing, where there are no photographs."""
        manager = live.viewer.pipeline.datamanager
        found: dict[str, Any] = {
            "training": getattr(manager, "train_dataset", None),
            "evaluation": getattr(manager, "eval_dataset", None),
        }
        self._sets = {name: each for name, each in found.items() if _has_photographs(each)}
        if self._sets:
            super().install(live, order=order)

    def build(self) -> None:
        """Which camera, and what to do with it."""
        self._set = self.gui.add_dropdown(
            "Of", tuple(self._sets), hint="The cameras that are learnt from, or those held out."
        )
        self._number = self.gui.add_number(
            "Number", 0, min=0, max=self._count - 1, step=1, hint=f"0 to {self._count - 1}."
        )
        before, after = self.gui.add_button("Previous"), self.gui.add_button("Next")
        look = self.gui.add_button("Look from it", hint="Put the view where this camera stood.")
        compare = self.gui.add_button(
            "Compare", hint="What is drawn beside its photograph, through exactly this camera."
        )
        self._shown = self.gui.add_dropdown(
            "Show", SHOWN, hint="Split: left truth, right what is drawn. Error: four times."
        )
        self._split = self.gui.add_slider(
            "Split at", min=0.0, max=1.0, step=0.01, initial_value=0.5, hint="Part of the width."
        )
        self._says = self.gui.add_markdown(_HOW)
        self._set.on_update(self.safely(self._change_set))
        before.on_click(self.safely(lambda event: self._step(event, -1)))
        after.on_click(self.safely(lambda event: self._step(event, 1)))
        look.on_click(self.safely(lambda event: self._look(event, compared=False)))
        compare.on_click(self.safely(lambda event: self._look(event, compared=True)))
        for control in (self._shown, self._split):
            control.on_update(self.safely(self._change_look))

    @property
    def _dataset(self) -> Any:
        return self._sets[self._set.value]

    @property
    def _count(self) -> int:
        return len(self._dataset)

    def _change_set(self, _: Any) -> None:
        self._number.max = self._count - 1
        self._number.value = min(int(self._number.value), self._count - 1)

    def _step(self, event: Any, by: int) -> None:
        self._number.value = (int(self._number.value) + by) % self._count
        page = self._page(event)
        self._look(event, compared=page.view is not None)

    def _page(self, event: Any) -> Any:
        client = getattr(event, "client", None)
        pages = (
            []
            if client is None
            else [each for each in self.live.pages if each.page.client.client_id == client.client_id]
        )
        if not pages:
            raise InputError("The page that asked has gone.")
        return pages[0]

    def _look(self, event: Any, *, compared: bool) -> None:
        index, dataset = int(self._number.value), self._dataset
        if not 0 <= index < len(dataset):
            raise InputError(f"There are cameras 0 to {len(dataset) - 1}, and no {index}.")
        page, camera = self._page(event), dataset.cameras[index : index + 1]
        position, _ = view_from(camera.camera_to_worlds[0].detach().cpu().double().numpy())
        page.view = self._comparison(index, position) if compared else None
        stand_before(page.page.client, camera)
        page.redraw()
        self._says.content = f"**{self._name(index)}**" if not compared else self._says.content

    def _comparison(self, index: int, position: Any) -> Comparison:
        dataset = self._dataset
        truth, mask = photograph(dataset, index)
        camera = dataset.cameras[index : index + 1].to("cpu")
        size = (int(camera.height[0]), int(camera.width[0]))
        if tuple(truth.shape[:2]) != size:
            raise InputError(
                f"{self._name(index)} has {truth.shape[1]} x {truth.shape[0]} pixels, "
                f"and its camera {size[1]} x {size[0]}."
            )
        return Comparison(
            self._name(index), camera, truth, mask, position, self._tell, self._shown.value, float(self._split.value)
        )

    def _name(self, index: int) -> str:
        files = getattr(self._dataset, "image_filenames", None)
        return f"{self._set.value} {index}" + (f", {files[index].name}" if files is not None else "")

    def _tell(self, sentence: str) -> None:
        snapshot = self.live.snapshot_to_draw()
        self._says.content = sentence + ("" if snapshot is None else f", step {snapshot.step}")

    def _change_look(self, _: Any) -> None:
        for page in self.live.pages:
            if page.view is not None:
                page.view.shown, page.view.split = self._shown.value, float(self._split.value)
                page.show_again()


def _has_photographs(dataset: Any) -> bool:
    return dataset is not None and hasattr(dataset, "get_data") and len(dataset) > 0
