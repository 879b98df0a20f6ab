"""The real commands, one after another, as the demo runs them and as a user goes on from there.

The demo starts training as it does for a user; the others run in this process, by the entry points of the commands:
starting one takes ten seconds.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trimesh
from long_form import long_form
from nerfstudio.scripts import eval as evaluation
from nerfstudio.scripts import render, train

from inr_plugins.cli import demo, mesh

SMALL = (
    "--vis tensorboard --pipeline.datamanager.train-num-rays-per-batch 512 --pipeline.model.num-voxels 8000 "
    "--pipeline.model.coarse-voxels 1000 3000 --pipeline.model.coarse-steps 60 20 --pipeline.model.warm-up-steps 5"
)


@pytest.fixture
def command(monkeypatch) -> Callable[..., None]:
    """Run the entry point of a command in a folder, with words as its arguments."""

    def run(entry_point: Callable[[], None], *words: object, cwd: Path) -> None:
        monkeypatch.setattr(sys, "argv", [entry_point.__module__, *map(str, words)])
        monkeypatch.setenv("INR_LPIPS", "off")
        monkeypatch.chdir(cwd)
        entry_point()

    return run


@pytest.fixture(scope="module")
def made(knot) -> Path:
    return knot.parent


@pytest.fixture(scope="module")
def run(made, monkeypatch_module) -> Path:
    def run_step(title: str, words: list[str], **_: bool) -> demo.Step:
        if words[0] not in entry_points:
            return started(title, words)
        monkeypatch_module.setattr(sys, "argv", words)
        assert not entry_points[words[0]]()
        return demo.Step(title, words, 0.0)

    entry_points = {
        "ns-eval": evaluation.entrypoint,
        "ns-render": render.entrypoint,
        "inr-mesh": lambda: mesh.main(sys.argv[1:]),
    }
    started = demo.run_step
    monkeypatch_module.setattr(demo, "run_step", run_step)
    monkeypatch_module.setenv("INR_LPIPS", "off")
    arguments = ["--data", str(made / "knot"), "--output", str(made / "out"), "--steps", "110", "--frames", "3"]
    assert demo.main([*arguments, "--mesh-resolution", "24", f"--train={SMALL}"]) == 0
    (run,) = (made / "out" / "runs" / "knot" / "diner").iterdir()
    return run


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@long_form
def test_the_demo_leaves_metrics_a_video_and_a_mesh(run):
    results = json.loads((run / "metrics.json").read_text())["results"]
    assert results["psnr"] > 10
    assert 0 < results["ssim"] <= 1
    assert (run / "turntable.mp4").stat().st_size > 500
    extracted = trimesh.load(run / "mesh.ply")
    assert len(extracted.faces) > 50
    assert extracted.volume > 0


@long_form
def test_a_moved_run_resumes_from_elsewhere(run, made, command):
    moved = made / "elsewhere" / "moved run"
    shutil.copytree(run, moved)
    command(
        *(train.entrypoint, "diner", "--load-dir", moved / "nerfstudio_models", "--max-num-iterations", "5"),
        *("--output-dir", made / "again", *SMALL.split(), "blender-data", "--data", made / "knot"),
        cwd=made,
    )
    assert list((made / "again").rglob("step-*114.ckpt"))


@long_form
def test_a_moved_run_renders_a_spiral_from_elsewhere(run, made, command):
    moved = made / "another place"
    shutil.copytree(run, moved)
    command(
        *(render.entrypoint, "spiral", "--load-config", moved / "config.yml", "--output-path", made / "spiral.mp4"),
        *("--seconds", "0.2"),
        cwd=made / "knot",
    )
    assert (made / "spiral.mp4").stat().st_size > 500


def test_data_that_is_neither_kind_is_one_sentence(tmp_path, capsys):
    assert demo.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"inr-demo: {tmp_path} holds neither")
    assert "\n" not in error


def test_a_step_that_fails_ends_the_demo_with_its_name():
    with pytest.raises(demo.InputError, match="'Evaluate' failed with status 1"):
        demo.run_step("Evaluate", [sys.executable, "-c", "raise SystemExit(1)"])
