"""Frames of a video: of each of many equal stretches the sharpest one, by ffmpeg."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Float, UInt8

from inr_plugins.errors import InputError
from inr_plugins.files import nameless_file, shown, why_unreadable

_WIDTH, _HEIGHT = 480, 480
"""Frames are judged in this many pixels, whatever their own shape."""
_AT_THE_LEAST = 3
"""A stretch of fewer frames leaves no choice."""
_LONGEST_WORD = 200


@dataclass(frozen=True)
class Film:
    """A video as it was judged.

    Attributes:
        frames: how many it has.
        chosen: the numbers of the frames that are taken, from 0.
        damage: what ffmpeg had to say against it; "" for nothing.
    """

    frames: int
    chosen: tuple[int, ...]
    damage: str = ""


def choose_frames(video: Path, count: int, *, ffmpeg: Path, on_frame: Callable[[int], None] = lambda _: None) -> Film:
    """Read all frames of a video in small, and choose the sharpest of each of `count` stretches of equal length.

    Args:
        video: the file.
        count: frames to choose; fewer where a stretch would be shorter than three frames.
        ffmpeg: the program.
        on_frame: told how many frames have been read.

    Raises:
        InputError: it is no video, or nothing of it decodes.
    """
    problem = why_unreadable(video)
    if problem is not None:
        raise InputError(f"{shown(video)} {problem}: give a video, or a folder of photographs.")
    sharpness = list[float]()
    with _reading(video, ffmpeg, ["-vf", f"scale={_WIDTH}:{_HEIGHT}", "-pix_fmt", "gray"]) as (
        pipe,
        said,
    ):
        while len(data := pipe.read(_WIDTH * _HEIGHT)) == _WIDTH * _HEIGHT:
            sharpness.append(sharpness_of(np.frombuffer(data, np.uint8).reshape(_HEIGHT, _WIDTH)))
            on_frame(len(sharpness))
        damage = said()
    if not sharpness:
        raise InputError(
            f"{shown(video)} does not decode as a video ({damage or 'it has no frames'}): give it whole, as MP4 for "
            "instance, or a folder of photographs."
        )
    return Film(len(sharpness), tuple(sharpest(np.array(sharpness), count)), damage)


def sharpness_of(frame: UInt8[np.ndarray, "h w"]) -> float:
    """Mean squared difference of neighbouring pixels over the frame's variance: what blur takes away, contrast
    aside."""
    values = frame.astype(np.float32)
    across, down = np.diff(values, axis=1), np.diff(values, axis=0)
    # A frame of one colour is not sharp.
    return float(((across**2).mean() + (down**2).mean()) / (values.var() + 1.0))


def sharpest(sharpness: Float[np.ndarray, " n"], count: int) -> list[int]:
    """The number of the sharpest frame of each of `count` stretches of equal length; the first of equal ones."""
    stretches = max(1, min(count, len(sharpness) // _AT_THE_LEAST))
    edges = np.linspace(0, len(sharpness), stretches + 1).round().astype(int)
    return [int(low + np.argmax(sharpness[low:high])) for low, high in pairwise(edges)]


def write_frames(video: Path, film: Film, paths: Sequence[Path], *, ffmpeg: Path, max_size: int) -> None:
    """Write the chosen frames of a video as pictures, upright.

    Args:
        video: the file that `film` was made of.
        film: which frames.
        paths: where to, PNG, one for each chosen frame.
        ffmpeg: the program.
        max_size: of the longer side, in pixels; larger frames are made smaller.

    Raises:
        InputError: it gives other frames than before.
    """
    from PIL import Image

    wanted = "+".join(f"eq(n\\,{number})" for number in film.chosen)
    # The longer side is bounded, and no frame is enlarged.
    sides = f"w='min(iw\\,iw*{max_size}/max(iw\\,ih))':h='min(ih\\,ih*{max_size}/max(iw\\,ih))'"
    filters = f"select='{wanted}',{_EACH_FRAME},scale={sides}:flags=area"
    options = ["-vf", filters, "-c:v", "ppm", "-f", "image2pipe"]
    written = 0
    with _reading(video, ffmpeg, options) as (pipe, said):
        for path, frame in zip(paths, _ppm_frames(pipe), strict=False):
            Image.fromarray(frame).save(path, format="PNG", compress_level=3)
            written += 1
        if written != len(paths):
            raise InputError(
                f"{shown(video)} gave {written} of {len(paths)} frames the second time it was read "
                f"({said() or 'without a word on it'}): see that nothing writes to it, and start again."
            )


# One frame out for each frame in: what comes at a variable rate would be filled up with copies, as would what is left
# out. So frames are given even times when they are read, and again where some are chosen.
_RATE = "25"
_EACH_FRAME = f"setpts=N/{_RATE}/TB"


@contextmanager
def _reading(video: Path, ffmpeg: Path, options: Sequence[str]) -> Iterator[tuple[IO[bytes], Callable[[], str]]]:
    """ffmpeg's output for a video, raw frames unless `options` say otherwise, and a function for what it complained
    of."""
    form = [] if "-f" in options else ["-f", "rawvideo"]
    # Without standard input it asks nothing; "file:" keeps a name with a colon from being taken for a protocol.
    read = ["-nostdin", "-v", "error", "-r", _RATE, "-i", f"file:{video}"]
    command = [str(ffmpeg), *read, "-map", "0:v:0", *options, "-r", _RATE]
    with nameless_file() as errors:
        process = subprocess.Popen(
            [*command, *form, "-"], stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL
        )
        assert process.stdout is not None

        def said() -> str:
            process.wait()
            errors.seek(0)
            lines = errors.read().decode(errors="replace").splitlines()
            # The first complaint is the cause; addresses of ffmpeg's parts in memory are no help.
            first = next((line.split("] ", 1)[-1].strip() for line in lines if line.strip()), "")
            return first.replace(f"file:{video}", video.name)[:_LONGEST_WORD]

        try:
            yield process.stdout, said
        finally:
            process.stdout.close()
            process.kill()
            process.wait()


def _ppm_frames(pipe: IO[bytes]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Pictures of a stream of PPM files, as ffmpeg writes them: three lines of header each."""
    while True:
        header = [pipe.readline() for _ in range(3)]
        if header[0] != b"P6\n" or header[2] != b"255\n":
            return
        width, height = (int(word) for word in header[1].split())
        data = pipe.read(3 * width * height)
        if len(data) < 3 * width * height:
            return
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
