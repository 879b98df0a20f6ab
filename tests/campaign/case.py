"""What an attack is, and what it says when something did not hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

KINDS = ("traceback", "hang", "loss", "run", "wrong")
"""How something does not hold: an exception that is not for the user, or a dead interpreter; a hang; work that is lost;
code of a file that was run; a result that is not what the file says, or that is left where nothing was asked for."""


class Fault(Exception):
    """Something did not hold.

    Args:
        kind: one of KINDS.
        sentence: what, for the table of faults.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        if kind not in KINDS:
            raise KeyError(f"a fault is one of {', '.join(KINDS)}, not {kind}")
        super().__init__(kind, sentence)
        self.kind, self.sentence = kind, sentence


@dataclass(frozen=True)
class Case:
    """One attack.

    Attributes:
        name: unique and stable: "clouds/ply/count-is-a-float".
        group: its row in the table: "clouds".
        attack: works in the fresh empty folder that it is given, with random numbers that depend on the seed and the
            name only, and raises Fault when something did not hold. Any other exception is a fault of kind traceback.
        limit: seconds, then it is a hang.
        processes: how many processes it starts; 0 where everything happens in the one that it is called in.
    """

    name: str
    group: str
    attack: Callable[[Path, random.Random], None]
    limit: float
    processes: int = 0
