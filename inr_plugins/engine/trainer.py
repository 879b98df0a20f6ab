"""The trainer that every method of ours uses: any device, sound checkpoints, exact resume, evaluation that fits in."""

from __future__ import annotations

import dataclasses
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from nerfstudio.engine.trainer import TRAIN_INTERATION_OUTPUT
from nerfstudio.utils import comms, writer
from nerfstudio.utils.misc import step_check
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins import ranks
from inr_plugins.engine.address import check_viewer_address
from inr_plugins.engine.checkpointing import CheckpointingTrainer
from inr_plugins.engine.divergence import LossWatch, TrainingDivergedError
from inr_plugins.engine.evaluation import EvalBudget, evaluate_views, expected_view_seconds
from inr_plugins.engine.host.memory import HeapWatch, tune_allocator
from inr_plugins.engine.host.startup import await_choice, prepare_process
from inr_plugins.engine.interrupt import Terminated, exit_status, on_each_signal, on_first_signal, sigterm_as_ctrl_c
from inr_plugins.engine.live_viewer import end_viewer, let_go, while_others_end
from inr_plugins.engine.processes import reports
from inr_plugins.engine.processes.agreement import StopVote, mean_losses, share_state
from inr_plugins.engine.processes.meeting import disband
from inr_plugins.engine.rng import separate_rng
from inr_plugins.engine.runs import checkpoints, reservation, resume
from inr_plugins.engine.runs.frame_file import write_frame_whole
from inr_plugins.engine.runs.loading import refusing_misfits
from inr_plugins.engine.trainer_settings import InrTrainerSettings
from inr_plugins.engine.want_of_memory import naming_want_of_memory
from inr_plugins.errors import InputError

# nerfstudio's commands import this whatever method they run.
await_choice()


@runtime_checkable
class PreciseInSteps(Protocol):
    """A model that says in what precision a step of training is computed."""

    def step_precision(self) -> AbstractContextManager[None]:
        """The context of a whole step."""


@dataclass
class InrTrainerConfig(InrTrainerSettings):
    """Training settings shared by all methods of this package."""

    _target: type = field(default_factory=lambda: InrTrainer)
    """Class to instantiate."""


class _EvaluationStopped(KeyboardInterrupt):
    """Training was told to stop while it was evaluating."""


class _Parted(Exception):
    """All is done that this process had to do: the first one goes on by itself."""


class InrTrainer(CheckpointingTrainer):
    """nerfstudio's trainer with sound checkpoints, exact resume and evaluation that does not change training.

    Training is a function of the configuration, the seed and the number of steps: evaluation and the viewer's start
    draw their random numbers apart. On a CPU a run that was stopped anywhere and resumed from its checkpoint ends with
    the same bits as one that was not (given the same number of threads, and a model whose state is in its state_dict).

    Of several processes each has such a trainer, and every one takes the same steps, by the mean of their gradients.
    Only the first one shows, evaluates, logs and saves, while the others wait.

    Raises (from setup and train):
        InputError: the user can fix it: no such device, no usable checkpoint, a full disk, a loss that is not finite.
    """

    config: InrTrainerConfig

    def __init__(self, config: InrTrainerConfig, local_rank: int = 0, world_size: int = 1) -> None:
        prepare_process()
        self._asked_config = config
        on_cpu = config.machine.resolve() == "cpu"
        if on_cpu:
            tune_allocator()
            # Both are for float16 on CUDA, in which methods of nerfstudio's can be trained.
            config = dataclasses.replace(config, mixed_precision=False, use_grad_scaler=False)
        if config.machine.machine_rank > 0 and (config.is_viewer_enabled() or config.is_viewer_legacy_enabled()):
            # nerfstudio would start one on each machine, and only the first has something to show.
            config = dataclasses.replace(config, vis="tensorboard")
        super().__init__(config, local_rank=local_rank, world_size=world_size, asked=self._asked_config)
        self._loss_watch = LossWatch(every=1 if on_cpu else 16, patience=0 if not self.use_grad_scaler else 20)
        self._heap_watch = HeapWatch()
        self._budget = EvalBudget(config.eval_time_fraction)
        self._trained_step: int | None = None
        # What the viewer shows.
        self.last_losses: dict[str, Any] = {}
        self.last_metrics: dict[str, Any] = {}
        self._interrupted = False
        self._evaluating = False
        self._vote = StopVote() if world_size > 1 else None
        if not comms.is_main_process():
            # It waits for the first one, which alone has a page to go on from.
            self.training_state = "training"
        if world_size == 1:
            # Of several processes, the one that started them holds the folder.
            with config.naming_the_folder():
                reservation.hold(self.base_dir)
        if comms.is_main_process():
            checkpoints.clear_partial_files(self.base_dir)
        if sys.stdout is None or not sys.stdout.isatty():
            # nerfstudio's table moves the cursor about, which makes a mess of a log file.
            config.logging.local_writer.max_log_size = 0

    def setup(self, test_mode: Literal["test", "val", "inference"] = "val") -> None:
        """Make pipeline, optimizers and viewer; a run that cannot start leaves no folder behind.

        Raises:
            SystemExit: Ctrl-C or SIGTERM; the status is 130 or 143.
        """
        has_viewer = self.config.is_viewer_enabled() or self.config.is_viewer_legacy_enabled()
        try:
            with sigterm_as_ctrl_c(), self._naming_full_disks(), self._naming_memory(), while_others_end():
                if has_viewer and self.local_rank == 0:
                    check_viewer_address(self.config.viewer)
                    # The page writes camera paths there; without one, into the run folder.
                    self.config = dataclasses.replace(self.config, data=None)
                with ranks.alone():
                    super().setup(test_mode)
                share_state(self.pipeline, self.pipeline.datamanager)
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
        write_frame_whole(getattr(self.pipeline.datamanager, "train_dataparser_outputs", None))
        # One of several is told by the process that has started it, and never twice.
        signals = on_first_signal if self._vote is None else partial(on_each_signal, numbers=[signal.SIGTERM])
        try:
            with (
                self._naming_full_disks(),
                self._naming_memory(),
                signals(self._stop_after_step) as stopped,
                suppress(_Parted),
            ):
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

    def _naming_memory(self) -> AbstractContextManager[None]:
        return naming_want_of_memory(self.config, evaluates=lambda: self._evaluating, go_on=self._how_to_go_on)

    def save_now(self) -> Path:
        """Write a checkpoint of the last step, from any thread, as soon as the step at hand has ended.

        Returns:
            The checkpoint, whole.

        Raises:
            InputError: no step has been done yet, or the checkpoint cannot be written.
        """
        with self.train_lock:
            if self._trained_step is None:
                raise InputError("No step has been done yet: there is nothing to save.")
            self._save_once(self._trained_step)
            return checkpoints.checkpoint_path(self.checkpoint_dir, self._trained_step)

    def _stop_after_step(self, number: signal.Signals) -> None:
        is_sigterm = number == signal.SIGTERM
        if self.training_state == "completed":
            raise Terminated if is_sigterm else KeyboardInterrupt
        if self._vote is None:
            again = "told to end (SIGTERM); a second time stops" if is_sigterm else "press Ctrl+C again to stop"
            CONSOLE.print(f"Stopping after this step; {again} at once, without saving.")
            self._interrupted = True
            self.stop_training = True
        else:
            # All stop after the same step, which a pause would be in the way of.
            self._vote.wanted = True
            self.training_state = "training"
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
        if self._vote is not None and self._vote.is_carried():
            self._interrupted = self.stop_training = True
        model = self.pipeline.model
        with model.step_precision() if isinstance(model, PreciseInSteps) else nullcontext():
            loss, losses, metrics = super().train_iteration(step)
        loss, losses = mean_losses(loss, losses)
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
        self._part()
        if self._interrupted:
            CONSOLE.print(f"Stopped after step {self.step}: {self._how_to_go_on()}.")
            return
        # An open page puts the model from training to evaluation and back, which must not cross this.
        with self.train_lock:
            self._interruptible(self.use_trained)
            if not self._interrupted:
                self._interruptible(self._evaluate_finally)
        if not self._interrupted:
            super()._after_train()

    def use_trained(self) -> None:
        """What a method has to do with the model when training has come to its end and is saved: nothing, here."""

    def _part(self) -> None:
        """End what processes do together; from here on there is the first one only."""
        if self._vote is not None:
            rank, self._vote = comms.get_rank(), None
            disband()
            if rank > 0:
                raise _Parted

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
        reports.tell("released")
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
        if not any(step_check(step, cadence) for cadence in cadences) or not comms.is_main_process():
            return
        if not self._budget.allows(estimate=self._view_seconds(step)):
            return
        begin = time.monotonic()
        evaluate = super().eval_iteration
        with separate_rng(seed=config.machine.seed + step), ranks.alone():
            self._interruptible(lambda: evaluate(step))
        self._budget.record(time.monotonic() - begin)

    def _view_seconds(self, step: int) -> float:
        seconds_per_step = self._budget.elapsed / max(step - self._start_step + 1, 1)
        return expected_view_seconds(self.pipeline, seconds_per_step=seconds_per_step)
