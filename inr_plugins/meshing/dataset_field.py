"""A run's field, asked in the frame and units of the dataset that it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.protocol import ColourField, DensityField, OccupancyField, SDFField
from inr_plugins.meshing.field import find_surface
from inr_plugins.meshing.shapes import find_shape, frame_of, show_shape

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run

# Points asked at once: with 8 kB of each on their way through a network, half a gigabyte.
_CHUNK = 1 << 16


class DatasetField:
    """What a run has learnt, as functions of points (n, 3) in the dataset's frame, in float64 arrays.

    Lengths are in the dataset's units. A run answers for what its field knows: a radiance field has density and colour,
    a surface has sdf and usually colour. nerfstudio's own radiance and SDF fields answer too. Far from what the run was
    trained on, a network extrapolates: its answers there are numbers, not knowledge.

    Attributes:
        kind: "sdf", "occupancy" or "density", the scalar that the surface is a level set of.
        to_normalised: map from the dataset's frame to the one that the field lives in.
    """

    def __init__(self, run: Run, *, shape: str | None = None) -> None:
        """Look at the field of an open run.

        Args:
            run: from `load_run`.
            shape: of a run of several shapes, the name or number of the one that is meant; None: the one it shows.

        Raises:
            InputError: the model has no field with a density, a signed distance or an occupancy, or no such shape.
        """
        meant = find_shape(run, shape)
        self._run, self._shape = run, meant
        surface = find_surface(run.pipeline.model)
        self._field, self.kind = surface.field, surface.kind
        self.to_normalised = frame_of(run, meant)

    def density(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Volume density, at least 0, per unit of length of the dataset; 0 outside the field's box.

        Raises:
            InputError: the field has none.
        """
        if not isinstance(self._field, DensityField):
            raise self._unknown("density")
        return self.to_normalised.scale * self._scalar(self._field.density, points)

    def sdf(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Signed distance to the surface in the dataset's units, negative inside.

        Raises:
            InputError: the field has none.
        """
        if not isinstance(self._field, SDFField):
            raise self._unknown("signed distance")
        return self._scalar(self._field.sdf, points) / self.to_normalised.scale

    def occupancy(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Probability in [0, 1] of being inside.

        Raises:
            InputError: the field has none.
        """
        if not isinstance(self._field, OccupancyField):
            raise self._unknown("occupancy")
        return self._scalar(self._field.occupancy, points)

    def colour(
        self, points: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """RGB in [0, 1] of each point, seen along a direction.

        Args:
            points: dataset's frame.
            directions: from the eye to the point, dataset's frame; any length but 0.

        Raises:
            InputError: the field has none, or a direction has no length.
        """
        field = self._field
        if not isinstance(field, ColourField):
            raise self._unknown("colour")
        lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise InputError("Directions need a length above 0: give the way from the eye to each point.")
        turned = self.to_normalised.directions(directions / lengths)
        return self._asked(lambda x, first: field.colour(x, self._tensor(turned[first : first + len(x)])), points, 3)

    def _scalar(
        self, function: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]], points: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, " n"]:
        return self._asked(lambda x, _: function(x)[:, None], points, 1)[:, 0]

    def _asked(
        self, function: Callable[[Tensor, int], Tensor], points: Float[np.ndarray, "n 3"], width: int
    ) -> Float[np.ndarray, "n width"]:
        """The answers of a function that is given points of the normalised frame and the number of the first."""
        # Another of the run's shapes may have been shown since.
        show_shape(self._run, self._shape)
        x = self.to_normalised.points(np.asarray(points, dtype=np.float64))
        found = np.empty((len(x), width))
        with torch.no_grad():
            for first in range(0, len(x), _CHUNK):
                part = self._tensor(x[first : first + _CHUNK])
                found[first : first + len(part)] = function(part, first).double().cpu().numpy()
        return found

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self._run.pipeline.device)

    def _unknown(self, what: str) -> InputError:
        return InputError(f"The field of this run has no {what}: it is asked for its {self.kind}.")
