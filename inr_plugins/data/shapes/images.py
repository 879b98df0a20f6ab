"""Pictures of shapes, ray-cast when they are asked for and kept in memory: the images of nerfstudio's pipeline."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, UInt8
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset

from inr_plugins.data.shapes.cloud_discs import cloud_discs
from inr_plugins.geometry.appearance.ray_casting import MeshCaster
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh, face_normals

# Share of the light that comes from everywhere; the rest comes from the camera.
_AMBIENT = 0.35
# Of a category, only the shapes drawn last keep their search trees.
_KEPT_CASTERS = 8


def normal_shade(normals: Float[np.ndarray, "n 3"], towards: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """The colour of a surface: its normal, darker where it is seen at a slant.

    rgb = (normal + 1) / 2 * (0.35 + 0.65 max(0, normal . towards)).

    Args:
        normals: outward unit normals, normalised frame.
        towards: unit directions from the surface to the camera, in the same frame.
    """
    facing = np.maximum(np.einsum("ij,ij->i", normals, towards), 0.0)
    return (normals + 1) / 2 * (_AMBIENT + (1 - _AMBIENT) * facing)[:, None]


class _Drawable(NamedTuple):
    """A surface ready for rays: what finds its triangles, and their unit normals."""

    caster: MeshCaster
    normals: Float[np.ndarray, "f 3"]


class ShapePictures:
    """Draws shapes, one ray through the middle of each pixel as a model renders them.

    A mesh shows the normals of its faces and not smooth ones: they are those of the surface that is being learnt. A
    cloud is drawn as small discs. A surface seen from its back has its normal turned to the camera.

    Args:
        surfaces: of each shape, in the normalised frame; clouds with normals.
    """

    def __init__(self, surfaces: Sequence[Mesh | Cloud]) -> None:
        self._surfaces = tuple(surfaces)
        self._drawables: OrderedDict[int, _Drawable] = OrderedDict()
        # The viewer and nerfstudio's loaders ask from threads of their own.
        self._lock = threading.Lock()

    def draw(self, shape: int, rays: RayBundle) -> UInt8[np.ndarray, "height width 4"]:
        """The picture of a shape: colours by :func:`normal_shade`, and alpha 255 where a ray hits it, else all 0.

        Args:
            shape: its number.
            rays: of one camera's pixels (height, width), normalised frame.

        Raises:
            InputError: open3d cannot be imported.
        """
        directions = rays.directions.reshape(-1, 3).double().cpu().numpy()
        origin = rays.origins.reshape(-1, 3)[0].double().cpu().numpy()
        with self._lock:
            drawable = self._drawable(shape)
            face = drawable.caster.first_hits(origin, directions).face
        (hit,) = np.nonzero(face >= 0)
        normals, towards = drawable.normals[face[hit]], -directions[hit]
        away = np.einsum("ij,ij->i", normals, towards) < 0
        normals = np.where(away[:, None], -normals, normals)
        pixels = np.zeros((len(face), 4), dtype=np.uint8)
        pixels[hit, :3] = np.rint(255 * normal_shade(normals, towards))
        pixels[hit, 3] = 255
        return pixels.reshape(*rays.shape, 4)

    def _drawable(self, shape: int) -> _Drawable:
        if shape in self._drawables:
            self._drawables.move_to_end(shape)
            return self._drawables[shape]
        surface = self._surfaces[shape]
        mesh = cloud_discs(surface) if isinstance(surface, Cloud) else surface
        normals = face_normals(mesh)
        # A face without area is hit by no ray.
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        self._drawables[shape] = _Drawable(MeshCaster(mesh), normals)
        if len(self._drawables) > _KEPT_CASTERS:
            self._drawables.popitem(last=False)
        return self._drawables[shape]


@dataclass
class ShapeOutputs(DataparserOutputs):
    """What a dataparser of shapes gives: names and cameras of pictures that are on no disk, and what draws them."""

    pictures: ShapePictures = field(default_factory=lambda: ShapePictures(()))
    """Draws the shapes that the cameras' metadata number."""


class ShapeImages(InputDataset):
    """nerfstudio's dataset of images, whose images are drawn when they are first asked for.

    `image` is composited over the dataparser's alpha_color as it is for images on a disk; `get_numpy_image` has alpha.
    """

    in_memory = True
    """There are no files: `image_filenames` are names."""

    def __init__(self, dataparser_outputs: ShapeOutputs, scale_factor: float = 1.0) -> None:
        super().__init__(dataparser_outputs, scale_factor)
        self._images: dict[int, npt.NDArray[np.uint8]] = {}

    def get_numpy_image(self, image_idx: int) -> npt.NDArray[np.uint8]:
        """Return image `image_idx` as (height, width, 4) bytes, with straight alpha."""
        if image_idx not in self._images:
            outputs, cameras = cast(ShapeOutputs, self._dataparser_outputs), self.cameras
            assert cameras.metadata is not None  # the dataparser has put the shapes' numbers there
            shape = int(cameras.metadata["shape"][image_idx])
            rays = cameras.generate_rays(camera_indices=image_idx, keep_shape=True)
            self._images[image_idx] = outputs.pictures.draw(shape, rays)
        return self._images[image_idx]
