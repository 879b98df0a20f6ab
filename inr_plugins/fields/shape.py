"""One shape as a coordinate network: a signed distance, or an occupancy."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins.fields.box_field import BoxField
from inr_plugins.fields.level_normals import level_normals
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.exact_products import single_output
from inr_plugins.networks.normalization.registry import frozen_statistics, rowwise_gradients
from inr_plugins.networks.precision import Precision, autocast_of
from inr_plugins.networks.voxels.cubic_lattice import CubicLattice

_QUERY_CHUNK = 1 << 16
"""Points that are evaluated at once outside training."""


class ExactLinear(nn.Module):
    """The last layer of a network, of one output, computed in the precision of its weights also under autocast."""

    def __init__(self, linear: nn.Linear) -> None:
        """
        Args:
            linear: the layer that it replaces, whose parameters it takes over.
        """
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, h: Tensor) -> Tensor:
        """The layer's output, (*n, out)."""
        with torch.autocast(h.device.type, enabled=False):
            return single_output(h.to(self.weight.dtype), self.weight, self.bias)


class ShapeField(BoxField):
    """A coordinate network with one output in a box, and whether a point is inside by the sign of that output.

    In training mode `forward` and `with_gradient` take a batch whole, whose statistics normalizations use; all other
    methods give each point its own value from running statistics, in chunks and in float32, whatever the mode.

    Values are computed in float32 also under the caller's autocast: a fit is good when its error is a thousandth of the
    box, which is finer than half precision resolves. Of another `precision` are the hidden layers alone,
    and in training alone.
    """

    reach: ClassVar[float]
    """What the network sees the box's longest side as: [-reach, reach]."""
    inside_below: ClassVar[bool]
    """Whether values are negative inside; else they are positive there."""

    def __init__(
        self, box: Float[Tensor, "2 3"], *, network: CoordinateNetworkConfig, precision: Precision = "float32"
    ) -> None:
        """
        Args:
            box: where the field has values, (minimum, maximum corner), normalised frame.
            network: of the network.
            precision: of the hidden layers in training.

        Raises:
            ValueError: the box has no volume, or the network's configuration cannot be built.
        """
        super().__init__(box, precision=precision)
        self.network = network.build(3, 1, spatial_gradient=True, make_head=ExactLinear)

    def forward(self, x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """Values at all points of a batch: of the batch's statistics in training mode, of running ones in eval."""
        return self._evaluate(x, training=self.training)

    def with_gradient(self, x: Float[Tensor, "*n 3"]) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n 3"]]:
        """`forward`, and its gradient with respect to each point, which a loss can be differentiated through.

        Batch statistics are constants to that gradient (see `rowwise_gradients`).
        """
        with torch.enable_grad(), rowwise_gradients(self.network):
            x = x.detach().requires_grad_()
            value = self(x)
            (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        return value, gradient

    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals, outward; no gradient."""
        return level_normals(self._query, x, inside_below=self.inside_below)

    def _evaluate(self, x: Tensor, *, training: bool) -> Tensor:
        u = (x - self.middle) * (self.reach / self.network_unit)
        with autocast_of(self.precision, x.device, training=training):
            out = self.network(u)
        return out[..., 0] * self._output_scale()

    def _output_scale(self) -> Float[Tensor, ""]:
        """What the network's output is multiplied by."""
        return torch.ones_like(self.network_unit)

    def _query(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Values from running statistics, each point for itself; differentiable."""
        with frozen_statistics(self):
            return torch.cat([self._evaluate(part, training=False) for part in x.split(_QUERY_CHUNK)])


class DistanceShape(ShapeField):
    """A signed distance, negative inside: twice a network's output at half the position (in a box of [-1, 1]).

    FINER++ (released code, after BACON) fits shapes of [-0.45, 0.45] in a cube of [-0.5, 0.5]; so does the network
    here, while positions and distances outside it are in normalised units, in which a shape is twice as large.
    """

    reach = 0.5
    inside_below = True
    lattice: CubicLattice | None
    """What stands under the network, whose output is added to it; None: nothing."""

    def __init__(
        self,
        box: Float[Tensor, "2 3"],
        *,
        network: CoordinateNetworkConfig,
        precision: Precision = "float32",
        lattice_cells: int = 0,
    ) -> None:
        """
        Args:
            box: as for ShapeField.
            network: as for ShapeField.
            precision: as for ShapeField.
            lattice_cells: along each axis of a coarse lattice under the network, which is 0 until `lay` is called; 0:
                the network alone.

        Raises:
            ValueError: as ShapeField, or a lattice of fewer than 3 cells.
        """
        super().__init__(box, network=network, precision=precision)
        self.lattice = CubicLattice(box, lattice_cells) if lattice_cells else None

    def lay(self, distance: Callable[[np.ndarray], np.ndarray]) -> None:
        """Let the lattice have a shape's distances, and the field begin as the lattice: the network's output as 0.

        Args:
            distance: signed distances (n,) at points (n, 3) of the box, float32.

        Raises:
            ValueError: there is no lattice, or a distance is not finite.
        """
        if self.lattice is None:
            raise ValueError("There is no lattice under the network.")
        self.lattice.lay(distance)
        for parameter in self.network.head.parameters():
            nn.init.zeros_(parameter)

    def _evaluate(self, x: Tensor, *, training: bool) -> Tensor:
        learnt = super()._evaluate(x, training=training)
        return learnt if self.lattice is None else learnt + self.lattice(x)

    def _output_scale(self) -> Float[Tensor, ""]:
        return self.network_unit / self.reach

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in normalised units, negative inside, from running statistics; differentiable."""
        return self._query(x)


class OccupancyShape(ShapeField):
    """The probability of being inside: the logistic function of a network's output, its positions in [-1, 1]."""

    reach = 1.0
    inside_below = False

    def logits(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Logarithm of the odds of being inside, from running statistics; differentiable."""
        return self._query(x)

    def occupancy(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Probability of being inside, from running statistics; differentiable."""
        return torch.sigmoid(self._query(x))
