"""inr-mesh --trim-to-points, and what is said of a surface that leaves its points, on runs whose field is a sphere."""

import numpy as np
import pytest
from cli.sphere_runs import Fake, inr_mesh, read
from cli.test_mesh_shapes import SPHERES, ShapeRuns


def lower_half(count: int = 4000) -> np.ndarray:
    """Points of the first sphere's lower half, in the normalised frame."""
    points = np.random.default_rng(0).normal(size=(count, 3))
    points *= SPHERES[0][2] / np.linalg.norm(points, axis=1, keepdims=True)
    return points[points[:, 2] < 0]


def cloud_runs(points) -> ShapeRuns:
    runs = ShapeRuns(count=1)
    runs.manager.shape_points = lambda number: points
    return runs


def test_the_mesh_is_cut_off_beyond_a_distance_in_units_of_the_file(run_folder, capsys):
    _, frame, radius = SPHERES[0]
    distance = 0.2 / frame.scale
    assert inr_mesh(cloud_runs(lower_half()), run_folder, "--trim-to-points", distance, "--resolution", 64) == 0
    found, sidecar = read(run_folder / "mesh.ply")
    normalised = frame.points(np.asarray(found.vertices))
    # On the equator the nearest points lie about straight below, 0.2 along the chord.
    angle = 2 * np.arcsin(0.1 / radius)
    assert normalised[:, 2].max() == pytest.approx(radius * np.sin(angle), abs=0.02)
    assert normalised[:, 2].min() == pytest.approx(-radius, abs=0.01)
    share = (1 - np.sin(angle)) / 2
    assert sidecar["beyond_points"]["area"] == pytest.approx(share, abs=0.02)
    assert sidecar["beyond_points"]["distance"] == pytest.approx(distance)
    assert sidecar["beyond_points"]["cut"] is True
    assert sidecar["beyond_points"]["distance_from"] == "given"
    assert not sidecar["watertight"]
    assert "trimmed" in capsys.readouterr().out


def test_auto_keeps_what_has_points_and_is_offered_where_much_has_none(run_folder, capsys):
    assert inr_mesh(cloud_runs(lower_half()), run_folder, "--resolution", 64) == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert found.is_watertight
    assert sidecar["beyond_points"]["cut"] is False
    assert sidecar["beyond_points"]["area"] == pytest.approx(0.45, abs=0.05)
    assert "--trim-to-points auto cuts it off" in capsys.readouterr().out
    assert (
        inr_mesh(cloud_runs(lower_half()), run_folder, "--trim-to-points=auto", "--overwrite", "--resolution=64") == 0
    )
    found, sidecar = read(run_folder / "mesh.ply")
    height = SPHERES[0][1].points(np.asarray(found.vertices))[:, 2]
    assert 0 < height.max() < 0.15
    assert sidecar["beyond_points"]["cut"] is True


def test_nothing_is_said_or_cut_where_points_are_all_around(run_folder, capsys):
    half = lower_half(8000)
    both = np.concatenate([half, -half])
    assert inr_mesh(cloud_runs(both), run_folder, "--trim-to-points", "auto", "--resolution", 48) == 0
    found, sidecar = read(run_folder / "mesh.ply")
    assert found.is_watertight
    assert sidecar["beyond_points"]["area"] == 0
    assert inr_mesh(cloud_runs(both), run_folder, "--overwrite", "--resolution", 48) == 0
    assert "--trim-to-points" not in capsys.readouterr().out


def test_the_normalised_frame_has_normalised_distances(run_folder):
    runs = cloud_runs(lower_half())
    assert inr_mesh(runs, run_folder, "--trim-to-points", 0.8, "--frame", "normalised", "--resolution", 48) == 0
    assert read(run_folder / "mesh.ply")[1]["beyond_points"]["distance"] == pytest.approx(0.8 * SPHERES[0][1].scale)


@pytest.mark.parametrize(
    ("runs", "value", "message"),
    [
        (Fake(), "auto", "this one is on images"),
        (ShapeRuns(count=1), "auto", "this one is on cup.ply, which is a mesh"),
        (cloud_runs(None), "1.0", "which is a mesh"),
        (cloud_runs(lower_half() + 5), "0.1", "--trim-to-points 0.1 leaves nothing"),
        (cloud_runs(lower_half()), "-1.0", "--trim-to-points must be above 0"),
        (cloud_runs(lower_half()), "nan", "--trim-to-points must be above 0"),
    ],
)
def test_what_cannot_be_trimmed_is_refused(run_folder, capsys, runs, value, message):
    assert inr_mesh(runs, run_folder, f"--trim-to-points={value}", "--resolution", 32) == 1
    assert message in capsys.readouterr().err
    assert not (run_folder / "mesh.ply").exists()
