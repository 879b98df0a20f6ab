"""One page sees a camera of the dataset exactly, the photograph beside what is drawn."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from inr_plugins.viewer.frames import Frame

DrawnBy = Literal["model", "guided", "bake"]
SHOWN = ("split", "error", "truth")
_LINE = torch.tensor([0.133, 0.157, 0.192])
_SETTLING = 1.0
"""Seconds in which a page that has been sent to a camera, and has not said that it is there, may say where it was."""
_LATE = 3.0
"""Seconds after which a page that was elsewhere when it was last heard of will not come any more."""
_LEFT = 1e-3
"""Normalised distance, or part of a turn or radians of its angle, from which on a page has left."""
_BRIGHTER = 4.0
"""By how much errors are multiplied to be seen."""


@dataclass
class Comparison:
    """What takes the place of a page's own camera, until it moves.

    Attributes:
        name: of the camera, to be read.
        whole: the dataset's camera, of shape (1,), in its full size.
        truth: its photograph (height, width, 3), or 4 channels with straight alpha, in [0, 1].
        mask: of that size; where it is false nothing is compared.
        position: where the page's own camera is put, normalised frame: ahead of the dataset's and of its picture.
        told: called with a sentence for each whole frame.
        shown: one of SHOWN.
        split: left of this part of the width is truth.
        begun: when the page was sent there, as time.monotonic() has it.
        has_arrived: whether the page has said that it is there.
    """

    name: str
    whole: Cameras
    truth: Float[Tensor, "height width channels"]
    mask: Bool[Tensor, "height width"] | None
    position: Float[np.ndarray, " 3"]
    told: Callable[[str], None]
    shown: str = "split"
    split: float = 0.5
    begun: float = field(default_factory=time.monotonic)
    has_arrived: bool = False
    _looks: np.ndarray | None = None
    _is_away: bool = False

    def camera(self, width: int) -> Cameras:
        """The dataset's camera with so many columns, and no more than it has."""
        made = copy.deepcopy(self.whole)
        full = int(made.width[0])
        if width < full:
            made.rescale_output_resolution(width / full, scale_rounding_mode="round")
        return made

    def has_left(self, pose: Float[np.ndarray, "3 4"], fov: float) -> bool:
        """Whether a page whose camera is there, and sees so much, has moved, turned or zoomed by itself.

        Args:
            pose: camera-to-world, normalised frame.
            fov: along the height, radians.
        """
        is_away = self._is_away = float(np.linalg.norm(pose[:, 3] - self.position)) > _LEFT
        is_settling = time.monotonic() - self.begun <= _SETTLING
        self.has_arrived = self.has_arrived or not is_away or not is_settling
        if is_away:
            return self.has_arrived
        looks = np.append(pose[:, :3], fov)
        if self._looks is None or is_settling:
            # It is told of its place, its target and its angle one after the other.
            self._looks = looks
        return float(np.abs(looks - self._looks).max()) > _LEFT

    @property
    def is_missed(self) -> bool:
        """Whether the page has been moved while it was sent to the camera, and so has never come there."""
        return self._is_away and not self.has_arrived and time.monotonic() - self.begun > _LATE

    def lay_over(
        self, outputs: dict[str, Tensor], frame: Frame, aspect: float, *, drawn_by: DrawnBy, is_edited: bool = False
    ) -> None:
        """Put truth or error where they are to be seen, and borders around, so that nothing is stretched.

        Args:
            outputs: pictures (height, width, channels), changed in place.
            frame: which shows them.
            aspect: width over height of the page.
            drawn_by: what the frame is of; a bake is not scored, and what it guides is said to be.
            is_edited: whether panels have changed what was learnt for drawing, which is said too.
        """
        height, width = frame.height, frame.width
        rgb = outputs["rgb"]
        truth = _sized(self.truth, height, width).to(rgb)
        if truth.shape[-1] == 4:
            behind = frame.colours_behind().mean(0)
            truth = truth[..., :3] * truth[..., 3:] + behind * (1 - truth[..., 3:])
        kept = torch.ones(height, width, dtype=torch.bool, device=rgb.device)
        if self.mask is not None:
            kept = _sized(self.mask[..., None].float(), height, width)[..., 0].to(rgb.device) > 0.5
        if frame.done == len(frame) and bool(kept.any()) and drawn_by != "bake":
            # Not what a panel has shaded or put behind it.
            drawn = frame.outputs["rgb"].view(height, width, 3)
            error = float((drawn - truth)[kept].square().mean())
            self.told(self._sentence(error, frame, is_guided=drawn_by == "guided", is_edited=is_edited))
        outputs["rgb"] = self._seen(rgb, truth)
        for name, picture in outputs.items():
            outputs[name] = _bordered(picture, aspect, beyond=name in ("depth", "gl_z_buf_depth"))

    def _sentence(self, error: float, frame: Frame, *, is_guided: bool, is_edited: bool) -> str:
        full = (frame.width, frame.height) == (int(self.whole.width[0]), int(self.whole.height[0]))
        told = [f"{frame.width} x {frame.height}"]
        told += [words for words, holds in (
            ("reduced", not full),
            ("inside its mask", self.mask is not None),
            ("of what the crop leaves", frame.is_cropped),
            ("not as learnt: a panel has changed it", is_edited),
            ("a quick look: rays guided by a bake", is_guided),
        ) if holds]  # fmt: skip
        psnr = f"{-10 * np.log10(error):.2f} dB" if error > 0 else "no error"
        return f"**{self.name}**: PSNR {psnr} ({', '.join(told)})"

    def _seen(self, rgb: Tensor, truth: Tensor) -> Tensor:
        if self.shown == "truth":
            return truth
        if self.shown == "error":
            return (_BRIGHTER * (rgb - truth).abs()).clamp(0, 1)
        column = round(self.split * rgb.shape[1])
        seen = torch.cat([truth[:, :column], rgb[:, column:]], dim=1)
        if 0 < column < rgb.shape[1]:
            seen[:, column] = _LINE.to(seen)
        return seen


def _sized(picture: Float[Tensor, "h w c"], height: int, width: int) -> Float[Tensor, "height width c"]:
    """Averages over what each pixel covers."""
    if picture.shape[:2] == (height, width):
        return picture
    return torch.nn.functional.interpolate(picture.permute(2, 0, 1)[None], (height, width), mode="area")[0].permute(
        1, 2, 0
    )


def _bordered(picture: Tensor, aspect: float, *, beyond: bool) -> Tensor:
    """With borders left and right, or above and below; of depths, as far as anything is."""
    height, width = picture.shape[:2]
    across, down = max(0, round(aspect * height) - width), max(0, round(width / aspect) - height)
    sides = (0, 0, across // 2, across - across // 2, down // 2, down - down // 2)
    return torch.nn.functional.pad(picture, sides, value=float(picture.max()) if beyond else 0.0)


def photograph(dataset: Any, index: int) -> tuple[Float[Tensor, "h w c"], Bool[Tensor, "h w"] | None]:
    """A dataset's picture in [0, 1], 3 or 4 channels, and its mask if it has one.

    Args:
        dataset: nerfstudio's InputDataset.
        index: of the camera.
    """
    item = dataset.get_data(index, image_type="float32")
    image = item["image"].float()
    mask = item.get("mask")
    return image, None if mask is None else mask.reshape(mask.shape[:2]).bool()
