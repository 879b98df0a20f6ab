"""How fast a surface learns: at NeuS's rate, or at less where it starts sharper than NeuS's does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch.nn import Parameter

from inr_plugins.engine.optimization.optimizers import rebuild_param_group
from inr_plugins.fields.surface import SurfaceField

RATE = 5e-4
"""NeuS's, at the sharpness exp(10 v) of its first surface."""


def share_of_rate(field: SurfaceField) -> float:
    """What part of NeuS's rate lets a surface move by as much of its width in a step as NeuS's first surface may.

    Adam's first steps are as long as the rate in every weight, and all in the direction in which the surface wants to
    move as a whole: it moves by the rate times the sum of its derivatives, a hundred or so, however good it is. That
    is to be little beside 1 / sharpness, the width in which it is seen.
    """
    return min(1.0, field.initial_sharpness / float(field.sharpness))


def slow_down(
    optimizers: Optimizers, asked: Mapping[str, Any], groups: Mapping[str, list[Parameter]], share: float
) -> None:
    """Have groups that have taken no step learn at a part of NeuS's rate, and say so.

    Args:
        optimizers: changed in place.
        asked: the configuration of each group as it was given: a rate that is not None stays.
        groups: the parameters.
        share: of the rate.
    """
    slowed = [name for name in groups if asked[name]["optimizer"].lr is None and share < 1]
    for name in slowed:
        group = optimizers.config[name]
        group["optimizer"] = replace(group["optimizer"], lr=share * RATE)
        rebuild_param_group(optimizers, name, groups[name], keep_schedule=False)
    if slowed and comms.is_main_process():
        CONSOLE.print(
            f"It is {1 / share:.2g} times as sharp as one from a sphere, and learns at as small a part of the rate: "
            f"{share * RATE:.2g}; --optimizers.{slowed[0]}.optimizer.lr sets another.",
            soft_wrap=True,
            highlight=False,
        )
