"""The focal length of each photo by itself, by reconstructions whose photos are known to have others."""

from __future__ import annotations

import numpy as np
import pytest
from with_pycolmap import needs_pycolmap

from inr_plugins.geometry.cameras import look_at
from inr_plugins.photos.one_lens import focal_ratios

FOCAL, SIZE = 500.0, (640, 480)
BLIND = 4
"""The photo that sees next to nothing."""


def reconstruction(ratios):
    """Points in a ball, and cameras around it that share a lens, each of which sees them by its own focal length."""
    import pycolmap

    draws = np.random.default_rng(0)
    points = draws.normal(size=(300, 3)) * 0.6
    turn = np.linspace(0, 2, len(ratios))
    poses = look_at(4 * np.stack([np.cos(turn), np.sin(turn), 0.3 + 0.2 * turn], axis=-1), np.zeros(3))
    model = pycolmap.Reconstruction()
    lens = pycolmap.Camera(model="SIMPLE_RADIAL", width=SIZE[0], height=SIZE[1], params=[FOCAL, 320, 240, 0.4])
    lens.camera_id = 1
    model.add_camera_with_trivial_rig(lens)
    # Each point is one more of every picture, by the same number.
    for number, (ratio, pose) in enumerate(zip(ratios, poses, strict=True), start=1):
        local = (points - pose[:3, 3]) @ pose[:3, :3] * [1, -1, -1]
        pixels = lens.img_from_cam(local * [ratio, ratio, 1])
        image = pycolmap.Image(name=f"p{number - 1}", camera_id=1, image_id=number)
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(xy) for xy in pixels])
        turned = pycolmap.Rotation3d((pose[:3, :3] * [1, -1, -1]).T)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(turned, turned * -pose[:3, 3]))
    for number, point in enumerate(points):
        seen = [each for each in range(len(ratios)) if each != BLIND or number < 10]
        track = pycolmap.Track([pycolmap.TrackElement(each + 1, number) for each in seen])
        model.add_point3D(point, track, np.zeros(3, np.uint8))
    return model


@needs_pycolmap
def test_each_photo_has_the_focal_length_that_it_was_taken_with():
    ratios = [1.0, 1.3, 1.0, 0.9, 1.0, 1.02]
    found = focal_ratios(reconstruction(ratios))
    assert set(found) == {f"p{number}" for number in range(6) if number != BLIND}
    assert [found[name] for name in sorted(found)] == pytest.approx([1.0, 1.3, 1.0, 0.9, 1.02], rel=5e-3)


@needs_pycolmap
def test_a_lens_of_two_photos_is_not_asked():
    assert focal_ratios(reconstruction([1.0, 1.2])) == {}
