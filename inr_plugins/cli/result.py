"""What a command prints on standard output: its result, and with --quiet where that is and nothing else."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path


@contextmanager
def output_for_result(*, quiet: bool) -> Iterator[None]:
    """Keep what libraries print off standard output: it goes to standard error, and with `quiet` nowhere."""
    with redirect_stdout(io.StringIO() if quiet else sys.stderr):
        yield


def print_places(*places: Path) -> None:
    """Print where the result is and nothing else, a path a line."""
    for place in places:
        print(place)
