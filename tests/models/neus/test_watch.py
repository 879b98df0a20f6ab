"""What is said of lattices of shapes that are right or have collapsed."""

import pytest
import torch

from inr_plugins.models.neus.watch import RESOLUTION, look_steps, sample_box, surface_problem

BOX = torch.tensor([[-1.0] * 3, [1.0] * 3])
ORBIT, CENTRE = torch.full((10,), 0.4), torch.full((10,), 0.6)
NONE = torch.zeros(0)


def lattice(sdf):
    return sample_box(sdf, BOX)


def ball(radius, sign=1.0):
    return lattice(lambda x: sign * (x.norm(dim=-1) - radius))


def slab(height, x):
    return x[:, 2] - height


def test_the_lattice_spans_the_box_with_its_faces():
    found = lattice(lambda x: x[:, 0] + 10 * x[:, 1])
    assert found.shape == (RESOLUTION,) * 3
    assert float(found[0, 0, 0]) == pytest.approx(-11)
    assert float(found[-1, 0, 5]) == pytest.approx(-9)


@pytest.mark.parametrize(
    ("capture", "sdf", "cameras"),
    [
        ("object", ball(0.6), NONE),
        ("object", ball(0.6), ORBIT),
        ("object", lattice(lambda x: torch.minimum(slab(-0.7, x), x.norm(dim=-1) - 0.5).clamp(min=-9)), NONE),
        ("table", lattice(lambda x: torch.minimum(slab(-0.4, x), x.norm(dim=-1) - 0.5)), ORBIT),
        ("room", ball(0.9, -1.0), CENTRE),
        ("room", lattice(lambda x: 0.8 - x.abs().amax(-1)), CENTRE),
    ],
)
def test_a_sound_surface_is_left_in_peace(capture, sdf, cameras):
    # An object on a slab touches five faces: that is for the table.
    if capture == "object" and float((sdf[:, :, 0] < 0).float().mean()) > 0.5:
        assert "left the scene box" in surface_problem(sdf, cameras, capture=capture)
        return
    assert surface_problem(sdf, cameras, capture=capture) is None


@pytest.mark.parametrize(
    ("capture", "sdf", "cameras", "word", "option"),
    [
        ("object", ball(0.5) + 9, NONE, "vanished", "mask-weight"),
        ("table", ball(0.5) + 9, NONE, "vanished", "optimizer.lr"),
        ("object", ball(0.5) - 9, NONE, "filled", "optimizer.lr"),
        ("room", ball(0.5) + 9, CENTRE, "gone", "box-scale"),
        ("object", ball(0.6, -1.0), NONE, "inside out", "cn-neus-room"),
        ("table", ball(0.6), -ORBIT, "inside out", "cn-neus-room"),
        ("room", ball(0.6), -CENTRE, "inside out", "cn-neus-table"),
        (
            "object",
            lattice(lambda x: 1.2 - x.norm(dim=-1) * 1.5) * -1 - 0.35,
            NONE,
            "left the scene box",
            "mask-weight",
        ),
        ("table", lattice(lambda x: 0.3 - x.norm(dim=-1)) * -1 - 0.9, NONE, "left the scene box", "box-scale"),
        ("room", lattice(lambda x: (x - 0.9).norm(dim=-1) - 0.3), CENTRE, "left the scene box", "box-scale"),
    ],
)
def test_grief_is_named_with_an_option_to_try(capture, sdf, cameras, word, option):
    problem = surface_problem(sdf, cameras, capture=capture)
    assert problem is not None
    assert word in problem
    assert option in problem
    assert problem.endswith(".")


@pytest.mark.parametrize(
    ("capture", "sdf", "cameras"),
    [
        ("object", lattice(lambda x: 1.2 - x.norm(dim=-1) * 1.5) * -1 - 0.35, NONE),
        ("table", lattice(lambda x: 0.3 - x.norm(dim=-1)) * -1 - 0.9, NONE),
        ("room", lattice(lambda x: (x - 0.9).norm(dim=-1) - 0.3), CENTRE),
    ],
)
def test_of_a_young_surface_that_reaches_out_of_its_box_nothing_is_said_yet(capture, sdf, cameras):
    assert "left the scene box" in surface_problem(sdf, cameras, capture=capture)
    assert surface_problem(sdf, cameras, capture=capture, young=True) is None
    # Of one that is gone it is.
    assert surface_problem(sdf.abs() + 1, cameras, capture=capture, young=True) is not None


def test_looks_come_early_in_any_run():
    assert look_steps(300_000) == (500, 2000)
    assert look_steps(10_000) == (500, 2000)
    assert look_steps(1000) == (50, 300)
    assert look_steps(2) == (1,)
