"""What somebody sees who opens the live viewer as training starts, and what it costs training, as one table.

.venv/bin/python benchmarks/viewer.py --images DIR --mesh FILE --shapes DIR [--methods diner cn-neus finer-sdf]
    [--first 30] [--settle 15] [--window 60] [--rays 256] [--executable .venv/bin/ns-train] [--json FILE]

For each method one training, with a page that is no browser (tests/page_client.py: viser's websocket messages only, so
that nothing here wants the processors). The page opens with the server and stands still for --first seconds: the first
frame, the first that is not blank (pixels that are not all alike), the longest time without a new one. Then windows of
--window seconds, in which steps are read from what ns-train prints: without a page, and between those one with a page
that stands still (after --settle seconds, in which its one sharp frame is drawn), one with a page that moves, and then
stands still until it is sharp, and one with a page that takes one mesh after another from the Mesh panel. What part of
its speed training keeps is beside the two windows around. With --rays a step of the images' methods is of so many rays:
a step that takes half a minute tells nothing in a window of one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from page_client import PageClient  # noqa: E402

IMAGES = ("diner", "diner-surface", "finer-nerf", "cn-mipnerf", "cn-neus")
MESHES = ("finer-sdf", "cn-occupancy")
METHODS = ("diner", "finer-sdf", "cn-neus", "finer-nerf", "nid-shapes")
_ACTS_A_SECOND = 10
_PART = 1.5
"""Seconds within which the next part of a frame is shown; they are shown every 0.8."""


class Training:
    """A training as a process, whose page is at `port`."""

    def __init__(self, method: str, options: argparse.Namespace, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        data = options.images if method in IMAGES else options.mesh if method in MESHES else options.shapes
        self.log = folder / f"{method}.log"
        words = [str(options.executable), method, "--output-dir", str(folder), "--max-num-iterations", "1000000"]
        words += ["--viewer.websocket-port", str(self.port), "--logging.steps-per-log", "1", "--data", str(data)]
        if method in IMAGES and options.rays is not None:
            words += ["--pipeline.datamanager.train-num-rays-per-batch", str(options.rays)]
        words += ["blender-data"] if method in IMAGES and options.stock_parser else []
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                words, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, cwd=folder
            )

    def wait_for_server(self) -> None:
        """Until its page can be opened."""
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"The training has ended:\n{self.log.read_text()[-2000:]}")

    @property
    def step(self) -> int:
        """The last one that it has printed."""
        found = re.findall(r"^(\d+) \(\d", self.log.read_text(errors="replace"), re.MULTILINE)
        return int(found[-1]) if found else 0

    @property
    def cpu(self) -> float:
        """Processor seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> int:
        """As Ctrl-C does; the exit status."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def steps_a_second(training: Training, seconds: float, act: Callable[[], object] = lambda: None) -> float:
    """Of a window, in which the page does something ten times a second."""
    begin, first = time.monotonic(), training.step
    while time.monotonic() - begin < seconds:
        act()
        time.sleep(1 / _ACTS_A_SECOND)
    return (training.step - first) / (time.monotonic() - begin)


def still(training: Training, page: PageClient, options: argparse.Namespace) -> dict[str, Any]:
    """Of a page that stands still."""
    count = len(page.frames)
    speed = steps_a_second(training, options.window)
    return {"still": speed, "still_a_minute": 60 * (len(page.frames) - count) / options.window}


def moving(training: Training, page: PageClient, options: argparse.Namespace) -> dict[str, Any]:
    """Of a page that moves all the time, and how long it then takes to be sharp."""
    count, begin = len(page.frames), time.monotonic()
    speed = steps_a_second(training, options.window, lambda: page.orbit(1.5))
    row: dict[str, Any] = {"moving": speed, "step_says": page.step, "step_is": training.step}
    moved = page.frames[count:]
    row["fps"] = len(moved) / (time.monotonic() - begin)
    row["moving_width"] = sorted(frame.size[0] for frame in moved)[len(moved) // 2] if moved else None
    ended, count = time.monotonic(), len(page.frames)

    def is_whole() -> bool:
        wide = [frame.at for frame in page.frames[count:] if frame.size[0] >= 512]
        return bool(wide) and time.monotonic() - wide[-1] > _PART

    page.wait(is_whole, 30)
    later = page.frames[count:]
    row["sharp_width"] = max((frame.size[0] for frame in later), default=None)
    # Shown in parts: the last of the first ones of that size is the whole one.
    widest = [frame.at for frame in later if frame.size[0] == row["sharp_width"]]
    whole = [a for a, b in zip(widest, [*widest[1:], float("inf")], strict=True) if b - a > _PART]
    row["sharp_after"] = whole[0] - ended if whole else None
    return row


def extracting(training: Training, page: PageClient, options: argparse.Namespace) -> dict[str, Any]:
    """Of a page where Extract is clicked every second, which is refused while one is being extracted."""
    button = next((each for each in page.others if (each.get("props") or each).get("label") == "Extract"), None)
    if button is None:
        return {}
    key = "id" if "id" in button else "uuid"
    clicked = time.monotonic()

    def act() -> None:
        nonlocal clicked
        if time.monotonic() - clicked > 1:
            clicked = time.monotonic()
            page.send(type="GuiUpdateMessage", updates={"value": True}, **{key: button[key]})

    speed = steps_a_second(training, options.window, act)
    return {"extracting": speed, "meshes": sum("faces of step" in str(note) for note in page.notes)}


def measure(method: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A row of the table."""
    training = Training(method, options, folder)
    row: dict[str, Any] = {"method": method}
    try:
        training.wait_for_server()
        with PageClient(training.port) as page:
            page.wait(lambda: False, options.first)
            begun, frames = page.begun, list(page.frames)
            seen = [frame for frame in frames if frame.image.std() > 2]
            row["first"] = frames[0].at - begun if frames else None
            row["first_not_blank"] = seen[0].at - begun if seen else None
            shown = [begun, *(frame.at for frame in frames)]
            row["longest_gap"] = max(
                (b - a for a, b in zip(shown, [*shown[1:], begun + options.first], strict=True)), default=None
            )
            row["a_minute"] = 60 * len(seen) / (options.first - (row["first"] or 0))
        without = [steps_a_second(training, options.window)]
        for name, act in (("still", still), ("moving", moving), ("extracting", extracting)):
            with PageClient(training.port) as page:
                page.wait(lambda: False, options.settle)
                row |= act(training, page, options)
            without.append(steps_a_second(training, options.window))
            if row.get(name) is not None:
                # Steps become dearer or cheaper as a model learns: beside those just before and just after.
                row[f"{name}_ratio"] = row[name] / max(sum(without[-2:]) / 2, 1e-9)
        row["without"] = sum(without) / len(without)
        row["cpu"] = training.cpu
    finally:
        row["exit"] = training.end()
    return row


def shown(value: Any) -> str:
    """A cell."""
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--stock-parser", action="store_true", help="read the images with blender-data")
    parser.add_argument("--mesh", type=Path)
    parser.add_argument("--shapes", type=Path)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--first", type=float, default=30.0)
    parser.add_argument("--settle", type=float, default=15.0)
    parser.add_argument("--window", type=float, default=60.0)
    parser.add_argument("--rays", type=int)
    parser.add_argument("--executable", type=Path, default=Path(sys.executable).with_name("ns-train"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for method in options.methods:
            rows.append(measure(method, options, Path(folder)))
            print(json.dumps(rows[-1]), flush=True)
    print_table(rows)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def print_table(rows: list[dict[str, Any]]) -> None:
    """With one row for each method."""
    table = Table(title="The page, opened as training starts")
    names = {
        "method": "method", "first": "first frame, s", "first_not_blank": "not blank, s",
        "longest_gap": "longest gap, s",
        "sharp_after": "sharp after, s", "sharp_width": "px", "still_a_minute": "frames a minute", "fps": "fps moving",
        "moving_width": "px", "without": "steps/s without", "still_ratio": "part kept: still", "moving_ratio": "moving",
        "extracting_ratio": "meshing", "exit": "exit",
    }  # fmt: skip
    for name in names.values():
        table.add_column(name)
    for row in rows:
        table.add_row(*[shown(row.get(key)) for key in names])
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
