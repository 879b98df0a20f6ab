"""A process and a record for each point, so that its peak is its own, and what was stopped goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inr_plugins import files
from inr_plugins.machine import code_digest, load_average

from .axes import Point

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 240.0
"""Seconds that a point may take."""

Answer = dict[str, Any]
"""`found`, the figures of a point, and `error`: None, or a sentence."""


def in_own_process(point: Point, device: str, tiny: bool) -> Answer:
    """Measure a point in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="growth") as name:
        folder = Path(name)
        result = folder / "result.json"
        (folder / "data").mkdir()
        command = [sys.executable, "-W", "ignore", "-m", f"{__package__}.point", point.axis, point.series]
        command += [str(point.size), "--device", device, "--folder", str(folder / "data"), "--result", str(result)]
        return answer_of([*command, *(["--tiny"] if tiny else [])], result)


def answer_of(command: Sequence[str], result: Path, *, longest: float = LONGEST) -> Answer:
    """What a command has written into `result`; where it has not, why."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # A session of its own: whatever it starts ends with it.
    process = subprocess.Popen(
        list(command),
        env={**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=longest)[1]
    except subprocess.TimeoutExpired:
        return _failed(f"It was ended after {longest:g} seconds: that is how long a point may take.")
    finally:
        _end(process)
    if result.exists():
        return json.loads(result.read_text(encoding="utf-8"))
    if process.returncode < 0:
        by = signal.Signals(-process.returncode).name
        return _failed(f"It was ended by {by}, perhaps because the machine has no memory left.")
    last = (said.strip().splitlines() or ["it said nothing"])[-1][:300]
    return _failed(f"It ended with status {process.returncode}: {last}")


def _failed(sentence: str) -> Answer:
    return {"error": sentence, "found": {}}


def _end(process: subprocess.Popen[str]) -> None:
    # Also what it has started, where it has been killed itself.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass
class Records:
    """A folder of records.

    Attributes:
        folder: of the records, and of tables and plots.
        device: "cpu" or "cuda".
        tiny: whether this is a rehearsal.
        measure: measures a point.
        tell: told what is being done.
    """

    folder: Path
    device: str
    tiny: bool
    measure: Callable[[Point, str, bool], Answer] = in_own_process
    tell: Callable[[str], None] = print
    code: str = field(default_factory=code_digest)

    def run(self, point: Point, *, again: bool = False) -> None:
        """Measure a point, unless this code has measured it on this kind of device; one that failed is tried again.

        Args:
            point: to be measured.
            again: measure it in any case.
        """
        path = self.path(point)
        if not again and self._is_current(path):
            self.tell(f"{point.name}: done before")
            return
        begin, load = time.monotonic(), load_average()
        answer = self.measure(point, self.device, self.tiny)
        record = {
            **{"axis": point.axis, "series": point.series, "size": point.size},
            **{"device": self.device, "tiny": self.tiny, "code": self.code, "load_before": load},
            **{"seconds": round(time.monotonic() - begin, 1), **answer},
        }
        files.write_json(path, record)
        self.tell(f"{point.name}: {outcome(record)} ({record['seconds']} s)")

    def path(self, point: Point) -> Path:
        """Where a record lies."""
        return self.folder / "points" / f"{point.name.replace('/', '-').replace(' ', '_')}.json"

    def _is_current(self, path: Path) -> bool:
        if not path.exists():
            return False
        record = json.loads(path.read_text(encoding="utf-8"))
        made = (record["error"], record["code"], record["device"], record["tiny"])
        return made == (None, self.code, self.device, self.tiny)

    def records(self) -> Iterator[dict[str, Any]]:
        """Those of this kind of device, whatever code has made them."""
        for path in sorted((self.folder / "points").glob("*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            if (record["device"], record["tiny"]) == (self.device, self.tiny):
                yield record


def outcome(record: dict[str, Any]) -> str:
    """What came of a point, in a line."""
    if record["error"] is not None:
        return f"failed: {record['error']}"
    figures = {name: value for name, value in record["found"].items() if name.endswith(("_seconds", "_mib"))}
    return ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
