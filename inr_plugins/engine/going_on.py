"""What has to agree before a training goes on from a checkpoint, and which checkpoint that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.runs.same_data import KnownData, what_differs
from inr_plugins.engine.runs.saved_settings import compare_settings, listed, saved_settings
from inr_plugins.errors import InputError


def read_wanted_checkpoint(config: TrainerConfig) -> tuple[dict[str, Any] | None, Path]:
    """Read the checkpoint that the configuration asks for, and say where it was; None where it asks for none.

    Raises:
        InputError: there is no sound one.
    """
    if config.load_dir is not None:
        checkpoints.clear_partial_files(config.load_dir.parent)
        return checkpoints.read_newest_checkpoint(config.load_dir, step=config.load_step)
    if config.load_checkpoint is not None:
        return checkpoints.read_checkpoint(config.load_checkpoint), config.load_checkpoint
    return None, Path()


def check_settings(
    state: dict[str, Any], path: Path, settings: Any, *, depth: int, others: Literal["refuse", "use"]
) -> None:
    """Refuse a checkpoint of another function in weights of the same shapes; name what else differs.

    Args:
        state: the checkpoint's content.
        path: its file.
        settings: of the training that is to go on.
        depth: folders between the run's and the file.
        others: what to do where the function differs.

    Raises:
        InputError: it differs, and others are refused.
    """
    saved = saved_settings(state, path, depth=depth)
    if saved is None:
        CONSOLE.print(f"[bold yellow]What {path} was trained with is not known: give the same options.")
        return
    differs = compare_settings(saved, settings)
    if differs.of_the_function and others == "refuse":
        raise InputError(
            f"{path} was made with other settings ({listed(differs.of_the_function)}): give the same ones, or "
            "--other-settings use to go on with these."
        )
    both = differs.of_the_function + differs.of_training
    if both:
        CONSOLE.print(f"[bold yellow]Going on with other settings ({listed(both)}).")


def check_same_data(state: dict[str, Any], path: Path, manager: Any, *, data: Path | None) -> None:
    """Refuse to go on with other data than the checkpoint's; old checkpoints do not say what theirs was.

    Args:
        state: the checkpoint's content.
        path: its file.
        manager: the datamanager of the training that is to go on.
        data: where it has its data from.

    Raises:
        InputError: the data is other data.
    """
    saved = (state.get("resume") or {}).get("fingerprint")
    if saved is None or not isinstance(manager, KnownData):
        return
    differs = what_differs(saved, manager.data_fingerprint())
    if differs is not None:
        raise InputError(
            f"{path} has not learnt from the data at {data}: {differs}. Give --data what it was trained on, wherever "
            "that is now, or --other-data use to go on with this."
        )


def check_newest(folder: Path, step: int) -> None:
    """Refuse to go back in time where newer checkpoints lie: readers would take those for this run's newest.

    Raises:
        InputError: a sound one in `folder` is newer than `step`.
    """
    newer = [each for each in checkpoints.checkpoint_steps(folder) if each > step]
    for each in newer:
        if checkpoints.is_sound(checkpoints.checkpoint_path(folder, each)):
            raise InputError(
                f"{folder} holds a checkpoint newer than step {step}, that of step {each}: leave out --timestamp to go "
                "on from the earlier one in a new folder, or move the newer one away."
            )
