"""How wide frames are: what a budget is enough for, and in how few steps they are sharp."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from inr_plugins.viewer.budget import Cost
from inr_plugins.viewer.widths import Widths

RAY = 1e-5
"""Seconds."""


def widths(*, expensive=False, longest=512, aspect=1.0, share=0.6, ray=RAY, learns=True):
    cost = Cost()
    cost.note(1000, 1000 * ray)
    live = SimpleNamespace(
        panel=SimpleNamespace(max_res=longest),
        source=SimpleNamespace(is_expensive=expensive, cost_of=lambda kind: cost),
        budget=SimpleNamespace(share=lambda kind: share),
        pace=SimpleNamespace(refresh_seconds=0.9),
        is_learning=learns,
    )
    return Widths(live, SimpleNamespace(client=SimpleNamespace(camera=SimpleNamespace(aspect=aspect))))


@pytest.mark.parametrize(("aspect", "width", "height"), [(1.0, 512, 512), (2.0, 512, 256), (0.5, 256, 512)])
def test_the_longer_side_is_what_the_page_asks_for(aspect, width, height):
    found = widths(aspect=aspect).sharp
    assert (found, round(found / aspect)) == (width, height)


def test_six_frames_a_second_fit_into_the_share_of_a_moving_camera_and_fewer_rays_where_others_want_it_too():
    """A tenth of a second is enough for 10,000 rays."""
    found = widths()
    assert found.moving == 100 + 28  # never less than 128
    cheap = widths(ray=RAY / 4, aspect=2.0)
    assert cheap.moving == int((40_000 * 2) ** 0.5)
    for _ in range(50):
        cheap.note_moving(0.4, used=0.1)
    assert cheap.moving == pytest.approx((10_000 * 2) ** 0.5, abs=1)
    cheap.note_moving(0.4, used=0.0)
    assert cheap.moving == pytest.approx((10_000 * 2) ** 0.5, abs=1)


def test_a_refresh_is_as_wide_as_its_seconds_allow_and_never_wider_than_the_sharp_frame():
    assert widths().refresh == 300
    assert widths(longest=200).refresh == 200


def test_a_sharp_frame_follows_at_once_where_the_one_before_would_be_half_as_wide():
    found = widths()
    assert found.wider(110, sharpest=0) == 512
    assert found.wider(100, sharpest=0) == 250
    assert found.wider(250, sharpest=250) == 512


def test_expensive_rays_are_256_wide_first_and_wider_where_that_does_not_take_too_long():
    """512 x 512 rays take 2.6 seconds, or forty."""
    found = widths(expensive=True)
    assert found.wider(200, sharpest=0) == 256
    assert found.wider(256, sharpest=256) == 512
    assert widths(expensive=True, longest=200).wider(128, sharpest=0) == 200
    slow = widths(expensive=True, ray=15 * RAY)
    assert slow.sharp == slow.wider(256, sharpest=256) == 256
    assert widths(expensive=True, ray=15 * RAY, learns=False).sharp == 512
