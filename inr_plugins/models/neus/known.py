"""What a model knows of its distances: a lattice that training looks at, and one of its own for pictures."""

from __future__ import annotations

from inr_plugins import ranks
from inr_plugins.fields.surface import SurfaceField
from inr_plugins.rendering.grid.distance import DistanceGrid, reach_of


class KnownDistances(DistanceGrid):
    """A lattice of a surface's distances, which is refreshed as training goes.

    Pictures have another one, of the weights as they are, so that drawing one changes nothing that is trained.
    """

    _shown: tuple[tuple[int, ...], DistanceGrid] | None = None

    def look_at(self, field: SurfaceField, least: float) -> None:
        """Ask for distances; the first process's are those of all.

        Args:
            field: the surface.
            least: part of a pixel's light that may be left out.
        """
        if ranks.rank() == 0:
            with ranks.alone():
                self.refresh(field.rough_distance, _reach(field, least))
        ranks.send_from_first([self.distance])
        self.take_as_known()

    def forget_pictures(self) -> None:
        """The weights have changed."""
        self._shown = None

    def of_now(self, field: SurfaceField, least: float) -> DistanceGrid:
        """The distances of a field as it is, asked for once."""
        state = (id(field), *(parameter._version for parameter in field.parameters()))
        if self._shown is None or self._shown[0] != state:
            grid = DistanceGrid(field.box.cpu(), self.resolution).to(field.box.device)
            grid.refresh(field.rough_distance, _reach(field, least))
            # In a tuple, lest it becomes a submodule.
            self._shown = (state, grid)
        return self._shown[1]


def _reach(field: SurfaceField, least: float) -> float:
    return float(reach_of(field.sharpness.detach(), least))
