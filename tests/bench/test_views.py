"""Held-out views: read over white, rendered without touching training, scored by closed forms."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataparserOutputs
from nerfstudio.models.base_model import Model
from PIL import Image

from inr_plugins.bench.views import (
    HeldOutViews,
    evaluation_indices,
    held_out_views,
    over_white,
    rendered_colour,
    score_view,
    score_views,
)
from inr_plugins.errors import InputError


@pytest.mark.parametrize(
    ("count", "every", "indices"),
    [(200, 20, list(range(0, 200, 20))), (10, 20, [0, 2, 4, 7, 9]), (3, 1, [0, 1, 2]), (7, 1, list(range(7)))],
)
def test_every_nth_view_but_five_at_least(count, every, indices):
    assert evaluation_indices(count, every=every) == indices


def test_alpha_is_composited_over_white(tmp_path):
    # Straight alpha: 0.2 red at alpha 0.4 over white is 0.2 * 0.4 + 0.6.
    values = np.array([[[51, 0, 255, 102], [51, 0, 255, 255], [9, 9, 9, 0]]], np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = [[[0.68, 0.6, 1.0], [0.2, 0.0, 1.0], [1.0, 1.0, 1.0]]]
    assert over_white(tmp_path / "a.png").tolist() == [[pytest.approx(pixel) for pixel in row] for row in expected]


def test_a_mask_cuts_out_images_without_alpha(tmp_path):
    Image.new("RGB", (3, 1), (51, 102, 0)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[255, 0, 1]], np.uint8)).save(tmp_path / "mask.png")
    camera = Cameras(torch.eye(4)[None, :3], fx=3.0, fy=3.0, cx=1.5, cy=0.5, width=3, height=1)
    views = HeldOutViews(camera, [tmp_path / "a.png"], [tmp_path / "mask.png"])
    seen = [pytest.approx(colour) for colour in ([0.2, 0.4, 0.0], [1.0, 1.0, 1.0], [0.2, 0.4, 0.0])]
    assert views.truth(0)[0].tolist() == seen


def test_images_without_alpha_and_grey_ones_are_read_as_they_are(tmp_path):
    Image.new("L", (2, 3), 51).save(tmp_path / "a.png")
    image = over_white(tmp_path / "a.png")
    assert image.shape == (3, 2, 3)
    assert bool((image == 0.2).all())


def test_the_score_of_an_offset_is_its_square():
    truth = torch.full((16, 16, 3), 0.5)
    # An error of 0.1 everywhere: -10 log10(0.01).
    assert score_view(truth + 0.1, truth).psnr == pytest.approx(20.0, abs=1e-4)
    # Clamped to [0, 1] as a display does: the error is 0.5 and not 9.5.
    assert score_view(truth + 9.5, truth).psnr == pytest.approx(-20 * math.log10(0.5), abs=1e-4)


def test_numbers_that_do_not_exist_are_none():
    truth = torch.zeros(8, 8, 3)
    assert score_view(torch.full((8, 8, 3), float("nan")), truth).psnr is None
    assert score_view(truth, truth).psnr is None
    assert score_view(truth + 0.1, truth).ssim is None
    larger = torch.zeros(16, 16, 3)
    assert score_view(larger + 0.1, larger).ssim is not None
    assert score_view(larger + 0.1, larger, is_whole=False).ssim is None


def test_the_fine_colour_is_the_colour():
    fine, coarse = torch.zeros(1, 1, 3), torch.ones(1, 1, 3)
    assert rendered_colour({"rgb_coarse": coarse, "rgb_fine": fine}) is fine
    with pytest.raises(InputError, match="no colour"):
        rendered_colour({"depth": coarse})


class GreyModel(Model):
    """Renders the grey of its camera's distance, and draws random numbers to do so."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.device_indicator_param = torch.nn.Parameter(torch.empty(0))

    def get_param_groups(self):
        return {}

    def get_outputs(self, ray_bundle):
        raise NotImplementedError

    get_loss_dict = get_image_metrics_and_images = get_outputs

    def get_outputs_for_camera(self, camera, obb_box=None):
        assert not self.training
        torch.rand(3)
        grey = float(camera.camera_to_worlds[0, 2, 3])
        return {"rgb": torch.full((16, 16, 3), grey)}

    def get_outputs_for_camera_ray_bundle(self, camera_ray_bundle):
        # Straight ahead is -z: x / -z is a ray's column, y / -z its row, over the focal length.
        directions = camera_ray_bundle.directions
        return {"rgb": (directions / -directions[..., 2:] + 0.5)[..., :2].repeat(1, 1, 2)[..., :3]}


def test_views_are_scored_with_their_own_cameras_and_training_is_left_alone(tmp_path):
    poses = torch.eye(4)[:3].repeat(2, 1, 1)
    poses[:, 2, 3] = torch.tensor([0.3, 0.6])
    cameras = Cameras(poses, fx=10.0, fy=10.0, cx=8.0, cy=8.0, width=16, height=16)
    for index, grey in enumerate((51, 153)):
        Image.new("RGB", (16, 16), (grey,) * 3).save(tmp_path / f"{index}.png")
    views = HeldOutViews(cameras, [tmp_path / "0.png", tmp_path / "1.png"])
    model = GreyModel().train()
    state = torch.get_rng_state()
    scores = score_views(model, views, [0, 1])
    # 0.3 for 0.2, and 0.6 for 0.6 up to float32.
    assert scores[0].psnr == pytest.approx(20.0, abs=1e-3)
    assert scores[1].psnr is None or scores[1].psnr > 100
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_stride_renders_the_same_pixels_of_picture_and_truth(tmp_path):
    cameras = Cameras(torch.eye(4)[None, :3], fx=24.0, fy=24.0, cx=10.0, cy=6.0, width=20, height=12)
    # A truth that equals what the model renders, at the centre of every pixel, but for an error of 0.1.
    rows, columns = np.mgrid[:12, :20] + 0.5
    across, down = (columns - 10) / 24 + 0.5, 0.5 - (rows - 6) / 24
    values = np.stack([across, down, across], axis=-1) - 0.1
    Image.fromarray((values * 255).round().astype(np.uint8)).save(tmp_path / "0.png")
    views = HeldOutViews(cameras, [tmp_path / "0.png"])
    # Rows 2, 6, 10 and columns 2, 6, ..., 18.
    assert views.truth(0, stride=4).shape == (3, 5, 3)
    score = score_views(GreyModel(), views, [0], stride=4)[0]
    assert score.psnr == pytest.approx(20.0, abs=0.1)
    assert score.ssim is None


def test_a_datamanager_without_a_dataparser_is_refused():
    with pytest.raises(InputError, match="no dataparser"):
        held_out_views(object())


class DrawnDataset:
    """A dataset whose images are on no disk: opaque red in the left half, nothing in the right."""

    in_memory = True

    def __init__(self, outputs):
        self.count = len(outputs.image_filenames)

    def get_numpy_image(self, index):
        assert 0 <= index < self.count
        pixels = np.zeros((4, 6, 4), np.uint8)
        pixels[:, :3] = (255, 51, 0, 255)
        pixels[0, 0, 1] = index
        return pixels


class DrawingParser(DataParser):
    def __init__(self):
        poses = torch.eye(4)[:3].repeat(2, 1, 1)
        cameras = Cameras(poses, fx=3.0, fy=3.0, cx=3.0, cy=2.0, width=6, height=4)
        self.outputs = DataparserOutputs([Path("a/0.png"), Path("a/1.png")], cameras)

    def get_dataparser_outputs(self, split="train", **kwargs):
        assert split == "test"
        return self.outputs


def test_pictures_that_are_drawn_are_laid_over_white_without_a_file():
    views = held_out_views(SimpleNamespace(dataparser=DrawingParser(), dataset_type=DrawnDataset))
    assert len(views.files) == 2
    truth = views.truth(1)
    assert truth.shape == (4, 6, 3)
    assert truth[2, 0].tolist() == [pytest.approx(each) for each in (1.0, 0.2, 0.0)]
    assert truth[0, 0, 1] == pytest.approx(1 / 255, abs=1e-6)
    assert bool((truth[:, 3:] == 1).all())
    assert views.truth(0, stride=2).shape == (2, 3, 3)
