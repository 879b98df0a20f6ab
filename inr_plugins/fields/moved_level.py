"""A field whose surface is drawn at another level of the same function."""

from __future__ import annotations

import copy
from typing import Any

import torch

from inr_plugins.fields.protocol import SDFField


def at_level(field: Any, level: float) -> Any:
    """A shallow copy of a field whose surface lies where the field has the value `level`; the field itself stays.

    A distance becomes less by the level, wherever a renderer asks for it; of a probability the log-odds become less by
    those of the level, so that it is one half there. Normals and colours stay.

    Args:
        field: answers `sdf` or `occupancy`.
        level: in normalised units for a distance, in (0, 1) for a probability.
    """
    moved = copy.copy(field)
    # Beside the class's: on a shallow copy of a module, setting a submodule would change the original's.
    own = vars(moved)
    if not isinstance(field, SDFField):
        shift = torch.logit(torch.tensor(level)).item()
        own["occupancy"] = lambda x: torch.sigmoid(torch.logit(field.occupancy(x), eps=1e-7) - shift)
        return moved
    own["sdf"] = lambda x: field.sdf(x) - level
    if hasattr(field, "rough_distance"):
        own["rough_distance"] = lambda x: field.rough_distance(x) - level
    if hasattr(field, "reading"):
        own["reading"] = lambda: field.reading().at_level(level)
    if hasattr(field, "distance_and_gradient"):

        def distance_and_gradient(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            sdf, *others = field.distance_and_gradient(x)
            return (sdf - level, *others)

        own["distance_and_gradient"] = distance_and_gradient
    return moved
