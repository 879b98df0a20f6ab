"""What is behind an object in a picture: one colour under the truth and under the rendering, or neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.model_components.renderers import background_color_override_context
from nerfstudio.utils.colors import COLORS_DICT
from torch import Tensor

from inr_plugins.errors import InputError, setting
from inr_plugins.evaluation.stored_images import has_alpha, inside_mask, is_in_memory

BackgroundName = Literal["white", "black", "model"]
Source = Literal["alpha", "mask", "composited", "opaque", "whole"]

BACKGROUND_DEFINITION = {
    "alpha": "the image's straight alpha is composited over the background, and the model renders over the same",
    "mask": "the image is cut out along its mask and laid over the background, and the model renders over the same; "
    "with models that learn the masked object alone, and with all where a background is asked for",
    "composited": "the dataparser has composited the image already; it is taken as it is, and the model renders over "
    "its own background, as it was trained to",
    "opaque": "the image has no alpha; it is taken as it is, and the model renders over its own background",
    "whole": "the image has a mask and is taken whole all the same, and the model renders over its own background; "
    "with models that learn whole pictures, where no background is asked for",
    "model": "truth over the model's own background: its colour; white for auto, black for random and last_sample",
}


@dataclass(frozen=True)
class TrueView:
    """A held-out picture as it is compared.

    Attributes:
        image: RGB in [0, 1].
        source: "alpha" or "mask" (composited here), "composited" (by the dataparser), "opaque" or "whole" (with a
            mask that is not used).
        background: colour under the truth; None where there is none or it is not known.
        told: colour that the model has to render over; None: its own.
    """

    image: Float[Tensor, "height width 3"]
    source: Source
    background: Float[Tensor, " 3"] | None
    told: Float[Tensor, " 3"] | None


def true_view(dataset: InputDataset, index: int, *, wanted: BackgroundName | None, model: Any) -> TrueView:
    """View `index` over the background that was `wanted`; None: white under alpha, and nothing else changed.

    Raises:
        InputError: the file cannot be read, or has been composited over another colour than the one wanted.
    """
    data = _read(dataset, index)
    image = data["image"]
    if image.shape[-1] == 4:
        under, told = _behind_alpha(wanted, model)
        alpha = image[..., 3:]
        return TrueView(image[..., :3] * alpha + under * (1 - alpha), "alpha", under, told)
    if "mask" in data and (wanted is not None or getattr(model, "learns_masked_object", False)):
        under, told = _behind_alpha(wanted, model)
        return TrueView(torch.where(inside_mask(data)[..., None], image, under), "mask", under, told)
    told = None if wanted in (None, "model") else COLORS_DICT[wanted]
    laid_under = dataset._dataparser_outputs.alpha_color
    if laid_under is None or not has_alpha(dataset, index):
        return TrueView(image, "whole" if "mask" in data else "opaque", None, told)
    under, path = laid_under.float().cpu(), dataset.image_filenames[index]
    if told is not None and not torch.equal(told, under):
        raise InputError(
            f"The dataparser has composited {path} over {colour_name(under)} already, so "
            f"{setting('background', wanted)} "
            f"cannot be had: leave {setting('background')} out, or train with the dataparser's --alpha-color None."
        )
    return TrueView(image, "composited", under, told)


def _read(dataset: InputDataset, index: int) -> dict[str, Any]:
    """View `index` with its mask, if there is one, as the training reads them; InputError names what does not open."""
    if is_in_memory(dataset):
        # Drawn with alpha; it is only for nerfstudio's commands that the dataset composites it.
        return {"image": torch.from_numpy(dataset.get_numpy_image(index)).float() / 255}
    path = dataset.image_filenames[index]
    try:
        return dataset.get_data(index, image_type="float32")
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, AssertionError) as error:
        raise InputError(f"Image {path} or its mask cannot be read ({error}): replace the file.") from error


def _behind_alpha(wanted: BackgroundName | None, model: Any) -> tuple[Tensor, Tensor | None]:
    """The colour under a truth with alpha and the colour that the model is told to render over."""
    if wanted != "model":
        colour = COLORS_DICT[wanted or "white"]
        return colour, colour
    own = getattr(getattr(model, "config", None), "background_color", "black")
    if own == "last_sample":
        # What the model paints there is its own; nerfstudio compares it with a truth over black.
        return COLORS_DICT["black"], None
    colour = COLORS_DICT[{"auto": "white"}.get(own, own if own in COLORS_DICT else "black")]
    return colour, colour


def colour_name(colour: Float[Tensor, " 3"] | None) -> str | list[float] | None:
    """nerfstudio's name of a colour, or its RGB in [0, 1] if it has none; None stays None."""
    if colour is None:
        return None
    named = [name for name, known in COLORS_DICT.items() if torch.equal(known, colour.cpu().float())]
    return named[0] if named else [float(value) for value in colour]


@contextmanager
def over_background(colour: Float[Tensor, " 3"] | None) -> Iterator[None]:
    """While the body runs, nerfstudio's renderers and ours render over `colour`; over the model's own if None."""
    if colour is None:
        yield
        return
    with background_color_override_context(colour):
        yield
