"""Pictures of shapes whose picture has a closed form."""

from dataclasses import replace

import numpy as np
import pytest
from mesh_shapes import sphere, wall

from inr_plugins.geometry.appearance.mesh_render import render_mesh, turntable_frames
from inr_plugins.geometry.mesh import Mesh

# Stands at x = 4 and looks at the origin: right is +y, up is +z.
POSE = np.array([[0.0, 0, 1, 4], [1, 0, 0, 0], [0, 1, 0, 0]])


def picture(mesh: Mesh, **changes):
    camera = {"fx": 100.0, "fy": 100.0, "cx": 50.0, "cy": 50.0, "width": 100, "height": 100}
    return render_mesh(mesh, POSE, **(camera | changes))


def coverage(image, background=255):
    return (image != background).any(axis=2)


def test_a_sphere_covers_its_disc():
    # The cone that touches a unit sphere from 4 away has the sine 1/4.
    radius = 100 * np.tan(np.arcsin(1 / 4))
    column, row = np.meshgrid(np.arange(100) + 0.5, np.arange(100) + 0.5)
    distance = np.hypot(column - 50, row - 50)
    seen = coverage(picture(sphere(subdivisions=5)))
    assert seen[distance < radius - 1].all()
    assert not seen[distance > radius + 1].any()


def test_principal_point_and_focal_lengths():
    column, row = np.nonzero(coverage(picture(wall(0.0), fx=60.0, fy=120.0, cx=20.0, cy=70.0)).T)
    # A square of half side 1, 4 away: 15 pixels to each side of 20, and 30 of 70.
    assert (column.min(), column.max()) == (5, 34)
    assert (row.min(), row.max()) == (40, 99)


def test_right_and_up():
    corners = wall(0.0).vertices
    colours = np.stack([(corners[:, 1] + 1) / 2, (corners[:, 2] + 1) / 2, np.zeros(len(corners))], axis=1)
    image = picture(replace(wall(0.0), colours=colours), fx=200.0, fy=200.0) / 255.0
    column, row = np.meshgrid((np.arange(100) + 0.5) / 100, (np.arange(100) + 0.5) / 100)
    assert np.abs(image - np.stack([column, 1 - row, 0 * row], axis=2)).max() < 0.6 / 255


def test_edges_are_the_mean_of_four_rays():
    # The wall ends at 37.5 and 62.5 pixels: between the rays of a pixel.
    image = picture(replace(wall(0.0, half=0.5), colours=np.zeros((289, 3))))
    assert image[50, 50].tolist() == [0, 0, 0]
    assert image[50, 37].tolist() == image[37, 50].tolist() == [128] * 3
    assert image[37, 37].tolist() == [191] * 3
    assert image[50, 36].tolist() == [255] * 3


def test_grey_is_lit_from_the_camera_and_a_little_from_above():
    image = picture(sphere(subdivisions=5)).astype(float)
    centre = image[49:51, 49:51].mean()
    above, below, left, right = image[32, 50, 0], image[67, 50, 0], image[50, 32, 0], image[50, 67, 0]
    assert centre > above > below
    assert left == pytest.approx(right, abs=2)
    # Facing the camera and level: 0.9 of all the head light and half of what comes from above.
    assert centre == pytest.approx(255 * 0.9 * (0.2 + 0.6 + 0.1), abs=1)


def test_up_says_where_above_is():
    image = picture(sphere(subdivisions=4), up=(0.0, 0.0, -5.0)).astype(float)
    assert image[32, 50, 0] < image[67, 50, 0]


def test_both_sides_of_an_open_surface_are_lit_alike():
    front = wall(0.0)
    front = replace(
        front, vertices=front.vertices + front.vertices[:, 2:] * [0.7, 0, 0]
    )  # leaning, so that above matters
    back = replace(front, faces=front.faces[:, ::-1])
    assert np.array_equal(picture(front), picture(back))


def test_coloured_meshes_are_drawn_as_they_are_unless_shaded():
    ball = sphere(subdivisions=4)
    red = replace(ball, colours=np.tile([1.0, 0, 0], (len(ball.vertices), 1)))
    image = picture(red, samples=1)
    assert np.unique(image[coverage(image)], axis=0).tolist() == [[255, 0, 0]]
    shaded = picture(red, shaded=True, samples=1)
    assert len(np.unique(shaded[coverage(shaded)], axis=0)) > 20


def test_background():
    image = picture(sphere(subdivisions=2), background=(0.0, 0.5, 1.0))
    assert image[0, 0].tolist() == [0, 128, 255]


def stick() -> Mesh:
    """A long thin wall along y, a third of it beyond the middle red."""
    sheet = wall(0.0, half=1.0)
    red = sheet.vertices[:, 1] > 0.4
    colours = np.where(red[:, None], [1.0, 0, 0], [0.0, 0, 1.0])
    return replace(sheet, vertices=sheet.vertices * [1, 3, 0.2] + [7.0, 8, 9], colours=colours)


def test_the_turntable_keeps_its_axis_upright_and_the_whole_mesh_in_sight():
    frames = list(turntable_frames(stick(), frames=8, size=96, up=(0.0, 2.0, 0.0)))
    assert len(frames) == 8
    for image in frames:
        assert image.shape == (96, 96, 3)
        seen = coverage(image)
        assert seen[1:-1, 1:-1].sum() == seen.sum()
        if seen.sum() < 50:
            continue  # edge-on
        red = (image[..., 0] > 200) & (image[..., 2] < 50)
        blue = (image[..., 2] > 200) & (image[..., 0] < 50)
        assert np.nonzero(red)[0].max() < np.nonzero(blue)[0].min() + 3
        column = np.nonzero(seen)[1]
        assert column.mean() == pytest.approx(47.5, abs=1)
    assert sum(coverage(image).sum() > 50 for image in frames) >= 6


@pytest.mark.parametrize("elevation", [-60.0, 0.0, 20.0, 80.0])
@pytest.mark.parametrize("stretch", [(1, 1, 1), (4, 1, 1), (0.2, 1, 3), (2, 2, 0.1)])
def test_the_mesh_fills_the_pictures_and_never_leaves_them(elevation, stretch):
    ball = sphere(subdivisions=3, centre=(5.0, 6.0, 7.0))
    stretched = replace(ball, vertices=ball.vertices * stretch)
    reach = []
    for image in turntable_frames(stretched, frames=12, size=100, elevation=elevation, samples=1):
        row, column = np.nonzero(coverage(image))
        reach.append(np.abs(np.concatenate([row, column]) - 49.5).max())
    # Half the picture is 50 pixels, of which it may fill 0.92; the worst angle may lie between two frames.
    assert 42 < max(reach) < 47


def test_a_turn_comes_around():
    ball = sphere(subdivisions=3, centre=(1.0, 2.0, 3.0))
    side = replace(ball, colours=np.where(ball.vertices[:, :1] > 1, [1.0, 1, 1], [0.0, 0, 0]))
    shares = [image[24:72, 24:72].mean() / 255 for image in turntable_frames(side, frames=4, size=96, elevation=0)]
    assert sorted(np.round(shares, 1).tolist()) == pytest.approx([0.0, 0.5, 0.5, 1.0], abs=0.1)
    assert shares[0] + shares[2] == pytest.approx(1, abs=0.1)
    assert shares[1] + shares[3] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames is 0"),
        ({"elevation": 90.0}, "elevation is 90"),
        ({"field_of_view": 0.0}, "field_of_view 0"),
        ({"up": (0.0, 0.0, 0.0)}, "up is"),
        ({"size": 0}, "size 0"),
    ],
)
def test_turns_that_are_none_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        turntable_frames(sphere(subdivisions=1), **options)
