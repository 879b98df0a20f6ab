"""Rows of bytes, looked up at random: in memory, or in a file where memory is not to be had for them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.files import nameless_file

# Rows looked up before it is known whether the system has the file in its memory, and what a row then takes at most.
_TRIED, _SECONDS_IN_MEMORY = 64, 5e-5


class MemoryArray:
    """A table of bytes in memory; once it is filled it can be moved to another device.

    Args:
        count: rows.
        columns: bytes in a row.
    """

    def __init__(self, count: int, columns: int) -> None:
        self._table = np.zeros((count, columns), dtype=np.uint8)
        self._tensor = torch.from_numpy(self._table)

    @property
    def device(self) -> torch.device:
        """Where the table is."""
        return self._tensor.device

    def write(self, start: int, rows: UInt8[np.ndarray, "rows columns"]) -> None:
        """Put rows into their place, before :meth:`to`; threads may write at once, each its own rows."""
        self._table[start : start + len(rows)] = rows

    def reshaped(self, columns: int) -> MemoryArray:
        """The same bytes in rows of `columns`."""
        self._table = self._table.reshape(-1, columns)
        self._tensor = torch.from_numpy(self._table)
        return self

    def to(self, device: torch.device | str) -> MemoryArray:
        """Move the table."""
        self._tensor = self._tensor.to(device)
        return self

    def rows(self, places: Int[Tensor, " count"]) -> UInt8[Tensor, "count columns"]:
        """Look rows up."""
        return self._tensor[places]


class FileArray:
    """A table of bytes in a file without a name, which is gone when the process ends, however it ends.

    Rows are written and read past the process's memory, which does not grow with the table. The system keeps as much
    of the file in free memory as it likes, and gives that back to whoever asks for it.

    Args:
        count: rows.
        columns: bytes in a row.
        folder: where to; made where it is missing.

    Raises:
        InputError: the folder cannot be written to, or has no room.
    """

    def __init__(self, count: int, columns: int, folder: Path) -> None:
        self._columns = columns
        self._file = _file_without_name(max(count * columns, 1), folder)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def write(self, start: int, rows: UInt8[np.ndarray, "rows columns"]) -> None:
        """Put rows into their place; threads may write at once, each its own rows.

        Raises:
            InputError: the file cannot be written.
        """
        data = memoryview(np.ascontiguousarray(rows).reshape(-1).data)
        place = start * self._columns
        try:
            while data:
                written = os.pwrite(self._file.fileno(), data, place)
                data, place = data[written:], place + written
        except OSError as error:
            raise InputError(f"The images' pixels cannot be kept in a file ({error.strerror}): {_ADVICE}") from error

    def reshaped(self, columns: int) -> FileArray:
        """The same bytes in rows of `columns`."""
        self._columns = columns
        return self

    def rows(self, places: Int[Tensor, " count"]) -> UInt8[Tensor, "count columns"]:
        """Look rows up."""
        at = (places.cpu() * self._columns).tolist()
        if not at:
            return torch.zeros((0, self._columns), dtype=torch.uint8)
        start = time.perf_counter()
        found = self._read(at[:_TRIED])
        if time.perf_counter() - start > _SECONDS_IN_MEMORY * len(found):
            self._ask_for(at[_TRIED:])
        found += self._read(at[_TRIED:])
        return torch.frombuffer(bytearray(b"".join(found)), dtype=torch.uint8).reshape(len(at), self._columns)

    def _read(self, at: list[int]) -> list[bytes]:
        number, columns = self._file.fileno(), self._columns
        return [os.pread(number, columns, place) for place in at]

    def _ask_for(self, at: list[int]) -> None:
        """Have the system fetch rows from the disk all at once, instead of one after the other as they are read."""
        if hasattr(os, "posix_fadvise"):
            for place in at:
                os.posix_fadvise(self._file.fileno(), place, self._columns, os.POSIX_FADV_WILLNEED)


PixelArray = MemoryArray | FileArray
"""Rows of bytes, wherever they are."""

_ADVICE = (
    "give --pipeline.datamanager.cache-folder a folder with more room, raise --pipeline.datamanager.cache-gigabytes, "
    "or train on smaller images (--pipeline.datamanager.camera-res-scale-factor)."
)


def _file_without_name(size: int, folder: Path) -> IO[bytes]:
    """An empty file of `size` bytes, all of them reserved."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < size:
            raise InputError(
                f"The images' pixels take {size / 1e9:.3g} GB, but {folder} has {free / 1e9:.3g} GB left: {_ADVICE}"
            )
        file = nameless_file(folder)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
                # What lies beside a row on the disk is not wanted with it.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            else:
                os.truncate(file.fileno(), size)
        except OSError:
            file.close()
            raise
    except OSError as error:
        raise InputError(f"The images' pixels cannot be kept in {folder} ({error.strerror}): {_ADVICE}") from error
    return file
