"""Image files decoded by OpenCV: those that Pillow does not read, or would cut down to eight bits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Shaped


def decoded(path: Path) -> Shaped[np.ndarray, "height width *channels"] | None:
    """The pixels of a file as stored, colours in the order blue, green, red; None where it does not decode.

    Without OpenCV's own words on standard error: whoever asked says what is wrong.
    """
    import cv2

    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        return cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.setLogLevel(level)


def with_exr() -> None:
    """OpenCV reads and writes OpenEXR only where its environment asks for it, when it is first used for that."""
    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")
