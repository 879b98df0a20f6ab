"""Ways to damage a file at random, and what may stand in a file's place."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path


def cut(content: bytes, rng: random.Random) -> bytes:
    """Cut short."""
    return content[: rng.randrange(len(content))]


def flip(content: bytes, rng: random.Random) -> bytes:
    """A few bits turned."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 2, 5])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_head(content: bytes, rng: random.Random) -> bytes:
    """A few bytes of the first 200 replaced."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 2, 3])):
        changed[rng.randrange(min(200, len(changed)))] = rng.randrange(256)
    return bytes(changed)


def insert(content: bytes, rng: random.Random) -> bytes:
    """Bytes put in."""
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.choice([1, 3, 40])) + content[at:]


def leave_out(content: bytes, rng: random.Random) -> bytes:
    """Bytes left out."""
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.choice([1, 4, 30]) :]


def repeat(content: bytes, rng: random.Random) -> bytes:
    """A part there twice."""
    at = rng.randrange(len(content))
    return content[:at] + content[max(0, at - rng.choice([1, 8, 60])) :]


WAYS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": cut,
    "flip": flip,
    "flip-head": flip_head,
    "insert": insert,
    "leave-out": leave_out,
    "repeat": repeat,
}


def _folder_in_place(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _nothing(path: Path) -> None:
    """Not there at all."""


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path),
    "folder": _folder_in_place,
    "dangling": _dangling,
    "loop": _loop,
    "missing": _nothing,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "empty": lambda path: path.touch(),
}
"""What may stand where a file should; each is to be refused, and none may be waited for."""
