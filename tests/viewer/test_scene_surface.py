import numpy as np
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO

from inr_plugins.viewer.scene_surface import SCENE_UNITS, thinned_points


def test_what_lies_in_the_page_lies_where_nerfstudio_puts_its_cameras():
    assert SCENE_UNITS == VISER_NERFSTUDIO_SCALE_RATIO


def test_a_page_is_sent_a_hundred_thousand_points_from_everywhere():
    points = np.linspace(0, 1, 250_000)[:, None].repeat(3, 1)
    sent = thinned_points(points)
    assert len(sent) == 100_000
    assert np.diff(sent[:, 0]).max() < 2 / 100_000
    assert sent[[0, -1], 0].tolist() == [0, 1]
