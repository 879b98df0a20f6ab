"""The page of dictionaries of pictures: which picture is drawn, and with which code."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from inr_plugins.fields.expert_tiles import expert_tiles, strongest_experts
from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.nid.panels import CodePanel, describe
from inr_plugins.models.signals.panels import PICTURE, ImagePanel, PartsPanel
from inr_plugins.viewer import charts
from inr_plugins.viewer.page import LivePage

_TILES, _COLUMNS, _SIDE = 16, 4, 64
"""Experts that are shown, of these in a row, and pixels of each."""
_CHANNELS = {1: ("grey",), 2: ("grey", "opacity"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "opacity")}

_HINT = (
    "What is drawn as the fit: what the code makes; the file's own pixels, with the fit where they are missing; or "
    "where that is, in white."
)


class PictureCodePanel(CodePanel):
    """As that of shapes; a picture's code has a number for each channel too, and its experts can be looked at."""

    title = "Picture code"
    noun = "picture"

    def entry_name(self, number: int) -> str:
        """See CodePanel; a channel's number is its level, which all pixels of a patch have in common."""
        dictionary = self.model.dictionary
        channel = number - dictionary.settings.experts
        if channel < 0:
            return super().entry_name(number)
        names = _CHANNELS.get(dictionary.channels)
        return f"channel {channel} level" if names is None else f"{names[channel]} level"

    def described(self, model: Any, code: Tensor) -> str:
        """See CodePanel: of experts alone; and those that add most to the picture, as pictures."""
        experts = model.dictionary.settings.experts
        whose = "the dictionary's" if model.dictionary_names else "these"
        words = describe(code[:, :experts], model.own_codes()[:, :experts], noun=self.noun, whose=whose)
        strongest = strongest_experts(model.dictionary, code, _TILES)
        if not strongest:
            return words
        tiles = expert_tiles(model.dictionary, strongest, columns=_COLUMNS, side=_SIDE, has_alpha=model.has_alpha)
        of_each = "" if len(code) == 1 else ", each over a patch"
        return (
            f"{words}\n\nThe experts that add most to the picture, row by row{of_each}: "
            f"{', '.join(map(str, strongest))}.\n\n{charts.as_picture(tiles, 'Experts')}"
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
        return ImagePanel(frames=model.grid.frames, frame=PICTURE, names=model.file_names)
    return PartsPanel(hint=_HINT, frames=model.grid.frames, frame=PICTURE, names=model.file_names)
