"""Time and memory of reading a large cloud, leaving out what is double or stray, and finding its normals.

The cloud is made here: a torus with waves on it, a tenth of its points twice, and a few far away. Each case runs in a
process of its own, so that its peak is its own.

    python benchmarks/cloud.py --points 10_000_000 --kinds ply xyz
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from inr_plugins.bench.memory import host_peak_gb

Kind = Literal["ply", "unoriented", "xyz"]


@dataclass
class Options:
    """What to measure."""

    points: int = 1_000_000
    """Points of the cloud."""
    kinds: tuple[Kind, ...] = ("ply", "unoriented", "xyz")
    """Binary PLY with normals, the same with normals that look both ways, or text with positions only."""
    case: Kind | None = None
    """Measure this one in this process, from --file; without, all of them, each in its own."""
    file: Path = Path()
    """The cloud of --case."""


def make_cloud(path: Path, count: int, kind: Kind) -> None:
    """Write the cloud, a million points at a time."""
    rng = np.random.default_rng(0)
    fields = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    with path.open("wb") as file:
        if path.suffix == ".ply":
            head = "".join(f"property float {name}\n" for name, _ in fields)
            file.write(f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{head}end_header\n".encode())
        for start in range(0, count, 1_000_000):
            points, normals = _torus(rng, min(1_000_000, count - start))
            points[: len(points) // 20] = points[-(len(points) // 20) :]
            normals[: len(points) // 20] = normals[-(len(points) // 20) :]
            points[:2] *= 50
            if kind == "unoriented":
                normals *= np.where(rng.random(len(points)) < 0.5, -1, 1)[:, None]
            if path.suffix == ".ply":
                file.write(np.hstack([points, normals]).astype("<f4").tobytes())
            else:
                np.savetxt(file, points, fmt="%.7f")


def _torus(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a torus with waves, not quite uniform, and its normals by differences."""
    long, short = 2 * np.pi * rng.random((2, count))

    def surface(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        thin = 0.3 + 0.03 * np.sin(9 * u) * np.cos(6 * v)
        wide = 1 + thin * np.cos(v)
        return np.stack([wide * np.cos(u), wide * np.sin(u), thin * np.sin(v)], axis=1)

    along = surface(long + 1e-4, short) - surface(long - 1e-4, short)
    across = surface(long, short + 1e-4) - surface(long, short - 1e-4)
    normals = np.cross(along, across)
    return surface(long, short), normals / np.linalg.norm(normals, axis=1, keepdims=True)


def measure(file: Path) -> dict[str, float | list[str]]:
    """Seconds and peak memory of reading the file and making it ready to be sampled, as a training does."""
    from inr_plugins.data.shapes.clouds import CloudSettings, ready_cloud
    from inr_plugins.geometry.io.clouds.read import read_cloud

    before, start = host_peak_gb(), time.perf_counter()
    cloud = read_cloud(file)
    read, peak = time.perf_counter(), host_peak_gb()
    count = len(cloud.points)
    cloud = ready_cloud(cloud, CloudSettings(), file)
    return {
        "read_s": read - start,
        "read_bytes_a_point": (peak - before) * 1e9 / count,
        "ready_s": time.perf_counter() - read,
        "processor_s": time.process_time(),
        "ready_bytes_a_point": (host_peak_gb() - before) * 1e9 / count,
        "peak_gb": host_peak_gb(),
        "notes": list(cloud.notes),
    }


def main(options: Options) -> None:
    """Measure the cases and print a line of JSON for each."""
    if options.case is not None:
        print(json.dumps(measure(options.file)))
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-cloud-") as folder:
        for kind in options.kinds:
            file = Path(folder) / f"cloud.{'ply' if kind == 'unoriented' else kind}"
            make_cloud(file, options.points, kind)
            command = [sys.executable, __file__, "--case", kind, "--file", str(file)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            print(json.dumps({"kind": kind, "points": options.points, **json.loads(done.stdout)}), flush=True)
            file.unlink()


if __name__ == "__main__":
    main(tyro.cli(Options))
