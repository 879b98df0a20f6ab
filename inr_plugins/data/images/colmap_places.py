"""Where reconstructions of COLMAP's lie in the folders that people have."""

from __future__ import annotations

from pathlib import Path

PLACES = ("colmap/sparse/0", "sparse/0", "colmap/sparse", "sparse", "colmap", ".")
"""Where a reconstruction lies in folders as ns-process-data, COLMAP, and people make them."""


def find_reconstruction(data: Path) -> Path | None:
    """The first of :data:`PLACES` below `data` that holds a reconstruction, or None."""
    return next((Path(place) for place in PLACES if is_reconstruction(data / place)), None)


def is_reconstruction(folder: Path) -> bool:
    """Whether a folder holds cameras and images, .txt or .bin."""
    return any(
        all((folder / f"{name}.{ending}").exists() for name in ("cameras", "images")) for ending in ("txt", "bin")
    )
