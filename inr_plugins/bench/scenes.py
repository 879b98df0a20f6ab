"""Scenes of a benchmark: dataset folders, found and recognised without reading their images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inr_plugins.errors import InputError

Parser = Literal["blender-data", "nerfstudio-data"]

_BLENDER = ("transforms_train.json", "transforms_test.json")
_NERFSTUDIO = "transforms.json"


@dataclass(frozen=True)
class Scene:
    """A dataset on the disk.

    Attributes:
        name: name of its folder.
        folder: where it is.
        parser: nerfstudio's dataparser for it.
        digest: of its poses and the names and sizes of its image files; the same wherever the folder is.
        resolution: width and height of its first image, pixels.
        train_views: training views; of nerfstudio-data, which splits them as it reads, all views.
        test_views: test views; 0 for nerfstudio-data.
    """

    name: str
    folder: Path
    parser: Parser
    digest: str
    resolution: tuple[int, int]
    train_views: int
    test_views: int


def find_scenes(folders: Sequence[Path]) -> list[Scene]:
    """The datasets at `folders`; a folder that is none but holds some stands for those, in order of their names.

    Raises:
        InputError: nothing there, no dataset, a dataset whose files are missing or broken, or two of one name.
    """
    found: list[Scene] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"There is no scene folder {folder}: give --scenes the folder of a dataset.")
        parts = [folder] if _parser(folder) else sorted(each for each in folder.iterdir() if each.is_dir())
        scenes = [read_scene(part) for part in parts if _parser(part)]
        if not scenes:
            raise InputError(
                f"{folder} is no dataset: --scenes wants a folder with {_BLENDER[0]} and {_BLENDER[1]} (Blender) or "
                f"{_NERFSTUDIO} (nerfstudio), or a folder of such folders; inr-scene makes one."
            )
        found += scenes
    names = [scene.name for scene in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Two scenes are called {name}: rename one folder, since tables go by the names.")
    return found


def _parser(folder: Path) -> Parser | None:
    if (folder / _BLENDER[0]).is_file():
        return "blender-data"
    return "nerfstudio-data" if (folder / _NERFSTUDIO).is_file() else None


def read_scene(folder: Path) -> Scene:
    """Describe the dataset in `folder`.

    Raises:
        InputError: a file is missing or is not what a dataparser could read.
    """
    parser = _parser(folder)
    if parser is None:
        raise InputError(f"{folder} is no dataset: it has neither {_BLENDER[0]} nor {_NERFSTUDIO}.")
    digest = hashlib.sha256(parser.encode())
    images: list[list[Path]] = []
    for name in _BLENDER if parser == "blender-data" else (_NERFSTUDIO,):
        path = folder / name
        frames, text = _read_frames(path)
        images.append([_image(folder, frame, path=path, parser=parser) for frame in frames])
        # The names are in the text.
        digest.update(text)
        digest.update(str([image.stat().st_size for image in images[-1]]).encode())
    return Scene(
        name=folder.resolve().name,
        folder=folder.resolve(),
        parser=parser,
        digest=digest.hexdigest()[:16],
        resolution=_size(images[0][0]),
        train_views=len(images[0]),
        test_views=len(images[1]) if parser == "blender-data" else 0,
    )


def _read_frames(path: Path) -> tuple[list[Any], bytes]:
    """The frames of a transforms file, one at least, and its bytes."""
    try:
        text = path.read_bytes()
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): mend the dataset, or leave the scene out.") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path} lists no frames: mend the dataset, or leave the scene out.")
    return frames, text


def _image(folder: Path, frame: Any, *, path: Path, parser: Parser) -> Path:
    """The image of a frame, which is there."""
    name = frame.get("file_path") if isinstance(frame, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{path} has a frame without file_path: mend the dataset, or leave the scene out.")
    image = folder / (name + ".png" if parser == "blender-data" else name)
    if not image.is_file():
        raise InputError(f"{path} names {name}, which is not there: mend the dataset, or leave it out.")
    return image


def _size(image: Path) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(image) as opened:
            return opened.size
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{image} is not an image that can be read: mend the dataset, or leave it out.") from error
