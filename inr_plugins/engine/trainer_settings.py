"""Settings of the trainer that every method of ours uses, and what is checked of them before anything is loaded."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from inr_plugins import files
from inr_plugins.engine.checkpointing import CheckpointingConfig
from inr_plugins.engine.defaults import InrLoggingConfig, InrViewerConfig, choose_device_type
from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.pipeline import data_path
from inr_plugins.engine.processes.launcher import Launcher
from inr_plugins.engine.runs.config import unknown_option
from inr_plugins.engine.runs.sources import check_sources
from inr_plugins.errors import InputError
from inr_plugins.options import TRAINING, check_name, check_numbers


@runtime_checkable
class Checked(Protocol):
    """A part of a configuration that knows which of its options cannot be used together."""

    def check_options(self) -> None:
        """Raise InputError for the first that cannot, before anything is read."""


@runtime_checkable
class Settling(Protocol):
    """A datamanager's configuration that finds out what is to read its data."""

    def settle_parser(self) -> None:
        """Choose the dataparser, where none was chosen."""


@runtime_checkable
class DeviceChecked(Protocol):
    """A part of a configuration that knows what it needs of a device."""

    def check_device(self, device: str) -> None:
        """Raise InputError if this type of device cannot do what the options ask for."""


@dataclass
class InrTrainerSettings(CheckpointingConfig):
    """Training settings shared by all methods of this package."""

    viewer: InrViewerConfig = field(default_factory=InrViewerConfig)
    """Viewer settings."""
    logging: InrLoggingConfig = field(default_factory=InrLoggingConfig)
    """Logging settings."""
    # "viewer" alone would switch all evaluation off, wandb and comet want an account and a network.
    vis: Literal[
        "viewer", "wandb", "tensorboard", "comet", "viewer+wandb", "viewer+tensorboard", "viewer+comet", "viewer_legacy"
    ] = "viewer+tensorboard"
    """Which visualizers to use."""
    steps_per_eval_all_images: int = 0
    """Steps between evaluations of all images; 0: never (ns-eval does it)."""
    eval_time_fraction: float = 0.1
    """Evaluations that would take more than this part of the time so far are left out."""
    final_eval_images: int = 4
    """Held-out images evaluated when training ends, fewer if that takes too long; 0: none, -1: all."""

    def set_experiment_name(self) -> None:
        """Name the experiment after the data, also where the dataparser was told of it and not the datamanager."""
        path = data_path(self.pipeline)
        if self.experiment_name is None and path is not None:
            path = Path(os.path.realpath(path))  # which a loop of links does not stop
            if path.is_file():
                # A dataset's description says what the folder is; a shape's file is the data itself.
                path = path.parent if path.suffix == ".json" else path.with_suffix("")
            self.experiment_name = path.name
        super().set_experiment_name()

    def set_timestamp(self) -> None:
        """As the base class; before that, what is to read the data is settled by what it is."""
        # First of all that is asked of a configuration: what is wrong with the data is to be a sentence.
        prepare_process()
        self._check_numbers()
        if isinstance(self.pipeline.datamanager, Settling):
            self.pipeline.datamanager.settle_parser()
        super().set_timestamp()

    def save_config(self) -> None:
        """As the base class; several processes are started by what `setup` gives then, and not by nerfstudio."""
        super().save_config()
        if self.machine.is_shared:
            vars(self)["_shared_machine"] = self.machine
            self.machine = dataclasses.replace(self.machine, num_devices=1, num_machines=1, machine_rank=0)

    def setup(self, **kwargs: Any) -> Any:
        """The trainer; where `save_config` has found that several processes are wanted, what starts them."""
        shared = vars(self).pop("_shared_machine", None)
        return super().setup(**kwargs) if shared is None else Launcher(self, shared)

    def _check_numbers(self) -> None:
        """Refuse the first number that is out of its range; InputError."""
        parser = getattr(self.pipeline.datamanager, "dataparser", None)
        # Parsers of nerfstudio's are chosen by their names, and their options stand bare behind them.
        is_chosen = type(parser).__module__.split(".")[0] == "nerfstudio"
        check_numbers(self, TRAINING, unprefixed="pipeline.datamanager.dataparser." if is_chosen else "")

    def check_options(self) -> None:
        """Refuse options out of range, before anything is loaded or written.

        Raises:
            InputError: naming the option.
        """
        unknown = unknown_option(self)
        if unknown is not None:
            raise InputError(f"The configuration has {unknown}, which this version does not: train anew without it.")
        self._check_numbers()
        for name in ("experiment_name", "project_name", "timestamp"):
            check_name(getattr(self, name), "--" + name.replace("_", "-"))
        self.machine.check_devices()
        check_sources(self)
        for part in (self.pipeline.datamanager, self.pipeline.model):
            if isinstance(part, Checked):
                part.check_options()
            if isinstance(part, DeviceChecked):
                part.check_device(choose_device_type(self.machine.device_type))
        if (self.mixed_precision or self.use_grad_scaler) and hasattr(self.pipeline.model, "precision"):
            raise InputError(
                "--mixed-precision and --use-grad-scaler are for float16, in which this method is not trained: leave "
                "them out. --pipeline.model.precision says what it is trained in, bfloat16 where that is fast."
            )
        data = data_path(self.pipeline)
        problem = None if data is None else files.why_unreadable(data, folders=True)
        # What does not exist may be elsewhere by now, which the pipeline asks for.
        if data is not None and problem is not None and problem != "does not exist":
            raise InputError(f"--data {files.shown(data)} {problem}: give a file or a folder.")
