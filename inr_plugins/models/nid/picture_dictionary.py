"""Opening the dictionary of pictures that a run of nid-images learnt, from its checkpoint alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.dictionary_picture import PictureDictionary
from inr_plugins.fields.dictionary_settings import DictionarySettings, decode, encode
from inr_plugins.fields.picture_pieces import PicturePieces
from inr_plugins.models.nid.dictionary import model_state
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.dictionary.picture_gate import PictureGate

_WANTED = "--pipeline.model.dictionary wants the folder of a run of nid-images."
_FIELD, _GATE, _CODES = "dictionary.", "gate.", "learnt_codes"


@dataclass(frozen=True)
class LearntPictures:
    """A learnt dictionary of pictures, frozen.

    Attributes:
        field: the experts.
        gate: the encoder; None: it was learnt with a table.
        codes: of all pieces of the pictures that it was learnt on.
    """

    field: PictureDictionary
    gate: PictureGate | None
    codes: Float[Tensor, "rows l"]


def open_pictures(path: Path) -> LearntPictures:
    """The dictionary of the run of nid-images at `path`: its folder, config.yml or checkpoint.

    Raises:
        InputError: nothing, no usable checkpoint or no dictionary of pictures is there.
    """
    state = model_state(path, wanted=_WANTED)
    found = pictures_of(state, codes="codes")
    if found is None:
        raise InputError(f"The run of {path} holds no dictionary of pictures: {_WANTED}")
    return found


def pictures_of(state: Mapping[str, Tensor], *, codes: str = _CODES) -> LearntPictures | None:
    """The dictionary among the tensors of a model, None if there is none.

    Args:
        state: the tensors by name.
        codes: name of the codes that it was learnt with.

    Raises:
        InputError: it was written by another version.
    """
    held = {name.removeprefix(_FIELD): value for name, value in state.items() if name.startswith(_FIELD)}
    if not held or codes not in state:
        return None
    try:
        field = PictureDictionary.of(held)
        weights = {name.removeprefix(_GATE): value for name, value in state.items() if name.startswith(_GATE)}
        gate = None
        # A table has a row for each piece that was learnt, which says nothing of others.
        if weights and set(weights) != {"codes"}:
            grid = field.pieces.grid
            gate = PictureGate(grid.width, grid.height, field.channels, field.code_length)
            gate.load_state_dict(weights)
            gate.requires_grad_(False).eval()
        if state[codes].shape[1] != field.code_length:
            raise ValueError(f"codes of {state[codes].shape[1]} numbers are not of {field.code_length}")
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The dictionary of pictures is of another kind or version: {reason}. {_WANTED}") from error
    return LearntPictures(field, gate, state[codes].float())


def settings_of(state: Mapping[str, Tensor]) -> DictionarySettings | None:
    """The sizes of the dictionary among the tensors of a model, None if there is none of this version."""
    try:
        return DictionarySettings.decoded(encode(decode(state[_FIELD + "_extra_state"])["settings"]))
    except (KeyError, TypeError, ValueError):
        return None


def blank_pictures(channels: int) -> LearntPictures:
    """A dictionary of one expert that says nothing, in the place of one that is still to be loaded."""
    settings = DictionarySettings(CoordinateNetworkConfig(activation="sine", width=1), 1, 1, 1)
    field = PictureDictionary(settings, PicturePieces(1, 1), channels).requires_grad_(False).eval()
    return LearntPictures(field, None, torch.zeros(1, field.code_length))
