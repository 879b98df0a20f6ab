"""Turntable videos: our pipe to ffmpeg beside imageio-ffmpeg's writer, and what each says of failures."""

from __future__ import annotations

import logging
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import in_own_process, in_turns

COLUMNS = ["case", "way", "wall s", "cpu s", "MiB", "frames", "seconds long", "index first", "PSNR", "what is said"]
_SIZE, _FRAMES, _SECONDS = 512, 90, 6.0
_LITTLE = 1 << 13
"""Bytes that fit on the disk that is full."""


def frames(count: int = _FRAMES, size: int = _SIZE) -> list[np.ndarray]:
    """A turning pattern."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    turns = 2 * np.pi * np.arange(count) / count
    shades = [0.5 + 0.5 * np.sin(5 * (angle[..., None] + turn) + 20 * radius[..., None] + [0, 2, 4]) for turn in turns]
    return [np.rint(255 * shade).astype(np.uint8) for shade in shades]


def ours(pictures: list[np.ndarray], path: Path) -> None:
    """encode_mp4."""
    from inr_plugins.meshing.video import encode_mp4

    encode_mp4(pictures, path, size=pictures[0].shape[0], fps=len(pictures) / _SECONDS)


def theirs(pictures: list[np.ndarray], path: Path) -> None:
    """imageio-ffmpeg's write_frames with the same settings of the encoder."""
    import imageio_ffmpeg

    settings = ["-crf", "18", "-movflags", "+faststart", "-f", "mp4"]
    size = pictures[0].shape[:2]
    writer = imageio_ffmpeg.write_frames(
        path,
        (size[1], size[0]),
        fps=len(pictures) / _SECONDS,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=settings,
    )
    writer.send(None)
    try:
        for picture in pictures:
            writer.send(np.ascontiguousarray(picture))
    finally:
        writer.close()


WAYS: dict[str, Callable[[list[np.ndarray], Path], None]] = {"ours": ours, "imageio-ffmpeg": theirs}


def look_at(path: Path, pictures: list[np.ndarray]) -> list[Any]:
    """Size, frames and length as read back, whether the index precedes the pictures, and their PSNR."""
    import imageio_ffmpeg

    if not path.exists():
        return ["no file", "", "", "", ""]
    try:
        reader = imageio_ffmpeg.read_frames(path)
        meta = next(reader)
        found = [np.frombuffer(each, dtype=np.uint8).reshape(*meta["size"][::-1], 3) for each in reader]
    except (OSError, RuntimeError, StopIteration):
        return [path.stat().st_size / 2**20, "unreadable", "", "", ""]
    data = path.read_bytes()
    pairs = zip(found, pictures, strict=False)
    squares = [np.square(a.astype(float) - b).mean() for a, b in pairs if a.shape == b.shape]
    psnr = float(10 * np.log10(255**2 / np.mean(squares))) if squares else float("nan")
    return [len(data) / 2**20, len(found), meta["duration"], data.find(b"moov") < data.find(b"mdat"), psnr]


def write_both(rounds: int) -> list[list[Any]]:
    """A whole video."""
    pictures = frames()
    with tempfile.TemporaryDirectory() as folder:
        paths = {way: Path(folder) / f"{way}.mp4" for way in WAYS}
        spent = in_turns({way: lambda w=way: WAYS[w](pictures, paths[w]) for way in WAYS}, rounds)
        return [["90 frames", way, *spent[way], *look_at(paths[way], pictures), ""] for way in WAYS]


def fail(case: str, way: str) -> list[Any]:
    """One failure in this process, by the fault that is prepared: what is said, and what is left."""
    from imageio_ffmpeg import _utils

    logging.basicConfig(level=logging.WARNING)
    pictures = frames(30, 128)
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder) / "video.mp4", Path(folder) / "video.mp4"
        if case == "no ffmpeg":
            _utils._get_ffmpeg_exe = lambda: None
        if case == "IMAGEIO_FFMPEG_EXE names no file":
            os.environ["IMAGEIO_FFMPEG_EXE"] = str(Path(folder) / "none")
        if case == "ffmpeg that fails at the end":
            # As where the disk is full when the index is moved to the front.
            fake = Path(folder) / "ffmpeg"
            fake.write_text("#!/bin/sh\ncat >/dev/null\necho No space left on device >&2\nexit 228\n")
            fake.chmod(0o755)
            os.environ["IMAGEIO_FFMPEG_EXE"] = str(fake)
        if case == "full disk":
            # Files of more bytes cannot be written; ffmpeg is told so as by a full disk.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (_LITTLE, _LITTLE))
        if case == "odd size":
            pictures = frames(30, 127)
        said = Path(folder) / "said"
        with said.open("wb") as file:
            old = os.dup(2)
            os.dup2(file.fileno(), 2)
            try:
                WAYS[way](pictures, target)
                ended = "no error"
            except (Exception, SystemExit) as error:
                ended = f"{type(error).__name__}: {error}"
            finally:
                os.dup2(old, 2)
        printed = said.read_text(errors="replace").strip().replace("\n", " / ")
        words = f"{ended}" + (f"; on stderr: {printed}" if printed else "")
        return [case, way, "", "", *look_at(path, pictures), words.replace(folder, "").replace("\n", " / ")[:220]]


def failures(rounds: int) -> list[list[Any]]:
    """Each failure, each way, in a process of its own."""
    kinds = ("no ffmpeg", "IMAGEIO_FFMPEG_EXE names no file", "ffmpeg that fails at the end", "full disk", "odd size")
    found = [(case, way, in_own_process(fail, case, way)) for case in kinds for way in WAYS]
    return [[case, way, rows] if isinstance(rows, str) else rows for case, way, rows in found]


def cases(data: Path) -> dict[str, tuple[Any, ...]]:
    """What is compared; no data is used."""
    return {"a whole video": (write_both,), "failures": (failures,)}
