"""Find a run folder that was moved, from the only thing that knows where it is now: the command line.

A config.yml stores where its run was made, relative to the directory that ns-train was started in, and not where the
file itself lies. nerfstudio's commands read it and then ask it for its checkpoint folder, so a run that was moved,
copied or used from another directory is not found, or the wrong one is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable


def find_config(path: Path) -> Path:
    """The config.yml of a run folder, or the file itself.

    Raises:
        InputError: there is no such path, or no config.yml in it.
    """
    problem = why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(f"{shown(path)} {problem}; give a run folder that ns-train wrote, or its config.yml.")
    config = path / "config.yml" if path.is_dir() else path
    if not config.is_file():
        raise InputError(
            f"{path} has no config.yml; give a run folder that ns-train wrote (outputs/<name>/<method>/<time>)."
        )
    return config


def load_config_argument(arguments: Sequence[str] | None = None) -> Path | None:
    """Return the file given as --load-config in `arguments` (default: this process's), or None."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for index, argument in enumerate(arguments):
        name, separator, value = argument.partition("=")
        if name not in ("--load-config", "--load_config"):
            continue
        if separator:
            return Path(value)
        if index + 1 < len(arguments):
            return Path(arguments[index + 1])
    return None


def describes_run(config_file: Path, **fields: str | None) -> bool:
    """Whether `config_file` exists and has each of `fields` as a top-level entry with that value."""
    if not config_file.is_file():
        return False
    # compose reads the structure and builds no objects.
    root = yaml.compose(config_file.read_text(encoding="utf8"), Loader=yaml.SafeLoader)
    entries = {key.value: value.value for key, value in root.value} if isinstance(root, yaml.MappingNode) else {}
    return all(entries.get(name) == ("null" if value is None else value) for name, value in fields.items())
