"""From photographs to a dataset, by photographs of a made scene whose poses are known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from long_form import long_form
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from photo_scene import around, errors, photograph, write_photos
from PIL import Image
from with_pycolmap import needs_pycolmap

from inr_plugins.engine.host.ffmpeg import ensure_ffmpeg
from inr_plugins.errors import InputError
from inr_plugins.photos import failures, make
from inr_plugins.photos.make import make_dataset
from inr_plugins.photos.options import PhotoOptions

pytestmark = long_form

SIZE, FOCAL = (320, 240), 300.0
OPTIONS = PhotoOptions(max_features=1500)


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Photographs from a quarter of a turn, one that shows nothing, and their poses."""
    folder = tmp_path_factory.mktemp("capture") / "my photos"
    poses = around(8, degrees=90)
    write_photos(folder, [*photograph(poses, size=SIZE, focal=FOCAL), np.full((240, 320, 3), 90, np.uint8)])
    return folder, poses


@pytest.fixture(scope="module")
def made(capture, tmp_path_factory):
    output = tmp_path_factory.mktemp("made") / "dataset"
    told = set()
    result = make_dataset(capture[0], output, options=OPTIONS, tell=lambda name, *_: told.add(name))
    assert told == {"Reading photos", "Finding features", "Comparing photos", "Placing cameras", "Writing images"}
    return result


def contents(folder):
    """All files below a folder but the lock, with what is in them."""
    files = [each for each in folder.rglob("*") if each.is_file() and each.name != "lock"]
    return {str(each.relative_to(folder)): each.read_bytes() for each in files}


def frames_of(folder):
    content = json.loads((folder / "transforms.json").read_text())
    return content, np.array([frame["transform_matrix"] for frame in content["frames"]])


@needs_pycolmap
def test_poses_are_those_that_the_photos_were_taken_from(capture, made):
    content, poses = frames_of(made.folder)
    assert [frame["file_path"] for frame in content["frames"]] == [f"images/photo_{n:02d}.png" for n in range(8)]
    angles, distances = errors(poses, capture[1])
    assert angles.max() < 0.5
    assert distances.max() < 0.01 * 4.0
    assert content["fl_x"] == pytest.approx(FOCAL, rel=0.02)
    assert "applied_transform" not in content


@needs_pycolmap
def test_up_is_z_and_the_unit_is_the_distance_of_sight(capture, made):
    _, poses = frames_of(made.folder)
    # In the true scene z is up: both frames' z axes have to be one, seen by the same cameras.
    up = np.einsum("nij,j->ni", poses[:, :3, :3].swapaxes(1, 2), np.array([0.0, 0, 1]))
    true_up = np.einsum("nij,j->ni", capture[1][:, :3, :3].swapaxes(1, 2), np.array([0.0, 0, 1]))
    assert np.degrees(np.arccos(np.clip((up * true_up).sum(axis=1), -1, 1))).max() < 1.0
    assert made.report["up"]["means"] in ("level", "mean")


@needs_pycolmap
def test_nerfstudio_leaves_z_up_though_all_cameras_look_down_from_one_side(made):
    outputs = NerfstudioDataParserConfig(data=made.folder).setup().get_dataparser_outputs("train")
    np.testing.assert_allclose(outputs.dataparser_transform[:, :3].numpy(), np.eye(3), atol=1e-6)


@needs_pycolmap
def test_the_report_says_how_many_have_a_place_and_why_one_has_none(made):
    report = made.report
    assert (report["registered"], report["photos"]) == (8, 9)
    assert [each["photo"] for each in report["not_registered"]] == ["photo_08.png"]
    assert "0 features only" in report["not_registered"][0]["why"]
    assert 0 < report["reprojection_error_pixels"] < 1
    assert report == json.loads((made.folder / "report.json").read_text())


@needs_pycolmap
def test_points_are_where_the_images_show_their_colours(made):
    """Points of the file, drawn by the poses and lens of transforms.json, fall on pixels of their colours."""
    import open3d

    content, poses = frames_of(made.folder)
    cloud = open3d.io.read_point_cloud(str(made.folder / content["ply_file_path"]))
    points, colours = np.asarray(cloud.points), np.asarray(cloud.colors) * 255
    assert len(points) == made.report["points"] > 100
    apart, other = [], []
    for frame, pose in zip(content["frames"], poses, strict=True):
        image = np.asarray(Image.open(made.folder / frame["file_path"])).astype(float)
        seen = (points - pose[:3, 3]) @ pose[:3, :3] * [1, -1, -1]
        column, row = (
            content[f"fl_{axis}"] * seen[:, k] / seen[:, 2] + content[f"c{axis}"] for k, axis in enumerate("xy")
        )
        inside = (seen[:, 2] > 0) & (column > 1) & (column < content["w"] - 1) & (row > 1) & (row < content["h"] - 1)
        shown = image[row[inside].astype(int), column[inside].astype(int)]
        apart.append(np.abs(shown - colours[inside]).mean())
        other.append(np.abs(shown - np.roll(colours[inside], 7, axis=0)).mean())
    assert np.mean(apart) < 0.6 * np.mean(other)


@needs_pycolmap
def test_places_that_hang_on_too_few_points_are_refused(capture, made, tmp_path, monkeypatch):
    """As COLMAP gives them to photographs from one spot."""
    copied = tmp_path / "dataset"
    shutil.copytree(made.folder, copied)
    before = contents(copied)
    monkeypatch.setattr(failures, "_FEWEST_POINTS", made.report["points"] + 1)
    with pytest.raises(InputError, match="from one spot"):
        make_dataset(capture[0], copied, options=replace(OPTIONS, max_size=300), overwrite=True)
    # The dataset that was to be replaced is still there, and can be written anew with its poses.
    after = contents(copied)
    assert before == {name: after[name] for name in before}
    assert {Path(name).parts[:2] for name in after.keys() - before.keys()} == {("work", "anew")}
    assert make_dataset(capture[0], copied, options=OPTIONS).was_there
    monkeypatch.undo()
    told = set()
    make_dataset(
        capture[0],
        copied,
        options=replace(OPTIONS, max_size=300),
        overwrite=True,
        tell=lambda name, *_: told.add(name),
    )
    # What the new one's work had come to is not done again.
    assert told == {"Writing images"}
    assert max(json.loads((copied / "report.json").read_text())["lenses"][0]["size"]) <= 300
    assert {each.name for each in (copied / "work").iterdir()} <= {
        *("lock", "state.json", "outcome.json", "failed.json", "film.json", "models", "log.txt", "pairs.txt"),
    }


@needs_pycolmap
def test_a_picture_that_stays_where_it_is_in_all_photos_is_told(capture, tmp_path):
    """As of a thing that turns before a camera that stands still: what is around it fits best."""
    pasted = photograph(around(1), size=SIZE, focal=FOCAL)[0]
    pictures = []
    for number in range(4):
        pixels = np.array(Image.open(capture[0] / f"photo_{number:02d}.png"))
        pixels[:, 60:] = pasted[:, 60:]
        pictures.append(pixels)
    write_photos(tmp_path / "photos", pictures)
    with pytest.raises(InputError, match=r"of 4 photos found their place: most of what \d+ of \d+ matching pairs"):
        make_dataset(tmp_path / "photos", tmp_path / "out", options=PhotoOptions(max_features=500))
    assert not (tmp_path / "out" / "transforms.json").exists()


@needs_pycolmap
def test_a_stop_while_images_are_written_anew_leaves_the_old_ones(capture, made, tmp_path, monkeypatch):
    copied = tmp_path / "dataset"
    shutil.copytree(made.folder, copied)
    before = contents(copied)

    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_dataset(
            capture[0],
            copied,
            options=replace(OPTIONS, up="x"),
            overwrite=True,
            tell=lambda name, done, total: stop(done, total),
        )
    assert contents(copied) == before


@needs_pycolmap
def test_the_same_again_does_nothing_and_another_scale_keeps_the_poses(capture, made):
    before = (made.folder / "transforms.json").stat().st_mtime_ns
    assert make_dataset(capture[0], made.folder, options=OPTIONS).was_there
    assert (made.folder / "transforms.json").stat().st_mtime_ns == before
    truth = capture[1]
    metres = float(np.linalg.norm(truth[0, :3, 3] - truth[7, :3, 3]))
    measured = PhotoOptions(max_features=1500, known_length=("photo_00", "photo_07.png", metres))
    with pytest.raises(InputError, match="is complete, with other options"):
        make_dataset(capture[0], made.folder, options=measured)
    told = set()
    again = make_dataset(
        capture[0], made.folder, options=measured, overwrite=True, tell=lambda name, *_: told.add(name)
    )
    assert told == {"Writing images"}
    _, poses = frames_of(again.folder)
    sizes = [np.linalg.norm(each[:, None, :3, 3] - each[None, :, :3, 3], axis=-1) for each in (poses, truth)]
    assert np.abs(sizes[0] - sizes[1]).max() < 0.01 * metres
    assert again.report["units"] == "metres"


@needs_pycolmap
def test_one_seed_gives_one_result_after_a_stop_too(capture, made, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(make, "write_dataset", stop)
        with pytest.raises(KeyboardInterrupt):
            make_dataset(capture[0], tmp_path / "a", options=OPTIONS)
    assert not (tmp_path / "a" / "transforms.json").exists()
    make_dataset(capture[0], tmp_path / "a", options=OPTIONS)
    again = make_dataset(capture[0], tmp_path / "b", options=OPTIONS)
    first, second = frames_of(tmp_path / "a")[1], frames_of(again.folder)[1]
    assert np.array_equal(first, second)


def test_too_few_photographs_are_refused_before_anything_is_made(tmp_path):
    write_photos(tmp_path / "photos", [np.zeros((30, 40, 3), np.uint8)])
    with pytest.raises(InputError, match=r"There is one photograph in .*photos.*give 20 or more") as error:
        make_dataset(tmp_path / "photos", tmp_path / "out")
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


@needs_pycolmap
@pytest.mark.parametrize("was_there", [False, True])
@pytest.mark.parametrize(("name", "words"), [("walk.mp4", "does not decode as a video"), ("a.png", "one photograph")])
def test_a_video_that_will_not_do_leaves_nothing(tmp_path, was_there, name, words):
    """The second is a picture, which ffmpeg takes for a video of one frame."""
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    (tmp_path / "walk.mp4").write_bytes(b"no film at all")
    output = tmp_path / "out"
    if was_there:
        output.mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=words):
        make_dataset(tmp_path / name, output, ffmpeg=ensure_ffmpeg)
    assert sorted(tmp_path.rglob("*")) == before
