"""The pictures that mesh files name: found beside them, whatever system wrote the name, and read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from inr_plugins.geometry.io.mesh_file import Tell


def beside(file: Path, name: str) -> Path | None:
    r"""The file that `name`, written in a mesh file or a library of materials, means; None: there is none.

    Looked for in this order: as it is written, with "\" for "/", in whatever case, and by its last part alone beside
    `file`, since many exporters write the path on the machine they ran on.
    """
    name = name.strip().strip('"')
    for spelling in (name, name.replace("\\", "/"), name.replace("\\", "/").rpartition("/")[2]):
        if spelling and (found := _in_any_case(file.parent, Path(spelling))) is not None:
            return found
    return None


def _in_any_case(folder: Path, name: Path) -> Path | None:
    if (folder / name).is_file():
        return folder / name
    if name.is_absolute():
        return None
    for part in name.parts:
        if part == ".." or (folder / part).exists():
            folder = folder / part
            continue
        alike = [each for each in (folder.iterdir() if folder.is_dir() else ()) if each.name.lower() == part.lower()]
        if not alike:
            return None
        folder = min(alike)
    return folder if folder.is_file() else None


def load_picture(data: Path | bytes, name: str, tell: Tell) -> UInt8[np.ndarray, "h w 3"] | None:
    """A picture as sRGB; None, and told so, where it cannot be read.

    Args:
        data: file, or its content.
        name: what to call it.
        tell: told why there is none.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as picture:
            return np.asarray(picture.convert("RGB"))
    except Exception as error:  # readers meet broken pictures with any kind of exception
        tell(f"picture {name} cannot be read ({type(error).__name__}), its material's colour is used")
        return None
