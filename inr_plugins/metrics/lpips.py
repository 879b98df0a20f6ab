"""The network behind LPIPS (Zhang et al. 2018, AlexNet), made when first used and only if its weights are at hand.

The weights of AlexNet (233 MB) come from, in this order: the file that the environment variable INR_LPIPS names;
torch's own cache; the server of torchvision, if it answers at once and delivers within a minute. Where none of these
works LPIPS is left out, and one line says so.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
import urllib.request
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import cache
from io import BufferedIOBase
from pathlib import Path
from threading import Thread

import torch
from torch import nn

from inr_plugins.errors import InputError

LPIPS_VARIABLE = "INR_LPIPS"
"""Environment variable: a file with torchvision's AlexNet weights, or "off" to leave LPIPS out."""

_ANSWER_SECONDS = 3.0
_DOWNLOAD_SECONDS = 60.0

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
    cached = _cached_weights()
    if not cached.is_file():
        reason = _download(cached)
        if reason:
            _log.warning(
                "LPIPS is left out: AlexNet's weights could not be had (%s). Set %s to their file, or to off.",
                reason,
                LPIPS_VARIABLE,
            )
            return None
    return _build(cached)


def _weights_url() -> str:
    from torchvision.models import AlexNet_Weights

    return str(AlexNet_Weights.DEFAULT.url)


def _cached_weights() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / _weights_url().rsplit("/", 1)[-1]


def _build(weights: Path) -> nn.Module:
    """Make the metric from `weights`."""
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    # torchmetrics finds AlexNet in torch's cache only: for a moment, the cache is a folder with a link to our file.
    usual = torch.hub.get_dir()
    with tempfile.TemporaryDirectory() as folder:
        cache_folder = Path(folder) / "checkpoints"
        cache_folder.mkdir()
        (cache_folder / _cached_weights().name).symlink_to(weights.resolve())
        torch.hub.set_dir(folder)
        try:
            metric = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
        finally:
            torch.hub.set_dir(usual)
    return metric.eval()


def _download(target: Path) -> str:
    """Fetch the weights to `target`; return why that did not work, or nothing."""
    answer: Future[BufferedIOBase] = Future()

    def ask() -> None:
        try:
            answer.set_result(urllib.request.urlopen(_weights_url(), timeout=_ANSWER_SECONDS))
        except OSError as error:
            answer.set_exception(error)

    # In a thread that is left behind if need be: no timeout covers the look-up of a name.
    Thread(target=ask, daemon=True).start()
    try:
        response = answer.result(timeout=_ANSWER_SECONDS + 1)
    except FutureTimeoutError:
        return "the server does not answer"
    except OSError as error:
        return str(getattr(error, "reason", error))
    with response:
        return _receive(response, target)


def _receive(response: BufferedIOBase, target: Path) -> str:
    """Write what `response` delivers to `target`, if it is whole and in time; return what went wrong, or nothing."""
    deadline = time.monotonic() + _DOWNLOAD_SECONDS
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    # torchvision's files carry the beginning of their SHA-256 in their name.
    expected, digest = target.stem.rsplit("-", 1)[-1], hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            while block := response.read(1 << 20):
                if time.monotonic() > deadline:
                    return f"the download takes longer than {_DOWNLOAD_SECONDS:.0f} s"
                digest.update(block)
                file.write(block)
        if not digest.hexdigest().startswith(expected):
            return "the download was cut short"
        os.replace(partial, target)
    except OSError as error:
        return str(error)
    finally:
        partial.unlink(missing_ok=True)
    return ""
