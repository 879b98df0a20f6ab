"""Runs as the evaluator sees them: checked before any work, opened for their model, with the views of any split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nerfstudio.data.datasets.base_dataset import InputDataset

from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.offline_lpips import without_lpips_weights
from inr_plugins.engine.pipeline import data_path, settle_data_path
from inr_plugins.engine.runs.checkpoints import checkpoint_steps
from inr_plugins.engine.runs.config import read_run_config
from inr_plugins.engine.runs.stand_in import STANDS_IN
from inr_plugins.errors import InputError, setting

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run

Split = Literal["test", "val", "train"]


def check_run(config_path: Path, *, data: Path | None) -> None:
    """See that a run can be read and has a checkpoint and data, before work on the runs before it begins.

    Raises:
        InputError: the configuration cannot be read, there is no checkpoint, or no data where it should be.
    """
    prepare_process()
    config = read_run_config(config_path)
    if not checkpoint_steps(config_path.parent / config.relative_model_dir):
        raise InputError(f"The run {config_path.parent} has no checkpoint: train it first, or give another run.")
    settle_data_path(config.pipeline, data=data)


def open_run(config_path: Path, *, device: str | None, data: Path | None, load: Callable[..., Run]) -> Run:
    """The run's model, in eval mode, and the frame of its data; no images are read.

    Args:
        config_path: the run's config.yml.
        device: where to put the model; None: CUDA when there is one.
        data: where the dataset is now; None: where it was in training.
        load: engine.runs.run.load_run, or what stands in for it.

    Raises:
        InputError: anything that keeps the run from being opened, in one sentence.
    """
    from inr_plugins.engine.runs.run import naming_the_run

    # Not only nerfstudio's own models make the metric when they are built: so do those derived from them.
    with naming_the_run(config_path.parent), without_lpips_weights():
        return load(config_path, device=device, data=data)


def split_dataset(run: Run, split: Split) -> InputDataset | None:
    """The images and cameras of a split, at the size the run was trained at; None for a method without images.

    Raises:
        InputError: the split cannot be read or is empty.
    """
    manager: Any = run.pipeline.datamanager
    parser = getattr(manager, "dataparser", None)
    if parser is None or not hasattr(manager, "dataset_type"):
        return None
    if hasattr(parser, "downscale_factor"):
        # nerfstudio opens a run without its images by pretending that they have full size.
        parser.downscale_factor = getattr(manager.config.dataparser.setup(), "downscale_factor", None)
    where = f"The {split} split of {data_path(run.config.pipeline)}"
    try:
        outputs = parser.get_dataparser_outputs(split=split)
        if len(outputs.image_filenames) == 0:
            raise InputError(f"{where} has no images: give another {setting('split')}.")
        return manager.dataset_type(
            dataparser_outputs=outputs, scale_factor=getattr(manager.config, "camera_res_scale_factor", 1.0)
        )
    except InputError:
        raise
    except (OSError, KeyError, ValueError, AssertionError) as error:
        raise InputError(
            f"{where} cannot be read ({type(error).__name__}: {error}): give another {setting('split')}."
        ) from error


def stand_in_note(dataset: InputDataset, split: Split) -> str | None:
    """A sentence on the split that was measured in place of the one asked for, or None."""
    taken = dataset._dataparser_outputs.metadata.get(STANDS_IN)
    if taken is None:
        return None
    return f"The dataset has no {split} split: the views of its {taken} split were measured."


def data_folder(run: Run) -> Path | None:
    """The folder of the run's dataset, or None where the run has no data of that kind."""
    config = getattr(run.config, "pipeline", None)
    path = None if config is None or not hasattr(config, "datamanager") else data_path(config)
    if path is None:
        return None
    return Path(path) if Path(path).is_dir() else Path(path).parent


def find_truth(folder: Path | None) -> Path | None:
    """The true surface of a dataset that inr-scene made: the mesh.ply beside its scene.json."""
    if folder is None or not (folder / "scene.json").is_file() or not (folder / "mesh.ply").is_file():
        return None
    return folder / "mesh.ply"


def distinct(names: Sequence[str], details: Sequence[str]) -> list[str]:
    """`names`; those that occur more than once are followed by their detail, and by a number if need be."""
    longer = [name if names.count(name) == 1 else f"{name} {more}" for name, more in zip(names, details, strict=True)]
    return [
        name if longer.count(name) == 1 else f"{name} ({longer[: place + 1].count(name)})"
        for place, name in enumerate(longer)
    ]
