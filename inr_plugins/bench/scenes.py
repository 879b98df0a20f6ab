"""Scenes of a benchmark: datasets, meshes, images, videos, measurements and folders of them, recognised unread."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.surface_read import is_shape_file

Parser = Literal["blender-data", "nerfstudio-data", "shape-data", "signal-data", "video-data", "measured-data"]
"""A dataparser of nerfstudio, or one of this package for surfaces, images, videos or measurements, which their methods
have built in."""
BUILT_IN: tuple[Parser, ...] = ("shape-data", "signal-data", "video-data", "measured-data")
"""Those that ns-train's command line does not name."""

_BLENDER = ("transforms_train.json", "transforms_test.json")
_NERFSTUDIO = "transforms.json"
_OF_VIEWS: tuple[Parser, ...] = ("blender-data", "nerfstudio-data")
_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".exr")
_MEASURED = (".npy", ".npz", ".mat", ".h5", ".hdf5", ".nii", ".nii.gz", ".dcm")
_WITH_METADATA = (".tif", ".tiff")
"""Of measurements where a JSON file lies beside them, else images; other pictures, where that file has _VALUES."""
_VALUES = "values"
_TRUTH = ("amplitude", "phase")
"""Keys of metadata that name a file."""
VIDEO_TRUTH = ("_background.png", "_mask.mkv")
"""How what inr-phantom writes beside a video is called, after the video's own name without its extension."""
_VIDEOS = (".mp4", ".m4v", ".mkv", ".mov", ".avi", ".webm", ".mpg", ".mpeg", ".gif", ".y4m")


@dataclass(frozen=True)
class Scene:
    """A dataset on the disk.

    Attributes:
        name: name of its folder, or of its file without the extension.
        folder: where it is; of a single shape, the file.
        parser: the dataparser for it.
        digest: of its poses and the names and sizes of its image files, or of the names and contents of its shapes, of
            its image, of its video or of its measurements; the same wherever it lies.
        resolution: width and height of its first image, pixels; None for shapes, which are drawn as training says,
            for videos and for measurements.
        train_views: training views; of nerfstudio-data, which splits them as it reads, all views; 0 for shapes,
            images, videos and measurements.
        test_views: test views; 0 for nerfstudio-data and shapes; 1 for an image, which is seen whole, and for
            videos and measurements, of which training counts the frames or slices.
    """

    name: str
    folder: Path
    parser: Parser
    digest: str
    resolution: tuple[int, int] | None
    train_views: int
    test_views: int


def find_scenes(folders: Sequence[Path]) -> list[Scene]:
    """The datasets at `folders`; a folder that is none but holds some stands for those, in order of their names.

    A mesh or a point cloud is a dataset, and so is a folder with some in it: they are learnt together. An image is one,
    and of a folder with some in it each: they are learnt one by one. So are the file of a
    video, a volume, k-space, a sinogram, holograms, a folder of DICOM slices, and one of pictures whose metadata stand
    beside it.

    Raises:
        InputError: nothing there, no dataset, a folder of videos, a dataset whose files are missing or broken, or two
            of one name.
    """
    found: list[Scene] = []
    for folder in folders:
        if not folder.exists():
            raise InputError(f"There is no scene folder {folder}: give --scenes a dataset, a mesh or an image.")
        scenes = [read_scene(part) for part in _parts(folder)]
        videos = [] if scenes else _files_of(folder, _VIDEOS)
        if videos:
            raise InputError(
                f"{folder} has {'a video' if len(videos) == 1 else 'videos'} in it and no dataset: give --scenes the "
                f"files themselves, for instance {videos[0]}."
            )
        if not scenes:
            raise InputError(
                f"{folder} is no dataset: --scenes wants a folder with {_BLENDER[0]} and {_BLENDER[1]} (Blender) or "
                f"{_NERFSTUDIO} (nerfstudio), a mesh or a folder of meshes, an image or a folder of images, "
                "a video, measurements, or a folder of datasets; inr-scene makes one."
            )
        found += scenes
    names = [scene.name for scene in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Two scenes are called {name}: rename one folder, since tables go by the names.")
    return found


def _parts(path: Path) -> list[Path]:
    """What `path` stands for: itself if it is one dataset, else those in it, else its own shapes or images."""
    own = _parser(path)
    if path.is_file() or own in _OF_VIEWS:
        return [path] if own else []
    inside = sorted(each for each in path.iterdir() if each.is_dir())
    of_views = [each for each in inside if _parser(each) in _OF_VIEWS]
    if of_views or own is None:
        return of_views or [each for each in inside if _parser(each)] or _images(path)
    return [path]


def _parser(path: Path) -> Parser | None:
    """The dataparser for a folder or a file; None if it is no dataset."""
    if (path / _BLENDER[0]).is_file():
        return "blender-data"
    if (path / _NERFSTUDIO).is_file():
        return "nerfstudio-data"
    if _measured(path):
        return "measured-data"
    if path.is_file() and _images(path):
        return "signal-data"
    if path.is_file() and _files_of(path, _VIDEOS):
        return "video-data"
    return "shape-data" if _shapes(path) else None


def _measured(path: Path) -> list[Path]:
    """The file of measurements that `path` is, or the DICOM slices or measured pictures that it holds as a folder."""
    pictures = _files_of(path, _IMAGES) if path.exists() and _VALUES in _metadata(path) else []
    if path.is_dir():
        return _files_of(path, (".dcm",)) or pictures
    with_metadata = _beside(path).is_file() and path.name.lower().endswith(_WITH_METADATA)
    return [path] if path.is_file() and (with_metadata or path.name.lower().endswith(_MEASURED)) else pictures


def _metadata(path: Path) -> dict[str, Any]:
    """What stands beside measurements; empty where nothing does, or it is no JSON, which training says."""
    try:
        found = json.loads(_beside(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _beside(path: Path) -> Path:
    """The metadata of measurements, `<name>.json`."""
    whole = path.resolve()
    return whole.with_name(f"{whole.stem}.json")


def _images(path: Path) -> list[Path]:
    """The images that `path` is or, as a folder, holds."""
    return _files_of(path, _IMAGES)


def _files_of(path: Path, endings: Sequence[str]) -> list[Path]:
    """The files with such endings that `path` is or, as a folder, holds."""
    files = [path] if path.is_file() else sorted(each for each in path.iterdir() if each.is_file())
    return [file for file in files if file.suffix.lower() in endings]


def _shapes(path: Path) -> list[Path]:
    """The meshes and point clouds that `path` is or, as a folder, holds."""
    return [file for file in ([path] if path.is_file() else sorted(path.iterdir())) if is_shape_file(file)]


def read_scene(folder: Path) -> Scene:
    """Describe the dataset in `folder`.

    Raises:
        InputError: a file is missing or is not what a dataparser could read.
    """
    parser = _parser(folder)
    if parser is None:
        raise InputError(f"{folder} is no dataset: it has neither {_BLENDER[0]} nor {_NERFSTUDIO}.")
    if parser in BUILT_IN:
        return _read_files(folder, parser)
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


def _read_files(path: Path, parser: Parser) -> Scene:
    """Describe a mesh, a folder of them, an image, a video or measurements; whether they can be read, training says."""
    digest = hashlib.sha256(parser.encode())
    files = {
        "signal-data": lambda: [path],
        "video-data": lambda: _with_truth(path),
        "measured-data": lambda: _with_metadata(path),
    }
    for file in files.get(parser, lambda: _shapes(path))():
        try:
            digest.update(file.name.encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error}): fix it, or leave the scene out.") from error
    whole = path.resolve()
    return Scene(
        name=whole.stem.removesuffix(".nii") if whole.is_file() else whole.name,
        folder=whole,
        parser=parser,
        digest=digest.hexdigest()[:16],
        resolution=_size(path, is_scene=True) if parser == "signal-data" else None,
        train_views=0,
        test_views=0 if parser == "shape-data" else 1,
    )


def _with_truth(clip: Path) -> list[Path]:
    """A video, and what it is judged by where it was made."""
    beside = [clip.resolve().with_name(f"{clip.stem}{ending}") for ending in VIDEO_TRUTH]
    return [clip, *(each for each in beside if all(other.is_file() for other in beside))]


def _with_metadata(path: Path) -> list[Path]:
    """Measurements, what stands beside them, and the truth that it names, which are as much a part of them."""
    beside = _beside(path)
    named = [beside.parent / str(_metadata(path).get(key)) for key in _TRUTH]
    return [*_measured(path), *(each for each in (beside, *named) if each.is_file())]


def _read_frames(path: Path) -> tuple[list[Any], bytes]:
    """The frames of a transforms file, one at least, and its bytes."""
    try:
        text = path.read_bytes()
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): fix the dataset, or leave the scene out.") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path} lists no frames: fix the dataset, or leave the scene out.")
    return frames, text


def _image(folder: Path, frame: Any, *, path: Path, parser: Parser) -> Path:
    """The image of a frame, which is there."""
    name = frame.get("file_path") if isinstance(frame, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{path} has a frame without file_path: fix the dataset, or leave the scene out.")
    image = folder / (name + ".png" if parser == "blender-data" else name)
    if not image.is_file():
        raise InputError(f"{path} names {name}, which is not there: fix the dataset, or leave it out.")
    return image


def _size(image: Path, *, is_scene: bool = False) -> tuple[int, int]:
    """Width and height of an image; InputError where one that is a scene by itself moves."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(image) as opened:
            frames = getattr(opened, "n_frames", 1)
            # The further frames of an MPO, as telephones write them, are previews and depth.
            if is_scene and frames > 1 and opened.format != "MPO":
                raise InputError(
                    f"{image} has {frames} frames, as an animation or pages, and is no scene: give an image, or the "
                    "file of a video."
                )
            return opened.size
    except (OSError, UnidentifiedImageError) as error:
        size = _size_of_bands(image) if is_scene else None
        if size is not None:
            return size
        raise InputError(f"{image} is not an image that can be read: fix the dataset, or leave it out.") from error


def _size_of_bands(image: Path) -> tuple[int, int] | None:
    """Width and height of a TIFF file of one page, whose samples Pillow does not know; None of others."""
    import tifffile

    try:
        with tifffile.TiffFile(image) as tiff:
            page: Any = tiff.pages[0]
            return (int(page.imagewidth), int(page.imagelength)) if len(tiff.pages) == 1 else None
    except (tifffile.TiffFileError, OSError, ValueError, LookupError):
        return None
