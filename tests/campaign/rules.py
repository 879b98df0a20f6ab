"""What must hold, whatever is read: a sentence or a result, and nothing changed on the disk."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from campaign.case import Fault

from inr_plugins.errors import InputError

Result = TypeVar("Result")
LONGEST = 1500
"""Letters of a sentence for a person."""


class Refused:
    """An InputError, in place of a result."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence


def read(call: Callable[[], Result]) -> Result | Refused:
    """The result of `call`, or its refusal; every other exception passes through and is a fault.

    Raises:
        Fault: the refusal is no sentence for a person.
    """
    try:
        return call()
    except InputError as error:
        check_sentence(str(error))
        return Refused(str(error))


def check_sentence(text: str) -> None:
    """Refuse words that are no sentence: several lines, none, too many, or Python's own."""
    if not text.strip() or "\n" in text or len(text) > LONGEST:
        raise Fault("wrong", f"no sentence for a person: {text[:200]!r} ({len(text)} letters)")
    if "Traceback" in text or " object at 0x" in text:
        raise Fault("wrong", f"a sentence with Python's own words: {text[:200]!r}")


def refused(call: Callable[[], Any], *words: str) -> str:
    """The sentence with which `call` is refused, in which some of `words` are where there are any.

    Raises:
        Fault: it gave a result, or speaks of something else.
    """
    found = read(call)
    if not isinstance(found, Refused):
        raise Fault("wrong", f"taken without a word: {str(found)[:200]}")
    if words and not any(word in found.sentence for word in words):
        raise Fault("wrong", f"refused for another reason than {' or '.join(words)}: {found.sentence[:300]}")
    return found.sentence


def hold(what: bool, sentence: str, kind: str = "wrong") -> None:
    """Raise a fault with `sentence` unless `what` holds."""
    if not what:
        raise Fault(kind, sentence)


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Refuse whatever is added to a folder, taken from it or changed in it meanwhile."""
    before = _contents(folder)
    yield
    after = _contents(folder)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        lost = any(name in before for name in changed)
        raise Fault("loss" if lost else "wrong", f"changed where it was only to be read: {', '.join(changed[:5])}")


def _contents(folder: Path) -> dict[str, str]:
    """What every name in a folder stands for; pipes are not opened, links not followed."""
    found = {}
    for around, folders, names in os.walk(folder):
        for name in folders + names:
            path = Path(around) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                what = f"link {os.readlink(path)}"
            elif stat.S_ISREG(mode):
                what = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                what = oct(stat.S_IFMT(mode))
            found[str(path.relative_to(folder))] = what
    return found
