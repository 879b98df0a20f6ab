"""Baked textures, read back from the GLB and looked up as glTF says, against the function that was baked."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from mesh_shapes import sphere
from scipy.ndimage import map_coordinates

from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance.texture import TexturedMesh, bake_texture
from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.mesh import Mesh


def waves(points, normals):
    return 0.5 + 0.4 * np.sin(4 * points + [0.0, 1.0, 2.0])


def torus() -> Mesh:
    ring = trimesh.creation.torus(1.0, 0.4, major_sections=48, minor_sections=24)
    return Mesh(vertices=np.array(ring.vertices), faces=np.array(ring.faces))


def looked_up(textured: TexturedMesh, count=4000):
    """Random points of the surface, and the texture's colours there: bilinear between the centres of texels."""
    rng = np.random.default_rng(0)
    corners = textured.mesh.faces[rng.integers(len(textured.mesh.faces), size=count)]
    weights = rng.dirichlet([1, 1, 1], size=count)
    points = np.einsum("nk,nkd->nd", weights, textured.mesh.vertices[corners])
    u, v = np.einsum("nk,nkd->nd", weights, textured.uv[corners]).T
    height, width, _ = textured.image.shape
    at = [v * height - 0.5, u * width - 0.5]
    channels = [map_coordinates(textured.image[..., k] / 255.0, at, order=1, mode="nearest") for k in range(3)]
    return points, np.stack(channels, axis=1)


def test_the_texture_shows_the_function_at_the_surface():
    shape = torus()
    textured = bake_texture(shape, waves, size=512)
    points, colours = looked_up(textured)
    assert max(textured.image.shape) == 512
    assert np.abs(colours - waves(points, None)).max() < 0.03
    assert np.abs(colours - waves(points, None)).mean() < 0.005


def test_the_glb_read_by_trimesh_shows_it_too(tmp_path):
    write_mesh(bake_texture(torus(), waves, size=512), tmp_path / "m.glb", sidecar={})
    (back,) = trimesh.load_scene(tmp_path / "m.glb", process=False).geometry.values()
    # trimesh turns v upwards; its own look-up takes the nearest texel.
    points, face = trimesh.sample.sample_surface(back, 2000, seed=1)
    weights = trimesh.triangles.points_to_barycentric(back.triangles[face], points)
    uv = np.einsum("nk,nkd->nd", weights, back.visual.uv[back.faces[face]])
    colours = back.visual.material.to_color(uv)[:, :3] / 255.0
    assert np.abs(colours - waves(points, None)).mean() < 0.02
    assert np.quantile(np.abs(colours - waves(points, None)).max(axis=1), 0.99) < 0.08


def test_triangles_stay_where_they_were():
    shape = torus()
    textured = bake_texture(shape, waves, size=128)
    assert np.array_equal(textured.mesh.vertices[textured.mesh.faces], shape.vertices[shape.faces])
    assert textured.uv.min() >= 0
    assert textured.uv.max() <= 1


def test_the_function_is_given_points_of_the_surface_and_outward_unit_normals():
    asked = []

    def recorded(points, normals):
        asked.append((points, normals))
        return waves(points, normals)

    bake_texture(sphere(0.5, subdivisions=3), recorded, size=128, chunk_points=1000)
    assert max(len(points) for points, _ in asked) == 1000
    points, normals = (np.concatenate(parts) for parts in zip(*asked, strict=True))
    radius = np.linalg.norm(points, axis=1)
    assert (radius <= 0.5 + 1e-6).all()
    assert (radius > 0.49).all()
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert ((points / radius[:, None] * normals).sum(axis=1) > 0.99).all()


@pytest.mark.parametrize("scale", [1e-4, 1e5])
def test_the_unit_does_not_matter(scale):
    shape = torus()
    small = replace(shape, vertices=shape.vertices * scale)
    points, colours = looked_up(bake_texture(small, lambda x, n: waves(x / scale, n), size=256))
    assert np.abs(colours - waves(points / scale, None)).max() < 0.06


def test_triangles_smaller_than_a_texel_are_coloured_too():
    ball = sphere(subdivisions=4)  # 5k triangles on 64 x 64 texels
    points, colours = looked_up(bake_texture(ball, lambda x, n: (x + 1) / 2, size=64, padding=1))
    assert np.abs(colours - (points + 1) / 2).mean() < 0.03


def test_slivers_that_get_no_chart_take_the_colour_of_a_neighbour():
    # Points at a corner, but for rounding, split triangles into one as large and two slivers.
    ball = sphere(subdivisions=2)
    chosen = np.arange(0, 320, 40)
    a, b, c = ball.faces[chosen].T
    point = len(ball.vertices) + np.arange(len(chosen))
    vertices = np.vstack([ball.vertices, ball.vertices[a] * (1 - 1e-9)])
    slivers = np.concatenate([np.stack([a, b, point], axis=1), np.stack([a, point, c], axis=1)])
    faces = np.vstack([np.delete(ball.faces, chosen, axis=0), np.stack([point, b, c], axis=1), slivers])
    textured = bake_texture(Mesh(vertices=vertices, faces=faces), waves, size=256)
    height, width, _ = textured.image.shape
    for face in textured.mesh.faces[-len(slivers) :]:
        u, v = textured.uv[face].T
        found = textured.image[(v * height).astype(int), (u * width).astype(int)] / 255.0
        wanted = waves(textured.mesh.vertices[face], None)
        assert np.abs(found[:, None] - wanted[None]).max(axis=2).min(axis=1).max() < 0.1


def test_parts_laid_flat_apart_do_not_overlap(monkeypatch):
    monkeypatch.setattr("inr_plugins.geometry.appearance.texture._FACES_A_PIECE", 100)
    points, colours = looked_up(bake_texture(torus(), waves, size=512))
    assert np.abs(colours - waves(points, None)).max() < 0.03


def test_no_background_shows_between_the_charts():
    image = bake_texture(torus(), lambda x, n: np.ones_like(x) * [1.0, 0.5, 0.25], size=128).image
    assert (image == [255, 128, 64]).all()


def test_what_cannot_be_baked_is_refused():
    ball = sphere(subdivisions=1)
    with pytest.raises(InputError, match="max_faces=50"):
        bake_texture(ball, waves, most_faces=50)
    with pytest.raises(InputError, match="between 64 and 8192"):
        bake_texture(ball, waves, size=20)
    with pytest.raises(InputError, match="padding is 0"):
        bake_texture(ball, waves, padding=0)
    with pytest.raises(InputError, match="NaN or infinite"):
        bake_texture(ball, lambda x, n: x * np.nan, size=64)
    with pytest.raises(InputError, match="None of the 1 faces"):
        bake_texture(Mesh(vertices=np.zeros((3, 3)), faces=np.array([[0, 1, 2]])), waves, size=64)


def test_progress_ends_with_all_texels():
    told: list[tuple[int, int]] = []
    bake_texture(
        sphere(subdivisions=1),
        waves,
        size=64,
        chunk_points=500,
        progress=lambda done, total: told.append((done, total)),
    )
    assert len(told) > 1
    assert told[-1][0] == told[-1][1]
