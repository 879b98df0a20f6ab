"""Masks that are against the others, or the other way round; and right ones, of which nothing is said."""

import pytest
import torch
from ball_pictures import BOX, cameras, mask_of, pictures

from inr_plugins.errors import InputError
from inr_plugins.models.common.hull import in_hull, masked_views
from inr_plugins.models.common.mask_agreement import (
    check_agreement,
    covered_shares,
    doubtful_view,
    inverted_views,
)


def test_a_mask_that_cuts_the_hull_of_all_others_is_said(capsys):
    rig = cameras(40)
    assert doubtful_view(masked_views(pictures(rig)), BOX) is None
    assert doubtful_view(masked_views(pictures(cameras(7))), BOX) is None
    masks = [mask_of(rig, view) for view in range(40)]
    masks[17] = masks[17].roll(6, 1)
    views = masked_views(pictures(rig, masks))
    view, part = doubtful_view(views, BOX)
    x = torch.rand(60_000, 3) * 2 - 1
    others = masked_views(pictures(rig[torch.arange(40) != 17], masks[:17] + masks[18:]))
    assert view == 17
    assert part == pytest.approx(1 - float(in_hull(views, x).sum() / in_hull(others, x).sum()), abs=0.05)
    check_agreement(views, BOX)
    said = " ".join(capsys.readouterr().out.split())
    assert f"The mask of view17.png alone leaves out {part:.0%} of what all others leave" in said


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_mask_that_leaves_nearly_nothing_of_all_others_is_refused(share):
    """What lies outside of one picture is still hull, so that it is not empty: of a mask, black or not, far beside."""
    rig = cameras(40)
    masks = [mask_of(rig, view) for view in range(40)]
    masks[17] = torch.zeros_like(masks[17])
    masks[17][:3, :3] = bool(share)
    with pytest.raises(
        InputError, match=r"mask of view17\.png alone leaves out 100% .*: mend it, or leave the image out"
    ):
        check_agreement(masked_views(pictures(rig, masks)), BOX)


@pytest.mark.parametrize("wrong", [[17], [2, 9, 30]])
def test_masks_that_are_the_other_way_round_are_named(wrong):
    rig = cameras(40)
    masks = [mask_of(rig, view) for view in range(40)]
    for view in wrong:
        masks[view] = ~masks[view]
    views = masked_views(pictures(rig, masks))
    assert inverted_views(views, BOX) == wrong
    with pytest.raises(InputError, match=rf"view{wrong[-1]}\.png (is|are) black where the others leave the object"):
        check_agreement(views, BOX)


def test_masks_that_are_wrong_in_another_way_are_not_taken_for_the_other_way_round():
    rig = cameras(40)
    masks = [mask_of(rig, view) for view in range(40)]
    masks[3] = torch.ones_like(masks[3])
    masks[4] = torch.zeros_like(masks[4])
    masks[5] = masks[5].roll(20, 1)
    assert inverted_views(masked_views(pictures(rig, masks)), BOX) == []
    # Of few, nobody knows which.
    few = [mask if view else ~mask for view, mask in enumerate(masks)][:7]
    assert inverted_views(masked_views(pictures(cameras(40)[:7], few)), BOX) == []


def test_masks_of_other_pictures_are_said_to_contradict_each_other(capsys):
    rig = cameras(40)
    masks = [mask_of(rig, view) for view in range(40)]
    right = masked_views(pictures(rig, masks))
    assert min(covered_shares(right, BOX)) > 0.99
    check_agreement(right, BOX)
    assert capsys.readouterr().out == ""
    others = masked_views(pictures(rig, masks[7:] + masks[:7]))
    assert sorted(covered_shares(others, BOX))[20] < 0.9
    check_agreement(others, BOX)
    said = " ".join(capsys.readouterr().out.split())
    assert "masks and poses contradict each other" in said
