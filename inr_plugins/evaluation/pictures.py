"""Pictures of an evaluation, truth beside rendering: hidden until all of a run's are there, then moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins import files
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
            raise self._unwritable(error) from error

    def discard(self) -> None:
        """Forget what was kept: the pictures of a run that could not be measured to its end."""
        for path in self._kept():
            path.unlink()

    def publish(self) -> None:
        """Move every picture to its place, over those of the same name.

        Raises:
            InputError: a place cannot be written.
        """
        try:
            for path in self._kept():
                files.move(path, self.target / path.relative_to(self.partial))
        except OSError as error:
            raise self._unwritable(error) from error

    def _kept(self) -> list[Path]:
        return sorted(path for path in self.partial.rglob("*") if path.is_file())

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"{self.target} could not be written ({error.strerror}): give another place.")


@contextmanager
def picture_folder(target: Path | None) -> Iterator[PictureFolder | None]:
    """A place for pictures that is removed, with all that was not published, when the body ends; None for no target.

    It lies on the disk of `target`: in that folder if there is one, which may be a link or a disk of its own, else in
    the nearest folder above that exists.

    Raises:
        InputError: the folder cannot be made.
    """
    if target is None:
        yield None
        return
    real = Path(os.path.realpath(target))
    above = (real, *real.parents)
    around = next(folder for folder in above if folder.is_dir())
    # Of an evaluation that was killed: it was there before it made the folders below.
    files.sweep(*above)
    with ExitStack() as stack:
        try:
            partial = stack.enter_context(files.hidden_folder(around, "pictures"))
        except OSError as error:
            raise InputError(f"{target} could not be written ({error.strerror}): give another place.") from error
        yield PictureFolder(target, partial)
