"""The network behind LPIPS (Zhang et al. 2018, AlexNet), made when first used and only if its weights are at hand.

The weights of AlexNet (233 MB) come from, in this order: the file that the environment variable INR_LPIPS names;
torch's own cache, or this package's; the server of torchvision, if it answers (:mod:`inr_plugins.metrics.download`).
Where none of these works LPIPS is left out, and one line says so.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

import torch
from torch import nn

from inr_plugins import files
from inr_plugins.errors import InputError
from inr_plugins.metrics.download import DownloadError, fetch

LPIPS_VARIABLE = "INR_LPIPS"
"""Environment variable: a file with torchvision's AlexNet weights, or "off" to leave LPIPS out."""

_log = logging.getLogger(__name__)


@cache
def lpips_network() -> nn.Module | None:
    """Return the metric, a function of two (1, 3, height, width) images in [0, 1], or None; decided once a process.

    Raises:
        InputError: INR_LPIPS names a file that is not there or holds something else.
    """
    wanted = os.environ.get(LPIPS_VARIABLE, "")
    if wanted.lower() in ("off", "0", "no", "false"):
        return None
    if wanted:
        path = Path(wanted)
        if not path.is_file():
            raise InputError(f"{LPIPS_VARIABLE} names {path}, which is no file: give AlexNet's weights, or off.")
        try:
            return _build(path)
        except Exception as error:
            raise InputError(
                f"{path} does not hold torchvision's AlexNet weights: set {LPIPS_VARIABLE}=off."
            ) from error
    try:
        path = _kept_weights()
    except (DownloadError, OSError) as error:
        _left_out(f"could not be had ({error}). Set {LPIPS_VARIABLE} to their file, or to off.")
        return None
    try:
        return _build(path)
    except Exception as error:
        _left_out(f"cannot be read ({type(error).__name__}): remove the damaged file {path}.")
        return None


def _left_out(why: str) -> None:
    _log.warning("LPIPS is left out: AlexNet's weights %s", why)


def _kept_weights() -> Path:
    """The weights in a cache, fetched if they are in none.

    Raises:
        DownloadError: they could not be had.
        OSError: there is no place to keep them.
    """
    places = _cached_weights()
    for place in places:
        if place.is_file():
            return place
    target = next(place for place in places if _takes_files(place.parent) or place == places[-1])

    def tell(text: str) -> None:
        _log.warning("%s (AlexNet, for LPIPS; %s=off does without.)", text, LPIPS_VARIABLE)

    # torchvision's files carry the beginning of their SHA-256 in their name.
    fetch(_weights_url(), target, sha256=target.stem.rsplit("-", 1)[-1], tell=tell)
    return target


def _weights_url() -> str:
    from torchvision.models import AlexNet_Weights

    return str(AlexNet_Weights.DEFAULT.url)


def _cached_weights() -> list[Path]:
    """Where the weights may lie: in torch's cache, and in this package's for users without a home to write to."""
    name, hub = _weights_url().rsplit("/", 1)[-1], Path(torch.hub.get_dir())
    # Without a home, torch means a folder called "~" in the one that the process works in.
    return [*([hub / "checkpoints" / name] if hub.is_absolute() else []), files.cache_folder() / name]


def _takes_files(folder: Path) -> bool:
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return above.is_dir() and os.access(above, os.W_OK | os.X_OK)


def _build(weights: Path) -> nn.Module:
    """Make the metric from `weights`.

    Raises:
        Exception: of many kinds: the file holds something else.
    """
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    # torchvision would run whatever code such a file brings along; numbers alone pass here.
    state = torch.load(weights, map_location="cpu", weights_only=True)
    if "features.0.weight" not in state:
        raise ValueError(f"{weights} holds no AlexNet")
    # torchmetrics finds AlexNet in torch's cache only: for a moment, the cache is a folder with a link to our file.
    usual = torch.hub.get_dir()
    with files.temporary_folder("lpips") as folder:
        cache_folder = folder / "checkpoints"
        cache_folder.mkdir()
        (cache_folder / _cached_weights()[-1].name).symlink_to(weights.resolve())
        torch.hub.set_dir(str(folder))
        try:
            metric = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
        finally:
            torch.hub.set_dir(usual)
    return metric.eval()
