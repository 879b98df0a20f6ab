"""Everything that wants a GPU to be measured: checks against the CPU, the speed of a step, what is learnt in how long.

    ./scripts/gpu_report --part checks --output DIR
    ./scripts/gpu_report --part speed --output DIR [--scene DIR]
    ./scripts/gpu_report --part quality --output DIR --scene DIR [--data DIR]

A part ends within nine minutes; the same command again goes on where it ended, and measures anew what other code made.
DIR gets a record for each measurement, and report.md and report.json of them all. Nothing is fetched, and open3d is not
asked for. Status 1: a check found a difference, or a measurement failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .report import PARTS, Report, outcome

MINUTES = 9.0
_LONGEST_STEP = 60.0
"""Seconds that a check or a timing takes at the most, about."""


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="what to measure; all, if not given")
    parser.add_argument("--output", type=Path, default=Path("gpu_report"), help="folder of the records")
    parser.add_argument("--scene", type=Path, help="a scene of 400 x 400 pixels: inr-scene knot DIR --resolution 400")
    parser.add_argument("--data", type=Path, help="a second scene in Blender's format, lego at 400 x 400")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu is for rehearsals")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal: the smallest sizes, and a few steps of each")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="after which nothing new is begun")
    parser.add_argument("--only", nargs="+", default=[], help="measurements whose names hold one of these words")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write records and tables; 1 if something differs or failed."""
    options = parse_arguments(arguments)
    end = time.monotonic() + 60 * options.minutes
    # Nothing is downloaded; LPIPS is not among what is measured.
    os.environ.setdefault("INR_LPIPS", "off")
    import torch

    from . import checks, quality, speed

    if options.device == "cuda" and not torch.cuda.is_available():
        print("scripts/gpu_report: there is no CUDA device: --device cpu --tiny rehearses.", file=sys.stderr)
        return 1
    for name in ("scene", "data"):
        folder = getattr(options, name)
        if folder is not None and not (folder / "transforms_train.json").is_file():
            print(f"scripts/gpu_report: --{name} {folder} holds no transforms_train.json.", file=sys.stderr)
            return 1
    device = torch.device(options.device)
    report = Report(options.output, device, options.tiny, end)
    work = {}
    short = 0.0 if options.tiny else _LONGEST_STEP
    if "checks" in (options.part or PARTS):
        found = checks.checks(device, tiny=options.tiny)
        work.update({("checks", name): (short, each) for name, each in found.items()})
    if "speed" in (options.part or PARTS):
        timings = speed.measurements(device, scene=options.scene, tiny=options.tiny)
        work.update({("speed", name): (short, each) for name, each in timings.items()})
    if "quality" in (options.part or PARTS):
        trials = quality.measurements(device, scene=options.scene, data=options.data, tiny=options.tiny)
        work.update({("quality", name): each for name, each in trials.items()})
    is_whole = True
    for (part, name), (longest, each) in work.items():
        if not options.only or any(word in name for word in options.only):
            is_whole &= report.run(part, name, each, longest=longest)
    print(f"{report.write_tables()}{'' if is_whole else ' (not all of it: give the same command again)'}")
    bad = [each for each in report.records() if each["error"] or each["found"].get("passed") is False]
    for each in bad:
        print(f"{each['part']}: {each['name']}: {outcome(each)}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
