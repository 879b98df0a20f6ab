"""Going on from a checkpoint is as strict as reading one: what does not fit is refused, what differs is named."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import torch
from test_trainer import train
from tiny_method import tiny_config

from inr_plugins.engine.runs.checkpoints import checkpoint_path, read_newest_checkpoint
from inr_plugins.engine.runs.loading import reason_of
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError

_ADAM = "optimizers.table.state.0.exp_avg"


@pytest.fixture(scope="module")
def run(scene, tmp_path_factory):
    """A run of four steps, and what its checkpoint holds."""
    trained = train(tiny_config(scene, tmp_path_factory.mktemp("runs"), timestamp="t", max_num_iterations=4))
    return trained.base_dir, read_newest_checkpoint(trained.checkpoint_dir)[0]


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setenv("NERFSTUDIO_METHOD_CONFIGS", "tiny=tiny_method:specification")


def changed(state: dict, name: str, value=None) -> dict:
    """The state with an entry, named by the keys on the way to it, replaced, or removed."""
    state = inner = copy.deepcopy(state)
    *way, last = name.split(".") if not name.startswith("pipeline.") else ("pipeline", name.partition(".")[2])
    for key in way:
        inner = inner[int(key) if key.isdigit() else key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return state


def go_on(scene: Path, folder: Path, state: dict, change=lambda config: None):
    """Set a training up that goes on from this state."""
    torch.save(state, checkpoint_path(folder, 3))
    config = tiny_config(scene, folder / "outputs", load_dir=folder, max_num_iterations=2)
    change(config)
    config.set_timestamp()
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "pipeline._model.network.0.weight",
            torch.zeros(3, 7),
            r"step 3 does not fit the model \(size mismatch for net",
        ),
        ("pipeline._model.network.0.weight", None, r"does not fit the model \(Missing key.*network\.0\.weight"),
        ("pipeline._model.table", None, r"does not fit the model \('table'"),
        ("pipeline._model.table", "text", "does not fit the model"),
        (
            "pipeline._model.network.0.weight",
            torch.ones(16, 6).long(),
            "holds whole numbers, not real ones",
        ),
        ("pipeline._model.network.0.weight", torch.ones(16, 6) * 1j, "holds complex numbers, not real ones"),
        ("pipeline._model.sideboard", torch.zeros(3), "does not fit the model .*sideboard"),
        ("pipeline", {}, "No usable checkpoint"),
        ("step", "three", "No usable checkpoint"),
        ("optimizers", None, "lacks its optimizers"),
        ("optimizers.table", None, r"optimizes \['network'\], the model"),
        ("optimizers.table", {}, "optimizers of checkpoint .* do not fit"),
        (_ADAM, torch.zeros(2, 3), r"exp_avg of table has the shape \(2, 3\), its weights \(8, 3\)"),
        ("schedulers", None, "lacks its schedulers"),
        ("schedulers.network", None, "schedules of"),
        ("scalers", None, "lacks its scalers"),
        ("resume", [1], "cannot be gone on from"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_in_a_sentence(run, scene, tmp_path, name, value, said):
    with pytest.raises(InputError, match=said) as caught:
        go_on(scene, tmp_path, changed(run[1], name, value))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "outputs").exists() or list((tmp_path / "outputs").iterdir()) == []


@pytest.mark.parametrize("name", ["resume.generators", "resume.data", "resume.gradients"])
def test_a_state_of_random_numbers_that_is_damaged_is_refused(run, scene, tmp_path, name):
    with pytest.raises(InputError, match="random numbers and data does not fit"):
        go_on(scene, tmp_path, changed(run[1], name)).train()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resume.generators.numpy", ("MT19937", [1 << 40] * 624, 3, 0, 0.0)),
        ("resume.generators.python", (3, [-1] * 625, None)),
        # Of a datamanager that keeps a state of its own, which this one does not.
        ("resume.data", {"own": {"seen": 3}}),
    ],
)
def test_a_state_that_cannot_have_been_is_refused(run, scene, tmp_path, name, value):
    with pytest.raises(InputError, match="random numbers and data does not fit"):
        go_on(scene, tmp_path, changed(run[1], name, value)).train()


def test_what_torch_says_of_a_model_that_has_nothing_in_common_is_cut_short():
    network = torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(99)))
    with pytest.raises(RuntimeError) as caught:
        network.load_state_dict({})
    assert 20 < len(reason_of(caught.value)) <= 300
    assert reason_of(caught.value).startswith('Missing key(s) in state_dict: "0.weight", "0.bias"')


@pytest.fixture
def saved(run, tmp_path):
    """A copy of the run's folder."""
    return Path(shutil.copytree(run[0], tmp_path / "run"))


def test_a_run_whose_configuration_makes_another_function_of_its_weights_is_not_read(saved, run):
    config = saved / "config.yml"
    path = checkpoint_path(saved / "nerfstudio_models", 3)
    said = r"--pipeline\.model: OtherConfig in the checkpoint, TinyModelConfig now"
    torch.save(changed(run[1], "settings", {**run[1]["settings"], "pipeline.model.class": "OtherConfig"}), path)
    with pytest.raises(InputError, match=said) as caught:
        load_run(saved, device="cpu")
    assert str(config) in str(caught.value)


def test_a_setting_by_which_a_run_is_seen_in_another_way_is_named(saved, capsys):
    config = saved / "config.yml"
    config.write_text(config.read_text().replace("nan_at: -1", "nan_at: 99"))
    capsys.readouterr()
    load_run(saved, device="cpu")
    said = " ".join(capsys.readouterr().out.split())
    assert "--pipeline.model.nan-at: -1 in the checkpoint, 99 now): those of the file count" in said


def test_a_checkpoint_without_random_numbers_says_so(run, scene, tmp_path, capsys):
    go_on(scene, tmp_path, changed(run[1], "resume"))
    assert "does not hold the state of random numbers" in " ".join(capsys.readouterr().out.split())


def test_a_scale_of_gradients_that_there_was_none_of_begins_anew(run, scene, tmp_path, monkeypatch, capsys):
    trainer = go_on(scene, tmp_path, run[1])
    trainer.grad_scaler = torch.amp.GradScaler("cpu", enabled=True)
    trainer._load_checkpoint()
    assert "scale of gradients begins anew" in " ".join(capsys.readouterr().out.split())


def other_model(config):
    config.pipeline.model.nan_at = 99


@pytest.mark.parametrize("known_from", ["checkpoint", "config.yml"])
def test_other_settings_of_the_model_are_refused_unless_meant(run, scene, tmp_path, capsys, known_from):
    folder, state = run
    models = tmp_path / "run" / "nerfstudio_models"
    models.mkdir(parents=True)
    if known_from == "config.yml":
        state = changed(state, "settings")
        (tmp_path / "run" / "config.yml").write_bytes((folder / "config.yml").read_bytes())
    go_on(scene, models, state)
    with pytest.raises(
        InputError, match=r"--pipeline\.model\.nan-at: -1 in the checkpoint, 99 now.*--other-settings use"
    ):
        go_on(scene, models, state, other_model)
    capsys.readouterr()
    go_on(scene, models, state, lambda config: (other_model(config), setattr(config, "other_settings", "use")))
    assert "--pipeline.model.nan-at: -1 in the checkpoint, 99 now" in " ".join(capsys.readouterr().out.split())


def test_what_only_training_depends_on_is_named(run, scene, tmp_path, capsys):
    def change(config):
        config.pipeline.datamanager.train_num_rays_per_batch = 16
        config.pipeline.model.eval_num_rays_per_chunk = 17

    capsys.readouterr()
    go_on(scene, tmp_path, run[1], change)
    said = " ".join(capsys.readouterr().out.split())
    assert "Going on with other settings (--pipeline.datamanager.train-num-rays-per-batch: 32 in the" in said
    assert "per-chunk" not in said
    go_on(scene, tmp_path, run[1])
    assert "other settings" not in capsys.readouterr().out


def test_a_lower_learning_rate_is_lower(run, scene, tmp_path):
    def lower(config):
        config.optimizers["network"]["optimizer"].lr = 1e-3
        config.optimizers["network"]["scheduler"].lr_final = 1e-4

    rates = {}
    for name, change in (("as before", lambda config: None), ("lower", lower)):
        (tmp_path / name).mkdir()
        trainer = go_on(scene, tmp_path / name, run[1], change)
        trainer.train()
        rates[name] = {key: each.param_groups[0]["lr"] for key, each in trainer.optimizers.optimizers.items()}
    # Six steps of the schedule are taken, of which three warm up: 1e-2 * 0.1 ** (3 / 17), and a tenth of that.
    assert rates["as before"]["network"] == pytest.approx(1e-2 * 0.1 ** (3 / 17))
    assert rates["lower"]["network"] == pytest.approx(1e-3 * 0.1 ** (3 / 17))
    assert rates["lower"]["table"] == rates["as before"]["table"]


@pytest.mark.parametrize("name", ["pipeline._model.network.0.weight", "pipeline._model.table"])
def test_reading_a_run_is_as_strict(run, tmp_path, eval_setup, name):
    folder, state = run
    (tmp_path / "nerfstudio_models").mkdir()
    (tmp_path / "config.yml").write_bytes((folder / "config.yml").read_bytes())
    torch.save(changed(state, name), checkpoint_path(tmp_path / "nerfstudio_models", 3))
    with pytest.raises(InputError, match="step 3 does not fit the model"):
        eval_setup(tmp_path / "config.yml")
    with pytest.raises(InputError, match="step 3 does not fit the model"):
        load_run(tmp_path, device="cpu")
