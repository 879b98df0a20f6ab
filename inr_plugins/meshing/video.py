"""A mesh turning around, as an MP4: what was extracted, to be looked at without any other program."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from inr_plugins.errors import InputError, setting
from inr_plugins.files import nameless_file, replacing
from inr_plugins.geometry.appearance.mesh_render import Direction, turntable_frames
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.geometry.levelset.lattice import Progress
from inr_plugins.geometry.mesh import Mesh


def check_video(path: Path, *, overwrite: bool) -> None:
    """Refuse a video file that could not be written at the end, before any work is done.

    Raises:
        InputError: another extension than .mp4, a folder of that name, an existing file without `overwrite`, a place
            that takes no files, or no ffmpeg.
    """
    if path.suffix.lower() != ".mp4":
        raise InputError(f"The video {path} must have the extension .mp4.")
    check_place(path)
    if path.is_dir():
        raise InputError(f"The video {path} is a folder; name a file in it, such as {path.name}/turntable.mp4.")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; give {setting('overwrite', True)}, or another name.")
    _find_ffmpeg()


def write_turntable(
    mesh: Mesh,
    path: Path,
    *,
    frames: int = 90,
    size: int = 512,
    seconds: float = 6.0,
    up: Direction = (0.0, 0.0, 1.0),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write one turn around the mesh as `path`; on any error, and on Ctrl-C, what was there before stays.

    Args:
        mesh: with colours, it is drawn as it is; without, grey and shaded.
        path: an .mp4.
        frames: pictures of the turn.
        size: side of the pictures, pixels; even, as the video's halved colour resolution asks.
        seconds: how long the turn lasts.
        up: upwards in the pictures, in the mesh's frame.
        overwrite: replace an existing file.
        progress: called with (frames done, frames in all).

    Raises:
        InputError: as `check_video`; a number out of range; no ffmpeg, or one that fails.
        OSError: the folder cannot be written.
    """
    check_video(path, overwrite=overwrite)
    if size < 16 or size % 2:
        raise InputError(f"The video's size is {size}; it must be even, and at least 16 pixels.")
    if frames < 1 or not seconds > 0:
        raise InputError(f"A video of {frames} frames in {seconds} seconds: both must be above 0.")
    pictures = turntable_frames(mesh, frames=frames, size=size, up=up)
    with replacing(path) as partial:
        encode_mp4(_counted(pictures, frames, progress), partial, size=size, fps=frames / seconds)


def encode_mp4(frames: Iterable[UInt8[np.ndarray, "s s 3"]], path: Path, *, size: int, fps: float) -> None:
    """Encode square sRGB frames as H.264 with the ffmpeg that imageio-ffmpeg brings.

    Raises:
        InputError: there is no ffmpeg, or it fails.
    """
    ffmpeg = _find_ffmpeg()
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size}x{size}", "-r", f"{fps:.6f}", "-i", "-"]
    # The first bytes of the file tell players all they need, so that it can be played while it is loaded.
    target = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", str(path)]
    with nameless_file() as complaints:
        process = subprocess.Popen(
            [ffmpeg, "-y", "-v", "error", *source, *target],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        assert process.stdin is not None
        try:
            with suppress(BrokenPipeError):  # the exit status says more
                for frame in frames:
                    process.stdin.write(np.ascontiguousarray(frame).tobytes())
                process.stdin.close()
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()
        if status != 0:
            complaints.seek(0)
            reason = complaints.read().decode(errors="replace").strip().splitlines()
            raise InputError(f"ffmpeg could not write {path.parent} ({reason[-1] if reason else f'status {status}'}).")


def _find_ffmpeg() -> str:
    """The ffmpeg that IMAGEIO_FFMPEG_EXE names, that imageio-ffmpeg brings, or that the system has.

    Raises:
        InputError: there is none.
    """
    try:
        import imageio_ffmpeg

        found = str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise InputError("There is no ffmpeg: install it with `pip install imageio-ffmpeg`.") from error
    # What IMAGEIO_FFMPEG_EXE says is taken as it is.
    if shutil.which(found) is None:
        raise InputError(f"There is no ffmpeg at {found}: correct or unset IMAGEIO_FFMPEG_EXE.")
    return found


def _counted(
    frames: Iterable[np.ndarray], total: int, progress: Progress | None
) -> Iterable[UInt8[np.ndarray, "s s 3"]]:
    for done, frame in enumerate(frames, start=1):
        yield frame
        if progress is not None:
            progress(done, total)
