"""Which split is read where one was not given: val for test, or test for val."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

from inr_plugins.data.images.document import read_transforms

STANDS_IN = "stands_in"
"""Key of the name of the split that was read in place of the one asked for, in an output's metadata."""

_OTHER = {"val": "test", "test": "val"}


def split_to_read(config: DataParserConfig, split: str) -> str:
    """The split that holds the images of `split`: itself, or the other held-out one where it alone was given.

    Args:
        config: the parser's configuration.
        split: "train", "val" or "test".

    Raises:
        InputError: the file that lists the splits cannot be read.
    """
    other = _OTHER.get(split)
    if other is None:
        return split
    given = _given_splits(config)
    return other if split not in given and other in given else split


def names_splits(config: DataParserConfig) -> bool:
    """Whether the dataset's files say which images belong to which split; InputError if they cannot be read."""
    return bool(_given_splits(config))


def _given_splits(config: DataParserConfig) -> set[str]:
    """The splits that the dataset's files name; empty where the parser divides the images itself."""
    data = Path(config.data)
    if isinstance(config, BlenderDataParserConfig):
        return {split for split in ("train", "val", "test") if (data / f"transforms_{split}.json").exists()}
    if isinstance(config, ColmapDataParserConfig):
        # nerfstudio reads val_list.txt, though it looks for a validation_list.txt too.
        return {split for split in ("train", "val", "test") if (data / f"{split}_list.txt").exists()}
    if isinstance(config, NerfstudioDataParserConfig):
        document: dict[str, Any] = read_transforms(transforms_path(data))
        return {split for split in ("train", "val", "test") if document.get(f"{split}_filenames")}
    return set()


def transforms_path(data: Path) -> Path:
    """The JSON file that nerfstudio-data and instant-ngp-data read of a folder or a file."""
    return data if data.suffix == ".json" else data / "transforms.json"
