"""Choose in the viewer which of several shapes is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nerfstudio.viewer.viewer_elements import ViewerDropdown


class ShapeChoice(ViewerDropdown):
    """A dropdown of shapes by number and name, so that equal names stay apart.

    Held by a model as an attribute, where nerfstudio's viewer finds it in ns-train and ns-viewer; the viewer renders
    anew when a shape is chosen.
    """

    def __init__(self, names: Sequence[str], show: Callable[[int], Any], *, first: int = 0) -> None:
        """
        Args:
            names: of all shapes, in their order; at least one.
            show: called with the number of the one that was chosen.
            first: the one that is shown at first.
        """
        labels = [f"{number}: {name}" for number, name in enumerate(names)]
        super().__init__(
            "Shape",
            labels[first],
            labels,
            cb_hook=lambda element: show(labels.index(element.value)),
            hint="Which shape is rendered where the camera is not that of an image.",
        )
