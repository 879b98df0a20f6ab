"""The checker of types at run time: beartype, with ints taken where floats are asked for, as PEP 484 has it.

A check costs more than a small step of a training. What is called over and over within one test is therefore checked in
its first calls and in every tenth of those that follow. A check is made at the first call: those of some 5,000
functions, made as modules are imported, took a third of the time that pytest needs to collect the tests.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable
from types import CodeType
from typing import Any

import jaxtyping
import torch
from beartype import BeartypeConf, beartype

typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))

FIRST, EVERY = 10, 10
"""Calls of a function in a test that are all checked, and the part of those after them."""

_jaxtyped = jaxtyping.jaxtyped


class Sampling:
    """Which calls are checked: counted anew for each test."""

    def __init__(self) -> None:
        self.test = 0
        self._made: Counter[CodeType] = Counter()

    def new_test(self) -> None:
        self.test += 1

    def makes(self, code: CodeType) -> bool:
        """Whether a function that another makes while it runs, at every call anew, is to be checked at all."""
        self._made[code] += 1
        return is_looked_at(self._made[code])


sampling = Sampling()


def is_looked_at(count: int) -> bool:
    return count <= FIRST or count % EVERY == 0


def jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
    """In place of jaxtyping's decorator, which the import hook puts before functions and classes."""
    check = _jaxtyped(typechecker=typechecker)

    def decorate(function: Any) -> Any:
        if not inspect.isfunction(function):
            return check(function)
        local = "<locals>" in function.__qualname__
        if local and not sampling.makes(function.__code__):
            return function
        # Names in annotations of a local function are found while its outer function runs.
        checked = check(function) if local else None
        count, test = 0, sampling.test

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            nonlocal checked, count, test
            if test != sampling.test:
                count, test = 0, sampling.test
            count += 1
            # No check can be made while torch.compile looks at what is called.
            if not is_looked_at(count) or torch.compiler.is_compiling():
                return function(*args, **kwargs)
            if checked is None:
                checked = check(function)
            return checked(*args, **kwargs)

        return called

    return decorate


def check_now_and_then() -> None:
    """For all that is imported from here on."""
    jaxtyping.jaxtyped = jaxtyped
