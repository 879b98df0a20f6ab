"""The libraries of materials beside OBJ files: colours and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inr_plugins.geometry.io.formats.pictures import beside, load_picture
from inr_plugins.geometry.io.mesh_file import Paint, Tell
from inr_plugins.geometry.srgb import linear_from_srgb

# How many words follow an option of a texture map, at least and at most.
_OPTIONS = {
    "-s": (1, 3), "-o": (1, 3), "-t": (1, 3), "-mm": (2, 2), "-bm": (1, 1), "-blendu": (1, 1), "-blendv": (1, 1),
    "-boost": (1, 1), "-cc": (1, 1), "-clamp": (1, 1), "-imfchan": (1, 1), "-texres": (1, 1), "-type": (1, 1),
    "-colorspace": (1, 1),
}  # fmt: skip
_MOVES = {"-s": "scale", "-o": "offset"}
# Options that would change what is seen, and are not followed.
_TOLD = {"-t", "-mm", "-imfchan"}


@dataclass
class _Material:
    colour: tuple[float, float, float] | None = None
    picture: str | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


def read_paints(obj: Path, libraries: list[str], wanted: list[str], tell: Tell) -> dict[str, Paint]:
    """How the wanted materials look. Colours of MTL files are taken as display values (sRGB).

    A material with a picture is that picture; what cannot be found or read is told, and then the material's colour is
    used, or grey.

    Args:
        obj: the OBJ file.
        libraries: what stands behind mtllib: one name, that may have spaces, or several.
        wanted: names of materials.
        tell: told what is missing.
    """
    materials: dict[str, _Material] = {}
    for file in _library_files(obj, libraries, tell) if wanted else ():
        materials |= _read_library(file, tell)
    lost = [name for name in wanted if name not in materials]
    if lost and libraries:
        tell(f"material {lost[0]}{f' and {len(lost) - 1} more' if len(lost) > 1 else ''} not described, drawn grey")
    pictures: dict[str, np.ndarray | None] = {}
    paints = {}
    for name in wanted:
        material = materials.get(name, _Material())
        file_name = material.picture
        if file_name is not None and file_name not in pictures:
            found = beside(obj, file_name)
            if found is None:
                tell(f"picture {file_name} is missing, its material's colour is used")
            pictures[file_name] = None if found is None else load_picture(found, file_name, tell)
        picture = None if file_name is None else pictures[file_name]
        paints[name] = Paint(
            None if picture is not None else material.colour, picture, scale=material.scale, offset=material.offset
        )
    return paints


def _library_files(obj: Path, libraries: list[str], tell: Tell) -> Iterator[Path]:
    for line in dict.fromkeys(libraries):
        whole = beside(obj, line)
        names = [line] if whole is not None or line.lower().count(".mtl") < 2 else line.split()
        for name in names:
            found = beside(obj, name)
            if found is None:
                tell(f"materials {name} are missing, drawn grey")
            else:
                yield found


def _read_library(file: Path, tell: Tell) -> dict[str, _Material]:
    materials: dict[str, _Material] = {}
    material = _Material()
    for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        keyword, _, rest = line.strip().replace("\t", " ").partition(" ")
        keyword, rest = keyword.lower(), rest.strip()
        if keyword == "newmtl":
            material = materials.setdefault(rest, _Material())
        elif keyword == "kd":
            material.colour = _colour(rest)
        elif keyword == "map_kd":
            _with_picture(material, rest, tell)
    return materials


def _colour(words: str) -> tuple[float, float, float] | None:
    try:
        values = [float(word) for word in words.split()]
    except ValueError:  # "spectral" and "xyz" colours, which hardly any program writes
        return None
    if len(values) not in (1, 3) or not np.isfinite(values).all():
        return None
    r, g, b = linear_from_srgb(np.clip(np.array(values * 3)[:3] if len(values) == 1 else np.array(values), 0, 1))
    return float(r), float(g), float(b)


def _with_picture(material: _Material, rest: str, tell: Tell) -> None:
    """Take the file name behind the options of a map, which may have spaces, and the options that move the picture."""
    while rest.startswith("-"):
        option, _, after = rest.partition(" ")
        if option.lower() not in _OPTIONS:
            break
        least, most = _OPTIONS[option.lower()]
        words = after.split(" ")
        taken = least
        while taken < most and taken < len(words) - 1 and _is_number(words[taken]):
            taken += 1
        if option.lower() in _MOVES:
            values = [float(word) for word in words[:taken] if _is_number(word)]
            rest_of = 1.0 if option.lower() == "-s" else 0.0
            setattr(material, _MOVES[option.lower()], ((values[:1] or [rest_of])[0], (values[1:2] or [rest_of])[0]))
        elif option.lower() in _TOLD:
            tell(f"{option} {' '.join(words[:taken])} of a picture left out")
        rest = " ".join(words[taken:]).strip()
    material.picture = rest or None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
