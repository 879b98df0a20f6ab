"""The trainer that every method of ours uses: any device, sound checkpoints, exact resume, evaluation that fits in."""

from __future__ import annotations

import copy
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import tyro
import yaml
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.engine.trainer import TRAIN_INTERATION_OUTPUT, Trainer, TrainerConfig
from nerfstudio.utils import comms, writer
from nerfstudio.utils.misc import step_check
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins import files
from inr_plugins.engine.address import check_viewer_address
from inr_plugins.engine.defaults import InrLoggingConfig, InrMachineConfig, InrViewerConfig
from inr_plugins.engine.divergence import LossWatch, TrainingDivergedError, require_finite
from inr_plugins.engine.evaluation import EvalBudget, evaluate_views, expected_view_seconds
from inr_plugins.engine.host.memory import HeapWatch, tune_allocator
from inr_plugins.engine.host.startup import await_choice, prepare_process
from inr_plugins.engine.interrupt import Terminated, end_when_told, exit_status, on_first_signal, sigterm_as_ctrl_c
from inr_plugins.engine.live_viewer import end_viewer, let_go
from inr_plugins.engine.optimization.settle import HasOwnRates, settle_optimizers
from inr_plugins.engine.pipeline import data_path
from inr_plugins.engine.rng import separate_rng
from inr_plugins.engine.runs import checkpoints, reservation, resume
from inr_plugins.engine.runs.config import unknown_option
from inr_plugins.engine.runs.folder import describes_run, load_config_argument
from inr_plugins.engine.runs.loading import load_optimizers, load_scaler, refusing_misfits
from inr_plugins.engine.runs.reservation import FolderInUse
from inr_plugins.engine.runs.same_data import KnownData, what_differs
from inr_plugins.engine.runs.saved_settings import compare_settings, listed, saved_settings, settings_of
from inr_plugins.engine.runs.sources import check_sources
from inr_plugins.errors import InputError, is_out_of_room
from inr_plugins.options import TRAINING, check_name, check_numbers

# nerfstudio's commands import this whatever method they run.
await_choice()


@runtime_checkable
class Checked(Protocol):
    """A part of a configuration that knows which of its options cannot be used together."""

    def check_options(self) -> None:
        """Raise InputError for the first that cannot, before anything is read."""


@dataclass
class InrTrainerConfig(TrainerConfig):
    """Training settings shared by all methods of this package."""

    _target: type = field(default_factory=lambda: InrTrainer)
    """Class to instantiate."""
    machine: InrMachineConfig = field(default_factory=InrMachineConfig)
    """Machine settings."""
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
    other_data: Literal["refuse", "use"] = "refuse"
    """Whether a run may go on from a checkpoint of a training on other data; the same data may lie elsewhere."""
    other_settings: Literal["refuse", "use"] = "refuse"
    """Whether a run may go on from a checkpoint that was made with other settings of the model."""
    run_dir: tyro.conf.Suppress[Path | None] = None
    """Where the run folder is, if not where this configuration says. Set when a saved run is read, and for training."""

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

    def check_options(self) -> None:
        """Refuse options out of range, before anything is loaded or written.

        Raises:
            InputError: naming the option.
        """
        unknown = unknown_option(self)
        if unknown is not None:
            raise InputError(f"The configuration has {unknown}, which this version does not: train anew without it.")
        parser = getattr(self.pipeline.datamanager, "dataparser", None)
        # Parsers of nerfstudio's are chosen by their names, and their options stand bare behind them.
        is_chosen = type(parser).__module__.split(".")[0] == "nerfstudio"
        check_numbers(self, TRAINING, unprefixed="pipeline.datamanager.dataparser." if is_chosen else "")
        for name in ("experiment_name", "project_name", "timestamp"):
            check_name(getattr(self, name), "--" + name.replace("_", "-"))
        self.machine.check_devices()
        check_sources(self)
        for part in (self.pipeline.datamanager, self.pipeline.model):
            if isinstance(part, Checked):
                part.check_options()
        data = data_path(self.pipeline)
        problem = None if data is None else files.why_unreadable(data, folders=True)
        # What does not exist may be elsewhere by now, which the pipeline asks for.
        if data is not None and problem is not None and problem != "does not exist":
            raise InputError(f"--data {files.shown(data)} {problem}: give a file or a folder.")

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
        if Path(sys.argv[0]).name == "ns-train" and self.machine.num_devices == 1:
            # Several processes are ended by the one that has started them.
            end_when_told("Stopped before training began.")
        if self.machine.machine_rank > 0:
            return
        with self.naming_the_folder():
            folder = super().get_base_dir()
            folder = self._hold_chosen(folder) if is_chosen else reservation.reserve_new(folder)
        if self.machine.num_devices > 1:
            # Other processes train, and what they write is all that this one can tell their beginning by.
            reservation.note_start(folder)
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


def _save_frame(outputs: DataparserOutputs, path: Path) -> None:
    """As nerfstudio's DataparserOutputs.save_dataparser_transform: the frame of the data in that of the model."""
    if comms.is_main_process():
        frame = {"transform": outputs.dataparser_transform.tolist(), "scale": float(outputs.dataparser_scale)}
        try:
            files.write_json(path, frame, indent=4)
        except ValueError as error:
            raise InputError("The frame of the data has numbers that are not finite: mend the data's poses.") from error


class _EvaluationStopped(KeyboardInterrupt):
    """Training was told to stop while it was evaluating."""


class InrTrainer(Trainer):
    """nerfstudio's trainer with sound checkpoints, exact resume and evaluation that does not change training.

    Training is a function of the configuration, the seed and the number of steps: evaluation and the viewer's start
    draw their random numbers apart. On a CPU a run that was stopped anywhere and resumed from its checkpoint ends with
    the same bits as one that was not (given the same number of threads, and a model whose state is in its state_dict).

    Raises (from setup and train):
        InputError: the user can mend it: no such device, no usable checkpoint, a full disk, a loss that is not finite.
    """

    config: InrTrainerConfig

    def __init__(self, config: InrTrainerConfig, local_rank: int = 0, world_size: int = 1) -> None:
        prepare_process()
        self._asked_config = config
        # As asked for, before a model settles what it leaves open.
        self._settings = settings_of(config)
        on_cpu = config.machine.resolve() == "cpu"
        if on_cpu:
            tune_allocator()
            # Both are for float16 on CUDA: what CPUs compute in is the model's --pipeline.model.precision.
            config = dataclasses.replace(config, mixed_precision=False, use_grad_scaler=False)
        if config.machine.machine_rank > 0 and (config.is_viewer_enabled() or config.is_viewer_legacy_enabled()):
            # nerfstudio would start one on each machine, and only the first has something to show.
            config = dataclasses.replace(config, vis="tensorboard")
        super().__init__(config, local_rank=local_rank, world_size=world_size)
        self._loss_watch = LossWatch(every=1 if on_cpu else 16, patience=0 if not self.use_grad_scaler else 20)
        self._heap_watch = HeapWatch()
        self._budget = EvalBudget(config.eval_time_fraction)
        self._resume: dict[str, Any] | None = None
        self._trained_step: int | None = None
        self._saved_step: int | None = None
        self._own_steps: set[int] = set()
        # What the viewer shows.
        self.last_losses: dict[str, Any] = {}
        self.last_metrics: dict[str, Any] = {}
        self._interrupted = False
        self._evaluating = False
        if world_size == 1:
            # Of several processes, the one that started them holds the folder.
            with config.naming_the_folder():
                reservation.hold(self.base_dir)
        if comms.is_main_process():
            checkpoints.clear_partial_files(self.base_dir)
        if not sys.stdout.isatty():
            # nerfstudio's table moves the cursor about, which makes a mess of a log file.
            config.logging.local_writer.max_log_size = 0

    def setup(self, test_mode: Literal["test", "val", "inference"] = "val") -> None:
        """Make pipeline, optimizers and viewer; a run that cannot start leaves no folder behind.

        Raises:
            SystemExit: Ctrl-C or SIGTERM; the status is 130 or 143.
        """
        has_viewer = self.config.is_viewer_enabled() or self.config.is_viewer_legacy_enabled()
        try:
            with sigterm_as_ctrl_c(), self._naming_full_disks():
                if has_viewer and self.local_rank == 0:
                    check_viewer_address(self.config.viewer)
                    # The page writes camera paths there; without one, into the run folder.
                    self.config = dataclasses.replace(self.config, data=None)
                super().setup(test_mode)
                if comms.is_main_process():
                    self._asked_config.replace_config()
        except BaseException as error:
            end_viewer(self.viewer_state)
            reservation.release(self.base_dir)
            if not isinstance(error, KeyboardInterrupt):
                raise
            # nerfstudio would print where it was stopped, and end as if all were well.
            CONSOLE.print("Stopped before training began.")
            raise SystemExit(exit_status(error)) from None
        # nerfstudio counts percents and the time left as if every run began at step 0.
        writer.GLOBAL_BUFFER["max_iter"] = self._end_step()

    @contextmanager
    def _naming_full_disks(self) -> Iterator[None]:
        """Say in a sentence that a disk takes no more, and what to do with what is on it."""
        try:
            yield
        except OSError as error:
            if not is_out_of_room(error):
                raise
            raise InputError(
                f"Cannot write to {self.base_dir} ({error.strerror}): make room, then {self._how_to_go_on()}."
            ) from error

    def _end_step(self) -> int:
        """The step that training ends before: --max-num-iterations counts from where the run began or goes on."""
        return self._start_step + self.config.max_num_iterations

    def setup_optimizers(self) -> Optimizers:
        """Optimizers for the model as it is; rates that are left open are its own, and schedules end with the run."""
        groups, model = self.pipeline.get_param_groups(), self.pipeline.model
        own = model.own_rates() if isinstance(model, HasOwnRates) else {}
        return Optimizers(settle_optimizers(self.config.optimizers, groups, own, last_step=self._end_step()), groups)

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    def _load_checkpoint(self) -> None:
        """Load the checkpoint that the configuration asks for, if any; optimizers are made for the model as loaded."""
        state, path = self._read_wanted_checkpoint()
        if state is None:
            CONSOLE.print("Training from scratch.")
            return
        self._check_settings(state, path)
        with refusing_misfits(f"Checkpoint {path} cannot be gone on from", advice="it is damaged; give another one."):
            self._check_same_data(state, path)
        self._check_newest(state["step"])
        self._start_step = state["step"] + 1
        self.pipeline.load_pipeline(state["pipeline"], state["step"])
        # A model may have taken on other shapes, even other groups, while it loaded.
        self.optimizers = self.setup_optimizers()
        load_optimizers(self.optimizers, state, path, with_schedules=self.config.load_scheduler)
        if not load_scaler(self.grad_scaler, state, path):
            CONSOLE.print("The scale of gradients begins anew: the checkpoint was written where there is none.")
        if state.get("resume") is None:
            CONSOLE.print(
                f"[bold yellow]{path} does not hold the state of random numbers and data: training goes on, but not as "
                "it would have without the stop."
            )
        self._resume = state.get("resume")
        if path.parent.resolve() == self.checkpoint_dir.resolve():
            self._saved_step = state["step"]
            if self.config.load_dir is not None:
                # Written by this run before it stopped.
                self._own_steps.add(state["step"])
        CONSOLE.print(f"Going on from step {state['step']} of {path}")

    def _check_settings(self, state: dict[str, Any], path: Path) -> None:
        """Refuse a checkpoint of another function in weights of the same shapes; name what else differs."""
        saved = saved_settings(state, path, depth=len(self.config.relative_model_dir.parts))
        if saved is None:
            CONSOLE.print(f"[bold yellow]What {path} was trained with is not known: give the same options.")
            return
        differs = compare_settings(saved, self._settings)
        if differs.of_the_function and self.config.other_settings == "refuse":
            raise InputError(
                f"{path} was made with other settings ({listed(differs.of_the_function)}): give the same ones, or "
                "--other-settings use to go on with these."
            )
        both = differs.of_the_function + differs.of_training
        if both:
            CONSOLE.print(f"[bold yellow]Going on with other settings ({listed(both)}).")

    def _check_same_data(self, state: dict[str, Any], path: Path) -> None:
        """Refuse to go on with other data than the checkpoint's; old checkpoints do not say what theirs was."""
        saved = (state.get("resume") or {}).get("fingerprint")
        manager = self.pipeline.datamanager
        if self.config.other_data == "use" or saved is None or not isinstance(manager, KnownData):
            return
        differs = what_differs(saved, manager.data_fingerprint())
        if differs is not None:
            raise InputError(
                f"{path} has not learnt from the data at {data_path(self.config.pipeline)}: {differs}. Give --data "
                "what it was trained on, wherever that is now, or --other-data use to go on with this."
            )

    def _check_newest(self, step: int) -> None:
        """Refuse to go back in time where newer checkpoints lie: readers would take those for this run's newest."""
        newer = [each for each in checkpoints.checkpoint_steps(self.checkpoint_dir) if each > step]
        for each in newer:
            if checkpoints.is_sound(checkpoints.checkpoint_path(self.checkpoint_dir, each)):
                raise InputError(
                    f"{self.checkpoint_dir} holds a checkpoint newer than step {step}, that of step {each}: leave out "
                    "--timestamp to go on from the earlier one in a new folder, or move the newer one away."
                )

    def _read_wanted_checkpoint(self) -> tuple[dict[str, Any] | None, Path]:
        config = self.config
        if config.load_dir is not None:
            checkpoints.clear_partial_files(config.load_dir.parent)
            return checkpoints.read_newest_checkpoint(config.load_dir, step=config.load_step)
        if config.load_checkpoint is not None:
            return checkpoints.read_checkpoint(config.load_checkpoint), config.load_checkpoint
        return None, Path()

    def save_checkpoint(self, step: int) -> None:
        """Write the checkpoint of `step`, then remove the earlier ones of this run if only the latest is wanted.

        Raises:
            InputError: the disk is full or not writable, or a weight is NaN; earlier checkpoints are left as they were.
        """
        if not comms.is_main_process() or step == self._saved_step:
            return
        path = checkpoints.checkpoint_path(self.checkpoint_dir, step)
        state = self._checkpoint_state(step)
        require_finite(state["pipeline"])
        if step not in self._own_steps and checkpoints.is_sound(path):
            raise InputError(
                f"Another training has written {path}, which was not there when this one began: give each its own "
                "--timestamp."
            )
        try:
            checkpoints.write_checkpoint(state, path)
        except OSError as error:
            raise InputError(
                f"Cannot save the checkpoint of step {step} in {self.checkpoint_dir} ({error.strerror or error}): make "
                f"room, then {self._how_to_go_on()}."
            ) from error
        self._saved_step = step
        if self.config.save_only_latest_checkpoint:
            checkpoints.remove_checkpoints(self.checkpoint_dir, self._own_steps - {step})
            self._own_steps.clear()
        self._own_steps.add(step)

    def _checkpoint_state(self, step: int) -> dict[str, Any]:
        pipeline = getattr(self.pipeline, "module", self.pipeline)
        accumulating = {
            name: params
            for name, params in self.optimizers.parameters.items()
            if (step + 1) % self.gradient_accumulation_steps[name] != 0
        }
        return {
            "step": step,
            "settings": self._settings,
            "pipeline": pipeline.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.optimizers.items()},
            "schedulers": {name: scheduler.state_dict() for name, scheduler in self.optimizers.schedulers.items()},
            "scalers": self.grad_scaler.state_dict(),
            "resume": resume.capture(pipeline.datamanager, accumulating),
        }

    def _how_to_go_on(self) -> str:
        """What the user can do with what is on the disk."""
        steps = checkpoints.checkpoint_steps(self.checkpoint_dir)
        if not steps:
            return "train again (there is no checkpoint yet)"
        return f"go on from the last good checkpoint, step {steps[0]}, with --load-dir {self.checkpoint_dir}"

    # -- training ------------------------------------------------------------------------------------------------------

    def _init_viewer_state(self) -> None:
        # The last thing before the first step: what happened up to here must not matter to a resumed run, and whether
        # there is a viewer must not matter to any.
        with separate_rng():
            super()._init_viewer_state()
        if self._resume is not None:
            with refusing_misfits(
                "The checkpoint's state of random numbers and data does not fit",
                advice="it is damaged; go on from another one.",
            ):
                resume.restore(
                    self._resume, self.pipeline.datamanager, self.optimizers.parameters, rank=comms.get_rank()
                )
        self._budget.start()

    def train(self) -> None:
        """Train. Ctrl-C and SIGTERM stop after the step at hand and save; divergence stops with step and losses.

        Raises:
            SystemExit: training was stopped before its end; the status is 130 for Ctrl-C and 143 for SIGTERM. SIGTERM
                has it too where it ends the viewer of a training that has come to its end.
        """
        self._keep_frame_whole()
        try:
            with self._naming_full_disks(), on_first_signal(self._stop_after_step) as stopped:
                super().train()
        except KeyboardInterrupt as error:
            # nerfstudio would print where it was stopped, and end as if all were well.
            CONSOLE.print(f"Stopped at once, without saving: {self._how_to_go_on()}.")
            raise SystemExit(exit_status(error)) from None
        except TrainingDivergedError as error:
            raise TrainingDivergedError(
                f"{error} Training has stopped: lower the learning rate, then {self._how_to_go_on()}."
            ) from error
        finally:
            end_viewer(self.viewer_state)
            reservation.release(self.base_dir)
        if stopped.number is not None and (self._interrupted or stopped.is_sigterm):
            raise SystemExit(128 + stopped.number)

    def _keep_frame_whole(self) -> None:
        """Have nerfstudio write dataparser_transforms.json whole or not at all, and in the first process only."""
        outputs = getattr(self.pipeline.datamanager, "train_dataparser_outputs", None)
        if outputs is not None:
            outputs.save_dataparser_transform = partial(_save_frame, outputs)

    def _stop_after_step(self, number: signal.Signals) -> None:
        is_sigterm = number == signal.SIGTERM
        if self.training_state == "completed":
            raise Terminated if is_sigterm else KeyboardInterrupt
        again = "told to end (SIGTERM); a second time stops" if is_sigterm else "press Ctrl+C again to stop"
        CONSOLE.print(f"Stopping after this step; {again} at once, without saving.")
        self._interrupted = True
        self.stop_training = True
        let_go(self.viewer_state)
        if self._evaluating:
            # A view may take minutes, and whoever sends SIGTERM waits for seconds.
            raise _EvaluationStopped

    def _interruptible(self, evaluate: Callable[[], None]) -> None:
        """Evaluate; a signal that stops training ends the evaluation at once, and nothing else."""
        try:
            self._evaluating = True
            evaluate()
            self._evaluating = False
        except _EvaluationStopped:
            self._evaluating = False
            self.pipeline.train()

    def train_iteration(self, step: int) -> TRAIN_INTERATION_OUTPUT:
        """Run one step, and see that its losses are finite."""
        if self._trained_step is None:
            reservation.note_start(self.base_dir)
        loss, losses, metrics = super().train_iteration(step)
        self._loss_watch.check(step, {"loss": loss, **losses})
        self._trained_step, self.last_losses, self.last_metrics = step, losses, metrics
        if self.device == "cpu":
            self._heap_watch.after_step()
        return loss, losses, metrics

    def _after_train(self) -> None:
        # When training is stopped early, nerfstudio would name the checkpoint after a step that was not taken, and
        # resuming would leave that step out.
        if self._trained_step is not None:
            self.step = self._trained_step
        self.save_checkpoint(self.step)
        if self._interrupted:
            CONSOLE.print(f"Stopped after step {self.step}: {self._how_to_go_on()}.")
            return
        if comms.is_main_process():
            # An open page puts the model from training to evaluation and back, which must not cross this.
            with self.train_lock:
                self._interruptible(self._evaluate_finally)
        if not self._interrupted:
            super()._after_train()

    def _evaluate_finally(self) -> None:
        with separate_rng(seed=self.config.machine.seed):
            wanted = self._budget.affordable(self.config.final_eval_images, estimate=self._view_seconds(self.step))
            metrics, line = evaluate_views(self.pipeline, wanted, step=self.step)
        if metrics:
            writer.put_dict(name="Final Eval", scalar_dict=metrics, step=self.step)
            CONSOLE.print(line)

    def _train_complete_viewer(self) -> None:
        # Nothing more is written, so that another process may go on while this one is looked at.
        reservation.release(self.base_dir)
        try:
            super()._train_complete_viewer()
        except KeyboardInterrupt:
            # This is how the viewer of a finished run is meant to be closed.
            CONSOLE.print("Viewer closed.")

    # -- evaluation ----------------------------------------------------------------------------------------------------

    def eval_iteration(self, step: int) -> None:
        """Evaluate if it is time to and the time for it is there; training's random numbers are left alone."""
        config = self.config
        cadences = (config.steps_per_eval_batch, config.steps_per_eval_image, config.steps_per_eval_all_images)
        if not any(step_check(step, cadence) for cadence in cadences):
            return
        if not self._budget.allows(estimate=self._view_seconds(step)):
            return
        begin = time.monotonic()
        evaluate = super().eval_iteration
        with separate_rng(seed=config.machine.seed + step):
            self._interruptible(lambda: evaluate(step))
        self._budget.record(time.monotonic() - begin)

    def _view_seconds(self, step: int) -> float:
        seconds_per_step = self._budget.elapsed / max(step - self._start_step + 1, 1)
        return expected_view_seconds(self.pipeline, seconds_per_step=seconds_per_step)
