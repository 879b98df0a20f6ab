"""inr-check: whether a run that came from elsewhere is safe and sound to open, also for nerfstudio's commands."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inr_plugins.cli.arguments import parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.runs import OneRun
from inr_plugins.engine.runs.folder import find_config
from inr_plugins.errors import InputError

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True, kw_only=True)
class CheckOptions(OneRun):
    """Tell whether a run is safe and sound to open, by these commands and by nerfstudio's.

    config.yml may name nothing but what configurations of installed methods are made of, and each checkpoint has to be
    whole and hold plain data and weights that are numbers. Nothing that the files say is executed. The exit status is 0
    for a run that is safe and sound, else 1.
    """


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: of the file.
        word: "ok", "refused", or "note" for what does not count against the run.
        text: why, or what it is.
    """

    name: str
    word: str
    text: str


def check(path: Path) -> Iterator[Finding]:
    """Look at the files of a run one after the other.

    Raises:
        InputError: there is no run.
    """
    config_path = find_config(path).resolve()
    from inr_plugins.engine.runs.config import read_run_config

    try:
        config = read_run_config(config_path)
    except InputError as error:
        yield Finding(config_path.name, "refused", str(error))
        # By nerfstudio's name for it: what the file says is not to be believed.
        folder: Any = Path("nerfstudio_models")
    else:
        yield Finding(config_path.name, "ok", f"{config.method_name}, {config.max_num_iterations} steps")
        folder = config.relative_model_dir
        if not isinstance(folder, Path) or folder.is_absolute() or ".." in folder.parts:
            yield Finding(config_path.name, "refused", f"it has its checkpoints outside of the run folder ({folder})")
            return
        yield from _notes(config, config_path, config_path.parent / folder)
    yield _frame(config_path.parent)
    yield from _checkpoints(config_path.parent / folder)


def _frame(run: Path) -> Finding:
    """Whether the file is whole that tells other programs where the data is in the model's frame."""
    from inr_plugins.engine.runs.frame_file import FRAME_FILE, frame_problem

    problem = frame_problem(run / FRAME_FILE)
    if problem is None:
        return Finding(FRAME_FILE, "ok", "the data's frame in the model's")
    readers = "other programs read it to place meshes and cameras, no command of nerfstudio's or of inr-plugins does"
    if not (run / FRAME_FILE).exists():
        return Finding(FRAME_FILE, "note", f"it is missing; {readers}")
    anew = "going on with --load-dir and --timestamp writes it anew"
    return Finding(FRAME_FILE, "refused", f"{problem}; {readers}: {anew}")


def _notes(config: TrainerConfig, config_path: Path, folder: Path) -> Iterator[Finding]:
    """What a person should know before opening the run."""
    from inr_plugins.engine.pipeline import data_path
    from inr_plugins.engine.trainer import InrTrainerConfig

    data = data_path(config.pipeline)
    if isinstance(data, Path) and not data.exists():
        yield Finding(config_path.name, "note", f"its data, {data}, is not here: set INR_DATA to where it is now")
    if isinstance(config, InrTrainerConfig):
        return
    # The methods of this package find a run that was moved; nerfstudio's own look where the file says.
    elsewhere = config.get_checkpoint_dir()
    if elsewhere.resolve() != folder.resolve():
        yield Finding(
            config_path.name, "note", f"ns- commands would take checkpoints from {elsewhere}, which was not looked at"
        )


def _checkpoints(folder: Path) -> Iterator[Finding]:
    from inr_plugins.engine.runs.checkpoints import checkpoint_path, checkpoint_steps

    steps = checkpoint_steps(folder)
    if not steps:
        yield Finding(folder.name, "refused", "it holds no checkpoint: train first, or take the whole run")
        return
    paths = [checkpoint_path(folder, step) for step in steps]
    for path, step in zip(paths, steps, strict=True):
        yield _look_into(path, step)
    for other in sorted(set(folder.iterdir()) - set(paths)):
        # nerfstudio takes every name for that of a checkpoint.
        yield Finding(other.name, "refused", "it is no checkpoint, and ns- commands fail on it: take it away")


def _look_into(path: Path, step: int) -> Finding:
    """Whether one checkpoint is whole and holds nothing but plain data."""
    from inr_plugins.engine.divergence import require_finite
    from inr_plugins.engine.runs.checkpoints import read_checkpoint

    try:
        state = read_checkpoint(path)
        if state["step"] != step:
            return Finding(path.name, "refused", f"it says that it is of step {state['step']}")
        require_finite(state["pipeline"])
    except Exception as error:  # a hostile file can make the reader fail in any way
        named = _GLOBAL.search(str(error.__cause__ or error))
        if named:
            return Finding(
                path.name,
                "refused",
                f"it names {named[1]}, which no checkpoint needs: it may be made to run a program. It was not read "
                "further",
            )
        return Finding(path.name, "refused", " ".join(str(error).split()) or type(error).__name__)
    return Finding(path.name, "ok", f"{len(state['pipeline'])} tensors, {path.stat().st_size / 1e6:.1f} MB")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0 for a run that is safe and sound, 1 for another, 130 and 143 if stopped."""
    options = parse(CheckOptions, prog="inr-check", args=arguments)
    return run_command(
        "inr-check", lambda: _report(options), when_stopped=lambda: "what was not looked at may be anything."
    )


def _report(options: CheckOptions) -> int:
    """Print the findings and the verdict; 1 if anything was refused, else 0."""
    run, refused = options.given(), 0
    for finding in check(run):
        refused += finding.word == "refused"
        if finding.word == "ok" and options.quiet:
            continue
        print(f"{finding.word:>8}  {finding.name}: {finding.text.rstrip('.')}.", flush=True)
    if refused:
        print(f"inr-check: {run} is not safe and sound to open, for {refused} of its files.", file=sys.stderr)
        return 1
    print(f"{run} is safe and sound to open.")
    return 0


def entrypoint() -> None:
    """The inr-check command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
