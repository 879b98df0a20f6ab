"""The page of dictionaries of pictures: which picture is drawn, and with which code."""

from __future__ import annotations

from typing import Any

from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.nid.panels import PictureCodePanel
from inr_plugins.models.signals.panels import PICTURE, ImagePanel, PartsPanel
from inr_plugins.viewer.page import LivePage

_HINT = (
    "What is drawn as the fit: what the code makes; the file's own pixels, with the fit where they are missing; or "
    "where that is, in white."
)


def picture_pages(model: Any) -> LivePage:
    """The page of a model of the pictures of a folder."""
    return LivePage(
        panels=lambda: [
            _image_panel(model),
            PictureCodePanel(),
            *network_panels(model),
        ],
        has_surface=False,
        read_out=model.files_to_read_out(),
    )


def _image_panel(model: Any) -> ImagePanel:
    if not model.parts:
        return ImagePanel(frames=model.grid.frames, frame=PICTURE)
    return PartsPanel(hint=_HINT, frames=model.grid.frames, frame=PICTURE)
