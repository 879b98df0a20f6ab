"""inr-mesh stopped at each stage, and told to write where it cannot: what it says of its files is true."""

import functools
import os
import signal
import sys

import numpy as np
import pytest
from cli.sphere_runs import Fake, SphereDensity, inr_mesh, read

from inr_plugins.cli.eval import extract
from inr_plugins.cli.eval_options import EvalOptions
from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance import texture
from inr_plugins.geometry.io import mesh_io
from inr_plugins.meshing import extract as extraction
from inr_plugins.meshing import video as mesh_video

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def stop_in(stage, fake, monkeypatch, number):
    """Send the signal to this process when the command comes to a stage."""

    def stopped(*_, **__):
        signal.raise_signal(number)
        raise AssertionError("the signal was not heeded")

    if stage in ("sdf", "colour"):
        setattr(fake.field, stage, stopped)
    elif stage == "encoding":
        monkeypatch.setitem(mesh_io.WRITERS, ".ply", stopped)
    else:
        monkeypatch.setattr(mesh_video, "turntable_frames", lambda *_, **__: (stopped() for _ in [0]))


@pytest.mark.parametrize("number", STATUS, ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("stage", ["sdf", "colour", "encoding", "turning"])
@pytest.mark.parametrize("there_before", [True, False])
def test_what_is_said_to_be_written_is_written(run_folder, capsys, monkeypatch, stage, number, there_before):
    fake, video = Fake(), run_folder / "turn.mp4"
    files = ["mesh.ply", "mesh.ply.json", "turn.mp4"]
    if there_before:
        for name in files:
            (run_folder / name).write_text("mine")
    stop_in(stage, fake, monkeypatch, number)
    status = inr_mesh(fake, run_folder, "--resolution", 16, "--turntable", video, "--overwrite")
    assert status == STATUS[number]
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("inr-mesh: ")]
    left = sorted(file.name for file in run_folder.iterdir())
    if stage == "turning":
        mesh = run_folder / "mesh.ply"
        assert said == f"inr-mesh: stopped; {mesh} and {mesh}.json are written, {video} is not."
        assert len(read(mesh)[0].faces) > 0
        assert left == sorted(["config.yml", *files][: 4 if there_before else 3])
    else:
        assert said == "inr-mesh: stopped; nothing was written."
        assert left == sorted(["config.yml", *(files if there_before else [])])
    if there_before:
        kept = files[2:] if stage == "turning" else files
        assert all((run_folder / name).read_text() == "mine" for name in kept)


def test_a_video_that_fails_is_named_beside_the_mesh_that_is_there(run_folder, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mesh_video, "encode_mp4", full)
    assert inr_mesh(Fake(), run_folder, "--resolution", 16, "--turntable", run_folder / "turn.mp4") == 1
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("inr-mesh: ")]
    assert f"{run_folder / 'turn.mp4'} could not be written (No space left on device); give another place." in said
    assert f"mesh.ply.json are written, {run_folder / 'turn.mp4'} is not" in said
    assert len(read(run_folder / "mesh.ply")[0].faces) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "{run}/config.yml/mesh.ply"], "is a file"),
        (["--output", "/proc/mesh.ply"], "could not be written"),
        (["--output", "{run}/" + "m" * 260 + ".ply"], "too long"),
        (["--output", "{run}/" + "m" * 248 + ".ply"], "too long"),
        (["--output", "{run}/side.ply"], "needs the place of the folder"),
        (["--turntable", "/proc/turn.mp4"], "could not be written"),
        (["--turntable", "{run}/config.yml/turn.mp4"], "is a file"),
        (["--turntable", "{run}/side.mp4"], "is a folder"),
    ],
)
def test_places_that_take_no_file_are_refused_before_the_work(run_folder, capsys, arguments, words):
    (run_folder / "side.ply.json").mkdir()
    (run_folder / "side.mp4").mkdir()
    fake = Fake()
    assert inr_mesh(fake, run_folder, *(each.format(run=run_folder) for each in arguments)) == 1
    assert words in capsys.readouterr().err
    assert fake.loaded == []


def test_a_video_without_ffmpeg_is_refused_before_the_work(run_folder, capsys, monkeypatch):
    import imageio_ffmpeg

    def missing():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    fake = Fake()
    assert inr_mesh(fake, run_folder, "--turntable", run_folder / "turn.mp4") == 1
    assert "pip install imageio-ffmpeg" in capsys.readouterr().err
    assert fake.loaded == []


@pytest.mark.parametrize("option", [["--texture", "128", "--output", "{run}/mesh.glb"], ["--drop-unseen"]])
def test_what_the_run_cannot_give_is_refused_before_the_field_is_asked(run_folder, capsys, option):
    fake = Fake()
    asked = []
    distance = fake.field.sdf

    class WithoutColour:
        def sdf(self, x):
            asked.append(len(x))
            return distance(x)

    fake.model.field = WithoutColour()
    assert inr_mesh(fake, run_folder, *(each.format(run=run_folder) for each in option)) == 1
    assert option[0] in capsys.readouterr().err
    assert asked == []


def test_links_are_followed_to_wherever_they_lead(run_folder, tmp_path, monkeypatch):
    small = functools.partial(mesh_video.write_turntable, frames=2, size=32)
    monkeypatch.setattr(mesh_video, "write_turntable", small)
    elsewhere = tmp_path / "other disk"
    elsewhere.mkdir()
    (run_folder / "mesh.ply").symlink_to(elsewhere / "real.ply")
    (run_folder / "videos").symlink_to(elsewhere)
    video = run_folder / "videos" / "turn.mp4"
    for _ in range(2):
        assert inr_mesh(Fake(), run_folder, "--resolution", 16, "--turntable", video, "--overwrite") == 0
    assert (run_folder / "mesh.ply").is_symlink()
    assert sorted(os.listdir(elsewhere)) == ["real.ply", "turn.mp4"]
    found, _ = read(run_folder / "mesh.ply")
    assert np.isfinite(found.vertices).all()


def test_inr_eval_says_whose_the_options_are_that_would_help(run_folder, tmp_path):
    run = Fake(SphereDensity, surface_level=lambda: 5000.0)(run_folder / "config.yml", device=None, data=None)
    with pytest.raises(InputError, match=r"`level`.*\(--box, --level: of inr-mesh, whose mesh .* --mesh\)"):
        extract(run, EvalOptions(resolution=16))


def test_a_texture_without_xatlas_is_refused_before_the_run_is_opened(run_folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "xatlas", None)
    fake = Fake()
    assert inr_mesh(fake, run_folder, "--texture", 128, "--format", "glb") == 1
    assert "pip install xatlas" in capsys.readouterr().err
    assert fake.loaded == []


def test_a_mesh_too_large_for_a_texture_is_refused_before_it_is_coloured(run_folder, capsys, monkeypatch):
    monkeypatch.setattr(extraction, "check_face_count", functools.partial(texture.check_face_count, most_faces=100))
    fake = Fake()
    fake.field.colour = lambda x, d: pytest.fail("it was coloured")
    assert inr_mesh(fake, run_folder, "--texture", 128, "--format", "glb", "--resolution", 24) == 1
    assert "thin it out with --max-faces 100, or leave out the texture" in capsys.readouterr().err
    assert [path.name for path in run_folder.iterdir()] == ["config.yml"]
