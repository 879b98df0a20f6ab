"""nid-video through its trainer: background, foreground and mask of a made clip, read out, judged and gone on with."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
import torch
from integration.small_methods import small_nid_video
from long_form import long_form
from PIL import Image
from short_runs import assert_going_on_is_not_having_stopped, train

from inr_plugins.cli import eval as evaluation
from inr_plugins.cli import signal_file
from inr_plugins.data.signals.columns import ColumnDataManagerConfig
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError
from inr_plugins.models.nid.video import NidVideoModelConfig

pytestmark = long_form

WIDTH, HEIGHT, FRAMES = 24, 16, 8
SQUARE, GREEN = 4, np.array([0.2, 1.0, 0.2])


def picture(frame):
    """A slope whose brightness changes with the time, before which a green square goes from left to right."""
    row, column = np.meshgrid(np.linspace(0, 1, HEIGHT), np.linspace(0, 1, WIDTH), indexing="ij")
    still = np.stack([0.2 + 0.5 * column, 0.2 + 0.5 * row, 0.4 + 0.2 * np.sin(4 * row + 3 * column)], -1)
    still = still * (0.85 + 0.15 * frame / (FRAMES - 1))
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[5 : 5 + SQUARE, 2 * frame + 1 : 2 * frame + 1 + SQUARE] = True
    return still, mask


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a clip") / "frames"
    folder.mkdir()
    for frame in range(FRAMES):
        still, mask = picture(frame)
        seen = np.where(mask[..., None], GREEN, still)
        Image.fromarray(np.rint(seen * 255).astype(np.uint8)).save(folder / f"{frame:02}.png")
    return folder


@pytest.fixture(scope="module")
def run(clip, tmp_path_factory):
    return train(small_nid_video(clip, tmp_path_factory.mktemp("run")), 250)


def read_out(run, output, *arguments):
    assert signal_file.main([str(run.base_dir), str(output), "--device", "cpu", *arguments]) == 0
    with av.open(str(output)) as container:
        return np.stack([each.to_ndarray(format="rgb24") for each in container.decode(video=0)])


def test_the_background_is_found_whose_light_changes_and_what_moves_is_cut_out(run, tmp_path):
    background = read_out(run, tmp_path / "background.mkv") / 255.0
    foreground = read_out(run, tmp_path / "foreground.mkv", "--part", "foreground") / 255.0
    mask = read_out(run, tmp_path / "mask.mkv", "--part", "mask")[..., 0] > 127
    still, moves = (np.stack([picture(frame)[number] for frame in range(FRAMES)]) for number in (0, 1))
    error = np.mean((background - still) ** 2)
    # A median over the frames knows nothing of the light.
    seen = np.where(moves[..., None], GREEN, still)
    median = np.mean((np.median(seen, 0) - still) ** 2)
    assert error < min(1e-3, median / 2)
    agreement = 2 * (mask & moves).sum() / (mask.sum() + moves.sum())
    assert agreement > 0.95
    np.testing.assert_allclose(foreground, np.where(mask[..., None], seen, 0), atol=0.003)


def test_the_video_is_nothing_that_the_run_holds_and_is_asked_for_where_a_part_needs_it(run, clip, tmp_path, capsys):
    state = run.pipeline.model.state_dict()
    assert sum(value.numel() for value in state.values()) < 20_000
    moved = clip.rename(clip.with_name("elsewhere"))
    try:
        assert read_out(run, tmp_path / "still.mkv").shape == (FRAMES, HEIGHT, WIDTH, 3)
        bad = tmp_path / "mask.mkv"
        assert signal_file.main([str(run.base_dir), str(bad), "--part", "mask", "--device", "cpu"]) == 1
        said = capsys.readouterr().err
        assert "The mask is made with the video's own pixels, and they are not there." in said
        assert not bad.exists()
        # It may have been moved.
        again = read_out(run, tmp_path / "again.mkv", "--part", "mask", "--data", str(moved))
        assert again.shape == (FRAMES, HEIGHT, WIDTH, 3)
    finally:
        moved.rename(clip)
    assert signal_file.main([str(run.base_dir), str(bad), "--part", "phase", "--device", "cpu"]) == 1
    assert "background, foreground, mask" in capsys.readouterr().err


def test_it_is_judged_by_where_nothing_moves(run, tmp_path):
    output = tmp_path / "result.json"
    assert evaluation.main([str(run.base_dir), "--output", str(output), "--device", "cpu"]) == 0
    (judged,) = json.loads(output.read_text(encoding="utf8"))["runs"]
    scores = judged["images"]["mean"]
    assert scores["foreground_share"] == pytest.approx(SQUARE**2 / (WIDTH * HEIGHT), rel=0.1)
    # The square is in the way of what the background has of the whole picture.
    assert scores["psnr_background"] > scores["psnr"] + 10
    model = load_run(run.base_dir / "config.yml", device="cpu").pipeline.model
    still, moves = picture(3)
    video = torch.from_numpy(np.where(moves[..., None], GREEN, still)).float()
    found = torch.from_numpy(np.clip(still + 0.02, 0, 1)).float()
    metrics, pictures = model.get_image_metrics_and_images(
        {"rgb": found, "depth": torch.ones(HEIGHT, WIDTH, 1), "accumulation": torch.ones(HEIGHT, WIDTH, 1)},
        {"image": video},
    )
    assert metrics["foreground_share"] == pytest.approx(moves.mean())
    assert metrics["psnr_background"] == pytest.approx(-20 * np.log10(0.02), abs=0.05)
    expected = np.where(moves[..., None], GREEN, 0)
    np.testing.assert_allclose(pictures["foreground"].numpy(), expected, atol=1e-6)


def test_stopping_and_going_on_gives_the_same_bits(clip, tmp_path):
    def config(name):
        made = small_nid_video(clip, tmp_path / name)
        # Parts of a pass, so that what is drawn counts.
        made.pipeline.datamanager.pixels_per_batch = 1000
        return made

    assert_going_on_is_not_having_stopped(config, [4], 9)


def test_a_step_sees_some_places_in_all_frames_and_a_pass_all_of_them(clip):
    config = ColumnDataManagerConfig(data=clip, pixels_per_batch=1000, seed=5)
    config.dataparser.data = clip
    manager = config.setup(device="cpu", test_mode="val")
    video = torch.from_numpy(manager.image.pixels).float() / 255
    passes = -(-WIDTH * HEIGHT // (1000 // FRAMES))
    seen = []
    for step in range(passes):
        pixels, batch = manager.next_train(step)
        row, column = pixels.places // WIDTH, pixels.places % WIDTH
        torch.testing.assert_close(batch["values"], video[:, row, column])
        assert len(pixels.places) * FRAMES <= 1000
        seen.append(pixels.places)
    assert torch.cat(seen).sort().values.tolist() == list(range(WIDTH * HEIGHT))
    whole = ColumnDataManagerConfig(data=clip)
    whole.dataparser.data = clip
    pixels, batch = whole.setup(device="cpu", test_mode="val").next_train(0)
    assert pixels.places is None
    torch.testing.assert_close(batch["values"], video.flatten(1, 2))


def test_the_loss_is_that_of_the_paper_with_the_sizes_of_experts(run):
    model = run.pipeline.model
    n = model.config.experts
    values, video = torch.rand(FRAMES, 5, 3), torch.rand(FRAMES, 5, 3)
    weights, sizes = torch.randn(FRAMES, n), torch.rand(n)
    losses = model.get_loss_dict({"values": values, "weights": weights, "sizes": sizes}, {"values": video})
    assert float(losses["l1_loss"]) == pytest.approx(np.abs(2 * (values - video).numpy()).mean(), rel=1e-5)
    added = np.abs(weights.numpy()) * sizes.numpy() * np.exp(0.5 * np.arange(n))
    assert float(losses["sparsity_loss"]) == pytest.approx(0.01 * added.sum(1).mean(), rel=1e-5)


def test_weights_that_no_number_holds_are_refused():
    NidVideoModelConfig(experts=32, decay=2.55).check_options()
    with pytest.raises(InputError, match=r"--pipeline.model.decay 2.6 counts the last of 32 experts e\^81 times"):
        NidVideoModelConfig(experts=32, decay=2.6).check_options()
    with pytest.raises(InputError, match=r"threshold must be above 0 and below 1"):
        NidVideoModelConfig(threshold=1.0).check_options()
