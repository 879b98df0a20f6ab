"""Silhouettes: which pixels the model says something is in, against the dataset's masks or alpha."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from inr_plugins.evaluation.stored_images import has_alpha, inside_mask

SILHOUETTE_DEFINITION = (
    "pixels of both / pixels of either, of rendered accumulation > 0.5 and the dataset's mask where it counts as "
    "inside (without masks: alpha > 0.5); "
    "1 where both are empty; the mean of per-view values"
)

Source = Literal["mask", "alpha"]


def silhouette_source(dataset: InputDataset, index: int) -> Source | None:
    """Where the true silhouette of view `index` comes from: its mask, else its image's alpha, else None."""
    if dataset._dataparser_outputs.mask_filenames:
        return "mask"
    return "alpha" if has_alpha(dataset, index) else None


def true_silhouette(dataset: InputDataset, index: int, source: Source) -> Bool[np.ndarray, "height width"]:
    """The true silhouette of view `index`; alpha is that of the file, whatever the dataparser laid under it."""
    if source == "mask":
        return inside_mask(dataset.get_data(index, image_type="float32")).numpy()
    return dataset.get_numpy_image(index)[..., 3] > 127


def silhouette_iou(accumulation: Float[Tensor, "height width 1"], truth: Bool[np.ndarray, "height width"]) -> float:
    """Intersection over union of the pixels with accumulation above one half and those of the truth; 1 if all empty."""
    pred = accumulation[..., 0] > 0.5
    true = torch.from_numpy(truth).to(pred.device)
    union = int((pred | true).sum())
    return int((pred & true).sum()) / union if union else 1.0
