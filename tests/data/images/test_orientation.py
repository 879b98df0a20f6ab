"""Pictures with an EXIF orientation are seen upright, as viewers show them, where their cameras say so; or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from PIL import Image, ImageOps
from small_datasets import colmap_scene, edit_json, nerfstudio_scene

from inr_plugins.data.images.datamanager import InrDataManager, InrDataManagerConfig
from inr_plugins.errors import InputError

# What each value says, by hand, for an array of lines and columns (EXIF 2.3, tag 0x0112).
SHOWN = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x[:, ::-1].swapaxes(0, 1),
}


def tag(path: Path, orientation: int, pixels: np.ndarray | None = None) -> np.ndarray:
    """Save a picture of 10 lines again, or these pixels, with an EXIF orientation; returns the pixels stored."""
    if pixels is None:
        with Image.open(path) as image:
            pixels = np.array(image)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return pixels


def scene(folder: Path, *, width: int, height: int, stored: tuple[int, int], masks: bool = False) -> Path:
    """A dataset whose cameras have one size and whose pictures are stored in another."""
    nerfstudio_scene(folder, sizes=[stored] * 10, masks=masks)
    edit_json(
        folder / "transforms.json",
        lambda document: [frame.update(w=width, h=height, cx=width / 2) for frame in document["frames"]],
    )
    return folder


def manager(folder: Path) -> InrDataManager:
    config = InrDataManagerConfig(dataparser=NerfstudioDataParserConfig(data=folder, eval_mode="all"))
    return config.setup(device="cpu", test_mode="val")


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("square", [True, False])
def test_pictures_are_upright(
    tmp_path: Path, orientation: int, square: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = (12, 12) if square else (12, 10)
    width, height = stored[::-1] if orientation >= 5 else stored
    folder = scene(tmp_path, width=width, height=height, stored=stored)
    for index in range(10):
        tag(folder / f"images/{index:02d}.png", orientation)
    expected = SHOWN[orientation](tag(folder / "images/03.png", orientation))
    dataset = manager(folder).train_dataset
    np.testing.assert_array_equal(dataset.get_numpy_image(3), expected)
    assert ("EXIF" in capsys.readouterr().out) == (orientation != 1)
    with Image.open(folder / "images/03.png") as image:
        np.testing.assert_array_equal(expected, np.array(ImageOps.exif_transpose(image)))
    np.testing.assert_allclose(dataset[3]["image"].numpy(), expected / 255.0, atol=1e-7)


def test_batches_and_scaled_pictures_are_upright_too(tmp_path: Path) -> None:
    folder = scene(tmp_path, width=10, height=12, stored=(12, 10))
    shown = [SHOWN[6](tag(folder / f"images/{index:02d}.png", 6)) for index in range(10)]
    _, batch = manager(folder).next_train(0)
    seen = [shown[image][line, column] for image, line, column in batch["indices"].tolist()]
    np.testing.assert_allclose(batch["image"], np.array(seen) / 255, atol=1e-6)
    config = InrDataManagerConfig(
        dataparser=NerfstudioDataParserConfig(data=folder, eval_mode="all"), camera_res_scale_factor=0.5
    )
    assert config.setup(device="cpu", test_mode="val").train_dataset.get_numpy_image(0).shape == (6, 5, 3)


def test_pictures_stay_as_they_are_stored_where_their_cameras_say_so(tmp_path: Path) -> None:
    """COLMAP does not look at EXIF; the cameras that it makes have the stored size."""
    folder = scene(tmp_path, width=12, height=10, stored=(12, 10))
    stored = tag(folder / "images/03.png", 6)
    np.testing.assert_array_equal(manager(folder).train_dataset.get_numpy_image(3), stored)


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("is_upright", [True, False])
def test_a_tiff_is_turned_once_or_not_at_all(tmp_path: Path, orientation: int, is_upright: bool) -> None:
    """Pillow turns a TIFF as it reads it, and says beforehand that it is upright."""
    stored = (12, 10)
    width, height = stored[::-1] if is_upright and orientation >= 5 else stored
    folder = scene(tmp_path, width=width, height=height, stored=stored, masks=True)
    # All but what turns no picture on its side, which a size cannot tell from one that is upright.
    expected = SHOWN[orientation] if is_upright or orientation < 5 else SHOWN[1]
    for index in range(10):
        for kind in ("images", "masks"):
            path = folder / f"{kind}/{index:02d}.png"
            path.rename(path.with_suffix(".tif"))
    mask = np.zeros((10, 12), dtype=np.uint8)
    mask[:4, :7] = 255
    pixels = [tag(path, orientation) for path in sorted((folder / "images").iterdir())]
    for path in (folder / "masks").iterdir():
        tag(path, orientation, mask)
    (folder / "transforms.json").write_text((folder / "transforms.json").read_text().replace(".png", ".tif"))
    dataset = manager(folder).train_dataset
    np.testing.assert_array_equal(dataset.get_numpy_image(3), expected(pixels[3]))
    np.testing.assert_array_equal(dataset[3]["mask"][..., 0], expected(mask) > 0)


def test_another_size_still_names_exif(tmp_path: Path) -> None:
    folder = scene(tmp_path, width=11, height=10, stored=(12, 10))
    for index in range(10):
        tag(folder / f"images/{index:02d}.png", 6)
    with pytest.raises(InputError, match="EXIF orientation 6"):
        manager(folder)


def test_colmap_may_have_seen_either(tmp_path: Path) -> None:
    folder = colmap_scene(tmp_path)
    tag(folder / "images/cam1/02.png", 3)
    config = InrDataManagerConfig(dataparser=ColmapDataParserConfig(data=folder))
    with pytest.raises(InputError, match=r"cam1/02\.png carries EXIF orientation 3"):
        config.setup(device="cpu", test_mode="val")


@pytest.mark.parametrize("mask_is_tagged", [True, False])
@pytest.mark.parametrize("square", [True, False])
def test_masks_lie_on_their_pictures(tmp_path: Path, square: bool, mask_is_tagged: bool) -> None:
    """A mask is turned by its own tag; without one it has to be upright already, which its size can show."""
    stored = (12, 12) if square else (12, 10)
    folder = scene(tmp_path, width=stored[1], height=stored[0], stored=stored, masks=True)
    for index in range(10):
        tag(folder / f"images/{index:02d}.png", 8)
        upright = np.zeros(stored, dtype=np.uint8)
        upright[:3] = 255
        path = folder / f"masks/{index:02d}.png"
        if mask_is_tagged:
            # Stored so that turning a quarter to the left, as 8 says, makes it upright.
            tag(path, 8, np.ascontiguousarray(np.rot90(upright, -1)))
        else:
            Image.fromarray(upright).save(path)
    if square and not mask_is_tagged:
        with pytest.raises(InputError, match="EXIF orientation 1 and its image 8"):
            manager(folder)
        return
    data = manager(folder)
    assert data.train_dataset[0]["mask"][..., 0].sum(dim=1).tolist() == [stored[1]] * 3 + [0] * (stored[0] - 3)
    assert data.next_train(0)[1]["indices"][:, 1].max() == 2
