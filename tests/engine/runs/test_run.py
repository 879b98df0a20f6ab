"""Saved runs, where they were made and after a move: our load_run and nerfstudio's own eval_setup."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from nerfstudio.fields import sdf_field
from nerfstudio.utils import external
from test_trainer import train
from tiny_method import tiny_config

from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.runs.folder import describes_run, load_config_argument
from inr_plugins.engine.runs.run import load_run, naming_tcnn
from inr_plugins.errors import InputError


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """The tiny method is registered as nerfstudio has it for methods that are no package's."""
    monkeypatch.setenv("NERFSTUDIO_METHOD_CONFIGS", "tiny=tiny_method:specification")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path, torch.Tensor]:
    """Data, run folder (two checkpoints, paths relative to their parent) and the final table of a trained model."""
    from tiny_method import make_scene

    base = tmp_path_factory.mktemp("runs")
    data = make_scene(base / "scene")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        config = tiny_config(Path("scene"), Path("outputs"), timestamp="t", save_only_latest_checkpoint=False)
        trainer = train(config)
        table = trainer.pipeline.model.table.detach().clone()
    return data, base / "outputs" / "scene" / "tiny" / "t", table


@pytest.fixture
def moved(trained, tmp_path, monkeypatch) -> tuple[Path, Path, torch.Tensor]:
    """A copy of the run under another name, seen from another directory; the data has stayed."""
    data, run, table = trained
    shutil.copytree(run, tmp_path / "elsewhere" / "renamed")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("INR_DATA", str(data))
    return data, tmp_path / "elsewhere" / "renamed", table


def test_eval_setup_in_place(trained, eval_setup, monkeypatch):
    _, run, table = trained
    monkeypatch.chdir(run.parents[3])
    config, pipeline, checkpoint, step = eval_setup(run / "config.yml")
    assert (checkpoint, step) == (run / "nerfstudio_models" / "step-000000007.ckpt", 7)
    assert torch.equal(pipeline.model.table, table)
    metrics = pipeline.get_average_eval_image_metrics(get_std=True)
    assert {"psnr", "psnr_std", "ssim"} <= metrics.keys()
    assert config.get_base_dir() == run


def test_eval_setup_after_a_move(moved, eval_setup):
    _, run, table = moved
    _, pipeline, checkpoint, _ = eval_setup(run / "config.yml")
    assert checkpoint.parent == run / "nerfstudio_models"
    assert torch.equal(pipeline.model.table, table)


def test_eval_setup_uses_the_copy_that_was_named(moved, eval_setup, monkeypatch):
    data, run, _ = moved
    monkeypatch.chdir(data.parent)  # where the original is found too
    assert eval_setup(run / "config.yml")[2].parent == run / "nerfstudio_models"


def test_eval_setup_skips_a_damaged_checkpoint(moved, eval_setup):
    _, run, table = moved
    newest = checkpoints.checkpoint_path(run / "nerfstudio_models", 7)
    newest.write_bytes(newest.read_bytes()[:-10])
    _, pipeline, checkpoint, step = eval_setup(run / "config.yml")
    assert (checkpoint.name, step) == ("step-000000004.ckpt", 4)
    assert not torch.equal(pipeline.model.table, table)
    for path in checkpoint.parent.iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="No usable checkpoint"):
        eval_setup(run / "config.yml")


@pytest.mark.parametrize("file", ["", "config.yml"])
def test_load_run_from_anywhere(moved, monkeypatch, file):
    data, folder, table = moved
    monkeypatch.delenv("INR_DATA")
    monkeypatch.chdir(folder.parent)
    run = load_run(Path(folder.name) / file, device="cpu", data=data)
    assert run.step == 7
    assert run.config_path == folder / "config.yml"
    assert run.config.get_base_dir() == folder
    assert torch.equal(run.pipeline.model.table, table)
    assert not run.pipeline.training
    assert run.dataparser_outputs.dataparser_transform.shape == (3, 4)
    assert len(run.dataparser_outputs.image_filenames) == 4


def test_load_run_evaluates_with_images(moved):
    data, folder, _ = moved
    run = load_run(folder, device="cpu", data=data, test_mode="test")
    assert run.pipeline.get_average_eval_image_metrics()["psnr"] > 5


@pytest.mark.parametrize("change", ["lacks", "lacks what it is built from", "unknown", "shape"])
def test_a_checkpoint_of_another_version_is_refused(moved, change):
    _, run, _ = moved
    path = run / "nerfstudio_models" / "step-000000007.ckpt"
    state = torch.load(path, weights_only=True)
    name = {"lacks what it is built from": "table", "unknown": "sideboard"}.get(change, "network.0.weight")
    if change.startswith("lacks"):
        del state["pipeline"][f"_model.{name}"]
    else:
        state["pipeline"][f"_model.{name}"] = torch.zeros(3, 7)
    torch.save(state, path)
    with pytest.raises(InputError, match=f"step 7 .*{name}.*another version"):
        load_run(run)


def test_a_metrics_weights_in_a_checkpoint_do_not_matter(moved):
    _, run, table = moved
    path = run / "nerfstudio_models" / "step-000000007.ckpt"
    state = torch.load(path, weights_only=True)
    state["pipeline"]["_model.lpips.net.weight"] = torch.zeros(3)
    torch.save(state, path)
    assert torch.equal(load_run(run).pipeline.model.table, table)


def test_moved_data_says_what_to_do(moved, monkeypatch, eval_setup):
    _, folder, _ = moved
    monkeypatch.delenv("INR_DATA")
    with pytest.raises(InputError, match=r"There is no data at scene.*INR_DATA"):
        load_run(folder, device="cpu")
    with pytest.raises(InputError, match=r"There is no data at scene.*INR_DATA"):
        eval_setup(folder / "config.yml")
    with pytest.raises(InputError, match=r"There is no data at nowhere"):
        load_run(folder, device="cpu", data=Path("nowhere"))


def test_what_is_no_run_is_an_input_error(moved, tmp_path, monkeypatch):
    _, folder, _ = moved
    with pytest.raises(InputError, match="give a run folder that ns-train wrote"):
        load_run(tmp_path / "nothing")
    for text, message in (
        ("just text", "is not a configuration"),
        ("a: [", "cannot be read"),
        (
            "!!python/object:inr_plugins.nowhere.Config {}",
            r"not in this version .*inr_plugins\.nowhere.* another one, or for a method that is not installed",
        ),
    ):
        (tmp_path / "config.yml").write_text(text, encoding="utf8")
        with pytest.raises(InputError, match=rf"config\.yml .*{message}"):
            load_run(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "tpu", "meta", "cpu:x"):
        with pytest.raises(
            InputError, match=f"^.?device='{device}'.? is not there: leave it out, or give one of cpu\\.$"
        ) as told:
            load_run(folder, device=device)
        assert told.value.on_command_line.startswith(f"--device {device} is not there")
    shutil.rmtree(folder / "nerfstudio_models")
    with pytest.raises(InputError, match="before its first one, or its folder nerfstudio_models is gone"):
        load_run(folder)


def test_load_config_argument():
    assert load_config_argument(["eval", "--load-config", "a/config.yml"]) == Path("a/config.yml")
    assert load_config_argument(["--load_config=b/config.yml", "--x"]) == Path("b/config.yml")
    assert load_config_argument(["--load-config"]) is None
    assert load_config_argument(["--output-path", "x"]) is None


def test_describes_run(tmp_path):
    file = tmp_path / "config.yml"
    file.write_text("!!python/object:some.Class\ntimestamp: '2026'\nexperiment_name: null\n", encoding="utf8")
    assert describes_run(file, timestamp="2026", experiment_name=None)
    assert not describes_run(file, timestamp="2027")
    assert not describes_run(file, method_name="diner")
    assert not describes_run(tmp_path / "other.yml", timestamp="2026")
    file.write_text("- a list", encoding="utf8")
    assert not describes_run(file, timestamp="2026")


def test_a_model_that_wants_tinycudann_says_so(monkeypatch):
    # nerfstudio's own way with a package that is not there.
    missing = external._LazyError(ImportError("No module named 'tinycudann'"))
    monkeypatch.setattr(external, "TCNN_EXISTS", False)
    monkeypatch.setattr(sdf_field, "tcnn", missing)
    neus = SimpleNamespace(method_name="neus")
    with pytest.raises(InputError, match=r"neus needs tinycudann, which is not installed"), naming_tcnn(neus):
        sdf_field.SDFFieldConfig().setup(aabb=torch.eye(3)[:2], num_images=1)
    with pytest.raises(AttributeError, match="another"), naming_tcnn(neus):
        raise AttributeError("another mistake")
