"""Methods that can be benchmarked, and the settings with which nerfstudio's own run as their authors mean them to.

nerfstudio's defaults are for photographs. On rendered objects over white, nerfacto with its defaults loses 10 dB
(nerfstudio issues 711, 806 and 2443), so every setting that is not a default stands here with its reason.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import entry_points

from inr_plugins.bench.scenes import Parser
from inr_plugins.errors import InputError

_GROUP = "nerfstudio.method_configs"
_VARIABLE = "NERFSTUDIO_METHOD_CONFIGS"


@dataclass(frozen=True)
class Setting:
    """An option of ns-train and why it is given."""

    option: str
    value: str
    reason: str


_SCRIPT = "nerfstudio's own script for this data (scripts/benchmarking/launch_train_blender.sh)"

NERFACTO_OBJECT = (
    Setting("--pipeline.model.background-color", "white", f"the images are composited over white; {_SCRIPT}"),
    Setting("--pipeline.model.proposal-initial-sampler", "uniform", f"the scene is bounded; {_SCRIPT}"),
    Setting("--pipeline.model.near-plane", "2.0", f"nothing is nearer; {_SCRIPT}"),
    Setting("--pipeline.model.far-plane", "6.0", f"nothing is farther; {_SCRIPT}"),
    Setting("--pipeline.model.camera-optimizer.mode", "off", f"poses are exact; {_SCRIPT}"),
    Setting(
        "--pipeline.model.use-appearance-embedding",
        "False",
        "all images have one exposure (nerfbaselines issue 2); the script only leaves it out of evaluation",
    ),
    Setting("--pipeline.model.distortion-loss-mult", "0", f"it is for unbounded scenes; {_SCRIPT}"),
    Setting("--pipeline.model.disable-scene-contraction", "True", f"the scene is bounded; {_SCRIPT}"),
)

PEERS: dict[str, dict[Parser, tuple[Setting, ...]]] = {
    # White background, near 2 and far 6 are these three methods' defaults.
    "vanilla-nerf": {"blender-data": (), "nerfstudio-data": ()},
    "mipnerf": {"blender-data": (), "nerfstudio-data": ()},
    "tensorf": {"blender-data": (), "nerfstudio-data": ()},
    "nerfacto": {"blender-data": NERFACTO_OBJECT, "nerfstudio-data": ()},
}
"""nerfstudio's own methods that can be benchmarked, with what is not their default on each kind of data."""


OF_MEASUREMENTS = ("cn-ct", "cn-mri", "diner-lensless", "diner-tomography")
"""Methods that learn from measurements of what they look for."""
OF_ONE_IMAGE = ("-image", "-stream", "-image-fit")
"""How the names of methods end that learn one image."""
OF_ONE_VIDEO = "-video"
"""The same of a video."""


def own_methods() -> set[str]:
    """Methods of this package that are installed."""
    return {point.name for point in entry_points(group=_GROUP) if point.value.startswith("inr_plugins.")}


def known_methods() -> list[str]:
    """Names that can be benchmarked: the four peers and every installed plugin, also those of the environment."""
    plugins = {point.name for point in entry_points(group=_GROUP)}
    variable = {each.split("=")[0] for each in os.environ.get(_VARIABLE, "").split(",") if "=" in each}
    return sorted(plugins | variable | set(PEERS))


def check_methods(methods: list[str]) -> None:
    """InputError that names the first of `methods` that is not known, and all that are."""
    known = known_methods()
    for method in methods:
        if method not in known:
            raise InputError(f"There is no method {method} to benchmark: choose among {', '.join(known)}.")


def method_settings(method: str, parser: Parser) -> tuple[str, ...]:
    """Options of ns-train that `method` gets on such data before any of the user's."""
    settings = PEERS.get(method, {}).get(parser, ())
    return tuple(part for setting in settings for part in (setting.option, setting.value))


def is_stock(method: str) -> bool:
    """Whether `method` is not of this package, and so builds LPIPS, with its download, in its constructor."""
    return method not in own_methods()
