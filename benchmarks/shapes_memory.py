"""Memory and time that a category of shapes takes: read, and drawn from as training does.

.venv/bin/python benchmarks/shapes_memory.py [--shapes 2000] [--batches 400] [--json FILE]

The shapes are lumpy balls of 1,280 faces, made for it and written to a temporary folder. Batches are nid-shapes' kind:
10,000 points of 16 shapes that are chosen at random, half near the surface and half far from it. Memory is the largest
resident set of the process, in MiB, before reading, after it and after the batches.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import trimesh

from inr_plugins.data.shapes.batches import PointBatches
from inr_plugins.data.shapes.files import ShapeSettings, read_shapes
from inr_plugins.data.shapes.sampling import SampleCounts
from inr_plugins.geometry.open3d_import import import_open3d

SHAPES_A_BATCH, POINTS = 16, 10_000


def write_shapes(folder: Path, count: int) -> None:
    """Balls whose radius goes up and down along three waves, all different."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    rng = np.random.default_rng(0)
    for number in range(count):
        waves = sum(np.sin(ball.vertices @ rng.normal(scale=3, size=3) + rng.uniform(0, 6)) for _ in range(3))
        lumpy = trimesh.Trimesh(ball.vertices * (1 + 0.1 * waves[:, None]), ball.faces, process=False)
        lumpy.export(folder / f"shape_{number:05d}.ply")


def peak() -> int:
    """Largest resident set so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=int, default=2000, help="shapes of the category")
    parser.add_argument("--batches", type=int, default=400, help="batches drawn")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    import_open3d()
    with tempfile.TemporaryDirectory() as name:
        write_shapes(Path(name), options.shapes)
        record: dict[str, float] = {"shapes": options.shapes, "batches": options.batches, "MiB at first": peak()}
        start = time.perf_counter()
        shapes = read_shapes(Path(name), ShapeSettings()).shapes
        record |= {"seconds to read": time.perf_counter() - start, "MiB when read": peak()}
    each = POINTS // SHAPES_A_BATCH // 2
    batches = PointBatches(
        [shape.source for shape in shapes], SampleCounts(near=each, far=each), shapes=SHAPES_A_BATCH, entropy=(0,)
    )
    start = time.perf_counter()
    for step in range(options.batches):
        batches(step)
    record |= {"seconds to draw": time.perf_counter() - start, "MiB when drawn": peak()}
    for words, value in record.items():
        print(f"{words:>16}  {value:,.1f}" if isinstance(value, float) else f"{words:>16}  {value:,}")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
