"""How time and memory grow: training steps against rays, a diner's lattice, a dictionary's experts, views, shapes and
processes; a mesh against its resolution.

    .venv/bin/python -m benchmarks.growth --output DIR
    .venv/bin/python -m benchmarks.growth --output DIR --report

The first command measures, each point in a process of its own, and goes on where it was stopped; what other code has
measured is measured anew. DIR gets a record for each point, scaling_tables.md with the exponents, growth.json, and a
plot for each axis, which the second command makes again without measuring. About 20 minutes of two cores, and 8 GB in
TMPDIR for a while. Status 1: a point failed; its record says why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from inr_plugins.machine import load_average

from .axes import AXES, Point, points
from .records import Answer, Records, in_own_process, outcome


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("growth"), help="folder of records, tables and plots")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="that trains; meshes are the CPU's")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=[*AXES], help="what is to grow; all, if not given")
    parser.add_argument("--only", nargs="+", default=[], help="points whose names hold one of these words")
    parser.add_argument("--rerun", action="store_true", help="measure anew what there is a record of")
    parser.add_argument("--report", action="store_true", help="measure nothing: tables and plots of the records")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal: the smallest sizes, and a step of each")
    return parser.parse_args(arguments)


def main(
    arguments: Sequence[str] | None = None, *, measure: Callable[[Point, str, bool], Answer] = in_own_process
) -> int:
    """Measure, and write records, tables and plots; 1 if a point failed.

    Args:
        arguments: of the command.
        measure: gives what a record holds of a point, on a device, in a rehearsal or not.
    """
    options = parse_arguments(arguments)
    if options.device == "cuda" and not options.report:
        import torch

        if not torch.cuda.is_available():
            print("benchmarks.growth: there is no CUDA device: leave --device out to measure a CPU.", file=sys.stderr)
            return 1
    from .report import write_report

    records = Records(options.output, options.device, options.tiny, measure)
    if not options.report:
        print(f"Load of the machine before: {load_average()}. Nothing else is to run meanwhile.")
        for point in points(tiny=options.tiny):
            if point.axis in options.axes and (not options.only or any(word in point.name for word in options.only)):
                records.run(point, again=options.rerun)
    print(write_report(records))
    failed = [each for each in records.records() if each["error"] is not None]
    for each in failed:
        print(f"{each['axis']}/{each['series']}/{each['size']}: {outcome(each)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
