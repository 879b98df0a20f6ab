"""Options of methods that are each in range and impossible together, or more than a machine can hold.

Each is refused in a sentence before a folder is made for the run.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

from campaign import small_runs
from campaign.case import Case
from campaign.rules import hold, refused

_HUGE = {"model.width": 65_536, "model.hidden_layers": 1024}
_TCNN = {"model.implementation": "tcnn"}
IMPOSSIBLE: dict[str, list[tuple[dict[str, Any], tuple[str, ...]]]] = {
    "finer-nerf": [
        ({"model.encoding": "positional", "model.octaves": 0}, ("octaves",)),
        ({"model.encoding": "positional", "model.octaves": 60}, ("octaves",)),
        ({"model.encoding": "identity", "model.octaves": 4}, ("octaves",)),
        ({"model.encoding": "fourier", "model.octaves": 4}, ("octaves",)),
        ({"model.activation": "wavelet", "model.normalization": "cross"}, ("normalization",)),
        ({"model.activation": "finer-wavelet", "model.normalization": "batch"}, ("normalization",)),
        ({"model.activation": "relu", "model.omega": 30.0}, ("omega",)),
        ({"model.activation": "gauss", "model.omega": 30.0}, ("omega",)),
        ({"model.activation": "sine", "model.scale": 3.0}, ("scale",)),
        ({"model.activation": "gauss", "model.carrier": 3.0}, ("carrier",)),
        ({"model.activation": "finer-sine", "model.beta": 3.0}, ("beta",)),
        ({"model.activation": "sine", "model.first_bias": 3.0}, ("first-bias", "first_bias")),
        ({"model.activation": "relu", **_TCNN}, ("tcnn",)),
        (_TCNN, ("tcnn",)),
        ({"model.activation": "relu", "model.normalization": "batch", **_TCNN}, ("tcnn",)),
        ({"model.activation": "sine", "model.detach_scale": True}, ("detach",)),
        ({"model.grid": "nerfacc"}, ("grid",)),
        ({"model.double_samples_at": (30, 12)}, ("double-samples-at",)),
        ({"model.near_plane": 5.0, "model.far_plane": 5.0}, ("far-plane",)),
        ({"model.near_plane": 9.0, "model.far_plane": 5.0}, ("far-plane",)),
        ({"model.grid_resolution": 2048}, ("grid-resolution",)),
        (_HUGE, ("width",)),
    ],
    "diner": [
        ({"model.coarse_voxels": (216, 512)}, ("coarse-voxels",)),
        ({"model.coarse_voxels": (), "model.coarse_steps": ()}, ("coarse-voxels",)),
        ({"model.network.encoding": "integrated"}, ("encoding",)),
        ({"model.network.encoding": "positional", "model.network.octaves": 0}, ("octaves",)),
        ({"model.network.octaves": 4}, ("octaves",)),
        ({"model.network.fourier_features": 4}, ("fourier",)),
        ({"model.network.encoding": "fourier", "model.network.octaves": 2}, ("octaves",)),
        ({"model.network.skips": (5,)}, ("skips",)),
        ({"model.network.hidden_layers": 4, "model.network.skips": (0,)}, ("skips",)),
        ({"model.network.hidden_layers": 4, "model.network.skips": (4,)}, ("skips",)),
        ({"model.network.activation": "wavelet", "model.network.normalization": "layer"}, ("normalization",)),
        ({"model.network.activation": "sine", "model.network.initialization": "glorot"}, ("initialization",)),
        ({"model.network.activation": "sine", "model.network.beta": 2.0}, ("beta",)),
        ({"model.network.omega": 2.0}, ("omega",)),
        ({"model.network.cross_variance": True}, ("cross",)),
        ({"model.network.implementation": "tcnn", "model.network.activation": "relu"}, ("tcnn",)),
        ({"model.near_plane": 9.0, "model.far_plane": 5.0}, ("far-plane",)),
        ({"model.num_voxels": 10**8, "model.key_width": 65_536}, ("num-voxels", "key-width")),
        ({"model.coarse_voxels": (10**9,)}, ("coarse-voxels",)),
        ({"model.network.width": 65_536, "model.network.hidden_layers": 1024}, ("width",)),
    ],
    "cn-mipnerf": [
        ({"model.activation": "wavelet"}, ("normalization",)),
        ({"model.activation": "finer-wavelet", "model.normalization": "global"}, ("normalization",)),
        ({"model.near_plane": 5.0, "model.far_plane": 5.0}, ("far-plane",)),
        ({"model.near_plane": 5.0, "model.far_plane": 3.0}, ("far-plane",)),
        (_HUGE, ("width",)),
    ],
    "cn-neus": [
        ({"model.skips": (2,)}, ("skips",)),
        ({"model.skips": (0,)}, ("skips",)),
        ({"model.hidden_layers": 6, "model.skips": (9,)}, ("skips",)),
        ({"model.octaves": 60}, ("octaves",)),
        ({"model.omega": 30.0}, ("omega",)),
        ({"model.activation": "sine", "model.beta": 30.0}, ("beta",)),
        ({"model.activation": "wavelet", "model.normalization_at": "both"}, ("normalization",)),
        ({"model.activation": "finer-wavelet", "model.normalization_at": "sdf"}, ("normalization",)),
        ({"model.finer_samples": 7}, ("finer-samples",)),
        ({"model.near_plane": 5.0, "model.far_plane": 5.0}, ("far-plane",)),
        (_HUGE, ("width",)),
        ({"model.colour_width": 65_536, "model.colour_layers": 1024}, ("colour-width",)),
    ],
    "finer-sdf": [
        ({"model.encoding": "positional", "model.octaves": 0}, ("octaves",)),
        ({"model.encoding": "identity", "model.octaves": 3}, ("octaves",)),
        ({"model.activation": "wavelet", "model.normalization": "cross"}, ("normalization",)),
        ({"model.activation": "relu", "model.omega": 3.0}, ("omega",)),
        ({"model.activation": "gauss", "model.first_bias": 3.0}, ("first-bias", "first_bias")),
        (_HUGE, ("width",)),
        ({"datamanager.near_share": 0.0, "datamanager.far_share": 0.0}, ("share",)),
    ],
    "cn-occupancy": [
        ({"model.encoding": "positional", "model.octaves": 0}, ("octaves",)),
        ({"model.encoding": "identity", "model.octaves": 5}, ("octaves",)),
        ({"model.activation": "finer-wavelet"}, ("normalization",)),
        ({"model.omega": 5.0}, ("omega",)),
        (_HUGE, ("width",)),
        ({"datamanager.near_share": 0.0, "datamanager.uniform_share": 0.0}, ("share",)),
    ],
    "nid-shapes": [
        ({"model.active": 9}, ("active",)),
        ({"model.activation": "wavelet"}, ("activation",)),
        ({"model.activation": "finer-wavelet"}, ("activation",)),
        ({"model.activation": "relu", "model.omega": 4.0}, ("omega",)),
        ({"model.experts": 10**6, "model.expert_width": 65_536, "model.trunk_width": 65_536}, ("experts",)),
        ({"model.trunk_width": 65_536, "model.trunk_layers": 1024}, ("trunk-width",)),
        ({"model.experts": 10**6, "model.patches": 64}, ("experts", "patches")),
    ],
    "nid-fit": [
        ({"model.dictionary": None}, ("dictionary",)),
        ({"model.dictionary": Path("/nowhere")}, ("dictionary",)),
        ({"model.surface_weight": 0.0, "model.offset_weight": 0.0}, ("surface-weight",)),
        ({"model.offsets": ()}, ("offsets",)),
        ({"datamanager.near_share": 0.0, "datamanager.uniform_share": 0.0, "datamanager.surface_share": 0.0},
         ("share",)),
    ],
}  # fmt: skip
"""Options below --pipeline by method, and words one of which names what is wrong."""

TRAINER: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "both-loads": ({"load_dir": Path("a"), "load_checkpoint": Path("b.ckpt")}, ("load-checkpoint", "load-dir")),
    "step-of-nothing": ({"load_step": 30}, ("load-step",)),
    "step-of-a-file": ({"load_step": 30, "load_checkpoint": Path("b.ckpt")}, ("load-step",)),
    "no-load-dir": ({"load_dir": Path("/nowhere")}, ("/nowhere",)),
    "no-checkpoint": ({"load_checkpoint": Path("/nowhere/x.ckpt")}, ("/nowhere",)),
    "accumulation-of-nothing": ({"gradient_accumulation_steps": {"strangers": 3}}, ("strangers",)),
}
"""Options of the trainer, whatever the method."""


ACTIVATIONS = ("relu", "softplus", "sine", "gauss", "wavelet", "finer-sine", "finer-gauss", "finer-wavelet")
POSSIBLE: dict[str, list[dict[str, Any]]] = {
    **{
        method: [{"model.activation": each, "model.normalization": "none"} for each in ACTIVATIONS]
        for method in ("finer-nerf", "cn-mipnerf", "cn-neus", "finer-sdf", "cn-occupancy")
    },
    "diner": [{"model.network.activation": each} for each in ACTIVATIONS]
    + [{"model.network.encoding": "positional", "model.network.octaves": 4},
       {"model.network.hidden_layers": 3, "model.network.skips": (1, 2)}],
    "diner-surface": [{"model.network.activation": each} for each in ACTIVATIONS],
    "nid-shapes": [{"model.activation": each} for each in ACTIVATIONS if "wavelet" not in each],
    "cn-neus-table": [{"model.octaves": 0}], "cn-neus-room": [{}], "finer-neus": [{}],
}  # fmt: skip
"""Options that go together, though some are odd."""


def _taken(method: str, settings: dict[str, Any], place: Path, rng: random.Random) -> None:
    small_runs.put(small_runs.configured(method, place), settings).check_options()


def _refused(method: str, settings: dict[str, Any], words: tuple[str, ...], place: Path, rng: random.Random) -> None:
    config = small_runs.put(small_runs.configured(method, place), settings)
    _check(config, words, place)


def _trainer(method: str, changes: dict[str, Any], words: tuple[str, ...], place: Path, rng: random.Random) -> None:
    _check(small_runs.configured(method, place, **changes), words, place)


def _check(config: Any, words: tuple[str, ...], place: Path) -> None:
    """Refused by what is asked before a folder is made."""
    refused(config.set_timestamp, *words)
    hold(not (place / "outputs").exists(), f"a folder was made: {[*(place / 'outputs').rglob('*')][:3]}")


def cases() -> list[Case]:
    """All of the group."""
    found = []
    for method, rows in IMPOSSIBLE.items():
        for number, (settings, words) in enumerate(rows):
            name = f"{method}/{number:02d}-{'-'.join(key.rpartition('.')[2] for key in settings)}"
            found.append((name, partial(_refused, method, settings, words)))
    for method, choices in POSSIBLE.items():
        for number, settings in enumerate(choices):
            found.append((f"{method}/possible-{number:02d}", partial(_taken, method, settings)))
    for method in ("finer-sdf", "cn-mipnerf", "nid-shapes"):
        found += [(f"{method}/{name}", partial(_trainer, method, *row)) for name, row in TRAINER.items()]
    return [Case(f"combinations/{name}", "combinations", attack, 60) for name, attack in found]
