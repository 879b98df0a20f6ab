"""Open a finished run: its configuration, its model with the newest sound weights, and the frame of its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.pipelines.base_pipeline import Pipeline
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.engine.defaults import choose_device
from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.offline_lpips import without_lpips_weights
from inr_plugins.engine.pipeline import data_path, settle_data_path
from inr_plugins.engine.runs.checkpoints import read_newest_checkpoint
from inr_plugins.engine.runs.config import read_run_config
from inr_plugins.engine.runs.folder import find_config
from inr_plugins.engine.runs.loading import check_kinds, reason_of
from inr_plugins.engine.runs.same_data import AskingData, what_differs
from inr_plugins.engine.runs.saved_settings import compare_settings, listed, settings_of
from inr_plugins.engine.runs.stand_in import let_val_stand_in
from inr_plugins.errors import InputError, first_line, is_out_of_memory


@dataclass(frozen=True)
class Run:
    """A trained run, ready to be evaluated.

    Attributes:
        config: Its configuration, with the paths of where run and data are now.
        config_path: Its config.yml; the folder around it is the run folder.
        pipeline: Datamanager and model, in eval mode, on the device asked for.
        step: Training step of the weights.
        dataparser_outputs: What the dataparser made of the training split; `meshing.shapes.frame_of` has the map
            from the dataset's frame to the model's.
    """

    config: TrainerConfig
    config_path: Path
    pipeline: Pipeline
    step: int
    dataparser_outputs: DataparserOutputs


def load_run(
    path: Path | str,
    *,
    device: str | torch.device | None = None,
    data: Path | None = None,
    test_mode: Literal["test", "val", "inference"] = "inference",
) -> Run:
    """Open the run at `path`, wherever it was moved to; also one of a stock nerfstudio method.

    Nothing that its config.yml or its checkpoint says is run: see :mod:`inr_plugins.engine.runs.config`.

    Args:
        path: Run folder, or its config.yml.
        device: Where to put the model; by default CUDA when there is one, else the CPU.
        data: Where the dataset is now, if not where the run was trained from (the environment variable INR_DATA does
            the same).
        test_mode: "inference" reads poses but no images; "test" or "val" also load that split's images.

    Raises:
        InputError: no run, no data (where the run does not open without), no usable checkpoint or no such device
            there, or a configuration that cannot be read.
    """
    prepare_process()
    place = choose_device(device)
    config_path = find_config(Path(path)).resolve()
    config = read_run_config(config_path)
    run_folder = config_path.parent
    if hasattr(config, "run_dir"):
        config.run_dir = run_folder
    checkpoint_folder = run_folder / config.relative_model_dir
    # The checkpoint first: there is no point in reading the data for a run that was never saved.
    state, checkpoint = read_newest_checkpoint(checkpoint_folder, step=config.load_step)
    _check_settings(state, checkpoint, config, config_path)
    config.load_dir = checkpoint_folder
    settle_data_path(config.pipeline, data=data, needed=test_mode == "val")
    if not _is_ours(config.pipeline.datamanager) and hasattr(config.pipeline.datamanager, "dataparser"):
        let_val_stand_in(config.pipeline.datamanager.dataparser)
    quiet = without_lpips_weights() if _is_stock(config) else nullcontext()
    with naming_the_run(run_folder, data=data_path(config.pipeline)), quiet, naming_tcnn(config):
        pipeline = config.pipeline.setup(device=str(place), test_mode=test_mode)
    pipeline.eval()
    _load_weights(pipeline, state["pipeline"], step=state["step"], folder=checkpoint_folder)
    _ask_of_data(pipeline, state, run_folder)
    return Run(config, config_path, pipeline, state["step"], pipeline.datamanager.train_dataparser_outputs)


@contextmanager
def naming_the_run(folder: Path, *, data: Path | None = None) -> Iterator[None]:
    """Say which run cannot be opened, and why: nerfstudio's readers stop at bad files with whatever comes.

    Raises:
        InputError: anything but a lack of memory has kept the run from being opened.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        whose = "its data" if data is None else f"its data, {data}"
        raise InputError(
            f"The run {folder} cannot be opened ({type(error).__name__}: {first_line(error)}): fix {whose}, or open "
            "it with the versions of nerfstudio and of its method that it was trained with."
        ) from error


@contextmanager
def naming_tcnn(config: TrainerConfig) -> Iterator[None]:
    """Say which package a model lacks: nerfstudio puts an object in place of tinycudann that fails in strange words."""
    try:
        yield
    except (AttributeError, RuntimeError) as error:
        from nerfstudio.utils import external

        in_words = str(error)
        if external.TCNN_EXISTS or ("_LazyError" not in in_words and "Could not load package" not in in_words):
            raise
        raise InputError(
            f"The run's method {config.method_name} needs tinycudann, which is not installed here: open it where it "
            "was trained, or install tinycudann (it needs an NVIDIA GPU)."
        ) from error


def _check_settings(state: Mapping[str, Any], checkpoint: Path, config: TrainerConfig, config_path: Path) -> None:
    """Refuse weights that are another function by what config.yml says, and name what else of the model differs.

    Raises:
        InputError: the checkpoint says what it was made with, and that is not what the configuration has.
    """
    saved = state.get("settings")
    if not isinstance(saved, Mapping):
        return
    differs = compare_settings(saved, settings_of(config))
    if differs.of_the_weights:
        raise InputError(
            f"{checkpoint} was made with other settings than {config_path} has ({listed(differs.of_the_weights)}): put "
            "back the config.yml that it was trained with, or train again."
        )
    if differs.of_the_function:
        CONSOLE.print(
            f"[bold yellow]{config_path} has other settings than {checkpoint} was made with "
            f"({listed(differs.of_the_function)}): those of the file count."
        )


def _ask_of_data(pipeline: Pipeline, state: Mapping[str, Any], folder: Path) -> None:
    """Have what is compared with data refuse other data than the run's; old checkpoints do not say what that was."""
    saved, manager = (state.get("resume") or {}).get("fingerprint"), pipeline.datamanager
    if saved is None or not isinstance(manager, AskingData):
        return

    def check(present: Mapping[str, Sequence[float]]) -> None:
        differs = what_differs(saved, present)
        if differs is not None:
            raise InputError(
                f"The run {folder} has not learnt from the data that is there now: {differs}. Give --data what it was "
                "trained on, wherever that is."
            )

    manager.ask_of_data(check)


def _load_weights(pipeline: Pipeline, state: dict[str, torch.Tensor], *, step: int, folder: Path) -> None:
    """Load the weights, all of them: nerfstudio leaves what a checkpoint does not hold as it was made, in silence.

    Raises:
        InputError: the model has tensors that the checkpoint lacks, others, or ones of other shapes.
    """
    advice = "it was written by another version of the method: use that version, or train again."
    try:
        pipeline.load_pipeline(state, step)
    except InputError:
        raise
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The checkpoint of step {step} in {folder} does not fit the model ({reason_of(error)}): {advice}"
        ) from error
    check_kinds(state, pipeline.state_dict(), step=step)
    held, wanted = _model_names(state), _model_names(pipeline.state_dict())
    strange = sorted(held ^ wanted)
    if strange:
        what = "lacks" if strange[0] in wanted else "has, unknown to the model,"
        rest = f" (and {len(strange) - 1} more names differ)" if len(strange) > 1 else ""
        raise InputError(f"The checkpoint of step {step} in {folder} {what} {strange[0]}{rest}: {advice}")


def _model_names(state: Mapping[str, torch.Tensor]) -> set[str]:
    """Names of the model's tensors, without DDP's prefix and without a metric's weights, which nobody trained."""
    bare = (name.removeprefix("module.").replace("_model.module.", "_model.", 1) for name in state)
    return {name for name in bare if name.startswith("_model.") and ".lpips." not in name}


def _is_ours(config: object) -> bool:
    """Whether a part of a run is this package's, which settles by itself what it finds in the data."""
    return type(config).__module__.split(".")[0] == "inr_plugins"


def _is_stock(config: TrainerConfig) -> bool:
    """Whether the model is one of nerfstudio's own, which makes torchmetrics' LPIPS when it is built."""
    return type(config.pipeline.model).__module__.split(".")[0] == "nerfstudio"
