"""What a surface is before the first step: where it lives, and what it is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from inr_plugins import ranks
from inr_plugins.errors import InputError
from inr_plugins.fields.box_field import BoxField
from inr_plugins.fields.field_start import FieldStart, start_as_field
from inr_plugins.fields.sphere_start import SphereStart, start_as_sphere
from inr_plugins.fields.surface import SurfaceField
from inr_plugins.models.common.object_box import object_box
from inr_plugins.models.neus.checks import check_cameras
from inr_plugins.models.neus.config import NeusSettings
from inr_plugins.models.neus.start_run import surface_of_run
from inr_plugins.options import model_option
from inr_plugins.progress import progress

_SMOOTH_ENOUGH = 0.25
"""Largest mean error of the sphere that training starts from, as a part of its radius."""
_SOFTER = 0.5
"""How sharp the surface of a run is seen at first, of how sharp the run saw it: networks round it off."""


def sphere_of(field: SurfaceField, config: NeusSettings) -> SphereStart:
    """The sphere that a surface is at first: half as large as its box, or nearly as large around a room."""
    part = 0.9 if config.capture == "room" else 0.5
    return SphereStart(
        radius=part * float(field.extent.min() / field.network_unit),
        hollow=config.capture == "room",
        steps=config.start_steps,
    )


def place_fields(fields: Sequence[BoxField], dataset: Any, scene_box: Tensor, config: NeusSettings) -> None:
    """Have fields live where the object is; those of a room where the dataparser says.

    Args:
        fields: of one box.
        dataset: of the training images.
        scene_box: the dataparser's box, normalised frame.
        config: of the model.

    Raises:
        InputError: the masks leave nothing.
    """
    if config.box == "scene" or config.capture == "room":
        return
    box = object_box(
        *(dataset, scene_box, config.box),
        masked=config.capture == "object",
        scale=config.resolved_box_scale,
        compare=True,
    )
    for each in fields:
        each.place(box)
        # Machines may round otherwise.
        ranks.send_from_first([each.middle, each.extent])


def check_where_cameras_stand(field: SurfaceField, config: NeusSettings, cameras: Cameras) -> None:
    """See that the surface that training starts from lies where the cameras look; InputError if it does not."""
    radius = sphere_of(field, config).radius * float(field.network_unit)
    check_cameras(config, cameras, field.box, radius=radius)


def start_surface(field: SurfaceField, config: NeusSettings, manager: Any = None) -> None:
    """Make the surface a sphere, and then that of a run, if one is named.

    Args:
        field: whose networks are fitted.
        config: of the model.
        manager: the datamanager of the training, which a run has to have learnt from too.

    Raises:
        InputError: the network does not become a sphere, or the run cannot be started from.
    """
    start = sphere_of(field, config)
    error = start_as_sphere(field, start) if start.steps else 0.0
    if not error < _SMOOTH_ENOUGH * start.radius:
        raise InputError(
            f"The surface does not become the sphere that training starts from (mean error {error:.2g} of the box's "
            "half side): lower --pipeline.model.omega, scale or carrier, whose activation is too rough for a distance, "
            "or raise --pipeline.model.start-steps."
        )
    if config.start is not None and manager is not None:
        _start_from_run(field, config, config.start, manager)


def _start_from_run(field: SurfaceField, config: NeusSettings, path: Path, manager: Any) -> None:
    target, sharpness = surface_of_run(path, manager, field.middle.device)
    what = FieldStart(config.start_run_steps, sharpness=None if sharpness is None else _SOFTER * sharpness)
    try:
        with progress() as bar:
            error = start_as_field(field, target, what, tell=lambda done, total: bar("fit to the run", done, total))
    except ValueError as why:
        raise InputError(f"{model_option('start')} {path} cannot be started from: {why}.") from why
    CONSOLE.print(
        f"The surface starts as that of {path}, within {error / float(field.network_unit):.2%} of half the box.",
        soft_wrap=True,
        highlight=False,
    )
