"""Scenes are recognised by what is in them, and bad ones refused by name."""

import json
import shutil
from pathlib import Path

import pytest
from bench_helpers import write_blender
from PIL import Image

from inr_plugins.bench.scenes import VIDEO_TRUTH, find_scenes, read_scene
from inr_plugins.cli.phantom import video_files
from inr_plugins.data.signals.clip_judge import TRUTH_ENDINGS
from inr_plugins.errors import InputError


def test_a_blender_scene_is_described(scene_folder):
    scene = read_scene(scene_folder)
    assert (scene.name, scene.parser, scene.resolution) == ("ball", "blender-data", (12, 8))
    assert (scene.train_views, scene.test_views) == (4, 3)


def test_a_nerfstudio_scene_is_described(scene_folder):
    frames = [{"file_path": f"train/r_{index}.png"} for index in range(4)]
    for name in ("transforms_train.json", "transforms_test.json"):
        (scene_folder / name).unlink()
    (scene_folder / "transforms.json").write_text(json.dumps({"frames": frames}))
    scene = read_scene(scene_folder)
    assert (scene.parser, scene.train_views, scene.test_views) == ("nerfstudio-data", 4, 0)


def test_a_moved_scene_is_the_same_and_a_changed_one_is_not(scene_folder, tmp_path):
    before = read_scene(scene_folder).digest
    moved = Path(shutil.move(scene_folder, tmp_path / "elsewhere"))
    assert read_scene(moved).digest == before
    image = moved / "test" / "r_1.png"
    image.write_bytes(image.read_bytes() + b"more")
    changed = read_scene(moved).digest
    assert changed != before
    poses = moved / "transforms_test.json"
    poses.write_text(poses.read_text().replace("0.7", "0.8"))
    assert read_scene(moved).digest not in (before, changed)


def test_a_folder_of_scenes_stands_for_them(tmp_path):
    for name in ("b", "a"):
        write_blender(tmp_path / "all" / name)
    (tmp_path / "all" / "notes").mkdir()
    assert [scene.name for scene in find_scenes([tmp_path / "all"])] == ["a", "b"]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: shutil.rmtree(folder), "There is no scene folder"),
        (lambda folder: [file.unlink() for file in folder.glob("*.json")], "is no dataset"),
        (lambda folder: (folder / "transforms_test.json").unlink(), "transforms_test.json cannot be read"),
        (lambda folder: (folder / "transforms_train.json").write_text("{"), "transforms_train.json cannot be read"),
        (lambda folder: (folder / "transforms_train.json").write_text("{}"), "lists no frames"),
        (lambda folder: (folder / "transforms_train.json").write_text('{"frames": [1]}'), "without file_path"),
        (lambda folder: (folder / "test" / "r_2.png").unlink(), "r_2, which is not there"),
        (lambda folder: (folder / "train" / "r_0.png").write_text("no"), "not an image"),
    ],
)
def test_a_bad_scene_is_one_sentence(scene_folder, break_it, words):
    break_it(scene_folder)
    with pytest.raises(InputError, match=words):
        find_scenes([scene_folder])


def test_two_scenes_of_one_name_are_refused(tmp_path):
    folders = [write_blender(tmp_path / each / "ball") for each in ("x", "y")]
    with pytest.raises(InputError, match="Two scenes are called ball"):
        find_scenes(folders)


def test_a_mesh_is_a_scene_and_so_is_a_folder_of_them(tmp_path):
    (tmp_path / "people").mkdir()
    for name in ("b.obj", "a.PLY", "notes.txt"):
        (tmp_path / "people" / name).write_text(name)
    folder, file = find_scenes([tmp_path / "people", tmp_path / "people" / "b.obj"])
    assert (folder.name, folder.parser, folder.folder) == ("people", "shape-data", tmp_path / "people")
    assert (file.name, file.parser, file.folder) == ("b", "shape-data", tmp_path / "people" / "b.obj")
    assert (file.resolution, file.train_views, file.test_views) == (None, 0, 0)


def test_a_moved_shape_is_the_same_and_a_changed_or_renamed_one_is_not(tmp_path):
    (tmp_path / "people").mkdir()
    mesh = tmp_path / "people" / "a.ply"
    mesh.write_text("a mesh")
    (tmp_path / "people" / "notes.txt").write_text("words")
    before = read_scene(tmp_path / "people").digest, read_scene(mesh).digest
    (tmp_path / "people" / "notes.txt").write_text("other words")
    moved = Path(shutil.move(tmp_path / "people", tmp_path / "elsewhere"))
    assert (read_scene(moved).digest, read_scene(moved / "a.ply").digest) == before
    (moved / "a.ply").write_text("A mesh")
    changed = read_scene(moved).digest
    assert changed != before[0]
    (moved / "a.ply").rename(moved / "b.ply")
    assert read_scene(moved).digest not in (changed, before[0])


def test_a_mesh_beside_datasets_of_images_does_not_hide_them(tmp_path):
    for name in ("b", "a"):
        write_blender(tmp_path / "all" / name)
        # As inr-scene leaves it.
        (tmp_path / "all" / name / "mesh.ply").write_text("the truth")
    (tmp_path / "all" / "stray.ply").write_text("a mesh")
    assert [(scene.name, scene.parser) for scene in find_scenes([tmp_path / "all"])] == [
        ("a", "blender-data"),
        ("b", "blender-data"),
    ]


def test_folders_of_shapes_in_a_folder_are_a_scene_each(tmp_path):
    for name in ("cups", "chairs", "empty"):
        (tmp_path / "all" / name).mkdir(parents=True)
    for name in ("cups/a.ply", "cups/b.ply", "chairs/c.obj"):
        (tmp_path / "all" / name).write_text(name)
    assert [scene.name for scene in find_scenes([tmp_path / "all"])] == ["chairs", "cups"]


def test_a_file_that_is_no_shape_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(InputError, match="is no dataset"):
        find_scenes([tmp_path / "notes.txt"])


def test_an_image_is_a_scene_and_a_folder_of_them_is_as_many(tmp_path):
    for name, size in (("b.png", (7, 5)), ("a.JPG", (4, 4))):
        Image.new("RGB", size).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    first, second = find_scenes([tmp_path])
    assert [first.name, second.name] == ["a", "b"]
    assert (second.parser, second.folder, second.resolution) == ("signal-data", tmp_path / "b.png", (7, 5))
    assert (second.train_views, second.test_views) == (0, 1)
    assert find_scenes([tmp_path / "b.png"]) == [second]
    Image.new("RGB", (7, 5), "red").save(tmp_path / "b.png")
    assert read_scene(tmp_path / "b.png").digest != second.digest


def test_measurements_are_scenes_with_what_stands_beside_them(tmp_path):
    for name in ("head.npy", "scan.h5", "brain.nii.gz"):
        (tmp_path / name).write_bytes(b"numbers")
    (tmp_path / "head.json").write_text("{}")
    Image.new("F", (4, 4)).save(tmp_path / "sinogram.tif")
    assert find_scenes([tmp_path / "sinogram.tif"])[0].parser == "signal-data"
    (tmp_path / "sinogram.json").write_text("{}")
    files = [tmp_path / name for name in ("head.npy", "scan.h5", "brain.nii.gz", "sinogram.tif")]
    found = find_scenes(files)
    assert [(each.name, each.parser, each.folder) for each in found] == [
        (name, "measured-data", file) for name, file in zip(("head", "scan", "brain", "sinogram"), files, strict=True)
    ]
    (tmp_path / "head.json").write_text('{"spacing_mm": 1}')
    assert read_scene(files[0]).digest != found[0].digest
    (tmp_path / "series").mkdir()
    for name in ("2.dcm", "1.dcm"):
        (tmp_path / "series" / name).write_bytes(b"slice")
    (each,) = find_scenes([tmp_path / "series"])
    assert (each.name, each.parser) == ("series", "measured-data")


def test_pictures_are_measurements_where_what_stands_beside_them_says_so(tmp_path):
    (tmp_path / "stack").mkdir()
    for path in ("stack/1.png", "stack/2.png", "amplitude.png", "object.png"):
        Image.new("L", (4, 4)).save(tmp_path / path)
    assert [each.name for each in find_scenes([tmp_path / "stack"])] == ["1", "2"]
    (tmp_path / "stack.json").write_text('{"values": "intensity", "amplitude": "amplitude.png"}')
    (tmp_path / "object.json").write_text('{"values": "object"}')
    found = find_scenes([tmp_path / "stack", tmp_path / "object.png"])
    assert [(each.name, each.parser) for each in found] == [("stack", "measured-data"), ("object", "measured-data")]
    assert find_scenes([tmp_path])[0] == found[0]
    # What judges a fit is a part of the scene.
    Image.new("L", (4, 4), 255).save(tmp_path / "amplitude.png")
    assert read_scene(tmp_path / "stack").digest != found[0].digest
    # Words about a picture make it no measurement.
    for words in ('{"caption": "a cat"}', "no JSON", "[1]"):
        (tmp_path / "object.json").write_text(words)
        assert read_scene(tmp_path / "object.png").parser == "signal-data"


def test_a_folder_of_slices_that_one_stands_in_is_a_scene(tmp_path, monkeypatch):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_bytes(b"slice")
    monkeypatch.chdir(tmp_path / "series")
    assert [(each.name, each.parser) for each in find_scenes([Path()])] == [("series", "measured-data")]


def test_images_beside_datasets_and_shapes_are_none_of_them(scene_folder, tmp_path):
    Image.new("RGB", (4, 4)).save(scene_folder.parent / "cover.png")
    assert [scene.name for scene in find_scenes([scene_folder.parent])] == ["ball"]
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "a.ply").write_text("a")
    Image.new("RGB", (4, 4)).save(tmp_path / "people" / "a.png")
    assert [scene.parser for scene in find_scenes([tmp_path / "people"])] == ["shape-data"]


def test_what_is_named_like_an_image_and_is_none_is_one_sentence(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.png is not an image that can be read"):
        find_scenes([tmp_path])


def test_images_that_move_and_folders_of_videos_are_refused_as_such(tmp_path):
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 200)]
    for name in ("moves.png", "moves.webp", "moves.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(InputError, match=rf"{name} has 2 frames, as an animation or pages, and is no scene"):
            find_scenes([tmp_path / name])
    (tmp_path / "film").mkdir()
    (tmp_path / "film" / "a.MP4").write_bytes(b"film")
    with pytest.raises(InputError, match=r"film has a video in it .* give --scenes the files .* \S*film/a\.MP4\."):
        find_scenes([tmp_path / "film"])
    # A telephone's, whose further frames are previews.
    frames[0].save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert find_scenes([tmp_path / "phone.jpg"])[0].resolution == (4, 4)


def test_a_video_is_a_scene_with_the_truth_that_was_made_with_it(tmp_path):
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(b"film")
    (tmp_path / "moves.gif").write_bytes(b"film")
    found, other = find_scenes([clip, tmp_path / "moves.gif"])
    assert (found.name, found.parser, found.folder, found.resolution) == ("clip", "video-data", clip, None)
    assert (found.train_views, found.test_views) == (0, 1)
    assert other.parser == "video-data"
    # What judges a fit is a part of the scene; half of it is none.
    (tmp_path / "clip_background.png").write_bytes(b"still")
    assert read_scene(clip).digest == found.digest
    (tmp_path / "clip_mask.mkv").write_bytes(b"mask")
    judged = read_scene(clip).digest
    assert judged != found.digest
    (tmp_path / "clip_mask.mkv").write_bytes(b"another")
    assert read_scene(clip).digest not in (judged, found.digest)


def test_the_truth_of_a_clip_is_called_alike_everywhere():
    assert VIDEO_TRUTH == TRUTH_ENDINGS
    assert [each.name for each in video_files(Path("a/clip.mkv"))] == [
        "clip.mkv",
        *(f"clip{end}" for end in VIDEO_TRUTH),
    ]
