"""Pictures of an evaluation, truth beside rendering: kept in a hidden folder until everything has ended well."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.errors import InputError


class PictureFolder:
    """Files that :meth:`publish` moves to where they belong; see :func:`picture_folder`."""

    def __init__(self, target: Path, partial: Path) -> None:
        self.target = target
        self.partial = partial

    def save(self, name: str, truth: Float[Tensor, "height width 3"], rgb: Float[Tensor, "height width 3"]) -> None:
        """Keep a picture under `name`, such as diner/r_0.png: the truth on the left, the rendering on the right."""
        from PIL import Image

        both = (torch.cat([truth, rgb], dim=1).clamp(0, 1) * 255).round().byte().cpu().numpy()
        path = self.partial / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(both).save(path)
        except OSError as error:
            raise InputError(
                f"{self.target} could not be written ({error.strerror}): give another --save-images."
            ) from error

    def discard(self, folder: str) -> None:
        """Forget what was kept in `folder`: the pictures of a run that could not be measured to its end."""
        shutil.rmtree(self.partial / folder, ignore_errors=True)

    def publish(self) -> None:
        """Move every picture to its place, over those of the same name."""
        for path in sorted(self.partial.rglob("*.png")):
            place = self.target / path.relative_to(self.partial)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)


@contextmanager
def picture_folder(target: Path | None) -> Iterator[PictureFolder | None]:
    """A place for pictures that is removed, with all that was not published, when the body ends; None for no target.

    Raises:
        InputError: the folder cannot be made.
    """
    if target is None:
        yield None
        return
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{target} could not be written ({error.strerror}): give another --save-images.") from error
    try:
        yield PictureFolder(target, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
