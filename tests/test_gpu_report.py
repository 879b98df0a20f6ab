"""The report for GPUs, rehearsed on a CPU: what is measured and written, and that it goes on where it was stopped."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from long_form import long_form

from inr_plugins.operators import light_solve

ROOT = Path(__file__).resolve().parents[1]
# Behind all else: what is beside it there has names that others have too.
sys.path.append(str(ROOT / "benchmarks"))

from gpu_report import checks, kernels, quality, speed  # noqa: E402
from gpu_report.__main__ import main  # noqa: E402
from gpu_report.disc import make_disc  # noqa: E402
from gpu_report.measured import Measured  # noqa: E402
from gpu_report.methods import IMAGES, MEASURED, PEERS, SHAPES, SIGNALS, Balls, make_small, preset  # noqa: E402
from gpu_report.training import Training  # noqa: E402
from pretend_cuda import PretendCuda  # noqa: E402

CPU = torch.device("cpu")
REHEARSAL = ["--device", "cpu", "--tiny"]


@pytest.fixture
def scene(tmp_path):
    make_disc(tmp_path / "scene", 32)
    return tmp_path / "scene"


def rehearse(folder, *more):
    return main([*REHEARSAL, "--output", str(folder), *more])


def records(folder):
    return {each["name"]: each for each in json.loads((folder / "report.json").read_text())["records"]}


@long_form
def test_checks_and_timings_are_rehearsed_without_open3d(tmp_path, scene, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "open3d", None)
    wanted = ["steps/finer-nerf/float32", "steps/finer-sdf/auto", "steps/diner-image/auto"]
    wanted += ["marching", "compositing", "nerfacc", "tf32"]
    timed = [
        "step/diner",
        "step/diner-surface",
        "step/cn-occupancy",
        "step/cn-image",
        "step/diner-image",
        "step/diner-lensless",
        "step/diner-tomography",
        "step/tensorf",
    ]
    parts = ["--part", "checks", "--part", "speed", "--scene", str(scene)]
    assert rehearse(tmp_path, *parts, "--only", *wanted, *timed) == 0
    found = records(tmp_path)
    assert set(found) == {*wanted, *timed}
    for name in wanted:
        assert found[name]["found"]["passed"] is (None if name == "nerfacc" else True)
    for name in timed:
        assert found[name]["found"]["ms"] > 0
    table = (tmp_path / "report.md").read_text()
    assert "A rehearsal" in table
    assert "| tensorf |" in table
    assert "| steps/finer-nerf/float32 | passed | 0 | 0 | 0.0001 / 0.02 |" in table
    capsys.readouterr()
    assert rehearse(tmp_path, *parts, "--only", *wanted, *timed) == 0
    assert capsys.readouterr().out.count("done before") == len(wanted) + len(timed)


def test_every_method_and_part_is_on_the_list(scene):
    found = checks.checks(torch.device("cuda"), tiny=False)
    ours = {*IMAGES, *SHAPES, *SIGNALS, *MEASURED}
    assert {name.split("/")[1] for name in found if name.startswith("steps/")} == ours
    assert {"marching", "compositing", "nerfacc", "tf32", "light", "whole way"} <= set(found)
    timed = speed.measurements(torch.device("cuda"), scene=None, tiny=False)
    assert set(timed) == {f"step/{name}" for name in (*ours, *PEERS)}
    trials = quality.trials(scene=scene, data=scene)
    assert {each.method for each in trials.values()} == {"diner", "finer-nerf", "cn-mipnerf", "cn-neus"}
    assert all(each.longest < 9 * 60 for each in trials.values())
    assert sorted(second for each in trials.values() if each.method == "diner" for second in each.seconds) == [
        *(60, 60, 120, 120, 420, 420)
    ]


def test_no_installed_method_is_left_out_but_those_that_say_why():
    ours = {each.name for each in entry_points(group="nerfstudio.method_configs") if each.value.startswith("inr_plug")}
    # They want a dictionary; steps of videos are those of images; steps of experts nid-shapes has.
    assert ours - {*IMAGES, *SHAPES, *SIGNALS, *MEASURED} == {
        *("nid-fit", "nid-image-fit", "diner-video", "finer-video", "nid-video", "nid-images", "nid-ct")
    }


@pytest.mark.parametrize("method", MEASURED)
def test_a_step_sees_measurements_of_the_papers_size(method):
    sizes = {
        "cn-ct": (256**2, (100, 365)),
        "cn-mri": (96**3, (1, pytest.approx(0.126 * 96**3, rel=0.01), 2)),
        "diner-lensless": (400**2, (7, 400, 400)),
        "diner-tomography": (96**2 * 40, (24, 96, 96)),
    }
    source = Measured.for_config(preset(method))
    assert (source.count, tuple(source.measured.shape)) == sizes[method]


def test_every_kernel_is_compared_and_what_differs_is_said(monkeypatch):
    compared = set()

    def noted(name, wrong=""):
        def trouble(*given, **_):
            compared.add((name, *(str(each) for each in given if isinstance(each, str | int | torch.dtype))))
            return wrong if wrong and torch.bfloat16 in given else None

        return trouble

    monkeypatch.setattr(kernels.cross_norm_trust, "first_trouble", noted("first"))
    monkeypatch.setattr(kernels.cross_norm_trust, "second_trouble", noted("second", "their pullback is off"))
    monkeypatch.setattr(kernels.batch_norm_triton, "trouble", noted("batch"))
    monkeypatch.setattr(kernels.pointwise_triton, "trouble", noted("pointwise"))
    monkeypatch.setattr(kernels, "_layer_ms", lambda *_, kernels: 1.5 if kernels else 2.5)
    found = {name: check() for name, check in kernels.checks(torch.device("cuda")).items()}
    assert {name.split("/")[1] for name in found} == {
        *("cross norm", "batch norm", "packed sums", "softplus", "sine", "gauss", "wavelet"),
        *("finer-sine", "finer-gauss", "finer-wavelet"),
    }
    assert {("first", "64", "torch.float32"), ("second", "256", "torch.bfloat16")} <= compared
    assert {("batch", "64", "torch.bfloat16"), ("pointwise", "curvature"), ("pointwise", "pushforward")} <= compared
    cross = found["kernels/cross norm"]
    assert cross["wrong"] == ["their pullback is off"] * 2
    assert not cross["passed"]
    assert cross["note"].startswith("their pullback is off; a layer 1.5 ms, by torch's operations 2.5")
    assert found["kernels/finer-wavelet"]["passed"]
    assert found["kernels/packed sums"]["passed"] is None
    assert all(check()["passed"] is None for check in kernels.checks(torch.device("cpu")).values())


def test_light_that_is_solved_for_is_compared(monkeypatch):
    with PretendCuda():
        found = checks.compare_light(torch.device("cuda"), side=24)
        assert found["passed"]
        assert found["left"] < 1e-3
    right, steps = light_solve.light_step, []

    def differing(*given):
        steps.append(found := right(*given))
        return replace(found, turn=1.01 * found.turn) if len(steps) > 2 else found

    monkeypatch.setattr(light_solve, "light_step", differing)
    assert not checks.compare_light(CPU, side=24)["passed"]


def test_a_difference_and_an_error_are_told_and_measured_again(tmp_path, monkeypatch, capsys):
    right = checks.losses_of

    differing = iter([([{"loss": 1.0}], {}), ([{"loss": 1.001}], {})])
    monkeypatch.setattr(checks, "losses_of", lambda *_, **__: next(differing))
    assert rehearse(tmp_path, "--part", "checks", "--only", "finer-sdf/float32") == 1
    assert "finer-sdf/float32: DIFFERS" in capsys.readouterr().err

    def broken(*_, **__):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(checks, "losses_of", broken)
    assert rehearse(tmp_path, "--part", "checks", "--only", "finer-sdf/auto") == 1
    assert "RuntimeError: no such luck" in capsys.readouterr().err
    monkeypatch.setattr(checks, "losses_of", right)
    rehearse(tmp_path, "--part", "checks", "--only", "finer-sdf/auto")
    assert records(tmp_path)["steps/finer-sdf/auto"]["error"] is None


def test_nothing_is_begun_when_the_time_is_over(tmp_path, capsys):
    assert rehearse(tmp_path, "--minutes", "0", "--part", "checks", "--only", "tf32") == 0
    assert "give the same command again" in capsys.readouterr().out
    assert records(tmp_path) == {}


def test_trainings_are_given_to_the_benchmarks_worker(tmp_path, scene, monkeypatch):
    """Its own tests run it; here it is seen what it is asked for, and that its figures get into the table."""
    given = []

    def run(command, **_):
        given.append(command)
        folder = Path(command[command.index("--result") + 1])
        results = [{"budget": 2, "seconds": 0.5, "steps": 2, "psnr": 21.5}]
        folder.write_text(json.dumps({"results": results, "peak_device_memory_gb": 1.5}))

    monkeypatch.setattr(quality, "subprocess", SimpleNamespace(run=run))
    assert rehearse(tmp_path, "--part", "quality", "--scene", str(scene)) == 0
    (command,) = given
    assert command[command.index("--") + 1] == "diner"
    assert command[-2:] == ["--data", str(scene)]
    assert "| diner/made/120 | 0 | 2 | 21.50 | 1.5 |" in (tmp_path / "report.md").read_text()


def test_a_missing_device_or_scene_is_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--output", str(tmp_path)]) == 1
    assert "there is no CUDA device" in capsys.readouterr().err
    assert rehearse(tmp_path, "--scene", str(tmp_path / "nowhere")) == 1
    assert "holds no transforms_train.json" in capsys.readouterr().err


def test_a_training_of_the_report_learns():
    config = make_small(preset("finer-sdf"), tiny=True)
    training = Training(config, Balls.for_config(config), CPU, last_step=60)
    losses = [sum(float(each) for each in training.step(number).values()) for number in range(60)]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


@pytest.mark.parametrize("method", ["diner", "finer-nerf", pytest.param("cn-neus-table", marks=long_form), *MEASURED])
def test_steps_of_a_pretended_device_are_those_of_the_cpu(method, monkeypatch):
    """Both ways of marching, compositing and optimizing, and the check itself."""
    monkeypatch.setattr(torch.cuda, "set_device", lambda *_: None)
    how = {"precision": "float32", "steps": 4, "tiny": True}
    truth, begun = checks.losses_of(method, CPU, **how)
    with PretendCuda():
        found, _ = checks.losses_of(method, torch.device("cuda"), **how, weights=begun)
    for a, b in zip(found, truth, strict=True):
        assert a == pytest.approx(b, rel=1e-3)
    assert truth[0] != truth[3]
