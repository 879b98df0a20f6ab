"""Give ns-render an ffmpeg where the system has none: the one in the wheel of imageio-ffmpeg.

``python -m inr_plugins.engine.host.ffmpeg`` puts a link to it into this environment's folder of commands.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from inr_plugins.errors import InputError
from inr_plugins.files import cache_folder, write_link


def ensure_ffmpeg(folder: Path | None = None) -> Path:
    """Return an ffmpeg that commands of this environment find, making one if there is none.

    Args:
        folder: Where to put the link; by default the environment's folder of commands (``bin``).

    Returns:
        The ffmpeg on PATH if there is one, else the one in `folder`.

    Raises:
        InputError: imageio-ffmpeg is not installed or has no binary for this system, or `folder` is not writable.
    """
    folder = Path(sysconfig.get_path("scripts")) if folder is None else folder
    # The environment's own folder counts even where it is not on PATH: its commands may be called by their paths.
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), str(folder)])
    present = shutil.which("ffmpeg", path=search)
    if present is not None:
        return Path(present)
    link = folder / "ffmpeg"
    if not folder.is_dir():
        raise InputError(f"Cannot put an ffmpeg into {folder} (there is no such folder): install it by other means.")
    try:
        import imageio_ffmpeg

        # A link whose target is gone is no command but still takes the name.
        write_link(link, Path(imageio_ffmpeg.get_ffmpeg_exe()))
    except (ImportError, RuntimeError) as error:
        raise InputError("There is no ffmpeg: install it with the system's package manager.") from error
    except OSError as error:
        raise InputError(
            f"Cannot put an ffmpeg into {folder} ({error.strerror}): install it by other means."
        ) from error
    return link


def ensure_ffmpeg_somewhere() -> Path:
    """An ffmpeg as `ensure_ffmpeg`'s, in the user's cache where the environment takes no files.

    Raises:
        InputError: see `ensure_ffmpeg`.
        OSError: there is no place for a cache either.
    """
    try:
        return ensure_ffmpeg()
    except InputError:
        folder = cache_folder() / "bin"
        folder.mkdir(exist_ok=True)
        return ensure_ffmpeg(folder)


def main() -> int:
    """Run :func:`ensure_ffmpeg` and print what it returned."""
    try:
        print(ensure_ffmpeg())
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
