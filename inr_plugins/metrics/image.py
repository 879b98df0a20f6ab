"""Image metrics: PSNR, SSIM and, where its weights can be had, LPIPS; made when first used, outside every checkpoint.

Images are RGB, values in [0, 1], (height, width, 3); a leading batch axis is not taken, so that the mean over a test
set is the mean of per-image values, as papers report it. `channel_metrics` is of images of any number of channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.metrics.lpips import lpips_network

_WINDOW = 11
# Below this AlexNet's last features are a pixel or two.
_SHORTEST_SIDE_FOR_LPIPS = 64

Image = Float[Tensor, "height width 3"]


def _check_pair(pred: Tensor, target: Tensor) -> None:
    if pred.shape != target.shape or pred.ndim != 3 or pred.shape[-1] != 3:
        raise ValueError(f"Images must both be (height, width, 3), not {tuple(pred.shape)} and {tuple(target.shape)}.")


def psnr(pred: Image, target: Image) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1: ``-10 log10(mean squared error)``; inf for equal images.

    Raises:
        ValueError: the shapes differ or are not (height, width, 3).
    """
    _check_pair(pred, target)
    # Float64: the error of a good prediction is a small number beside the values.
    mse = torch.mean((pred.double() - target.double()) ** 2)
    return float(-10.0 * torch.log10(mse))


def ssim(pred: Image, target: Image) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window of 11 pixels and sigma 1.5, K = (0.01, 0.03), range 1.

    As in the paper (and scikit-image), only windows that lie inside the image count. torchmetrics' own mean, which
    nerfstudio reports, adds windows over a mirrored border; the two differ in the third digit.

    Raises:
        ValueError: the shapes differ, are not (height, width, 3), or a side is shorter than the window.
    """
    _check_pair(pred, target)
    if min(pred.shape[:2]) < _WINDOW:
        raise ValueError(f"SSIM needs images of at least {_WINDOW} pixels a side, not {tuple(pred.shape[:2])}.")
    return _ssim(pred, target)


def _ssim(pred: Float[Tensor, "height width channels"], target: Float[Tensor, "height width channels"]) -> float:
    """The mean over all channels."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, values = structural_similarity_index_measure(
        _batched(pred), _batched(target), data_range=1.0, return_full_image=True
    )
    border = _WINDOW // 2
    return float(values[..., border:-border, border:-border].mean())


def _batched(image: Tensor) -> Tensor:
    return image.float().movedim(-1, 0)[None]


def lpips(pred: Image, target: Image) -> float | None:
    """Learned perceptual distance of two images: see :mod:`inr_plugins.metrics.lpips`; None where it cannot be had.

    Images with a side below 64 pixels are too small for the network, and nothing is looked for then.

    Raises:
        ValueError: the shapes differ or are not (height, width, 3).
        InputError: the environment variable INR_LPIPS names a file that is not there or holds something else.
    """
    _check_pair(pred, target)
    network = lpips_network() if min(pred.shape[:2]) >= _SHORTEST_SIDE_FOR_LPIPS else None
    if network is None:
        return None
    network = network.to(pred.device)
    with torch.no_grad():
        # The metric refuses values outside its range.
        return float(network(_batched(pred).clamp(0, 1), _batched(target).clamp(0, 1)))


def image_metrics(pred: Image, target: Image) -> dict[str, float]:
    """PSNR and SSIM of a pair of images, and LPIPS if it can be had; keys "psnr", "ssim", "lpips".

    The prediction is clamped to [0, 1] first, as a display would. SSIM and LPIPS are left out for images too small for
    them (11 and 64 pixels a side).

    Raises:
        ValueError: the shapes differ or are not (height, width, 3).
    """
    pred = pred.detach().clamp(0, 1)
    metrics = {"psnr": psnr(pred, target)}
    shorter_side = min(pred.shape[:2])
    if shorter_side >= _WINDOW:
        metrics["ssim"] = ssim(pred, target)
    distance = lpips(pred, target)
    if distance is not None:
        metrics["lpips"] = distance
    return metrics


def channel_metrics(
    pred: Float[Tensor, "height width channels"], target: Float[Tensor, "height width channels"]
) -> dict[str, float]:
    """PSNR over all channels of a pair of images, and the mean of the channels' SSIM; keys "psnr" and "ssim".

    The prediction is clamped to [0, 1] first. LPIPS is of colours, and these are none.

    Raises:
        ValueError: the shapes differ.
    """
    if pred.shape != target.shape or pred.ndim != 3:
        raise ValueError(f"Images must both be (height, width, channels), not {pred.shape} and {target.shape}.")
    planes = [(pred[..., each].detach().clamp(0, 1), target[..., each]) for each in range(pred.shape[-1])]
    # One after the other: many at once would take memory.
    errors = [torch.mean((found.double() - wanted.double()) ** 2) for found, wanted in planes]
    metrics = {"psnr": float(-10.0 * torch.log10(torch.stack(errors).mean()))}
    if min(pred.shape[:2]) >= _WINDOW:
        metrics["ssim"] = sum(_ssim(found[..., None], wanted[..., None]) for found, wanted in planes) / len(planes)
    return metrics


class ImageMetrics:
    """:func:`image_metrics` as an object that a model can hold: no module, so nothing of it enters a checkpoint."""

    def __call__(self, pred: Image, target: Image) -> dict[str, float]:
        """See :func:`image_metrics`."""
        return image_metrics(pred, target)
