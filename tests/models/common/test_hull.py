"""The visual hull against brute force, its distance against a ball's, and what is said where there is none."""

import pytest
import torch
from ball_pictures import BOX, MIDDLE, RADIUS, SIZE, cameras, mask_of, pictures
from nerfstudio.cameras.cameras import Cameras, CameraType

from inr_plugins.errors import InputError
from inr_plugins.models.common.hull import (
    check_outlines,
    fewest_pictures,
    hull_counts,
    hull_distances,
    in_hull,
    masked_views,
    project,
)


def test_points_fall_where_nerfstudios_rays_come_from():
    distortion = torch.tensor([0.02, -0.01, 0.003, 0.0, 0.004, -0.006]).expand(12, 6)
    for rig in (cameras(), cameras(distortion_params=distortion)):
        rays = rig.generate_rays(camera_indices=5)
        points = (rays.origins + 2.5 * rays.directions).reshape(-1, 3)
        u, v, front = project(rig, 5, points)
        rows, columns = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
        assert bool(front.all())
        torch.testing.assert_close(u, columns.reshape(-1), atol=0.01, rtol=0)
        torch.testing.assert_close(v, rows.reshape(-1), atol=0.01, rtol=0)


def test_the_hull_is_what_every_mask_holds():
    rig = cameras()
    views = masked_views(pictures(rig))
    x = torch.rand(4000, 3) * 2 - 1
    found = in_hull(views, x)
    # Every cone around the ball holds the ball, and what all cones hold is little more.
    assert bool(found[(x - MIDDLE).norm(dim=-1) < RADIUS].all())
    truth = torch.ones(len(x), dtype=torch.bool)
    for view in range(len(rig)):
        pose = rig.camera_to_worlds[view]
        to_ball, to_point = MIDDLE - pose[:, 3], x - pose[:, 3]
        cosine = (to_point * to_ball).sum(-1) / to_point.norm(dim=-1) / to_ball.norm()
        # Two pixels more than the ball's own cone.
        truth &= cosine.acos() < torch.asin(RADIUS / to_ball.norm()) + 2 / 70
    assert not bool((found & ~truth).any())
    assert bool(found.any())


def test_places_are_counted_by_the_pictures_that_show_them():
    rig = cameras()
    views = masked_views(pictures(rig))
    x = torch.rand(500, 3) * 2 - 1
    beside, shown = (torch.stack(each) for each in zip(*(views.outside(v, x) for v in range(len(rig))), strict=True))
    expected = torch.where(beside.any(0), 0, shown.sum(0))
    assert hull_counts(views, x).tolist() == expected.tolist()
    assert 0 < int((expected == 12).sum()) < 500
    assert torch.equal(in_hull(views, x, least=3), expected >= 3)


def test_what_few_pictures_show_of_an_object_that_they_cut_off_is_outside():
    # Cameras on one side, whose pictures the object fills: masks leave nothing out.
    count = 40
    torch.manual_seed(0)
    back = torch.nn.functional.normalize(
        torch.randn(count, 3) * torch.tensor([0.35, 0.35, 0]) + MIDDLE.new_tensor([0, 0, 1]), dim=-1
    )
    right = torch.nn.functional.normalize(
        torch.linalg.cross(MIDDLE.new_tensor([[0, 1.0, 0]]).expand_as(back), back), dim=-1
    )
    poses = torch.stack([right, torch.linalg.cross(back, right), back, 3 * back], -1)
    rig = Cameras(poses, fx=150.0, fy=150.0, cx=SIZE / 2, cy=SIZE / 2, width=SIZE, height=SIZE)
    views = masked_views(pictures(rig, [torch.ones(SIZE, SIZE, dtype=torch.bool)] * count))
    box = 1.6 * BOX
    origin, edge, distances = hull_distances(views, box, 48)
    x = torch.cartesian_prod(*(origin[i] + edge * torch.arange(n) for i, n in enumerate(distances.shape)))
    shown = torch.stack([views.outside(view, x)[1] for view in range(count)]).sum(0)
    within, inside = ((x > box[0]) & (x < box[1])).all(-1), distances.reshape(-1) < 0
    few, many = within & (shown > 0) & (shown <= 3), within & (shown >= 20)
    assert min(int(few.sum()), int(many.sum())) > 1000
    assert not bool(inside[few].any())
    assert bool(inside[many].all())


def test_a_third_of_the_pictures_that_show_a_middling_place_have_to_show_each():
    assert fewest_pictures(torch.tensor([0, 0, 1, 1, 2])) == 1
    # Of 60 looks 30 are at places that 30 pictures show, however many places three show.
    assert fewest_pictures(torch.tensor([0, 30, *[3] * 9])) == 10
    assert fewest_pictures(torch.tensor([0, 30, *[3] * 11])) == 1
    assert fewest_pictures(torch.tensor([40, 40, 40])) == 13
    assert fewest_pictures(torch.zeros(4, dtype=torch.int32)) == 1


def test_its_distance_is_about_that_of_the_ball_in_cells():
    origin, edge, distances = hull_distances(masked_views(pictures(cameras(60))), BOX, 40)
    assert max(distances.shape) == pytest.approx(41, abs=2)
    axes = [origin[i] + edge * torch.arange(n) for i, n in enumerate(distances.shape)]
    truth = ((torch.cartesian_prod(*axes) - MIDDLE).norm(dim=-1) - RADIUS).view(distances.shape) / edge
    # A pixel is 1.7 cells here, and masks are grown by one.
    error = distances - truth
    assert float(error.abs().max()) < 4.5
    assert float(error.mean()) == pytest.approx(-2, abs=1.5)
    assert float(distances.amin()) < -5


def test_the_view_that_disagrees_is_named():
    rig = cameras()
    masks = [mask_of(rig, view) for view in range(len(rig))]
    masks[7] = torch.zeros_like(masks[7])
    masks[7][:3, :3] = True
    with pytest.raises(InputError, match=r"view7\.png disagrees with all others"):
        hull_distances(masked_views(pictures(rig, masks)), BOX, 32)


def test_two_views_that_disagree_are_both_named_and_a_mask_without_anything_too():
    rig = cameras()
    masks = [mask_of(rig, view) for view in range(len(rig))]
    for view in (2, 9):
        masks[view] = torch.zeros_like(masks[view])
        masks[view][-4:, :3] = True
    with pytest.raises(InputError, match=r"those of view2\.png and view9\.png disagree with all others"):
        hull_distances(masked_views(pictures(rig, masks)), BOX, 32)
    masks = [mask_of(rig, view) for view in range(len(rig))]
    masks[4] = torch.zeros_like(masks[4])
    with pytest.raises(InputError, match=r"The mask of view4\.png holds nothing of the object"):
        hull_distances(masked_views(pictures(rig, masks)), BOX, 32)


def test_a_mask_that_leaves_something_is_no_error():
    rig = cameras()
    masks = [mask_of(rig, view) for view in range(len(rig))]
    masks[7][:, : SIZE // 2] = False
    assert float(hull_distances(masked_views(pictures(rig, masks)), BOX, 32)[2].min()) < 0


def test_cameras_inside_of_the_object_are_refused():
    rig = cameras()
    # The wrong way round: all but the ball, which is where the cameras are too.
    masks = [torch.ones(SIZE, SIZE, dtype=torch.bool) for _ in range(len(rig))]
    with pytest.raises(InputError, match=r"cameras, that of view\d+\.png among them, stand inside of what the masks"):
        hull_distances(masked_views(pictures(rig, masks)), 4 * BOX, 32)


def test_masks_that_leave_nothing_and_cameras_that_look_away_are_told_apart():
    rig = cameras()
    with pytest.raises(InputError, match="leave nothing of the object in the scene box"):
        hull_distances(masked_views(pictures(rig, [torch.zeros(SIZE, SIZE, dtype=torch.bool)] * 12)), BOX, 32)
    with pytest.raises(InputError, match="No camera looks into the scene box"):
        hull_distances(masked_views(pictures(rig)), BOX + 50, 32)


def test_pictures_without_masks_and_fisheyes_are_refused():
    rig = cameras(2)
    bare = pictures(rig, [torch.ones(SIZE, SIZE, dtype=torch.bool)] * 2)
    bare.get_data = lambda index: {"image": torch.ones(SIZE, SIZE, 3)}
    with pytest.raises(InputError, match=r"view0\.png has neither a mask nor an alpha"):
        masked_views(bare)
    with pytest.raises(InputError, match="undistort"):
        masked_views(pictures(cameras(2, camera_type=CameraType.FISHEYE), bare.masks))


def test_masks_that_cut_nothing_out_are_named_and_refused_if_none_does(capsys):
    rig = cameras(4)
    white = torch.ones(SIZE, SIZE, dtype=torch.bool)
    with pytest.raises(InputError, match=r"white throughout .* --pipeline\.model\.capture table"):
        check_outlines(masked_views(pictures(rig, [white] * 4)))
    check_outlines(masked_views(pictures(rig)))
    assert capsys.readouterr().out == ""
    masks = [mask_of(rig, view) for view in range(4)]
    masks[2] = white
    check_outlines(masked_views(pictures(rig, masks)))
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 4 masks cut nothing out of their picture, that of view2.png among them" in said


def test_masks_that_are_all_the_other_way_round_are_refused():
    rig = cameras(12)
    masks = [mask_of(rig, view) for view in range(12)]
    check_outlines(masked_views(pictures(rig, masks)))
    # Objects that pictures cut off, and one that fills some of them.
    check_outlines(masked_views(pictures(rig, [mask.roll(SIZE // 2, 1) for mask in masks])))
    check_outlines(
        masked_views(pictures(rig, [torch.ones_like(mask) if view % 3 else mask for view, mask in enumerate(masks)]))
    )
    with pytest.raises(InputError, match="12 of 12 masks, or alpha channels, are white along all sides"):
        check_outlines(masked_views(pictures(rig, [~mask for mask in masks])))
