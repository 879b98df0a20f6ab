"""How well a dictionary meets shapes that it was not learnt from: against shapes, experts and steps, by either gate.

.venv/bin/python benchmarks/generalization.py --data FAUST --work DIR [--learn "tr_reg_0[0-5]?"] [--steps 1800]
    [--count 10 20 40 60] [--experts 256 1024] [--gates table points] [--shapes tr_reg_060 tr_reg_075 tr_reg_068]
    [--row 1000]

A dictionary each of --count shapes, evenly taken from those that --learn names, with ns-train's experts and the table
gate; then, of all of them, dictionaries of --experts and of the other gate. nid-fit meets points of each of --shapes,
with true normals, by the code alone and with the correction that is fitted to the points.

What is finished is a file in the work folder and is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from scans import ROWS, SAMPLES, chamfer, fit, learn, make_points, write_cloud

DEFAULT_EXPERTS = 1024
WAYS = {"code alone": ["pipeline.model.detail_points=0"], "corrected": []}


@dataclass(frozen=True)
class Dictionary:
    """One dictionary: of how many shapes and experts, and what gives codes in training."""

    count: int
    experts: int
    gate: str

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.count}-{self.experts}-{self.gate}"


def dictionaries(options: argparse.Namespace, shapes: int) -> list[Dictionary]:
    """All that are asked for, each once."""
    counts = [Dictionary(min(count, shapes), DEFAULT_EXPERTS, "table") for count in options.count]
    most = max(each.count for each in counts)
    sizes = [Dictionary(most, experts, "table") for experts in options.experts]
    return [*dict.fromkeys([*counts, *sizes, *(Dictionary(most, DEFAULT_EXPERTS, gate) for gate in options.gates)])]


def linked(files: list[Path], count: int, folder: Path) -> Path:
    """A folder of links to so many of the files, evenly taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in np.linspace(0, len(files) - 1, count).round().astype(int):
        link = folder / files[place].name
        if not link.exists():
            link.symlink_to(files[place])
    return folder


def teach(wanted: Dictionary, files: list[Path], options: argparse.Namespace) -> tuple[Path, float]:
    """The run of a dictionary, and the seconds that it took."""
    work = options.work / wanted.name
    seconds = work / "seconds.txt"
    own = argparse.Namespace(**vars(options))
    own.data, own.work, own.learn = linked(files, wanted.count, work / "shapes"), work, "*"
    active = ["--pipeline.model.active", str(min(256, wanted.experts))]
    start = time.perf_counter()
    run = learn(own, "--pipeline.model.experts", str(wanted.experts), "--pipeline.model.gate", wanted.gate, *active)
    if not seconds.exists():
        seconds.write_text(str(time.perf_counter() - start))
    return run, float(seconds.read_text())


def meet(shape: str, way: str, run: Path, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The record of one fit."""
    from inr_plugins.geometry.io.surface_read import read_surface

    truth: Any = read_surface(options.data / f"{shape}.ply")
    points, normals = make_points(truth, options.row, 0, np.array([0, 0, 1]))
    write_cloud(folder / "scan.ply", points, normals)
    mesh, told = fit(folder / "scan.ply", run, WAYS[way], folder)
    distance, floor, consistency = chamfer(mesh, truth, 0, SAMPLES)
    return {"chamfer": distance, "floor": floor, "normal_consistency": consistency, **told}


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of meshes of one category")
    parser.add_argument("--work", type=Path, required=True, help="where dictionaries and results are kept")
    parser.add_argument("--learn", default="tr_reg_0[0-5]?", help="shapes to learn from")
    parser.add_argument("--steps", type=int, default=1800, help="of each dictionary's training")
    parser.add_argument("--up", default="y", help="axis of the files that points up")
    parser.add_argument("--count", type=int, nargs="+", default=[10, 20, 40, 60], help="shapes to learn from")
    parser.add_argument("--experts", type=int, nargs="*", default=[256], help="with all shapes; 1024 are there anyway")
    parser.add_argument("--gates", choices=["table", "points"], nargs="*", default=["points"])
    parser.add_argument("--shapes", nargs="+", default=["tr_reg_060", "tr_reg_075", "tr_reg_068"], help="unseen ones")
    parser.add_argument("--row", choices=[row for row in ROWS if row not in ("front", "turned")], default="1000")
    options = parser.parse_args()
    options.data, options.work = options.data.absolute(), options.work.absolute()
    files = sorted(path for path in options.data.iterdir() if fnmatch(path.stem, options.learn))
    if not files:
        sys.exit(f"{options.data} has no shape that --learn {options.learn} names")
    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()
    print(f"one process, {os.environ.get('OMP_NUM_THREADS', 'all')} threads", file=sys.stderr)
    lines = ["| shapes | experts | gate | seconds | code alone | corrected |", "|---" * 6 + "|"]
    for wanted in dictionaries(options, len(files)):
        run, seconds = teach(wanted, files, options)
        cells = [str(wanted.count), str(wanted.experts), wanted.gate, f"{seconds:.0f}"]
        for way in WAYS:
            found = []
            for shape in options.shapes:
                path = options.work / wanted.name / f"{options.row}-{way.replace(' ', '-')}-{shape}.json"
                if not path.exists():
                    # Not deleted here: what writes the log of the training still does.
                    folder = Path(tempfile.mkdtemp(dir=options.work / wanted.name))
                    path.write_text(json.dumps(meet(shape, way, run, options, folder), indent=1))
                found.append(json.loads(path.read_text())["chamfer"])
                print(f"{wanted.name} {way} {shape}: {found[-1]:.5f}", file=sys.stderr, flush=True)
            cells.append(f"{statistics.mean(found):.5f} ({min(found):.5f} to {max(found):.5f})")
        lines.append("| " + " | ".join(cells) + " |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
