"""inr-mesh's other ways: boxes, lattices, cameras, textures, videos, and fields of nerfstudio's own models."""

import functools
import re
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import torch
import trimesh
from cli.sphere_runs import (
    CENTRE,
    RADIUS,
    SCALE,
    Fake,
    Sphere,
    SphereDensity,
    SphereOccupancy,
    SphereSDF,
    assert_is_the_sphere,
    inr_mesh,
    read,
)
from long_form import long_form
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.fields import sdf_field
from nerfstudio.fields.base_field import Field

from inr_plugins.fields.protocol import CellBounds
from inr_plugins.machine import resident_bytes
from inr_plugins.meshing import memory
from inr_plugins.meshing import video as mesh_video


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return np.column_stack([right, np.cross(back, right), back, eye])


def with_cameras(fake: Fake, *, directions: list[list[float]], distance: float = 2.0, focal: float = 100.0) -> Fake:
    """The same run with pinholes of 100 pixels that look at the sphere from these directions (normalised frame)."""
    centre = fake.field.centre.numpy()
    poses = [look_at(centre + distance * np.array(d) / np.linalg.norm(d), centre) for d in directions]
    fake.outputs.cameras = Cameras(
        camera_to_worlds=torch.tensor(np.array(poses), dtype=torch.float32),
        **{name: torch.full((len(poses), 1), focal) for name in ("fx", "fy")},
        **{name: torch.full((len(poses), 1), 50.0) for name in ("cx", "cy")},
        width=100,
        height=100,
    )
    return fake


HOLLOW = 4 / 3 * np.pi * RADIUS**3 * (1 - 0.7**3)  # the volume of the shells below


class HollowOccupancy(Sphere):
    """A shell: solid between 0.7 of the radius and the radius."""

    def occupancy(self, x):
        return torch.sigmoid(torch.minimum(-self.distance(x), self.distance(x) + 0.3 * self.radius) / 0.01)


class HollowDensity(Sphere):
    """The same shell, as a density that was never seen from within."""

    def density(self, x):
        return 100 * HollowOccupancy.occupancy(self, x)


@long_form
def test_coarse_to_fine_gives_the_dense_mesh(run_folder, tmp_path):
    for name, field in (("sdf", SphereSDF), ("occupancy", SphereOccupancy), ("density", SphereDensity)):
        sparse, dense = tmp_path / f"{name}.ply", tmp_path / f"{name}-dense.ply"
        assert inr_mesh(Fake(field), run_folder, "--resolution", 96, "--output", sparse) == 0
        assert inr_mesh(Fake(field), run_folder, "--resolution", 96, "--output", dense, "--dense") == 0
        (a, about_a), (b, about_b) = read(sparse), read(dense)
        assert np.array_equal(np.unique(a.triangles, axis=0), np.unique(b.triangles, axis=0))
        assert about_b["evaluated_share"] == 1
        assert about_a["evaluated"] < 0.6 * about_b["evaluated"]


def test_a_models_own_bounds_decide_what_is_evaluated_and_what_counts(run_folder):
    # The field claims a second sphere in cells of which the model knows that nothing is in them.
    fake = Fake(SphereOccupancy)
    centre = fake.field.centre
    single = fake.field.occupancy
    fake.field.occupancy = lambda x: torch.maximum(single(x), single(x - torch.tensor([0.0, 0.0, 0.9])))
    box = fake.model.scene_box.aabb
    edge = 0.05
    shape = [int(n) for n in ((box[1] - box[0]) / edge).ceil()]
    index = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij"), -1)
    middle = box[0] + edge * (index + 0.5)
    held = (middle - centre).norm(dim=-1) < 0.5
    largest = torch.where(held, torch.inf, 0.0)
    bounds = CellBounds(box[0], edge, torch.zeros(shape), largest, box)
    assert inr_mesh(fake, run_folder, "--resolution", 96, "--min-component", 0) == 0
    assert read(run_folder / "mesh.ply")[0].body_count == 2
    fake.model.surface_cells = lambda: bounds
    assert inr_mesh(fake, run_folder, "--resolution", 96, "--min-component", 0, "--overwrite") == 0
    found, about = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found)
    assert "model's own bounds" in about["evaluated_where"]


@pytest.mark.parametrize("model_has_a_box", [True, False])
def test_box_is_taken_as_it_is_and_measures_the_samples(run_folder, model_has_a_box):
    half = np.array([3.0, 2.5, 2.5])
    low, high = CENTRE - half, CENTRE + half
    fake = Fake()
    # The model's own box would cut the sphere: a box of the user's goes before it.
    if model_has_a_box:
        fake.model.surface_aabb = lambda: torch.stack([fake.field.centre - 0.3, fake.field.centre + 0.5])
    assert inr_mesh(fake, run_folder, "--box", *low, *high, "--voxel-size", 0.1) == 0
    found, about = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found)
    assert about["lattice_spacing"] == pytest.approx([0.1] * 3)
    assert about["lattice_shape"] == [61, 51, 51]
    assert np.allclose(about["box_in_dataset"], [low, high])


class TwoBalls(Sphere):
    """A dense ball and a fainter one beside it, as densities without a level of their own."""

    def density(self, x):
        beside = (x - self.centre + torch.tensor([0.0, 0.6, 0.0])).norm(dim=-1) - 0.7 * self.radius
        dense, faint = (100 * torch.sigmoid(-distance / 0.02) for distance in (self.distance(x), beside))
        return dense + 0.3 * faint


def on_plane(path, plane):
    found, about = read(path)
    on = np.abs(found.vertices[:, 0] - plane) < 1e-9
    return np.unique(found.vertices[on].round(6), axis=0), found, about


@pytest.mark.parametrize("field", [TwoBalls, SphereSDF])
@pytest.mark.parametrize("with_box", [True, False])
def test_pieces_cut_out_side_by_side_join(run_folder, tmp_path, field, with_box):
    # A plane off the middle: the pieces hold different shares of the two balls.
    plane, half = CENTRE[0] + 0.75, np.array([3.0, 4.5, 3.0])
    low, high = CENTRE - half, CENTRE + half
    ways = ["--voxel-size", 0.125, "--min-component", 0, "--no-closed", "--no-fill-cavities"]
    if with_box:
        ways += ["--box", *low, *high]
    beyond = 100 if not with_box else 0
    crops = {
        "left": [*(low - beyond), plane, *(high + beyond)[1:]],
        "right": [plane, *(low - beyond)[1:], *(high + beyond)],
    }
    for name, crop in crops.items():
        assert inr_mesh(Fake(field), run_folder, *ways, "--crop", *crop, "--output", tmp_path / f"{name}.ply") == 0
    left, one, about = on_plane(tmp_path / "left.ply", plane)
    right, other, about_other = on_plane(tmp_path / "right.ply", plane)
    assert len(left) > 50
    assert np.allclose(left, right, atol=2e-6)
    assert about["level"] == about_other["level"]
    if with_box:
        whole_file = tmp_path / "whole.ply"
        assert inr_mesh(Fake(field), run_folder, *ways, "--output", whole_file) == 0
        whole, mesh, about_whole = on_plane(whole_file, plane)
        assert about["level"] == about_whole["level"]
        assert np.allclose(left, whole, atol=2e-6)
        assert one.area + other.area == pytest.approx(mesh.area, rel=1e-6)


def test_a_crop_has_the_level_of_the_whole_scene(run_folder):
    crops = [[], ["--crop", *(CENTRE - 1.0), *(CENTRE + 3.0)], ["--crop", *(CENTRE - 9.0), *(CENTRE + 0.5)]]
    levels = []
    for crop in crops:
        assert inr_mesh(Fake(TwoBalls), run_folder, "--resolution", 32, *crop, "--overwrite") == 0
        levels.append(read(run_folder / "mesh.ply")[1]["level"])
    assert levels == [levels[0]] * 3


@pytest.mark.parametrize("beyond", [-0.5, 0.001, 0.2])
def test_the_memory_that_is_advised_is_enough(run_folder, capsys, monkeypatch, beyond):
    # What this process holds besides may grow from one call to the next.
    held = resident_bytes()
    monkeypatch.setattr(memory, "resident_bytes", lambda: held)
    # More than the run alone takes, or not, and in any case less than a lattice this fine.
    bound = held / 1e9 + beyond
    arguments = ("--resolution", 1200) if beyond > 0.1 else ("--resolution", 64)
    assert inr_mesh(Fake(), run_folder, *arguments, "--memory-gb", bound) == 1
    advice = re.search(r"(?:give it|needs) ([0-9.]+)", capsys.readouterr().err)
    if beyond < 0.1:
        assert inr_mesh(Fake(), run_folder, *arguments, "--memory-gb", advice[1]) == 0
    else:
        assert float(advice[1]) > bound


def test_a_mesh_that_outgrows_the_memory_is_refused(run_folder, capsys, monkeypatch):
    begin = 1_000_000_000
    held = iter([begin, *[begin + 150_000_000] * 3])
    monkeypatch.setattr(memory, "resident_bytes", lambda: next(held, begin + 600_000_000))
    assert inr_mesh(Fake(), run_folder, "--resolution", 64, "--memory-gb", 1.5) == 1
    assert "--memory-gb is 1.5, and with the mesh so far the process takes 1.60" in capsys.readouterr().err
    assert sorted(file.name for file in run_folder.iterdir()) == ["config.yml"]


def test_voxel_size_counts_in_the_datasets_units(run_folder):
    assert inr_mesh(Fake(), run_folder, "--voxel-size", 0.08, "--frame", "normalised") == 0
    spacing = max(read(run_folder / "mesh.ply")[1]["lattice_spacing"])
    assert 0.9 * 0.08 * SCALE < spacing <= 0.08 * SCALE * (1 + 1e-9)


def test_the_box_is_told_in_the_datasets_frame_and_holds_the_surface(run_folder, capsys):
    assert inr_mesh(Fake(SphereOccupancy), run_folder, "--resolution", 64) == 0
    about = read(run_folder / "mesh.ply")[1]
    low, high = np.array(about["box_in_dataset"])
    assert (low < CENTRE - RADIUS).all()
    assert (high > CENTRE + RADIUS).all()
    # Turned boxes and two coarse samples each way, not the whole scene of 8 units.
    assert (high - low < 2 * RADIUS * np.sqrt(3) + 1.5).all()
    assert "coarse pass" in about["box_source"]
    assert f"{low[0]:.4g}" in capsys.readouterr().out


def test_what_fewer_than_two_cameras_see_is_not_looked_at(run_folder):
    fake = Fake(SphereDensity)
    side = [[1.0, 0.0, 0.2], [0.9, 0.3, 0.1], [0.8, -0.3, 0.3]]
    # A lens so long that it sees the sphere and hardly more: not the floater half a unit away.
    with_cameras(fake, directions=side, focal=180.0)
    assert inr_mesh(fake, run_folder, "--resolution", 64, "--level", "20", "--min-component", "0") == 0
    assert "training views" in read(run_folder / "mesh.ply")[1]["box_source"]


def test_faces_that_no_camera_sees_go_on_request(run_folder):
    fake = with_cameras(Fake(), directions=[[1.0, 0.0, 0.0], [0.9, 0.1, 0.1]], distance=20.0, focal=2000.0)
    assert inr_mesh(fake, run_folder, "--resolution", 64, "--drop-unseen") == 0
    found, about = read(run_folder / "mesh.ply")
    towards = fake.to_normalised.directions((np.array(found.triangles_center) - CENTRE) / RADIUS)[:, 0]
    # The far half is gone but for the rings that are kept for safety.
    assert towards.min() > -0.35
    assert towards.max() > 0.99
    whole = len(found.faces) + about["cleaned"]["unseen"]
    assert 0.4 < about["cleaned"]["unseen"] / whole < 0.5


@long_form
def test_closed_cavities_of_a_density_are_filled_unless_asked_for(run_folder):
    ways = ["--resolution", 64, "--level", 50, "--overwrite"]
    assert inr_mesh(Fake(HollowDensity), run_folder, *ways) == 0
    found, about = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found)
    assert about["cleaned"]["cavities"] == 1
    assert inr_mesh(Fake(HollowDensity), run_folder, *ways, "--no-fill-cavities") == 0
    hollow = read(run_folder / "mesh.ply")[0]
    assert hollow.volume == pytest.approx(HOLLOW, rel=0.03)


def test_the_cavity_of_an_occupancy_is_the_shapes_own_and_stays(run_folder):
    ways = ["--resolution", 64, "--overwrite"]
    assert inr_mesh(Fake(HollowOccupancy), run_folder, *ways) == 0
    found, about = read(run_folder / "mesh.ply")
    assert found.volume == pytest.approx(HOLLOW, rel=0.03)
    assert about["cleaned"]["cavities"] == 0
    assert inr_mesh(Fake(HollowOccupancy), run_folder, *ways, "--fill-cavities") == 0
    assert_is_the_sphere(read(run_folder / "mesh.ply")[0])


def test_colours_are_the_mean_over_the_views_that_see_a_vertex(run_folder):
    fake = with_cameras(Fake(), directions=[[1.0, 0.0, 0.0]], distance=20.0, focal=2000.0)
    assert inr_mesh(fake, run_folder, "--resolution", 48, "--colour", "views") == 0
    found, about = read(run_folder / "mesh.ply")
    outward = fake.to_normalised.directions((found.vertices - CENTRE) / RADIUS)
    # The field's colour is 0.5 - 0.5 d, and the only camera looks along -x.
    near = outward[:, 0] > 0.2
    assert np.abs(found.visual.vertex_colors[near, 0] / 255 - 1.0).max() < 0.03
    far = outward[:, 0] < -0.2
    assert np.abs(found.visual.vertex_colors[far, :3] / 255 - (0.5 + 0.5 * outward[far])).max() < 0.03
    assert "none sees" in about["colours"]


def test_normals_are_those_of_the_field(run_folder):
    assert inr_mesh(Fake(), run_folder, "--resolution", 16) == 0
    found = read(run_folder / "mesh.ply")[0]
    outward = (found.vertices - CENTRE) / np.linalg.norm(found.vertices - CENTRE, axis=1, keepdims=True)
    # Far better than the faces of so coarse a mesh could say.
    assert np.abs(found.vertex_normals - outward).max() < 1e-4


def test_a_texture_carries_the_fields_colours(run_folder, tmp_path):
    path = tmp_path / "mesh.glb"
    fake = Fake()
    assert inr_mesh(fake, run_folder, "--resolution", 32, "--texture", 256, "--output", path) == 0
    (found,) = trimesh.load_scene(path, process=False).geometry.values()
    assert_is_the_sphere(trimesh.Trimesh(found.vertices, found.faces), tolerance=0.02)
    outward = fake.to_normalised.directions((np.array(found.vertices) - CENTRE) / RADIUS)
    colours = found.visual.to_color().vertex_colors[:, :3] / 255
    assert np.abs(colours - (0.5 + 0.5 * outward)).mean() < 0.03


def test_the_mesh_turns_in_a_video(run_folder, tmp_path, monkeypatch):
    video = tmp_path / "turn.mp4"
    # Fewer and smaller pictures than a user gets.
    small = functools.partial(mesh_video.write_turntable, frames=12, size=96)
    monkeypatch.setattr(mesh_video, "write_turntable", small)
    assert inr_mesh(Fake(), run_folder, "--resolution", 24, "--turntable", video) == 0
    frames = iio.imread(video)
    assert len(frames) > 10
    middle = frames[:, frames.shape[1] // 2, frames.shape[2] // 2].astype(float)
    # Another side of the coloured sphere in each quarter of the turn, before white.
    assert np.abs(middle[0] - middle[len(frames) // 2]).max() > 40
    assert (frames[:, 2, 2] > 240).all()


class StockSphere(Field):
    """A sphere as one of nerfstudio's fields gives it: density of ray samples, colours of their directions."""

    def __init__(self, sphere: SphereDensity) -> None:
        super().__init__()
        self.sphere = sphere

    def get_density(self, ray_samples):
        x = ray_samples.frustums.get_positions()
        return self.sphere.density(x.reshape(-1, 3)).reshape(*x.shape[:-1], 1), None

    def get_outputs(self, ray_samples, density_embedding=None):
        return {FieldHeadNames.RGB: 0.5 - 0.5 * ray_samples.frustums.directions}


def test_a_field_of_nerfstudios_own_is_meshed_and_coloured(run_folder):
    fake = Fake(SphereDensity)
    fake.model.field = StockSphere(fake.field)
    assert inr_mesh(fake, run_folder, "--resolution", 64, "--keep-largest") == 0
    found, about = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found, tolerance=0.1)
    assert about["field_class"] == "StockSphere"
    outward = fake.to_normalised.directions((found.vertices - CENTRE) / RADIUS)
    assert np.abs(found.visual.vertex_colors[:, :3] / 255 - (0.5 + 0.5 * outward)).mean() < 0.05


class NoGrid(torch.nn.Module):
    """In place of tinycudann's grid, which nerfstudio's `neus` makes and does not use."""

    n_output_dims = 4

    def __init__(self, **_):
        super().__init__()


@long_form
def test_a_stock_neus_field_is_meshed_and_coloured(run_folder, monkeypatch):
    monkeypatch.setattr(sdf_field, "tcnn", SimpleNamespace(Encoding=NoGrid))
    torch.manual_seed(0)
    config = sdf_field.SDFFieldConfig(hidden_dim=64, geo_feat_dim=8, bias=0.3, inside_outside=False)
    fake = Fake()
    fake.model.field = config.setup(aabb=fake.model.scene_box.aabb, num_images=1).eval()
    assert inr_mesh(fake, run_folder, "--resolution", 24, "--frame", "normalised") == 0
    found, about = read(run_folder / "mesh.ply")
    # It begins as something like a ball about the origin (SAL, Atzmon and Lipman 2020); outward faces, positive volume.
    assert found.is_watertight
    assert found.body_count == 1
    assert found.volume > 0
    assert found.contains(np.zeros((1, 3))).all()
    with torch.no_grad():
        distance = fake.model.field.forward_geonetwork(torch.tensor(np.array(found.vertices)).float())[:, 0]
    assert distance.abs().max() < 0.1 * max(about["lattice_spacing"])
    assert (about["field"], about["field_class"], about["level"]) == ("sdf", "SDFField", 0.0)
    assert found.visual.vertex_colors[:, :3].std() > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--resolution", "32", "--voxel-size", "0.1"], "not both"),
        (["--voxel-size", "-1"], "--voxel-size"),
        (["--voxel-size", "1000"], "as large as the box"),
        (["--voxel-size", "1e-9"], "at most 16384"),
        (["--box", "900", "0", "0", "901", "1", "1"], "outside the scene"),
        (["--texture", "256"], ".glb"),
        (["--texture", "8", "--output", "{run}/mesh.glb"], "--texture must be at least 64 and at most 8,192"),
        (["--texture", "256", "--output", "{run}/mesh.glb", "--colour", "none"], "--colour none"),
        (["--turntable", "{run}/turn.gif"], ".mp4"),
        (["--drop-unseen"], "--drop-unseen needs training cameras"),
        (["--colour", "views"], "--colour views needs training cameras"),
        (["--memory-gb", "0.01"], "--memory-gb is 0.01, and with the run loaded the process takes"),
        (["--resolution", "16000", "--memory-gb", "200"], "x 16000 needs"),
        (["--resolution", "16000", "--memory-gb", "200", "--dense"], "x 16000 needs"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(run_folder, capsys, arguments, words):
    assert inr_mesh(Fake(), run_folder, *(argument.format(run=run_folder) for argument in arguments)) == 1
    message = [line for line in capsys.readouterr().err.splitlines() if line.startswith("inr-mesh: ")]
    assert len(message) == 1
    assert words in message[0]
    assert sorted(file.name for file in run_folder.iterdir()) == ["config.yml"]
