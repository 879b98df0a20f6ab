"""Poses of points that are known to lie on shapes of a dictionary."""

import math

import pytest
import torch

from inr_plugins.fields.dictionary_settings import DictionarySettings
from inr_plugins.fields.dictionary_shape import ShapeDictionary
from inr_plugins.fields.level_normals import level_normals
from inr_plugins.fields.pose_fit import Pose, PosedShape, find_pose
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig

EXPERTS = 60


def turn(axis, degrees):
    """Rodrigues' formula."""
    a = torch.tensor(axis) / torch.tensor(axis).norm()
    cross = torch.tensor([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
    angle = math.radians(degrees)
    return torch.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def body(x, width):
    """Two balls joined, one behind and above the other: no turn brings it to itself."""
    first = (x - torch.tensor([0.15, 0.0, -0.35])).norm(dim=-1) - width
    second = (x - torch.tensor([-0.25, 0.2, 0.35])).norm(dim=-1) - 0.6 * width
    return -0.2 * torch.logsumexp(-torch.stack([first, second]) / 0.2, 0)


@pytest.fixture(scope="module")
def learnt():
    """A dictionary, and codes of three such bodies."""
    torch.manual_seed(0)
    trunk = CoordinateNetworkConfig(activation="sine", width=32, hidden_layers=2, omega=4.0)
    made = ShapeDictionary(DictionarySettings(trunk, experts=EXPERTS, expert_width=6, active=EXPERTS))
    made.requires_grad_(False).bank.last_weight.normal_()
    x = 2 * torch.rand(4000, 3) - 1
    phi = made.atoms(x).double()
    ridge = 1e-6 * torch.eye(EXPERTS, dtype=torch.float64) * float((phi.T @ phi).diagonal().max())
    codes = [torch.linalg.solve(phi.T @ phi + ridge, phi.T @ body(x, w).double()) for w in (0.4, 0.45, 0.5)]
    return made, torch.stack(codes).float()


@pytest.fixture(scope="module")
def points(learnt):
    """On the surface of a fourth, by Newton's steps, and their normals."""
    made, codes = learnt
    code = 0.5 * (codes[0] + codes[1])

    class Shape:
        def sdf(self, x):
            return made.bank.mixed(made.features(x)[None], code[None])[0]

    x = torch.rand(2500, 3, generator=torch.Generator().manual_seed(3)) * 1.4 - 0.7
    for _ in range(8):
        x = x.requires_grad_()
        value = Shape().sdf(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
        x = (x - (value / slope.square().sum(-1).clamp(min=0.1))[:, None] * slope).detach()
    x = x[(Shape().sdf(x).abs() < 1e-3) & (x.abs() < 0.95).all(-1)][:800]
    assert len(x) > 400
    return x, level_normals(Shape().sdf, x, inside_below=True)


@pytest.mark.parametrize(
    ("turns", "axis", "degrees", "scale"),
    [("up", [0.0, 0.0, 1.0], 130.0, 1.0), ("up", [0.0, 0.0, 1.0], -70.0, 0.85), ("free", [1.0, 0.5, -0.4], 150.0, 1.0)],
)
def test_a_body_that_was_turned_shifted_and_scaled_is_found(learnt, points, turns, axis, degrees, scale):
    rotation, shift = turn(axis, degrees), torch.tensor([0.08, -0.05, 0.04])
    x, n = points
    # x = s R y + t
    moved, directions = (x - shift) @ rotation / scale, n @ rotation
    found = find_pose(*learnt, moved, directions, turns=turns, scaled=scale != 1)
    assert found.missed < 0.02
    assert float((found.pose.points(moved) - x).norm(dim=-1).mean()) < 0.05
    assert found.pose.scale == pytest.approx(scale, rel=0.05)
    assert float((found.pose.directions(directions) * n).sum(-1).mean()) > 0.99


def test_signs_that_are_unknown_do_not_matter(learnt, points):
    rotation = turn([0.0, 0.0, 1.0], 100.0)
    x, n = points
    sign = torch.randint(0, 2, (len(n), 1), generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = find_pose(*learnt, x @ rotation, sign * n @ rotation, turns="up", scaled=False, signed=False)
    assert float((found.pose.points(x @ rotation) - x).norm(dim=-1).mean()) < 0.05


def test_a_posed_shape_is_the_shape_seen_from_elsewhere():
    pose = Pose(turn([0.3, 1.0, 0.2], 40.0), torch.tensor([0.1, -0.2, 0.3]), 2.0)
    again = Pose.of_matrix(pose.matrix)
    torch.testing.assert_close(again.rotation, pose.rotation)
    assert again.scale == pytest.approx(2.0)
    middle = torch.tensor([0.2, 0.1, 0.0])
    shape = PosedShape(lambda x: (x - middle).norm(dim=-1) - 0.5, pose)
    x = torch.rand(100, 3)
    # In the data's frame a ball of half the radius, around where the pose brings to the middle.
    own = (middle - pose.shift) @ pose.rotation / 2
    torch.testing.assert_close(shape.sdf(x), (x - own).norm(dim=-1) - 0.25)
    torch.testing.assert_close(shape.normal(x), torch.nn.functional.normalize(x - own, dim=-1), atol=1e-4, rtol=0)
    assert Pose.of_matrix(Pose.none().matrix).is_none
    assert not pose.is_none


def test_a_dictionary_of_patches_has_no_poses():
    trunk = CoordinateNetworkConfig(activation="sine", width=4)
    made = ShapeDictionary(DictionarySettings(trunk, experts=4, expert_width=2, active=4, patches_per_side=2))
    with pytest.raises(ValueError, match="patches"):
        find_pose(made, torch.ones(8, 4), torch.zeros(20, 3), torch.ones(20, 3), turns="up", scaled=False)
