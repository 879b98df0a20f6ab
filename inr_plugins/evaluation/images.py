"""Held-out views rendered and compared: PSNR, SSIM, LPIPS, seconds and silhouettes, view by view, and their means."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from inr_plugins.engine.evaluation import spread_indices
from inr_plugins.errors import InputError, setting
from inr_plugins.evaluation.backgrounds import BackgroundName, colour_name, over_background, true_view
from inr_plugins.evaluation.silhouettes import silhouette_iou, silhouette_source, true_silhouette
from inr_plugins.evaluation.stored_images import all_channels, is_in_memory
from inr_plugins.metrics.image import channel_metrics, image_metrics

IMAGE_DEFINITIONS = {
    "psnr": "-10 log10(mean squared error) of RGB in [0, 1], dB, of images of bands over all of these; the mean of "
    "per-view values, not the PSNR of the mean error; null where the images are equal",
    "ssim": "Gaussian window of 11 pixels and sigma 1.5, K = (0.01, 0.03), windows inside the image only; the mean of "
    "channels and of per-view values; null below 11 pixels",
    "lpips": "AlexNet; the mean of per-view values; null where its weights cannot be had, below 64 pixels, and of "
    "images of bands, which are no colours",
    "pixels": "whole images; see backgrounds for where masks cut them out",
    "psnr_stages": "of what learns in stages, psnr as each had it, the last one's being psnr; null for all else",
    "held_out_error": "of what is known by measurements: |A f - y| / |y| of those that were held out, noise included",
    "held_out_contrast_error": "of holograms, the same as a share of how far they are from their mean, "
    "|A f - y| / |y - mean y|: 1 is that of a hologram of nothing",
    "of other answers": "psnr, ssim and held_out_error with the name of a method without a network behind them, such "
    "as psnr_fbp",
    "seconds": "time to render a view, the first one with whatever is made ready in it, and with it every stage",
}

# A method with a coarse and a fine pass names its outputs so.
_SUFFIXES = ("", "_fine")
_MEANS = ("psnr", "ssim", "lpips", "silhouette_iou", "seconds")


@dataclass(frozen=True)
class ViewScores:
    """One view's scores; None where a metric cannot be had, or was not asked for.

    Attributes:
        index: place in the split.
        file: the image, relative to the dataset's folder.
        truth: "alpha", "mask", "composited", "opaque" or "whole": see backgrounds.BACKGROUND_DEFINITION.
        background: what is under the truth, a colour's name or its RGB in [0, 1], or None.
        rendered_over: what the model was told to render over, or None for its own.
        psnr: dB.
        ssim: in [-1, 1].
        lpips: 0 for equal images.
        silhouette_iou: in [0, 1].
        seconds: time to render it.
        psnr_stages: dB after each stage, where there are stages.
    """

    index: int
    file: str
    truth: str
    background: str | list[float] | None
    rendered_over: str | list[float] | None
    psnr: float | None
    ssim: float | None
    lpips: float | None
    silhouette_iou: float | None
    seconds: float
    psnr_stages: list[float] | None = None


OnView = Callable[[int, int, Float[Tensor, "height width 3"], Float[Tensor, "height width 3"]], None]
"""Told, after each view: views done, all views, the truth and the rendering."""


def choose_views(count: int, *, every: int | None, views: int | None) -> list[int]:
    """Which of `count` views: the first and every `every`-th after it, or `views` of them spread evenly; else all."""
    return list(range(0, count, every or 1)) if views is None else spread_indices(count, views)


def check_views(dataset: InputDataset, indices: Sequence[int], *, silhouettes: bool) -> None:
    """See that all views' files are there, and have silhouettes if they are asked for, before any is rendered.

    Raises:
        InputError: a file is missing, or a silhouette is asked for where there is neither mask nor alpha.
    """
    for index in indices:
        path = dataset.image_filenames[index]
        if not is_in_memory(dataset) and not path.is_file():
            raise InputError(f"Image {path} is missing: put it back, or take its frame out of the dataset.")
        try:
            source = silhouette_source(dataset, index) if silhouettes else "alpha"
        except OSError as error:
            raise InputError(f"Image {path} cannot be read ({error}): replace the file.") from error
        if source is None:
            raise InputError(f"{path} has neither a mask nor an alpha channel, so leave {setting('silhouettes')} out.")


def render_view(model: Any, camera: Cameras, background: Float[Tensor, " 3"] | None) -> tuple[dict[str, Tensor], float]:
    """The model's outputs for one camera over a background (None: its own), and the seconds they took."""
    is_cuda = camera.device is not None and torch.device(camera.device).type == "cuda"
    start = time.perf_counter()
    with torch.no_grad(), over_background(background):
        outputs = model.get_outputs_for_camera(camera)
    if is_cuda:
        torch.cuda.synchronize()
    return outputs, time.perf_counter() - start


def output_of(outputs: dict[str, Tensor], name: str) -> Float[Tensor, "height width channels"]:
    """The model's output `name`, the fine one where there are two.

    Raises:
        InputError: the model renders no such thing.
    """
    for suffix in reversed(_SUFFIXES):
        if name + suffix in outputs:
            return outputs[name + suffix]
    raise InputError(f"The run's model renders no {name}, only {', '.join(sorted(outputs))}: it cannot be measured.")


def measure_views(
    model: Any,
    dataset: InputDataset,
    indices: Sequence[int],
    *,
    background: BackgroundName | None,
    silhouettes: bool,
    device: torch.device | str,
    folder: Path | None,
    on_view: OnView,
) -> list[ViewScores]:
    """Render views and compare them with their pictures.

    Args:
        model: a nerfstudio model in eval mode.
        dataset: the split.
        indices: which of its views.
        background: see backgrounds.true_view.
        silhouettes: compare silhouettes too.
        device: where the model is.
        folder: the dataset's folder, which file names are told relative to.
        on_view: told after each view.

    Raises:
        InputError: a picture cannot be read or compared, or the model renders no such output.
    """
    scores = []
    for done, index in enumerate(indices, 1):
        truth = true_view(dataset, index, wanted=background, model=model)
        camera = dataset.cameras[index : index + 1].to(device)
        outputs, seconds = render_view(model, camera, truth.told)
        rgb, image = output_of(outputs, "rgb").float().clamp(0, 1), truth.image.to(device)
        path = dataset.image_filenames[index]
        # Where what is looked for is not known, a picture of another answer is all that there is to see beside.
        found: dict[str, float] = {}
        judged = image
        if "channels" in outputs:
            # The colours are some of them.
            judged = all_channels(dataset, index).to(device)
            found = channel_metrics(outputs["channels"], judged)
        elif getattr(dataset, "has_truth", True):
            found = _compare(rgb, image, path)
        if silhouettes:
            source = silhouette_source(dataset, index)
            assert source is not None  # check_views has seen to it
            accumulation = output_of(outputs, "accumulation")
            found["silhouette_iou"] = silhouette_iou(accumulation, true_silhouette(dataset, index, source))
        scores.append(
            ViewScores(
                index=index,
                file=_relative(path, folder),
                truth=truth.source,
                background=colour_name(truth.background),
                rendered_over=colour_name(truth.told),
                psnr=found.get("psnr"),
                ssim=found.get("ssim"),
                lpips=found.get("lpips"),
                silhouette_iou=found.get("silhouette_iou"),
                seconds=seconds,
                psnr_stages=_psnr_of_stages(outputs, judged, found.get("psnr")),
            )
        )
        on_view(done, len(indices), image, rgb)
    return scores


def _psnr_of_stages(outputs: dict[str, Tensor], image: Tensor, last: float | None) -> list[float] | None:
    """PSNR of earlier stages, `stage_1` and so on among a model's outputs, and of the last one; None without stages."""
    earlier = [outputs[f"stage_{number}"] for number in range(1, len(outputs)) if f"stage_{number}" in outputs]
    if not earlier or last is None:
        return None
    return [*(channel_metrics(each.float(), image)["psnr"] for each in earlier), last]


def _compare(rgb: Tensor, image: Tensor, path: Path) -> dict[str, float]:
    """Image metrics; InputError, which names the image's file, if the sizes differ."""
    if rgb.shape != image.shape:
        raise InputError(
            f"{path} is {image.shape[1]} x {image.shape[0]} pixels but its camera is {rgb.shape[1]} x "
            f"{rgb.shape[0]}: make the dataset's sizes agree."
        )
    return image_metrics(rgb, image)


def summarise_views(scores: Sequence[ViewScores], *, split: str, count: int) -> dict[str, Any]:
    """The record of a run's images: the means over its views, and each view. A mean of which a view lacks is None."""
    means: dict[str, float | None] = {}
    for name in _MEANS:
        values = [getattr(score, name) for score in scores]
        means[name] = None if None in values else sum(values) / len(values)
    stages = [score.psnr_stages for score in scores if score.psnr_stages is not None]
    if stages and len(stages) == len(scores):
        for number, psnr in enumerate(zip(*stages, strict=True), 1):
            means[f"psnr_stage_{number}"] = sum(psnr) / len(psnr)
    return {
        "split": split,
        "views_measured": len(scores),
        "views_of_the_split": count,
        "mean": means,
        "views": [asdict(score) for score in scores],
    }


def _relative(path: Path, folder: Path | None) -> str:
    """A name that says nothing of the machine: below the dataset's folder, or else the file's own."""
    if folder is not None and path.resolve().is_relative_to(folder.resolve()):
        return path.resolve().relative_to(folder.resolve()).as_posix()
    return path.name
