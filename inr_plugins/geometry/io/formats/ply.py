"""PLY files, text and binary: elements with the properties that the header announces.

Own code: trimesh reads no strips, and no lists whose lengths differ beside others; open3d says nothing of what it
leaves out, and reads float64 alone beside the lists of corners.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.formats.text_lines import UTF8_MARK, numbers, tokens_in_lines

# PLY headers in the wild are a few hundred bytes; scanners' comments may make them longer.
LONGEST_HEADER = 1 << 16
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8", "int64": "i8", "uint64": "u8",
}  # fmt: skip
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
_ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Property:
    """A property: its type as numpy's, and that of the length where it is a list."""

    name: str
    type: str
    length_type: str | None = None


@dataclass(frozen=True)
class Element:
    """An element: its name, how many there are, and what each has."""

    name: str
    count: int
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Header:
    """What the header announces; `size` is its own length in bytes, `order` numpy's sign of the order of bytes."""

    text: bool
    order: str
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    size: int

    def count(self, name: str) -> int:
        """How many elements of that name are announced."""
        return sum(element.count for element in self.elements if element.name == name)


@dataclass(frozen=True)
class Lists:
    """A list property: all values one after the other, and the length of each list."""

    values: np.ndarray
    counts: np.ndarray


Columns = dict[str, np.ndarray | Lists]
"""The properties of an element by name: an array (n,) in the file's own type, or lists."""


def read_ply_header(path: Path) -> Header:
    """The header of a PLY file.

    Raises:
        InputError: there is none, or a line of it cannot be understood.
    """
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    end = head.find(b"end_header")
    if head.removeprefix(UTF8_MARK).splitlines()[:1] != [b"ply"]:
        raise InputError(f"{path} does not begin with the line ply, as PLY files do; write it again.")
    if end < 0:
        raise InputError(
            f"{path} does not begin with the whole header of a PLY file; it may be cut short. Write it again."
        )
    after = end + len(b"end_header")
    # A first byte of data may look like the second half of a line's end.
    size = after + (2 if head[after : after + 2] == b"\r\n" and b"\r\n" in head[:end] else 1)
    elements: list[Element] = []
    comments, form = [], ""
    for line in head[:end].decode("utf-8", errors="replace").splitlines()[1:]:
        words = line.split()
        try:
            if not words or words[0] == "obj_info":
                continue
            if words[0] == "comment":
                comments.append(line.strip().partition(" ")[2].strip())
            elif words[0] == "format":
                form = words[1]
            elif words[0] == "element":
                if not words[2].isdecimal():  # int would take -5 and 1_2
                    raise ValueError
                elements.append(Element(words[1].lower(), int(words[2]), ()))
            elif words[0] == "property":
                last = elements.pop()
                elements.append(Element(last.name, last.count, (*last.properties, _property(words[1:]))))
            else:
                raise ValueError
        except (ValueError, IndexError, KeyError):
            raise InputError(
                f'{path} has a header with a line that means nothing, "{line[:60]}"; write it again.'
            ) from None
    _check_names(elements, path)
    if form not in _ORDERS:
        raise InputError(f'{path} is PLY of the format "{form}"; it must be one of {", ".join(_ORDERS)}.')
    return Header(form == "ascii", _ORDERS[form], tuple(elements), tuple(comments), size)


def _check_names(elements: list[Element], path: Path) -> None:
    """Refuse two elements, or two properties of one, under a name: which of them is meant is anybody's guess."""
    for owner, names in [
        ("elements", [each.name for each in elements]),
        *((f'properties of "{each.name}"', [one.name for one in each.properties]) for each in elements),
    ]:
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise InputError(
                f'{path} has two {owner} called "{double}" in its header; write it again with one of them.'
            )


def _property(words: list[str]) -> Property:
    if words[0] == "list":
        return Property(words[3], _TYPES[words[2]], _TYPES[words[1]])
    return Property(words[1], _TYPES[words[0]])


def read_ply(path: Path, header: Header | None = None) -> tuple[dict[str, Columns], int]:
    """All elements by their names, and how many bytes (text: words) come after the last.

    Binary files are mapped, not read: columns are views of the file where the rows have one length, which text's are
    too. Text takes 8 bytes a number. Rows of differing lengths are walked one by one, a microsecond each.

    Raises:
        InputError: less in the file than its header announces, text with more, or a list of negative length.
        ValueError: a word of a text file that is no number.
    """
    header = header or read_ply_header(path)
    data = _words(path, header.size) if header.text else np.memmap(path, dtype=np.uint8, mode="r")[header.size :]
    position, elements = 0, {}
    try:
        for element in header.elements:
            columns, position = _read_element(data, position, element, header)
            elements[element.name] = _typed(columns, element) if header.text else columns
    except IndexError:
        raise InputError(
            f"{path} is cut short: its header announces more than the file holds "
            f"({', '.join(f'{each.count:,} {each.name}' for each in header.elements)}). Write it again."
        ) from None
    if header.text and position < len(data):
        raise InputError(
            f"{path} has {len(data) - position} numbers more than its header announces, so that rows may have been "
            "read out of step; write it again."
        )
    return elements, len(data) - position


def _typed(columns: Columns, element: Element) -> Columns:
    """Columns of a text whose whole numbers have the type that the header announces, where they fit it."""
    typed: Columns = {}
    for each in element.properties:
        column = typed[each.name] = columns[each.name]
        if isinstance(column, np.ndarray) and np.dtype(each.type).kind in "iu":
            limits = np.iinfo(each.type)
            if ((column == np.rint(column)) & (column >= limits.min) & (column <= limits.max)).all():
                typed[each.name] = column.astype(each.type)
    return typed


def _words(path: Path, start: int) -> np.ndarray:
    with path.open("rb") as file:
        file.seek(start, os.SEEK_SET)
        text = file.read() + b"\n"
    return numbers(text, int(tokens_in_lines(text).sum()))


def _read_element(data: np.ndarray, position: int, element: Element, header: Header) -> tuple[Columns, int]:
    """The columns of an element that begins at `position`, and where it ends.

    Raises:
        IndexError: the data are too short.
    """
    if not element.count:
        return {each.name: _empty(each) for each in element.properties}, position
    lengths = _lengths_of_first_row(data, position, element, header)
    width = sum(_width(each, lengths, header) for each in element.properties)
    if position + element.count * width <= len(data):
        columns = _even_rows(data, position, element, lengths, width, header)
        if columns is not None:
            return columns, position + element.count * width
    elif not lengths:
        raise IndexError
    shortest = sum(_width(each, dict.fromkeys(lengths, 0), header) for each in element.properties)
    if position + element.count * shortest > len(data):  # before room is made for all rows that are announced
        raise IndexError
    return _uneven_rows(data, position, element, header)


def _empty(each: Property) -> np.ndarray | Lists:
    values = np.zeros(0, dtype=each.type)
    return values if each.length_type is None else Lists(values, np.zeros(0, dtype=np.int64))


def _sizes(each: Property, header: Header) -> tuple[int, int]:
    """Of a value and of a list's length: bytes, or words of text."""
    if header.text:
        return 1, 1
    return np.dtype(each.type).itemsize, np.dtype(each.length_type or "u1").itemsize


def _width(each: Property, lengths: dict[str, int], header: Header) -> int:
    value, length = _sizes(each, header)
    return value if each.length_type is None else length + value * lengths[each.name]


def _length_at(data: np.ndarray, position: int, each: Property, header: Header) -> int:
    if position >= len(data):
        raise IndexError
    if header.text:
        count = int(data[position])
    else:
        kind = np.dtype(header.order + str(each.length_type))
        if position + kind.itemsize > len(data):
            raise IndexError
        count = int(np.ndarray((), kind, data, position))
    if count < 0:
        raise ValueError(f"a list of {count} values")
    return count


def _lengths_of_first_row(data: np.ndarray, position: int, element: Element, header: Header) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for each in element.properties:
        if each.length_type is not None:
            lengths[each.name] = _length_at(data, position, each, header)
        position += _width(each, lengths, header)
    return lengths


def _even_rows(
    data: np.ndarray, position: int, element: Element, lengths: dict[str, int], width: int, header: Header
) -> Columns | None:
    """Columns as views of rows that are all as long as the first; None: they are not."""
    rows = data[position : position + element.count * width].reshape(element.count, width)
    columns: Columns = {}
    at = 0
    for each in element.properties:
        _, length = _sizes(each, header)
        if each.length_type is None:
            columns[each.name] = _view(rows, at, 1, each.type, header)[:, 0]
        else:
            counts = _view(rows, at, 1, each.length_type, header)[:, 0]
            if (counts != lengths[each.name]).any():
                return None
            values = _view(rows, at + length, lengths[each.name], each.type, header)
            columns[each.name] = Lists(values.reshape(-1), np.full(element.count, lengths[each.name], dtype=np.int64))
        at += _width(each, lengths, header)
    return columns


def _view(rows: np.ndarray, at: int, count: int, kind: str, header: Header) -> np.ndarray:
    if header.text:
        return rows[:, at : at + count]
    dtype = np.dtype(header.order + kind)
    return np.ndarray((len(rows), count), dtype, rows, at, (rows.shape[1], dtype.itemsize))


def _uneven_rows(data: np.ndarray, position: int, element: Element, header: Header) -> tuple[Columns, int]:
    """Columns of rows that differ in length: where each value stands is found row by row."""
    starts = {each.name: np.zeros(element.count, dtype=np.int64) for each in element.properties}
    counts = {each.name: np.ones(element.count, dtype=np.int64) for each in element.properties}
    plan = [(each.name, each.length_type is not None, *_sizes(each, header), each) for each in element.properties]
    # A byte, which most writers have for lengths, is quickest taken from bytes.
    bytewise = not header.text and all(each.length_type in (None, "u1", "i1") for each in element.properties)
    quick = data[position:].tobytes() if bytewise else None
    base = position
    for row in range(element.count):
        for name, is_list, value, length, each in plan:
            if is_list:
                count = quick[position - base] if quick is not None else _length_at(data, position, each, header)
                position += length
                counts[name][row] = count
                starts[name][row] = position
                position += value * count
            else:
                starts[name][row] = position
                position += value
    if position > len(data):  # before room is made for what a garbled length asks for
        raise IndexError
    columns: Columns = {}
    for each in element.properties:
        values = _gathered(data, starts[each.name], counts[each.name], each.type, header)
        columns[each.name] = values if each.length_type is None else Lists(values, counts[each.name])
    return columns, position


def _gathered(data: np.ndarray, starts: np.ndarray, counts: np.ndarray, kind: str, header: Header) -> np.ndarray:
    """The values of lists that begin at `starts`."""
    dtype = np.dtype("f8") if header.text else np.dtype(header.order + kind)
    size = 1 if header.text else dtype.itemsize
    found = [np.zeros(0, dtype=dtype)]
    for low in range(0, len(starts), _ROWS_AT_ONCE):
        some, lengths = starts[low : low + _ROWS_AT_ONCE], counts[low : low + _ROWS_AT_ONCE]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        at = np.repeat(some, lengths) + within * size
        found.append(data[at] if header.text else data[at[:, None] + np.arange(size)].reshape(-1).view(dtype))
    return np.concatenate(found)
