"""A picture of meshes for the docs: a row for each, in its own colours and as a grey surface, from two sides.

.venv/bin/python scripts/mesh_picture.py docs/pictures/meshes.png WINDMILL/mesh.ply LEGO/mesh.ply
.venv/bin/python scripts/mesh_picture.py --beside docs/pictures/few_points.png TRUTH.ply FIT.ply    # grey
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from inr_plugins.geometry.appearance.mesh_render import turntable_frames
from inr_plugins.geometry.io.mesh_read import read_mesh

SIZE = 320


def row(path: Path) -> np.ndarray:
    """Two sides of a mesh in colour, then the same in grey."""
    mesh = read_mesh(path)
    looks = [mesh, replace(mesh, colours=None)] if mesh.colours is not None else [mesh]
    # Eight frames make a turn: opposite ones, a little to the side.
    chosen = [list(turntable_frames(look, frames=8, size=SIZE))[k] for look in looks for k in (1, 5)]
    return np.concatenate(chosen, axis=1)


def beside(paths: list[Path]) -> np.ndarray:
    """One side of each mesh in grey, beside one another."""
    meshes = [replace(read_mesh(path), colours=None) for path in paths]
    return np.concatenate([list(turntable_frames(mesh, frames=8, size=SIZE))[1] for mesh in meshes], axis=1)


def main(arguments: list[str]) -> None:
    """Draw a row for each mesh, or one of them all."""
    output, *meshes = [Path(each) for each in arguments if each != "--beside"]
    picture = beside(meshes) if "--beside" in arguments else np.concatenate([row(path) for path in meshes], axis=0)
    Image.fromarray(picture).save(output, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
