"""The pictures of an image as a signal: itself where it is judged, a thumbnail where it is shown; frames of a video."""

from __future__ import annotations

from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Shaped
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image
from rich.markup import escape
from torch import Tensor

from inr_plugins.data.signals.image_file import SignalImage
from inr_plugins.data.signals.parser import SignalOutputs
from inr_plugins.data.signals.windows import LARGEST_WHOLE
from inr_plugins.errors import InputError
from inr_plugins.signal_grid import first_view


class SignalImages(InputDataset):
    """nerfstudio's dataset of the one image, or of parts of it, as its cameras see it, with three channels or four.

    `image` in float32 is the file's own numbers, all their bits; over the dataparser's alpha_color where there is an
    opacity. Smaller pictures are area averages.

    Attributes:
        stands_in: where the file is not there, a grey picture is given in its place; for what is only looked at.
    """

    stands_in = False

    @property
    def has_alpha(self) -> bool:
        """Whether the file has an opacity."""
        return cast(SignalOutputs, self._dataparser_outputs).parser.kind.has_alpha

    def _values(self, index: int) -> Float[np.ndarray, "height width channels"]:
        """Straight colours with alpha or without, in [0, 1]."""
        if index not in self._kept:
            # One is: the whole image, or the part that is looked at.
            self._kept = {index: self._read(index)}
        return self._kept[index]

    @cached_property
    def _kept(self) -> dict[int, Float[np.ndarray, "height width channels"]]:
        return {}

    def _read(self, index: int) -> Float[np.ndarray, "height width channels"]:
        outputs = cast(SignalOutputs, self._dataparser_outputs)
        width, height = int(self.cameras.width[index]), int(self.cameras.height[index])
        try:
            signal = outputs.parser.image
        except InputError as error:
            if not self.stands_in:
                raise
            CONSOLE.print(f"[bold yellow]Only the fit can be shown:[/bold yellow] {escape(error.on_command_line)}")
            return np.full((height, width, 3), 0.5, dtype=np.float32)
        pixels = self._pixels(signal, index)
        if signal.kind.bands:
            pixels = pixels[..., list(first_view(signal.kind.bands))]
        if pixels.shape[0] * pixels.shape[1] > LARGEST_WHOLE:
            # For a thumbnail of a large image every so many rows and columns do.
            step = max(1, min(pixels.shape[0] // (2 * height), pixels.shape[1] // (2 * width)))
            pixels = pixels[step // 2 :: step, step // 2 :: step]
        values = signal.kind.values(np.ascontiguousarray(pixels))
        alpha = values[..., -1:] if signal.kind.has_alpha else None
        colours = values[..., :-1] if alpha is not None else values
        # Of what has parts, its first.
        colours = colours[..., :1] if signal.kind.parts else colours
        colours = np.broadcast_to(colours, (*colours.shape[:2], 3))
        shown = colours if alpha is None else np.concatenate([colours, alpha], -1)
        if shown.shape[:2] == (height, width):
            return np.array(shown)
        planes = [Image.fromarray(np.ascontiguousarray(shown[..., c])) for c in range(shown.shape[-1])]
        return np.stack([np.asarray(each.resize((width, height), Image.Resampling.BOX)) for each in planes], -1)

    def _pixels(self, signal: SignalImage, index: int) -> Shaped[np.ndarray, "height width channels"]:
        """What a camera sees, as the file has it."""
        window = cast(SignalOutputs, self._dataparser_outputs).windows[index]
        whole = signal.picture(window.frame)
        return whole[window.top : window.top + window.height, window.left : window.left + window.width]

    def channels_of(self, index: int) -> Float[Tensor, "height width channels"]:
        """All channels of what a camera sees pixel by pixel, in [0, 1]; of files that have bands."""
        signal = cast(SignalOutputs, self._dataparser_outputs).parser.image
        return torch.from_numpy(signal.kind.values(self._pixels(signal, index)))

    def get_metadata(self, data: dict) -> dict:
        """channels, where the file has bands: all of them."""
        outputs, index = cast(SignalOutputs, self._dataparser_outputs), int(data["image_idx"])
        window, cameras = outputs.windows[index], self.cameras
        is_smaller = (int(cameras.width[index]), int(cameras.height[index])) != (window.width, window.height)
        if self.stands_in or is_smaller or not outputs.parser.kind.bands:
            return {}
        return {"channels": self.channels_of(index)}

    def get_numpy_image(self, image_idx: int) -> npt.NDArray[np.uint8]:
        """Return the image as (height, width, 3 or 4) bytes, straight alpha."""
        return np.rint(self._values(image_idx) * 255).astype(np.uint8)

    def get_image_float32(self, image_idx: int) -> Float[Tensor, "height width 3"] | Float[Tensor, "height width 4"]:
        """Return the image in float32, in [0, 1]; with straight alpha where it has one and there is no alpha_color."""
        image, under = torch.from_numpy(self._values(image_idx)), self._dataparser_outputs.alpha_color
        if image.shape[-1] == 3 or under is None:
            return image
        return image[..., :3] * image[..., 3:] + under * (1 - image[..., 3:])
