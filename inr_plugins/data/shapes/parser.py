"""The dataparser of shapes: surfaces from files, with cameras around them and pictures of what they look like."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor

from inr_plugins.data.shapes.files import Shape, ShapeSet, ShapeSettings, read_shapes
from inr_plugins.data.shapes.images import ShapeOutputs, ShapePictures
from inr_plugins.data.shapes.sampling import OPTION
from inr_plugins.data.shapes.views import SPLITS, Split, shape_cameras, views_of_each
from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh

# nerfstudio's commands take the folder that images have in common for their root, which one image alone does not have.
_FEWEST_VIEWS = 2
_SMALLEST_IMAGE, _LARGEST_IMAGE = 8, 4096


@dataclass
class ShapeDataParserConfig(DataParserConfig, ShapeSettings):
    """Surfaces from mesh and point cloud files: one file, or a folder of them."""

    _target: type = field(default_factory=lambda: ShapeDataParser)
    """Class to instantiate."""
    data: Path = Path()
    """Mesh or point cloud, or folder of them."""
    image_size: int = 200
    """Side of the pictures, in pixels, that the fit is compared with; they are drawn from the true surface."""
    train_views: int = 12
    """Pictures that the viewer shows around the fit, of all shapes together, but one of each shape at least."""
    val_views: int = 4
    """Pictures that are looked at during training, counted the same way."""
    test_views: int = 4
    """Pictures for evaluation, counted the same way."""


class ShapeDataParser(DataParser):
    """Reads shapes once, when they are first asked for, and puts cameras around them.

    The frame is described in `shape_files.read_shapes`; `dataparser_transform` and `dataparser_scale` are those of the
    first shape. The images are names: `ShapeImages` draws them. Metadata, which the model gets: "shapes", the names;
    "file_unit", the normalised length of one unit of the files, None where shapes differ in it.

    Raises:
        InputError: an option out of range; and with the first use of the shapes, what `read_shapes` raises.
    """

    config: ShapeDataParserConfig

    def __init__(self, config: ShapeDataParserConfig) -> None:
        super().__init__(config)
        if not _SMALLEST_IMAGE <= config.image_size <= _LARGEST_IMAGE:
            raise InputError(
                f"{OPTION}image-size must be between {_SMALLEST_IMAGE} and {_LARGEST_IMAGE} pixels, got "
                f"{config.image_size}."
            )
        for split in SPLITS:
            views = getattr(config, f"{split}_views")
            if views < _FEWEST_VIEWS:
                raise InputError(f"{OPTION}{split}-views must be at least {_FEWEST_VIEWS}, got {views}.")

    @cached_property
    def shapes(self) -> ShapeSet:
        """The shapes of --data, in the normalised frame."""
        path = Path(self.config.data)
        if not path.exists():
            raise InputError(f"There is no shape at {path}: give --data a mesh, a point cloud, or a folder of them.")
        return read_shapes(path, self.config)

    @cached_property
    def _pictures(self) -> ShapePictures:
        """What draws the shapes, for all splits."""
        return ShapePictures([shape.surface for shape in self.shapes.shapes])

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> ShapeOutputs:
        """Names and cameras of the pictures of a split ("train", "val" or "test"), white behind the shapes."""
        if split not in SPLITS:
            raise InputError(f"There is no {split} split of shapes: choose {', '.join(SPLITS)}.")
        config, shapes, names = self.config, self.shapes.shapes, self.shapes.names
        views = views_of_each(getattr(config, f"{split}_views"), len(shapes))
        radii = np.array([_radius(shape) for shape in shapes])
        transform, scale = dataparser_terms(shapes[0].to_normalised)
        scales = {shape.to_normalised.scale for shape in shapes}
        path = Path(config.data)
        root = path if path.is_dir() else path.parent
        return ShapeOutputs(
            image_filenames=[
                root / shape.name / f"{split}_{view:03d}.png" for shape in shapes for view in range(views)
            ],
            cameras=shape_cameras(radii, split=cast(Split, split), views=views, size=config.image_size),
            alpha_color=torch.ones(3),
            scene_box=SceneBox(aabb=torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])),
            metadata={"shapes": names, "file_unit": scales.pop() if len(scales) == 1 else None, "up": config.up},
            dataparser_transform=transform,
            dataparser_scale=scale,
            pictures=self._pictures,
        )


def _radius(shape: Shape) -> float:
    """Distance of the farthest point of a shape from the origin."""
    points = shape.surface.vertices if isinstance(shape.surface, Mesh) else shape.surface.points
    return float(np.linalg.norm(points, axis=1).max())


def dataparser_terms(similarity: Similarity) -> tuple[Float[Tensor, "3 4"], float]:
    """A similarity as nerfstudio's `dataparser_transform` (3, 4) and `dataparser_scale`, which is applied after it."""
    matrix = np.hstack([similarity.rotation, similarity.offset[:, None] / similarity.scale])
    return torch.from_numpy(matrix).float(), similarity.scale
