"""What a background of a video is judged by: the truth beside a made clip, the median, principal component pursuit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inr_plugins.cli import phantom
from inr_plugins.data.signals import clip_judge
from inr_plugins.data.signals.clip_judge import classical_backgrounds, truth_beside
from inr_plugins.data.signals.columns import ColumnDataManagerConfig
from inr_plugins.data.signals.video import SignalVideo, read_video
from inr_plugins.scenes.moving_discs import MovingDiscs

WIDTH, HEIGHT, FRAMES = 24, 18, 9


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mkv"
    arguments = [str(path), "--size", str(WIDTH), "--frames", str(FRAMES), "--quiet"]
    assert phantom.main(["video", *arguments]) == 0
    return path


def discs():
    made = MovingDiscs(WIDTH, HEIGHT, FRAMES)
    return made, np.stack([made.picture(frame)[1] for frame in range(FRAMES)])


def test_the_truth_of_a_made_clip_is_beside_it(clip):
    made, mask = discs()
    truth = truth_beside(clip, read_video(clip))
    np.testing.assert_allclose(truth.background.view(HEIGHT, WIDTH, 3).numpy(), made.background / 255, atol=1e-6)
    np.testing.assert_array_equal(truth.mask.view(FRAMES, HEIGHT, WIDTH).numpy(), mask)
    few = truth_beside(clip, read_video(clip, first_frames=4))
    np.testing.assert_array_equal(few.mask.view(4, HEIGHT, WIDTH).numpy(), mask[:4])
    clip.with_name("clip_mask.mkv").rename(clip.with_name("other.mkv"))
    assert truth_beside(clip, read_video(clip)) is None


def test_what_is_of_another_size_is_no_truth(clip):
    Image.new("RGB", (WIDTH + 1, HEIGHT)).save(clip.with_name("clip_background.png"))
    assert truth_beside(clip, read_video(clip)) is None


def test_answers_without_a_network_are_those_of_the_frames():
    # Light that changes is of low rank still; a small square that moves is not.
    still = np.random.default_rng(1).integers(40, 200, (HEIGHT, WIDTH, 3))
    lit = np.stack([still * (0.8 + 0.02 * frame) for frame in range(20)]).astype(np.uint8)
    pixels = lit.copy()
    for frame in range(20):
        pixels[frame, 5:8, frame : frame + 3] = 255
    found = classical_backgrounds(SignalVideo(Path("clip"), pixels, None, 25.0, "", ()))
    assert list(found) == ["median", "pursuit"]
    for frame in (0, 13):
        median, pursuit = (found[name](frame).view(HEIGHT, WIDTH, 3).numpy() for name in ("median", "pursuit"))
        np.testing.assert_allclose(median, np.median(pixels / 255, axis=0), atol=1e-6)
        assert np.abs(pursuit - lit[frame] / 255).mean() < 0.005
        assert np.abs(median - lit[frame] / 255).mean() > 0.01


def test_large_videos_have_none(clip, monkeypatch):
    count = FRAMES * WIDTH * HEIGHT * 3
    monkeypatch.setattr(clip_judge, "_MOST_OF_PURSUIT", count - 1)
    assert list(classical_backgrounds(read_video(clip))) == ["median"]
    monkeypatch.setattr(clip_judge, "_MOST_OF_MEDIAN", count - 1)
    assert not classical_backgrounds(read_video(clip))


class Judge:
    """Stands in for a NidVideoModel whose background is the true one, but darker on the left by a tenth."""

    def __init__(self, background):
        values = torch.from_numpy(background / 255).float()
        values[:, : WIDTH // 2] -= 0.1
        self.values, self.field, self.grid = values.flatten(0, 1), self, self

    def indices(self, places):
        return places % (WIDTH * HEIGHT)

    def at(self, places):
        return self.values[places.long()]

    def is_foreground(self, background, video):
        return ((background.clamp(0, 1) - video).abs() > 0.15).any(-1)

    def parted(self, background, video):
        return {"foreground_share": self.is_foreground(background, video).float().mean()}


def test_a_background_is_judged_beside_the_others_and_by_the_truth(clip):
    made, mask = discs()
    config = ColumnDataManagerConfig(data=clip)
    config.dataparser.data = clip
    manager = config.setup(device="cpu", test_mode="val")
    model = Judge(made.background)
    scores = manager.measurement_scores(model)
    video = torch.from_numpy(manager.image.pixels / 255).float().flatten(1, 2)
    moves = torch.stack([model.is_foreground(model.values, frame) for frame in video]).numpy()
    there = mask.reshape(FRAMES, -1)
    assert scores["foreground_share"] == pytest.approx(moves.mean())
    assert scores["precision"] == pytest.approx((moves & there).sum() / moves.sum())
    assert scores["recall"] == pytest.approx((moves & there).sum() / there.sum())
    assert scores["f"] == pytest.approx(2 * (moves & there).sum() / (moves.sum() + there.sum()))
    error = (model.values.clamp(0, 1) - torch.from_numpy(made.background / 255).float().flatten(0, 1)).square().mean()
    assert scores["psnr_still"] == pytest.approx(float(-10 * error.log10()), abs=1e-3)
    own = {"foreground_share", "precision", "recall", "f", "psnr_still"}
    assert set(scores) == own | {f"{name}_{answer}" for name in own for answer in ("median", "pursuit")}
    median = np.median(manager.image.pixels / 255, axis=0)
    wanted = -10 * np.log10(np.mean((median - made.background / 255) ** 2))
    assert scores["psnr_still_median"] == pytest.approx(wanted, abs=1e-3)
    clip.with_name("clip_mask.mkv").unlink()
    assert set(manager.measurement_scores(model)) == {f"foreground_share{each}" for each in ("", "_median", "_pursuit")}
