"""Which settings of nid-shapes and nid-fit can be used, and what the data of each must be."""

from __future__ import annotations

from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.errors import InputError
from inr_plugins.models.nid.config import NidFitSettings, NidShapesSettings
from inr_plugins.models.nid.dictionary import LearntFrame
from inr_plugins.models.shapes.config import ShapeSettings
from inr_plugins.options import check_model, model_option

_FEW_SHAPES = 4.0
"""Shapes for each expert below which a dictionary rather remembers its shapes than finds what they share."""
_SAME_UNIT = 1e-3
"""Relative difference of two scales that makes no difference."""


def check_shapes_config(config: NidShapesSettings) -> None:
    """Raise InputError for the first setting of nid-shapes that cannot be used, with its name and range."""
    check_model(config)
    _check_precision(config)
    if config.active > config.experts:
        raise InputError(
            f"{model_option('active')} must be at most {model_option('experts')}, got {config.active} and "
            f"{config.experts}."
        )


def _check_precision(config: ShapeSettings) -> None:
    if config.precision == "bfloat16":
        raise InputError(
            f"{model_option('precision')} of dictionaries is float32: bfloat16 is as coarse as what they learn."
        )


def check_fit_config(config: NidFitSettings) -> None:
    """Raise InputError for the first setting of nid-fit that cannot be used, with its name and range."""
    check_model(config)
    _check_precision(config)
    if not config.offsets:
        raise InputError(f"{model_option('offsets')} must be one or more lengths, got none.")
    if not config.surface_weight + config.offset_weight > 0:
        raise InputError(f"{model_option('surface_weight')} and {model_option('offset_weight')} cannot both be 0.")


def say_how_learnt(config: NidShapesSettings, *, shapes: int, steps: int) -> None:
    """Warn of a run that cannot give a sparse dictionary, or not one for unseen shapes.

    Args:
        config: of the model.
        shapes: number of shapes in the data.
        steps: at which the run ends.
    """
    if steps <= config.warmup_steps:
        CONSOLE.print(
            f"[bold yellow]The run ends after {steps} steps, within its warm-up,[/bold yellow] and codes will not be "
            f"sparse: lower {model_option('warmup_steps')} or raise --max-num-iterations."
        )
    shared = shapes * config.patches**3 * config.active / config.experts
    if shapes > 1 and shared < _FEW_SHAPES:
        CONSOLE.print(
            f"[bold yellow]An expert will serve about {shared:.2g} of {shapes} shapes.[/bold yellow] A dictionary for "
            f"shapes yet unseen should share more: lower {model_option('experts')} or raise {model_option('active')} "
            f"until shapes x active / experts is {_FEW_SHAPES:.0f} or more."
        )


def same_unit(one: float, other: float) -> bool:
    """Whether two scales differ by nothing that matters."""
    return abs(other / one - 1) <= _SAME_UNIT


def check_fit_data(learnt: LearntFrame, *, shapes: int, file_unit: float | None, told: bool = True) -> None:
    """See that the data are one shape, of the size that the dictionary was learnt at.

    Args:
        learnt: of the dictionary.
        shapes: number of shapes in the data.
        file_unit: normalised units in a unit of the data's file; None if unknown.
        told: whether to say that sizes differ.

    Raises:
        InputError: several shapes.
    """
    if shapes != 1:
        raise InputError(f"nid-fit fits one shape, and --data holds {shapes}: give one file.")
    if told and learnt.file_unit is not None and file_unit is not None and not same_unit(learnt.file_unit, file_unit):
        CONSOLE.print(
            f"[bold yellow]The shape is scaled by {file_unit:.4g}, those of the dictionary were by "
            f"{learnt.file_unit:.4g}:[/bold yellow] leave --pipeline.datamanager.dataparser.file-unit to the "
            "dictionary unless sizes mean nothing."
        )
