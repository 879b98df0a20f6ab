"""A box without volume is refused alike by all that live in one, also where only float32 loses it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from inr_plugins.boxes import checked_box, has_volume, scaled_box
from inr_plugins.fields.box_field import BoxField
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice
from inr_plugins.rendering.grid.density import DensityGrid

USERS: dict[str, Callable[[Tensor], object]] = {
    "itself": checked_box,
    "field": BoxField,
    "contraction": Contraction,
    "lattice": lambda box: SparseLattice.over_box(box, 64),
    "grid": lambda box: DensityGrid(box, 4),
}


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_a_box_without_volume_is_refused(user):
    good = torch.tensor([[-1.0, -2.0, 0.5], [1.0, 3.0, 0.75]])
    user(good)
    user(good.double())
    thin = torch.tensor([[0.0, 0.0, 1e9], [1.0, 1.0, 1e9 + 1]], dtype=torch.float64)
    assert has_volume(thin)
    flat, turned, unknown, endless = good.clone(), good.flip(0), good.clone(), good.clone()
    flat[1, 2], unknown[0, 1], endless[1, 0] = 0.5, float("nan"), float("inf")
    for box in (flat, turned, unknown, endless, thin):
        with pytest.raises(ValueError, match="no volume"):
            user(box)


def test_a_box_is_kept_as_it_is_and_without_a_gradient():
    box = torch.tensor([[-1.0, -2.0, 0.5], [1.0, 3.0, 0.75]], requires_grad=True)
    found = checked_box(box)
    assert not found.requires_grad
    assert torch.equal(found, box)
    with pytest.raises(ValueError, match=r"two corners.*\(3, 2\)"):
        checked_box(box.detach().reshape(3, 2))


def test_a_scaled_box_keeps_its_middle():
    box = torch.tensor([[-1.0, 2.0, 0.0], [3.0, 4.0, 8.0]])
    assert torch.equal(scaled_box(box, 0.5), torch.tensor([[0.0, 2.5, 2.0], [2.0, 3.5, 6.0]]))
