"""make_scene end to end: what it writes, in which frame, and what it refuses."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh
from long_form import long_form
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.scenes import make as scene_module
from inr_plugins.scenes.make import SceneOptions, make_scene

SMALL = SceneOptions(resolution=(48, 40), num_train=5, num_val=2, num_test=3, samples=4, coverage="sphere")
COUNTS = {"train": 5, "val": 2, "test": 3}


@pytest.fixture(scope="module")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lopsided mesh far from the origin, in millimetres, so that no frame is the identity."""
    shape = trimesh.creation.icosphere(subdivisions=3)
    shape.apply_scale([300.0, 200.0, 500.0])
    horn = trimesh.creation.cone(radius=100.0, height=400.0)
    horn.apply_transform(trimesh.transformations.rotation_matrix(1.2, [1, 0.3, 0]))
    shape = trimesh.util.concatenate([shape, horn])
    shape.apply_translation([5000.0, -2000.0, 700.0])
    path = tmp_path_factory.mktemp("source") / "blob.ply"
    shape.export(path)
    return path


@pytest.fixture(scope="module")
def made(blob: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "deep" / "blob"
    make_scene(blob, folder, options=SMALL)
    return folder


def frames(folder: Path, split: str) -> tuple[dict, list[dict]]:
    meta = json.loads((folder / f"transforms_{split}.json").read_text())
    return meta, meta["frames"]


def test_all_files_are_there_and_nothing_else(made: Path):
    for split, count in COUNTS.items():
        _, listed = frames(made, split)
        assert len(listed) == count
        for frame in listed:
            assert Image.open(made / (frame["file_path"] + ".png")).mode == "RGBA"
            assert np.load(made / frame["depth_file_path"]).shape == (40, 48)
            assert Image.open(made / frame["normal_file_path"]).size == (48, 40)
            assert Image.open(made / frame["object_mask_file_path"]).mode == "L"
        assert len(list((made / split).iterdir())) == count
    assert list(made.parent.iterdir()) == [made]  # no temporary folder is left


def test_nerfstudio_reads_it_and_its_rays_hit_the_mesh_where_depth_and_mask_say(made: Path):
    """The whole chain: nerfstudio's dataparser and cameras, trimesh's ray caster, our files."""
    from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig

    truth = trimesh.load(made / "mesh.ply", process=False)
    for split, count in COUNTS.items():
        outputs = BlenderDataParserConfig(data=made).setup().get_dataparser_outputs(split)
        assert len(outputs.image_filenames) == count
        assert all(path.is_file() for path in outputs.image_filenames)
        box = outputs.scene_box.aabb.numpy()
        assert (truth.bounds[0] > box[0]).all()
        assert (truth.bounds[1] < box[1]).all()
        outputs.cameras.height[:], outputs.cameras.width[:] = 40, 48
        rays = outputs.cameras.generate_rays(camera_indices=0)
        origins, directions = (x.numpy().reshape(-1, 3).astype(float) for x in (rays.origins, rays.directions))
        points, which, _ = truth.ray.intersects_location(origins, directions, multiple_hits=False)
        pose = outputs.cameras.camera_to_worlds[0].numpy()
        expected = np.zeros(40 * 48)
        expected[which] = (points - pose[:, 3]) @ -pose[:, 2]
        depth = np.load(made / "depth" / split / "r_0.npy").reshape(-1)
        mask = np.array(Image.open(made / "masks" / split / "r_0.png")).reshape(-1)
        assert ((expected > 0) != (mask == 255)).sum() <= 1
        seen = (expected > 0) & (depth > 0)
        assert np.abs(expected - depth)[seen].max() < 1e-3


def test_vertices_project_into_the_mask_of_every_view(made: Path):
    vertices = trimesh.load(made / "mesh.ply", process=False).vertices
    for split in COUNTS:
        meta, listed = frames(made, split)
        focal = 0.5 * 48 / np.tan(0.5 * meta["camera_angle_x"])
        assert focal == pytest.approx(meta["fl_x"])
        for frame in listed:
            local = np.c_[vertices, np.ones(len(vertices))] @ np.linalg.inv(np.array(frame["transform_matrix"])).T
            column = focal * local[:, 0] / -local[:, 2] + 24
            row = -focal * local[:, 1] / -local[:, 2] + 20
            alpha = np.array(Image.open(made / (frame["file_path"] + ".png")))[..., 3] > 0
            grown = np.pad(alpha, 1)
            near = np.zeros_like(alpha)
            for dy in range(3):
                for dx in range(3):
                    near |= grown[dy : dy + 40, dx : dx + 48]
            assert near[np.floor(row).astype(int), np.floor(column).astype(int)].all()
            # And the object fills the picture: its radius was scaled to fit.
            assert np.ptp(row) > 20


def test_source_to_dataset_is_the_map_from_the_file_to_mesh_ply(blob: Path, made: Path):
    sidecar = json.loads((made / "scene.json").read_text())
    matrix = np.array(sidecar["source_to_dataset"])
    before, after = trimesh.load(blob, process=False).vertices, trimesh.load(made / "mesh.ply", process=False).vertices
    assert np.allclose(before @ matrix[:3, :3].T + matrix[:3, 3], after, atol=1e-5)
    assert np.linalg.norm(after, axis=1).max() == pytest.approx(1.2, abs=1e-5)
    assert np.allclose(after.min(0), -after.max(0), atol=1e-5)
    assert sidecar["options"]["light"]["gloss"] == 1.0
    assert sidecar["source"] == "blob.ply"  # the name only: no path of the machine it was made on


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_files_and_another_seed_other_views(blob: Path, made: Path, tmp_path: Path):
    make_scene(blob, tmp_path / "again", options=SMALL)
    assert contents(tmp_path / "again") == contents(made)
    make_scene(blob, tmp_path / "other", options=SceneOptions(**{**vars(SMALL), "seed": 1}))
    assert contents(tmp_path / "other")["train/r_0.png"] != contents(made)["train/r_0.png"]


def test_a_background_is_laid_under_the_picture(blob: Path, made: Path, tmp_path: Path):
    make_scene(blob, tmp_path / "white", options=SceneOptions(**{**vars(SMALL), "background": "white"}))
    clear = np.array(Image.open(made / "train/r_0.png")) / 255.0
    solid = np.array(Image.open(tmp_path / "white/train/r_0.png"))
    assert (solid[..., 3] == 255).all()
    assert np.abs(solid[..., :3] / 255 - (clear[..., :3] * clear[..., 3:] + 1 - clear[..., 3:])).max() < 1 / 255


def test_progress_counts_every_view_once(blob: Path, tmp_path: Path):
    seen: list[tuple[int, int]] = []
    make_scene(blob, tmp_path / "s", options=SMALL, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 10) for i in range(1, 11)]


def test_a_folder_that_is_not_empty_is_kept_without_overwrite(blob: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="overwrite=True"):
        make_scene(blob, tmp_path, options=SMALL)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_a_name_that_no_folder_can_have_is_refused_before_any_work(blob: Path, tmp_path: Path):
    with pytest.raises(InputError, match="is too long for a name; give a folder"):
        make_scene(blob, tmp_path / ("x" * 300), options=SMALL)
    assert list(tmp_path.iterdir()) == []


def test_overwrite_never_deletes_what_it_did_not_write(blob: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not written by inr-scene"):
        make_scene(blob, tmp_path, options=SMALL, overwrite=True)
    scene = tmp_path / "scene"
    make_scene(blob, scene, options=SMALL)
    (scene / "outputs").mkdir()
    with pytest.raises(InputError, match="outputs"):
        make_scene(blob, scene, options=SMALL, overwrite=True)
    assert (scene / "outputs").is_dir()
    (scene / "outputs").rmdir()
    with pytest.raises(InputError, match="lies in"):
        make_scene(scene / "mesh.ply", scene, options=SMALL, overwrite=True)
    with pytest.raises(InputError, match="is a file"):
        make_scene(blob, tmp_path / "notes.txt", options=SMALL, overwrite=True)


def test_overwrite_replaces_all_of_the_old_scene(blob: Path, made: Path, tmp_path: Path):
    scene = tmp_path / "scene"
    make_scene(blob, scene, options=SceneOptions(**{**vars(SMALL), "num_train": 9}))
    make_scene(blob, scene, options=SMALL, overwrite=True)
    assert contents(scene) == contents(made)
    assert list(tmp_path.iterdir()) == [scene]


@long_form
@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_when_writing_fails_the_old_scene_stays_and_nothing_is_left(
    blob: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
):
    scene = tmp_path / "scene"
    make_scene(blob, scene, options=SMALL)
    before = contents(scene)
    count, lock, write = [0], threading.Lock(), scene_module.write_view

    def failing(*args: object) -> None:
        with lock:
            count[0] += 1
            if count[0] == 4:
                raise trouble
        if count[0] > 4:
            # Who is to stop the others may be waiting for a processor.
            time.sleep(1)
        write(*args)

    monkeypatch.setattr(scene_module, "write_view", failing)
    expected = InputError if isinstance(trouble, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        make_scene(blob, scene, options=SceneOptions(**{**vars(SMALL), "seed": 3}), overwrite=True)
    if expected is InputError:
        assert "No space left" in str(caught.value)
    assert contents(scene) == before
    assert list(tmp_path.iterdir()) == [scene]
    assert count[0] < 10  # the rest was not rendered for nothing


def test_an_error_in_the_progress_callback_stops_the_work(blob: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C usually lands there."""
    write, written = scene_module.write_view, []

    def counted(*args: object) -> None:
        written.append(args[1:3])
        write(*args)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scene_module, "write_view", counted)
    many = SceneOptions(**{**vars(SMALL), "num_train": 100})
    with pytest.raises(KeyboardInterrupt):
        make_scene(blob, tmp_path / "s", options=many, on_progress=stop)
    assert len(written) < 50
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"resolution": (1, 200)}, "resolution"),
        ({"resolution": (10, 10, 10)}, "resolution"),
        ({"resolution": ()}, "resolution"),
        ({"num_train": 0}, "num-train"),
        ({"num_val": 0}, "num-val"),
        ({"num_test": -1}, "num-test"),
        ({"radius": 1.2}, "radius"),
        ({"radius": float("nan")}, "radius"),
        ({"object_radius": 0.0}, "object-radius"),
        ({"fov": 180.0}, "fov"),
        ({"samples": 0}, "samples"),
        ({"seed": -1}, "seed"),
        ({"light": scene_module.LightOptions(gloss=-1.0)}, "light.gloss"),
    ],
)
def test_options_that_make_no_sense_are_named(blob: Path, tmp_path: Path, change: dict, option: str):
    with pytest.raises(InputError, match=f"^`{option.replace('-', '_')}` "):
        make_scene(blob, tmp_path / "s", options=SceneOptions(**{**vars(SMALL), **change}))
    assert not (tmp_path / "s").exists()


def test_a_word_that_names_nothing_lists_the_objects(tmp_path: Path):
    with pytest.raises(InputError, match="espresso, knot, lantern, windmill"):
        make_scene("teapot", tmp_path / "s", options=SMALL)
    assert list(tmp_path.iterdir()) == []
