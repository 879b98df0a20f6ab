"""Measures one point in this process, and writes what it found, or a sentence on what went wrong.

Started by records.py: -m benchmarks.growth.point AXIS SERIES SIZE --device cpu --folder DIR --result FILE [--tiny]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axis")
    parser.add_argument("series")
    parser.add_argument("size", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    # Nothing is downloaded; LPIPS is not among what is measured.
    os.environ.setdefault("INR_LPIPS", "off")
    import torch

    from inr_plugins.engine.host.memory import tune_allocator
    from inr_plugins.engine.host.threads import yield_to_neighbours

    from .axes import AXES
    from .meter import TINY, Effort, Task, resident

    device = torch.device(options.device)
    if device.type == "cpu":
        # As a training does.
        tune_allocator()
        yield_to_neighbours()
    torch.manual_seed(0)
    torch.ones(1, device=device)
    effort = TINY if options.tiny else Effort()
    task = Task(options.size, device, options.tiny, options.folder, resident(), effort)
    try:
        answer = {"error": None, "found": AXES[options.axis].series[options.series](task)}
    except Exception as error:  # whatever it is, the others are to be measured too
        lines = str(error).strip().splitlines() or [""]
        answer = {"error": f"{type(error).__name__}: {lines[-1][:300]}", "found": {}}
    options.result.write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
