"""What is written by hand here beside what a library offers: cost and quality of both, one table a question.

.venv/bin/python benchmarks/ours_or_library.py [PART ...] [--data DIR] [--rounds 5] [--folder DIR] [--again]

Parts: winding mesher texture video writers compile waiting; all of them if none is named. Each is a process of its own,
in which the ways take turns; medians are given. libigl is no dependency: `pip install libigl` for winding and mesher.
What a part measured is kept as JSON in the folder, and printed from there until --again is given, so that a run that
was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from side_by_side import in_own_process

PARTS = ("winding", "mesher", "texture", "video", "writers", "compile", "waiting")
_MOST_SECONDS = 7200.0


def measure(part: str, data: Path, rounds: int, kept: Path, console: Console) -> dict[str, Any]:
    """Measure the cases that the file does not have, each in its own process, and keep them there one by one."""
    from inr_plugins.machine import hardware, versions

    module = importlib.import_module(f"compare_{part}")
    record = json.loads(kept.read_text()) if kept.exists() else {"cases": {}}
    record |= {"part": part, "columns": module.COLUMNS, "hardware": hardware(device="cpu"), "versions": versions()}
    for name, (work, *arguments) in module.cases(data).items():
        if name in record["cases"]:
            continue
        before = os.getloadavg()[0]
        with console.status(f"{part}: {name}"):
            rows = in_own_process(work, *arguments, rounds, seconds=_MOST_SECONDS)
        load = [before, os.getloadavg()[0]]
        rows = [[name, rows]] if isinstance(rows, str) else rows
        record["cases"][name] = {"rows": rows, "rounds": rounds, "load": load}
        kept.write_text(json.dumps(record, indent=1) + "\n")
    return record


def show(console: Console, record: dict[str, Any]) -> None:
    """Print one part."""
    loads = [load for case in record["cases"].values() for load in case["load"]]
    rounds = sorted({case["rounds"] for case in record["cases"].values()})
    title = f"{record['part']}: medians of {rounds} rounds, load {min(loads):.1f} to {max(loads):.1f}"
    table = Table(title=title)
    for name in record["columns"]:
        table.add_column(name, overflow="fold")
    for row in (row for case in record["cases"].values() for row in case["rows"]):
        table.add_row(*(f"{cell:,.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)


def main() -> None:
    """Measure what is not measured yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], default=list(PARTS), metavar="PART", help="which questions"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of lego_200, meshes and faust")
    parser.add_argument("--rounds", type=int, default=5, help="measured turns of each way")
    parser.add_argument("--folder", type=Path, default=Path("ours_or_library"), help="where the figures are kept")
    parser.add_argument("--again", action="store_true", help="measure also what is in the folder")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    console = Console(width=200)
    for part in options.parts:
        kept = options.folder / f"{part}.json"
        if options.again:
            kept.unlink(missing_ok=True)
        needs = getattr(importlib.import_module(f"compare_{part}"), "NEEDS", None)
        if needs is None or importlib.util.find_spec(needs) is not None:
            show(console, measure(part, options.data, options.rounds, kept, console))
        else:
            console.print(f"{part}: not measured, {needs} cannot be imported.")


if __name__ == "__main__":
    main()
