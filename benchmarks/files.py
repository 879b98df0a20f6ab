"""Writing and reading a large mesh in every format: seconds, and peak memory beside the mesh itself.

.venv/bin/python benchmarks/files.py [--faces 5000000] [--formats ply obj glb stl off soup] [--json FILE]

The mesh is a bumpy torus made here, without colours. Every case is a process of its own. Memory is the largest resident
size while writing or reading, less what was resident before (the program, and when writing the mesh), less the arrays
of the mesh that was read. "soup" is an STL each of whose corners is rounded by itself.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from inr_plugins.geometry.mesh import Mesh

FORMATS = ("ply", "obj", "glb", "stl", "off", "soup")
MIB = 1 << 20


def torus(faces: int) -> Mesh:
    """A closed torus of about so many faces, with bumps so that no two coordinates are alike."""
    side = round((faces / 2) ** 0.5)
    u, v = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    a, b = 2 * np.pi * u / side, 2 * np.pi * v / side
    thick = 0.4 + 0.02 * np.sin(17 * a) * np.cos(23 * b)
    ring = 1 + thick * np.cos(b)
    vertices = np.stack([ring * np.cos(a), ring * np.sin(a), thick * np.sin(b)], axis=-1).reshape(-1, 3)
    right, up = (u + 1) % side, (v + 1) % side
    corners = [u * side + v, right * side + v, right * side + up, u * side + up]
    quads = np.stack([corner.ravel() for corner in corners], axis=1)
    return Mesh(vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


def peak() -> int:
    """Largest resident size of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident() -> int:
    """Resident size of this process now, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def write(kind: str, faces: int, path: Path, answer: Any) -> None:
    """Write the file in this process; formats that the program does not write are made by hand, and not measured."""
    mesh = torus(faces)
    if kind == "soup":
        corners = mesh.vertices[mesh.faces] * 100
        rows = np.zeros(len(corners), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
        rows["corners"] = corners + np.random.default_rng(0).uniform(-2e-5, 2e-5, corners.shape)
        path.write_bytes(bytes(80) + np.uint32(len(rows)).tobytes() + rows.tobytes())
        answer.send(None)
    elif kind == "off":
        with path.open("w") as file:
            file.write(f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n")
            np.savetxt(file, mesh.vertices, fmt="%.9g")
            np.savetxt(file, mesh.faces, fmt="3 %d %d %d")
        answer.send(None)
    else:
        from inr_plugins.geometry.io.mesh_io import write_mesh

        # The mesh's making is not to count: its own peak is above what is resident now.
        Path("/proc/self/clear_refs").write_text("5")
        before, start = resident(), time.perf_counter()
        write_mesh(mesh, path, sidecar={}, overwrite=True)
        answer.send({"seconds": time.perf_counter() - start, "memory": peak_since_reset() - before})


def peak_since_reset() -> int:
    """Largest resident size since clear_refs was written, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def read(path: Path, answer: Any) -> None:
    """Read the file in this process."""
    from inr_plugins.geometry.io.mesh_read import read_mesh

    small = path.with_name("small" + path.suffix)
    read_mesh(small)  # so that every import is done
    before, start = resident(), time.perf_counter()
    mesh = read_mesh(path)
    seconds = time.perf_counter() - start
    arrays = mesh.vertices.nbytes + mesh.faces.nbytes
    found = {"vertices": len(mesh.vertices), "faces": len(mesh.faces), "arrays": arrays}
    answer.send({"seconds": seconds, "memory": peak() - before - arrays, **found})


def in_own_process(work: Any, *arguments: Any) -> Any:
    """What `work` answers; None where it died."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(*arguments, theirs))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        found = None
    process.join()
    return found


def small_file(path: Path, kind: str) -> None:
    """A file of a few faces of the same format, so that reading it once loads what reading needs."""
    mesh = torus(200)
    if kind == "off":
        lines = [f"OFF {len(mesh.vertices)} {len(mesh.faces)} 0"]
        lines += [" ".join(map(str, row)) for row in mesh.vertices]
        lines += [" ".join(map(str, [3, *row])) for row in mesh.faces]
        path.write_text("\n".join(lines))
        return
    from inr_plugins.geometry.io.mesh_io import write_mesh

    write_mesh(mesh, path, sidecar={}, overwrite=True)


def measure(kind: str, faces: int, folder: Path) -> dict[str, Any]:
    """One format."""
    suffix = ".stl" if kind == "soup" else f".{kind}"
    path = folder / f"large{suffix}"
    small_file(folder / f"small{suffix}", kind)
    written = in_own_process(write, kind, faces, path)
    size = path.stat().st_size
    found = in_own_process(read, path)
    path.unlink()
    return {"format": kind, "file": size, "write": written, "read": found}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=5_000_000)
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    columns = ("format", "file MiB", "write s", "write MiB", "read s", "read MiB", "mesh MiB", "vertices", "faces")
    table, rows = Table(*columns), []
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.formats:
            row = measure(kind, given.faces, Path(folder))
            rows.append(row)
            written, found = row["write"], row["read"]
            cells = [f"{written['seconds']:.1f}", f"{written['memory'] / MIB:.0f}"] if written else ["", ""]
            last = [f"{found['vertices']:,}", f"{found['faces']:,}"] if found else ["died", ""]
            sizes = [f"{found[name] / MIB:.0f}" for name in ("memory", "arrays")] if found else ["", ""]
            seconds = [f"{found['seconds']:.1f}"] if found else [""]
            table.add_row(kind, f"{row['file'] / MIB:.0f}", *cells, *seconds, *sizes, *last)
    Console().print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"faces": given.faces, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
