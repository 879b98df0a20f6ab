"""A neural implicit dictionary of signed distances: every shape is a sparse code over the same experts (NID)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inr_plugins.fields.dictionary_settings import DictionarySettings
from inr_plugins.fields.level_normals import level_normals
from inr_plugins.networks.dictionary.expert_bank import ExpertBank
from inr_plugins.networks.dictionary.patches import PatchGrid

_QUERY_CHUNK = 1 << 14
"""Points whose distance is asked for at once, fewer with patches: each point lies in eight of them."""
_BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
"""Where shapes lie in the normalised frame."""


class ShapeDictionary(nn.Module):
    """Experts b_j over a shared trunk h, of which shapes are combinations: f(x) = Σ_j α_j b_j(x) (NID, eq. 10).

    b_j(x) = w2_j · act(W1_j h(x) + c1_j) + c2_j: the two layers of its own that the paper gives an expert. (The
    released code gives it one column of a last linear layer, whose combinations span no more functions than that layer
    has inputs.) Only the k experts of a code are evaluated, so that a shape costs the same in a dictionary of any size.

    With patches (sec. 3.3) the box is covered by a lattice of them, each with a code of its own for every shape and
    seen in its own frame, and f is blended from eight of them at a point. All share the same experts, which are then
    parts of shapes; the paper gives each patch its own. The codes of a shape are P = `patches` consecutive rows.

    Positions and distances are those of the normalised frame, in which shapes lie in [-1, 1]; distances are negative
    inside. All is computed in float32, under autocast too: errors that matter are of 1e-3.
    """

    def __init__(self, settings: DictionarySettings) -> None:
        """
        Args:
            settings: sizes, and the network that is the trunk.

        Raises:
            ValueError: the trunk's configuration cannot be built.
        """
        super().__init__()
        self.settings = settings

        # An expert's first layer is linear too, and directly after a last one here it would be one layer with it.
        self.trunk = settings.trunk.build(3, 1, spatial_gradient=True, make_head=lambda _: nn.Identity())
        self.bank = ExpertBank(
            self.trunk.features, settings.experts, settings.expert_width, activation=self.trunk.activation
        )
        self.grid = PatchGrid(_BOX, settings.patches_per_side) if settings.patches_per_side > 1 else None

    def get_extra_state(self) -> Tensor:
        """The settings, saved among the tensors."""
        return self.settings.encoded()

    def set_extra_state(self, state: Tensor) -> None:
        """ValueError if the tensors that are being loaded belong to a dictionary of other settings."""
        saved = DictionarySettings.decoded(state)
        if saved != self.settings:
            raise ValueError(f"the dictionary was saved with {saved.difference(self.settings)}")

    @property
    def patches(self) -> int:
        """Codes of a shape, P."""
        return 1 if self.grid is None else self.grid.patches

    @property
    def network_unit(self) -> float:
        """What an expert's output is multiplied by: normalised units of its frame's unit."""
        return 1.0 if self.grid is None else float(_BOX[1, 0] - _BOX[0, 0]) / (self.grid.per_side - 1)

    def features(self, x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n d"]:
        """What the trunk makes of positions (in their patch's frame), the input of all experts."""
        with torch.autocast(x.device.type, enabled=False):
            return self.trunk(x.float())

    def values(
        self, points: Float[Tensor, "s p 3"], index: Int[Tensor, "c k"], weight: Float[Tensor, "c k"]
    ) -> Float[Tensor, "s p"]:
        """Signed distance of s shapes at points of their own, each a combination of k experts.

        Args:
            points: positions, normalised frame.
            index: the experts of each code, P codes for each shape.
            weight: what they count, α.
        """

        def evaluate(code: Tensor, places: Tensor) -> Tensor:
            return self.bank.selected(self.features(places), index[code], weight[code].float())

        return self._blended(points, evaluate)

    def mixed(self, points: Float[Tensor, "s p 3"], code: Float[Tensor, "c n"]) -> Float[Tensor, "s p"]:
        """Signed distance of s shapes whose codes use all n experts: costs n / k times what `values` does."""
        return self._blended(points, lambda row, places: self.bank.mixed(self.features(places), code[row].float()))

    def _blended(self, points: Tensor, evaluate: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Values of codes (by number) at places in their frames, as distances at points of shapes."""
        with torch.autocast(points.device.type, enabled=False):
            points = points.float()
            if self.grid is None:
                return evaluate(torch.arange(len(points), device=points.device), points)
            return self.grid.blend(points, evaluate) * self.network_unit

    @torch.no_grad()
    def atoms(self, places: Float[Tensor, "m 3"]) -> Float[Tensor, "m n"]:
        """What every expert says, as a distance: the matrix in which a shape's distance is linear.

        Args:
            places: in the frame of a patch, or without patches in the normalised frame; a chunk of them, as m × n
                numbers are returned.
        """
        with torch.autocast(places.device.type, enabled=False):
            return self.bank.all_outputs(self.features(places)) * self.network_unit


class CodedShape:
    """One shape of a dictionary, which answers the protocol of inr_plugins.fields.protocol.

    Only the experts that its codes name are evaluated.
    """

    def __init__(self, dictionary: ShapeDictionary, index: Int[Tensor, "c k"], weight: Float[Tensor, "c k"]) -> None:
        """
        Args:
            dictionary: the experts.
            index: those of this shape, a row for each patch.
            weight: its codes.
        """
        self.dictionary, self.index, self.weight = dictionary, index, weight

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in normalised units, negative inside; differentiable, also in the code."""
        chunk = _QUERY_CHUNK if self.dictionary.grid is None else _QUERY_CHUNK // 8
        parts = [self.dictionary.values(part[None], self.index, self.weight)[0] for part in x.split(chunk) if len(part)]
        return torch.cat(parts) if parts else x.new_zeros(0)

    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals, outward: towards larger distances."""
        return level_normals(self.sdf, x, inside_below=True)
