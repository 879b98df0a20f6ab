"""Runs whose newest checkpoint is spoilt, and what is to come of opening them or of going on from them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import torch
from campaign import small_runs
from campaign.rules import Refused, hold, read, untouched
from torch import Tensor

from inr_plugins.cli import check
from inr_plugins.engine.runs.checkpoints import checkpoint_path, checkpoint_steps
from inr_plugins.engine.runs.run import load_run

Answer = tuple[int, dict[str, Any]] | Refused
"""Step and weights, or a refusal."""
READERS = ("read", "resume")


class Opened:
    """A run whose newest checkpoint is to be spoilt.

    Attributes:
        method: of the run.
        folder: a copy of the run, with an older checkpoint or without.
        steps: of its checkpoints, newest first.
        states: what they held before anything was done to them.
        said: what was printed while it was opened.
    """

    def __init__(self, method: str, place: Path, *, older: bool) -> None:
        self.method, self.place = method, place
        self.folder = small_runs.copied(method, place)
        if not older:
            checkpoint_path(self.models, checkpoint_steps(self.models)[1]).unlink()
        self.steps = checkpoint_steps(self.models)
        self.states = {step: load_whole(checkpoint_path(self.models, step)) for step in self.steps}
        self.said = ""

    @property
    def models(self) -> Path:
        """The folder of checkpoints."""
        return self.folder / "nerfstudio_models"

    @property
    def newest(self) -> Path:
        """The file of the newest checkpoint."""
        return checkpoint_path(self.models, self.steps[0])

    def answer(self, reader: str) -> Answer:
        """Step and weights that come out of opening the run, or of going on from it; the run itself stays as it is."""
        said = io.StringIO()
        with untouched(self.folder), redirect_stdout(said), redirect_stderr(said):
            found = read(partial(_read if reader == "read" else _resume, self))
        self.said = " ".join(said.getvalue().split())
        return found

    def findings(self) -> str:
        """What inr-check makes of the newest checkpoint: "ok" or "refused"."""
        with untouched(self.folder):
            return next(each.word for each in check.check(self.folder) if each.name == self.newest.name)


def load_whole(path: Path) -> dict[str, Any]:
    """A checkpoint by torch's own reader of plain data."""
    return torch.load(path, map_location="cpu", weights_only=True)


def _read(opened: Opened) -> tuple[int, dict[str, Any]]:
    run = load_run(opened.folder, device="cpu")
    return run.step, run.pipeline.state_dict()


def _resume(opened: Opened) -> tuple[int, dict[str, Any]]:
    config = small_runs.configured(opened.method, opened.place, load_dir=opened.models, max_num_iterations=1)
    trainer = small_runs.begin(config)
    weights = {name: copied(value) for name, value in trainer.pipeline.state_dict().items()}
    step = trainer._start_step - 1
    trainer.train()
    return step, weights


def copied(value: Any) -> Any:
    """A tensor's copy, and everything else itself."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two sets of weights have the same bits, but for those of a metric."""
    first, second = ({name: value for name, value in each.items() if ".lpips." not in name} for each in (first, second))
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) if isinstance(value, Tensor) else value == second[name]
        for name, value in first.items()
    )


def expect_older(opened: Opened, answer: Answer) -> None:
    """The newest one is broken: it is refused, or the older one is taken and that is said."""
    if len(opened.steps) == 1:
        hold(isinstance(answer, Refused), "a broken checkpoint was taken")
        assert isinstance(answer, Refused)
        hold("checkpoint" in answer.sentence.lower(), f"another reason: {answer.sentence}")
        return
    hold(not isinstance(answer, Refused), f"an older sound one was not taken: {getattr(answer, 'sentence', '')}")
    assert not isinstance(answer, Refused)
    hold(answer[0] == opened.steps[1], f"step {answer[0]} was taken, not {opened.steps[1]}")
    hold(same(answer[1], opened.states[answer[0]]["pipeline"]), "other weights than those of the older one")
    hold(opened.newest.name in opened.said.replace(" ", ""), f"nothing is said of {opened.newest.name}: {opened.said}")


def expect_newest(opened: Opened, answer: Answer) -> None:
    """It is to be taken as it is."""
    hold(not isinstance(answer, Refused), f"refused: {getattr(answer, 'sentence', '')}")
    assert not isinstance(answer, Refused)
    hold(answer[0] == opened.steps[0], f"step {answer[0]} was taken, not {opened.steps[0]}")
    hold(same(answer[1], opened.states[answer[0]]["pipeline"]), "other weights than the file's")


def expect_refusal(opened: Opened, answer: Answer, *, words: tuple[str, ...]) -> None:
    hold(isinstance(answer, Refused), "it was taken")
    assert isinstance(answer, Refused)
    hold(any(word in answer.sentence for word in words), f"another reason than {words}: {answer.sentence}")


def expect_told(opened: Opened, answer: Answer, *, word: str) -> None:
    expect_newest(opened, answer)
    hold(word in opened.said, f"nothing is said of {word}: {opened.said[-300:]}")
