"""The settings that a checkpoint was made with: weights of the same shapes mean something else under others.

A network of sines with another frequency loads without an error and is another function. Checkpoints therefore hold the
settings as plain text and numbers; for those that do not, the config.yml of their run says what they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from nerfstudio.engine.trainer import TrainerConfig

from inr_plugins.engine.runs.config import read_run_config
from inr_plugins.errors import InputError
from inr_plugins.options import OF_THE_DATA

Settings = Mapping[str, Any]
"""Text, numbers and None by their names, which are those of the options of ns-train."""

_PARTS = ("pipeline", "optimizers", "gradient_accumulation_steps", "mixed_precision", "use_grad_scaler")
_OF_THE_FUNCTION = "pipeline.model"
_WITHOUT_EFFECT = {"pipeline.model.eval_num_rays_per_chunk"}
_OF_THE_WEIGHTS = {
    *("activation", "omega", "scale", "carrier", "beta", "encoding", "octaves", "normalization", "normalization_at"),
    *("cross_variance", "skips", "capture", "box_scale", "unbounded", "class"),
}
_SHOWN = 4


def settings_of(config: TrainerConfig) -> dict[str, Any]:
    """What training depends on in a configuration, but for its length, its seed and places on the disk."""
    return {
        name: value for part in _PARTS if hasattr(config, part) for name, value in _leaves(part, getattr(config, part))
    }


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if value is None or isinstance(value, bool | int | float | str):
        yield name, value
    elif isinstance(value, Enum):
        yield name, value.name
    elif isinstance(value, type):
        yield name, value.__name__
    elif is_dataclass(value):
        # Packages move their classes; another name is another thing.
        yield f"{name}.class", type(value).__name__
        for each in fields(value):
            if each.name != "_target" and hasattr(value, each.name) and each.metadata != OF_THE_DATA:
                yield from _leaves(f"{name}.{each.name}", getattr(value, each.name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        yield f"{name}.length", len(value)
        for index, inner in enumerate(value):
            yield from _leaves(f"{name}.{index}", inner)


def saved_settings(state: Mapping[str, Any], checkpoint: Path, *, depth: int) -> Settings | None:
    """The settings of a checkpoint: its own, else those of the config.yml of its run; None where there are neither.

    Args:
        state: what the checkpoint holds.
        checkpoint: its file.
        depth: how many folders the folder of checkpoints lies below the run's.
    """
    own = state.get("settings")
    if isinstance(own, Mapping):
        return own
    folders = checkpoint.resolve().parents
    config_file = folders[depth] / "config.yml" if depth < len(folders) else None
    try:
        return settings_of(read_run_config(config_file)) if config_file is not None and config_file.is_file() else None
    except InputError:
        return None


@dataclass(frozen=True)
class Differences:
    """Settings that differ, each as "name: X in the checkpoint, Y now".

    Attributes:
        of_the_function: those by which weights have another meaning, or are seen in another way.
        of_training: those by which only the training is another.
        of_the_weights: of the first, those by which the weights mean something else whatever is done with them.
    """

    of_the_function: tuple[str, ...]
    of_training: tuple[str, ...]
    of_the_weights: tuple[str, ...]


def compare_settings(saved: Settings, present: Settings) -> Differences:
    """What differs between two settings; what only one of them has is of another version, or has been left out."""
    names = [name for name in present if name in saved and not _same(saved[name], present[name])]
    names = [name for name in names if name not in _WITHOUT_EFFECT]

    def said(chosen: list[str]) -> tuple[str, ...]:
        return tuple(f"{_option(name)}: {saved[name]} in the checkpoint, {present[name]} now" for name in chosen)

    of_the_function = [name for name in names if name.startswith(_OF_THE_FUNCTION)]
    return Differences(
        said(of_the_function),
        said([name for name in names if name not in of_the_function]),
        said([name for name in of_the_function if _OF_THE_WEIGHTS & set(name.split("."))]),
    )


def _same(a: Any, b: Any) -> bool:
    return a == b or (a != a and b != b)


def _option(name: str) -> str:
    return "--" + name.removesuffix(".class").replace("_", "-")


def listed(differences: tuple[str, ...]) -> str:
    """The first few, and how many more there are."""
    more = len(differences) - _SHOWN
    return "; ".join(differences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
