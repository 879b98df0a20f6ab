"""How every command of this package ends: in its exit status, and in one sentence where something went wrong.

0: all is well. 1: the sentence says what is not. 130 and 143: stopped by Ctrl-C and by SIGTERM. An error that nobody
has foreseen is a sentence too; its whole traceback goes to a file that the sentence names. A reader that has left, as
`head` does, ends a command without a word.
"""

from __future__ import annotations

import os
import secrets
import select
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from inr_plugins.engine.host.noise import silence_dependencies
from inr_plugins.engine.interrupt import exit_status, sigterm_as_ctrl_c
from inr_plugins.errors import InputError, first_line, is_out_of_memory, is_out_of_room
from inr_plugins.files import cache_folder, shown, write_text
from inr_plugins.machine import version_line

_KEPT_TRACEBACKS = 20
_PACKAGES = ("inr-plugins", "nerfstudio", "torch", "numpy", "open3d")


def run_command(
    name: str,
    work: Callable[[], int | None],
    *,
    when_stopped: Callable[[], str] = lambda: "nothing was written.",
    written: Callable[[], str] = str,
    with_less_memory: str = "close other programs, or use a machine with more",
) -> int:
    """Do the work of a command, and turn however that ends into its exit status and a word on standard error.

    Args:
        name: of the command.
        work: what it does; the status that it returns, None for 0, is passed on.
        when_stopped: after Ctrl-C or SIGTERM the rest of the sentence, on what is there; the exception may bring it.
        written: what has been written although something went wrong, in words; "" for nothing.
        with_less_memory: what to do where the memory does not suffice.
    """
    try:
        with sigterm_as_ctrl_c():
            status = work() or 0
            if sys.stdout is not None:
                sys.stdout.flush()
            return status
    except InputError as error:
        said = error.on_command_line
    except KeyboardInterrupt as stop:
        _say(f"{name}: stopped; {f'{stop.args[0]}.' if stop.args else when_stopped()}")
        return exit_status(stop)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_left():
            _forget_output()
            return 1
        said = _sentence(name, error, with_less_memory=with_less_memory)
        if is_out_of_room(error):
            _flush_or_forget()
    kept = written()
    _say(f"{name}: {said}{f' ({kept}.)' if kept else ''}")
    return 1


def start(main: Callable[[], int], *, at_once: bool = False) -> None:
    """Be a command of the shell: run its `main` and end the process with its status.

    Args:
        main: the command.
        at_once: end without taking Python apart, for a process whose threads are still at work. Nothing may be left to
            be done at the end.
    """
    silence_dependencies()
    try:
        try:
            status = main()
        except SystemExit:
            # Of the parser, which has printed the help, the version or what is wrong, perhaps not to its end yet.
            sys.stdout.flush()
            raise
    except BrokenPipeError:
        if not _reader_has_left():
            raise
        _forget_output()
        sys.exit(1)
    if not at_once:
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):
            stream.flush()
    os._exit(status if isinstance(status, int) else 0)


def keep_traceback(name: str, error: BaseException) -> str:
    """Write the whole traceback of an error to a file; the end of a sentence that says where it is.

    The newest twenty are kept in the user's cache. Where no file can be written, the traceback goes to standard error.

    Args:
        name: of the command.
        error: what nobody has foreseen.
    """
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        folder = cache_folder() / "errors"
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{secrets.token_hex(4)}.txt"
        write_text(path, f"{_circumstances()}\n{text}", durable=False)
        for old in sorted(folder.glob("*.txt"))[:-_KEPT_TRACEBACKS]:
            old.unlink(missing_ok=True)
    except OSError:
        _say(text)
        return "the lines above say where"
    return f"{path} says where"


def _circumstances() -> str:
    """The command line and the versions, for whoever looks for the fault."""
    return f"{shlex.join(sys.argv)}\n{version_line(*_PACKAGES)}\n"


def _sentence(name: str, error: Exception, *, with_less_memory: str) -> str:
    """What happened, of an error that is not the user's."""
    if is_out_of_memory(error):
        return f"There is not enough memory ({first_line(error)}): {with_less_memory}."
    if is_out_of_room(error):
        assert isinstance(error, OSError)
        what = "Its output" if error.filename is None else shown(Path(os.fsdecode(error.filename)))
        return f"{what} could not be written ({error.strerror}): make room, or give another place."
    return f"It failed in a way that nobody has foreseen ({describe(error)}); {keep_traceback(name, error)}."


def describe(error: BaseException) -> str:
    """An error's type and the first line of its message."""
    return f"{type(error).__name__}: {first_line(error)}"


def _say(line: str) -> None:
    # Nobody may be listening any more.
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _reader_has_left() -> bool:
    """Whether standard output is a pipe that nobody reads; a pipe to another program may have broken instead."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def _flush_or_forget() -> None:
    """Write what is still to be written, if there is room for it: Python would try again at the end, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        _forget_output()


def _forget_output() -> None:
    """Let what is still to be written go nowhere: Python would complain of it at the end."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        try:
            sys.stderr.flush()
        except OSError:
            # It goes the same way.
            os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


def arguments_of(arguments: Sequence[str] | None) -> list[str]:
    """A command's arguments; None stands for the process's own."""
    return sys.argv[1:] if arguments is None else list(arguments)
