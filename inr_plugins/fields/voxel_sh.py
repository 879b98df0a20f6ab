"""DINER's radiance field: learnable keys on a voxel lattice, a small network from a key to SH coefficients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inr_plugins.fields.voxel_density import VoxelField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.precision import Precision, autocast_of
from inr_plugins.networks.relu_rows import network_of_rows
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.key_table import KeyTable, distinct_rows
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, interpolate
from inr_plugins.networks.voxels.spherical_harmonics import NUM_COEFFICIENTS, spherical_harmonics

_BAKE_CHUNK = 1 << 17


class VoxelSHField(VoxelField):
    """Keys -> network -> 27 SH coefficients at each vertex; the network's outputs are interpolated, never the keys.

    DINER (journal version, sec. 7.3): one key per vertex of a voxel lattice, an MLP L -> 128 -> 27 (nine coefficients
    of degree 2 for each colour), trilinear interpolation of the coefficients, then the colour along the ray. The paper
    names neither density nor colour activation; here the density is a plain table, as in DVGO on which the paper
    builds, and the colour is a sigmoid of the harmonic sum, as in PlenOctrees.

    In training the network runs once for each distinct vertex around the samples. In eval its outputs for all vertices
    are kept ("baked"), so that a view costs interpolation only; the baked table follows any change of keys or weights.
    """

    def __init__(
        self,
        lattice: SparseLattice,
        initial: float | Float[Tensor, "v 1"],
        *,
        key_width: int,
        network: CoordinateNetworkConfig,
        precision: Precision = "float32",
        compiled: bool = False,
        sparse_grad: bool = True,
        contraction: Contraction | None = None,
    ) -> None:
        """
        Args:
            lattice: where the field has values; one key per vertex of an occupied cell.
            initial: raw density of every vertex, or of each.
            key_width: length L of a key.
            network: the network behind the keys.
            precision: of the network's matrix products in training.
            compiled: run the network through torch.compile in training.
            sparse_grad: give the key table sparse gradients (see `KeyTable.forward`).
            contraction: what takes points of the normalised frame to the lattice's.
        """
        super().__init__(lattice, initial, contraction)
        self.table = KeyTable(lattice.num_rows, key_width).to(lattice.origin.device)
        self.network = network.build(key_width, 3 * NUM_COEFFICIENTS).to(lattice.origin.device)
        self.precision: Precision = precision
        # A plain function: a compiled module would enter the state_dict a second time.
        self._forward: Callable[[Tensor], Tensor] = (
            torch.compile(self.network.forward, dynamic=True) if compiled else self.network.forward
        )
        self._is_compiled = compiled
        self.sparse_grad = sparse_grad
        self._baked: tuple[tuple[object, ...], Tensor] | None = None

    def tables(self) -> list[tuple[nn.Module, str]]:
        return [*super().tables(), (self.table, "keys")]

    def coefficients(self, rows: Int[Tensor, " u"]) -> Float[Tensor, "u 27"]:
        """SH coefficients of distinct vertices: nine of red, nine of green, nine of blue."""
        return self._coefficients_of(self.table(rows, sparse_grad=self.sparse_grad))

    def _coefficients_of(self, keys: Float[Tensor, "u width"]) -> Float[Tensor, "u 27"]:
        if not (self.training and self._is_compiled):
            return network_of_rows(self.network, keys, self.precision, training=self.training)
        with autocast_of(self.precision, keys.device, training=True):
            return self._forward(keys).float()

    def baked(self) -> Float[Tensor, "v 27"]:
        """SH coefficients of all vertices, evaluated once for the present keys and weights."""
        parameters = (self.table.keys, *self.network.parameters())
        state = (*[(id(p), p._version, p.device) for p in parameters],)
        if self._baked is None or self._baked[0] != state:
            with torch.no_grad(), torch.autocast(self.table.keys.device.type, enabled=False):
                parts = [self.network(keys).float() for keys in self.table.keys.split(_BAKE_CHUNK)]
            self._baked = (state, torch.cat(parts))
        return self._baked[1]

    def colour_at(
        self, rows: Int[Tensor, "s 8"], weights: Float[Tensor, "s 8"], directions: Float[Tensor, "s 3"]
    ) -> Float[Tensor, "s 3"]:
        if not (self.training and torch.is_grad_enabled()):
            found = interpolate(self.baked(), rows, weights)
        elif rows.device.type == "cpu":
            distinct, place = distinct_rows(rows, self.lattice.num_rows)
            found = interpolate(self.coefficients(distinct), place, weights)
        else:
            # A corner that several samples share is evaluated for each: finding that out takes longer there.
            each = self._coefficients_of(self.table.keys.index_select(0, rows.reshape(-1)))
            found = (each.view(*rows.shape, -1) * weights[..., None]).sum(1)
        coefficients = found.view(-1, 3, NUM_COEFFICIENTS)
        return torch.sigmoid(torch.bmm(coefficients, spherical_harmonics(directions)[..., None])[..., 0])

    def train(self, mode: bool = True) -> VoxelSHField:
        """As nn.Module's; training lets go of the baked table, which it would outdate with its first step."""
        if mode:
            self._baked = None
        return super().train(mode)

    def network_parameters(self) -> list[nn.Parameter]:
        """Weights and biases of the network behind the keys."""
        return list(self.network.parameters())
