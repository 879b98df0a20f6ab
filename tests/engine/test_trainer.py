"""Training end to end with a tiny method: resume, divergence, full disk, defaults."""

from __future__ import annotations

import copy
import random
import re
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.diner import diner
from inr_plugins.method_configs.shapes import finer_sdf
from tiny_method import TinyModel, tiny_config

from inr_plugins.engine.divergence import TrainingDivergedError
from inr_plugins.engine.rng import seed_all
from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.trainer import InrTrainer, InrTrainerConfig
from inr_plugins.errors import InputError
from inr_plugins.models.common.network_settings import PrecisionSettings


def train(config: InrTrainerConfig) -> InrTrainer:
    """What ns-train does with a configuration, in this process."""
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    trainer.train()
    return trainer


def outcome(trainer: InrTrainer) -> dict:
    """Everything that the next step would depend on, as in the trainer's last checkpoint."""
    return checkpoints.read_newest_checkpoint(trainer.checkpoint_dir)[0]


def assert_same(a, b, name="state"):
    """Equality of nested states, bit for bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), name
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), name
        for key in a:
            assert_same(a[key], b[key], f"{name}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), name
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{name}[{index}]")
    else:
        assert a == b, name


def few_images(config):
    """Hold two of the four images at a time and change them every third step."""
    config.pipeline.datamanager.train_num_images_to_sample_from = 2
    config.pipeline.datamanager.train_num_times_to_repeat_images = 3


def growing(config):
    """Replace the model's table by a larger one, with part of its optimizer state, after step 2."""
    config.pipeline.model.grow_at = 2


def accumulating(config):
    """Add up the gradients of four steps for one group."""
    config.gradient_accumulation_steps = {"network": 4}


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (None, "load_checkpoint"),
        (None, "load_dir"),
        (few_images, "load_dir"),
        (growing, "load_dir"),
        (accumulating, "load_dir"),
    ],
)
def test_resuming_equals_never_having_stopped(scene, tmp_path, change, how):
    def config(name: str, steps: int) -> InrTrainerConfig:
        made = tiny_config(scene, tmp_path, timestamp=name, max_num_iterations=steps)
        if change is not None:
            change(made)
        return made

    whole = train(config("whole", 12))
    first = train(config("first", 5))
    second = config("second", 7)
    if how == "load_dir":
        second.load_dir = first.checkpoint_dir
    else:
        second.load_checkpoint = checkpoints.checkpoint_path(first.checkpoint_dir, 4)
    random.seed(), np.random.seed(5), torch.manual_seed(5)
    assert_same(outcome(train(second)), outcome(whole))


def test_a_resumed_run_says_how_far_it_is(scene, tmp_path, capsys):
    first = train(tiny_config(scene, tmp_path, timestamp="first", max_num_iterations=4))
    rest = tiny_config(scene, tmp_path, timestamp="rest", max_num_iterations=4, load_dir=first.checkpoint_dir)
    rest.logging.steps_per_log = 1
    capsys.readouterr()
    train(rest)
    printed = capsys.readouterr().out
    rows = dict(re.findall(r"^(\d+) \((\S+)%\)", printed, flags=re.MULTILINE))
    assert rows == {"4": "50.00", "5": "62.50", "6": "75.00", "7": "87.50"}
    assert not re.search(r"\d h, ", printed), "hours are left of four steps"


def test_evaluation_and_cadence_do_not_change_training(scene, tmp_path):
    often = train(tiny_config(scene, tmp_path, timestamp="often", steps_per_eval_batch=1, steps_per_eval_image=1))
    never = train(tiny_config(scene, tmp_path, timestamp="never", steps_per_eval_batch=0, steps_per_eval_image=0))
    assert_same(outcome(often), outcome(never))


def test_stopping_early_saves_the_last_step_taken(scene, tmp_path, capsys):
    config = tiny_config(scene, tmp_path, timestamp="stopped")
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    step_once = trainer.train_iteration

    def interrupted(step):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
        return step_once(step)

    trainer.train_iteration = interrupted
    with pytest.raises(SystemExit) as stopped:
        trainer.train()
    assert stopped.value.code == 130
    said = " ".join(capsys.readouterr().out.split())
    advice = "Stopped after step 2: go on from the last good checkpoint, step 2, with --load-dir "
    assert f"{advice}{trainer.checkpoint_dir}." in said
    assert checkpoints.checkpoint_steps(trainer.checkpoint_dir) == [2]
    rest = tiny_config(scene, tmp_path, timestamp="rest", max_num_iterations=5, load_dir=trainer.checkpoint_dir)
    whole = train(tiny_config(scene, tmp_path, timestamp="whole"))
    assert_same(outcome(train(rest)), outcome(whole))


def test_a_training_without_standard_output_trains(scene, tmp_path, monkeypatch):
    config = tiny_config(scene, tmp_path, timestamp="closed", max_num_iterations=2)
    monkeypatch.setattr(sys, "stdout", None)
    assert checkpoints.checkpoint_steps(train(config).checkpoint_dir) == [1]


def test_a_second_ctrl_c_ends_at_once_with_what_was_saved_before(scene, tmp_path, capsys):
    config = tiny_config(scene, tmp_path, timestamp="twice")
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    step_once = trainer.train_iteration

    def interrupted(step):
        if step == 6:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return step_once(step)

    trainer.train_iteration = interrupted
    with pytest.raises(SystemExit) as stopped:
        trainer.train()
    assert stopped.value.code == 130
    said = " ".join(capsys.readouterr().out.split())
    assert "Stopped at once, without saving: go on from the last good checkpoint, step 4, with --load-dir" in said
    assert checkpoints.checkpoint_steps(trainer.checkpoint_dir) == [4]


def test_a_signal_during_an_evaluation_ends_that_at_once_and_saves_the_step(scene, tmp_path, monkeypatch):
    config = tiny_config(scene, tmp_path, timestamp="evaluating", steps_per_eval_image=1, eval_time_fraction=1e9)
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    render, rendered = TinyModel.get_outputs_for_camera, []

    def interrupted(model, *arguments, **options):
        rendered.append(trainer.step)
        if trainer.step == 2:
            signal.raise_signal(signal.SIGINT)
            rendered.append("on and on")
        return render(model, *arguments, **options)

    monkeypatch.setattr(TinyModel, "get_outputs_for_camera", interrupted)
    with pytest.raises(SystemExit):
        trainer.train()
    assert rendered[-1] == 2
    assert trainer.pipeline.training
    assert checkpoints.checkpoint_steps(trainer.checkpoint_dir) == [2]
    monkeypatch.undo()
    rest = tiny_config(scene, tmp_path, timestamp="the rest", max_num_iterations=5, load_dir=trainer.checkpoint_dir)
    whole = train(tiny_config(scene, tmp_path, timestamp="the whole"))
    assert_same(outcome(train(rest)), outcome(whole))


def test_nan_loss_stops_training_and_keeps_the_good_checkpoint(scene, tmp_path):
    config = tiny_config(scene, tmp_path, timestamp="nan")
    config.pipeline.model.nan_at = 6
    with pytest.raises(TrainingDivergedError) as caught:
        train(config)
    message = str(caught.value)
    assert "step 6" in message
    assert "rgb_loss = nan" in message
    folder = config.get_checkpoint_dir()
    assert f"step 4, with --load-dir {folder}" in message
    state, _ = checkpoints.read_newest_checkpoint(folder)
    assert state["step"] == 4
    assert all(value.isfinite().all() for value in state["pipeline"].values())


def test_nan_weights_are_never_saved(scene, tmp_path):
    trainer = train(tiny_config(scene, tmp_path, timestamp="weights"))
    with torch.no_grad():
        trainer.pipeline.model.table[0, 0] = float("nan")
    with pytest.raises(TrainingDivergedError, match=r"_model\.table"):
        trainer.save_checkpoint(99)
    assert checkpoints.checkpoint_steps(trainer.checkpoint_dir) == [7]


def test_full_disk_stops_training_and_keeps_the_good_checkpoint(scene, tmp_path, monkeypatch):
    config = tiny_config(scene, tmp_path, timestamp="full")
    write = torch.save

    def save(state, file):
        if state["step"] > 4:
            file.write(b"x" * 100)
            raise OSError(28, "No space left on device")
        write(state, file)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(InputError) as caught:
        train(config)
    folder = config.get_checkpoint_dir()
    assert "step 7" in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert f"step 4, with --load-dir {folder}" in str(caught.value)
    assert checkpoints.read_newest_checkpoint(folder)[0]["step"] == 4
    assert not list(folder.parent.glob(".*"))


def test_resume_falls_back_to_the_newest_sound_checkpoint(scene, tmp_path, capsys):
    first = train(tiny_config(scene, tmp_path, timestamp="first", save_only_latest_checkpoint=False))
    assert checkpoints.checkpoint_steps(first.checkpoint_dir) == [7, 4]
    newest = checkpoints.checkpoint_path(first.checkpoint_dir, 7)
    newest.write_bytes(newest.read_bytes()[:-50])
    second = tiny_config(scene, tmp_path, timestamp="second", max_num_iterations=3, load_dir=first.checkpoint_dir)
    again = outcome(train(second))
    assert "cut short or damaged" in capsys.readouterr().out
    whole = train(tiny_config(scene, tmp_path, timestamp="whole"))
    assert_same(again, outcome(whole))


def test_resuming_another_model_is_an_input_error(scene, tmp_path):
    first = train(tiny_config(scene, tmp_path, timestamp="first"))
    state = outcome(first)
    del state["optimizers"]["table"]
    state["step"] = 8
    checkpoints.write_checkpoint(state, checkpoints.checkpoint_path(first.checkpoint_dir, 8))
    second = tiny_config(scene, tmp_path, timestamp="second", load_dir=first.checkpoint_dir)
    with pytest.raises(InputError, match=r"optimizes \['network'\]"):
        train(second)


def test_a_run_is_not_written_over(scene, tmp_path, monkeypatch):
    first = tiny_config(scene, tmp_path, timestamp="mine")
    train(first)
    with pytest.raises(InputError, match="already holds checkpoints"):
        tiny_config(scene, tmp_path, timestamp="mine").set_timestamp()
    resumed = tiny_config(scene, tmp_path, timestamp="mine", load_dir=first.get_checkpoint_dir())
    resumed.set_timestamp()
    assert resumed.timestamp == "mine"

    monkeypatch.setattr(sys, "argv", ["ns-train", "tiny", "--load-config", str(first.get_base_dir() / "config.yml")])
    anew = tiny_config(scene, tmp_path, timestamp="mine")
    anew.set_timestamp()
    assert anew.timestamp != "mine"
    assert anew.get_base_dir() != first.get_base_dir()


def test_final_evaluation_reports_a_few_images(scene, tmp_path, capsys):
    train(tiny_config(scene, tmp_path, final_eval_images=3))
    assert "Evaluated 3 of 4 held-out images: psnr" in capsys.readouterr().out


def test_unwritable_output_is_an_input_error(scene, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf8")
    config = tiny_config(scene, tmp_path / "file")
    with pytest.raises(InputError, match="--output-dir"):
        config.set_timestamp()
    with pytest.raises(InputError, match="--output-dir"):
        config.save_config()


def test_missing_data_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"There is no data at .*nowhere"):
        train(tiny_config(tmp_path / "nowhere", tmp_path / "outputs"))


def test_config_file_keeps_the_device_open(scene, tmp_path, monkeypatch):
    import yaml

    for present, chosen in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda present=present: present)
        config = tiny_config(scene, tmp_path, timestamp=chosen)
        config.machine.device_type = "auto"
        config.save_config()
        assert config.machine.device_type == chosen
        saved = yaml.load((config.get_base_dir() / "config.yml").read_text(encoding="utf8"), Loader=yaml.Loader)
        assert saved.machine.device_type == "auto"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config.machine.device_type = "cuda"
    with pytest.raises(InputError, match="No CUDA device"):
        config.setup(local_rank=0, world_size=1)


def test_experiment_is_named_after_the_data_wherever_it_was_given(scene, tmp_path):
    config = tiny_config(scene, tmp_path, timestamp="t")
    config.pipeline.datamanager.data = None
    config.pipeline.datamanager.dataparser.data = scene
    assert config.get_base_dir() == tmp_path / "scene" / "tiny" / "t"
    by_file = tiny_config(scene / "transforms_train.json", tmp_path, timestamp="t")
    assert by_file.get_base_dir() == tmp_path / "scene" / "tiny" / "t"
    named = tiny_config(scene, tmp_path, timestamp="t", experiment_name="mine")
    assert named.get_base_dir() == tmp_path / "mine" / "tiny" / "t"


def test_defaults_are_private_and_evaluate():
    config = InrTrainerConfig(method_name="tiny")
    assert config.viewer.websocket_host == "127.0.0.1"
    assert config.is_viewer_enabled()
    assert config.is_tensorboard_enabled()
    assert not config.is_wandb_enabled()
    assert not config.is_comet_enabled()
    assert Path(config.relative_model_dir) == Path("nerfstudio_models")


def test_a_step_is_computed_in_the_models_precision_backwards_too(scene, tmp_path, monkeypatch):
    inside, seen = [], []

    @contextmanager
    def step_precision(self):
        inside.append(True)
        yield
        inside.pop()

    make = TinyModel.populate_modules

    def watched(self):
        make(self)
        self.table.register_hook(lambda _: seen.append(("backward", bool(inside))))
        self.network.register_forward_pre_hook(lambda module, _: seen.append((module.training, bool(inside))))

    monkeypatch.setattr(TinyModel, "populate_modules", watched)
    monkeypatch.setattr(TinyModel, "step_precision", step_precision, raising=False)
    config = tiny_config(scene, tmp_path, max_num_iterations=2, final_eval_images=1)
    train(config)
    assert seen[:4] == [(True, True), ("backward", True)] * 2
    assert set(seen[4:]) == {(False, False)}


@pytest.mark.parametrize("option", ["mixed_precision", "use_grad_scaler"])
@pytest.mark.parametrize("preset", [diner, finer_sdf])
def test_float16_is_refused_where_a_model_has_a_precision_of_its_own(option, preset):
    config = copy.deepcopy(preset.config)
    setattr(config, option, True)
    with pytest.raises(InputError, match=r"--mixed-precision and --use-grad-scaler are for float16"):
        config.check_options()


def test_a_part_that_a_device_cannot_do_is_refused_before_anything_is_read(monkeypatch):
    asked = []
    monkeypatch.setattr(PrecisionSettings, "check_device", lambda self, device: asked.append((self.precision, device)))
    config = copy.deepcopy(diner.config)
    config.machine.device_type = "cpu"
    config.check_options()
    assert asked == [("auto", "cpu")]


def test_a_checkpoint_at_any_moment_is_of_a_whole_step(tmp_path):
    """Between two steps: nothing else holds the lock, and no step begins while it is written."""
    trainer, written = object.__new__(InrTrainer), []
    trainer.train_lock, trainer._trained_step, trainer.checkpoint_dir = threading.Lock(), None, tmp_path
    trainer._save_once = lambda step: written.append((step, trainer.train_lock.locked()))
    with pytest.raises(InputError, match="nothing to save"):
        trainer.save_now()
    trainer._trained_step = 7
    saver = threading.Thread(target=trainer.save_now)
    with trainer.train_lock:
        saver.start()
        saver.join(0.05)
        assert written == []
        trainer._trained_step = 8
    saver.join(30)
    assert written == [(8, True)]
    assert trainer.save_now() == tmp_path / "step-000000008.ckpt"
    assert not trainer.train_lock.locked()
