"""A dataset with one held-out split has it for both, val and test, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from small_datasets import blender_scene, colmap_scene, edit_json, nerfstudio_scene

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.data.images.images import InrDataset
from inr_plugins.data.images.parser import CheckedDataParser
from inr_plugins.evaluation.runs import stand_in_note


def nerfstudio(folder: Path, given: str) -> NerfstudioDataParserConfig:
    def change(document: dict) -> None:
        names = [frame["file_path"] for frame in document["frames"]]
        document["train_filenames"], document[f"{given}_filenames"] = names[:7], names[7:]

    edit_json(nerfstudio_scene(folder) / "transforms.json", change)
    return NerfstudioDataParserConfig(data=folder)


def blender(folder: Path, given: str) -> BlenderDataParserConfig:
    other = {"val": "test", "test": "val"}[given]
    (blender_scene(folder) / f"transforms_{other}.json").unlink()
    return BlenderDataParserConfig(data=folder)


def colmap(folder: Path, given: str) -> ColmapDataParserConfig:
    names = sorted(path.relative_to(folder / "images").as_posix() for path in colmap_scene(folder).rglob("*.png"))
    (folder / "train_list.txt").write_text("\n".join(names[:6]))
    (folder / f"{given}_list.txt").write_text("\n".join(names[6:]))
    return ColmapDataParserConfig(data=folder)


@pytest.mark.parametrize("given", ["val", "test"])
@pytest.mark.parametrize("make", [nerfstudio, blender, colmap])
def test_the_other_held_out_split_is_taken(
    tmp_path: Path, make, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = CheckedDataParser(make(tmp_path, given).setup(), test_mode="val")
    parser.get_dataparser_outputs("train")
    own = parser.get_dataparser_outputs(given)
    assert "taken for it" not in capsys.readouterr().out
    assert "stands_in" not in own.metadata
    other = {"val": "test", "test": "val"}[given]
    for _ in range(2):
        taken = parser.get_dataparser_outputs(other)
    assert taken.image_filenames == own.image_filenames
    assert taken.metadata["stands_in"] == given
    said = " ".join(capsys.readouterr().out.split())
    assert said.count(f"has no {other} split: its {given} split is taken for it") == 1


@pytest.mark.parametrize("make", [nerfstudio_scene, blender_scene])
def test_datasets_with_both_keep_both(tmp_path: Path, make) -> None:
    config = (NerfstudioDataParserConfig if make is nerfstudio_scene else BlenderDataParserConfig)(data=make(tmp_path))
    parser = CheckedDataParser(config.setup(), test_mode="val")
    assert all("stands_in" not in parser.get_dataparser_outputs(split).metadata for split in ("val", "test"))


def test_training_says_at_its_start_what_evaluation_will_want(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = InrDataManagerConfig(dataparser=BlenderDataParserConfig(data=blender_scene(tmp_path)))
    config.setup(device="cpu", test_mode="val")
    assert "cannot be evaluated" not in capsys.readouterr().out
    (tmp_path / "test/r_2.png").unlink()
    config.setup(device="cpu", test_mode="val").next_train(0)
    said = " ".join(capsys.readouterr().out.split())
    assert "the trained run cannot be evaluated" in said
    assert "r_2.png is missing" in said.replace("/ ", "/")


def test_an_evaluation_says_which_split_it_measured(tmp_path: Path) -> None:
    parser = CheckedDataParser(nerfstudio(tmp_path, "val").setup(), test_mode="test")
    dataset = InrDataset(parser.get_dataparser_outputs("test"))
    assert stand_in_note(dataset, "test") == "The dataset has no test split: the views of its val split were measured."
    assert stand_in_note(InrDataset(parser.get_dataparser_outputs("val")), "val") is None
