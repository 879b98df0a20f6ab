"""The box that fields live in."""

from __future__ import annotations

import math

import pytest
import torch

from inr_plugins.fields.box_field import BoxField

BOX = torch.tensor([[-1.0, 0.0, 2.0], [3.0, 1.0, 4.0]])


def test_the_box_is_what_was_given_and_its_longest_half_side_is_the_unit():
    field = BoxField(BOX)
    assert torch.equal(field.box, BOX)
    assert float(field.network_unit) == 2.0
    assert {"middle", "extent"} <= set(field.state_dict())


def test_points_on_its_faces_are_in_it_and_points_beyond_are_not():
    field = BoxField(BOX)
    points = torch.tensor([[-1.0, 0.0, 2.0], [3.0, 0.5, 3.0], [3.01, 0.5, 3.0], [1.0, -0.01, 3.0], [1.0, 0.5, 4.01]])
    assert field.in_box(points).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("corner", "value"), [((1, 0), -1.0), ((1, 1), -0.5), ((0, 2), math.nan), ((1, 2), math.inf), ((0, 0), -math.inf)]
)
def test_a_box_without_volume_or_end_is_refused(corner, value):
    box = BOX.clone()
    box[corner] = value
    with pytest.raises(ValueError, match="no volume"):
        BoxField(box)


def test_networks_run_in_the_precision_asked_for_in_training_only():
    linear = torch.nn.Linear(3, 3)
    field = BoxField(BOX, precision="bfloat16")
    with field.networks_precision():
        assert linear(BOX).dtype == torch.bfloat16
    with field.eval().networks_precision():
        assert linear(BOX).dtype == torch.float32
    with BoxField(BOX).networks_precision():
        assert linear(BOX).dtype == torch.float32
