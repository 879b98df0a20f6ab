"""Pictures of shapes against closed forms: a ball's and a cube's silhouettes and normals, from every side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader

from inr_plugins.data.shapes.cloud_discs import cloud_discs
from inr_plugins.data.shapes.images import ShapeImages, ShapeOutputs, ShapePictures, normal_shade
from inr_plugins.data.shapes.views import DISTANCE, SPLITS, shape_cameras, views_of_each
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh, surface_area

SIZE = 48


def mesh_of(made: trimesh.Trimesh) -> Mesh:
    return Mesh(np.array(made.vertices, dtype=np.float64), np.array(made.faces, dtype=np.int64))


def ball(radius: float = 0.9, subdivisions: int = 5) -> Mesh:
    return mesh_of(trimesh.creation.icosphere(subdivisions, radius))


def cube(half: float = 0.5) -> Mesh:
    return mesh_of(trimesh.creation.box(extents=[2 * half] * 3))


def cloud_of_ball(count: int, radius: float = 0.9) -> Cloud:
    direction = np.random.default_rng(0).normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return Cloud(radius * direction, direction)


def draw(surface, radius: float, *, view: int, split="train", views: int = 6):
    """A picture as float (SIZE, SIZE, 4) in [0, 1], and the origin and unit directions of its rays."""
    cameras = shape_cameras(np.array([radius]), split=split, views=views, size=SIZE)
    rays = cameras.generate_rays(camera_indices=view, keep_shape=True)
    picture = ShapePictures([surface]).draw(0, rays)
    assert picture.dtype == np.uint8
    return picture / 255, rays.origins[0, 0].double().numpy(), rays.directions.double().numpy()


def ball_truth(origin, directions, radius: float):
    """Where rays hit a ball around the origin first, nan where they do not, and how near to its middle they pass."""
    along = -directions @ origin
    nearest = np.linalg.norm(origin + along[..., None] * directions, axis=-1)
    with np.errstate(invalid="ignore"):
        hit = along - np.sqrt(radius**2 - nearest**2)
    return origin + hit[..., None] * directions, nearest


def cube_truth(origin, directions, half: float):
    """The outward normal of the face of a cube around the origin that each ray hits first; nan where none."""
    with np.errstate(divide="ignore"):
        slabs = np.sort(np.stack([(-half - origin) / directions, (half - origin) / directions]), axis=0)
    entry = slabs[0].argmax(axis=-1)
    normals = np.zeros_like(directions)
    np.put_along_axis(normals, entry[..., None], -np.sign(np.take_along_axis(directions, entry[..., None], -1)), -1)
    normals[slabs[0].max(axis=-1) > slabs[1].min(axis=-1)] = np.nan
    return normals


def shade(normals, directions):
    facing = np.maximum(-(normals * directions).sum(-1, keepdims=True), 0)
    return (normals + 1) / 2 * (0.35 + 0.65 * facing)


# -- cameras ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_every_camera_has_all_of_its_shape_in_a_picture_that_it_fills(split):
    radii = np.array([0.3, 0.9, 1.5])
    cameras = shape_cameras(radii, split=split, views=5, size=100)
    assert len(cameras) == 15
    assert cameras.metadata["shape"].reshape(-1).tolist() == [0] * 5 + [1] * 5 + [2] * 5
    direction = np.random.default_rng(0).normal(size=(4000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    for index, radius in enumerate(np.repeat(radii, 5)):
        pose = cameras.camera_to_worlds[index].double().numpy()
        local = (radius * direction - pose[:, 3]) @ pose[:, :3]
        across = float(cameras.fx[index]) * local[:, :2] / -local[:, 2:] + 50
        assert across.min() > 0
        assert across.max() < 100
        # The ball's outline is a circle around the middle, 94 of 100 pixels wide.
        assert np.linalg.norm(across - 50, axis=1).max() == pytest.approx(47, abs=0.2)
        assert np.linalg.norm(pose[:, 3]) == pytest.approx(DISTANCE, abs=1e-5)
        # Looking at the origin, with z up in the picture.
        assert np.abs(-pose[:, 2] - -pose[:, 3] / DISTANCE).max() < 1e-5
        assert pose[2, 1] >= -1e-6


def test_cameras_are_float32_and_no_view_is_in_two_splits():
    places = []
    for split in SPLITS:
        cameras = shape_cameras(np.array([0.9]), split=split, views=8, size=32)
        for name in ("camera_to_worlds", "fx", "fy", "cx", "cy"):
            assert getattr(cameras, name).dtype == torch.float32
        places.append(cameras.camera_to_worlds[:, :, 3])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert torch.cdist(places[one], places[other]).min() > 0.05


def test_many_shapes_with_one_view_each_are_seen_from_all_sides():
    cameras = shape_cameras(np.full(40, 0.9), split="train", views=1, size=32)
    mean = cameras.camera_to_worlds[:, :, 3].mean(0)
    assert mean.norm() < 0.2 * DISTANCE


@pytest.mark.parametrize(("wanted", "shapes", "each"), [(12, 1, 12), (12, 5, 3), (12, 60, 1), (4, 3, 2)])
def test_there_is_a_view_of_each_shape_and_as_many_as_wanted_together(wanted, shapes, each):
    assert views_of_each(wanted, shapes) == each


# -- pictures --------------------------------------------------------------------------------------------------------


def test_shading_is_the_formula():
    normals = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    towards = np.array([[0.0, 0.0, 1.0], [0.6, 0.8, 0.0], [0.0, 1.0, 0.0]])
    expected = [[0.5, 0.5, 1.0], [0.74, 0.37, 0.37], [0.175, 0.0, 0.175]]
    assert np.abs(normal_shade(normals, towards) - expected).max() < 1e-12


@pytest.mark.parametrize("view", range(4))
def test_a_ball_has_its_silhouette_and_its_normals(view):
    picture, origin, directions = draw(ball(), 0.9, view=view)
    points, nearest = ball_truth(origin, directions, 0.9)
    inside = nearest < 0.9 * 0.995
    assert (picture[inside, 3] == 1).all()
    assert (picture[nearest > 0.9, 3] == 0).all()
    assert (picture[nearest > 0.9, :3] == 0).all()
    inner = nearest < 0.9 * 0.95
    assert np.abs(picture[inner, :3] - shade(points / 0.9, directions)[inner]).max() < 0.035
    assert 0.5 < inside.mean() < 0.9


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("turned", [False, True], ids=["outward", "inside out"])
def test_a_cube_shows_its_faces_to_the_last_bit_also_from_their_backs(split, turned):
    mesh = cube()
    mesh = Mesh(mesh.vertices, mesh.faces[:, ::-1]) if turned else mesh
    picture, origin, directions = draw(mesh, np.sqrt(0.75), view=1, split=split)
    normals = cube_truth(origin, directions, 0.5)
    hit = ~np.isnan(normals[..., 0])
    # A ray along an edge may go either way.
    assert (picture[..., 3] == hit).mean() > 0.998
    same = hit & (picture[..., 3] == 1)
    wrong = np.abs(picture[..., :3] - shade(normals, directions))[same].max(axis=-1) > 0.6 / 255
    assert wrong.mean() < 0.005
    assert hit.mean() > 0.2


def test_a_shapes_picture_does_not_depend_on_how_many_were_drawn_before():
    surfaces = [ball(0.1 * (k + 1), subdivisions=1) for k in range(9)] + [cube()]
    pictures = ShapePictures(surfaces)
    rays = shape_cameras(np.array([0.9]), split="test", views=2, size=16).generate_rays(
        camera_indices=1, keep_shape=True
    )
    first = [pictures.draw(shape, rays) for shape in range(10)]
    for shape in (0, 9, 4):
        assert np.array_equal(pictures.draw(shape, rays), first[shape])
        assert np.array_equal(ShapePictures(surfaces).draw(shape, rays), first[shape])
    covered = [int((picture[..., 3] > 0).sum()) for picture in first[:9]]
    assert covered == sorted(covered)
    assert len(set(covered)) > 6


# -- clouds ----------------------------------------------------------------------------------------------------------


def test_a_cloud_of_a_ball_looks_like_the_ball():
    picture, origin, directions = draw(cloud_of_ball(6000), 0.9, view=2)
    points, nearest = ball_truth(origin, directions, 0.9)
    inside, drawn = nearest < 0.9, picture[..., 3] > 0
    assert (inside & drawn).sum() / (inside | drawn).sum() > 0.93
    inner = (nearest < 0.9 * 0.9) & drawn
    assert inner.sum() > 0.98 * (nearest < 0.9 * 0.9).sum()
    assert np.abs(picture[inner, :3] - shade(points / 0.9, directions)[inner]).mean() < 0.04


def test_discs_lie_across_their_normals_around_their_points_and_cover_the_surface():
    cloud = cloud_of_ball(3000)
    discs = cloud_discs(cloud)
    corners = discs.vertices.reshape(3000, 6, 3)
    assert np.abs(corners.mean(axis=1) - cloud.points).max() < 1e-12
    offsets = corners - cloud.points[:, None]
    assert np.abs(np.einsum("nkd,nd->nk", offsets, cloud.normals)).max() < 1e-12
    radii = np.linalg.norm(offsets, axis=2)
    assert np.ptp(radii, axis=1).max() < 1e-12
    assert len(discs.faces) == 4 * 3000
    # On average every place is under about six discs, less what a hexagon lacks of a circle.
    assert 3 < surface_area(discs) / (4 * np.pi * 0.81) < 7


def test_very_many_points_are_thinned_out_and_a_handful_is_drawn_all_the_same():
    many = cloud_discs(cloud_of_ball(150_000))
    assert len(many.faces) == 4 * 100_000
    assert len(cloud_discs(cloud_of_ball(2)).faces) == 8
    with pytest.raises(ValueError, match="no normals"):
        cloud_discs(Cloud(np.eye(3)))


# -- the dataset -----------------------------------------------------------------------------------------------------


def outputs(views: int = 3) -> ShapeOutputs:
    radii = np.array([0.9, np.sqrt(0.75)])
    names = [Path(f"/nowhere/{shape}/{view}.png") for shape in ("ball", "cube") for view in range(views)]
    return ShapeOutputs(
        image_filenames=names,
        cameras=shape_cameras(radii, split="val", views=views, size=SIZE),
        alpha_color=torch.ones(3),
        metadata={"shapes": ("ball", "cube")},
        pictures=ShapePictures([ball(), cube()]),
    )


def test_the_dataset_draws_each_image_with_its_own_camera_and_shape():
    made = outputs()
    dataset = ShapeImages(made)
    assert len(dataset) == 6
    assert dataset.metadata == {"shapes": ("ball", "cube")}
    for index, shape in ((1, 0), (4, 1)):
        rays = made.cameras.generate_rays(camera_indices=index, keep_shape=True)
        straight = dataset.get_numpy_image(index)
        assert np.array_equal(straight, made.pictures.draw(shape, rays))
        data = dataset[index]
        assert data["image"].shape == (SIZE, SIZE, 3)
        hit = torch.from_numpy(straight[..., 3] > 0)
        assert torch.equal(data["image"][hit], torch.from_numpy(straight[..., :3]).float()[hit] / 255)
        assert bool((data["image"][~hit] == 1).all())
    assert not np.array_equal(dataset.get_numpy_image(0), dataset.get_numpy_image(1))


def test_a_scale_factor_draws_smaller_pictures_of_the_same():
    whole, half = ShapeImages(outputs()), ShapeImages(outputs(), scale_factor=0.5)
    small = half.get_numpy_image(5)
    assert small.shape == (SIZE // 2, SIZE // 2, 4)
    assert (small[..., 3] > 0).mean() == pytest.approx((whole.get_numpy_image(5)[..., 3] > 0).mean(), abs=0.03)


def test_nerfstudios_loader_of_views_takes_the_dataset():
    loader = FixedIndicesEvalDataloader(ShapeImages(outputs()), device="cpu")
    cameras, batches = zip(*loader, strict=True)
    assert [int(camera.metadata["shape"]) for camera in cameras] == [0, 0, 0, 1, 1, 1]
    assert [batch["image_idx"] for batch in batches] == list(range(6))
    rays = cameras[4].generate_rays(camera_indices=0, keep_shape=True)
    assert rays.metadata["shape"].shape == (SIZE, SIZE, 1)
    assert bool((rays.metadata["shape"] == 1).all())
