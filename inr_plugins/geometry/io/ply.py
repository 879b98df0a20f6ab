"""PLY files: what the header announces, and the elements as trimesh reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inr_plugins.errors import InputError

# PLY headers in the wild are a few hundred bytes; scanners' comments may make them longer.
LONGEST_HEADER = 1 << 16


def ply_has_faces(path: Path) -> bool:
    """Whether the header announces faces.

    Raises:
        InputError: the file has no PLY header.
    """
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    if not head.startswith(b"ply") or b"end_header" not in head:
        raise InputError(f"{path} does not begin with the header of a PLY file; write it again.")
    return ply_count(head, b"face ") > 0


def ply_count(head: bytes, element: bytes) -> int:
    lines = head.partition(b"end_header")[0].splitlines()
    return sum(int(line.split()[2]) for line in lines if line.startswith(b"element " + element))


def load_ply_elements(path: Path) -> dict[str, Any]:
    from trimesh.exchange.ply import load_ply

    with path.open("rb") as file:
        return load_ply(file, fix_texture=False, skip_materials=True)
