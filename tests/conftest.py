"""What every test takes for granted."""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import linecache
import pkgutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tyro._unsafe_cache
from jaxtyping import install_import_hook
from runtime_types import check_now_and_then, sampling

from inr_plugins import machine

PACKAGE = Path(__file__).resolve().parents[1] / "inr_plugins"

# A shell starts its background jobs with Ctrl-C ignored, and Python leaves that so; tests send themselves the signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _callers(context: int = 0) -> list[inspect.FrameInfo]:
    """As inspect.stack(), but without lines of source, for which all that is imported would be searched.

    nerfstudio asks 26 times which function calls it, which under pytest takes ten seconds.
    """
    found, frame = [], inspect.currentframe()
    while frame is not None and (frame := frame.f_back) is not None:
        code = frame.f_code
        found.append(inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
    return found


inspect.stack = _callers

_findsource = inspect.findsource


@functools.cache
def _lines_of_classes(source: str) -> dict[str, int]:
    """In which line, from 0, each class of a source begins; of several of one name the first, as inspect has it."""
    found: dict[str, int] = {}

    def look(node: ast.AST, above: tuple[str, ...]) -> None:
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.ClassDef):
                name = (*above, each.name)
                first = min([each.lineno, *(decorator.lineno for decorator in each.decorator_list)])
                found.setdefault(".".join(name), first - 1)
                look(each, name)
            elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                look(each, (*above, each.name, "<locals>"))
            elif isinstance(each, ast.stmt | ast.ExceptHandler):
                look(each, above)

    look(ast.parse(source), ())
    return found


def _findsource_once(thing: Any) -> tuple[list[str], int]:
    """As inspect.findsource(), which parses a file anew for each class of it.

    tyro asks for every class of a command, each time that the command is read.
    """
    if inspect.isclass(thing) and (file := inspect.getsourcefile(thing)):
        lines = linecache.getlines(file)
        line = _lines_of_classes("".join(lines)).get(thing.__qualname__) if lines else None
        if line is not None:
            return lines, line
    return _findsource(thing)


inspect.findsource = _findsource_once

# Where there is pytest, tyro makes a tenth of what it has in its cache anew, to test itself.
tyro._unsafe_cache.sys = SimpleNamespace(modules={})

# Shapes in signatures are checked at run time, in everything that is imported from here on; not in engine, nor in
# the files beside the packages, which it saves with: its tests compare the state of Python's random numbers, of which
# beartype draws some.
CHECKED = [
    f"inr_plugins.{each.name}" for each in pkgutil.iter_modules([str(PACKAGE)]) if each.ispkg and each.name != "engine"
]
check_now_and_then()
install_import_hook(CHECKED, "runtime_types.typecheck")

# Each record of a run or a measurement names the code, for which three processes of git and all files of the package
# are read; within a run of the tests both stay as they are.
machine.git_commit = functools.cache(machine.git_commit)
machine.code_digest = functools.cache(machine.code_digest)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """While everything is imported there is next to no garbage, and each search for it goes through all there is."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_runtest_setup() -> None:
    sampling.new_test()


def pytest_unconfigure() -> None:
    """What is not looked at when Python ends counts as leaked to some libraries."""
    gc.unfreeze()


@pytest.fixture(scope="module", autouse=True)
def _garbage_is_looked_for_in_what_is_new() -> None:
    """What imports and earlier files have left stays until the end: a search through it takes a second, and commands
    begin one after every run."""
    gc.collect()
    gc.freeze()
