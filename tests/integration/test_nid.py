"""nid-shapes and nid-fit through their own trainers and datamanager, and what can be done with their runs."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
import trimesh
from inr_plugins.method_configs.nid import nid_fit, nid_shapes
from integration.small_methods import small_nid
from long_form import long_form
from short_runs import assert_same_state, train

from inr_plugins.cli import fit_scans, mesh
from inr_plugins.cli.analyze import main as analyze
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError

pytestmark = long_form

AXES = np.array([[50.0, 40.0, 60.0], [40.0, 50.0, 60.0], [60.0, 40.0, 40.0], [50.0, 60.0, 50.0]])
"""Half axes of ellipsoids, in millimetres, say."""
CENTRE = np.array([120.0, -40.0, 7.0])


def ellipsoid(axes):
    """Its mesh, with the middle off the origin."""
    shape = trimesh.creation.icosphere(3, 1.0)
    shape.apply_scale(axes)
    shape.apply_translation(CENTRE)
    return shape


def write_cloud(path, axes, count):
    """Points of an ellipsoid with their normals, as a PLY of text."""
    direction = np.random.default_rng(0).normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    normal = direction / axes
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    names = "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
    rows = np.concatenate([direction * axes + CENTRE, normal], 1)
    text = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in rows)
    path.write_text(f"ply\nformat ascii 1.0\nelement vertex {count}\n{names}end_header\n{text}\n")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A folder of ellipsoids, with one file in it that cannot be read."""
    folder = tmp_path_factory.mktemp("some shapes")
    for number, axes in enumerate(AXES):
        ellipsoid(axes).export(folder / f"shape_{number}.ply")
    (folder / "shape_9.ply").write_text("ply\n")
    return folder


@pytest.mark.parametrize("gate", ["table", "points"])
def test_a_dictionary_that_was_stopped_in_its_warm_up_goes_on_with_the_same_bits(gate, shapes, tmp_path):
    total, stop = 8, 3

    def config(name):
        each = small_nid(nid_shapes, shapes, tmp_path / name)
        each.pipeline.model.gate = gate
        for group in each.optimizers.values():
            # As of a run that was interrupted: the length of the whole.
            group["scheduler"].max_steps = total
        return each

    straight = train(config("straight"), total)
    first = train(config("first"), stop)
    assert not first.pipeline.model.is_sparse
    second = train(config("second"), total - stop, load_dir=first.checkpoint_dir)
    assert second.pipeline.model.is_sparse
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)


@pytest.fixture(scope="module")
def dictionary(shapes, tmp_path_factory):
    config = small_nid(nid_shapes, shapes, tmp_path_factory.mktemp("dictionary"))
    config.pipeline.datamanager.points_per_batch = 2000
    return train(config, 120)


def test_every_shape_of_a_dictionary_is_evaluated_on_its_own_pictures(dictionary):
    opened = load_run(dictionary.base_dir, device="cpu", test_mode="test")
    model = opened.pipeline.model
    assert model.is_sparse
    assert model.names == tuple(f"shape_{number}" for number in range(4))
    camera, batch = next(iter(opened.pipeline.datamanager.fixed_indices_eval_dataloader))
    metrics, _ = model.get_image_metrics_and_images(model.get_outputs_for_camera(camera), batch)
    assert metrics["psnr"] > 10


def test_a_shape_of_a_dictionary_becomes_a_mesh_in_the_units_of_its_file(dictionary, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    output = tmp_path / "mesh.ply"
    arguments = ["--shape", "shape_2", "--output", str(output), "--resolution", "32", "--device", "cpu"]
    assert mesh.main([str(dictionary.base_dir), *arguments]) == 0
    found = trimesh.load(output)
    assert found.volume > 0
    np.testing.assert_allclose(found.bounds.mean(0), CENTRE, atol=6)
    np.testing.assert_allclose(np.ptp(found.bounds, axis=0), 2 * AXES[2], atol=12)


def test_what_is_between_two_shapes_becomes_meshes_whose_distances_are_blended(dictionary, tmp_path, capsys):
    blend = ["--shape", "0", "--towards", "shape_2", "--blend", "0", "0.25", "1"]
    arguments = [*blend, "--output", str(tmp_path), "--resolution", "32", "--device", "cpu", "--frame", "normalised"]
    assert mesh.main([str(dictionary.base_dir), *arguments]) == 0
    model = load_run(dictionary.base_dir, device="cpu").pipeline.model
    for share in (0, 0.25, 1):
        found = torch.from_numpy(trimesh.load(tmp_path / f"0-shape_2-{share:g}.ply").vertices).float()
        with torch.no_grad():
            apart = (1 - share) * model.field_of(0).sdf(found) + share * model.field_of(2).sdf(found)
            assert float(apart.abs().max()) < 0.02
            # A sum of distances that is not that of this share would be.
            assert float((model.field_of(1).sdf(found)).abs().max()) > 0.04
        told = json.loads((tmp_path / f"0-shape_2-{share:g}.ply.json").read_text())
        assert (told["shape"], told["towards"], told["blend"]) == ("shape_0", "shape_2", share)
    assert mesh.main([str(dictionary.base_dir), "--towards", "mean", "--resolution", "16", "--device", "cpu"]) == 0
    assert (dictionary.base_dir / "meshes/mean-0.5.ply").exists()
    assert "blend  0.5 of the way to mean" in capsys.readouterr().out


def test_the_codes_of_a_dictionary_are_drawn_along_their_principal_directions(dictionary, tmp_path, capsys):
    assert analyze([str(dictionary.base_dir), "codes", "--device", "cpu", "--output", str(tmp_path / "new")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"codes {len(AXES)} of " in said
    rows = list(csv.DictReader((tmp_path / "new" / "codes.csv").open(encoding="utf-8")))
    assert [row["name"] for row in rows] == [f"shape_{number}" for number in range(len(AXES))]
    codes = np.stack([dictionary.pipeline.model.code_of(number).numpy().ravel() for number in range(len(AXES))])
    apart = np.linalg.norm(codes[0] - codes[1])
    places = np.array([[float(row[f"direction_{k + 1}"]) for k in range(len(AXES) - 1)] for row in rows])
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(apart, rel=1e-4)
    assert (tmp_path / "new" / "codes.png").stat().st_size > 5000


@pytest.fixture(scope="module")
def fit(dictionary, tmp_path_factory):
    """A run of nid-fit on an ellipsoid between those of the dictionary, which was deleted when it had begun."""
    folder = tmp_path_factory.mktemp("fit")
    write_cloud(folder / "cloud.ply", UNSEEN, 2000)
    copied = folder / "copied dictionary"
    shutil.copytree(dictionary.base_dir, copied)
    config = small_nid(nid_fit, folder / "cloud.ply", folder)
    config.pipeline.model.dictionary = copied
    trainer = train(config, 4)
    shutil.rmtree(copied)
    return trainer


UNSEEN = np.array([48.0, 48.0, 56.0])


def test_an_unseen_shape_is_fitted_at_the_size_that_its_dictionary_was_learnt_at(dictionary, fit):
    learnt = dictionary.pipeline.datamanager.shape_frame(0).scale
    assert fit.pipeline.datamanager.shape_frame(0).scale == pytest.approx(learnt)
    model = fit.pipeline.model.eval()
    direction = torch.nn.functional.normalize(torch.randn(300, 3), dim=-1)
    on = direction * torch.tensor(learnt * UNSEEN).float()
    with torch.no_grad():
        assert float(model.field.sdf(on).abs().mean()) < 0.06


def test_a_fit_outlives_its_dictionary(fit, tmp_path, monkeypatch):
    opened = load_run(fit.base_dir, device="cpu", test_mode="test")
    x = 2 * torch.rand(50, 3) - 1
    with torch.no_grad():
        assert torch.equal(opened.pipeline.model.field.sdf(x), fit.pipeline.model.eval().field.sdf(x))
    monkeypatch.setenv("INR_LPIPS", "off")
    output = tmp_path / "mesh.ply"
    assert mesh.main([str(fit.base_dir), "--output", str(output), "--resolution", "32", "--device", "cpu"]) == 0
    np.testing.assert_allclose(np.ptp(trimesh.load(output).bounds, axis=0), 2 * UNSEEN, atol=12)
    assert json.loads((tmp_path / "mesh.ply.json").read_text())["field"] == "sdf"


def test_a_fit_that_was_stopped_goes_on_without_its_dictionary_with_the_same_bits(dictionary, fit, tmp_path):
    data = fit.config.pipeline.datamanager.data
    total, stop = 5, 2

    def config(name, source):
        each = small_nid(nid_fit, data, tmp_path / name)
        each.pipeline.model.dictionary = source
        each.optimizers["code"]["scheduler"].max_steps = total
        return each

    straight = train(config("straight", dictionary.base_dir), total)
    first = train(config("first", dictionary.base_dir), stop)
    gone = config("second", tmp_path / "gone")
    second = train(gone, total - stop, load_dir=first.checkpoint_dir)
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)


@pytest.mark.parametrize("which", ["none", "missing", "images"])
def test_a_fit_without_a_dictionary_ends_in_a_sentence_and_leaves_no_folder(which, shapes, tmp_path):
    config = small_nid(nid_fit, shapes / "shape_0.ply", tmp_path / "out")
    if which != "none":
        config.pipeline.model.dictionary = tmp_path / "nowhere"
    if which == "images":
        (tmp_path / "nowhere").mkdir()
    words = {"none": "needs a dictionary", "missing": "no dictionary at", "images": "no checkpoints in"}
    with pytest.raises(InputError, match=words[which]):
        train(config, 2)
    assert not (tmp_path / "out").exists()


def test_a_fit_writes_its_mesh_where_its_run_would_have_it(dictionary, fit, tmp_path, monkeypatch, capsys):
    """The same surface as inr-mesh finds in the run, in the frame and units of the cloud."""
    monkeypatch.setenv("INR_LPIPS", "off")
    config = small_nid(nid_fit, fit.config.pipeline.datamanager.data, tmp_path / "runs")
    config.pipeline.model.dictionary = dictionary.base_dir
    config.mesh, config.mesh_resolution = tmp_path / "made" / "fit.ply", 48
    trainer = train(config, 4)
    assert "faces, in units of cloud.ply" in " ".join(capsys.readouterr().out.split())
    made = trimesh.load(config.mesh)
    output = tmp_path / "later.ply"
    assert mesh.main([str(trainer.base_dir), "--output", str(output), "--resolution", "48", "--device", "cpu"]) == 0
    later = trimesh.load(output)
    np.testing.assert_array_equal(made.faces, later.faces)
    np.testing.assert_allclose(made.vertices, later.vertices, atol=1e-4)
    # On the ellipsoid to a few hundredths of its size, where the code alone misses it by more.
    away = np.abs(np.linalg.norm((made.vertices - CENTRE) / UNSEEN, axis=1) - 1)
    assert away.mean() < 0.02
    told = json.loads((trainer.base_dir / "nid_fit.json").read_text())["detail"]
    assert told["left_in_file_units"] < 0.5 * told["missed_in_file_units"]
    described = json.loads((tmp_path / "made" / "fit.ply.json").read_text())
    assert described["run"] == str(trainer.base_dir / "config.yml")
    # A file that is there is refused before a run begins.
    again = small_nid(nid_fit, fit.config.pipeline.datamanager.data, tmp_path / "again")
    again.pipeline.model.dictionary, again.mesh = dictionary.base_dir, config.mesh
    with pytest.raises(InputError, match=r"--mesh .*fit.ply exists already"):
        train(again, 4)
    assert not (tmp_path / "again").exists()


def test_a_folder_of_scans_is_fitted_in_one_command(dictionary, tmp_path, capsys, monkeypatch):
    """Each scan's mesh is where nid-fit alone would have it, whatever was fitted before it in the same process."""
    monkeypatch.setenv("INR_LPIPS", "off")
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for name, axes in {"a": UNSEEN, "b": UNSEEN[::-1], "d": AXES[1]}.items():
        write_cloud(scans / f"{name}.ply", axes, 800)
    (scans / "c.ply").write_text("ply\n")
    arguments = [
        str(dictionary.base_dir),
        str(scans),
        str(out),
        "--steps",
        "3",
        "--resolution",
        "32",
        "--device",
        "cpu",
    ]
    assert fit_scans.main(arguments) == 1
    said = capsys.readouterr()
    assert "inr-fit: c: " in said.err
    with (out / "scans.csv").open() as file:
        rows = {row["scan"]: row for row in csv.DictReader(file)}
    assert [bool(rows[name]["error"]) for name in "abcd"] == [False, False, True, False]
    assert rows["d"]["alike"].startswith("shape_1 ")
    assert rows["a"]["size"] == "800 points"
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["scans.csv", *(f"{name}.ply{more}" for name in "abd" for more in ("", ".json"))]
    )
    for name, axes in {"a": UNSEEN, "b": UNSEEN[::-1], "d": AXES[1]}.items():
        found = trimesh.load(out / f"{name}.ply")
        away = np.abs(np.linalg.norm((found.vertices - CENTRE) / axes, axis=1) - 1)
        assert away.mean() < 0.03, name
        assert 0.5 < float(rows[name]["observed"]) <= 1
    # Alone, and kept: the same surface.
    kept = [str(dictionary.base_dir), str(scans / "b.ply"), str(tmp_path / "kept"), *arguments[3:], "--keep-runs"]
    assert fit_scans.main(kept) == 0
    alone = trimesh.load(tmp_path / "kept" / "b.ply")
    np.testing.assert_allclose(alone.vertices, trimesh.load(out / "b.ply").vertices, atol=1e-4)
    (config,) = (tmp_path / "kept" / "runs").rglob("config.yml")
    assert mesh.main([str(config), "--output", str(tmp_path / "m.ply"), "--resolution", "32", "--device", "cpu"]) == 0
    np.testing.assert_allclose(trimesh.load(tmp_path / "m.ply").vertices, alone.vertices, atol=1e-4)
