"""The folder of a made scene: written beside its final place and moved there when complete.

Layout, all in the dataset's frame and units:

    transforms_{train,val,test}.json   camera_angle_x and frames, as nerfstudio's blender-data reads them
    {train,val,test}/r_N.png           RGBA, straight alpha
    depth/{split}/r_N.npy              float32 z-depth at pixel centres, 0 where there is nothing
    normals/{split}/r_N.png            world normal at pixel centres, (n + 1) / 2 in 8 bits; black: nothing there
    masks/{split}/r_N.png              255 where the pixel's centre sees the object
    mesh.ply, mesh.ply.json            the surface itself, with vertex colours
    scene.json                         how it was made, and the source's frame
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError, setting
from inr_plugins.files import shown, sweep, why_unreadable
from inr_plugins.scenes.render import View

SPLITS = ("train", "val", "test")
SIDECAR = "scene.json"
_OURS = {
    *SPLITS,
    *(f"transforms_{split}.json" for split in SPLITS),
    "depth",
    "normals",
    "masks",
    "mesh.ply",
    "mesh.ply.json",
    SIDECAR,
}


def check_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Refuse an output folder that must not be written, before any work is done; what killed writers left there goes.

    Only a folder that this command wrote, and that holds nothing else, is ever replaced: the old one is deleted.

    Raises:
        InputError: the path is a file, or no name that a folder can have; the folder is not empty and `overwrite` is
            off; or `overwrite` is on and the folder is not a made scene, or holds more than one.
    """
    sweep(Path(os.path.realpath(folder)).parent)
    problem = why_unreadable(folder, folders=True)
    if problem == "does not exist":
        return
    if problem is not None:
        raise InputError(f"{shown(folder)} {problem}; give a folder for the scene.")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the scene.")
    sweep(folder)
    names = {entry.name for entry in folder.iterdir()} - {"lost+found"}
    if not names:
        return
    if not overwrite:
        raise InputError(
            f"{folder} is not empty; give {setting('overwrite', True)} to replace the scene in it, or give "
            "another folder."
        )
    foreign = sorted(names - _OURS)
    if SIDECAR not in names:
        raise InputError(
            f"{folder} was not written by inr-scene, so {setting('overwrite')} leaves it alone; give another folder."
        )
    if foreign:
        raise InputError(
            f"{folder} also holds {foreign[0]}, which {setting('overwrite')} would delete; move it, or give another."
        )


def write_view(folder: Path, split: str, index: int, view: View) -> None:
    """Write one view's four files. The folders must exist (`make_folders`)."""
    from PIL import Image

    def png(array: np.ndarray, *place: str) -> None:
        Image.fromarray(array).save(folder.joinpath(*place, f"r_{index}.png"), compress_level=3)

    png(view.rgba, split)
    png(np.where(view.mask, 255, 0).astype(np.uint8), "masks", split)
    shown = np.round(127.5 * (view.normal + 1)).astype(np.uint8) * view.mask[..., None]
    png(shown, "normals", split)
    np.save(folder / "depth" / split / f"r_{index}.npy", view.depth)


def make_folders(folder: Path) -> None:
    """Make the folders of every split."""
    for split in SPLITS:
        for parent in ("", "depth", "normals", "masks"):
            (folder / parent / split).mkdir(parents=True, exist_ok=True)


def transforms(
    split: str, poses: Float[np.ndarray, "n 4 4"], *, width: int, height: int, focal: float
) -> dict[str, Any]:
    """The JSON of one split.

    blender-data reads `camera_angle_x` (radians) and the frames' `file_path` (without extension) and
    `transform_matrix` (camera to world, OpenGL axes). The rest is for other readers, under names that it ignores.
    """
    frames = [
        {
            "file_path": f"./{split}/r_{index}",
            "transform_matrix": pose.tolist(),
            "depth_file_path": f"./depth/{split}/r_{index}.npy",
            "normal_file_path": f"./normals/{split}/r_{index}.png",
            "object_mask_file_path": f"./masks/{split}/r_{index}.png",
        }
        for index, pose in enumerate(poses)
    ]
    return {
        "camera_angle_x": 2 * float(np.arctan(width / (2 * focal))),
        "w": width,
        "h": height,
        "fl_x": focal,
        "fl_y": focal,
        "cx": width / 2,
        "cy": height / 2,
        "frames": frames,
    }
