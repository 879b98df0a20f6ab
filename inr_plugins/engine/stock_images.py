"""Images that do not decode under nerfstudio's own datamanagers, which end in a traceback that names no file.

Ours name them (`data.images`). A pipeline of ours may have one of nerfstudio's, whose images are read while it is made,
or, where only some are sampled from at a time, long after training has begun.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from inr_plugins.errors import InputError, first_line
from inr_plugins.files import shown

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


@contextmanager
def naming_bad_images(data: Path | None = None) -> Iterator[None]:
    """While the body runs, what Pillow raises becomes a sentence about the file, of all opened here, that is bad.

    Args:
        data: where the dataset is; what is missing there is a sentence too.

    Raises:
        InputError: in place of an error of the body's, where one of the files that were opened does not decode.
    """
    opened: dict[Path, None] = {}
    usual, lock = Image.open, threading.Lock()

    def open_and_note(source: Any, *args: Any, **kwargs: Any) -> Image.Image:
        name = source if isinstance(source, str | Path) else getattr(source, "name", None)
        if isinstance(name, str | Path):
            with lock:
                opened[Path(name)] = None
        return usual(source, *args, **kwargs)

    Image.open = open_and_note  # type: ignore[assignment]
    try:
        yield
    except InputError:
        raise
    except _UNREADABLE as error:
        Image.open = usual
        # The newest first: it is most likely the one.
        refuse_undecodable(reversed(opened), cause=error)
        if isinstance(error, FileNotFoundError) and data is not None and str(data) in str(error):
            raise InputError(
                f"A file of the dataset is missing ({first_line(error)}): put it back, or take its frame out."
            ) from error
        raise
    finally:
        Image.open = usual


def check_sampled_images(manager: Any) -> None:
    """Decode the images of a datamanager that reads them a few at a time, so that a bad one is found at once.

    Args:
        manager: nerfstudio's, of any kind.

    Raises:
        InputError: one does not decode, or is not there.
    """
    config, files = manager.config, []
    for split in ("train", "eval"):
        dataset = getattr(manager, f"{split}_dataset", None)
        chosen = getattr(config, f"{split}_num_images_to_sample_from", -1)
        outputs = getattr(dataset, "_dataparser_outputs", None)
        if outputs is not None and 0 <= chosen < len(outputs.image_filenames):
            files += [*outputs.image_filenames, *(outputs.mask_filenames or [])]
    refuse_undecodable(files)


def refuse_undecodable(files: Iterable[Path], *, cause: Exception | None = None) -> None:
    """Decode image files, in several threads, and refuse the first that does not.

    Raises:
        InputError: naming it.
    """
    with ThreadPoolExecutor() as threads:
        for path, problem in threads.map(_problem, dict.fromkeys(files)):
            if problem is not None:
                threads.shutdown(wait=False, cancel_futures=True)
                raise InputError(
                    f"Image {shown(path)} {problem}: replace the file, or take its frame out of the dataset."
                ) from cause


def _problem(path: Path) -> tuple[Path, str | None]:
    """What is wrong with an image file, in words that go after its name; None for nothing."""
    try:
        with Image.open(path) as image:
            image.load()
    except FileNotFoundError:
        return path, "is missing"
    except _UNREADABLE as error:
        reason = str(error).split(" '")[0].split(": '")[0] or type(error).__name__
        return path, f"does not decode ({reason})"
    return path, None
