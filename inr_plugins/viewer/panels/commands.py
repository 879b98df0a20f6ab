"""Commands for a shell that make, of what a page shows, pictures, a mesh and figures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.meshing.region import TurnedBox

_COLUMNS = 34
"""Of the page's narrow column, which a longer line would widen for all panels."""


def command(program: str, *options: Sequence[str | float | Path]) -> str:
    """A command in short lines, quoted for a shell, which joins them; a long word goes on without an indent."""
    return " \\\n  ".join([program, *map(_option, options)])


def _option(parts: Sequence[str | float | Path]) -> str:
    line = " ".join(shlex.quote(_text(part)) for part in parts)
    if len(line) + 4 <= _COLUMNS:
        return line
    return " \\\n  ".join(_folded(_text(part)) for part in parts)


def _folded(word: str) -> str:
    size = _COLUMNS - 6
    return "\\\n".join(shlex.quote(word[first : first + size]) for first in range(0, len(word), size))


def _text(part: str | float | Path) -> str:
    return f"{part:.6g}" if isinstance(part, float) else str(part)


def render_command(config: Path, path: Path, *, is_still: bool) -> str:
    """nerfstudio's command for a camera path: a video, or the picture of a path of one view."""
    output = Path("renders") / path.stem
    return command(
        "ns-render camera-path",
        ("--load-config", config),
        ("--camera-path-filename", path),
        ("--output-format", "images" if is_still else "video"),
        ("--output-path", output if is_still else output.with_name(f"{path.stem}.mp4")),
    )


def mesh_command(
    config: Path, *, resolution: int, crop: Float[np.ndarray, "2 3"] | None, shape: int | None = None
) -> str:
    """inr-mesh of the run; `crop` is in the dataset's frame."""
    options: list[Sequence[Any]] = [(config,), ("--resolution", resolution)]
    if shape is not None:
        options.append(("--shape", shape))
    if crop is not None:
        options.append(("--crop", *map(float, crop.ravel())))
    return command("inr-mesh", *options)


def eval_command(config: Path, *, shape: int | None = None) -> str:
    """inr-eval of the run."""
    return command("inr-eval", (config,), *([] if shape is None else [("--shape", shape)]))


def signal_command(config: Path, out: Path, *, part: str | None = None) -> str:
    """inr-signal of the run: the image, or the video, read out of its field; of what has parts one of them."""
    return command("inr-signal", (config,), (out,), *([] if part is None else [("--part", part)]))


def straight_box(turned: TurnedBox, to_normalised: Any) -> tuple[Float[np.ndarray, "2 3"], bool]:
    """The box along the dataset's axes around one that may be turned, and whether it holds more than that one.

    Args:
        turned: the viewport's box.
        to_normalised: Similarity from the dataset's frame.
    """
    to_dataset = to_normalised.inverse().after(turned.to_normalised)
    box = to_dataset.bounding_box(turned.box)
    volume = to_dataset.scale**3 * float(np.prod(turned.box[1] - turned.box[0]))
    return box, bool(np.prod(box[1] - box[0]) > 1.001 * volume)
