"""What `ns-train METHOD --help` takes to start, as it is and with nerfstudio's own search for callers, as one table.

.venv/bin/python benchmarks/start.py [--method finer-image] [--repeats 3]

The two take turns, after one start of each that is not counted, which writes compiled files. See
inr_plugins/engine/host/callers.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

ASKS_AS_BEFORE = """
import inr_plugins.engine.host.callers as callers
callers.find_callers_quickly = lambda: None
"""
START = """
import sys
from nerfstudio.scripts.train import entrypoint
sys.argv = ["ns-train", {method!r}, "--help"]
entrypoint()
"""


def seconds(code: str) -> float:
    """Of a process of its own, which may keep what it compiles."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="finer-image", help="whose help is asked for")
    parser.add_argument("--repeats", type=int, default=3, help="starts of each")
    options = parser.parse_args()
    start = START.format(method=options.method)
    ways = {"as it is": start, "callers as before": ASKS_AS_BEFORE + start}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(options.repeats + 1):
        for way, code in ways.items():
            took = seconds(code)
            if turn:
                taken[way].append(took)
    for way, each in taken.items():
        print(f"{way:20} {statistics.median(each):6.1f} s  ({min(each):.1f} to {max(each):.1f})")


if __name__ == "__main__":
    main()
