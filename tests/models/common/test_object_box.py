"""The box that an object is looked for in: around a ball of known place, whatever the cameras' arrangement."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from long_form import long_form
from nerfstudio.cameras.cameras import Cameras, CameraType

from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.models.common.mask_box import nearest_point
from inr_plugins.models.common.object_box import FoundBox, box_of_axes, find_object, object_box, say

SIZE = 48
SCENE = torch.tensor([[-1.0] * 3, [1.0] * 3])


def rig(middle, distance, *, count=16, dome=math.pi / 3, aim=(0.0, 0.0, 0.0), focal=60.0, **more):
    """Cameras on one side of a point: in a cone of half angle `dome` around +x, looking `aim` away from it."""
    generator = torch.Generator().manual_seed(1)
    tilt = dome * torch.rand(count, generator=generator).sqrt()
    turn = 2 * math.pi * torch.rand(count, generator=generator)
    out = torch.stack([tilt.cos(), tilt.sin() * turn.cos(), tilt.sin() * turn.sin()], -1)
    middle = torch.as_tensor(middle)
    places = middle + distance * out
    back = torch.nn.functional.normalize(places - middle - torch.tensor(aim), dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([[0.1, 0.2, 1.0]]).expand_as(back), back))
    poses = torch.stack([right, torch.linalg.cross(back, right), back, places], -1)
    return Cameras(poses, fx=focal, fy=focal, cx=SIZE / 2, cy=SIZE / 2, width=SIZE, height=SIZE, **more)


def ball_masks(cameras, middle, radius):
    masks = []
    for view in range(len(cameras)):
        rays = cameras.generate_rays(camera_indices=view)
        along = ((torch.as_tensor(middle) - rays.origins) * rays.directions).sum(-1, keepdim=True)
        masks.append((rays.origins + along * rays.directions - torch.as_tensor(middle)).norm(dim=-1) < radius)
    return masks


class Pictures(SimpleNamespace):
    """A dataset of masks."""

    def get_data(self, index):
        return {"image": torch.ones(SIZE, SIZE, 3), "mask": self.masks[index][..., None]}


def pictures(cameras, masks, **more):
    return Pictures(cameras=cameras, masks=masks, image_filenames=[f"v{i}.png" for i in range(len(masks))], **more)


def assert_tight(box, middle, radius, *, slack):
    """It holds the ball, and is not larger than that by much."""
    low, high = torch.as_tensor(middle) - radius, torch.as_tensor(middle) + radius
    assert bool((box[0] <= low).all())
    assert bool((box[1] >= high).all())
    assert bool((low - box[0] < slack * radius).all()), (box, low)
    assert bool((box[1] - high < slack * radius).all()), (box, high)


@pytest.mark.parametrize(
    ("middle", "radius", "distance", "slack"),
    [((0.0, 0.0, 0.0), 0.5, 3.0, 1.4), ((-7.0, 2.0, 1.0), 0.5, 3.0, 1.4), ((3.0, -9.0, 4.0), 0.06, 3.0, 3.6)],
)
def test_a_ball_seen_from_one_side_is_found_wherever_it_is(middle, radius, distance, slack):
    """Away from the cameras the cones around it are longer than it; the last one is three pixels wide."""
    cameras = rig(middle, distance, focal=80.0)
    found = find_object(pictures(cameras, ball_masks(cameras, middle, radius)), masked=True)
    assert found.how == "16 masks"
    assert_tight(found.box, middle, radius, slack=slack)


def test_a_lens_is_undone_and_what_pictures_cut_off_is_not():
    middle, radius = (1.0, 2.0, 3.0), 0.6
    distortion = torch.tensor([0.05, -0.02, 0.0, 0.0, 0.002, -0.003]).expand(16, 6)
    # Aimed beside the ball, which every picture therefore cuts off.
    cameras = rig(middle, 3.0, aim=(0.0, 0.0, 1.0), distortion_params=distortion)
    masks = ball_masks(cameras, middle, radius)
    assert all(bool(mask[0].any() | mask[-1].any() | mask[:, 0].any() | mask[:, -1].any()) for mask in masks)
    box = find_object(pictures(cameras, masks), masked=True).box
    low, high = torch.tensor(middle) - radius, torch.tensor(middle) + radius
    assert bool((box[0] <= low).all() & (box[1] >= high).all())


@long_form
def test_one_wrong_mask_of_many_is_outvoted_and_one_of_few_is_named():
    middle, radius = (0.5, 0.0, 0.0), 0.5
    many = rig(middle, 3.0, count=40)
    masks = ball_masks(many, middle, radius)
    masks[11] = torch.zeros_like(masks[11])
    assert_tight(find_object(pictures(many, masks), masked=True).box, middle, radius, slack=1.4)
    with pytest.raises(InputError, match=r"v11\.png alone leaves out 100%"):
        find_object(pictures(many, masks), masked=True, compare=True)
    few = rig(middle, 3.0, count=8)
    masks = ball_masks(few, middle, radius)
    masks[5] = torch.zeros_like(masks[5])
    masks[5][:4, :4] = True
    with pytest.raises(InputError, match=r"that of v5\.png disagrees with all others"):
        find_object(pictures(few, masks), masked=True)
    with pytest.raises(InputError, match=r"leave nothing of the object: see that they are white"):
        find_object(pictures(few, [torch.zeros_like(mask) for mask in masks[:-1]] + masks[-1:]), masked=True)


def test_masks_that_leave_something_out_are_not_an_objects_where_that_is_not_said():
    middle, radius = (0.5, 0.0, 0.0), 0.5
    cameras = rig(middle, 3.0)
    masks = ball_masks(cameras, middle, radius)
    assert_tight(find_object(pictures(cameras, masks), masked=True, unsure=True).box, middle, radius, slack=1.4)
    # As of passers-by: all but the ball.
    assert find_object(pictures(cameras, [~mask for mask in masks]), masked=True, unsure=True) is None
    bare = SimpleNamespace(
        cameras=cameras,
        image_filenames=[*"abcdefghijklmnop"],
        get_data=lambda view: {"image": torch.ones(SIZE, SIZE, 3)},
    )
    assert find_object(bare, masked=True, unsure=True) is None
    with pytest.raises(InputError, match="neither a mask nor an alpha channel"):
        find_object(bare, masked=True)


def test_cameras_that_look_away_from_their_object_are_told_of_axes_and_rooms():
    middle, radius = (0.5, 0.0, 0.0), 0.5
    cameras = rig(middle, 3.0)
    masks = ball_masks(cameras, middle, radius)
    # OpenCV's axes: y down, z forward.
    cameras.camera_to_worlds[:, :, 1:3] *= -1
    with pytest.raises(InputError, match=r"look away from the place .* second and third column .* cn-neus-room"):
        find_object(pictures(cameras, masks), masked=True)


def test_masks_that_are_white_at_all_sides_are_said_to_tell_little(capsys):
    middle, radius = (0.5, 0.0, 0.0), 0.5
    cameras = rig(middle, 3.0)
    masks = ball_masks(cameras, middle, radius)
    find_object(pictures(cameras, masks), masked=True)
    assert capsys.readouterr().out == ""
    for mask in masks:
        mask[:, :] = True
        mask[:6, :6] = False
    find_object(pictures(cameras, masks), masked=True)
    assert "tell little of the object's outline" in " ".join(capsys.readouterr().out.split())


def test_masks_that_cut_nothing_out_are_refused_as_of_cameras_inside_of_the_object():
    middle, radius = (0.0, 0.0, 0.0), 0.5
    cameras = rig(middle, 0.1)
    white = pictures(cameras, [torch.ones(SIZE, SIZE, dtype=torch.bool)] * 16)
    with pytest.raises(InputError, match=r"all 16 pictures looked at are white throughout .* cn-neus-room"):
        find_object(white, masked=True)
    assert find_object(white, masked=True, unsure=True) is None
    # One picture with something beside the object tells where it ends.
    cameras = rig(middle, 3.0)
    masks = ball_masks(cameras, middle, radius)
    some = [torch.ones_like(mask) if view % 2 else mask for view, mask in enumerate(masks)]
    assert find_object(pictures(cameras, some), masked=True) is not None


def test_without_masks_it_is_where_the_cameras_look():
    middle = torch.tensor([4.0, -1.0, 2.0])
    box = box_of_axes(rig(middle, 3.0))
    torch.testing.assert_close(box, torch.stack([middle - 1.5, middle + 1.5]), atol=1e-4, rtol=0)
    found = find_object(pictures(rig(middle, 3.0), []), masked=False)
    assert found.how == "where 16 cameras look"


def test_cameras_that_look_at_nothing_in_common_leave_the_scenes_box():
    cameras = rig((0.0, 0.0, 0.0), 3.0)
    turned = cameras.camera_to_worlds.clone()
    # Outward, as in a room; then all along one axis; then too few to tell.
    turned[:, :, 0], turned[:, :, 2] = -turned[:, :, 0], -turned[:, :, 2]
    parallel = cameras.camera_to_worlds.clone()
    parallel[:, :, :3] = parallel[:1, :, :3]
    for poses in (turned, parallel, turned[:2]):
        other = Cameras(poses, fx=60.0, fy=60.0, cx=24.0, cy=24.0, width=SIZE, height=SIZE)
        assert box_of_axes(other) is None
        torch.testing.assert_close(
            object_box(pictures(other, []), SCENE, "found", masked=False, scale=2.0), 2 * SCENE, atol=0, rtol=0
        )
    fisheye = rig((0.0, 0.0, 0.0), 3.0, camera_type=CameraType.FISHEYE)
    assert find_object(pictures(fisheye, []), masked=True) is None


def test_the_nearest_point_of_lines_is_where_they_meet():
    origins = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    point = torch.tensor([0.3, -2.0, 1.0])
    axes = torch.nn.functional.normalize(point - origins, dim=-1)
    torch.testing.assert_close(nearest_point(origins, axes), point, atol=1e-5, rtol=0)
    assert nearest_point(origins, axes[:1].expand(7, 3)) is None


def test_it_is_said_in_the_datasets_units():
    frame = Similarity(rotation=np.eye(3)[[1, 2, 0]], scale=0.5, offset=np.array([1.0, 2.0, 3.0]))
    box = torch.stack([torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1.0, 2.0, 3.0])])
    said = say(FoundBox(box, "5 masks"), {"dataset_frame": frame})
    middle = frame.inverse().points(np.array([[0.5, 1.0, 1.5]]))[0]
    assert f"2 x 4 x 6 around ({', '.join(f'{value:.3g}' for value in middle)}), the dataset's units" in said
    assert said.endswith("from 5 masks.")
    assert "normalised units" in say(FoundBox(box, "5 masks"), None)


def test_the_choice_of_the_scenes_box_asks_no_picture(capsys):
    box = object_box(pictures(rig((9.0, 0.0, 0.0), 3.0), []), SCENE, "scene", masked=True, scale=1.5)
    torch.testing.assert_close(box, 1.5 * SCENE)
    assert capsys.readouterr().out == ""
