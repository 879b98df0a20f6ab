"""The vertices of PLY files and the points of PCD files, as tables.

open3d's readers are not used for them: of a file that is cut short they give as many points as it announces, the last
of them made up; they read PCD files of 64 bits as zeros, and no infinite number in text. trimesh's takes some hundred
bytes for every number of a PLY file in text. Both were tried on open3d 0.20 and trimesh 5.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.clouds.columns import Table, plain_name
from inr_plugins.geometry.io.formats.ply import LONGEST_HEADER, read_ply_header
from inr_plugins.geometry.io.formats.text_lines import NotANumber, respelled
from inr_plugins.geometry.open3d_import import import_open3d

_WANTED = ("x", "y", "z", "nx", "ny", "nz")
_ROWS_AT_ONCE = 1 << 20


def read_ply_rows(path: Path) -> Table:
    """Positions and normals of a PLY file's vertices, and the names of all their properties.

    Raises:
        InputError: the file is cut short, goes on after what it announces, or has lists before or among its vertices'
            properties.
    """
    header = read_ply_header(path)
    with path.open("rb") as binary:
        binary.seek(header.size)
        file: Any = TextIOWrapper(binary, encoding="latin-1") if header.text else binary
        for element in header.elements:
            if any(each.length_type is not None for each in element.properties):
                raise InputError(f"{path} has lists before the end of its vertices; write it without them.")
            record = np.dtype([(each.name, header.order + each.type) for each in element.properties])
            if element.name == "vertex":
                last = header.elements[-1] is element
                return _table(file, record, element.count, path, text=header.text, last=last)
            _skip(file, record, element.count, text=header.text)
    raise InputError(f"{path} has no vertices; write it again, or give another file.")


def _header_lines(file: Any, path: Path, *, end: str) -> list[str]:
    """Lines up to the one that begins with `end`, and that one."""
    lines: list[str] = []
    left = LONGEST_HEADER
    while left > 0:
        line = file.readline(left)
        left -= len(line)
        lines.append((line if isinstance(line, str) else line.decode("ascii", errors="replace")).strip())
        if lines[-1].startswith(end):
            return lines
        if not line:
            break
    raise InputError(f"{path} cannot be read: it has no line {end!r}; it is cut short or of another format.")


def _skip(file: Any, record: np.dtype, count: int, *, text: bool) -> None:
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
    with _opened(path) as file:
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
        is_text = header["DATA"] == ["ascii"]
        if is_text and not isinstance(file, TextIOWrapper):
            file = TextIOWrapper(file, encoding="latin-1")
        return _table(file, record, count, path, text=is_text, last=True)


def _opened(path: Path) -> Any:
    """The file as bytes, or as text where its lines end as those of old Macs do."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    return path.open(encoding="latin-1") if b"\r" in head and b"\n" not in head else path.open("rb")


def _compressed(path: Path, record: np.dtype, count: int) -> Table:
    """Rows of a compressed PCD file, which only open3d unpacks."""
    names = [name for name in record.names or () if plain_name(name) in _WANTED]
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


def _table(file: Any, record: np.dtype, count: int, path: Path, *, text: bool, last: bool) -> Table:
    """The wanted columns of `count` records from where the file stands, then the names of the others without rows."""
    names = list(record.names or ())
    wanted = [name for name in names if plain_name(name) in _WANTED]
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


def _text_rows(file: Any, record: np.dtype, wanted: Sequence[str], count: int) -> tuple[np.ndarray, bool]:
    names = list(record.names or ())
    width = [int(np.prod(record[name].shape, dtype=int)) for name in names]
    columns = [sum(width[: names.index(name)]) for name in wanted]
    start = file.tell()
    first = next((line for line in iter(file.readline, "") if line.strip()), "")
    if first and len(first.split()) != sum(width):  # numpy looks at the chosen columns only
        raise InputError(
            f"{file.name} announces {sum(width)} numbers for each point, and its first one has {len(first.split())}; "
            "write it again."
        )
    for lines in (file, map(respelled, file)):
        file.seek(start)
        try:
            rows = np.loadtxt(lines, ndmin=2, comments=None, usecols=columns, max_rows=count)
            return rows, any(line.strip() for line in file)
        except ValueError as error:
            failure = error
    if word := re.search(r"could not convert string '(.*?)' to float", str(failure)):
        raise NotANumber(word[1]) from failure
    reason = str(failure).splitlines()[0]
    raise InputError(f"{file.name} cannot be read; it may be cut short ({reason}).") from failure


def _binary_rows(file: Any, record: np.dtype, wanted: Sequence[str], count: int) -> tuple[np.ndarray, bool]:
    rows = np.empty((count, len(wanted)))
    for start in range(0, count, _ROWS_AT_ONCE):
        read = file.read(min(_ROWS_AT_ONCE, count - start) * record.itemsize)
        block = np.frombuffer(read, dtype=record, count=len(read) // record.itemsize)
        for column, name in enumerate(wanted):
            rows[start : start + len(block), column] = block[name]
        if len(block) < min(_ROWS_AT_ONCE, count - start):
            return rows[: start + len(block)], False
    return rows, len(file.read(record.itemsize)) == record.itemsize
