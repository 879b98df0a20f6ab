"""The inr-scene command: what it prints and its exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trimesh
from long_form import long_form

from inr_plugins.cli.scene import main
from inr_plugins.scenes import make as scene_maker

QUICK = ["--resolution", "24", "--num-train", "2", "--num-val", "1", "--num-test", "1", "--samples", "1"]


def test_a_mesh_becomes_a_dataset_and_the_next_command_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    trimesh.creation.torus(1.0, 0.3).export(tmp_path / "ring.stl")
    folder = tmp_path / "my scene"
    assert main([str(tmp_path / "ring.stl"), str(folder), *QUICK]) == 0
    assert (folder / "transforms_train.json").is_file()
    said = capsys.readouterr().out
    assert f"ns-train diner --data '{folder}'" in said
    assert "2 train, 1 val, 1 test" in said


def test_what_of_the_file_is_missing_or_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    triangle = "v 0 0 0\nv 1 0 0\nv 0 1 1\nvt 0 0\nl 1 2\nusemtl a\nf 1/1 2/1 3/1\n"
    (tmp_path / "m.obj").write_text("mtllib m.mtl\n" + triangle)
    (tmp_path / "m.mtl").write_text("newmtl a\nKd 1 0 0\nmap_Kd Textures/absent.png\n")
    assert main([str(tmp_path / "m.obj"), str(tmp_path / "scene"), *QUICK]) == 0
    said = capsys.readouterr().out
    assert "note  1 line left out.\n" in said
    assert "note  Picture Textures/absent.png is missing, its material's colour is used.\n" in said


def test_a_built_in_object_takes_every_kind_of_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = [
        "--resolution",
        "30",
        "20",
        "--coverage",
        "sphere",
        "--light.gloss",
        "0",
        "--light.no-shadows",
        "--fov",
        "20",
    ]
    assert main(["knot", str(tmp_path / "knot"), *QUICK, *options]) == 0
    assert "raise --fov" in capsys.readouterr().out  # 20 degrees crop an object of 35


def test_mistakes_are_one_sentence_on_stderr_and_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for source in ("teapot", str(tmp_path / "gone.ply")):
        assert main([source, str(tmp_path / "scene"), *QUICK]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("inr-scene: ")
        assert len(said.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_overwrite_is_asked_for_and_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["knot", str(tmp_path / "knot"), *QUICK]
    assert main(command) == 0
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_scene_that_another_process_finished_meanwhile_stays_beside_this_one(
    tmp_path, monkeypatch, capsys, overwrite
):
    folder, make_folders = tmp_path / "knot", scene_maker.make_folders

    def meanwhile(partial: Path) -> None:
        folder.mkdir()
        (folder / "scene.json").write_text("theirs")
        make_folders(partial)

    monkeypatch.setattr(scene_maker, "make_folders", meanwhile)
    assert main(["knot", str(folder), *QUICK, *overwrite]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        f"inr-scene: Another scene has come to {folder} while this one was made, and stays as it is: this one is in "
        f"{folder}-2."
    )
    assert (folder / "scene.json").read_text() == "theirs"
    assert (tmp_path / "knot-2" / "transforms_train.json").exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["knot", "knot-2"]


def test_ctrl_c_is_not_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("inr_plugins.cli.scene.make_scene", interrupted)
    assert main(["knot", str(tmp_path / "knot")]) == 130
    assert "nothing was written" in capsys.readouterr().err


@long_form
def test_sigterm_ends_a_scene_in_the_making_and_leaves_nothing(tmp_path: Path):
    code = (
        "import os, signal, sys\n"
        "from inr_plugins.cli import scene\n"
        "from inr_plugins.scenes import make as maker\n"
        "make = maker.make_folders\n"
        "def told(*args):\n    make(*args)\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "maker.make_folders = told\n"
        "sys.exit(scene.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "knot", str(tmp_path / "knot"), *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 143
    assert done.stderr.strip().splitlines()[-1] == "inr-scene: stopped; nothing was written."
    assert list(tmp_path.iterdir()) == []


def test_help_says_what_it_makes_and_lists_the_objects(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    for word in ("windmill", "lantern", "espresso", "knot", "--resolution", "--light.gloss", "--overwrite", "Example"):
        assert word in said
