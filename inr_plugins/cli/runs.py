"""The runs that a command is told, as RUN or as --load-config, and the config.yml of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from inr_plugins.cli.arguments import CommonOptions
from inr_plugins.engine.runs.folder import find_config
from inr_plugins.errors import InputError, setting
from inr_plugins.options import told


@dataclass(frozen=True, kw_only=True)
class OneRun(CommonOptions):
    """Options of a command that takes one run."""

    run: tyro.conf.Positional[Annotated[Path | None, told("RUN", "")]] = None
    """Run folder, or the config.yml in it."""
    load_config: Annotated[Path | None, told("PATH", "")] = None
    """The run, as nerfstudio's commands name it."""

    def given(self) -> Path:
        """The run as it was named.

        Raises:
            InputError: there is none, or it is named in both ways.
        """
        (run,) = given_runs([] if self.run is None else [self.run], self.load_config, most=1)
        return run

    def config(self) -> Path:
        """The run's config.yml.

        Raises:
            InputError: as `given`; a path that does not exist, or a folder without config.yml.
        """
        return find_config(self.given())


@dataclass(frozen=True, kw_only=True)
class SeveralRuns(CommonOptions):
    """Options of a command that takes several runs."""

    runs: tyro.conf.Positional[Annotated[tuple[Path, ...], told("[RUN [RUN ...]]", "")]] = ()
    """Run folders, or the config.yml in them."""
    load_config: Annotated[Path | None, told("PATH", "")] = None
    """One run, as nerfstudio's commands name it."""

    def given(self) -> list[Path]:
        """The runs as they were named.

        Raises:
            InputError: they are named in both ways.
        """
        return given_runs(self.runs, self.load_config)

    def configs(self) -> list[Path]:
        """The config.yml of each run.

        Raises:
            InputError: runs in both ways, a path that does not exist, or a folder without config.yml.
        """
        given = self.given()
        for path in given:
            # What other commands take as their second argument.
            if len(given) > 1 and path.suffix not in ("", ".yml", ".yaml") and not path.exists():
                raise InputError(
                    f"{path} is no run: give the file that is to be written as {setting('output')} {path}."
                )
        return [find_config(path) for path in given]


def given_runs(runs: Sequence[Path], load_config: Path | None, *, most: int | None = None) -> list[Path]:
    """Runs that are named in one way.

    Raises:
        InputError: in both ways; with `most`, none or more.
    """
    given = [*runs, *([] if load_config is None else [load_config])]
    if (runs and load_config is not None) or (most is not None and not 1 <= len(given) <= most):
        raise InputError("Give one run: a run folder or its config.yml, either alone or as --load-config.")
    return given
