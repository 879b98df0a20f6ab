"""Where a dataset's images are: files on the disk, or pictures that it draws when they are asked for."""

from __future__ import annotations

from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image


def is_in_memory(dataset: InputDataset) -> bool:
    """Whether the dataset draws its images, and `image_filenames` are names of no files."""
    return bool(getattr(dataset, "in_memory", False))


def has_alpha(dataset: InputDataset, index: int) -> bool:
    """Whether image `index` has an alpha channel, whatever the dataparser lays under it.

    Raises:
        OSError: its file cannot be read.
    """
    if is_in_memory(dataset):
        return dataset.get_numpy_image(index).shape[-1] == 4
    with Image.open(dataset.image_filenames[index]) as image:
        return "A" in image.getbands()
