"""The dataparser of images as signals: a plane in the scene, with a camera that sees it pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox

from inr_plugins.data.signals.image_file import SignalImage, read_image
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.windows import windows_of
from inr_plugins.errors import InputError
from inr_plugins.options import OF_THE_DATA
from inr_plugins.signal_grid import PixelGrid, PixelWindow

DISTANCE = 2.5
"""Of the camera from the plane, normalised units."""
THUMBNAIL = 512
"""Pixels of the longer side, at the most, of the picture that the viewer shows of the image."""
SPLITS = ("train", "val", "test")
_LARGEST_MOST = 10**9
GIGABYTE = 10**9


@dataclass
class SignalDataParserConfig(DataParserConfig):
    """One image file, in the plane y = 0 of the scene."""

    _target: type = field(default_factory=lambda: SignalDataParser)
    """Class to instantiate."""
    data: Path = Path()
    """Image file: PNG, JPEG, TIFF or another that Pillow reads, 8- or 16-bit grey, RGB or RGBA."""
    memory_gigabytes: float = 2.0
    """A TIFF file whose pixels take more is unpacked tile by tile into a temporary file, and looked up there."""
    learnt: tyro.conf.Suppress[tyro.conf.Fixed[SignalKind | None]] = field(default=None, metadata=OF_THE_DATA)
    """What kind of image that is, as it was when training began; a run opens without the file by it."""


@dataclass
class SignalOutputs(DataparserOutputs):
    """What the dataparser gives: also what reads the image itself when it is asked for."""

    parser: SignalDataParser = field(kw_only=True)
    """What has the image."""
    windows: list[PixelWindow] = field(kw_only=True)
    """The part of the image that each camera sees."""


class SignalDataParser(DataParser):
    """Reads an image once, when its pixels are first asked for, and puts a camera before it.

    The camera is known without the file where the configuration says what kind of image it is, that of a saved run.

    The image lies in the plane y = 0 of the normalised frame, its columns along x and its rows down along -z: a point
    (x, 0, z) shows what is at the coordinates (x, -z) of the image (`signal_grid`). The one camera of each split looks
    along y, and its rays meet the middles of the pixels: those of the image in "val" and "test", and in "train" those
    of a thumbnail. A large image has cameras for parts of it in "val" and "test" (`windows`). Metadata, which the model
    gets: "signal", with width, height, channels, bits and has_alpha.

    Raises:
        InputError: with the first use of the image, what `read_image` raises; or it is of another kind than the run's.
    """

    config: SignalDataParserConfig

    @cached_property
    def image(self) -> SignalImage:
        """The image of --data."""
        path = Path(self.config.data)
        if not path.exists():
            raise InputError(
                f"There is no image at {path}, which is needed for this: give --data the image file, or set the "
                "environment variable INR_DATA to where it is now."
            )
        found = read_image(path, most_bytes=self.config.memory_gigabytes * GIGABYTE)
        if found.pixels.shape[0] * found.pixels.shape[1] > _LARGEST_MOST:
            raise InputError(f"The image {path} has more than {_LARGEST_MOST:,} pixels: give a part of it.")
        learnt = self.config.learnt
        if learnt is not None and not learnt.has_the_numbers_of(found.kind):
            raise InputError(
                f"The image {path} has {found.kind.description()}, and the run has learnt one with "
                f"{learnt.description()}: give --data that one."
            )
        return found

    @property
    def kind(self) -> SignalKind:
        """What kind of image it is."""
        return self.image.kind if self.config.learnt is None else self.config.learnt

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> SignalOutputs:
        if split not in SPLITS:
            raise InputError(f"There is no {split} split of an image: choose {', '.join(SPLITS)}.")
        kind = self.kind
        grid = PixelGrid(kind.width, kind.height)
        whole = [PixelWindow(0, 0, kind.width, kind.height)]
        windows = whole if split == "train" else windows_of(grid)
        size = thumbnail_size(grid) if split == "train" else (windows[0].width, windows[0].height)
        x, z = grid.half_extent
        return SignalOutputs(
            image_filenames=[Path(self.config.data)] * len(windows),
            cameras=plane_cameras(grid, windows, size=size),
            alpha_color=torch.ones(3) if kind.has_alpha else None,
            scene_box=SceneBox(aabb=torch.tensor([[-x, -0.1, -z], [x, 0.1, z]])),
            metadata={
                "signal": {
                    "width": kind.width,
                    "height": kind.height,
                    "channels": kind.channels,
                    "bits": kind.bits,
                    "has_alpha": kind.has_alpha,
                }
            },
            parser=self,
            windows=windows,
        )


def thumbnail_size(grid: PixelGrid) -> tuple[int, int]:
    """Width and height of the picture that stands for an image in the viewer."""
    scale = min(1.0, THUMBNAIL / grid.longer)
    return max(1, round(grid.width * scale)), max(1, round(grid.height * scale))


def plane_cameras(grid: PixelGrid, windows: list[PixelWindow], *, size: tuple[int, int]) -> Cameras:
    """Cameras before the middle of the plane, each of which sees a part of it alone, in pictures of one size.

    With the size of the part, its ray through the middle of a pixel meets the middle of that pixel of the image.
    """
    pose = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, -DISTANCE], [0.0, 1.0, 0.0, 0.0]])
    width, height = size
    # Pixels of a picture along one of the image.
    across = torch.tensor([[width / each.width] for each in windows])
    down = torch.tensor([[height / each.height] for each in windows])
    return Cameras(
        camera_to_worlds=torch.from_numpy(pose[None]).float().repeat(len(windows), 1, 1),
        fx=DISTANCE * grid.longer / 2 * across,
        fy=DISTANCE * grid.longer / 2 * down,
        cx=across * torch.tensor([[grid.width / 2 - each.left] for each in windows]),
        cy=down * torch.tensor([[grid.height / 2 - each.top] for each in windows]),
        width=width,
        height=height,
        camera_type=CameraType.PERSPECTIVE,
    )
