"""Build nerfstudio's own models where LPIPS has no weights: offline they all fail at construction.

vanilla-nerf, mipnerf, nerfacto, tensorf and their kin make torchmetrics' LPIPS when they are built, which downloads
AlexNet (233 MB). Here the metric is made if those weights are in torch's cache, and left out if not: nothing is ever
downloaded. What stands in for it has no weights, leaves nothing in a checkpoint and takes no notice of the weights in
one, so that a checkpoint written with LPIPS loads strictly into a model without. (The other way round a strict load
does not work, since the real metric wants its weights; nerfstudio's own `Pipeline.load_state_dict` then loads
leniently.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_NAME = "LearnedPerceptualImagePatchSimilarity"
# torchvision's weights of each network that the metric can be made with.
_WEIGHTS = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights", "squeeze": "SqueezeNet1_1_Weights"}


class LpipsWithoutWeights(nn.Module):
    """In place of LPIPS in a model that has to hold one: its score is NaN, which nobody may report."""

    def forward(self, img1: Tensor, img2: Tensor) -> Tensor:
        """NaN, shape (), on the device of the images (n, 3, height, width)."""
        return img1.new_full((), float("nan"))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take nothing, and report nothing as missing or as too much."""


def weights_at_hand(network: str) -> bool:
    """Whether torch's cache holds the weights of the LPIPS `network`: "alex", "vgg" or "squeeze"."""
    import torchvision

    url = getattr(torchvision.models, _WEIGHTS[network]).DEFAULT.url
    return (Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]).is_file()


class _Choice:
    """Called as torchmetrics' class is: makes the real metric, or what stands in for it."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __call__(self, net_type: str = "alex", *args: Any, **kwargs: Any) -> nn.Module:
        # An unknown network is for the real metric to refuse.
        if net_type in _WEIGHTS and not weights_at_hand(net_type):
            return LpipsWithoutWeights()
        return self.real(net_type, *args, **kwargs)


def install_without_weights() -> None:
    """For the rest of this process, make LPIPS only where its weights are in torch's cache; calling twice is fine."""
    for module in _modules():
        if not isinstance(getattr(module, _NAME), _Choice):
            setattr(module, _NAME, _Choice(getattr(module, _NAME)))


@contextmanager
def without_lpips_weights() -> Iterator[None]:
    """As :func:`install_without_weights`, while the body runs: build a model in it."""
    usual = [(module, getattr(module, _NAME)) for module in _modules()]
    install_without_weights()
    try:
        yield
    finally:
        for module, metric in usual:
            setattr(module, _NAME, metric)


def _modules() -> tuple[Any, Any]:
    """The two modules that give the metric its name."""
    from torchmetrics import image
    from torchmetrics.image import lpip

    return lpip, image
