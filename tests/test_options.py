"""Every numeric option has a range, and what is outside of it is refused before anything is loaded or written."""

from __future__ import annotations

import dataclasses
import math
import os
import types
import typing
from collections.abc import Iterator
from copy import deepcopy
from importlib.metadata import entry_points
from typing import Any

import pytest
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGPDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.scripts import train
from PIL import Image

from inr_plugins.cli import bench, demo, eval, mesh, scene, view
from inr_plugins.cli.check import CheckOptions
from inr_plugins.cli.compress import CompressOptions
from inr_plugins.cli.eval_options import EvalOptions
from inr_plugins.cli.mesh_options import MeshOptions
from inr_plugins.cli.phantom import PhantomOptions
from inr_plugins.cli.view import ViewOptions
from inr_plugins.errors import InputError
from inr_plugins.options import COMMANDS, TRAINING, Range, check_name
from inr_plugins.scenes.make import SceneOptions

PRESETS = [point for point in entry_points(group="nerfstudio.method_configs") if point.value.startswith("inr_plugins.")]
PARSERS = (
    BlenderDataParserConfig(),
    ColmapDataParserConfig(),
    InstantNGPDataParserConfig(),
    NerfstudioDataParserConfig(),
)
OURS = {
    "inr-mesh": (MeshOptions,),
    "inr-eval": (EvalOptions,),
    "inr-scene": (SceneOptions(), scene.Arguments),
    "inr-bench": (bench.Run, bench.Report, bench.Presets),
    "inr-demo": (demo.Options,),
    "inr-view": (ViewOptions,),
    "inr-check": (CheckOptions,),
    "inr-compress": (CompressOptions,),
    "inr-phantom": (PhantomOptions,),
}


def is_numeric(hint: Any) -> bool:
    """Whether a type has numbers in it, alone, in a tuple, or beside something else."""
    if hint in (int, float):
        return True
    if typing.get_origin(hint) is typing.Annotated:
        return is_numeric(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType, tuple, list):
        return any(is_numeric(each) for each in typing.get_args(hint))
    return False


def numeric_fields(settings: Any, prefix: str = "") -> Iterator[str]:
    """Names, as in the table, of the fields that hold numbers by their types, and of those inside them."""
    kind = settings if isinstance(settings, type) else type(settings)
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(settings):
        name, value = prefix + field.name.replace("_", "-"), getattr(settings, field.name, None)
        if field.name == "optimizers":
            for group in value.values():
                for part, config in group.items():
                    yield from numeric_fields(config, f"{name}.*.{part}.") if config is not None else ()
        elif field.name == "gradient_accumulation_steps":
            yield name + ".*"
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from numeric_fields(value, name + ".")
        elif is_numeric(hints[field.name]):
            yield name


def of_training() -> set[str]:
    found = {name for preset in PRESETS for name in numeric_fields(preset.load().config)}
    return found | {name for parser in PARSERS for name in numeric_fields(parser, "pipeline.datamanager.dataparser.")}


def test_every_numeric_option_of_training_has_a_range_and_every_range_an_option():
    found = of_training()
    assert len(PRESETS) >= 13
    assert len(found) > 150
    assert sorted(found - TRAINING.keys()) == []
    assert sorted(TRAINING.keys() - found) == []


@pytest.mark.parametrize("command", OURS)
def test_every_numeric_option_of_a_command_has_a_range(command):
    found = {name for settings in OURS[command] for name in numeric_fields(settings)}
    assert sorted(found) == sorted(COMMANDS.get(command, {}))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda point: point.name)
def test_defaults_are_in_range(preset):
    preset.load().config.check_options()


def test_which_numbers_are_in_a_range():
    assert [value in Range(0, 1, above=True) for value in (0, 1e-9, 1, math.nan)] == [False, True, True, False]
    assert [value in Range(0, 1, below=True) for value in (-1e-9, 0, 1)] == [False, True, False]
    assert [value in Range(1, also=-1) for value in (-2, -1, 0, 1, math.inf)] == [False, True, False, True, False]
    assert [value in Range() for value in (-1e300, math.inf, -math.inf, math.nan)] == [True, False, False, False]
    assert str(Range(1, 10_000, also=-1)) == "-1, or at least 1 and at most 10,000"
    assert str(Range(0, above=True)) == "above 0"
    assert str(Range()) == "a finite number"


def preset(name: str) -> Any:
    (point,) = (point for point in PRESETS if point.name == name)
    return deepcopy(point.load().config)


@pytest.mark.parametrize(
    ("method", "option", "value", "said"),
    [
        ("diner", "max_num_iterations", 0, "--max-num-iterations must be at least 1"),
        ("finer-sdf", "logging.steps_per_log", 0, "--logging.steps-per-log must be at least 1"),
        ("cn-neus", "machine.seed", -1, "--machine.seed must be at least 0"),
        ("cn-neus", "machine.seed", 2**32, "--machine.seed must be .* at most 4,294,967,295"),
        ("diner", "machine.num_devices", 0, "--machine.num-devices must be at least 1"),
        ("diner", "machine.num_machines", 2, "--machine.dist-url must be given with several machines"),
        ("diner", "machine.join_timeout", 0, "--machine.join-timeout must be at least 1"),
        ("diner", "machine.machine_rank", 1, "--machine.machine-rank must be below"),
        ("diner", "pipeline.datamanager.train_num_rays_per_batch", -5, "--.*train-num-rays-per-batch must be at least"),
        ("finer-nerf", "pipeline.model.eval_num_rays_per_chunk", 0, "--pipeline.model.eval-num-rays-per-chunk must be"),
        ("diner", "optimizers.density.optimizer.lr", math.nan, "--optimizers.density.optimizer.lr must be .* got nan"),
        ("diner", "pipeline.datamanager.dataparser.scale_factor", 0.0, "--scale-factor must be above 0"),
        ("finer-sdf", "pipeline.datamanager.dataparser.pool", -1, "--pipeline.datamanager.dataparser.pool must be"),
        ("diner", "pipeline.model.coarse_voxels", (1000, 3), "--pipeline.model.coarse-voxels must be .* got 3"),
        ("diner", "gradient_accumulation_steps", {"keys": 0}, "--gradient-accumulation-steps.keys must be at least 1"),
        ("diner", "experiment_name", "n" * 250, "--experiment-name is 250 bytes long"),
        ("diner", "timestamp", "\0", "--timestamp is"),
        ("diner", "viewer.websocket_port", 80000, "--viewer.websocket-port must be"),
    ],
)
def test_ns_train_refuses_what_is_out_of_range_before_there_is_a_run_folder(
    method, option, value, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config = preset(method)
    config.machine.device_type = "cpu"
    *path, last = option.split(".")
    holder = config
    for part in path:
        holder = holder[part] if isinstance(holder, dict) else getattr(holder, part)
    setattr(holder, last, value)
    with pytest.raises(InputError, match=said) as refused:
        train.main(config)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("frames", [-1, 0, 1])
def test_what_says_how_much_is_read_is_looked_at_before_anything_is_read(frames, tmp_path, monkeypatch):
    for number in range(3):
        Image.new("RGB", (4, 3), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = preset("diner-video")
    config.data, config.machine.device_type = tmp_path, "cpu"
    config.pipeline.datamanager.dataparser.first_frames = frames
    with pytest.raises(
        InputError, match=f"dataparser.first-frames must be at least 2 .*, got {frames}: give it another"
    ):
        train.main(config)
    assert list((tmp_path / "here").iterdir()) == []


def test_a_long_path_of_short_names_is_taken():
    check_name("/".join(["folder"] * 60), "--experiment-name")


@pytest.mark.parametrize(
    ("main", "arguments", "said"),
    [
        (eval.main, ["--samples", "100000000000"], "inr-eval: --samples must be at least 100 and at most 100,000,000"),
        (eval.main, ["--seed", "-1"], "inr-eval: --seed must be at least 0"),
        (mesh.main, ["--memory-gb", "nan"], "inr-mesh: --memory-gb must be above 0, got nan"),
        (mesh.main, ["--box", "0", "0", "0", "1", "inf", "1"], "inr-mesh: --box must be a finite number, got inf"),
        (scene.main, ["--light.key", "11"], "inr-scene: --light.key must be at least 0 and at most 10, got 11.0"),
        (demo.main, ["--steps", "0"], "inr-demo: --steps must be at least 1"),
        (view.main, ["--port", "-1"], "inr-view: --port must be at least 1"),
    ],
)
def test_commands_refuse_what_is_out_of_range(main, arguments, said, tmp_path, capsys):
    (tmp_path / "config.yml").touch()
    places = {
        scene.main: ["knot", str(tmp_path / "out")],
        demo.main: ["--output", str(tmp_path / "out")],
    }.get(main, [str(tmp_path)])
    assert main([*places, *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_inr_bench_refuses_what_is_out_of_range(tmp_path, capsys):
    assert bench.main(["run", "--seeds", "0", "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("inr-bench: --seeds must be at least 1")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["diner", "finer-sdf"])
@pytest.mark.parametrize("kind", ["loop", "pipe", "long", "zero"])
def test_data_that_cannot_be_read_is_refused_before_there_is_a_run_folder(method, kind, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    config = preset(method)
    config.data = {"long": tmp_path / ("x" * 5000), "zero": tmp_path / "a\0b"}.get(kind, tmp_path / kind)
    with pytest.raises(InputError, match=r"^--data .*: give a file or a folder") as refused:
        train.main(config)
    assert len(str(refused.value)) < 600
    assert list((tmp_path / "here").iterdir()) == []
