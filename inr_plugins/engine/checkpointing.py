"""nerfstudio's trainer with sound checkpoints, which hold all that the next step needs; it removes its own only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.engine.trainer import Trainer
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins import ranks
from inr_plugins.engine.divergence import require_finite
from inr_plugins.engine.going_on import check_newest, check_same_data, check_settings, read_wanted_checkpoint
from inr_plugins.engine.optimization.settle import HasOwnRates, settle_optimizers
from inr_plugins.engine.pipeline import data_path
from inr_plugins.engine.placed_config import PlacedConfig
from inr_plugins.engine.processes.agreement import JointOptimizers, come_apart
from inr_plugins.engine.runs import checkpoints, resume
from inr_plugins.engine.runs.loading import load_optimizers, load_scaler, refusing_misfits
from inr_plugins.engine.runs.saved_settings import settings_of
from inr_plugins.errors import InputError, is_out_of_room


@runtime_checkable
class TakesNotes(Protocol):
    """A model that notes what its rays see, each process for its own."""

    def share_notes(self) -> None:
        """Take in what the other processes have noted; all of them call it."""


@dataclass
class CheckpointingConfig(PlacedConfig):
    """Settings of a training that goes on from checkpoints of the same training only, unless told otherwise."""

    other_data: Literal["refuse", "use"] = "refuse"
    """Whether a run may go on from a checkpoint of a training on other data; the same data may lie elsewhere."""
    other_settings: Literal["refuse", "use"] = "refuse"
    """Whether a run may go on from a checkpoint that was made with other settings of the model."""


class CheckpointingTrainer(Trainer):
    """nerfstudio's trainer with exact resume: what a run that was stopped goes on with is all that it had.

    Raises (from setup and train):
        InputError: no usable checkpoint, one of another training, a full disk, or weights that are no numbers.
    """

    config: CheckpointingConfig

    def __init__(
        self, config: CheckpointingConfig, local_rank: int = 0, world_size: int = 1, *, asked: PlacedConfig
    ) -> None:
        """As nerfstudio's; `asked` is the configuration before it was fitted to the machine."""
        # As asked for, before a model settles what it leaves open.
        self._settings = settings_of(asked)
        super().__init__(config, local_rank=local_rank, world_size=world_size)
        self._resume: dict[str, Any] | None = None
        self._saved_step: int | None = None
        self._own_steps: set[int] = set()
        self._saving = threading.Lock()

    def _end_step(self) -> int:
        """The step that training ends before: --max-num-iterations counts from where the run began or goes on."""
        return self._start_step + self.config.max_num_iterations

    def setup_optimizers(self) -> Optimizers:
        """Optimizers for the model as it is; rates that are left open are its own, and schedules end with the run."""
        groups, model = self.pipeline.get_param_groups(), self.pipeline.model
        own = model.own_rates() if isinstance(model, HasOwnRates) else {}
        return JointOptimizers(
            settle_optimizers(self.config.optimizers, groups, own, last_step=self._end_step()), groups
        )

    def _load_checkpoint(self) -> None:
        """Load the checkpoint that the configuration asks for, if any; optimizers are made for the model as loaded."""
        config = self.config
        state, path = read_wanted_checkpoint(config)
        if state is None:
            CONSOLE.print("Training from scratch.")
            return
        depth = len(config.relative_model_dir.parts)
        check_settings(state, path, self._settings, depth=depth, others=config.other_settings)
        with refusing_misfits(f"Checkpoint {path} cannot be gone on from", advice="it is damaged; give another one."):
            if config.other_data == "refuse":
                check_same_data(state, path, self.pipeline.datamanager, data=data_path(config.pipeline))
        check_newest(self.checkpoint_dir, state["step"])
        self._start_step = state["step"] + 1
        self.pipeline.load_pipeline(state["pipeline"], state["step"])
        # A model may have taken on other shapes, even other groups, while it loaded.
        self.optimizers = self.setup_optimizers()
        load_optimizers(self.optimizers, state, path, with_schedules=config.load_scheduler)
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
            if config.load_dir is not None:
                # Written by this run before it stopped.
                self._own_steps.add(state["step"])
        CONSOLE.print(f"Going on from step {state['step']} of {path}")

    def save_checkpoint(self, step: int) -> None:
        """Write the checkpoint of `step`, then remove the earlier ones of this run if only the latest is wanted.

        Raises:
            InputError: the disk is full or not writable, or a weight is NaN; earlier checkpoints are left as they were.
        """
        self._before_saving()
        self._save_once(step)

    def _before_saving(self) -> None:
        """Have the first of several processes know what all know; they all come here."""
        if not ranks.is_joint():
            return
        # The first one may have evaluated for longer than processes wait within a step.
        ranks.gather_numbers([0])
        model = self.pipeline.model
        if isinstance(model, TakesNotes):
            model.share_notes()
        apart = come_apart(ranks.tensors_of(model))
        if apart:
            CONSOLE.print(
                f"[bold yellow]Warning:[/bold yellow] the weights of process {', '.join(map(str, apart))} have come "
                "apart from the first one's, which all go on with."
            )
            ranks.send_from_first(ranks.tensors_of(model))

    def _save_once(self, step: int) -> None:
        with self._saving:
            # A page may ask for one while the training thread is at its own.
            if comms.is_main_process() and step != self._saved_step:
                self._save(step)

    def _save(self, step: int) -> None:
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
        return checkpoints.how_to_go_on(self.checkpoint_dir)

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
