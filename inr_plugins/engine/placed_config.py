"""The run folder of a training: settled, held, written to by one training at a time, and found if it was moved."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import tyro
import yaml
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins import files
from inr_plugins.engine.defaults import InrMachineConfig
from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.interrupt import end_when_told
from inr_plugins.engine.runs import checkpoints, reservation
from inr_plugins.engine.runs.folder import describes_run, load_config_argument
from inr_plugins.engine.runs.reservation import FolderInUse
from inr_plugins.errors import InputError


@dataclass
class PlacedConfig(TrainerConfig):
    """nerfstudio's settings of a training, which know where its run folder is and write config.yml into it."""

    machine: InrMachineConfig = field(default_factory=InrMachineConfig)
    """Machine settings."""
    run_dir: tyro.conf.Suppress[Path | None] = None
    """Where the run folder is, if not where this configuration says. Set when a saved run is read, and for training."""

    def check_options(self) -> None:
        """Refuse options out of range, before anything is loaded or written; of what kind, a subclass knows."""

    def set_timestamp(self) -> None:
        """Settle the run's folder, and hold it: a new one, or the one that this training goes on in.

        Of several machines, the first one does so; the others are told the folder by its timestamp.

        nerfstudio's ns-train asks for it first of all, so options are checked here too.

        Raises:
            InputError: an option is out of range; the name was chosen by hand, and another training has checkpoints
                there or is under way; several machines were not given one; or the folder cannot be made.
        """
        prepare_process()
        self.check_options()
        is_chosen = self.timestamp != TrainerConfig.timestamp
        if self.machine.num_machines > 1 and not is_chosen:
            raise InputError("Several machines train into one folder: give the same --timestamp on all of them.")
        super().set_timestamp()
        if Path(sys.argv[0]).name == "ns-train":
            end_when_told("Stopped before training began.")
        if self.machine.machine_rank > 0:
            return
        with self.naming_the_folder():
            folder = super().get_base_dir()
            folder = self._hold_chosen(folder) if is_chosen else reservation.reserve_new(folder)
        # From here on, no file given as --load-config says where the folder is.
        self.timestamp, self.run_dir = folder.name, folder

    def _hold_chosen(self, folder: Path) -> Path:
        """Hold the folder of a timestamp that was given, or a new one where only --load-config names it."""
        models = folder / self.relative_model_dir
        if load_config_argument() is None or self._goes_on_in(models):
            reservation.hold(folder)
            if self._goes_on_in(models) or not checkpoints.checkpoint_steps(models):
                return folder
            reservation.release(folder)
            raise InputError(
                f"{folder} already holds checkpoints: give another --timestamp, or go on from them with "
                f"--load-dir {models}."
            )
        if not self._has_trained(folder):
            with suppress(FolderInUse):
                reservation.hold(folder)
                return folder
        # ns-train --load-config trains anew from a saved configuration, whose run must not be written over.
        folder = reservation.reserve_new(folder.with_name(datetime.now().strftime("%Y-%m-%d_%H%M%S")))
        CONSOLE.print(f"Training anew in {folder}; --load-dir goes on from a checkpoint instead.")
        return folder

    def _has_trained(self, folder: Path) -> bool:
        """Whether the run of this configuration has checkpoints, in its folder or beside the --load-config file."""
        argument = load_config_argument()
        moved = argument is not None and describes_run(argument, **self._identity())
        places = [folder, argument.parent] if argument is not None and moved else [folder]
        return any(checkpoints.checkpoint_steps(place / self.relative_model_dir) for place in places)

    def _identity(self) -> dict[str, str | None]:
        return {name: getattr(self, name) for name in ("method_name", "experiment_name", "timestamp")}

    def _goes_on_in(self, models: Path) -> bool:
        """Whether the checkpoint to go on from lies in this folder of checkpoints."""
        source = self.load_dir
        if source is None and self.load_checkpoint is not None:
            source = self.load_checkpoint.parent
        return source is not None and source.resolve() == models.resolve()

    @contextmanager
    def naming_the_folder(self) -> Iterator[None]:
        """Say in a sentence what the system has against writing the run folder."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"Cannot write the run folder {super().get_base_dir()} ({error.strerror}): give an --output-dir with "
                "room that you may write to."
            ) from error

    def save_config(self) -> None:
        """Write config.yml, then settle the device: the file keeps "auto", so that the run can go on elsewhere.

        Where a run has checkpoints, they keep the configuration that made them until :meth:`replace_config`, when it is
        known that training goes on. Of several machines, the first one writes.

        Raises:
            InputError: the folder cannot be written, or the device asked for is not there.
        """
        vars(self).pop("_next_config", None)
        if self.machine.machine_rank == 0:
            saved = copy.copy(self)
            saved.run_dir = None
            vars(self)["_next_config"] = yaml.dump(saved)
            file = self.get_base_dir() / "config.yml"
            if not file.exists() or not checkpoints.checkpoint_steps(self.get_checkpoint_dir()):
                self.replace_config()
        self.machine.resolve()

    def replace_config(self) -> None:
        """Write the configuration that :meth:`save_config` has held back, if there is one.

        Raises:
            InputError: the folder cannot be written; the file that was there is as it was.
        """
        text = vars(self).pop("_next_config", None)
        if text is None:
            return
        with self.naming_the_folder():
            files.write_text(self.get_base_dir() / "config.yml", text)
        CONSOLE.log(f"Saved the configuration to {self.get_base_dir() / 'config.yml'}")

    def get_base_dir(self) -> Path:
        """Return the run folder, found again if it was moved.

        In order: `run_dir`; the folder of the file given as --load-config on this process's command line, if that is
        this run's config.yml; the folder that the configuration names.

        nerfstudio's commands that open a run ask for it first of all.
        """
        prepare_process()
        self._locate()
        return super().get_base_dir() if self.run_dir is None else self.run_dir

    def _locate(self) -> None:
        """Take over the folder of the --load-config file, and its newest checkpoint that is sound.

        The step is settled here too because nerfstudio asks for the folder, then opens the highest step in it in
        whatever state that file is.
        """
        argument = load_config_argument()
        if self.run_dir is not None or argument is None:
            return
        if describes_run(argument, **self._identity()):
            self.run_dir = argument.resolve().parent
            if self.load_step is None:
                self.load_step = checkpoints.newest_sound_step(self.run_dir / self.relative_model_dir)
