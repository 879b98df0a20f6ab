"""The vertices of PLY files and the points of PCD files, as tables.

open3d's readers are not used for them: of a file that is cut short they give as many points as it announces, the last
of them made up; they read PCD files of 64 bits as zeros, and no infinite number in text. trimesh's takes some hundred
bytes for every number of a PLY file in text. Both were tried on open3d 0.20 and trimesh 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.cloud_columns import Table
from inr_plugins.geometry.io.ply import LONGEST_HEADER
from inr_plugins.geometry.open3d_import import import_open3d

_PLY_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_PLY_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_WANTED = ("x", "y", "z", "nx", "ny", "nz", "normal_x", "normal_y", "normal_z")
_ROWS_AT_ONCE = 1 << 20


def read_ply_rows(path: Path) -> Table:
    """Positions and normals of a PLY file's vertices, and the names of all their properties.

    Raises:
        InputError: the file is cut short, goes on after what it announces, or has lists before or among its vertices'
            properties.
    """
    with path.open("rb") as file:
        order, elements = _ply_header(file, path)
        for name, count, properties in elements:
            if any(kind == "list" for kind, _ in properties):
                raise InputError(f"{path} has lists before the end of its vertices; write it without them.")
            record = np.dtype([(label, order + _PLY_TYPES[kind]) for kind, label in properties])
            if name == "vertex":
                last = elements[-1][0] == "vertex"
                return _table(file, record, count, path, text=order == "", last=last)
            _skip(file, record, count, text=order == "")
    raise InputError(f"{path} has no vertices; write it again, or give another file.")


def _ply_header(file: BinaryIO, path: Path) -> tuple[str, list[tuple[str, int, list[tuple[str, str]]]]]:
    """The byte order, empty for text, and name, count and properties (type, name) of each element."""
    order = ""
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []
    lines = _header_lines(file, path, end="end_header")
    if lines[0] != "ply":
        raise InputError(f"{path} does not begin with the line ply, as PLY files do; write it again.")
    for line in lines:
        words = line.split()
        if words[:1] == ["format"]:
            order = _PLY_ORDERS[words[1]]
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            elements[-1][2].append((words[1], words[-1]))
    return order, elements


def _header_lines(file: BinaryIO, path: Path, *, end: str) -> list[str]:
    """Lines up to the one that begins with `end`, and that one."""
    lines: list[str] = []
    while file.tell() < LONGEST_HEADER:
        line = file.readline()
        lines.append(line.decode("ascii", errors="replace").strip())
        if lines[-1].startswith(end):
            return lines
        if not line:
            break
    raise InputError(f"{path} cannot be read: it has no line {end!r}; it is cut short or of another format.")


def _skip(file: BinaryIO, record: np.dtype, count: int, *, text: bool) -> None:
    if not text:
        file.seek(count * record.itemsize, 1)
        return
    for _ in range(count):
        file.readline()


def read_pcd_rows(path: Path) -> Table:
    """Positions and normals of a PCD file's points, and the names of all its fields.

    Raises:
        InputError: the file is cut short, or its header contradicts itself.
    """
    with path.open("rb") as file:
        lines = [line.split() for line in _header_lines(file, path, end="DATA")]
        header = {words[0]: words[1:] for words in lines if words and not words[0].startswith("#")}
        names = header.get("FIELDS") or header["COLUMNS"]
        counts = [int(count) for count in header.get("COUNT", ["1"] * len(names))]
        record = np.dtype(
            [
                (f"{name}{number}" if name == "_" else name, f"<{kind.lower()}{size}", (times,) if times > 1 else ())
                for number, (name, kind, size, times) in enumerate(
                    zip(names, header["TYPE"], header["SIZE"], counts, strict=True)
                )
            ]
        )
        announced = int(header["WIDTH"][0]) * int(header.get("HEIGHT", ["1"])[0])
        count = int(header.get("POINTS", [str(announced)])[0])
        if count != announced:
            raise InputError(f"{path} announces {announced} points by width and height and {count} in all.")
        if header["DATA"] == ["binary_compressed"]:
            return _compressed(path, record, count)
        return _table(file, record, count, path, text=header["DATA"] == ["ascii"], last=True)


def _compressed(path: Path, record: np.dtype, count: int) -> Table:
    """Rows of a compressed PCD file, which only open3d unpacks."""
    names = [name for name in record.names or () if name in _WANTED]
    if any(record[name] != np.dtype("<f4") for name in names):
        raise InputError(f"{path} is compressed and not of 32 bits; write it as binary or ASCII instead.")
    o3d = import_open3d()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        cloud = o3d.io.read_point_cloud(str(path), remove_nan_points=False, remove_infinite_points=False)
    if len(cloud.points) != count:
        raise InputError(f"{path} announces {count} points and has {len(cloud.points)}; it is cut short.")
    if not cloud.has_normals():
        return Table(np.array(cloud.points), ("x", "y", "z"))
    return Table(np.hstack([cloud.points, cloud.normals]), ("x", "y", "z", "nx", "ny", "nz"))


def _table(file: BinaryIO, record: np.dtype, count: int, path: Path, *, text: bool, last: bool) -> Table:
    """The wanted columns of `count` records from where the file stands, then the names of the others without rows."""
    names = list(record.names or ())
    wanted = [name for name in names if name in _WANTED]
    if count == 0:
        return Table(np.zeros((0, len(wanted))), tuple(wanted))
    if text:
        rows, more = _text_rows(file, record, wanted, count)
    else:
        rows, more = _binary_rows(file, record, wanted, count)
    if len(rows) < count or (last and more):
        raise InputError(
            f"{path} announces {count} points and has {'more' if len(rows) == count else len(rows)}; it "
            f"{'was written wrongly' if len(rows) == count else 'is cut short'}: write it again."
        )
    return Table(rows, tuple(wanted), ignored=tuple(name for name in names if name not in wanted))


def _text_rows(file: BinaryIO, record: np.dtype, wanted: Sequence[str], count: int) -> tuple[np.ndarray, bool]:
    names = list(record.names or ())
    width = [int(np.prod(record[name].shape, dtype=int)) for name in names]
    columns = [sum(width[: names.index(name)]) for name in wanted]
    try:
        rows = np.loadtxt(file, ndmin=2, comments=None, usecols=columns, max_rows=count)
    except ValueError as error:
        raise InputError(f"{file.name} cannot be read; it may be cut short ({str(error).splitlines()[0]}).") from error
    return rows, any(line.strip() for line in file)


def _binary_rows(file: BinaryIO, record: np.dtype, wanted: Sequence[str], count: int) -> tuple[np.ndarray, bool]:
    rows = np.empty((count, len(wanted)))
    for start in range(0, count, _ROWS_AT_ONCE):
        read = file.read(min(_ROWS_AT_ONCE, count - start) * record.itemsize)
        block = np.frombuffer(read, dtype=record, count=len(read) // record.itemsize)
        for column, name in enumerate(wanted):
            rows[start : start + len(block), column] = block[name]
        if len(block) < min(_ROWS_AT_ONCE, count - start):
            return rows[: start + len(block)], False
    return rows, len(file.read(record.itemsize)) == record.itemsize
