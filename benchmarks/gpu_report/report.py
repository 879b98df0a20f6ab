"""Records, one file each, so that a report that was stopped goes on; and the tables made from them."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from inr_plugins import files
from inr_plugins.machine import code_digest, hardware, load_average, versions

PARTS = ("checks", "speed", "quality")


@dataclass
class Report:
    """A folder of records.

    Attributes:
        folder: of the records and of the table.
        device: that is measured.
        tiny: whether this is a rehearsal.
        deadline: moment (of time.monotonic) at which nothing new is begun.
        tell: told what is being done.
    """

    folder: Path
    device: torch.device
    tiny: bool
    deadline: float
    tell: Callable[[str], None] = print

    def run(self, part: str, name: str, work: Callable[[], dict[str, Any]], *, longest: float = 0.0) -> bool:
        """Do one piece of work, unless there is a record of it made by this code on this kind of device.

        Args:
            part: of the report.
            name: of the work.
            work: gives what goes into the record; an error goes there too.
            longest: seconds that it may take.

        Returns:
            Whether there is a record now; if not, there was no time left.
        """
        path = self.path(part, name)
        if self._is_current(path):
            self.tell(f"{part}: {name}: done before")
            return True
        if time.monotonic() + longest > self.deadline:
            self.tell(f"{part}: {name}: no time is left; give the same command again")
            return False
        begin = time.monotonic()
        try:
            found = work()
            error = None
        except Exception as raised:  # whatever it is, the others are to be measured too
            found, error = {}, f"{type(raised).__name__}: {raised}"
            found["traceback"] = traceback.format_exc()
        record = {
            **{"part": part, "name": name, "tiny": self.tiny, "device": self.device.type, "error": error},
            **{"seconds": round(time.monotonic() - begin, 2), "code": code_digest()},
            "found": found,
        }
        files.write_json(path, record)
        self.tell(f"{part}: {name}: {outcome(record)} ({record['seconds']} s)")
        if error is not None and "CUDA error" in error:
            raise SystemExit(f"The device has failed ({error}): give the same command again for what is left.")
        return True

    def path(self, part: str, name: str) -> Path:
        """Where a record lies."""
        return self.folder / part / f"{name.replace('/', '-').replace(' ', '_')}.json"

    def _is_current(self, path: Path) -> bool:
        if not path.exists():
            return False
        record = json.loads(path.read_text(encoding="utf-8"))
        wanted = (code_digest(), self.device.type, self.tiny)
        return record["error"] is None and (record["code"], record["device"], record["tiny"]) == wanted

    def records(self) -> Iterator[dict[str, Any]]:
        """All records, part by part."""
        for part in PARTS:
            for path in sorted((self.folder / part).glob("*.json")):
                yield json.loads(path.read_text(encoding="utf-8"))

    def write_tables(self) -> Path:
        """Make report.md and report.json of all records."""
        records = list(self.records())
        about = {"hardware": hardware(device=self.device.type), "versions": versions(), "load": load_average()}
        files.write_json(self.folder / "report.json", {**about, "records": records})
        path = self.folder / "report.md"
        with files.replacing(path) as partial:
            partial.write_text(markdown(records, about), encoding="utf-8")
        return path


def outcome(record: dict[str, Any]) -> str:
    """What came of a piece of work, in a word or a number."""
    if record["error"] is not None:
        return f"failed: {record['error'].splitlines()[0][:200]}"
    found = record["found"]
    if "passed" in found:
        if found["passed"] is None:
            return found.get("note", "not here")
        note = f": {found['note']}" if "note" in found else ""
        return ("passed" if found["passed"] else "DIFFERS") + note
    if "ms" in found:
        return f"{found['ms']:.3g} ms a step"
    return ", ".join(f"{each['psnr']:.2f} dB at {each['budget']:g}" for each in found.get("results", []))


def markdown(records: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """The tables of a report."""
    machine = about["hardware"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    names = ("torch", "nerfstudio", "nerfacc", "commit", "code")
    shown = ", ".join(f"{name} {about['versions'][name]}" for name in names if name in about["versions"])
    lines = [f"{gpus}; {machine['cpu']}, {machine['cores']} cores; {shown}", ""]
    if any(record["tiny"] for record in records):
        lines += ["A rehearsal: these are not the methods' sizes, and no figure means anything.", ""]
    by_part = {part: [each for each in records if each["part"] == part] for part in PARTS}
    if by_part["checks"]:
        lines += _rows("check | outcome | first step | all steps | allowed", map(_check, by_part["checks"]))
    if by_part["speed"]:
        heading = (
            "method | ms a step | rays a step | rays a second | waits a step | memory (GB) | in kernels | precision"
        )
        lines += _rows(heading, map(_speed, by_part["speed"]))
    if by_part["quality"]:
        lines += _rows("training | seconds | steps | PSNR (dB) | memory (GB)", _qualities(by_part["quality"]))
    return "\n".join(lines) + "\n"


def _rows(heading: str, rows: Any) -> list[str]:
    count = heading.count("|") + 1
    body = ["| " + " | ".join(row) + " |" for row in rows]
    return [f"| {heading} |", "|" + "---|" * count, *body, ""]


def _number(value: Any, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def _check(record: dict[str, Any]) -> list[str]:
    found = record["found"]
    allowed = found.get("allowed")
    allowed = " / ".join(map(_number, allowed)) if isinstance(allowed, list) else _number(allowed)
    worst = found.get("first_step", found.get("worst", found.get("in_one_alone", found.get("positions"))))
    return [record["name"], outcome(record), _number(worst), _number(found.get("all_steps")), allowed]


def _speed(record: dict[str, Any]) -> list[str]:
    found, name = record["found"], record["name"].removeprefix("step/")
    if record["error"] is not None:
        return [name, outcome(record), *[""] * 6]
    keys = ("ms", "rays", "rays_a_second", "waits", "peak_gb", "kernel_share")
    return [name, *(_number(found[key], 4) for key in keys), found["precision"]]


def _qualities(records: list[dict[str, Any]]) -> Iterator[list[str]]:
    for record in records:
        if record["error"] is not None:
            yield [record["name"], outcome(record), "", "", ""]
        for each in record["found"].get("results", []):
            yield [
                *(record["name"], f"{each['seconds']:.0f}", str(each["steps"]), f"{each['psnr']:.2f}"),
                _number(record["found"].get("peak_device_memory_gb")),
            ]
