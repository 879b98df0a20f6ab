"""All pixels of a split as bytes, from which a batch is drawn by torch's random generator alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inr_plugins.data.images.images import InrDataset
from inr_plugins.data.images.pixel_arrays import FileArray, MemoryArray, PixelArray
from inr_plugins.errors import InputError
from inr_plugins.progress import progress

MaskUse = Literal["sample-inside", "labels"]
"""Whether masks say where pixels are drawn, or what each drawn pixel shows."""

_BLOCK = 256
"""Pixels whose usable ones are counted together."""

PIXEL_BYTES, MASK_BYTES = 4, 1
"""What a pixel takes, and what its mask takes beside the counts of :data:`_BLOCK`."""


@dataclass
class Inside:
    """Which pixels are inside their masks, so that the k-th of them is found without a list of all."""

    blocks: PixelArray
    """One row for each block of pixels, 1 inside."""
    before: Int[Tensor, " blocks_and_one"]
    """Pixels inside before each block, and in all."""

    def at(self, places: Int[Tensor, " count"]) -> Bool[Tensor, " count"]:
        """Whether pixels are inside."""
        block = torch.div(places, _BLOCK, rounding_mode="floor")
        return self.blocks.rows(block).gather(1, (places - block * _BLOCK)[:, None])[:, 0].bool()

    def places(self, numbers: Int[Tensor, " count"]) -> Int[Tensor, " count"]:
        """Places of the pixels inside that have these numbers, counted from 0."""
        block = torch.searchsorted(self.before, numbers, right=True) - 1
        counted = torch.cumsum(self.blocks.rows(block), dim=1, dtype=torch.int16)
        return block * _BLOCK + (counted <= (numbers - self.before[block])[:, None]).sum(dim=1)


@dataclass
class PixelStore:
    """Every pixel of a split, image after image, line after line."""

    pixels: PixelArray
    """Colours and straight alpha as in the files, 255 where there is none; 4 columns."""
    count: int
    """Pixels."""
    has_alpha: bool
    """Whether any image has an alpha channel."""
    starts: Int[Tensor, " images"]
    """Place of the first pixel of each image in `pixels`."""
    widths: Int[Tensor, " images"]
    """Pixels in a line of each image."""
    inside: Inside | None
    """The pixels inside their masks; None without masks."""
    background: Float[Tensor, " 3"] | None
    """Colour that alpha is composited over, in [0, 1]; None passes alpha on."""
    are_labels: bool = False
    """Whether the masks say what each pixel shows, and not where pixels are drawn."""

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
        if self.inside is None or self.are_labels:
            place = torch.randint(self.count, (count,), device=self.device)
        else:
            place = self.inside.places(torch.randint(int(self.inside.before[-1]), (count,), device=self.device))
        image = torch.searchsorted(self.starts, place, right=True) - 1
        within = place - self.starts[image]
        line = torch.div(within, self.widths[image], rounding_mode="floor")
        return torch.stack([image, line, within - line * self.widths[image]], dim=-1)

    def colours(self, indices: Int[Tensor, "count 3"]) -> Float[Tensor, "count channels"]:
        """Return colours in [0, 1] as nerfstudio's InputDataset.get_image_float32 has them: the same bits.

        With a background, alpha is composited over it and 3 channels are left; without, alpha stays and is straight.
        """
        colours = self.pixels.rows(self._place(indices)).float() / 255.0
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
        if self.inside is not None and self.are_labels:
            batch["mask"] = self.inside.at(self._place(indices))[:, None].to(device)
        elif self.inside is not None:
            batch["mask"] = torch.ones((count, 1), dtype=torch.bool, device=device)
        return batch, batch["indices"]


def store_bytes(dataset: InrDataset) -> int:
    """Memory, or room on the disk, that the pixels of `dataset` take as bytes.

    With masks the counts of :class:`Inside` come to it, in memory: 1/32 byte a pixel.
    """
    count = int((dataset.cameras.width.long() * dataset.cameras.height.long()).sum())
    return count * (PIXEL_BYTES + (MASK_BYTES if dataset.has_masks else 0))


def load_pixels(
    dataset: InrDataset,
    *,
    device: torch.device | str = "cpu",
    split: str = "train",
    masks: MaskUse = "sample-inside",
    folder: Path | None = None,
) -> PixelStore:
    """Decode all images of `dataset`, in threads and with a progress bar.

    Args:
        dataset: images that all have the size of their camera.
        device: where the pixels are to be kept.
        split: name of the split, for the progress bar and messages.
        masks: what they are for. As labels they come with each pixel, and so does straight alpha, whatever colour the
            dataset would composite it over.
        folder: keep the pixels in a file in it, looked up from the CPU, and not in memory.

    Raises:
        InputError: an image or mask does not decode or has another size than its camera; masks leave no pixel, or
            alpha does where it is a label; the folder has no room.
    """
    widths = dataset.cameras.width[:, 0].long().cpu()
    sizes = widths * dataset.cameras.height[:, 0].long().cpu()
    starts = torch.cumsum(sizes, dim=0) - sizes
    count = int(sizes.sum())
    pixels = _new_array(count, PIXEL_BYTES, folder)
    mask_writer = _MaskWriter(count, folder) if dataset.has_masks else None
    seen = _Seen()

    def load(index: int) -> None:
        shape = (int(dataset.cameras.height[index]), int(dataset.cameras.width[index]))
        image = dataset.get_numpy_image(index)
        _check_shape(dataset, index, image.shape[:2], shape)
        flat = np.full((image.shape[0] * image.shape[1], PIXEL_BYTES), 255, dtype=np.uint8)
        flat[:, : image.shape[2]] = image.reshape(-1, image.shape[2])
        pixels.write(int(starts[index]), flat)
        seen.channels.add(image.shape[2])
        if flat[:, 3].any():
            seen.opaque = True
        if mask_writer is not None:
            mask = dataset.mask_bytes(index)
            _check_shape(dataset, index, mask.shape, shape)
            mask_writer.write(int(starts[index]), mask.reshape(-1))

    _for_each(load, len(dataset), description=f"Loading {split} images")
    inside = None if mask_writer is None else mask_writer.finish()
    are_labels = masks == "labels"
    _check_useful(dataset, inside, split=split, are_labels=are_labels, opaque=seen.opaque)
    device = device if folder is None else "cpu"
    if inside is not None:
        inside = Inside(_moved(inside.blocks, device), inside.before.to(device))
    return PixelStore(
        pixels=_moved(pixels, device),
        count=count,
        has_alpha=4 in seen.channels,
        starts=starts.to(device),
        widths=widths.to(device),
        inside=inside,
        background=None if are_labels or dataset.background is None else dataset.background.to(device),
        are_labels=are_labels,
    )


def _check_useful(dataset: InrDataset, inside: Inside | None, *, split: str, are_labels: bool, opaque: bool) -> None:
    """Refuse masks, or alpha where it is a label, that leave nothing to learn from; InputError.

    Args:
        dataset: the images, for their names.
        inside: what their masks leave; None without masks.
        split: for the message.
        are_labels: whether masks or alpha say what each pixel shows.
        opaque: whether any pixel is not transparent.
    """
    if inside is not None and int(inside.before[-1]) == 0:
        raise InputError(
            f"The masks of the {split} split leave no pixel to train on ({dataset.image_filenames[0]} and all others): "
            "make them white where the image counts."
        )
    if are_labels and inside is None and not opaque:
        raise InputError(
            f"The images of the {split} split are transparent everywhere ({dataset.image_filenames[0]} and all "
            "others): give them an alpha channel that is opaque where the object is."
        )


@dataclass
class _Seen:
    """What the images have turned out to have."""

    channels: set[int] = field(default_factory=set)
    opaque: bool = False


class _MaskWriter:
    """Masks, image after image, as the blocks of :class:`Inside`. Images share blocks, so one is written at a time."""

    def __init__(self, count: int, folder: Path | None) -> None:
        blocks = -(-count // _BLOCK)
        # Bytes of blocks, so that an image may begin and end inside of one.
        self._bytes = _new_array(blocks * _BLOCK, 1, folder)
        self._counts = np.zeros(blocks + 1, dtype=np.int64)
        self._lock = threading.Lock()

    def write(self, start: int, mask: Bool[np.ndarray, " pixels"]) -> None:
        self._bytes.write(start, mask.astype(np.uint8)[:, None])
        first, last = start // _BLOCK, -(-(start + len(mask)) // _BLOCK)
        whole = np.zeros((last - first) * _BLOCK, dtype=np.uint8)
        whole[start - first * _BLOCK :][: len(mask)] = mask
        counts = whole.reshape(-1, _BLOCK).sum(axis=1, dtype=np.int64)
        with self._lock:
            self._counts[first + 1 : last + 1] += counts

    def finish(self) -> Inside:
        return Inside(self._bytes.reshaped(_BLOCK), torch.from_numpy(np.cumsum(self._counts)))


def _new_array(count: int, columns: int, folder: Path | None) -> PixelArray:
    return MemoryArray(count, columns) if folder is None else FileArray(count, columns, folder)


def _moved(array: PixelArray, device: torch.device | str) -> PixelArray:
    return array.to(device) if isinstance(array, MemoryArray) else array


def _for_each(work: Callable[[int], None], count: int, *, description: str) -> None:
    """Do `work` for 0 .. count-1 in threads; on an error or an interrupt, what has not begun is given up."""
    pool = ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8))
    try:
        with progress() as bar:
            for done, _ in enumerate(pool.map(work, range(count)), start=1):
                bar(description, done, count)
    finally:
        pool.shutdown(cancel_futures=True)


def _check_shape(dataset: InrDataset, index: int, shape: tuple[int, ...], wanted: tuple[int, int]) -> None:
    if tuple(shape) != wanted:
        raise InputError(
            f"Image {dataset.image_filenames[index]} or its mask has {shape[1]} x {shape[0]} pixels where its camera "
            f"has {wanted[1]} x {wanted[0]}: make them agree, or choose another "
            "--pipeline.datamanager.camera-res-scale-factor."
        )
