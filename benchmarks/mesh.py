"""Coarse-to-fine meshing beside dense meshing of the same field: seconds, peak memory, share of the lattice evaluated.

.venv/bin/python benchmarks/mesh.py [--resolutions 256 512 1024] [--dense-up-to 512] [--run RUN] [--json FILE]

The analytic field is a signed distance in numpy: a torus, a gyroid shell inside a ball, and twelve small balls. With
--run, the field of a trained run instead, through inr-mesh with and without --dense. Every case is a process of its
own, whose peak is that of the whole process; the two meshes of a resolution are compared triangle for triangle.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
BALLS = np.random.default_rng(0).uniform(-0.9, 0.9, (12, 3))


def analytic_sdf(points: np.ndarray) -> np.ndarray:
    """Distance bound (slope at most 1) of the shapes."""
    x, y, z = points.T.astype(np.float32)
    torus = np.hypot(np.hypot(x, y) - 0.75, z) - 0.12
    k = np.float32(14)
    gyroid = np.sin(k * x) * np.cos(k * y) + np.sin(k * y) * np.cos(k * z) + np.sin(k * z) * np.cos(k * x)
    shell = np.maximum(np.abs(gyroid) / (k * np.float32(1.75)) - 0.01, np.sqrt(x * x + y * y + z * z) - 0.5)
    found = np.minimum(torus, shell)
    for a, b, c in BALLS.astype(np.float32):
        found = np.minimum(found, np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) - 0.04)
    return found


def canonical(vertices: np.ndarray, faces: np.ndarray) -> str:
    """A fingerprint of the triangles that does not depend on how vertices and faces are numbered."""
    order = np.lexsort(vertices.T)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    triangles = number[faces]
    first = triangles.argmin(axis=1)[:, None]
    triangles = np.take_along_axis(triangles, (first + np.arange(3)) % 3, axis=1)
    triangles = triangles[np.lexsort(triangles.T)]
    digest = hashlib.sha256(vertices[order].tobytes())
    digest.update(triangles.tobytes())
    return digest.hexdigest()[:16]


def mesh_analytic(resolution: int, dense: bool, answer: Any) -> None:
    """Mesh the analytic field in this process."""
    from inr_plugins.geometry.levelset.block_lattice import ByDistance
    from inr_plugins.geometry.levelset.isosurface import extract_isosurface
    from inr_plugins.geometry.levelset.lattice import Lattice
    from inr_plugins.geometry.levelset.sparse_isosurface import extract_sparse_isosurface

    start = time.perf_counter()
    if dense:
        mesh = extract_isosurface(analytic_sdf, BOX, resolution=resolution, level=0.0, inside="below")
        share = 1.0
    else:
        found = extract_sparse_isosurface(
            analytic_sdf, Lattice.for_box(BOX, resolution=resolution), choice=ByDistance(), level=0.0, inside="below"
        )
        mesh, share = found.mesh, found.share
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    answer.put((seconds, peak, share, len(mesh.faces), canonical(mesh.vertices, mesh.faces)))


def mesh_run(run: str, resolution: int, dense: bool, answer: Any) -> None:
    """Mesh a trained run's field in this process, without colours and cleaning; the seconds are those of extraction."""
    from inr_plugins.engine.runs.run import load_run
    from inr_plugins.meshing.extracted import extract_mesh
    from inr_plugins.meshing.settings import MeshSettings

    folder = Path(run)
    opened = load_run(folder / "config.yml" if folder.is_dir() else folder)
    extracted = extract_mesh(
        opened,
        MeshSettings(resolution=resolution, dense=dense, colour="none", min_component=0, fill_cavities=False),
    )
    sidecar = extracted.description
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    fingerprint = canonical(extracted.mesh.vertices, extracted.mesh.faces)
    answer.put((sidecar["seconds"]["extract"], peak, sidecar["evaluated_share"], sidecar["faces"], fingerprint))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[256, 512, 1024], help="samples along a side")
    parser.add_argument("--dense-up-to", type=int, default=512, help="largest resolution to evaluate densely too")
    parser.add_argument("--run", help="a trained run instead of the analytic field")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    table = Table(title=f"Meshing {'the analytic field' if options.run is None else options.run}")
    for heading in ("samples", "", "seconds", "peak GB", "evaluated", "faces", "mesh"):
        table.add_column(heading, justify="right")
    context, records = multiprocessing.get_context("spawn"), []
    for resolution in options.resolutions:
        for dense in (False, True) if resolution <= options.dense_up_to else (False,):
            answer = context.Queue()
            target, first = (mesh_analytic, ()) if options.run is None else (mesh_run, (options.run,))
            process = context.Process(target=target, args=(*first, resolution, dense, answer))
            process.start()
            seconds, peak, share, faces, fingerprint = answer.get()
            process.join()
            name = "dense" if dense else "coarse to fine"
            table.add_row(
                *(f"{resolution}^3", name, f"{seconds:.1f}", f"{peak:.2f}", f"{share:.1%}", f"{faces:,}", fingerprint)
            )
            records.append(
                dict(
                    samples=resolution, how=name, seconds=seconds, peak=peak, share=share, faces=faces, mesh=fingerprint
                )
            )
    Console(width=110).print(table)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
