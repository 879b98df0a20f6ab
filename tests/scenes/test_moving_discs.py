"""The made video of inr-phantom: its background and its mask are the whole truth of it."""

from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

from inr_plugins.cli import phantom
from inr_plugins.scenes.moving_discs import MovingDiscs


def decoded(path, form):
    with av.open(str(path)) as container:
        return np.stack([each.to_ndarray(format=form) for each in container.decode(video=0)])


def test_outside_of_the_mask_is_the_background_and_inside_are_discs():
    discs = MovingDiscs(96, 64, 60, seed=3)
    for frame in (0, 1, 17, 59):
        picture, mask = discs.picture(frame)
        assert np.array_equal(picture[~mask], discs.background[~mask])
        # By hand, pixel by pixel.
        inside = np.zeros((64, 96), dtype=bool)
        for (column, row), radius in zip(discs.middles(frame), discs.radii, strict=True):
            for i in range(64):
                for j in range(96):
                    inside[i, j] |= (j - column) ** 2 + (i - row) ** 2 < radius**2
        assert np.array_equal(mask, inside)
        assert (picture[mask] != discs.background[mask]).any(-1).mean() > 0.95


def test_discs_go_evenly_and_turn_back_at_the_edges():
    discs = MovingDiscs(40, 30, 300)
    middles = np.stack([discs.middles(frame) for frame in range(300)])
    assert middles.min() >= 0
    assert (middles <= [39, 29]).all()
    steps = np.abs(np.diff(middles, axis=0))
    # But for the frames between which one turns.
    assert np.allclose(np.median(steps, axis=0), np.max(steps, axis=0), rtol=1e-6)
    assert np.hypot(*np.median(steps, axis=0).T).min() > 0.3


def test_the_command_writes_the_video_and_its_truth_together(tmp_path, capsys):
    out = tmp_path / "a.mkv"
    assert phantom.main(["video", str(out), "--size", "32", "--frames", "4", "--seed", "1", "--quiet"]) == 0
    files = [tmp_path / name for name in ("a.mkv", "a_background.png", "a_mask.mkv")]
    assert capsys.readouterr().out.splitlines() == [str(each) for each in files]
    video, mask = decoded(files[0], "rgb24"), decoded(files[2], "gray")
    background = np.asarray(Image.open(files[1]))
    assert video.shape == (4, 24, 32, 3)
    assert set(np.unique(mask)) == {0, 255}
    assert np.array_equal(np.where(mask[..., None] > 0, video, background), video)
    assert not np.array_equal(video[0], video[3])


def test_mistakes_are_a_sentence_and_write_nothing(tmp_path, capsys):
    (tmp_path / "b_mask.mkv").write_bytes(b"mine")
    for kind, name, options, words in (
        ("video", "a.mp4", (), "does not end in .mkv"),
        ("video", "b.mkv", (), "b_mask.mkv exists: give another name, or --overwrite"),
        ("video", "a.mkv", ("--frames", "1"), "--frames must be at least 2"),
        ("planet", "a.tif", ("--frames", "3"), "--frames is for videos, and a planet is a picture"),
    ):
        assert phantom.main([kind, str(tmp_path / name), *options]) == 1
        assert words in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["b_mask.mkv"]


@pytest.mark.parametrize("size", ["1", "2"])
def test_the_smallest_video_is_one(size, tmp_path):
    assert phantom.main(["video", str(tmp_path / "a.mkv"), "--size", size, "--frames", "2", "--quiet"]) == 0
    assert decoded(tmp_path / "a.mkv", "rgb24").shape[2] == int(size)
