"""What a run needs besides its checkpoints is whole or as it was, also on a disk that is full."""

from __future__ import annotations

import errno
import json
import signal
from pathlib import Path

import pytest
import torch
import yaml
from nerfstudio.engine import trainer as nerfstudio_trainer
from test_trainer import train
from tiny_method import make_scene, tiny_config

from inr_plugins.engine.runs.checkpoints import checkpoint_steps
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError


@pytest.fixture
def full_disk(monkeypatch):
    """From the call on, files get the first 100 bytes of what is written and then no more."""

    def fill() -> None:
        def cut(write):
            def short(path, content, *arguments, **options):
                write(path, content[:100], *arguments, **options)
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

            return short

        monkeypatch.setattr(Path, "write_bytes", cut(Path.write_bytes))
        monkeypatch.setattr(Path, "write_text", cut(Path.write_text))
        monkeypatch.setattr(
            json, "dump", lambda data, file, **_: (file.write("{"), file.flush(), cut(lambda *_: 0)(0, ""))
        )

    return fill


def test_a_full_disk_leaves_the_configuration_of_a_run_that_goes_on(scene, tmp_path, full_disk):
    run = train(tiny_config(scene, tmp_path, timestamp="a", max_num_iterations=3))
    before = {path.name: path.read_bytes() for path in run.base_dir.iterdir() if path.is_file()}
    assert {"config.yml", "dataparser_transforms.json"} <= before.keys()
    again = tiny_config(scene, tmp_path, timestamp="a", load_dir=run.checkpoint_dir, max_num_iterations=2)
    full_disk()
    with pytest.raises(InputError, match="No space left on device"):
        train(again)
    for name in ("config.yml", "dataparser_transforms.json"):
        assert (run.base_dir / name).read_bytes() == before[name]
    assert not list(run.base_dir.glob(".*"))


def test_a_full_disk_before_the_first_step_is_a_sentence_and_leaves_no_folder(scene, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    # Where nerfstudio opens the files of tensorboard.
    monkeypatch.setattr(nerfstudio_trainer.writer, "setup_event_writer", lambda *_, **__: full())
    with pytest.raises(InputError, match=r"No space left on device.*there is no checkpoint yet"):
        train(tiny_config(scene, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_before_its_first_step_leaves_no_folder(
    number, status, scene, tmp_path, monkeypatch
):
    monkeypatch.setattr(nerfstudio_trainer.writer, "setup_event_writer", lambda *_, **__: signal.raise_signal(number))
    with pytest.raises(SystemExit) as stop:
        train(tiny_config(scene, tmp_path))
    assert stop.value.code == status
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_frame_of_the_data(scene, tmp_path, full_disk):
    config = tiny_config(scene, tmp_path, timestamp="a")
    config.set_timestamp()
    config.save_config()
    run = config.setup(local_rank=0, world_size=1)
    run.setup()
    full_disk()
    with pytest.raises(InputError, match="No space left on device"):
        run.train()
    assert not (run.base_dir / "dataparser_transforms.json").exists()


def test_the_frame_is_the_dataparsers(scene, tmp_path):
    run = train(tiny_config(scene, tmp_path, max_num_iterations=1))
    outputs = run.pipeline.datamanager.train_dataparser_outputs
    written = json.loads((run.base_dir / "dataparser_transforms.json").read_text())
    assert torch.equal(torch.tensor(written["transform"]), outputs.dataparser_transform)
    assert written["scale"] == outputs.dataparser_scale


def test_a_training_that_is_refused_leaves_the_runs_configuration(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("NERFSTUDIO_METHOD_CONFIGS", "tiny=tiny_method:specification")
    run = train(tiny_config(scene, tmp_path, timestamp="a", max_num_iterations=3))
    again = {"timestamp": "a", "load_dir": run.checkpoint_dir}
    for data in (tmp_path / "nowhere", make_scene(tmp_path / "broken")):
        if data.exists():
            (data / "train" / "r_0.png").write_bytes(b"no picture")
        config = tiny_config(data, tmp_path, experiment_name="scene", **again)
        with pytest.raises((InputError, ValueError)):  # what decodes pictures has an error of its own
            train(config)
        saved = yaml.load((run.base_dir / "config.yml").read_text(encoding="utf8"), Loader=yaml.Loader)
        assert saved.pipeline.datamanager.data == scene
    assert load_run(run.base_dir, device="cpu").step == 2
    assert checkpoint_steps(run.checkpoint_dir) == [2]
    rest = tiny_config(scene, tmp_path, steps_per_save=1000, max_num_iterations=1, **again)
    train(rest)
    saved = yaml.load((run.base_dir / "config.yml").read_text(encoding="utf8"), Loader=yaml.Loader)
    assert saved.steps_per_save == 1000
    assert saved.run_dir is None
