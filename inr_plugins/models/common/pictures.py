"""The pictures of a held-out view that nerfstudio's viewer and loggers show."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from nerfstudio.utils import colormaps
from torch import Tensor


def evaluation_pictures(
    outputs: Mapping[str, Tensor], target: Float[Tensor, "height width 3"]
) -> dict[str, Float[Tensor, "height columns 3"]]:
    """The truth with the rendering beside it; opacity and depth as colours; normals where the model gives them.

    Args:
        outputs: rgb, accumulation and depth of a view, and possibly normals in [0, 1].
        target: what was to be seen, over the same background.
    """
    pictures = {
        "img": torch.cat([target, outputs["rgb"]], dim=1),
        "accumulation": colormaps.apply_colormap(outputs["accumulation"]),
        "depth": colormaps.apply_depth_colormap(outputs["depth"], accumulation=outputs["accumulation"]),
    }
    if "normals" in outputs:
        pictures["normals"] = outputs["normals"]
    return pictures
