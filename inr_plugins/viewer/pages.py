"""nerfstudio's table of the pages that are open, in which each is drawn by a PageRenderer."""

from __future__ import annotations

from typing import Any

from inr_plugins.viewer.drawing import PageRenderer


class _Nobody:
    running = False

    def action(self, action: Any) -> None:
        """Nothing: there is no page to draw for."""


class Pages(dict[int, Any]):
    """nerfstudio's table of a viewer's pages: each RenderStateMachine that it enters becomes a PageRenderer of ours."""

    def __init__(self, live: Any, pages: dict[int, Any]) -> None:
        super().__init__()
        self._live = live
        for number, page in pages.items():
            # Came while the viewer was being built, and waits for that.
            page.running = False
            self[number] = page
            self[number].start()

    def __missing__(self, number: int) -> Any:
        # A page that is connecting, or has just gone, which nerfstudio takes for one that is there.
        return _Nobody()

    def pop(self, number: int, *default: Any) -> Any:
        """The page, which has gone."""
        return super().pop(number, *(default or (None,)))

    def __setitem__(self, number: int, page: Any) -> None:
        for other in self.values():
            page.output_keys = other.page.output_keys
        super().__setitem__(number, PageRenderer(self._live, page))
