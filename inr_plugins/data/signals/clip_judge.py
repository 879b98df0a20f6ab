"""What a background of a video is judged by: the truth of a made clip, and answers without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inr_plugins.data.signals.image_file import SignalImage, read_image
from inr_plugins.data.signals.video_file import VideoFile
from inr_plugins.operators.low_rank import principal_component_pursuit

TRUTH_ENDINGS = ("_background.png", "_mask.mkv")
"""Ends of the names of what `inr-phantom video` writes beside a clip, after its own without the extension."""
_MOST_OF_MEDIAN, _MOST_OF_PURSUIT = 1 << 26, 1 << 22
"""Numbers of a video, of which one and the other take some seconds of a processor; of larger ones there are none."""

Background = Callable[[int], Float[Tensor, "pixels channels"]]
"""A background's values in [0, 1] in a frame."""


@dataclass(frozen=True)
class ClipTruth:
    """What is behind, the same in all frames, and where the foreground is."""

    background: Float[Tensor, "pixels channels"]
    mask: Bool[Tensor, "frames pixels"]


def truth_beside(clip: Path, video: SignalImage) -> ClipTruth | None:
    """The truth of a clip that `inr-phantom video` has made; None where it is not beside it, or of another size.

    Raises:
        InputError: it cannot be read.
    """
    still, moving = (clip.with_name(f"{clip.stem}{ending}") for ending in TRUTH_ENDINGS)
    if clip.is_dir() or not (still.is_file() and moving.is_file()):
        return None
    kind, read = video.kind, read_image(still)
    with VideoFile(moving) as file:
        mask = np.stack([frame[..., 0] > 127 for frame in file.frames(kind.frames)])
    shape = (kind.height, kind.width)
    if read.pixels.shape != (*shape, kind.channels) or mask.shape != (kind.frames, *shape):
        return None
    background = torch.from_numpy(read.kind.values(read.pixels.reshape(-1, kind.channels)))
    return ClipTruth(background, torch.from_numpy(mask.reshape(kind.frames, -1)))


def classical_backgrounds(video: SignalImage) -> dict[str, Background]:
    """Backgrounds without a network, of a video that is not too large: the median over the frames, and `pursuit`,
    the low-rank part of the matrix of pixels and frames."""
    kind, found = video.kind, dict[str, Background]()
    count = len(video.flat) * kind.channels
    if count > _MOST_OF_MEDIAN:
        return found
    frames = torch.from_numpy(kind.values(video.flat)).view(kind.frames, -1, kind.channels)
    median = torch.from_numpy(np.median(frames.numpy(), axis=0))
    found["median"] = lambda frame: median
    if count <= _MOST_OF_PURSUIT:
        low = principal_component_pursuit(frames.flatten(1).T.double())[0]
        back = low.T.float().reshape(frames.shape)
        found["pursuit"] = lambda frame: back[frame]
    return found
