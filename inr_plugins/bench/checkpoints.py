"""Checkpoints that a training of a benchmark goes on from when it was killed: one at a time, each with its point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inr_plugins.bench.resume_points import ResumePoint, keep_only, last_point, write_point

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import Trainer


class Checkpoints:
    """Saves a trainer's checkpoints, of budgets for whoever keeps the run and of points for going on."""

    def __init__(self, trainer: Trainer, folder: Path | None, *, keeps_budgets: bool) -> None:
        """
        Args:
            trainer: set up.
            folder: of its points; None: none are written.
            keeps_budgets: whether it saves a checkpoint at each budget, which stays.
        """
        self._trainer, self._folder, self._keeps_budgets = trainer, folder, keeps_budgets
        self.point = None if folder is None else last_point(folder)
        # The last one that is for going on alone.
        self._passing = None if self.point is None or self.point.measured.get("at_budget") else self.point.step
        self._of_budgets: set[int] = set()

    def save_budget(self, step: int) -> None:
        """Save the checkpoint of a budget, if these are kept."""
        if self._keeps_budgets:
            self._trainer.save_checkpoint(step)
            self._of_budgets.add(step)

    def save_point(self, step: int, measured: dict[str, Any]) -> None:
        """Save what the training can go on from after `step`, then remove what was there for that before.

        Args:
            step: as the trainer counts.
            measured: see `ResumePoint`.
        """
        assert self._folder is not None
        trainer, at_budget = self._trainer, step in self._of_budgets
        end_step = trainer._start_step + trainer.config.max_num_iterations
        content = {**measured, "at_budget": at_budget}
        write_point(self._folder, ResumePoint(step, end_step, self._path(step), content))
        trainer.save_checkpoint(step)
        keep_only(self._folder, step)
        self._remove_passing()
        self._passing = None if at_budget else step

    def finish(self) -> None:
        """Training has ended and saved its last step: what was for going on alone goes, where checkpoints are kept."""
        if self._passing != self._trainer.step:
            self._remove_passing()

    def _remove_passing(self) -> None:
        # Without budgets to keep, nerfstudio itself removes all but the newest.
        if self._keeps_budgets and self._passing is not None:
            self._path(self._passing).unlink(missing_ok=True)
        self._passing = None

    def _path(self, step: int) -> Path:
        return self._trainer.checkpoint_dir / f"step-{step:09d}.ckpt"
