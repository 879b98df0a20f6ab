"""Which files of a folder are shapes, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.surface_read import SHAPE_SUFFIXES, is_shape_file


def find_shapes(folder: Path, only: str = "*") -> dict[str, Path]:
    """The mesh and cloud files of a folder by name, in the order of their names; hidden ones do not count.

    Folders in it are not looked into, unless it has no such file of its own: then those that lie in its folders are
    found, under the names folder/file. A name has no extension where that leaves all names different.

    Args:
        folder: an existing folder.
        only: patterns of names, as a shell's, separated by commas.

    Raises:
        InputError: there is none; the sentence says what there is instead.
    """
    files = _shape_files(folder)
    named = dict(zip(_names(files, folder), files, strict=True))
    patterns = [pattern.strip() for pattern in only.split(",")]
    chosen = {name: file for name, file in named.items() if any(fnmatch(name, pattern) for pattern in patterns)}
    if not chosen:
        raise InputError(
            f"No name of the {len(named)} shapes in {folder} fits the pattern {only!r}; the first of them is "
            f"{next(iter(named))}."
        )
    return chosen


def _shape_files(folder: Path) -> list[Path]:
    entries = _entries(folder)
    folders = [entry for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if is_shape_file(entry)]
    files = files or [entry for inner in folders for entry in _entries(inner) if is_shape_file(entry)]
    if files:
        return files
    kinds = Counter(entry.suffix.lower() or entry.name for entry in entries if entry.is_file())
    found = [f"{count} {suffix}" for suffix, count in kinds.most_common(5)]
    found += [f"{len(folders)} folders without shapes"] if folders else []
    raise InputError(
        f"{folder} holds no mesh or point cloud ({', '.join(SHAPE_SUFFIXES)}) but {', '.join(found) or 'nothing'}; "
        "give --data a file or a folder of them."
    )


def passed_over(folder: Path, shapes: Iterable[Path]) -> str | None:
    """What else a folder of shapes holds, in a sentence: folders that are not looked into, files that are no shapes.

    Args:
        folder: that of the shapes, which lie in it or in its folders.
        shapes: files that are taken, or left out by their names.
    """
    looked_into = {folder, *(shape.parent for shape in shapes)}
    entries = [entry for each in sorted(looked_into) for entry in _entries(each)]
    folders = [entry.name for entry in entries if entry.is_dir() and entry not in looked_into]
    kinds = Counter(
        entry.suffix.lower() or entry.name for entry in entries if entry.is_file() and not is_shape_file(entry)
    )
    found = [f"{count} {'file' if count == 1 else 'files'} {kind}" for kind, count in kinds.most_common(5)]
    if folders:
        more = ", ..." if len(folders) > 3 else ""
        found.insert(
            0, f"{len(folders)} {'folder' if len(folders) == 1 else 'folders'} ({', '.join(folders[:3])}{more})"
        )
    return f"Passed over in {folder}, as no shapes: {', '.join(found)}." if found else None


def _entries(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _names(files: Sequence[Path], folder: Path) -> list[str]:
    paths = [file.relative_to(folder) for file in files]
    count = Counter(path.with_suffix("") for path in paths)
    return [(path if count[path.with_suffix("")] > 1 else path.with_suffix("")).as_posix() for path in paths]
