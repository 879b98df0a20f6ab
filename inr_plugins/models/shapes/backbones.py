"""What each activation wants around it in a shape: encoding, constants, learning rate."""

from __future__ import annotations

import math
from functools import partial

from inr_plugins.models.common import nerf_backbones
from inr_plugins.models.common.nerf_backbones import Backbone
from inr_plugins.networks.activations.settings import ActivationName

FINAL_LR = 1e-4
"""Where the learning rate of every signed distance ends."""

BACKBONES: dict[ActivationName, Backbone] = {
    "relu": Backbone(lr=2e-3, encoding="positional"),
    "softplus": Backbone(lr=5e-4, encoding="positional"),
    "sine": Backbone(lr=5e-4),
    "gauss": Backbone(lr=5e-3, settings={"scale": 10.0}),
    "wavelet": Backbone(lr=2e-3, settings={"scale": 5.0, "carrier": 5.0}),
    "finer-sine": Backbone(lr=5e-4, settings={"first_bias": 1.0}),
    "finer-gauss": Backbone(lr=1e-3, settings={"first_bias": 1.0}),
    "finer-wavelet": Backbone(lr=1e-3, settings={"first_bias": 1 / math.sqrt(3)}),
}
"""Published for signed distances (FINER++, released code): ω 30 for both sines, and for all others the constants of the
image experiments; k is 1, for finer-wavelet 1/√3 (the paper says 1/√2; the script is followed). Gaussians of its
scale 30, wavelets of its 10 and carrier 20 and relu behind its ten octaves do not find a shape, or ripple, in runs of
hundreds of steps. Those here, with six octaves, and their rates were chosen by grids on one mesh after 150 steps, and
by what is ahead after 400 (docs/results/shapes.md).

The rates there are 1e-4 all along 200,000 steps (relu with octaves: from 5e-4). The rates here start from those of the
authors' image experiments, which are as short as runs on a CPU, and end at 1e-4."""

network_config = partial(nerf_backbones.network_config, backbones=BACKBONES)
"""`nerf_backbones.network_config` with these set-ups."""
