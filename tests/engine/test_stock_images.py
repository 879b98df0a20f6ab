"""A picture that does not decode, under nerfstudio's own datamanager: a sentence that names it, before training."""

from __future__ import annotations

import re
import shutil

import pytest
from PIL import Image
from test_trainer import train
from tiny_method import tiny_config

from inr_plugins.engine.stock_images import naming_bad_images
from inr_plugins.errors import InputError


@pytest.mark.parametrize("sampled", [-1, 2])
@pytest.mark.parametrize(("name", "words"), [("train/r_3.png", "does not decode"), ("val/r_1.png", "does not decode")])
def test_a_cut_image_is_named_before_training(scene, tmp_path, monkeypatch, sampled, name, words):
    data = shutil.copytree(scene, tmp_path / "data")
    image = data / name
    image.write_bytes(image.read_bytes()[:-200])
    config = tiny_config(data, tmp_path / "out", timestamp="cut")
    config.pipeline.datamanager.train_num_images_to_sample_from = sampled
    config.pipeline.datamanager.eval_num_images_to_sample_from = sampled
    monkeypatch.setattr("inr_plugins.engine.trainer.InrTrainer.train_iteration", pytest.fail)
    with pytest.raises(InputError, match=re.escape(str(image))) as caught:
        train(config)
    assert words in str(caught.value)
    assert not (tmp_path / "out" / "data" / "tiny" / "cut").exists()


@pytest.mark.parametrize("name", ["train/r_0.png", "train/r_2.png"])
def test_a_missing_image_is_named(scene, tmp_path, name):
    data = shutil.copytree(scene, tmp_path / "data")
    (data / name).unlink()
    with pytest.raises(InputError, match=re.escape(str(data / name))) as caught:
        train(tiny_config(data, tmp_path / "out", timestamp="missing"))
    assert "missing" in str(caught.value)


def test_other_errors_and_pillow_stay_as_they_are(tmp_path):
    usual, path = Image.open, tmp_path / "a.png"
    Image.new("L", (4, 4)).save(path)

    def fail() -> None:
        with naming_bad_images():
            Image.open(path).load()
            raise ValueError("not an image's fault")

    with pytest.raises(ValueError, match="not an image's fault"):
        fail()
    assert Image.open is usual
