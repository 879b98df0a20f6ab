"""A dataset of which only the smaller images were kept: the sentence names the option that reads them, and it does."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
import torch
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from PIL import Image
from small_datasets import colmap_scene, nerfstudio_scene

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.errors import InputError

PARSERS = {
    "nerfstudio-data": lambda folder: NerfstudioDataParserConfig(data=nerfstudio_scene(folder), eval_mode="all"),
    "colmap": lambda folder: ColmapDataParserConfig(data=colmap_scene(folder), eval_mode="all"),
}


def keep_smaller_only(folder: Path, factor: int, *, at: str = "images") -> None:
    """Put images at 1/factor of the size into images_<factor>, and take those of full size away."""
    for image in list((folder / "images").rglob("*.png")):
        target = folder / f"{at}_{factor}" / image.relative_to(folder / "images")
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(image) as full:
            full.resize((full.width // factor, full.height // factor)).save(target)
        image.unlink()
    for empty in sorted((folder / "images").rglob("*"), reverse=True):
        empty.rmdir()
    (folder / "images").rmdir()


def load(config):
    return InrDataManagerConfig(dataparser=config).setup(device="cpu", test_mode="val")


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.mark.parametrize("parser", PARSERS)
def test_smaller_images_alone_are_read_with_the_option_that_is_named(tmp_path: Path, parser: str) -> None:
    config = PARSERS[parser](tmp_path)
    whole = load(config).train_dataset
    sizes = [whole.get_numpy_image(k).shape for k in range(len(whole))]
    keep_smaller_only(tmp_path, 2)
    config = type(config)(data=tmp_path, eval_mode="all")
    with pytest.raises(InputError, match=re.escape(f"{parser} --downscale-factor 2")) as caught:
        load(config)
    assert str(tmp_path / "images_2") in str(caught.value)
    config.downscale_factor = 2
    manager = load(config)
    assert manager.next_train(0)[1]["image"].shape[1] in (3, 4)
    found = manager.train_dataset
    assert [found.get_numpy_image(k).shape[:2] for k in range(len(found))] == [(h // 2, w // 2) for h, w, *_ in sizes]
    # Half the pixels a side: half the focal length, and the poses as they were.
    torch.testing.assert_close(found.cameras.fx, whole.cameras.fx / 2)
    torch.testing.assert_close(found.cameras.camera_to_worlds, whole.cameras.camera_to_worlds)


@pytest.mark.parametrize("parser", PARSERS)
def test_a_folder_that_is_no_smaller_copy_is_not_named(tmp_path: Path, parser: str) -> None:
    config = PARSERS[parser](tmp_path)
    keep_smaller_only(tmp_path, 2, at="images_of_mine")
    (tmp_path / "images_0").mkdir()
    (tmp_path / "images_8").write_text("a file")
    with pytest.raises(InputError) as caught:
        load(type(config)(data=tmp_path, eval_mode="all"))
    assert "--downscale-factor" not in str(caught.value)
