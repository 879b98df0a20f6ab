"""inr-eval end to end on runs that render a ball by formula: record, table, pictures, and every bad input."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
import yaml
from evaluation.ball_runs import COLOUR, RADIUS, BallModel, BallRuns, hits_ball, make_run, make_scene
from long_form import long_form
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.engine.trainer import TrainerConfig
from PIL import Image

from inr_plugins import progress
from inr_plugins.cli import eval as cli
from inr_plugins.errors import InputError
from inr_plugins.evaluation import surfaces
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.metrics.lpips import lpips_network

SAMPLES = ("--samples", "20000", "--resolution", "32")


@pytest.fixture(autouse=True)
def _elsewhere_without_lpips(monkeypatch, tmp_path_factory):
    """Records of several runs are written where the command is given."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("INR_LPIPS", "off")
    lpips_network.cache_clear()
    yield
    lpips_network.cache_clear()


@pytest.fixture(autouse=True)
def _places_of_volumes_are_fewer(monkeypatch):
    monkeypatch.setattr(surfaces, "_IOU_RESOLUTION", 64)


@pytest.fixture
def scene(tmp_path) -> Path:
    return make_scene(tmp_path / "scene")


@pytest.fixture
def run_folder(tmp_path) -> Path:
    return make_run(tmp_path / "runs" / "ball")


def write_ball(radius: float):
    """In place of inr-mesh."""

    def extract(run):
        ball = trimesh.creation.icosphere(subdivisions=4, radius=radius)
        description = {"level": 0.0, "resolution": 32, "run": "/somewhere/secret"}
        return SimpleNamespace(mesh=Mesh(np.array(ball.vertices), np.array(ball.faces)), description=description)

    return extract


def inr_eval(*arguments, load=None, extract=None) -> int:
    return cli.main([str(argument) for argument in arguments], load=load, mesh=extract or write_ball(1.1))


def read(path: Path) -> dict:
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_one_run_is_measured_by_images_surface_and_silhouettes(scene, run_folder, capsys):
    runs = BallRuns(scene, {"ball": BallModel(radius=1.1)})
    assert inr_eval(run_folder, "--silhouettes", *SAMPLES, load=runs) == 0
    record = read(run_folder / "eval.json")
    (entry,) = record["runs"]
    assert (entry["label"], entry["config"], entry["method"], entry["step"]) == ("ball", "config.yml", "ball", 7)
    images, surface = entry["images"], entry["surface"]
    ring = (hits_ball(1.1) & ~hits_ball(RADIUS)).mean()
    error = (np.array(COLOUR) / 255 - 1) ** 2
    assert images["mean"]["psnr"] == pytest.approx(-10 * math.log10(ring * error.mean()), abs=1e-4)
    assert images["mean"]["silhouette_iou"] == pytest.approx(hits_ball(RADIUS).sum() / hits_ball(1.1).sum())
    assert images["mean"]["lpips"] is None
    assert [view["file"] for view in images["views"]] == [f"test/r_{i}.png" for i in range(5)]
    assert surface["scores"]["chamfer"] == pytest.approx(0.1, rel=0.05)
    assert surface["iou"]["iou"] == pytest.approx(1 / 1.1**3, abs=0.005)
    assert (surface["truth_file"], surface["prediction_file"]) == ("../../scene/mesh.ply", None)
    assert surface["extraction"] == {"level": 0.0, "resolution": 32}
    protocol = record["protocol"]
    assert protocol["images"]["split"] == "test"
    assert (protocol["surface"]["samples"], protocol["surface"]["seed"]) == (20000, 0)
    assert "mean of per-view" in protocol["images"]["definitions"]["psnr"]
    assert record["command"].startswith("inr-eval ")
    assert {"python", "torch", "nerfstudio", "inr-plugins"} <= record["versions"].keys()
    assert record["hardware"]["cores"] >= 1
    printed = capsys.readouterr().out
    for words in ("PSNR (dB)", "silhouette IoU", "floor", "F-score at 0.5 % of the diagonal", "5 of 5 test views"):
        assert words in printed
    assert "means of per-view values" in printed
    assert cli_mark_count(printed) == 0


def cli_mark_count(printed: str) -> int:
    """How many values are marked as the best of their row."""
    return sum(line.count(" *") for line in printed.splitlines() if "best of its row" not in line)


def test_several_runs_stand_side_by_side_and_the_best_values_are_marked(scene, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = {"good": BallModel(radius=1.1), "bad-1": BallModel(radius=1.3), "bad-2": BallModel(radius=1.2)}
    folders = [make_run(tmp_path / "runs" / name) for name in models]
    runs = BallRuns(scene, models)
    assert inr_eval(*folders, "--truth", "none", "--views", 2, load=runs) == 0
    record = read(tmp_path / "eval.json")
    assert [entry["label"] for entry in record["runs"]] == ["good", "bad bad-1", "bad bad-2"]
    assert [entry["config"] for entry in record["runs"]] == [f"runs/{name}/config.yml" for name in models]
    assert all(entry["surface"] is None for entry in record["runs"])
    assert [len(entry["images"]["views"]) for entry in record["runs"]] == [2, 2, 2]
    printed = capsys.readouterr().out
    (psnr,) = (line for line in printed.splitlines() if "PSNR (dB)" in line)
    assert psnr.split()[-6:].count("*") == 1
    assert psnr.split()[psnr.split().index("*") - 1] == f"{record['runs'][0]['images']['mean']['psnr']:.2f}"
    assert "best of its row" in printed
    assert "Chamfer" not in printed
    assert "different views" not in printed


def test_equal_pictures_have_no_psnr_in_json(tmp_path, run_folder):
    scene = make_scene(tmp_path / "opaque", alpha=False, truth=False)
    runs = BallRuns(scene, {"ball": BallModel(background="black")})
    assert inr_eval(run_folder, load=runs) == 0
    (entry,) = read(run_folder / "eval.json")["runs"]
    assert entry["images"]["views"][0]["psnr"] is None
    assert entry["images"]["mean"] == {**entry["images"]["mean"], "psnr": None, "ssim": 1.0, "silhouette_iou": None}
    assert "inr-scene" in entry["missing"]["surface"]


def test_the_runs_own_mesh_is_extracted_as_inr_mesh_does(scene, run_folder, capsys):
    runs = BallRuns(scene, {"ball": BallModel(radius=0.9)})
    arguments = [str(part) for part in (run_folder, "--views", 1, *SAMPLES)]
    assert cli.main(arguments, load=runs) == 0
    surface = read(run_folder / "eval.json")["runs"][0]["surface"]
    assert surface["scores"]["chamfer"] == pytest.approx(0.1, rel=0.05)
    assert surface["extraction"]["resolution"] == 32
    assert surface["iou"]["iou"] == pytest.approx(0.9**3, abs=0.01)
    assert runs.loaded == ["ball"]
    assert sorted(path.name for path in run_folder.iterdir()) == ["config.yml", "eval.json"]
    assert "mesh.ply" not in capsys.readouterr().out


def test_a_mesh_without_a_run(scene, tmp_path, capsys):
    trimesh.creation.icosphere(subdivisions=4, radius=1.2).export(tmp_path / "other.obj")
    arguments = ["--mesh", tmp_path / "other.obj", "--truth", scene / "mesh.ply", "--output", tmp_path / "e.json"]
    assert inr_eval(*arguments, "--thresholds", 0.1, 0.3, *SAMPLES) == 0
    (entry,) = read(tmp_path / "e.json")["runs"]
    assert (entry["label"], entry["config"], entry["images"]) == ("other.obj", None, None)
    assert entry["surface"]["prediction_file"] == "other.obj"
    assert [score["f_score"] for score in entry["surface"]["scores"]["thresholds"]] == [0.0, 1.0]
    assert "F-score at 0.1" in capsys.readouterr().out


@long_form
def test_what_no_training_camera_sees_is_left_out_on_request(scene, run_folder, capsys, monkeypatch):
    # Cameras are asked about each place of the grid.
    monkeypatch.setattr(surfaces, "_IOU_RESOLUTION", 48)
    runs = BallRuns(scene, {"ball": BallModel()}, cameras=True)

    def without_caps(run):
        """A ball whose poles, which no camera of the circle sees, are drawn in."""
        found = write_ball(RADIUS)(run)
        vertices = found.mesh.vertices.copy()
        height = np.abs(vertices[:, 2])
        vertices[:, 2] = np.sign(vertices[:, 2]) * np.where(height > 0.97, 0.97 - 10 * (height - 0.97), height)
        return SimpleNamespace(mesh=Mesh(vertices, found.mesh.faces), description=found.description)

    arguments = (run_folder, "--views", 1, "--seen-only", *SAMPLES)
    assert inr_eval(*arguments, load=runs, extract=without_caps) == 0
    record = read(run_folder / "eval.json")
    surface = record["runs"][0]["surface"]
    seen = surface["seen"]
    # A camera at distance 4 of a unit ball sees the points that lean towards it by more than a quarter.
    up = (np.arange(4000) + 0.5) / 2000 - 1
    lean = np.sqrt(1 - up**2)[:, None] * np.cos(np.linspace(-np.pi / 5, np.pi / 5, 400))
    assert seen["unseen_share"] == pytest.approx((lean < 1 / 4).mean(), abs=0.005)
    assert seen["cameras"] == 5
    assert seen["scores"]["chamfer"] == pytest.approx(seen["floor"]["chamfer"], rel=0.03)
    assert surface["scores"]["chamfer"] > 1.1 * surface["floor"]["chamfer"]
    assert seen["iou"]["iou"] > surface["iou"]["iou"]
    assert 0 < seen["iou"]["left_out_share"] < 0.1
    assert "nearest of the truth's points" in record["protocol"]["surface"]["definitions"]["seen"]
    assert record["protocol"]["surface"]["seen_only"] is True
    printed = capsys.readouterr().out
    for words in ("Chamfer, seen", "(% of diagonal)", "volumetric IoU, seen", "seen by none of 5 training cameras"):
        assert words in printed


def test_what_cannot_be_seen_is_not_measured_over_it(scene, run_folder, tmp_path, capsys):
    trimesh.PointCloud(trimesh.creation.icosphere(subdivisions=4).vertices).export(tmp_path / "cloud.ply")
    runs = BallRuns(scene, {"ball": BallModel()}, cameras=True)
    for arguments, given, words in (
        (["--mesh", scene / "mesh.ply", "--truth", scene / "mesh.ply"], runs, "--seen-only needs a run"),
        ([run_folder, "--truth", "none"], runs, "leave out --truth none, or --seen-only"),
        ([run_folder, "--truth", tmp_path / "cloud.ply"], runs, "needs a true mesh"),
        ([run_folder], BallRuns(scene, {"ball": BallModel()}), "needs training cameras that are pinholes"),
    ):
        assert inr_eval(*arguments, "--seen-only", load=given) == 1
        assert words in capsys.readouterr().err
    (scene / "scene.json").unlink()
    assert inr_eval(run_folder, "--seen-only", load=runs) == 1
    assert "has no true surface: give --truth for --seen-only" in capsys.readouterr().err
    assert not (run_folder / "eval.json").exists()


def test_a_mesh_beside_a_run_takes_the_place_of_its_own(scene, run_folder, tmp_path):
    trimesh.creation.icosphere(subdivisions=4, radius=1.3).export(tmp_path / "other.ply")
    runs = BallRuns(scene, {"ball": BallModel()})
    assert inr_eval(run_folder, "--mesh", tmp_path / "other.ply", "--views", 1, *SAMPLES, load=runs) == 0
    (entry,) = read(run_folder / "eval.json")["runs"]
    assert entry["surface"]["scores"]["chamfer"] == pytest.approx(0.3, rel=0.05)
    assert entry["images"]["views_measured"] == 1


def test_pictures_are_kept_on_request_truth_on_the_left(scene, run_folder, tmp_path):
    runs = BallRuns(scene, {"ball": BallModel(colour=(0, 0, 0))})
    folder = tmp_path / "new" / "pictures"
    assert inr_eval(run_folder, "--truth", "none", "--every", 4, "--save-images", folder, load=runs) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["test_0000.png", "test_0004.png"]
    pixels = np.asarray(Image.open(folder / "test_0000.png"))
    middle = pixels.shape[0] // 2
    assert tuple(pixels[middle, middle]) == COLOUR
    assert tuple(pixels[middle, 3 * middle]) == (0, 0, 0)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["pictures"]


def test_a_surface_that_nobody_asked_for_does_not_cost_the_images(scene, run_folder, capsys):
    def fails(run):
        raise InputError("The field has no surface in the box.")

    runs = BallRuns(scene, {"ball": BallModel(radius=1.1)})
    assert inr_eval(run_folder, "--views", 1, load=runs, extract=fails) == 0
    (entry,) = read(run_folder / "eval.json")["runs"]
    assert entry["images"]["mean"]["psnr"] > 10
    assert entry["missing"]["surface"] == "The field has no surface in the box."
    assert "ball: The surface was not measured: The field has no surface" in capsys.readouterr().out
    arguments = [run_folder, "--views", 1, "--truth", scene / "mesh.ply", "--overwrite"]
    assert inr_eval(*arguments, load=runs, extract=fails) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Give a run folder"),
        (["{tmp}/nowhere"], "does not exist"),
        (["{tmp}"], "no config.yml"),
        (["{run}", "--every", "0"], "--every must be at least 1"),
        (["{run}", "--views", "0"], "--views must be at least 1"),
        (["{run}", "--every", "2", "--views", "2"], "--every or --views"),
        (["{run}", "--samples", "50"], "--samples must be at least 100"),
        (["{run}", "--resolution", "1"], "--resolution must be at least 2"),
        (["{run}", "--thresholds", "0.1", "-1"], "--thresholds must be above 0"),
        (["{run}", "--thresholds", "nan"], "--thresholds must be above 0"),
        (["{run}", "--truth", "{tmp}/no.ply"], "--truth"),
        (["{run}", "--mesh", "{tmp}/no.ply"], "--mesh"),
        (["{run}", "{run}", "--mesh", "{scene}/mesh.ply"], "one mesh"),
        (["{run}", "--mesh", "{scene}/mesh.ply", "--truth", "none"], "--truth none"),
        (["--mesh", "{scene}/mesh.ply"], "needs --truth"),
        (["{run}", "--output", "{tmp}/eval.txt"], ".json"),
        (["{run}", "--output", "{run}/config.yml/eval.json"], "is a file"),
        (["{run}", "--save-images", "{run}"], "not empty"),
        (["{run}", "--save-images", "{run}/config.yml"], "is a file"),
        (["{run}", "--truth", "{tmp}/far.ply"], "both must be in the dataset's frame"),
        (["{run}", "--truth", "{run}/config.yml"], "--truth: "),
        (["{run}", "--split", "val"], "val split"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(scene, run_folder, tmp_path, capsys, arguments, words):
    trimesh.creation.icosphere(subdivisions=1, radius=1.0).apply_translation([9, 0, 0]).export(tmp_path / "far.ply")
    (scene / "transforms_val.json").unlink()
    before = sorted(tmp_path.rglob("*"))
    places = {"run": run_folder, "tmp": tmp_path, "scene": scene}
    model = BallModel()
    assert inr_eval(*(each.format(**places) for each in arguments), load=BallRuns(scene, {"ball": model})) == 1
    caught = capsys.readouterr()
    (message,) = (line for line in caught.err.splitlines() if line.strip())
    assert message.startswith("inr-eval: ")
    assert words in message
    assert caught.out == ""
    assert model.rendered == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_background_that_cannot_be_had_is_refused_before_anything_is_measured(scene, run_folder, capsys):
    def extract(run):
        raise AssertionError("too late")

    runs = BallRuns(scene, {"ball": BallModel()}, alpha_color="white")
    assert inr_eval(run_folder, "--background", "black", load=runs, extract=extract) == 1
    assert "leave --background out" in capsys.readouterr().err


def test_nothing_is_overwritten_or_even_loaded_without_being_asked(scene, run_folder, capsys):
    (run_folder / "eval.json").write_text("mine")
    runs = BallRuns(scene, {"ball": BallModel()})
    assert inr_eval(run_folder, load=runs) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert runs.loaded == []
    assert (run_folder / "eval.json").read_text() == "mine"
    assert inr_eval(run_folder, "--truth", "none", "--overwrite", load=runs) == 0
    assert read(run_folder / "eval.json")["runs"]


def test_data_that_has_moved(scene, run_folder, tmp_path):
    scene.rename(tmp_path / "moved")
    runs = BallRuns(scene, {"ball": BallModel()})
    assert inr_eval(run_folder, "--views", 1, "--truth", "none", "--data", tmp_path / "moved", load=runs) == 0


def test_a_run_that_cannot_be_measured_does_not_cost_the_others_theirs(scene, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [make_run(tmp_path / "runs" / name) for name in ("first", "broken", "last")]
    runs = BallRuns(scene, {name: BallModel(radius=1.1) for name in ("first", "last")})

    def load(path, **options):
        if path.parent.name == "broken":
            raise InputError("the broken one is broken: fix it.")
        return runs(path, **options)

    assert inr_eval(*folders, "--truth", "none", "--views", 1, load=load) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == "inr-eval: the broken one is broken: fix it."
    record = read(tmp_path / "eval.json")
    assert [entry["config"] for entry in record["runs"]] == ["runs/first/config.yml", "runs/last/config.yml"]
    assert record["failed"] == [{"config": "runs/broken/config.yml", "reason": "the broken one is broken: fix it."}]
    (tmp_path / "eval.json").unlink()
    assert inr_eval(folders[1], folders[1], "--truth", "none", load=load) == 1
    assert not (tmp_path / "eval.json").exists()


def test_a_run_that_breaks_off_leaves_no_pictures_and_the_others_keep_theirs(scene, tmp_path, monkeypatch):
    class BreaksOff(BallModel):
        def get_outputs_for_camera(self, camera):
            outputs = super().get_outputs_for_camera(camera)
            return {"depth": outputs["rgb"]} if self.rendered > 2 else outputs

    monkeypatch.chdir(tmp_path)
    folders = [make_run(tmp_path / "runs" / name) for name in ("whole", "part")]
    runs = BallRuns(scene, {"whole": BallModel(), "part": BreaksOff()})
    assert inr_eval(*folders, "--truth", "none", "--save-images", tmp_path / "pictures", load=runs) == 1
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["whole"]
    assert len(list((tmp_path / "pictures" / "whole").iterdir())) == 5


def test_where_there_is_no_terminal_lines_say_how_far_it_is(scene, run_folder, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_SHARE", 0.0)
    runs = BallRuns(scene, {"ball": BallModel()})
    assert inr_eval(run_folder, "--truth", "none", "--views", 2, load=runs) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Rendering")]
    assert [line.rsplit(" after ")[0] for line in lines] == [f"Rendering the views of ball: {n} of 2" for n in (1, 2)]


def test_ctrl_c_leaves_nothing(scene, run_folder, tmp_path, capsys):
    class Interrupted(BallModel):
        def get_outputs_for_camera(self, camera):
            if self.rendered == 2:
                raise KeyboardInterrupt
            return super().get_outputs_for_camera(camera)

    runs, before = BallRuns(scene, {"ball": Interrupted()}), sorted(tmp_path.rglob("*"))
    assert inr_eval(run_folder, "--truth", "none", "--save-images", tmp_path / "pictures", load=runs) == 130
    assert capsys.readouterr().err.strip().endswith("inr-eval: stopped; nothing was written.")
    assert sorted(tmp_path.rglob("*")) == before


OUT_OF_MEMORY = (
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
)


@pytest.mark.parametrize("error", [*OUT_OF_MEMORY, TypeError("'NoneType' object is not iterable")])
def test_an_error_in_one_run_costs_the_others_nothing(scene, tmp_path, capsys, monkeypatch, error):
    class Breaks(BallModel):
        def get_outputs_for_camera(self, camera):
            raise error

    monkeypatch.chdir(tmp_path)
    folders = [make_run(tmp_path / "runs" / name) for name in ("first", "broken", "last")]
    runs = BallRuns(scene, {"first": BallModel(), "broken": Breaks(), "last": BallModel()})
    assert inr_eval(*folders, "--truth", "none", "--views", 1, load=runs) == 1
    record = read(tmp_path / "eval.json")
    assert [entry["config"] for entry in record["runs"]] == ["runs/first/config.yml", "runs/last/config.yml"]
    ((config, reason),) = [(each["config"], each["reason"]) for each in record["failed"]]
    assert config == "runs/broken/config.yml"
    assert str(folders[1]) in reason
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == f"inr-eval: {reason}"
    if isinstance(error, TypeError):
        assert "could not be measured (TypeError: 'NoneType' object is not iterable)" in reason
        (kept,) = re.findall(r"; (\S+\.txt) says where\.$", reason)
        assert "in get_outputs_for_camera" in Path(kept).read_text(encoding="utf-8")
    else:
        assert "not enough memory" in reason
    assert "Traceback" not in said


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_run_that_does_not_fit_when_it_is_opened_is_not_said_to_be_broken(scene, run_folder, capsys, error):
    def load(path, **options):
        raise error

    assert inr_eval(run_folder, load=load) == 1
    said = capsys.readouterr().err
    assert "not enough memory" in said
    assert "fix its data" not in said


def test_a_surface_that_does_not_fit_does_not_cost_the_images(scene, run_folder):
    def extract(run):
        raise MemoryError("Unable to allocate 8.00 GiB")

    runs = BallRuns(scene, {"ball": BallModel()})
    assert inr_eval(run_folder, "--views", 1, load=runs, extract=extract) == 0
    (entry,) = read(run_folder / "eval.json")["runs"]
    assert entry["images"]["views_measured"] == 1
    assert "not enough memory" in entry["missing"]["surface"]


def test_what_was_measured_is_on_the_disk_before_the_next_run_begins(scene, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("one", "two", "three")
    folders = [make_run(tmp_path / "runs" / name) for name in names]
    runs, seen = BallRuns(scene, {name: BallModel() for name in names}), []

    def load(path, **options):
        if (tmp_path / "eval.json").exists():
            record = read(tmp_path / "eval.json")
            seen.append((len(record["runs"]), record["pending"], sorted(os.listdir(tmp_path / "pictures"))))
        return runs(path, **options)

    arguments = ("--truth", "none", "--views", 1, "--save-images", tmp_path / "pictures")
    assert inr_eval(*folders, *arguments, load=load) == 0
    last = "runs/three/config.yml"
    assert seen == [(1, ["runs/two/config.yml", last], ["one"]), (2, [last], ["one", "two"])]
    assert read(tmp_path / "eval.json")["pending"] == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_was_measured_before_and_says_so(scene, tmp_path, capsys, monkeypatch, number, status):
    class Stopped(BallModel):
        def get_outputs_for_camera(self, camera):
            signal.raise_signal(number)

    monkeypatch.chdir(tmp_path)
    folders = [make_run(tmp_path / "runs" / name) for name in ("one", "two", "three")]
    runs = BallRuns(scene, {"one": BallModel(), "two": Stopped(), "three": BallModel()})
    assert inr_eval(*folders, "--truth", "none", "--views", 1, load=runs) == status
    assert capsys.readouterr().err.strip().endswith("inr-eval: stopped; eval.json holds 1 of 3 runs.")
    assert len(read(tmp_path / "eval.json")["runs"]) == 1
    assert runs.loaded == ["one", "two"]


def test_pictures_go_where_one_is_and_through_a_link_to_another_disk(scene, run_folder, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    runs = BallRuns(scene, {"ball": BallModel()})
    arguments = (run_folder, "--truth", "none", "--views", 1, "--overwrite", "--save-images")
    assert inr_eval(*arguments, ".", load=runs) == 0
    assert os.listdir(here) == ["test_0000.png"]
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as disk:
        (tmp_path / "link").symlink_to(disk)
        assert inr_eval(*arguments, tmp_path / "link", load=runs) == 0
        assert os.listdir(disk) == ["test_0000.png"]
        assert inr_eval(*arguments, tmp_path / "link" / "new" / "er", load=runs) == 0
        assert os.listdir(Path(disk, "new", "er")) == ["test_0000.png"]


def test_a_file_where_a_runs_pictures_go_is_seen_before_the_work(scene, tmp_path, capsys):
    folders = [make_run(tmp_path / "runs" / name) for name in ("one", "two")]
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "two").write_text("mine")
    runs = BallRuns(scene, {"one": BallModel(), "two": BallModel()})
    assert inr_eval(*folders, "--save-images", tmp_path / "pictures", "--overwrite", load=runs) == 1
    assert f"{tmp_path / 'pictures' / 'two'} is a file" in capsys.readouterr().err
    assert runs.loaded == []


def test_pictures_that_cannot_be_kept_do_not_cost_the_table(scene, run_folder, tmp_path, capsys):
    """A folder has taken the place of a picture while the run was measured."""

    class Blocks(BallModel):
        def get_outputs_for_camera(self, camera):
            (tmp_path / "pictures" / "test_0000.png").mkdir(parents=True, exist_ok=True)
            return super().get_outputs_for_camera(camera)

    runs = BallRuns(scene, {"ball": Blocks()})
    arguments = (run_folder, "--truth", "none", "--views", 1, "--save-images", tmp_path / "pictures")
    assert inr_eval(*arguments, load=runs) == 1
    said = capsys.readouterr()
    assert "PSNR" in said.out
    assert "could not be written (Is a directory)" in said.err
    assert read(run_folder / "eval.json")["runs"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(scene, run_folder, tmp_path, capsys, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(Path, "write_bytes", full)
    runs = BallRuns(scene, {"ball": BallModel()})
    assert inr_eval(run_folder, "--truth", "none", "--save-images", tmp_path / "pictures", load=runs) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_other_versions_wrote_is_one_sentence(run_folder, capsys):
    def load(path, *, device, data):
        raise RuntimeError("Error(s) in loading state_dict for Model:\n\tsize mismatch for table")

    assert inr_eval(run_folder, load=load) == 1
    message = capsys.readouterr().err
    assert "cannot be opened (RuntimeError: Error(s) in loading state_dict for Model:)" in message
    assert "versions" in message


def test_real_run_folders_are_all_looked_at_before_the_first_is_opened(scene, run_folder, tmp_path, capsys):
    config = TrainerConfig(method_name="vanilla-nerf")
    config.pipeline.datamanager = VanillaDataManagerConfig(data=scene)
    good = make_run(tmp_path / "runs" / "good")
    (good / "config.yml").write_text(yaml.dump(config))

    def refusal(*folders: Path) -> str:
        assert cli.main([str(folder) for folder in folders]) == 1
        (message,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("inr-eval: "))
        return message

    assert "has no checkpoint" in refusal(good)
    (good / "nerfstudio_models").mkdir()
    (good / "nerfstudio_models" / "step-000000009.ckpt").write_bytes(b"cut short")
    assert "not a configuration that ns-train wrote" in refusal(good, run_folder)
    assert "No usable checkpoint" in refusal(good)
    scene.rename(tmp_path / "moved")
    assert "There is no data at" in refusal(good)


def test_the_command_itself_fails_quickly_on_a_missing_run(tmp_path):
    code = "import sys; from inr_plugins.cli.eval import entrypoint; sys.argv = ['inr-eval', 'nowhere']; entrypoint()"
    heavy = "print([m for m in ('torch', 'open3d', 'trimesh', 'nerfstudio') if m in sys.modules])"
    script = f"import atexit, sys; atexit.register(lambda: {heavy}); {code}"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert (
        done.stderr == "inr-eval: nowhere does not exist; give a run folder that ns-train wrote, or its config.yml.\n"
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("option", ["--mesh", "--truth"])
def test_a_file_that_is_no_surface_by_its_name_is_refused_before_a_run_is_opened(
    scene, run_folder, tmp_path, capsys, option
):
    (tmp_path / "model.fbx").write_bytes(b"Kaydara FBX Binary")
    runs = BallRuns(scene, {"ball": BallModel()})
    assert inr_eval(run_folder, option, tmp_path / "model.fbx", load=runs) == 1
    assert f"inr-eval: {option}: {tmp_path / 'model.fbx'} is no mesh or point cloud" in capsys.readouterr().err
    assert runs.loaded == []
