"""Signed distances a second of a mesh, by way of telling the sign, near the surface and far from it.

.venv/bin/python benchmarks/sampling.py MESH [--points 10000] [--repeats 9] [--json FILE]

Points are those of training: the surface moved by Laplace noise, of scale 0.002 (near) and 0.2 (far) for a mesh whose
longest side is 1.8, and uniform in the box. Each figure is the median of the repeats, after one that is not counted.
The last rows are batches as training draws them: half near, half far, made for the batch or taken from the pool.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from inr_plugins.data.shapes.files import Shape, ShapeSettings, read_shapes
from inr_plugins.data.shapes.sampling import SampleCounts, SampleSource
from inr_plugins.geometry.distance.cloud_distance import CloudDistance, PlaneDistance
from inr_plugins.geometry.distance.signed_distance import MeshDistance
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.surface_sampler import SurfaceSampler

CLOUD_POINTS = 50_000


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of the work."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def points_of_each_kind(shape: Shape, count: int) -> dict[str, np.ndarray]:
    """Points as training draws them, without distances."""
    assert isinstance(shape.surface, Mesh)
    rng = np.random.default_rng(0)
    surface, _ = SurfaceSampler(shape.surface).sample(count, rng)
    return {
        "near": surface + rng.laplace(scale=0.002, size=surface.shape),
        "far": np.mod(surface + rng.laplace(scale=0.2, size=surface.shape) + 1, 2) - 1,
        "uniform": rng.uniform(-1, 1, surface.shape),
    }


def distances(mesh: Mesh) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Every way to a distance."""
    cloud = SurfaceSampler(mesh).sample(CLOUD_POINTS, np.random.default_rng(1))
    return {
        "winding": MeshDistance(mesh, "winding"),
        "parity": MeshDistance(mesh, "parity"),
        "normals": MeshDistance(mesh, "normals"),
        "unsigned": MeshDistance(mesh, "unsigned"),
        f"cloud of {CLOUD_POINTS:,}": CloudDistance(*cloud),
        f"plane, {CLOUD_POINTS:,}": PlaneDistance(*cloud),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesh", type=Path, help="the mesh file")
    parser.add_argument("--points", type=int, default=10_000, help="points measured together")
    parser.add_argument("--repeats", type=int, default=9, help="times each figure is taken")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    (shape,) = read_shapes(options.mesh, ShapeSettings()).shapes
    assert isinstance(shape.surface, Mesh), "a mesh is needed here"
    console = Console(width=100)
    console.print(f"{shape.description}; {os.cpu_count()} cores")
    table = Table(title=f"Signed distances a second, thousands, {options.points:,} at once")
    for heading in ("", "near", "far", "uniform"):
        table.add_column(heading, justify="right" if heading else "left")
    kinds = points_of_each_kind(shape, options.points)
    record: dict[str, dict[str, float]] = {}
    for name, distance in distances(shape.surface).items():
        rates = {
            kind: options.points / seconds(lambda d=distance, p=points: d(p), options.repeats)  # type: ignore[misc]
            for kind, points in kinds.items()
        }
        record[name] = rates
        table.add_row(name, *(f"{rate / 1000:.0f}" for rate in rates.values()))
    console.print(table)
    counts = SampleCounts(near=options.points // 2, far=options.points // 2)
    for name, pool in (("made for each batch", 0), ("from the pool", 32_768)):
        source, rng = SampleSource(shape.surface, ShapeSettings(pool=pool), 0), np.random.default_rng(0)
        took = seconds(lambda s=source, r=rng: s.sample(counts, r), options.repeats)  # type: ignore[misc]
        record[name] = {"seconds": took}
        console.print(f"a batch of {counts.total:,}, {name}: {1000 * took:.1f} ms")
    if options.json:
        options.json.write_text(json.dumps({"mesh": options.mesh.name, "a second": record}, indent=1))


if __name__ == "__main__":
    main()
