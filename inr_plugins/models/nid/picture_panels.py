"""The page of dictionaries of pictures: which picture is drawn, and with which code."""

from __future__ import annotations

from typing import Any

from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.nid.panels import PictureCodePanel
from inr_plugins.models.signals.panels import PICTURE, ImagePanel
from inr_plugins.viewer.page import LivePage


def picture_pages(model: Any) -> LivePage:
    """The page of a model of the pictures of a folder."""
    return LivePage(
        panels=lambda: [
            ImagePanel(frames=model.grid.frames, frame=PICTURE, parts=model.parts, stored=model.stored_name),
            PictureCodePanel(),
            *network_panels(model),
        ],
        has_surface=False,
        read_out=model.files_to_read_out(),
    )
