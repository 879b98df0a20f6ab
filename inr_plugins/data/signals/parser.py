"""The dataparser of images and videos as signals: a plane in the scene, with a camera that sees it pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import tyro
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox

from inr_plugins.data.fingerprint import Fingerprint
from inr_plugins.data.signals.bands_file import ChannelAxis
from inr_plugins.data.signals.frame_folder import frame_files
from inr_plugins.data.signals.image_file import SignalImage, kind_of, read_image
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.video import LARGEST_MOST, read_video
from inr_plugins.data.signals.windows import windows_of
from inr_plugins.errors import InputError
from inr_plugins.options import OF_THE_DATA
from inr_plugins.signal_grid import PixelGrid, PixelWindow

DISTANCE = 2.5
"""Of the camera from the plane, normalised units."""
THUMBNAIL = 512
"""Pixels of the longer side, at the most, of the picture that the viewer shows of the image."""
SPLITS = ("train", "val", "test")
_GIGABYTE = 10**9
_FINGERPRINT_CELLS = 4
"""Along each side, and frames, at the most."""


@dataclass
class SignalDataParserConfig(DataParserConfig):
    """One image file, in the plane y = 0 of the scene."""

    _target: type = field(default_factory=lambda: SignalDataParser)
    """Class to instantiate."""
    data: Path = Path()
    """Image file: PNG, JPEG, TIFF or another that Pillow reads, 8- or 16-bit grey, RGB or RGBA; TIFF or OpenEXR of
    floating-point grey or RGB; or any number of channels in a TIFF or an array (.npy, .npz, .mat or HDF5)."""
    memory_gigabytes: float = 2.0
    """A TIFF file whose pixels take more is unpacked tile by tile into a temporary file, and looked up there."""
    channel_axis: ChannelAxis | None = None
    """Which axis of an array has its channels, or of the pages of a TIFF file, which are its first; needed where that
    cannot be told."""
    learnt: tyro.conf.Suppress[tyro.conf.Fixed[SignalKind | None]] = field(default=None, metadata=OF_THE_DATA)
    """What kind of image that is, as it was when training began; a run opens without the file by it."""
    NOUN: ClassVar[str] = "image"
    """What is learnt."""
    FRAMES: ClassVar[str] = "frames"
    """What several pictures are called."""

    def read(self) -> SignalImage:
        """What is at `data`; see `read_image`."""
        return read_image(Path(self.data), most_bytes=self._most_bytes, bands=True, channel_axis=self.channel_axis)

    def kind(self) -> SignalKind:
        """What kind of image that is; see `kind_of`."""
        return kind_of(Path(self.data), most_bytes=self._most_bytes, bands=True, channel_axis=self.channel_axis)

    def frame_files(self) -> list[Path]:
        """The files of frames that have one each."""
        path = Path(self.data)
        return frame_files(path) if path.is_dir() else []

    def frame_names(self) -> tuple[str, ...]:
        """What frames are called that are things of their own; none: they are numbers."""
        return ()

    @property
    def _most_bytes(self) -> float:
        return self.memory_gigabytes * _GIGABYTE


@dataclass
class VideoDataParserConfig(SignalDataParserConfig):
    """One video, in the plane y = 0 of the scene."""

    data: Path = Path()
    """Video file (MP4, Matroska, MOV, AVI, WebM, GIF or another of FFmpeg's), or a folder of numbered pictures."""
    memory_gigabytes: float = 2.0
    """Frames that take more are put into a temporary file, and looked up there."""
    channel_axis: tyro.conf.Suppress[ChannelAxis | None] = None
    """Not used."""
    first_frames: int | None = None
    """How many frames are learnt, from the first on; by default all."""
    NOUN: ClassVar[str] = "video"

    def read(self) -> SignalImage:
        """What is at `data`; see `read_video`."""
        return read_video(Path(self.data), first_frames=self.first_frames, most_bytes=self._most_bytes)

    def kind(self) -> SignalKind:
        """What kind of video that is; the frames are kept until they are asked for."""
        return self.read().kind


@dataclass
class SignalOutputs(DataparserOutputs):
    """What the dataparser gives: also what reads the image itself when it is asked for."""

    parser: SignalDataParser = field(kw_only=True)
    """What has the image."""
    windows: list[PixelWindow] = field(kw_only=True)
    """The part of the image, or of a frame, that each camera sees."""


class SignalDataParser(DataParser):
    """Reads an image once, when its pixels are first asked for, and puts a camera before it.

    The camera is known without the file where the configuration says what kind of image it is, that of a saved run.

    The image lies in the plane y = 0 of the normalised frame, its columns along x and its rows down along -z: a point
    (x, 0, z) shows what is at the coordinates (x, -z) of the image (`signal_grid`). The one camera of each split looks
    along y, and its rays meet the middles of the pixels: those of the image in "val" and "test", and in "train" those
    of a thumbnail. A large image has cameras for parts of it in "val" and "test" (`windows`), and a video there a
    camera for each frame, whose times are 0 for the first one to 1 for the last. Metadata, which the model gets:
    "signal", with width, height, frames, channels, bits, has_alpha, span, parts and bands (`SignalKind`); and
    "names", of frames that have some.

    Raises:
        InputError: with the first use of the image, what `read_image` raises; or it is of another kind than the run's.
    """

    config: SignalDataParserConfig
    check: Callable[[Fingerprint], None] | None = None
    """Told what the image is known by as soon as it is read; InputError where it is another."""

    @cached_property
    def image(self) -> SignalImage:
        """The image of --data, or the video."""
        path, noun, frames = Path(self.config.data), self.config.NOUN, self.config.FRAMES
        if not path.exists():
            given = noun if noun.startswith("folder") else f"{noun} file"
            raise InputError(
                f"There is no {noun} at {path}, which is needed for this: give --data the {given}, or set the "
                "environment variable INR_DATA to where it is now."
            )
        found = self.config.read()
        if len(found.flat) > LARGEST_MOST:
            raise InputError(f"The image {path} has more than {LARGEST_MOST:,} pixels: give a part of it.")
        learnt = self.config.learnt
        if learnt is not None and not learnt.has_the_numbers_of(found.kind):
            raise InputError(
                f"The {noun} {path} has {found.kind.description(frames=frames)}, and the run has learnt one with "
                f"{learnt.description(frames=frames)}: give --data that one."
            )
        if self.check is not None:
            self.check(known_by(found))
        return found

    @property
    def kind(self) -> SignalKind:
        """What kind of image it is."""
        return self.image.kind if self.config.learnt is None else self.config.learnt

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> SignalOutputs:
        if split not in SPLITS:
            raise InputError(f"There is no {split} split of an image: choose {', '.join(SPLITS)}.")
        kind = self.kind
        grid = PixelGrid(kind.width, kind.height, kind.frames)
        first = [PixelWindow(0, 0, kind.width, kind.height)]
        windows = first if split == "train" else windows_of(grid, kind.channels)
        size = thumbnail_size(grid) if split == "train" else (windows[0].width, windows[0].height)
        x, z = grid.half_extent
        return SignalOutputs(
            image_filenames=self._files(windows),
            cameras=plane_cameras(grid, windows, size=size),
            alpha_color=torch.ones(3) if kind.has_alpha else None,
            scene_box=SceneBox(aabb=torch.tensor([[-x, -0.1, -z], [x, 0.1, z]])),
            metadata={
                "signal": {
                    "width": kind.width,
                    "height": kind.height,
                    "frames": kind.frames,
                    "channels": kind.channels,
                    "bits": kind.bits,
                    "has_alpha": kind.has_alpha,
                    "span": kind.span,
                    "parts": kind.parts,
                    "bands": kind.bands,
                },
                "names": self.config.frame_names(),
            },
            parser=self,
            windows=windows,
        )

    def _files(self, windows: list[PixelWindow]) -> list[Path]:
        """The file that each camera's picture is in."""
        path = Path(self.config.data)
        frames = self.config.frame_files() if self.kind.frames > 1 else []
        return [frames[each.frame] if each.frame < len(frames) else path for each in windows]


def known_by(image: SignalImage) -> Fingerprint:
    """Numbers by which an image is known again: its size, and its mean colours in a few cells, of a few frames."""
    kind = image.kind
    low, high = kind.span
    frames = sorted({round(place * (kind.frames - 1)) for place in np.linspace(0, 1, _FINGERPRINT_CELLS)})
    cells = [
        (block.mean(axis=(0, 1), dtype=np.float64) - low) / (high - low) if block.size else np.zeros(kind.channels)
        for frame in frames
        for rows in np.array_split(image.picture(frame), _FINGERPRINT_CELLS, axis=0)
        for block in np.array_split(rows, _FINGERPRINT_CELLS, axis=1)
    ]
    return {
        "count": [float(kind.frames)],
        "size": [float(kind.width), float(kind.height), float(kind.channels)],
        "pictures": [float(each) for cell in cells for each in cell],
    }


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
        times=torch.tensor([[each.frame / (grid.frames - 1)] for each in windows]) if grid.is_video else None,
        camera_type=CameraType.PERSPECTIVE,
    )
