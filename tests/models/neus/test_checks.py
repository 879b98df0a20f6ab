"""Bad data are named in a sentence before a surface is trained."""

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from inr_plugins.errors import InputError
from inr_plugins.models.neus.checks import check_cameras, check_masks
from inr_plugins.models.neus.model import NeusModelConfig

BOX = torch.tensor([[-1.0] * 3, [1.0] * 3])


def cameras(radius, *, outward=False, middle=(0.0, 0.0, 0.0)) -> Cameras:
    """Six cameras on the axes at a distance from a middle, looking at it or away from it."""
    poses = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            away = torch.zeros(3)
            away[axis] = sign
            back = -away if outward else away
            right = torch.roll(back, 1)
            poses.append(
                torch.stack([right, torch.linalg.cross(back, right), back, away * radius + torch.tensor(middle)], -1)
            )
    return Cameras(torch.stack(poses), fx=20.0, fy=20.0, cx=10.0, cy=10.0, width=20, height=20)


def config(capture, **changes):
    return NeusModelConfig(capture=capture, **changes)


def test_an_orbit_around_an_object_and_cameras_in_a_room_pass():
    check_cameras(config("object"), cameras(3.0), BOX, radius=0.5)
    check_cameras(config("table"), cameras(0.8), BOX, radius=0.5)
    check_cameras(config("room"), cameras(0.6, outward=True), BOX, radius=0.9)


@pytest.mark.parametrize("capture", ["object", "table"])
def test_cameras_inside_the_object_are_counted_and_a_way_out_is_named(capture):
    with pytest.raises(InputError, match="6 of 6 cameras stand inside") as caught:
        check_cameras(config(capture), cameras(0.4), BOX, radius=0.5)
    for word in ("cn-neus-room", "--center-method focus", "--pipeline.model.box-scale below 0.72"):
        assert word in str(caught.value)


def test_cameras_behind_the_walls_are_counted_with_the_box_that_would_hold_them():
    with pytest.raises(InputError, match=r"6 of 6 cameras stand outside .*box-scale to 4\.9"):
        check_cameras(config("room"), cameras(2.0), BOX, radius=0.9)


@pytest.mark.parametrize(("rig", "radius"), [("away", 3.0), ("beside", 3.0)])
def test_a_scene_outside_the_box_is_one_sentence(rig, radius):
    rig = cameras(radius, outward=True) if rig == "away" else cameras(radius, middle=(40.0, 30.0, 20.0))
    with pytest.raises(InputError, match="No camera looks at the scene box"):
        check_cameras(config("object"), rig, BOX, radius=0.5)


def test_an_object_needs_masks_as_labels_and_the_others_need_none():
    with pytest.raises(InputError, match="cn-neus-table"):
        check_masks(config("object"), opaque=True, labelled=True)
    with pytest.raises(InputError, match=r"--pipeline\.datamanager\.masks labels"):
        check_masks(config("object"), opaque=False, labelled=False)
    check_masks(config("object"), opaque=False, labelled=True)
    for capture in ("table", "room"):
        check_masks(config(capture), opaque=True, labelled=False)
