"""Where a dataset's images are: files on the disk, or pictures that it draws when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Bool, Float
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image
from torch import Tensor


def is_in_memory(dataset: InputDataset) -> bool:
    """Whether the dataset draws its images, and `image_filenames` are names of no files."""
    return bool(getattr(dataset, "in_memory", False))


def has_alpha(dataset: InputDataset, index: int) -> bool:
    """Whether image `index` has an alpha channel, whatever the dataparser lays under it.

    A dataset of this package says so itself (`has_alpha`), for its file may be no image.

    Raises:
        OSError: its file cannot be read.
    """
    if is_in_memory(dataset):
        return dataset.get_numpy_image(index).shape[-1] == 4
    known = getattr(dataset, "has_alpha", None)
    if known is not None:
        return bool(known)
    with Image.open(dataset.image_filenames[index]) as image:
        return "A" in image.getbands()


def all_channels(dataset: Any, index: int) -> Float[Tensor, "height width channels"]:
    """Image `index` of a file of bands, of which three at the most are seen, with all of them, in [0, 1]."""
    found: Tensor = dataset.channels_of(index)
    return found


def inside_mask(data: Mapping[str, Any]) -> Bool[Tensor, "height width"]:
    """Which pixels of a picture are inside its mask, as in the training: the dataset's own reading of the file.

    nerfstudio's datasets count all that is not 0 as inside. Those of this package, which its methods learn from, divide
    greys at half of white and know labels of 0 and 1 (`data.images.masks`). Both give booleans, and nothing is divided
    once more.

    Args:
        data: what `get_data` of the dataset gives for the picture, with its mask.
    """
    return data["mask"].bool().reshape(data["mask"].shape[:2])
