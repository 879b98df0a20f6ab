"""Writing the dataset: images as a pinhole sees them, masks, points, and nerfstudio's transforms.json last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.files import replacing, write_json
from inr_plugins.geometry.frames import Similarity
from inr_plugins.photos.masks import read_mask
from inr_plugins.photos.model import Model, Placed
from inr_plugins.photos.pictures import UNREADABLE, Photo, pixels_of
from inr_plugins.photos.undistort import Undistorter
from inr_plugins.photos.work import IMAGES, MASKS, POINTS, TRANSFORMS

_WORKERS = 2
_QUALITY = 95


@dataclass(frozen=True)
class View:
    """A photo of the dataset.

    Attributes:
        photo: where its pixels are.
        placed: where its camera is.
        name: of its image, without an ending.
        mask: the file of its mask.
    """

    photo: Photo
    placed: Placed
    name: str
    mask: Path | None = None


def image_names(photos: Sequence[Photo]) -> list[str]:
    """The photos' own names without their endings; with them where two would be one."""
    stems = [Path(photo.name).with_suffix("").as_posix() for photo in photos]
    return [
        stem if stems.count(stem) == 1 else photo.name.replace(".", "_")
        for stem, photo in zip(stems, photos, strict=True)
    ]


def write_dataset(
    output: Path,
    views: Sequence[View],
    model: Model,
    frame: Similarity,
    *,
    max_size: int,
    tell: Callable[[int, int], None],
) -> None:
    """Write images, masks, points and transforms.json into a folder.

    Args:
        output: the folder, an empty one.
        views: the photos of the dataset, in their order.
        model: the reconstruction.
        frame: from the reconstruction's frame to the dataset's.
        max_size: of the images' longer side, pixels.
        tell: told how many images are written, of how many.

    Raises:
        InputError: a photo no longer decodes, or a mask is none of its photo's.
        OSError: the disk is full or not writable.
    """
    undistorters = {number: Undistorter(lens, max_size) for number, lens in model.lenses.items()}
    is_see_through = any(view.photo.header.mode in ("RGBA", "LA", "PA", "P") for view in views)
    files = dict[str, dict[str, Any]]()
    images, masks = output / IMAGES, output / MASKS
    has_masks = views[0].mask is not None

    def one(view: View) -> None:
        undistorter = undistorters[view.placed.camera]
        pixels = _pixels(view.photo, max_size)
        ending = ".jpg" if view.photo.is_lossy and not is_see_through else ".png"
        _write_image(images / (view.name + ending), undistorter.picture(pixels), with_alpha=is_see_through)
        files[view.name] = {"file_path": f"{IMAGES}/{view.name}{ending}"}
        if has_masks and view.mask is not None:
            inside = read_mask(view.mask, view.photo, (pixels.shape[1], pixels.shape[0]))
            flat = undistorter.mask(inside)
            _write_image(masks / f"{view.name}.png", np.where(flat, 255, 0).astype(np.uint8))
            files[view.name]["mask_path"] = f"{MASKS}/{view.name}.png"

    with ThreadPoolExecutor(_WORKERS) as pool:
        for done, _ in enumerate(pool.map(one, views), start=1):
            tell(done, len(views))
    write_points(output / POINTS, model, frame)
    content = transforms(views, {number: each.pinhole for number, each in undistorters.items()}, files, frame)
    write_json(output / TRANSFORMS, content)


def transforms(
    views: Sequence[View], lenses: dict[int, Any], files: dict[str, dict[str, Any]], frame: Similarity
) -> dict[str, Any]:
    """The content of transforms.json. One lens stands for the file as a whole, several each in its frames.

    Poses are camera to world, with OpenGL's axes (x right, y up, looking along -z). "orientation_override" has
    nerfstudio leave the frame's z axis up: by itself it takes the mean of the cameras' own directions up, which leans
    by as much as they look down from one side.
    """
    entries = {
        number: {
            "w": lens.width,
            "h": lens.height,
            **{key: value for key, value in asdict(lens).items() if key not in ("width", "height")},
        }
        for number, lens in lenses.items()
    }
    used = sorted({view.placed.camera for view in views})
    frames = []
    for view in views:
        own = entries[view.placed.camera] if len(used) > 1 else {}
        pose = pose_in(frame, view.placed.pose)
        frames.append({**files[view.name], **own, "transform_matrix": pose.tolist()})
    common = entries[used[0]] if len(used) == 1 else {}
    head = {"camera_model": "PINHOLE", **common, "orientation_override": "none", "ply_file_path": POINTS}
    return {**head, "frames": frames}


def pose_in(frame: Similarity, pose: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """A camera-to-world pose with OpenCV's axes as one in another frame with OpenGL's."""
    moved = np.eye(4)
    moved[:3, :3] = frame.rotation @ pose[:3, :3] @ np.diag([1.0, -1.0, -1.0])
    moved[:3, 3] = frame.points(pose[None, :3, 3])[0]
    return moved


def write_points(path: Path, model: Model, frame: Similarity) -> None:
    """The points of a reconstruction as binary PLY, float64 positions in the dataset's frame, and colours."""
    kind = np.dtype([(axis, "<f8") for axis in "xyz"] + [(colour, "u1") for colour in ("red", "green", "blue")])
    rows = np.empty(len(model.points), dtype=kind)
    for number, axis in enumerate("xyz"):
        rows[axis] = frame.points(model.points)[:, number]
    for number, colour in enumerate(("red", "green", "blue")):
        rows[colour] = model.colours[:, number]
    properties = [f"property {'double' if name in 'xyz' else 'uchar'} {name}" for name in kind.names or ()]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}", *properties, "end_header", ""]
    with replacing(path, durable=False) as partial:
        partial.write_bytes("\n".join(header).encode() + rows.tobytes())


def _pixels(photo: Photo, max_size: int) -> np.ndarray:
    try:
        return pixels_of(photo, max_size)
    except UNREADABLE as error:
        raise InputError(f"{photo.path} no longer decodes ({error}): put it back, and start again.") from error


def _write_image(path: Path, pixels: np.ndarray, *, with_alpha: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if with_alpha and pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=-1)
    image = Image.fromarray(pixels)
    if path.suffix == ".jpg":
        image.save(path, format="JPEG", quality=_QUALITY, subsampling=0)
    else:
        image.save(path, format="PNG", compress_level=3)
