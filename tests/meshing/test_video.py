"""Videos of a turning mesh, read back frame by frame."""

from dataclasses import replace

import imageio_ffmpeg
import numpy as np
import pytest
from mesh_shapes import sphere

from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance.mesh_render import turntable_frames
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.meshing import video as mesh_video
from inr_plugins.meshing.video import check_video, write_turntable


@pytest.fixture
def mesh() -> Mesh:
    ball = sphere(subdivisions=3)
    return replace(ball, colours=(ball.vertices + 1) / 2)


def test_the_video_holds_the_frames(tmp_path, mesh):
    told: list[tuple[int, int]] = []
    path = tmp_path / "new" / "turn.mp4"
    write_turntable(mesh, path, frames=6, size=64, seconds=2.0, progress=lambda done, total: told.append((done, total)))
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    frames = [np.frombuffer(data, np.uint8).reshape(64, 64, 3) for data in reader]
    assert meta["size"] == (64, 64)
    assert meta["fps"] == pytest.approx(3.0)
    wanted = list(turntable_frames(mesh, frames=6, size=64))
    assert len(frames) == 6
    # Colours have half the resolution in a video.
    assert all(np.abs(a.astype(float) - b).mean() < 6 for a, b in zip(frames, wanted, strict=True))
    assert told == [(k, 6) for k in range(1, 7)]
    assert [file.name for file in path.parent.iterdir()] == ["turn.mp4"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), MemoryError()])
def test_a_turn_that_is_stopped_leaves_what_was_there(tmp_path, mesh, monkeypatch, failure):
    path = tmp_path / "turn.mp4"
    path.write_text("before")

    def stopped(*args, **kwargs):
        yield np.zeros((64, 64, 3), dtype=np.uint8)
        raise failure

    monkeypatch.setattr(mesh_video, "turntable_frames", stopped)
    with pytest.raises(type(failure)):
        write_turntable(mesh, path, frames=3, size=64, overwrite=True)
    assert path.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_ffmpeg_that_fails_is_reported_with_its_reason(tmp_path, mesh, monkeypatch):
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\nfor last; do :; done\necho half > $last\necho 'no such codec' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(broken))
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(InputError, match="no such codec"):
        write_turntable(mesh, folder / "turn.mp4", frames=2, size=64)
    assert not list(folder.iterdir())


def test_a_missing_ffmpeg_names_the_install(tmp_path, mesh, monkeypatch):
    def missing():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        write_turntable(mesh, tmp_path / "turn.mp4", frames=2, size=64)


def test_an_ffmpeg_that_is_not_where_it_was_said_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "gone"))
    with pytest.raises(InputError, match="IMAGEIO_FFMPEG_EXE"):
        check_video(tmp_path / "turn.mp4", overwrite=False)


def test_names_and_numbers_that_make_no_video_are_refused(tmp_path, mesh):
    (tmp_path / "there.mp4").write_text("mine")
    (tmp_path / "folder.mp4").mkdir()
    for name, match in [("turn.avi", r"\.mp4"), ("there.mp4", "overwrite=True"), ("folder.mp4", "is a folder")]:
        with pytest.raises(InputError, match=match):
            write_turntable(mesh, tmp_path / name, frames=2, size=64)
    for options, match in [({"size": 63}, "even"), ({"frames": 0}, "0 frames"), ({"seconds": 0.0}, "0.0 seconds")]:
        with pytest.raises(InputError, match=match):
            write_turntable(mesh, tmp_path / "turn.mp4", **options)
    assert (tmp_path / "there.mp4").read_text() == "mine"
