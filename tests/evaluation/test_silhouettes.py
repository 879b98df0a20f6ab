"""Silhouettes against discs and squares whose overlap is counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ball_runs import RADIUS, BallModel, hits_ball, make_scene
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.evaluation.images import check_views, measure_views
from inr_plugins.evaluation.silhouettes import silhouette_iou, silhouette_source, true_silhouette


def disc(radius: float, *, size: int = 400) -> np.ndarray:
    offset = np.arange(size) + 0.5 - size / 2
    return np.hypot(*np.meshgrid(offset, offset)) < radius


def accumulation(mask: np.ndarray) -> torch.Tensor:
    """Half-clear inside and out, on the right sides of one half."""
    return torch.from_numpy(np.where(mask, 0.51, 0.49))[..., None]


def test_discs_inside_one_another_overlap_by_the_ratio_of_their_areas():
    assert silhouette_iou(accumulation(disc(60)), disc(120)) == pytest.approx(0.25, abs=0.01)
    assert silhouette_iou(accumulation(disc(120)), disc(60)) == pytest.approx(0.25, abs=0.01)


def test_squares_side_by_side():
    pred, truth = np.zeros((4, 6), dtype=bool), np.zeros((4, 6), dtype=bool)
    pred[:, :3] = truth[:, 2:] = True
    assert silhouette_iou(accumulation(pred), truth) == pytest.approx(4 / 24)
    truth[:, 2] = False
    assert silhouette_iou(accumulation(pred), truth) == 0.0


def test_empty_silhouettes_agree():
    empty = np.zeros((4, 4), dtype=bool)
    assert silhouette_iou(accumulation(empty), empty) == 1.0


def masked_dataset(folder: Path, *, masks: bool) -> InputDataset:
    """One opaque picture, with a mask of its left column on request."""
    Image.new("RGB", (4, 3), (9, 9, 9)).save(folder / "image.png")
    mask = np.zeros((3, 4), dtype=np.uint8)
    mask[:, 0] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    camera = Cameras(torch.eye(4)[None, :3], fx=4.0, fy=4.0, cx=2.0, cy=1.5, width=4, height=3)
    return InputDataset(
        DataparserOutputs([folder / "image.png"], camera, mask_filenames=[folder / "mask.png"] if masks else None)
    )


def test_masks_go_before_alpha_and_data_without_either_is_refused(tmp_path):
    dataset = masked_dataset(tmp_path, masks=True)
    assert silhouette_source(dataset, 0) == "mask"
    assert true_silhouette(dataset, 0, "mask").tolist() == [[True, False, False, False]] * 3
    check_views(dataset, [0], silhouettes=True)
    bare = masked_dataset(tmp_path, masks=False)
    assert silhouette_source(bare, 0) is None
    check_views(bare, [0], silhouettes=False)
    with pytest.raises(InputError, match=r"image\.png has neither a mask nor an alpha channel"):
        check_views(bare, [0], silhouettes=True)


@pytest.mark.parametrize("alpha_color", [None, "white"])
def test_rendered_balls_against_alpha_even_if_the_dataparser_laid_a_colour_under_it(tmp_path, alpha_color):
    scene = make_scene(tmp_path / "scene")
    parser = BlenderDataParserConfig(data=scene, alpha_color=alpha_color).setup()
    dataset = InputDataset(parser.get_dataparser_outputs("test"))
    assert (true_silhouette(dataset, 0, "alpha") == hits_ball(RADIUS)).all()
    (score,) = measure_views(
        BallModel(radius=1.3),
        dataset,
        [0],
        background=None,
        silhouettes=True,
        device="cpu",
        folder=scene,
        on_view=lambda *found: None,
    )
    assert score.silhouette_iou == pytest.approx(hits_ball(RADIUS).sum() / hits_ball(1.3).sum())
