"""All pixels of a split as bytes, from which a batch is drawn by torch's random generator alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from nerfstudio.utils.rich_utils import CONSOLE
from rich.progress import track
from torch import Tensor

from inr_plugins.data.dataset_images import InrDataset
from inr_plugins.errors import InputError

MaskUse = Literal["sample-inside", "labels"]
"""Whether masks say where pixels are drawn, or what each drawn pixel shows."""

MASK_INDEX_BYTES = 8
"""A masked dataset keeps the places of its usable pixels."""


@dataclass
class PixelStore:
    """Every pixel of a split, image after image, line after line."""

    pixels: UInt8[Tensor, "pixels 4"]
    """Colours and straight alpha as in the files, 255 where there is none."""
    has_alpha: bool
    """Whether any image has an alpha channel."""
    starts: Int[Tensor, " images"]
    """Place of the first pixel of each image in `pixels`."""
    widths: Int[Tensor, " images"]
    """Pixels in a line of each image."""
    usable: Int[Tensor, " usable"] | None
    """Places of the pixels inside their masks; None without masks."""
    background: Float[Tensor, " 3"] | None
    """Colour that alpha is composited over, in [0, 1]; None passes alpha on."""
    labels: Bool[Tensor, " pixels"] | None = None
    """What the masks say of each pixel, where they are labels; None where they are not."""

    @property
    def device(self) -> torch.device:
        """Where the pixels are, and where a batch is drawn."""
        return self.pixels.device

    def draw(self, count: int) -> Int[Tensor, "count 3"]:
        """Draw pixels, each as likely as any other in the split, with replacement.

        The result depends on the state of the device's default generator only, which one call advances once.

        Returns:
            Image, line and column of each pixel.
        """
        if self.usable is None:
            place = torch.randint(len(self.pixels), (count,), device=self.device)
        else:
            place = self.usable[torch.randint(len(self.usable), (count,), device=self.device)]
        image = torch.searchsorted(self.starts, place, right=True) - 1
        within = place - self.starts[image]
        line = torch.div(within, self.widths[image], rounding_mode="floor")
        return torch.stack([image, line, within - line * self.widths[image]], dim=-1)

    def colours(self, indices: Int[Tensor, "count 3"]) -> Float[Tensor, "count channels"]:
        """Return colours in [0, 1] as nerfstudio's InputDataset.get_image_float32 has them: the same bits.

        With a background, alpha is composited over it and 3 channels are left; without, alpha stays and is straight.
        """
        colours = self.pixels[self._place(indices)].float() / 255.0
        if not self.has_alpha:
            return colours[:, :3]
        if self.background is None:
            return colours
        alpha = colours[:, 3:]
        return colours[:, :3] * alpha + self.background * (1.0 - alpha)

    def _place(self, indices: Tensor) -> Tensor:
        image = indices[:, 0]
        return self.starts[image] + indices[:, 1] * self.widths[image] + indices[:, 2]

    def batch(self, count: int, *, device: torch.device | str) -> tuple[dict[str, Tensor], Int[Tensor, "count 3"]]:
        """Draw a batch as nerfstudio's pixel samplers give it: image, indices, and mask if there are masks."""
        indices = self.draw(count)
        batch = {"image": self.colours(indices).to(device), "indices": indices.to(device)}
        if self.usable is not None:
            batch["mask"] = torch.ones((count, 1), dtype=torch.bool, device=device)
        elif self.labels is not None:
            batch["mask"] = self.labels[self._place(indices), None].to(device)
        return batch, batch["indices"]


def store_bytes(dataset: InrDataset) -> int:
    """Memory that the pixels of `dataset` take as bytes, at most."""
    count = int((dataset.cameras.width.long() * dataset.cameras.height.long()).sum())
    return count * (4 + (MASK_INDEX_BYTES if dataset.has_masks else 0))


def load_pixels(
    dataset: InrDataset,
    *,
    device: torch.device | str = "cpu",
    split: str = "train",
    masks: MaskUse = "sample-inside",
) -> PixelStore:
    """Decode all images of `dataset`, in threads and with a progress bar.

    Args:
        dataset: images that all have the size of their camera.
        device: where the pixels are to be kept.
        split: name of the split, for the progress bar and messages.
        masks: what they are for. As labels they come with each pixel, and so does straight alpha, whatever colour the
            dataset would composite it over.

    Raises:
        InputError: an image or mask does not decode or has another size than its camera; masks leave no pixel, or
            alpha does where it is a label.
    """
    widths = dataset.cameras.width[:, 0].long().cpu()
    sizes = widths * dataset.cameras.height[:, 0].long().cpu()
    starts = torch.cumsum(sizes, dim=0) - sizes
    pixels = np.full((int(sizes.sum()), 4), 255, dtype=np.uint8)
    inside = np.zeros(len(pixels), dtype=bool) if dataset.has_masks else None
    channels = set()

    def load(index: int) -> None:
        shape = (int(dataset.cameras.height[index]), int(dataset.cameras.width[index]))
        image = dataset.get_numpy_image(index)
        _check_shape(dataset, index, image.shape[:2], shape)
        places = slice(int(starts[index]), int(starts[index] + sizes[index]))
        pixels[places, : image.shape[2]] = image.reshape(-1, image.shape[2])
        channels.add(image.shape[2])
        if inside is not None:
            mask = dataset.mask_bytes(index)
            _check_shape(dataset, index, mask.shape, shape)
            inside[places] = mask.reshape(-1)

    _for_each(load, len(dataset), description=f"Loading {split} images")
    usable = None if inside is None else _usable(torch.from_numpy(inside), dataset, split=split).to(device)
    are_labels = masks == "labels"
    if are_labels and inside is None and not pixels[:, 3].any():
        raise InputError(
            f"The images of the {split} split are transparent everywhere ({dataset.image_filenames[0]} and all "
            "others): give them an alpha channel that is opaque where the object is."
        )
    return PixelStore(
        pixels=torch.from_numpy(pixels).to(device),
        has_alpha=4 in channels,
        starts=starts.to(device),
        widths=widths.to(device),
        usable=None if are_labels else usable,
        background=None if are_labels or dataset.background is None else dataset.background.to(device),
        labels=None if inside is None or not are_labels else torch.from_numpy(inside).to(device),
    )


def _for_each(work: Callable[[int], None], count: int, *, description: str) -> None:
    """Do `work` for 0 .. count-1 in threads; on an error or an interrupt, what has not begun is given up."""
    pool = ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8))
    try:
        for _ in track(pool.map(work, range(count)), description, total=count, console=CONSOLE, transient=True):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def _usable(inside: Bool[Tensor, " pixels"], dataset: InrDataset, *, split: str) -> Int[Tensor, " usable"]:
    usable = torch.nonzero(inside)[:, 0]
    if len(usable) == 0:
        raise InputError(
            f"The masks of the {split} split leave no pixel to train on ({dataset.image_filenames[0]} and all others): "
            "make them white where the image counts."
        )
    return usable


def _check_shape(dataset: InrDataset, index: int, shape: tuple[int, ...], wanted: tuple[int, int]) -> None:
    if tuple(shape) != wanted:
        raise InputError(
            f"Image {dataset.image_filenames[index]} or its mask has {shape[1]} x {shape[0]} pixels where its camera "
            f"has {wanted[1]} x {wanted[0]}: make them agree, or choose another "
            "--pipeline.datamanager.camera-res-scale-factor."
        )
