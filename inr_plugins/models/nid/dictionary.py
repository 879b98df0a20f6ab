"""Opening the dictionary that a run of nid-shapes learnt, from its checkpoint alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.engine.runs.checkpoints import checkpoint_steps, read_checkpoint, read_newest_checkpoint
from inr_plugins.errors import InputError
from inr_plugins.fields.dictionary_settings import DictionarySettings, decode
from inr_plugins.fields.dictionary_shape import ShapeDictionary
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig

_CHECKPOINT_FOLDER = "nerfstudio_models"
_MODEL = "_model."
_FIELD = "dictionary."
_OWN = "_extra_state"
_CODES = "codes"
_WANTED = "--pipeline.model.dictionary wants the folder of a run of nid-shapes."


@dataclass(frozen=True)
class LearntFrame:
    """How files come into the frame that a dictionary was learnt in.

    Attributes:
        shapes: names of the shapes that it was learnt on, in the order of their codes.
        file_unit: normalised units in a unit of the files; None where every shape had a scale of its own.
        up: axis of the files that points up, as the dataparser's option; None if that is not known.
    """

    shapes: tuple[str, ...]
    file_unit: float | None
    up: str | None = None

    def entries(self) -> dict[str, Any]:
        """As plain entries, to be stored."""
        return {"shapes": list(self.shapes), "file_unit": self.file_unit, "up": self.up}

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> LearntFrame:
        """From a model's metadata, or from what `entries` returned."""
        file_unit, up = entries.get("file_unit"), entries.get("up")
        names = tuple(str(name) for name in entries.get("shapes") or ("shape",))
        return cls(names, None if file_unit is None else float(file_unit), None if up is None else str(up))


@dataclass(frozen=True)
class Dictionary:
    """A learnt dictionary, as a checkpoint holds it.

    Attributes:
        settings: of its field.
        tensors: of its field, by name.
        codes: of the shapes it was learnt on, for each shape a row for each patch; zero for shapes never seen.
        frame: of its data.
    """

    settings: DictionarySettings
    tensors: dict[str, Tensor]
    codes: Float[Tensor, "rows n"]
    frame: LearntFrame

    def field(self) -> ShapeDictionary:
        """Its field, frozen.

        Raises:
            InputError: the tensors do not fit the settings.
        """
        try:
            field = ShapeDictionary(self.settings)
            field.load_state_dict(self.tensors)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"The dictionary does not fit this version of nid-shapes, train it again: {reason}"
            ) from error
        return field.requires_grad_(False).eval()


def open_dictionary(path: Path) -> Dictionary:
    """The dictionary of the run of nid-shapes (or nid-fit) at `path`; nothing in the run is executed.

    Args:
        path: run folder, its config.yml, its folder of checkpoints, or one checkpoint.

    Raises:
        InputError: nothing, no usable checkpoint or no dictionary is there.
    """
    model = model_state(path, wanted=_WANTED)
    found = dictionary_of(model)
    if found is None:
        raise InputError(f"The run of {path} holds no dictionary: {_WANTED}")
    return found


def model_state(path: Path, *, wanted: str) -> dict[str, Tensor]:
    """The tensors of a run's model by name, from its newest checkpoint; nothing in the run is executed.

    Args:
        path: see `open_dictionary`.
        wanted: a sentence that says what has to be there.

    Raises:
        InputError: nothing or no usable checkpoint is there.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no dictionary at {path}: {wanted}")
    if path.suffix == ".ckpt":
        state = read_checkpoint(path)
    else:
        folder = path.parent if path.is_file() else path
        if not checkpoint_steps(folder):
            folder = folder / _CHECKPOINT_FOLDER
        if not checkpoint_steps(folder):
            raise InputError(f"There are no checkpoints in {path}: {wanted}")
        state = read_newest_checkpoint(folder)[0]
    bare = (name.removeprefix("module.").replace(_MODEL + "module.", _MODEL, 1) for name in state["pipeline"])
    return {name.removeprefix(_MODEL): value for name, value in zip(bare, state["pipeline"].values(), strict=True)}


def dictionary_of(state: Mapping[str, Tensor]) -> Dictionary | None:
    """The dictionary among the tensors of a model, None if there is none.

    Raises:
        InputError: it was written by another version.
    """
    if not {_FIELD + _OWN, _OWN, _CODES} <= state.keys():
        return None
    try:
        settings = DictionarySettings.decoded(state[_FIELD + _OWN])
        frame = LearntFrame.of(decode(state[_OWN]))
        rows, shape = len(frame.shapes) * settings.patches_per_side**3, tuple(state[_CODES].shape)
        if shape != (rows, settings.experts):
            raise ValueError(f"codes of shape {shape} are not {rows} of {settings.experts} experts")
    except ValueError as error:
        raise InputError(f"The dictionary was written by another version, train it again: {error}.") from error
    tensors = {name.removeprefix(_FIELD): value for name, value in state.items() if name.startswith(_FIELD)}
    return Dictionary(settings, tensors, state[_CODES].float(), frame)


def blank_dictionary() -> Dictionary:
    """A dictionary of one expert that says nothing, in the place of one that is still to be loaded."""
    settings = DictionarySettings(CoordinateNetworkConfig(activation="sine", width=1), 1, 1, 1)
    return Dictionary(
        settings, ShapeDictionary(settings).state_dict(), torch.zeros(1, 1), LearntFrame(("shape",), None)
    )
