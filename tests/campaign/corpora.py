"""All cases: those of every module in corpus/ (in process) and in processes/ that has a function `cases`."""

from __future__ import annotations

import hashlib
import importlib
from collections import Counter
from pathlib import Path

from campaign.case import Case

HERE = Path(__file__).resolve().parent
FOLDERS = ("corpus", "processes")


def all_cases() -> list[Case]:
    """Cases of all modules, in a stable order.

    Raises:
        ValueError: two cases have one name.
    """
    found: list[Case] = []
    for folder in FOLDERS:
        for path in sorted((HERE / folder).glob("*.py")):
            module = importlib.import_module(f"campaign.{folder}.{path.stem}")
            found += module.cases() if hasattr(module, "cases") else []
    twice = [name for name, count in Counter(case.name for case in found).items() if count > 1]
    if twice:
        raise ValueError(f"names of cases must differ: {', '.join(twice[:5])}")
    return found


def tenth(cases: list[Case], seed: int, number: int) -> list[Case]:
    """The cases in process that fall into one of ten parts, which the seed makes."""
    chosen = [case for case in cases if not case.processes]
    return [case for case in chosen if _part(case.name, seed) == number % 10]


def _part(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") % 10
