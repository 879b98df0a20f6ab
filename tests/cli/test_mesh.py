"""inr-mesh end to end on runs whose field is a formula: frame, size, orientation, colour, and every bad input."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cli.sphere_runs import (
    CENTRE,
    RADIUS,
    SCALE,
    BrokenSDF,
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


@pytest.mark.parametrize("mirror", [False, True])
def test_distance_field_comes_back_in_the_dataset_frame(run_folder, capsys, mirror):
    fake = Fake(mirror=mirror)
    assert inr_mesh(fake, run_folder, "--resolution", 64) == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found)
    # Seen from straight outside the direction is minus the normal, in the *normalised* frame.
    outward = fake.to_normalised.directions((found.vertices - CENTRE) / RADIUS)
    assert np.abs(found.visual.vertex_colors[:, :3] / 255 - (0.5 + 0.5 * outward)).max() < 0.03
    assert fake.loaded == [(run_folder / "config.yml", None, None)]
    printed = capsys.readouterr().out
    for part in (f"{len(found.vertices):,} vertices", f"{len(found.faces):,} faces", "watertight", "mesh.ply"):
        assert part in printed
    expected = {"frame": "dataset", "field": "sdf", "level": 0.0, "step": 123, "watertight": True, "resolution": 64}
    assert {key: sidecar[key] for key in expected} == expected
    assert (sidecar["vertices"], sidecar["faces"]) == (len(found.vertices), len(found.faces))
    assert sidecar["volume"] == pytest.approx(found.volume)
    assert sidecar["area"] == pytest.approx(found.area)
    assert np.allclose(sidecar["bounds"], found.bounds)
    # The sidecar's matrix alone takes the mesh to the normalised frame.
    matrix = np.array(sidecar["normalised_from_dataset"])
    centre = matrix[:3, :3] @ found.center_mass + matrix[:3, 3]
    assert np.abs(centre - fake.field.centre.numpy()).max() < 1e-3


def test_normalised_frame_on_request(run_folder):
    fake = Fake(SphereOccupancy)
    assert inr_mesh(fake, run_folder / "config.yml", "--resolution", 48, "--frame", "normalised") == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found, centre=fake.field.centre.numpy(), radius=SCALE * RADIUS)
    assert (sidecar["frame"], sidecar["field"], sidecar["level"]) == ("normalised", "occupancy", 0.5)


@long_form
def test_density_takes_the_models_level_and_loses_its_floater(run_folder, capsys):
    fake = Fake(SphereDensity, surface_level=lambda: 50.0)
    assert inr_mesh(fake, "--load-config", run_folder / "config.yml", "--resolution", 96, "--min-component", 500) == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found, tolerance=0.02)
    assert sidecar["level"] == 50.0
    assert "model" in sidecar["level_source"]
    assert sidecar["cleaned"]["pieces"] == 1
    assert "1 connected piece" in capsys.readouterr().out
    assert inr_mesh(fake, run_folder, "--resolution", 96, "--min-component", 0, "--overwrite") == 0
    assert read(run_folder / "mesh.ply")[0].body_count == 2
    assert inr_mesh(fake, run_folder, "--resolution", 96, "--keep-largest", "--overwrite") == 0
    assert read(run_folder / "mesh.ply")[0].body_count == 1


def test_density_without_a_level_of_its_own_gets_one_and_says_so(run_folder):
    assert inr_mesh(Fake(SphereDensity), run_folder, "--resolution", 64, "--keep-largest") == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found, tolerance=0.1)
    assert 0 < sidecar["level"] < 100
    assert "split" in sidecar["level_source"]


def test_level_on_request(run_folder):
    assert inr_mesh(Fake(), run_folder, "--resolution", 64, "--level", "0.05") == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found, radius=RADIUS + 0.05 / SCALE)
    assert sidecar["level_source"] == "given"


def test_the_models_tight_box_goes_before_the_scene_box(run_folder):
    fake = Fake()
    centre = fake.field.centre
    fake.model.surface_aabb = lambda: torch.stack([centre - 0.41, centre + 0.41])
    assert inr_mesh(fake, run_folder, "--resolution", 40) == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert_is_the_sphere(found)
    assert sidecar["lattice_spacing"] == pytest.approx([0.82 / 39] * 3)


def test_crop_cuts_where_the_dataset_frame_says(run_folder):
    crop = [CENTRE[0], -100.0, CENTRE[2] + 0.5, 100.0, 100.0, 100.0]
    assert inr_mesh(Fake(), run_folder, "--resolution", 80, "--crop", *crop) == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert found.is_watertight
    # Half of a spherical cap of height h = r - 1/2: pi h^2 (3 r - h) / 3.
    height = RADIUS - 0.5
    assert found.volume == pytest.approx(np.pi * height**2 * (3 * RADIUS - height) / 6, rel=0.02)
    assert found.bounds[0, [0, 2]] == pytest.approx([CENTRE[0], CENTRE[2] + 0.5], abs=1e-6)
    assert found.bounds[1, 2] == pytest.approx(CENTRE[2] + RADIUS, abs=0.01)
    assert sidecar["box_frame"] == "dataset"


@pytest.mark.parametrize("field", [SphereSDF, SphereOccupancy, SphereDensity])
def test_crop_reaches_no_further_than_the_models_box(run_folder, field):
    # The model's box cuts the sphere in half; the lattice of the crop, turned against it, reaches past the box.
    fake = Fake(field)
    centre = fake.field.centre
    fake.model.surface_aabb = lambda: torch.stack([centre - 1.0, centre + torch.tensor([1.0, 1.0, 0.0])])
    crop = [*(CENTRE - 3.0), *(CENTRE + 3.0)]
    assert inr_mesh(fake, run_folder, "--resolution", 80, "--crop", *crop, "--keep-largest") == 0
    found, _ = read(run_folder / "mesh.ply")
    assert found.is_watertight
    level = 0.05 / SCALE if field is SphereDensity else 0.0
    assert found.volume == pytest.approx(2 / 3 * np.pi * (RADIUS + 0.5 * level) ** 3, rel=0.15)
    normalised = fake.to_normalised.points(np.array(found.vertices))
    assert normalised[:, 2].max() < float(centre[2]) + 0.02


def test_open_where_the_box_cuts_on_request(run_folder):
    fake = Fake()
    fake.model.surface_aabb = lambda: torch.stack([fake.field.centre - 0.3, fake.field.centre + 0.5])
    assert inr_mesh(fake, run_folder, "--resolution", 32, "--no-closed") == 0
    assert not read(run_folder / "mesh.ply")[0].is_watertight
    assert inr_mesh(fake, run_folder, "--resolution", 32, "--overwrite") == 0
    assert read(run_folder / "mesh.ply")[0].is_watertight


@pytest.mark.parametrize("name", ["out.obj", "out.glb"])
def test_other_formats_and_places(run_folder, tmp_path, name):
    path = tmp_path / "new" / name
    assert inr_mesh(Fake(), run_folder, "--resolution", 32, "--output", path) == 0
    assert_is_the_sphere(read(path)[0], tolerance=0.02)
    assert sorted(file.name for file in run_folder.iterdir()) == ["config.yml"]


@long_form
def test_fewer_faces_and_no_colours_on_request(run_folder):
    assert inr_mesh(Fake(), run_folder, "--resolution", 48, "--max-faces", 600, "--colour", "none") == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert 500 < len(found.faces) <= 600
    assert found.visual.kind is None
    assert sidecar["colours"] is None


@long_form
def test_memory_gb_bounds_the_whole_process(run_folder):
    room = 350_000_000
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-W", "ignore", tests / "cli" / "hungry_mesh.py", run_folder, str(room)]
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tests)}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["statuses"] == [0, 0], ran.stderr
    assert found["peak"] <= found["bound"]
    unbounded, bounded = found["chunks"]
    assert 0 < bounded <= room / 8000 < unbounded
    assert found["is_same"]


@pytest.mark.parametrize(
    ("fake", "arguments", "words"),
    [
        (Fake(), ["{run}/nowhere"], "does not exist"),
        (Fake(), ["{run}/.."], "no config.yml"),
        (Fake(), [], "Give one run"),
        (Fake(), ["{run}", "--load-config", "{run}/config.yml"], "Give one run"),
        (Fake(), ["{run}", "--output", "{run}/mesh.fbx"], ".glb, .obj, .ply, .stl"),
        (Fake(), ["{run}", "--output", "{run}"], "extension"),
        (Fake(), ["{run}", "--resolution", "1"], "--resolution"),
        (Fake(), ["{run}", "--max-faces", "2"], "--max-faces"),
        (Fake(), ["{run}", "--min-component", "-5"], "--min-component"),
        (Fake(), ["{run}", "--memory-gb", "0"], "--memory-gb"),
        (Fake(), ["{run}", "--level", "nan"], "--level"),
        (Fake(), ["{run}", "--resolution", "16", "--level", "7.5"], "7.5"),
        (Fake(), ["{run}", "--resolution", "16", "--level", "-7.5"], "nothing is inside"),
        (Fake(), ["{run}", "--crop", "0", "0", "0", "0", "1", "1"], "no volume"),
        (Fake(), ["{run}", "--crop", "900", "0", "0", "901", "1", "1"], "outside the scene"),
        (Fake(), ["{run}", "--resolution", "32", "--min-component", "1000000"], "--min-component"),
        (Fake(BrokenSDF), ["{run}", "--resolution", "16"], "NaN"),
        (Fake(Sphere), ["{run}", "--resolution", "16"], "none of density, sdf and occupancy"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(run_folder, capsys, fake, arguments, words):
    before = sorted(run_folder.rglob("*"))
    assert inr_mesh(fake, *(argument.format(run=run_folder) for argument in arguments)) == 1
    caught = capsys.readouterr()
    message = [line for line in caught.err.splitlines() if line.startswith("inr-mesh: ")]
    assert len(message) == 1
    assert words in message[0]
    assert caught.out == ""
    assert sorted(run_folder.rglob("*")) == before


def test_empty_surface_reports_the_range_of_the_field(run_folder, capsys):
    fake = Fake(SphereDensity, surface_level=lambda: 5000.0)
    assert inr_mesh(fake, run_folder, "--resolution", 32) == 1
    error = capsys.readouterr().err
    assert "ranges from 0 to 100" in error
    assert "5000" in error
    assert "--level" in error


def test_existing_mesh_is_kept_and_nothing_is_loaded(run_folder, capsys):
    (run_folder / "mesh.ply").write_text("mine")
    fake = Fake()
    assert inr_mesh(fake, run_folder) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert fake.loaded == []
    assert (run_folder / "mesh.ply").read_text() == "mine"


def test_full_disk_is_one_sentence(run_folder, capsys, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert inr_mesh(Fake(), run_folder, "--resolution", 16) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert sorted(file.name for file in run_folder.iterdir()) == ["config.yml"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_nothing(run_folder, capsys, number, status):
    fake = Fake()
    fake.field.sdf = lambda x: signal.raise_signal(number)
    assert inr_mesh(fake, run_folder, "--resolution", 16) == status
    assert sorted(file.name for file in run_folder.iterdir()) == ["config.yml"]


def test_field_without_colour_gives_a_mesh_without(run_folder):
    fake = Fake()
    colourless = SimpleNamespace(sdf=fake.field.sdf)
    fake.model.field = colourless
    assert inr_mesh(fake, run_folder, "--resolution", 24) == 0
    assert read(run_folder / "mesh.ply")[1]["colours"] is None


def test_a_file_to_be_written_that_is_named_as_a_second_run_is_told_how(run_folder, capsys):
    assert inr_mesh(Fake(), run_folder, "fox.ply") == 1
    said = capsys.readouterr().err
    assert "fox.ply is no run: give the file that is to be written as --output fox.ply." in said
    assert inr_mesh(Fake(), run_folder, "elsewhere") == 1
    assert "elsewhere does not exist; give a run folder" in capsys.readouterr().err


def test_the_command_itself_fails_quickly_on_a_missing_run(tmp_path):
    code = "import sys; from inr_plugins.cli.mesh import entrypoint; sys.argv = ['inr-mesh', 'nowhere']; entrypoint()"
    heavy = "print([m for m in ('torch', 'open3d', 'mcubes', 'nerfstudio') if m in sys.modules])"
    script = f"import atexit, sys; atexit.register(lambda: {heavy}); {code}"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert (
        done.stderr == "inr-mesh: nowhere does not exist; give a run folder that ns-train wrote, or its config.yml.\n"
    )
    assert done.stdout == "[]\n"
