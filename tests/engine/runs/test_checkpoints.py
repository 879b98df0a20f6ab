"""Checkpoint files: whole or absent, and never believed when damaged."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.runs import checkpoints
from inr_plugins.errors import InputError
from inr_plugins.files import hidden_file


def state(step: int) -> dict:
    return {"step": step, "pipeline": {"w": torch.full((5000,), float(step))}, "optimizers": {}}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A run's checkpoint folder with steps 1, 2 and 10."""
    models = tmp_path / "run" / "nerfstudio_models"
    for step in (1, 2, 10):
        checkpoints.write_checkpoint(state(step), checkpoints.checkpoint_path(models, step))
    return models


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "cut short": content[:-30],
            "half": content[:middle],
            "empty": b"",
            "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
            "text": b"not a checkpoint",
        }[how]
    )


def test_newest_is_by_number_and_folder_holds_nothing_else(folder):
    assert checkpoints.checkpoint_steps(folder) == [10, 2, 1]
    assert sorted(os.listdir(folder)) == ["step-000000001.ckpt", "step-000000002.ckpt", "step-000000010.ckpt"]
    assert os.listdir(folder.parent) == ["nerfstudio_models"]
    loaded, path = checkpoints.read_newest_checkpoint(folder)
    assert (loaded["step"], path.name) == (10, "step-000000010.ckpt")
    assert checkpoints.read_newest_checkpoint(folder, step=2)[0]["pipeline"]["w"][0] == 2


@pytest.mark.parametrize("how", ["cut short", "half", "empty", "flipped", "text"])
def test_damaged_file_is_skipped_with_one_line(folder, how, capsys):
    damage(folder / "step-000000010.ckpt", how)
    assert checkpoints.read_newest_checkpoint(folder)[0]["step"] == 2
    assert "step-000000010.ckpt" in "".join(capsys.readouterr().out.split())
    assert checkpoints.newest_sound_step(folder) == 2
    with pytest.raises(checkpoints.BrokenCheckpointError, match="step-000000010"):
        checkpoints.read_newest_checkpoint(folder, step=10)


def test_an_encrypted_checkpoint_is_skipped(folder, capsys):
    path = folder / "step-000000010.ckpt"
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(signature, place + 1)
    path.write_bytes(content)
    assert checkpoints.read_newest_checkpoint(folder)[0]["step"] == 2
    assert "encrypted" in capsys.readouterr().out


def saved(content: dict, **changes) -> Callable[[Path], None]:
    return lambda path: torch.save({**content, **changes}, path)


def compressed(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        records = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (saved(state(10), pipeline={"w": torch.tensor([1.0, float("nan")])}), "in w are"),
        (saved(state(10), pipeline={7: torch.zeros(2)}), "names are no text"),
        (saved(state(11)), "says that it is of step 11"),
        # Which may be packed zeros that no memory holds.
        (compressed, "is compressed"),
    ],
)
def test_what_is_no_use_is_skipped(folder, change, said, capsys):
    path = folder / "step-000000010.ckpt"
    change(path)
    with pytest.raises(checkpoints.BrokenCheckpointError, match=said):
        checkpoints.read_checkpoint(path)
    assert checkpoints.read_newest_checkpoint(folder)[0]["step"] == 2
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("what", ["folder", "link to nothing", "link to itself", "pipe"])
def test_what_is_no_file_does_not_hide_older_checkpoints(folder, capsys, what):
    path = checkpoints.checkpoint_path(folder, 11)
    make = {
        "folder": path.mkdir,
        "link to nothing": lambda: path.symlink_to("nowhere"),
        "link to itself": lambda: path.symlink_to(path.name),
        "pipe": lambda: os.mkfifo(path),
    }
    make[what]()
    assert checkpoints.read_newest_checkpoint(folder)[0]["step"] == 10
    assert "step-000000011.ckpt" in "".join(capsys.readouterr().out.split())
    assert checkpoints.newest_sound_step(folder) == 10
    with pytest.raises(checkpoints.BrokenCheckpointError, match="not a checkpoint"):
        checkpoints.read_newest_checkpoint(folder, step=11)


def test_a_name_that_nerfstudio_does_not_write_does_not_count(folder):
    (folder / "step-77.ckpt").write_bytes(b"x")
    assert checkpoints.checkpoint_steps(folder) == [10, 2, 1]


def test_no_usable_checkpoint_is_an_input_error(folder, tmp_path):
    for path in folder.iterdir():
        damage(path, "half")
    with pytest.raises(InputError, match="No usable checkpoint"):
        checkpoints.read_newest_checkpoint(folder)
    with pytest.raises(InputError, match="No usable checkpoint"):
        checkpoints.newest_sound_step(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no checkpoint folder"):
        checkpoints.read_newest_checkpoint(tmp_path / "nowhere")
    with pytest.raises(InputError, match="There is no checkpoint"):
        checkpoints.read_newest_checkpoint(folder, step=77)


def test_a_run_that_was_killed_before_its_first_checkpoint_says_so(tmp_path):
    (tmp_path / "config.yml").touch()
    with pytest.raises(InputError, match=r"has no checkpoint: it ended before its first one, or its folder"):
        checkpoints.read_newest_checkpoint(tmp_path / "nerfstudio_models")


def test_code_in_a_checkpoint_is_not_run(folder):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(folder / "payload"),)

    path = checkpoints.checkpoint_path(folder, 11)
    torch.save({"step": 11, "pipeline": Payload()}, path)
    with pytest.raises(checkpoints.BrokenCheckpointError):
        checkpoints.read_checkpoint(path)
    assert not (folder / "payload").exists()


def test_foreign_file_is_no_checkpoint(folder):
    path = checkpoints.checkpoint_path(folder, 12)
    torch.save([1, 2, 3], path)
    with pytest.raises(checkpoints.BrokenCheckpointError, match="not a nerfstudio checkpoint"):
        checkpoints.read_checkpoint(path)


def test_failed_write_leaves_everything_as_it_was(folder, monkeypatch):
    path = checkpoints.checkpoint_path(folder, 10)
    before = path.read_bytes()

    def full_disk(state, file):
        file.write(b"x" * 1000)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.write_checkpoint(state(10), path)
    assert path.read_bytes() == before
    assert os.listdir(folder.parent) == ["nerfstudio_models"]


def test_partial_files_of_dead_writers_are_cleared(folder):
    run = folder.parent
    with hidden_file(run, "step-000000004.ckpt") as alive:
        dead = run / alive.name.replace("4.ckpt", "3.ckpt")
        dead.write_bytes(b"x")
        checkpoints.clear_partial_files(run)
        assert sorted(os.listdir(run)) == [alive.name, "nerfstudio_models"]


def test_stock_checkpoints_with_numpy_floats_can_be_read(tmp_path):
    prepare_process()
    torch.save({"lr": np.float64(0.25)}, tmp_path / "stock")
    assert torch.load(tmp_path / "stock", weights_only=True)["lr"] == 0.25
