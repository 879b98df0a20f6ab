"""What lies inside a mask, for every kind of file that masks come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from PIL import Image
from small_datasets import nerfstudio_scene

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.data.images.masks import inside
from inr_plugins.errors import InputError

DISC = np.hypot(*(np.mgrid[:40, :48] - 20)) < 13


def read(path: Path) -> tuple[np.ndarray, bool]:
    with Image.open(path) as image:
        return inside(image, path)


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_noise_of_a_jpeg_is_outside(tmp_path: Path, quality: int) -> None:
    path = tmp_path / "mask.jpg"
    Image.fromarray(np.uint8(255 * DISC)).save(path, quality=quality)
    found, has_greys = read(path)
    with Image.open(path) as image:
        noise = np.count_nonzero(np.asarray(image)[~DISC])
    assert has_greys
    assert noise > 20
    assert np.count_nonzero(found != DISC) <= (40 if quality == 10 else 4)


@pytest.mark.parametrize(
    "stored",
    [
        Image.fromarray(np.uint8(255 * DISC)),
        Image.fromarray(np.uint8(DISC)),
        Image.fromarray(DISC),
        Image.fromarray(np.uint16(65535 * DISC)),
        Image.fromarray(np.uint16(255 * DISC)),
        Image.fromarray(np.uint8(200 * DISC + 30 * ~DISC)),
    ],
    ids=["white", "0 and 1", "1 bit", "16 bits", "16 bits, 255", "greys"],
)
def test_files_without_loss(tmp_path: Path, stored: Image.Image) -> None:
    stored.save(tmp_path / "mask.png")
    found, has_greys = read(tmp_path / "mask.png")
    np.testing.assert_array_equal(found, DISC)
    assert has_greys == (stored.mode == "L" and stored.getextrema() == (30, 200))


def test_a_palette(tmp_path: Path) -> None:
    """Of labelled segments all are inside; black is black wherever it stands in the palette."""
    labels = np.uint8(DISC) + np.uint8(DISC[:, ::-1])
    for order in ([(0, 0, 0), (128, 0, 0), (0, 64, 0)], [(64, 0, 0), (0, 0, 0), (0, 128, 0)]):
        image = Image.fromarray(labels).convert("P")
        image.putdata(labels.reshape(-1).tolist())
        image.putpalette([value for colour in order for value in colour])
        image.save(tmp_path / "mask.png")
        black = order.index((0, 0, 0))
        np.testing.assert_array_equal(read(tmp_path / "mask.png")[0], labels != black)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_dark_greys_without_white_are_refused(tmp_path: Path, kind: type) -> None:
    Image.fromarray(kind(38 * DISC)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png has values up to 38"):
        read(tmp_path / "mask.png")


def test_training_and_views_have_the_same_inside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = nerfstudio_scene(tmp_path, sizes=[(48, 40)] * 10, masks=True)
    for index in range(10):
        grey = np.where(DISC, 240, 9).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"masks/{index:02d}.png")
    config = InrDataManagerConfig(dataparser=NerfstudioDataParserConfig(data=folder), train_num_rays_per_batch=512)
    data = config.setup(device="cpu", test_mode="val")
    _, batch = data.next_train(0)
    assert DISC[batch["indices"][:, 1], batch["indices"][:, 2]].all()
    np.testing.assert_array_equal(data.eval_dataset[0]["mask"][..., 0], DISC)
    assert "greys" in capsys.readouterr().out


def test_a_mask_colour_is_laid_outside(tmp_path: Path) -> None:
    folder = nerfstudio_scene(tmp_path, masks=True)
    parser = NerfstudioDataParserConfig(data=folder, mask_color=(0.2, 0.4, 0.6))
    data = InrDataManagerConfig(dataparser=parser).setup(device="cpu", test_mode="val").train_dataset[0]
    np.testing.assert_allclose(data["image"][:, 6:].reshape(-1, 3), [[0.2, 0.4, 0.6]] * 60, atol=1e-7)
    with Image.open(folder / "images/00.png") as image:
        np.testing.assert_allclose(data["image"][:, :6] * 255, np.array(image)[:, :6], atol=1e-4)
