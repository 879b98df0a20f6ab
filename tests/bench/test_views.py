"""Held-out views: read over white, rendered without touching training, scored by closed forms."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.models.base_model import Model
from PIL import Image

from inr_plugins.bench.views import (
    evaluation_indices,
    held_out_views,
    rendered_colour,
    score_view,
    score_views,
)
from inr_plugins.data.images.images import InrDataset
from inr_plugins.errors import InputError
from inr_plugins.evaluation.backgrounds import true_view
from inr_plugins.evaluation.silhouettes import true_silhouette


@pytest.mark.parametrize(
    ("count", "every", "indices"),
    [(200, 20, list(range(0, 200, 20))), (10, 20, [0, 2, 4, 7, 9]), (3, 1, [0, 1, 2]), (7, 1, list(range(7)))],
)
def test_every_nth_view_but_five_at_least(count, every, indices):
    assert evaluation_indices(count, every=every) == indices


class FolderParser(DataParser):
    """Cameras at (0, 0, 0.3 k) before images, and masks, that lie somewhere; alpha over black in the training."""

    def __init__(self, images, masks=None, *, focal=3.0):
        width, height = Image.open(images[0]).size
        poses = torch.eye(4)[:3].repeat(len(images), 1, 1)
        poses[:, 2, 3] = 0.3 * (1 + torch.arange(len(images)))
        intrinsics = {"fx": focal, "fy": focal, "cx": width / 2, "cy": height / 2, "width": width, "height": height}
        self.outputs = DataparserOutputs(
            images, Cameras(poses, **intrinsics), mask_filenames=masks, alpha_color=torch.zeros(3)
        )

    def get_dataparser_outputs(self, split="train", **kwargs):
        assert split == "test"
        return self.outputs


def views_of(images, masks=None, *, dataset_type=InrDataset, model=None, focal=3.0):
    manager = SimpleNamespace(dataparser=FolderParser(images, masks, focal=focal), dataset_type=dataset_type)
    return held_out_views(manager, GreyModel() if model is None else model)


class OfMeasurements(InrDataset):
    """Pictures of another answer than what is looked for."""

    has_truth = False


def test_what_is_no_truth_is_nothing_to_be_compared_with(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    kinds = (InrDataset, OfMeasurements)
    with_truth, without = (score_views(views_of([tmp_path / "a.png"], dataset_type=kind), [0])[0] for kind in kinds)
    assert with_truth.psnr is not None
    assert (without.psnr, without.ssim) == (None, None)


@pytest.mark.parametrize("dataset_type", [InputDataset, InrDataset])
def test_alpha_is_composited_over_white(tmp_path, dataset_type):
    # Straight alpha: 0.2 red at alpha 0.4 over white is 0.2 * 0.4 + 0.6.
    values = np.array([[[51, 0, 255, 102], [51, 0, 255, 255], [9, 9, 9, 0]]], np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = [[[0.68, 0.6, 1.0], [0.2, 0.0, 1.0], [1.0, 1.0, 1.0]]]
    truth = views_of([tmp_path / "a.png"], dataset_type=dataset_type).truth(0)
    assert truth.tolist() == [[pytest.approx(pixel, abs=1e-6) for pixel in row] for row in expected]


@pytest.mark.parametrize(
    ("dataset_type", "values", "inside"),
    [
        # nerfstudio's own datasets: all that is not 0.
        (InputDataset, [255, 0, 1], [True, False, True]),
        # Ours: half of white, and labels of 0 and 1.
        (InrDataset, [255, 0, 1], [True, False, False]),
        (InrDataset, [255, 127, 128], [True, False, True]),
        (InrDataset, [1, 0, 1], [True, False, True]),
    ],
)
def test_a_mask_cuts_out_what_the_training_learns_from(tmp_path, dataset_type, values, inside):
    """The benchmark and inr-eval have one truth: that which the dataset of the training has."""
    Image.new("RGB", (3, 1), (51, 102, 0)).save(tmp_path / "a.png")
    Image.fromarray(np.array([values], np.uint8)).save(tmp_path / "mask.png")
    files = [tmp_path / "a.png"], [tmp_path / "mask.png"]
    model = GreyModel()
    model.learns_masked_object = True
    views = views_of(*files, dataset_type=dataset_type, model=model)
    expected = torch.where(torch.tensor(inside)[None, :, None], torch.tensor([0.2, 0.4, 0.0]), 1.0)
    assert torch.allclose(views.truth(0), expected, atol=1e-6)
    evaluated = dataset_type(FolderParser(*files).outputs)
    assert torch.equal(views.truth(0), true_view(evaluated, 0, wanted=None, model=model).image)
    assert true_silhouette(evaluated, 0, "mask").tolist() == [inside]
    whole = views_of(*files, dataset_type=dataset_type).truth(0)
    assert torch.allclose(whole, torch.tensor([0.2, 0.4, 0.0]).expand(1, 3, 3), atol=1e-6)


def test_images_without_alpha_and_grey_ones_are_read_as_they_are(tmp_path):
    Image.new("L", (2, 3), 51).save(tmp_path / "a.png")
    image = views_of([tmp_path / "a.png"]).truth(0)
    assert image.shape == (3, 2, 3)
    assert bool((image == 0.2).all())


def test_a_picture_that_is_turned_by_its_tag_is_turned_in_the_truth_too(tmp_path):
    stored = np.zeros((6, 4, 3), np.uint8)
    stored[0] = (255, 51, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter: the first row becomes the last column
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    views = views_of([tmp_path / "a.png"])
    views.dataset._dataparser_outputs.cameras = Cameras(
        torch.eye(4)[None, :3], fx=3.0, fy=3.0, cx=3.0, cy=2.0, width=6, height=4
    )
    truth = views.truth(0)
    assert truth.shape == (4, 6, 3)
    assert truth[:, 5].tolist() == [pytest.approx([1.0, 0.2, 0.0])] * 4
    assert bool((truth[:, :5] == 0).all())


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
    for index, grey in enumerate((51, 153)):
        Image.new("RGB", (16, 16), (grey,) * 3).save(tmp_path / f"{index}.png")
    model = GreyModel().train()
    views = views_of([tmp_path / "0.png", tmp_path / "1.png"], model=model)
    state = torch.get_rng_state()
    scores = score_views(views, [0, 1])
    # 0.3 for 0.2, and 0.6 for 0.6 up to float32.
    assert scores[0].psnr == pytest.approx(20.0, abs=1e-3)
    assert scores[1].psnr is None or scores[1].psnr > 100
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_stride_renders_the_same_pixels_of_picture_and_truth(tmp_path):
    # A truth that equals what the model renders, at the centre of every pixel, but for an error of 0.1.
    rows, columns = np.mgrid[:12, :20] + 0.5
    across, down = (columns - 10) / 24 + 0.5, 0.5 - (rows - 6) / 24
    values = np.stack([across, down, across], axis=-1) - 0.1
    Image.fromarray((values * 255).round().astype(np.uint8)).save(tmp_path / "0.png")
    views = views_of([tmp_path / "0.png"], model=GreyModel(), focal=24.0)
    # Rows 2, 6, 10 and columns 2, 6, ..., 18.
    assert views.truth(0, stride=4).shape == (3, 5, 3)
    score = score_views(views, [0], stride=4)[0]
    assert score.psnr == pytest.approx(20.0, abs=0.1)
    assert score.ssim is None


def test_a_datamanager_without_a_dataparser_is_refused():
    with pytest.raises(InputError, match="no dataparser"):
        held_out_views(object(), GreyModel())


class DrawnDataset(InputDataset):
    """A dataset whose images are on no disk: opaque red in the left half, nothing in the right."""

    in_memory = True

    def get_numpy_image(self, index):
        assert 0 <= index < len(self)
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
    views = held_out_views(SimpleNamespace(dataparser=DrawingParser(), dataset_type=DrawnDataset), GreyModel())
    assert len(views.dataset) == 2
    truth = views.truth(1)
    assert truth.shape == (4, 6, 3)
    assert truth[2, 0].tolist() == [pytest.approx(each) for each in (1.0, 0.2, 0.0)]
    assert truth[0, 0, 1] == pytest.approx(1 / 255, abs=1e-6)
    assert bool((truth[:, 3:] == 1).all())
    assert views.truth(0, stride=2).shape == (2, 3, 3)
