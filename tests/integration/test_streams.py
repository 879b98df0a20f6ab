"""finer-stream through its trainer: stages of a run, a stop in the middle of one, and what is said of each."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from integration.small_methods import small_stream
from PIL import Image
from short_runs import assert_going_on_is_not_having_stopped, train

from inr_plugins.cli import eval as evaluation
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError

WIDTH, HEIGHT = 24, 16


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("an image") / "photo.png"
    row, column = np.meshgrid(np.linspace(0, 1, HEIGHT), np.linspace(0, 1, WIDTH), indexing="ij")
    values = np.stack([column, row, np.sin(9 * row * column) ** 2], -1)
    Image.fromarray(np.rint(values * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def run(photo, tmp_path_factory):
    return train(small_stream(photo, tmp_path_factory.mktemp("run")), 90)


def test_stopping_anywhere_and_going_on_gives_the_same_bits(photo, tmp_path):
    """In a stage, and between two."""
    assert_going_on_is_not_having_stopped(
        lambda name: small_stream(photo, tmp_path / name, stage_steps=(4, 3, 2)), [2, 4, 5, 7], 9
    )


def test_a_run_that_goes_on_longer_keeps_its_stages(photo, tmp_path):
    first = train(small_stream(photo, tmp_path / "first"), 6)
    second = train(small_stream(photo, tmp_path / "second"), 30, load_dir=first.checkpoint_dir)
    assert second.pipeline.model.starts.tolist() == [0, 2, 4]
    old, new = (checkpoints.read_newest_checkpoint(each.checkpoint_dir)[0]["pipeline"] for each in (first, second))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    # Only what the last stage adds.
    assert changed == {name for name in old if "stages.2." in name}


def in_numpy(model, stage):
    """The pixels of a stage by hand, float64."""
    x = model.grid.middles(torch.arange(model.grid.count)).double().numpy()
    hidden = [x]
    layers = [[] for _ in range(2)]
    out = 0.0
    for part in model.field.network.stages[:stage]:
        for place, layer in enumerate(part.layers):
            seen = np.concatenate(layers[place - 1] if place else hidden, axis=1)
            z = seen @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
            layers[place].append(np.sin(8 * (np.abs(z) + 1) * z))
        out = out + layers[-1][-1] @ part.head.weight.detach().double().numpy().T
        if part.head.bias is not None:
            out = out + part.head.bias.detach().double().numpy()
    return ((out + 1) / 2).clip(0, 1).reshape(HEIGHT, WIDTH, 3)


def test_evaluation_has_the_psnr_of_every_stage(run, photo):
    pipeline = run.pipeline.eval()
    truth = np.asarray(Image.open(photo)) / 255
    expected = [-10 * np.log10(np.mean((in_numpy(pipeline.model, stage) - truth) ** 2)) for stage in (1, 2, 3)]
    assert expected[0] + 1 < expected[1] < expected[2]
    metrics, line = evaluate_views(pipeline, 1, step=0)
    assert [metrics[f"psnr_stage_{stage}"] for stage in (1, 2, 3)] == pytest.approx(expected, abs=1e-3)
    assert metrics["psnr"] == pytest.approx(expected[-1], abs=1e-3)
    assert f"psnr stage 1 {expected[0]:.4g}, psnr stage 2 {expected[1]:.4g}" in line


def test_inr_eval_has_the_psnr_of_every_stage(run, photo, tmp_path, capsys):
    truth = np.asarray(Image.open(photo)) / 255
    model = run.pipeline.eval().model
    expected = [-10 * np.log10(np.mean((in_numpy(model, stage) - truth) ** 2)) for stage in (1, 2, 3)]
    assert evaluation.main([str(run.base_dir), "--output", str(tmp_path / "a.json"), "--device", "cpu"]) == 0
    (found,) = json.loads((tmp_path / "a.json").read_text())["runs"]
    assert found["images"]["views"][0]["psnr_stages"] == pytest.approx(expected, abs=1e-3)
    means = [found["images"]["mean"][f"psnr_stage_{stage}"] for stage in (1, 2, 3)]
    assert means == pytest.approx(expected, abs=1e-3)
    said = capsys.readouterr().out
    assert f"{expected[0]:.2f}" in said[said.index("PSNR of stage 1 (dB)") :].splitlines()[0]


def test_a_run_is_opened_in_the_stage_that_it_was_in(photo, tmp_path):
    trainer = train(small_stream(photo, tmp_path, stage_steps=(2,)), 3)
    model = load_run(trainer.base_dir, device="cpu").pipeline.model
    assert model.field.stage == 2
    ((camera, _),) = list(trainer.pipeline.datamanager.fixed_indices_eval_dataloader)
    outputs = model.get_outputs_for_camera(camera)
    assert {"stage_1"} == {name for name in outputs if name.startswith("stage_")}
    for name, stage in (("stage_1", 1), ("rgb", 2)):
        assert np.abs(outputs[name].numpy() - in_numpy(model, stage)).max() < 1e-5
    # What a page draws is no more than one stage.
    made = model.viewer_copy()
    drawn = made.get_outputs_for_camera(camera)
    assert torch.equal(drawn["rgb"], outputs["rgb"])
    assert not any(name.startswith("stage_") for name in drawn)


def test_a_run_says_what_its_stages_are(photo, tmp_path, capsys):
    train(small_stream(photo, tmp_path, stage_steps=(2, 2, 50)), 3)
    said = " ".join(capsys.readouterr().out.split())
    assert "Stages by the width of their layers: 6 from step 0, 10 from step 2, 16 from step 4." in said
    assert "The run ends with step 3, in stage 2 of 3" in said
    assert "Step 2: stage 2 of 3 begins, 10 wide, 149 weights." in said


@pytest.mark.parametrize(
    ("settings", "steps", "words"),
    [
        ({"stage_steps": (3, 4)}, 9, "stage-steps has 2 numbers, and --pipeline.model.widths 3"),
        ({"widths": (8, 8)}, 9, "must grow from stage to stage"),
        ({"activation": "relu", "omega": None}, 9, "a stream has no activation 'relu'"),
        ({}, 2, "A run of 2 steps has none for some of its 3 stages"),
        ({"widths": (0, 8)}, 9, "widths must be at least 1"),
    ],
)
def test_mistakes_are_a_sentence(settings, steps, words, photo, tmp_path):
    with pytest.raises(InputError, match=words):
        train(small_stream(photo, tmp_path, **settings), steps)
