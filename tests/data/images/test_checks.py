"""Every kind of bad dataset ends, when the datamanager is made, in one sentence that names the file or the option."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import Blender, BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.scene_box import SceneBox
from PIL import Image
from small_datasets import blender_scene, edit_json, nerfstudio_scene, write_noise

from inr_plugins.data.images.checks import check_dataparser_outputs
from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.errors import InputError


def complaint(parser, *, test_mode: str = "val") -> str:
    """The sentence with which the datamanager refuses `parser`'s data."""
    with pytest.raises(InputError) as caught:
        InrDataManagerConfig(dataparser=parser).setup(device="cpu", test_mode=test_mode)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert re.fullmatch(r"[^.].*\.", sentence), sentence
    return sentence


def blender(folder: Path, **options) -> BlenderDataParserConfig:
    return BlenderDataParserConfig(data=folder, **options)


def nerfstudio(folder: Path, **options) -> NerfstudioDataParserConfig:
    return NerfstudioDataParserConfig(data=folder, eval_mode="interval", **options)


def frame(number: int, **entries) -> Callable[[dict], None]:
    """A change that gives frame `number` of a JSON document these entries; None takes an entry out."""

    def change(document: dict) -> None:
        for key, value in entries.items():
            if value is None:
                del document["frames"][number][key]
            else:
                document["frames"][number][key] = value

    return change


def matrix(scale: float = 1.0, **entries: float) -> list[list[float]]:
    """An identity pose, scaled, with entries such as m03 replaced."""
    pose = np.diag([scale, scale, scale, 1.0])
    for key, value in entries.items():
        pose[int(key[1]), int(key[2])] = value
    return pose.tolist()


BAD_POSES = {
    "finite": matrix(m03=float("nan")),
    "singular": matrix(scale=0.0),
    "rigid": matrix(scale=2.0),
    "right angles": matrix(m01=0.5),
    "mirrors": matrix(m00=-1.0),
    "last row": matrix(m32=1.0),
    "shape": np.eye(3).tolist(),
    "not all numbers": [["a", 0, 0, 0]] * 4,
}


# -- where the data is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parser", [blender, nerfstudio])
def test_missing_folder(tmp_path: Path, parser) -> None:
    sentence = complaint(parser(tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in sentence
    assert "--data" in sentence
    assert "INR_DATA" in sentence


@pytest.mark.parametrize("parser", [blender, nerfstudio])
def test_empty_folder(tmp_path: Path, parser) -> None:
    sentence = complaint(parser(tmp_path))
    assert str(tmp_path) in sentence
    assert "empty" in sentence


def test_a_run_whose_data_has_moved(tmp_path: Path) -> None:
    """What ns-render and ns-viewer meet: no training, and a saved configuration that names the old place."""
    assert str(tmp_path / "gone") in complaint(blender(tmp_path / "gone"), test_mode="inference")


@pytest.mark.parametrize(
    ("make", "parser", "name"),
    [(blender_scene, blender, "transforms_train.json"), (nerfstudio_scene, nerfstudio, "transforms.json")],
)
def test_missing_transforms(tmp_path: Path, make, parser, name: str) -> None:
    (make(tmp_path) / name).unlink()
    sentence = complaint(parser(tmp_path))
    assert name in sentence
    assert str(tmp_path) in sentence


def test_data_of_the_other_format_names_the_right_parser(tmp_path: Path) -> None:
    assert "nerfstudio-data" in complaint(blender(nerfstudio_scene(tmp_path / "a")))
    assert "blender-data" in complaint(nerfstudio(blender_scene(tmp_path / "b")))


def test_a_file_without_a_lens_is_not_instant_ngps(tmp_path: Path) -> None:
    edit_json(
        nerfstudio_scene(tmp_path) / "transforms.json",
        lambda document: [entry.pop("fl_x", None) for entry in (document, *document["frames"])],
    )
    assert "nerfstudio-data" in complaint(blender(tmp_path))
    assert "has no fl_x" in complaint(nerfstudio(tmp_path))


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    scene = nerfstudio_scene(tmp_path)
    assert "transforms.json" in complaint(blender(scene / "transforms.json"))


def test_missing_split_of_blender_data(tmp_path: Path) -> None:
    blender_scene(tmp_path)
    for split in ("val", "test"):
        (tmp_path / f"transforms_{split}.json").unlink()
    assert "transforms_val.json" in complaint(blender(tmp_path))


# -- the JSON file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "parser", "name"),
    [(blender_scene, blender, "transforms_train.json"), (nerfstudio_scene, nerfstudio, "transforms.json")],
)
def test_json_cut_short(tmp_path: Path, make, parser, name: str) -> None:
    path = make(tmp_path) / name
    path.write_text('{"camera_angle_x": 0.7,\n "frames": [{"file_path"', encoding="utf-8")
    sentence = complaint(parser(tmp_path))
    assert str(path) in sentence
    assert "line 2, column 25" in sentence


def test_json_that_is_not_text(tmp_path: Path) -> None:
    path = blender_scene(tmp_path) / "transforms_train.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert str(path) in complaint(blender(tmp_path))


@pytest.mark.parametrize("document", [[], {}, {"frames": []}, {"frames": {"a": 1}}])
def test_json_without_frames(tmp_path: Path, document) -> None:
    for make, parser, name in (
        (blender_scene, blender, "transforms_train.json"),
        (nerfstudio_scene, nerfstudio, "transforms.json"),
    ):
        path = make(tmp_path / name.split(".")[0]) / name
        path.write_text(json.dumps(document), encoding="utf-8")
        assert str(path) in complaint(parser(path.parent))


@pytest.mark.parametrize(
    ("make", "parser", "name"),
    [(blender_scene, blender, "transforms_train.json"), (nerfstudio_scene, nerfstudio, "transforms.json")],
)
@pytest.mark.parametrize("key", ["transform_matrix", "file_path"])
def test_frame_without_an_entry(tmp_path: Path, make, parser, name: str, key: str) -> None:
    path = make(tmp_path) / name
    edit_json(path, frame(2, **{key: None}))
    sentence = complaint(parser(tmp_path))
    assert f"Frame 2 of {path}" in sentence
    assert key in sentence


@pytest.mark.parametrize(
    ("make", "parser", "name"),
    [(blender_scene, blender, "transforms_train.json"), (nerfstudio_scene, nerfstudio, "transforms.json")],
)
@pytest.mark.parametrize("word", BAD_POSES)
def test_bad_pose(tmp_path: Path, make, parser, name: str, word: str) -> None:
    path = make(tmp_path) / name
    edit_json(path, frame(1, transform_matrix=BAD_POSES[word]))
    sentence = complaint(parser(tmp_path))
    assert f"Frame 1 of {path}" in sentence
    assert word in sentence


def test_pose_with_rounded_numbers_is_accepted(tmp_path: Path) -> None:
    path = blender_scene(tmp_path) / "transforms_train.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    edit_json(path, frame(1, transform_matrix=np.round(document["frames"][1]["transform_matrix"], 3).tolist()))
    InrDataManagerConfig(dataparser=blender(tmp_path)).setup(device="cpu", test_mode="val")


@pytest.mark.parametrize("angle", [0, -1.0, float("nan"), 3.2, "wide", None])
def test_blender_focal_length(tmp_path: Path, angle) -> None:
    path = blender_scene(tmp_path) / "transforms_train.json"
    edit_json(path, lambda document: document.update(camera_angle_x=angle))
    sentence = complaint(blender(tmp_path))
    assert str(path) in sentence
    assert "camera_angle_x" in sentence


@pytest.mark.parametrize("value", [0, -3.0, float("nan"), "wide", None])
@pytest.mark.parametrize("place", ["frame", "file"])
def test_nerfstudio_focal_length(tmp_path: Path, value, place: str) -> None:
    path = nerfstudio_scene(tmp_path) / "transforms.json"
    if place == "file":
        edit_json(path, lambda document: [entry.pop("fl_x") for entry in document["frames"]])
    change = frame(3, fl_x=value) if place == "frame" else lambda document: document.update(fl_x=value)
    edit_json(path, change)
    sentence = complaint(nerfstudio(tmp_path))
    assert str(path) in sentence
    assert "fl_x" in sentence


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (frame(2, w=None), "has no w"),
        (frame(2, cx=float("inf")), "cx"),
        (lambda document: document.update(k1=float("nan")), "distortion"),
        (lambda document: document.update(camera_model="PINHOLES"), "PINHOLES"),
        (frame(2, mask_path="masks/02.png"), "mask_path"),
        (lambda document: document.update(train_filenames=["images/00.png"]), "val_filenames"),
        (lambda document: document.update(train_filenames=["images/99.png"]), "images/99.png"),
        (lambda document: document.update(train_filenames=[], val_filenames=["images/00.png"]), "train_filenames"),
    ],
)
def test_nerfstudio_entries(tmp_path: Path, change, word: str) -> None:
    path = nerfstudio_scene(tmp_path) / "transforms.json"
    edit_json(path, change)
    sentence = complaint(nerfstudio(tmp_path))
    assert str(path) in sentence
    assert word in sentence


def test_cameras_at_one_point_cannot_be_scaled(tmp_path: Path) -> None:
    path = nerfstudio_scene(tmp_path) / "transforms.json"

    def change(document: dict) -> None:
        for entry in document["frames"]:
            entry["transform_matrix"] = matrix(m23=2.0)

    edit_json(path, change)
    assert "--auto-scale-poses" in complaint(nerfstudio(tmp_path))


def test_world_to_camera_matrices_of_an_orbit_are_recognised(tmp_path: Path) -> None:
    """Their translations are one point, the distance along the axis, but for rounding."""

    def invert(document: dict) -> None:
        for index, frame in enumerate(document["frames"]):
            inverse = np.linalg.inv(frame["transform_matrix"])
            # Some processors round nothing here.
            inverse[0, 3] += index * 1e-14
            frame["transform_matrix"] = inverse.tolist()

    nerfstudio_scene(tmp_path)
    edit_json(tmp_path / "transforms.json", invert)
    assert "world-to-camera" in complaint(nerfstudio(tmp_path))


@pytest.mark.parametrize(
    ("views", "options", "split"),
    [(5, {"eval_mode": "fraction"}, "val"), (1, {"eval_mode": "interval", "auto_scale_poses": False}, "train")],
)
def test_split_without_images(tmp_path: Path, views: int, options: dict, split: str) -> None:
    nerfstudio_scene(tmp_path, sizes=[(12, 10)] * views)
    sentence = complaint(NerfstudioDataParserConfig(data=tmp_path, **options))
    assert f"The {split} split of {tmp_path} has no images" in sentence


# -- images and masks ----------------------------------------------------------------------------------------------

SCENES = [(blender_scene, blender, "train/r_{}.png"), (nerfstudio_scene, nerfstudio, "images/0{}.png")]


@pytest.mark.parametrize(("make", "parser", "pattern"), SCENES)
@pytest.mark.parametrize("number", [0, 2])
def test_missing_image(tmp_path: Path, make, parser, pattern: str, number: int) -> None:
    path = make(tmp_path) / pattern.format(number)
    path.unlink()
    sentence = complaint(parser(tmp_path))
    assert str(path) in sentence
    assert "missing" in sentence


@pytest.mark.parametrize(("make", "parser", "pattern"), SCENES)
@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("kept", [0, 20, 0.6])
def test_image_cut_short(tmp_path: Path, make, parser, pattern: str, number: int, kept: float) -> None:
    """No bytes, a part of the header, and a header with a part of the pixels."""
    path = make(tmp_path) / pattern.format(number)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    sentence = complaint(parser(tmp_path))
    assert str(path) in sentence
    assert "does not decode" in sentence


def test_text_in_place_of_an_image(tmp_path: Path) -> None:
    path = blender_scene(tmp_path) / "val/r_1.png"
    path.write_text("version https://git-lfs.github.com/spec/v1", encoding="utf-8")
    assert str(path) in complaint(blender(tmp_path))


def test_blender_file_path_with_extension(tmp_path: Path) -> None:
    edit_json(blender_scene(tmp_path) / "transforms_train.json", frame(0, file_path="./train/r_0.png"))
    assert "extension" in complaint(blender(tmp_path))


@pytest.mark.parametrize(("make", "parser", "pattern"), SCENES)
def test_mixed_sizes(tmp_path: Path, make, parser, pattern: str) -> None:
    path = make(tmp_path) / pattern.format(2)
    write_noise(path, width=7, height=9, mode="RGB")
    sentence = complaint(parser(tmp_path))
    assert str(path) in sentence
    assert "7 x 9" in sentence
    assert "12 x 10" in sentence
    assert "may sizes differ" in sentence, "found from the headers, before images are loaded"


@pytest.mark.parametrize("mode", ["CMYK", "P", "LA", "1", "I;16"])
def test_pixels_that_nerfstudio_would_misread(tmp_path: Path, mode: str) -> None:
    path = nerfstudio_scene(tmp_path) / "images/02.png"
    image = Image.new(mode, (12, 10))
    image.save(path, format="TIFF" if mode == "CMYK" else "PNG")
    assert str(path) in complaint(nerfstudio(tmp_path))


def test_alpha_in_some_images_only(tmp_path: Path) -> None:
    path = blender_scene(tmp_path) / "train/r_2.png"
    write_noise(path, width=12, height=10, mode="RGB")
    sentence = complaint(blender(tmp_path, alpha_color=None))
    assert str(path) in sentence
    assert "--alpha-color" in sentence


@pytest.mark.parametrize("kind", ["missing", "size", "channels", "damaged", "black"])
def test_bad_masks(tmp_path: Path, kind: str) -> None:
    path = nerfstudio_scene(tmp_path, masks=True) / "masks/02.png"
    if kind == "missing":
        path.unlink()
    elif kind == "size":
        Image.new("L", (10, 12), 255).save(path)
    elif kind == "channels":
        Image.new("RGB", (12, 10)).save(path)
    elif kind == "damaged":
        path.write_bytes(path.read_bytes()[:-30])
    else:
        for each in path.parent.iterdir():
            Image.new("L", (12, 10), 0).save(each)
    sentence = complaint(nerfstudio(tmp_path))
    assert (str(path) if kind != "black" else "masks of the train split") in sentence


def test_mask_colour_without_masks(tmp_path: Path) -> None:
    assert "--mask-color" in complaint(nerfstudio(nerfstudio_scene(tmp_path), mask_color=(1.0, 0.0, 0.0)))


# -- options and other parsers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.0, float("nan"), -2.0])
def test_scale_factor(tmp_path: Path, scale: float) -> None:
    assert "--scale-factor" in complaint(blender(blender_scene(tmp_path), scale_factor=scale))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_scene_box_without_volume(tmp_path: Path, scale: float) -> None:
    sentence = complaint(nerfstudio(nerfstudio_scene(tmp_path), scene_scale=scale))
    assert "--scene-scale" in sentence
    assert str(tmp_path) in sentence


class BrokenParser(Blender):
    """Stands for any parser that meets what nobody foresaw."""

    error: BaseException = KeyError("sensor_width")

    def _generate_dataparser_outputs(self, split: str = "train") -> DataparserOutputs:
        raise self.error


def test_an_unforeseen_error_of_a_parser_is_told_in_a_sentence(tmp_path: Path) -> None:
    config = blender(blender_scene(tmp_path))
    config._target = BrokenParser
    with pytest.raises(InputError, match="KeyError: 'sensor_width'") as caught:
        InrDataManagerConfig(dataparser=config).setup(device="cpu")
    assert str(tmp_path) in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_interrupt_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BrokenParser, "error", KeyboardInterrupt())
    config = blender(blender_scene(tmp_path))
    config._target = BrokenParser
    with pytest.raises(KeyboardInterrupt):
        InrDataManagerConfig(dataparser=config).setup(device="cpu")


def outputs(folder: Path, **changes) -> DataparserOutputs:
    """What some parser might give for two images."""
    parser: DataParser = BlenderDataParserConfig(data=folder).setup()
    good = parser.get_dataparser_outputs("train")
    for name, value in changes.items():
        owner = good.cameras if hasattr(good.cameras, name) else good
        setattr(owner, name, value)
    return good


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"camera_to_worlds": torch.full((4, 3, 4), torch.nan)}, ["train/r_0.png", "finite"]),
        ({"camera_to_worlds": torch.zeros(4, 3, 4)}, ["train/r_0.png", "singular"]),
        ({"fx": torch.tensor([[9.0], [9.0], [0.0], [9.0]])}, ["train/r_2.png", "fx = 0"]),
        ({"fy": torch.tensor([[9.0], [torch.nan], [9.0], [9.0]])}, ["train/r_1.png", "fy = nan"]),
        ({"cx": torch.full((4, 1), torch.inf)}, ["train/r_0.png", "cx"]),
        ({"width": torch.zeros(4, 1, dtype=torch.long)}, ["train/r_0.png", "0 x 10"]),
        ({"distortion_params": torch.full((4, 6), torch.nan)}, ["train/r_0.png", "distortion"]),
        ({"image_filenames": []}, ["train split", "no images"]),
        ({"image_filenames": [Path("a.png")]}, ["1 images", "4 cameras"]),
        ({"mask_filenames": [Path("a.png")]}, ["4 images", "1 masks"]),
        ({"scene_box": SceneBox(aabb=torch.tensor([[0.0, 0, 0], [1.0, 0, 1]]))}, ["no volume"]),
        ({"alpha_color": torch.tensor([2.0, 0, 0])}, ["--alpha-color"]),
    ],
)
def test_outputs_of_any_parser(tmp_path: Path, change: dict, words: list[str]) -> None:
    scene = blender_scene(tmp_path)
    check_dataparser_outputs(outputs(scene), split="train", config=blender(scene))
    with pytest.raises(InputError) as caught:
        check_dataparser_outputs(outputs(scene, **change), split="train", config=blender(scene))
    for word in words:
        assert word in str(caught.value)


def test_nothing_is_written_to_the_cameras_of_good_data(tmp_path: Path) -> None:
    scene = blender_scene(tmp_path)
    stock: Cameras = outputs(scene).cameras
    ours = InrDataManagerConfig(dataparser=blender(scene)).setup(device="cpu").all_train_cameras
    for name in ("camera_to_worlds", "fx", "fy", "cx", "cy"):
        assert torch.equal(getattr(ours, name), getattr(stock, name).float())
        assert getattr(ours, name).dtype == torch.float32
