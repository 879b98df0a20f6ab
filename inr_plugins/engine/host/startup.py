"""What has to happen in a process before one of nerfstudio's commands runs a method of ours.

Those commands load every method that is installed before they know which one is meant, so importing the trainer changes
nothing but what warnings are shown and how long the start takes (:func:`await_choice`). A configuration of ours that is
asked for its folder, and every way of opening a run, call :func:`prepare_process`. Nothing here is slow and nothing
here can fail.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import threading
from functools import cache
from importlib.metadata import entry_points
from types import TracebackType

import numpy as np
import torch

from inr_plugins.engine.host.callers import find_callers_quickly
from inr_plugins.engine.host.noise import silence_startup_noise
from inr_plugins.engine.runs.folder import load_config_argument
from inr_plugins.engine.want_of_memory import want_of_memory_to_look
from inr_plugins.errors import InputError, is_out_of_memory, is_out_of_room


def await_choice() -> None:
    """What may be done before a method is chosen: silence known noise, spare the start what is slow and of no use, and
    explain a --load-config that is not there.

    Where that file is missing no method ever is chosen, and nerfstudio's commands end in a traceback. Ctrl-C at a
    moment when a command still imports what it needs is no error either.
    """
    silence_startup_noise()
    find_callers_quickly()
    report_interrupted_start()
    config_file = load_config_argument()
    if config_file is not None and not config_file.exists():
        report_input_errors()


@cache
def prepare_process() -> None:
    """Report InputErrors in a sentence, silence known noise, read stock checkpoints, find ffmpeg; once a process."""
    silence_startup_noise()
    allow_numpy_scalars()
    report_input_errors()
    report_full_disks()
    find_own_ffmpeg()


@cache
def report_interrupted_start() -> None:
    """Where a command of nerfstudio's for one of our methods is stopped while it starts, say so in a sentence.

    Nothing else is changed: Python ends the process as it does after every Ctrl-C, with 130 for the shell.
    """
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    if not name.startswith("ns-") or not _is_for_us(sys.argv[1:]):
        return
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print(f"{name}: stopped before it began; nothing was written.", file=sys.stderr)
        else:
            previous(kind, error, trace)

    sys.excepthook = hook


def _is_for_us(arguments: list[str]) -> bool:
    """Whether a method of this package is named among a command's arguments."""
    ours = {
        entry.name
        for entry in entry_points(group="nerfstudio.method_configs")
        if entry.value.startswith("inr_plugins.")
    }
    return not ours.isdisjoint(arguments)


def report_input_errors() -> None:
    """Make an InputError that nothing catches end the process with its sentence on stderr instead of a traceback.

    The exit status is 1, as for every uncaught exception. Code that catches the error never gets here, so this reaches
    every way in (ns-train, ns-eval, ns-render, ns-export, ns-viewer) and changes nothing for Python callers. All other
    exceptions go on to the hook that was there before, but for two that nerfstudio leaves unexplained: a --load-config
    that is not there, and want of memory where a run is looked at.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        config_file = load_config_argument()
        if isinstance(error, InputError):
            print(f"Error: {error}", file=sys.stderr)
        elif isinstance(error, FileNotFoundError) and error.filename == str(config_file):
            print(f"Error: There is no {config_file}: --load-config wants the config.yml of a run.", file=sys.stderr)
        elif config_file is not None and is_out_of_memory(error):
            command = os.path.basename(sys.argv[0])
            print(f"Error: {want_of_memory_to_look(error, command, config_file)}", file=sys.stderr)
        else:
            previous(kind, error, trace)

    sys.excepthook = hook


def report_full_disks() -> None:
    """Say in a sentence what a disk has against a thread, such as the one that writes tensorboard's events.

    Training ends with a sentence of its own when it next hands that thread something.
    """
    previous = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, OSError) and is_out_of_room(args.exc_value):
            print(
                f"Error: A file of the log could not be written: {args.exc_value.strerror or args.exc_value}.",
                file=sys.stderr,
            )
        else:
            previous(args)

    threading.excepthook = hook


def find_own_ffmpeg() -> None:
    """Put this environment's commands at the end of PATH if only they include an ffmpeg.

    nerfstudio looks for it on PATH, where the environment is not when its commands are called by their paths.
    """
    scripts = sysconfig.get_path("scripts")
    if shutil.which("ffmpeg") is None and shutil.which("ffmpeg", path=scripts) is not None:
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), scripts])


def allow_numpy_scalars() -> None:
    """Let torch.load read the numpy floats that nerfstudio's own schedules put into checkpoints.

    Three constructors that can only build numbers: the scalar, the dtype and the class of the float64 dtype. Torch
    before 2.5 has no such list, and loads such checkpoints anyway.
    """
    register = getattr(torch.serialization, "add_safe_globals", None)
    if register is None:
        return
    scalar = type(np.float64(0.0)).__reduce__(np.float64(0.0))[0]
    register([scalar, np.dtype, type(np.dtype(np.float64))])
