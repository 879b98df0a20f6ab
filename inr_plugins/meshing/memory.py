"""What an extraction may take of the machine's memory: a bound of the whole process, kept by asking in parts.

`memory_gb` bounds what the process holds, the run and the mesh included. What Python, torch and the run take is there
before there is a choice; the rest is room for sampling the field. The mesh grows with the surface, which nobody knows
beforehand, so it is looked at while it grows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from inr_plugins.errors import InputError, setting
from inr_plugins.machine import resident_bytes
from inr_plugins.meshing.settings import MeshSettings
from inr_plugins.progress import Bar

_COARSER = f"lower {setting('resolution')} (raise {setting('voxel_size')})"

UNASKED_ROOM = 2_000_000_000
"""Bytes for sampling the field where no bound was given."""

# What a field holds for one point while it answers: about eight float32 activations of width 256. Measured: 170 bytes
# for voxels, 4,500 for the colours of a network of 8 x 256.
_BYTES_PER_POINT = 8192
# The memory goes to the sampling and to the field's answers, half each.
_SHARE = 0.5
# What the libraries that make a mesh take when they are loaded, and a small mesh.
_LIBRARIES = 100_000_000
_LEAST_POINTS, _MOST_POINTS = 1024, 1 << 18
# A dense lattice's values, and a copy in double precision while they are walked through.
_BYTES_PER_DENSE_SAMPLE = 16


@dataclass(frozen=True)
class Room:
    """What of the memory is free for an extraction.

    Attributes:
        total: bytes that the process may hold; None: no bound was given.
        held: bytes that it held with the run loaded.
        most_points: that the field may be asked at once, whatever the memory.
    """

    total: int | None
    held: int
    most_points: int = _MOST_POINTS

    @classmethod
    def of(cls, settings: MeshSettings) -> Room:
        """The room that there is now, with the run loaded and nothing sampled.

        Raises:
            InputError: the bound is below what the process holds already.
        """
        held = resident_bytes()
        if settings.memory_gb is None:
            return cls(None, held)
        room = cls(int(settings.memory_gb * 1e9), held)
        if room.free < _LEAST_POINTS * _BYTES_PER_POINT / _SHARE:
            least = held + _LIBRARIES + _LEAST_POINTS * _BYTES_PER_POINT / _SHARE
            raise InputError(
                f"{setting('memory_gb')} is {settings.memory_gb:g}, and with the run loaded the process takes "
                f"{held / 1e9:.2f} "
                f"already: give it {_gb(least):g} or more."
            )
        return room

    @property
    def free(self) -> int:
        """Bytes for sampling the field."""
        return UNASKED_ROOM if self.total is None else self.total - self.held - _LIBRARIES

    @property
    def sampling_bytes(self) -> int:
        """Bytes for the lattice's samples."""
        return int(self.free * _SHARE)

    @property
    def chunk_points(self) -> int:
        """Points that the field may be asked at once."""
        return min(self.most_points, max(_LEAST_POINTS, int(self.free * _SHARE / _BYTES_PER_POINT)))

    def too_little(self, sampling: int, shape: tuple[int, ...]) -> InputError:
        """The sentence for a lattice whose samples need `sampling` bytes."""
        lattice, enough = " x ".join(map(str, shape)), _gb(self.held + _LIBRARIES + sampling / _SHARE)
        said = f"A lattice of {lattice} needs {enough:g} GB of memory beside the mesh"
        bound = "" if self.total is None else f", and {setting('memory_gb')} is {self.total / 1e9:g}"
        return InputError(f"{said}{bound}: give {setting('memory_gb')} that, or {_COARSER}.")

    def check_dense(self, shape: tuple[int, ...]) -> None:
        """Refuse a whole lattice that does not fit.

        Raises:
            InputError: a bound was given, and the samples alone are beyond it.
        """
        needed = math.prod(shape) * _BYTES_PER_DENSE_SAMPLE
        if self.total is not None and needed > self.sampling_bytes:
            raise self.too_little(needed, shape)

    def check(self) -> None:
        """See that the process is still within the bound that was given.

        Raises:
            InputError: it has outgrown it.
        """
        taken = 0 if self.total is None else resident_bytes()
        if self.total is not None and taken > self.total:
            raise InputError(
                f"{setting('memory_gb')} is {self.total / 1e9:g}, and with the mesh so far the process takes "
                f"{taken / 1e9:.2f}: "
                f"give it more, or {_COARSER}."
            )

    def watching(self, bar: Bar) -> Bar:
        """`bar`, which also looks at the memory each time that it is told something."""

        def watched(name: str, done: int, total: int) -> None:
            self.check()
            bar(name, done, total)

        return watched


def _gb(size: float) -> float:
    """Gigabytes, rounded up, so that what is advised is enough."""
    return math.ceil(size / 1e9 * 100) / 100
