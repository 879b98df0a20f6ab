"""Held-out views and how well a model renders them: one way for every method, none of the methods' own metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParser
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.models.base_model import Model
from torch import Tensor

from inr_plugins.engine.evaluation import spread_indices
from inr_plugins.engine.rng import separate_rng
from inr_plugins.errors import InputError
from inr_plugins.evaluation.backgrounds import true_view
from inr_plugins.evaluation.silhouettes import silhouette_iou, silhouette_source, true_silhouette
from inr_plugins.evaluation.stored_images import all_channels
from inr_plugins.metrics.image import channel_metrics, psnr, ssim

_LEAST_VIEWS = 5
_SSIM_WINDOW = 11
_ACCUMULATIONS = ("accumulation", "accumulation_fine")

Image = Float[Tensor, "height width 3"]


@dataclass(frozen=True)
class ViewScore:
    """Quality of one view; None for a number that does not exist, because the image is not finite or too small.

    Attributes:
        psnr: dB.
        ssim: in [-1, 1].
        silhouette_iou: of what is rendered and the view's mask or alpha, in [0, 1]; None where there is neither, or
            the model renders no accumulation.
    """

    psnr: float | None
    ssim: float | None
    silhouette_iou: float | None = None


@dataclass(frozen=True)
class HeldOutViews:
    """The test split of a dataset, at its full size.

    Attributes:
        cameras: in the frame that the model was trained in.
        dataset: reads or draws its images, as many, with straight alpha where they have it.
        model: that is measured; the truth may depend on what it learns.
    """

    cameras: Cameras
    dataset: InputDataset
    model: Model

    def silhouette(self, index: int, *, stride: int = 1) -> Bool[np.ndarray, "height width"] | None:
        """Where the object is in one image, by its mask or else its alpha; None where it has neither."""
        source = silhouette_source(self.dataset, index)
        return None if source is None else _strided(true_silhouette(self.dataset, index, source), stride)

    def truth(self, index: int, *, stride: int = 1) -> Image:
        """One image as inr-eval has it, over white where it has alpha; of every `stride`-th row and column.

        Raises:
            InputError: its file or that of its mask cannot be read.
        """
        return _strided(true_view(self.dataset, index, wanted=None, model=self.model).image, stride)


def held_out_views(datamanager: Any, model: Model) -> HeldOutViews:
    """The test split, by the dataparser and the dataset that training uses.

    Raises:
        InputError: there is no dataparser, or no test split.
    """
    parser = getattr(datamanager, "dataparser", None)
    if not isinstance(parser, DataParser):
        raise InputError("The method's datamanager has no dataparser, so that its test views cannot be had.")
    outputs = parser.get_dataparser_outputs(split="test")
    if not outputs.image_filenames:
        raise InputError("The scene has no test views: a benchmark needs some; add a test split to the dataset.")
    kind: type[InputDataset] = getattr(datamanager, "dataset_type", InputDataset)
    # Whatever colour training has under alpha, pictures are compared over white.
    return HeldOutViews(outputs.cameras, kind(replace(outputs, alpha_color=None)), model)


def evaluation_indices(count: int, *, every: int) -> list[int]:
    """The first of `count` views and every `every`-th after it; five spread over all if that makes fewer."""
    indices = list(range(0, count, every))
    return indices if len(indices) >= _LEAST_VIEWS else spread_indices(count, _LEAST_VIEWS)


def rendered_colour(outputs: dict[str, Any]) -> Image:
    """The final colour among a model's outputs, whatever it is called."""
    for name in ("rgb", "rgb_fine"):
        if name in outputs:
            return outputs[name]
    raise InputError(f"The method renders no colour that is called rgb or rgb_fine, but {', '.join(outputs)}.")


def _strided(image: Any, stride: int) -> Any:
    """Every `stride`-th row and column of an image or of its rays, from the middle of the first such square on."""
    return image if stride == 1 else image[stride // 2 :: stride, stride // 2 :: stride]


def render_view(views: HeldOutViews, index: int, *, stride: int = 1) -> Image:
    """The colours of one view; see `render_outputs`."""
    return rendered_colour(render_outputs(views, index, stride=stride)).float().cpu()


def render_outputs(views: HeldOutViews, index: int, *, stride: int = 1) -> dict[str, Tensor]:
    """Render one view in evaluation mode, on the model's device; the model is left in the mode it was in.

    With a `stride` only the rays of every such row and column are rendered, each as it would be in the whole view.
    """
    model = views.model
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            camera = views.cameras[index : index + 1].to(model.device)
            if stride == 1:
                return model.get_outputs_for_camera(camera)
            rays = camera.generate_rays(camera_indices=0, keep_shape=True)
            return model.get_outputs_for_camera_ray_bundle(_strided(rays, stride))
    finally:
        model.train(was_training)


def score_view(rendering: Image, truth: Image, *, is_whole: bool = True) -> ViewScore:
    """PSNR and SSIM of a rendering, clamped to [0, 1]; pixels that are no neighbours (not `is_whole`) have no SSIM."""
    if not bool(torch.isfinite(rendering).all()):
        return ViewScore(None, None)
    rendering = rendering.clamp(0, 1)
    peak = psnr(rendering, truth)
    has_windows = is_whole and min(truth.shape[:2]) >= _SSIM_WINDOW
    return ViewScore(peak if math.isfinite(peak) else None, ssim(rendering, truth) if has_windows else None)


def score_channels(
    found: Float[Tensor, "height width channels"],
    truth: Float[Tensor, "height width channels"],
    *,
    is_whole: bool = True,
) -> ViewScore:
    """As `score_view`, of images of any number of channels, over all of them."""
    if not bool(torch.isfinite(found).all()):
        return ViewScore(None, None)
    scores = channel_metrics(found, truth)
    peak = scores["psnr"]
    return ViewScore(peak if math.isfinite(peak) else None, scores.get("ssim") if is_whole else None)


def score_views(views: HeldOutViews, indices: Sequence[int], *, stride: int = 1) -> dict[int, ViewScore]:
    """Score some views, or every `stride`-th row and column of them; training's random numbers are left alone."""
    with separate_rng(seed=0):
        return {index: _score(views, index, stride) for index in indices}


def _score(views: HeldOutViews, index: int, stride: int) -> ViewScore:
    outputs = render_outputs(views, index, stride=stride)
    rendering = rendered_colour(outputs).float().cpu()
    if not getattr(views.dataset, "has_truth", True):
        return ViewScore(None, None)
    if "channels" in outputs:
        # The colours are some of them.
        channels, wanted = outputs["channels"].float().cpu(), _strided(all_channels(views.dataset, index), stride)
        return score_channels(channels, wanted, is_whole=stride == 1)
    score = score_view(rendering, views.truth(index, stride=stride), is_whole=stride == 1)
    found = [outputs[name] for name in _ACCUMULATIONS if name in outputs]
    truth = views.silhouette(index, stride=stride) if found else None
    return score if truth is None else replace(score, silhouette_iou=silhouette_iou(found[-1].float(), truth))
