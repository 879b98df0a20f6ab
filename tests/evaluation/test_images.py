"""Views measured on a ball whose pictures have a formula, against closed forms and scikit-image."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from ball_runs import COLOUR, RADIUS, BallModel, BallRuns, hits_ball, make_run, make_scene
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from inr_plugins.engine.offline_lpips import without_lpips_weights
from inr_plugins.errors import InputError
from inr_plugins.evaluation.backgrounds import colour_name, over_background, true_view
from inr_plugins.evaluation.images import check_views, choose_views, measure_views, summarise_views
from inr_plugins.evaluation.runs import distinct, split_dataset
from inr_plugins.evaluation.table import captions


@pytest.fixture
def scene(tmp_path) -> Path:
    return make_scene(tmp_path / "scene")


def dataset_of(scene: Path, *, alpha_color: str | None = None) -> InputDataset:
    parser = BlenderDataParserConfig(data=scene, alpha_color=alpha_color).setup()
    return InputDataset(parser.get_dataparser_outputs("test"))


def measured(model, dataset, indices=(0, 2), *, background=None, silhouettes=False, seen=None):
    return measure_views(
        model,
        dataset,
        indices,
        background=background,
        silhouettes=silhouettes,
        device="cpu",
        folder=Path(dataset.image_filenames[0]).parents[1],
        on_view=lambda *found: None if seen is None else seen.append(found),
    )


def psnr_of(wrong_part: float, error: np.ndarray) -> float:
    return -10 * math.log10(wrong_part * float((error**2).mean()))


@pytest.mark.parametrize("background", ["white", "black", None])
def test_a_perfect_model_is_perfect_over_any_background(scene, background):
    (score, _) = measured(BallModel(background="black"), dataset_of(scene), background=background)
    colour = background or "white"
    assert (score.truth, score.background, score.rendered_over) == ("alpha", colour, colour)
    assert score.psnr > 140
    assert score.ssim == pytest.approx(1.0)
    assert score.lpips is None
    assert score.silhouette_iou is None
    assert score.file == "test/r_0.png"
    assert score.seconds > 0


def test_a_wrong_colour_costs_what_the_formula_says(scene):
    inside = hits_ball(RADIUS).mean()
    scores = measured(BallModel(colour=(51, 102, 204)), dataset_of(scene))
    expected = psnr_of(inside, np.array([0, 0, 51 / 255]))
    assert [score.psnr for score in scores] == pytest.approx([expected] * 2, abs=1e-4)
    assert [score.index for score in scores] == [0, 2]


def test_a_wrong_size_costs_the_ring_between_and_its_background(scene):
    ring = (hits_ball(1.3) & ~hits_ball(RADIUS)).mean()
    for background, behind in (("white", 1.0), ("black", 0.0)):
        score, *_ = measured(BallModel(radius=1.3), dataset_of(scene), background=background)
        assert score.psnr == pytest.approx(psnr_of(ring, np.array(COLOUR) / 255 - behind), abs=1e-4)


def test_psnr_and_ssim_are_those_of_scikit_image(scene):
    seen = []
    score, _ = measured(BallModel(radius=1.2, colour=(90, 20, 160)), dataset_of(scene), seen=seen)
    done, total, truth, rgb = seen[0]
    assert (done, total) == (1, 2)
    truth, rgb = truth.double().numpy(), rgb.double().numpy()
    assert score.psnr == pytest.approx(peak_signal_noise_ratio(truth, rgb, data_range=1), abs=1e-6)
    alike = structural_similarity(
        truth, rgb, data_range=1, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert score.ssim == pytest.approx(alike, abs=1e-4)


def test_images_that_the_dataparser_composited_are_taken_as_they_are(scene):
    dataset = dataset_of(scene, alpha_color="white")
    score, _ = measured(BallModel(background="white"), dataset)
    assert (score.truth, score.background, score.rendered_over) == ("composited", "white", None)
    assert score.psnr > 140
    score, _ = measured(BallModel(background="black"), dataset, background="white")
    assert score.rendered_over == "white"
    assert score.psnr > 140
    with pytest.raises(InputError, match=r"r_0\.png over white already.*background='black'"):
        measured(BallModel(), dataset, background="black")


def test_opaque_images_leave_the_background_to_the_model(tmp_path):
    dataset = dataset_of(make_scene(tmp_path / "scene", alpha=False), alpha_color="white")
    score, _ = measured(BallModel(background="black"), dataset)
    assert (score.truth, score.background, score.rendered_over) == ("opaque", None, None)
    assert score.psnr > 140
    assert measured(BallModel(background="black"), dataset, background="white")[0].psnr < 10


def caption_of(model, dataset) -> str:
    """What the table says of the pictures' background."""
    images = summarise_views(measured(model, dataset), split="test", count=5)
    run = {"label": "ball", "shape": None, "images": images, "surface": None, "notes": []}
    return captions({"runs": [run], "protocol": {"images": {"split": "test"}}})[1]


def test_masks_cut_out_what_a_model_learns_alone(tmp_path):
    folder = make_scene(tmp_path / "scene", alpha=False)
    for file in folder.glob("test/*.png"):
        # Grey beside the ball, which no model of the ball alone can know.
        pixels = np.array(Image.open(file))
        pixels[~hits_ball(RADIUS)] = 128
        Image.fromarray(pixels).save(file)
    mask = folder / "mask.png"
    Image.fromarray(np.where(hits_ball(RADIUS), 255, 0).astype(np.uint8)).save(mask)
    outputs = BlenderDataParserConfig(data=folder).setup().get_dataparser_outputs("test")
    outputs.mask_filenames = [mask] * len(outputs.image_filenames)
    dataset = InputDataset(outputs)
    model = BallModel(background="black")
    (score, _), caption = measured(model, dataset), caption_of(model, dataset)
    assert score.truth == "whole"
    assert score.psnr < 10
    assert "taken whole" in caption
    assert "alpha" not in caption
    model.learns_masked_object = True
    assert caption_of(model, dataset) == "Background: images cut out along their masks, over white."
    score, _ = measured(model, dataset)
    assert (score.truth, score.background, score.rendered_over) == ("mask", "white", "white")
    assert score.psnr > 140
    model.learns_masked_object = False
    assert measured(model, dataset, background="black")[0].psnr > 140


@pytest.mark.parametrize(
    ("own", "under", "told"),
    [("white", 1.0, 1.0), ("black", 0.0, 0.0), ("auto", 1.0, 1.0), ("random", 0.0, 0.0), ("last_sample", 0.0, None)],
)
def test_the_models_own_background_on_request(scene, own, under, told):
    view = true_view(dataset_of(scene), 0, wanted="model", model=BallModel(background=own))
    assert float(view.image[0, 0, 0]) == under
    assert view.told is None if told is None else float(view.told[0]) == told


def test_the_background_reaches_nerfstudios_own_models():
    from nerfstudio.cameras.cameras import Cameras
    from nerfstudio.data.scene_box import SceneBox
    from nerfstudio.models.nerfacto import NerfactoModelConfig

    config = NerfactoModelConfig(
        num_levels=2,
        max_res=32,
        log2_hashmap_size=8,
        num_proposal_samples_per_ray=(8, 8),
        num_nerf_samples_per_ray=8,
        proposal_net_args_list=[{"hidden_dim": 8, "log2_hashmap_size": 6, "num_levels": 2, "max_res": 16}] * 2,
        implementation="torch",
        average_init_density=0.01,
    )
    box = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    with without_lpips_weights():
        model = config.setup(scene_box=box, num_train_data=1).eval()
    camera = Cameras(torch.eye(4)[None, :3], fx=8.0, fy=8.0, cx=4.0, cy=4.0, width=8, height=8)
    pictures = {}
    for name, colour in (("white", torch.ones(3)), ("black", torch.zeros(3))):
        with over_background(colour):
            pictures[name] = model.get_outputs_for_camera(camera)
    shines_through = 1 - pictures["white"]["accumulation"]
    assert shines_through.min() > 0.01
    gained = pictures["white"]["rgb"] - pictures["black"]["rgb"]
    assert torch.allclose(gained, shines_through.expand_as(gained), atol=1e-5)


def test_the_fine_output_is_the_one_that_counts(scene):
    score, _ = measured(BallModel(suffix="_fine"), dataset_of(scene), silhouettes=True)
    assert score.psnr > 140
    assert score.silhouette_iou == 1.0
    with pytest.raises(InputError, match="renders no rgb, only accumulation_x, rgb_x"):
        measured(BallModel(suffix="_x"), dataset_of(scene))


def test_means_are_of_views_and_missing_values_stay_missing(scene):
    dataset = dataset_of(scene)
    one, two = (
        measured(BallModel(colour=(60, 102, 153)), dataset, [0])[0],
        measured(BallModel(radius=1.3), dataset, [1])[0],
    )
    record = summarise_views([one, two], split="test", count=5)
    assert record["mean"]["psnr"] == pytest.approx((one.psnr + two.psnr) / 2)
    assert record["mean"]["lpips"] is None
    assert (record["views_measured"], record["views_of_the_split"]) == (2, 5)


def test_colours_without_a_name_are_written_out():
    assert colour_name(torch.tensor([0.5, 0.25, 1.0])) == [0.5, 0.25, 1.0]
    assert colour_name(torch.zeros(3)) == "black"
    assert colour_name(None) is None


def test_views_are_every_nth_or_spread_evenly():
    assert choose_views(7, every=3, views=None) == [0, 3, 6]
    assert choose_views(7, every=None, views=3) == [0, 3, 6]
    assert choose_views(3, every=None, views=None) == [0, 1, 2]
    assert choose_views(3, every=None, views=9) == [0, 1, 2]


def test_missing_and_broken_images_are_named(scene):
    (scene / "test" / "r_1.png").unlink()
    dataset = dataset_of(scene)
    with pytest.raises(InputError, match=r"r_1\.png is missing"):
        check_views(dataset, [0, 1], silhouettes=False)
    whole = (scene / "test" / "r_2.png").read_bytes()
    (scene / "test" / "r_2.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"r_2\.png"):
        measured(BallModel(), dataset, [2])


def test_a_picture_of_another_size_than_its_camera_is_named(scene):
    from PIL import Image

    Image.new("RGBA", (30, 20)).save(scene / "test" / "r_1.png")
    with pytest.raises(InputError, match=r"r_1\.png is 30 x 20 pixels but its camera is 24 x 24"):
        measured(BallModel(), dataset_of(scene), [1])


def test_any_split_is_at_hand_and_at_the_size_of_training(scene, tmp_path):
    run = BallRuns(scene, {"ball": BallModel()})(make_run(tmp_path / "ball") / "config.yml", device=None, data=None)
    # As nerfstudio leaves it behind when a run is opened for its poses.
    run.pipeline.datamanager.dataparser.downscale_factor = 1
    for split in ("train", "val", "test"):
        assert split_dataset(run, split).image_filenames[0] == scene / split / "r_0.png"
    assert run.pipeline.datamanager.dataparser.downscale_factor is None
    (scene / "transforms_val.json").unlink()
    with pytest.raises(InputError, match=r"The val split of .*scene cannot be read"):
        split_dataset(run, "val")


def test_names_become_distinct():
    assert distinct(["diner", "finer"], ["a", "b"]) == ["diner", "finer"]
    assert distinct(["diner", "diner", "diner"], ["a", "b", "b"]) == ["diner a", "diner b (1)", "diner b (2)"]
