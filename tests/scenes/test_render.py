"""The ray caster against closed forms: a sphere's silhouette, depth and normals, shadows, gloss and compositing."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from inr_plugins.geometry.cameras import look_at, ray_directions
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.srgb import srgb_from_linear
from inr_plugins.scenes.light import LightOptions
from inr_plugins.scenes.render import Picture, SceneRenderer, View
from inr_plugins.scenes.surface import Material, SceneMesh, with_normals
from inr_plugins.scenes.textures import Checker, Plain

RADIUS = 0.9
CENTRE = np.array([0.15, -0.2, 0.1])
PICTURE = Picture(width=80, height=60, focal=90.0, samples=9)
EYES = np.array([[4.0, 0.0, 0.0], [-1.5, 2.5, 2.7], [0.3, -3.0, -2.5], [0.0, 0.0, 4.0]])
MATT = LightOptions(gloss=0.0, shadows=False)


def scene_mesh(mesh: trimesh.Trimesh, material: Material | None = None) -> SceneMesh:
    part = np.zeros(len(mesh.faces), dtype=np.int64)
    return with_normals(SceneMesh(mesh.vertices, mesh.faces, part, (material or Material(),)), 40.0)


def renderer(mesh: SceneMesh, light: LightOptions = MATT) -> SceneRenderer:
    return SceneRenderer(mesh, to_dataset=Similarity.identity(), light=light, object_radius=1.2)


@pytest.fixture(scope="module")
def ball() -> trimesh.Trimesh:
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS)
    sphere.apply_translation(CENTRE)
    return sphere


def sphere_truth(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z-depth, normals and hit mask at pixel centres by solving the quadratic; (h, w), (h, w, 3), (h, w)."""
    column, row = np.meshgrid(np.arange(PICTURE.width) + 0.5, np.arange(PICTURE.height) + 0.5)
    # Written out again here and not taken from the code: x right, y up, looking along -z, principal point central.
    camera = np.stack(
        [(column - PICTURE.width / 2) / PICTURE.focal, -(row - PICTURE.height / 2) / PICTURE.focal, -np.ones_like(row)],
        -1,
    )
    direction = np.einsum("ij,hwj->hwi", pose[:3, :3], camera)
    offset = pose[:3, 3] - CENTRE
    a, b = (direction**2).sum(-1), direction @ offset
    discriminant = b**2 - a * (offset @ offset - RADIUS**2)
    depth = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
    return depth, (offset + depth[..., None] * direction) / RADIUS, discriminant > 0


@pytest.mark.parametrize("eye", EYES)
def test_a_sphere_has_the_depth_normals_and_silhouette_of_the_closed_form(ball: trimesh.Trimesh, eye: np.ndarray):
    pose = look_at(eye[None])[0]
    view = renderer(scene_mesh(ball)).render(pose, PICTURE)
    depth, normal, hit = sphere_truth(pose)
    assert (view.mask != hit).sum() <= 2  # the mesh lies a hair inside the sphere
    both = view.mask & hit
    facing = normal @ (pose[:3, 3] - CENTRE) > 0.5 * np.linalg.norm(pose[:3, 3] - CENTRE)
    assert (both & facing).sum() > 500
    assert np.abs(view.depth - depth)[both & facing].max() < 1e-3
    assert np.degrees(np.arccos(np.clip((view.normal * normal).sum(-1), -1, 1)))[both & facing].max() < 0.3
    assert (view.depth[~view.mask] == 0).all()
    assert (view.normal[~view.mask] == 0).all()


def test_rays_through_pixel_centres_agree_with_nerfstudio_cameras():
    import torch
    from nerfstudio.cameras.cameras import Cameras

    pose = look_at(EYES[1:2])[0]
    cameras = Cameras(torch.tensor(pose[None, :3], dtype=torch.float32), 90.0, 90.0, 40.0, 30.0, width=80, height=60)
    theirs = cameras.generate_rays(camera_indices=0).directions.numpy().reshape(-1, 3)
    column, row = np.meshgrid(np.arange(80) + 0.5, np.arange(60) + 0.5)
    pixels = np.stack([column, row], -1).reshape(-1, 2)
    ours = ray_directions(pose, pixels, width=80, height=60, focal=90.0)
    assert np.allclose(ours @ -pose[:3, 2], 1)  # unit length along the optical axis: the parameter is the z-depth
    assert np.allclose(ours / np.linalg.norm(ours, axis=1, keepdims=True), theirs, atol=1e-6)


def test_alpha_adds_up_to_the_area_of_the_disc():
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS)
    view = renderer(scene_mesh(sphere)).render(look_at(EYES[:1])[0], PICTURE)
    seen_radius = PICTURE.focal * RADIUS / np.sqrt(16 - RADIUS**2)
    assert view.rgba[..., 3].sum() / 255 == pytest.approx(np.pi * seen_radius**2, rel=2e-3)
    assert len(np.unique(view.rgba[..., 3])) == PICTURE.samples + 1


@pytest.mark.parametrize("background", [0.0, 1.0, 0.3])
def test_a_pixel_over_any_background_is_the_mean_of_its_subrays_over_it(background: float):
    """Straight alpha, display values: a picture eight times finer with one ray a pixel averages to the coarse one."""
    mesh = scene_mesh(
        trimesh.creation.icosphere(subdivisions=4, radius=RADIUS),
        Material(Checker((0.9, 0.1, 0.1), (0.1, 0.1, 0.9), 0.3)),
    )
    cast, pose = renderer(mesh), look_at(EYES[1:2])[0]
    many = 64
    over = lay_over(cast.render(pose, Picture(20, 15, 22.5, many)), background)
    fine = lay_over(cast.render(pose, Picture(160, 120, 180.0, 1)), background)
    averaged = fine.reshape(15, 8, 20, 8, 3).mean((1, 3))
    assert np.abs(over - averaged).mean() < 0.004
    assert np.abs(over - averaged).max() < 0.06  # two sets of 64 samples of an edge


def lay_over(view: View, background: float) -> np.ndarray:
    rgba = view.rgba / 255.0
    return rgba[..., :3] * rgba[..., 3:] + background * (1 - rgba[..., 3:])


def test_gloss_makes_colour_depend_on_the_view_and_its_absence_does_not():
    """The same surface points, seen from two sides."""
    slab = trimesh.creation.box((1.6, 1.6, 0.2))
    change = {}
    for gloss in (0.0, 1.0):
        light = LightOptions(gloss=gloss, azimuth=0.0, elevation=45.0)
        cast = renderer(scene_mesh(slab, Material(Plain((0.3, 0.3, 0.3)), roughness=0.3)), light)
        # Towards the mirrored light, and away from it; both see the middle of the top face in the central pixel.
        colours = [
            cast.render(look_at(np.array([[x, 0.0, 3.0]]))[0], Picture(9, 9, 90.0, 4)).rgba[4, 4, :3].astype(int)
            for x in (-3.0, 3.0)
        ]
        change[gloss] = np.abs(colours[0] - colours[1]).max()
    assert change[0.0] <= 1
    assert change[1.0] >= 20


def post_on_a_plate() -> SceneMesh:
    plate = trimesh.creation.box((2.4, 2.4, 0.1))
    post = trimesh.creation.box((0.2, 0.2, 0.6))
    post.apply_translation((0, 0, 0.35))
    return scene_mesh(trimesh.util.concatenate([plate, post]), Material(Plain((0.8, 0.8, 0.8))))


def from_above(light: LightOptions) -> np.ndarray:
    view = renderer(post_on_a_plate(), light).render(look_at(np.array([[0.0, 0.0, 6.0]]))[0], Picture(96, 96, 220.0, 9))
    return view.rgba[..., 0].astype(float)


def test_a_hard_shadow_lies_where_the_light_is_behind_the_post():
    base = LightOptions(gloss=0, fill=0, size=0, azimuth=180.0, elevation=45.0)
    lit = from_above(LightOptions(**{**vars(base), "shadows": False}))
    shaded = from_above(base)
    # A camera above (0, 0) has world y up in its picture, so columns run along x. The plate's top is at z = 0.05,
    # 5.95 away: 37 pixels a unit. The post's top edge at height 0.6 throws its shadow to x = 0.1 + 0.6.
    x = (np.arange(96) + 0.5 - 48) / (220 / 5.95)
    middle = shaded[48] / np.maximum(lit[48], 1)
    assert (middle[(x > 0.2) & (x < 0.65)] < 0.05).all()
    assert (middle[(x > 0.75) & (x < 1.1)] > 0.99).all()
    assert (middle[(x < -0.2) & (x > -1.1)] > 0.99).all()


def test_a_large_light_has_a_penumbra_of_many_levels_and_corners_are_darker():
    hard = from_above(LightOptions(gloss=0, fill=0, size=0, azimuth=180.0, elevation=45.0))[48]
    soft = from_above(LightOptions(gloss=0, fill=0, size=20, azimuth=180.0, elevation=45.0))[48]
    assert len(np.unique(soft[50:96])) > len(np.unique(hard[50:96])) + 5
    sky_only = from_above(LightOptions(gloss=0, key=0))[48]
    assert sky_only[55] < 0.9 * sky_only[80]


def test_every_view_sees_the_same_shadow():
    """Matt surfaces look the same from anywhere, penumbra and all: no noise that changes from view to view."""
    light = LightOptions(gloss=0, size=20)
    cast = renderer(post_on_a_plate(), light)
    samples = 27  # a multiple of all that the shadow needs, so that one subray pattern covers it
    seen = []
    for eye in ([0.5, 0.3, 5.0], [2.0, -1.0, 4.0]):
        pose = look_at(np.array([eye]), np.array([0.5, 0.3, 0.05]))[0]  # a point in the penumbra, in the middle
        seen.append(cast.render(pose, Picture(1, 1, 4000.0, samples)).rgba[0, 0, :3].astype(int))
    assert np.abs(seen[0] - seen[1]).max() <= 2


def test_plain_lambert_has_the_closed_form_value():
    light = LightOptions(gloss=0, fill=0, key=0.5, shadows=False, elevation=90.0)
    slab = renderer(scene_mesh(trimesh.creation.box((2, 2, 0.2)), Material(Plain((0.4, 0.4, 0.4)))), light)
    seen = slab.render(look_at(np.array([[0.0, 0.0, 4.0]]))[0], Picture(3, 3, 30.0, 1)).rgba[1, 1]
    assert seen[1] == round(255 * float(srgb_from_linear(np.array(0.4 * 0.5))))


def test_open_surfaces_are_drawn_from_both_sides():
    sheet = trimesh.Trimesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    cast = renderer(scene_mesh(sheet))
    for side in (1.0, -1.0):
        view = cast.render(look_at(np.array([[0.0, 0.5, 4.0 * side]]))[0], PICTURE)
        assert view.mask[30, 40]
        assert view.normal[30, 40] == pytest.approx([0, 0, side])


def test_smoothing_rounds_a_sphere_and_keeps_the_edges_of_a_box():
    sphere, box = trimesh.creation.icosphere(subdivisions=3), trimesh.creation.box((1, 1, 1))
    rounded = scene_mesh(sphere).corner_normals
    assert (rounded * sphere.vertices[sphere.faces]).sum(-1).min() > np.cos(np.radians(1))
    assert np.allclose(scene_mesh(box).corner_normals, box.face_normals[:, None])
    # A file of loose triangles (STL) is the same surface.
    soup = trimesh.Trimesh(
        sphere.triangles.reshape(-1, 3), np.arange(3 * len(sphere.faces)).reshape(-1, 3), process=False
    )
    assert np.allclose(scene_mesh(soup).corner_normals, rounded)
