"""Which frames of a video are asked for."""

from __future__ import annotations

import pytest

from inr_plugins.errors import InputError
from inr_plugins.models.signals.readout import find_frames
from inr_plugins.signal_grid import PixelGrid

VIDEO = PixelGrid(4, 3, frames=50)


@pytest.mark.parametrize(
    ("wanted", "rate", "frames"),
    [
        (None, None, range(50)),
        ("7", None, range(7, 8)),
        ("7:9", None, range(7, 9)),
        (":3", None, range(3)),
        ("48:", None, range(48, 50)),
        (":", None, range(50)),
        # At ten a second frame 5 begins at 0.5 s and is shown until 0.6 s.
        ("0.5s", 10.0, range(5, 6)),
        ("0.59s", 10.0, range(5, 6)),
        ("0.5s:0.8s", 10.0, range(5, 8)),
        ("0.51s:0.81s", 10.0, range(6, 9)),
        ("1s:", 10.0, range(10, 50)),
        (":2s", 10.0, range(20)),
        ("5:1s", 10.0, range(5, 10)),
        # Of 30000 / 1001 a second, in which rounding could miss the frame that begins then.
        ("1.001s", 30000 / 1001, range(30, 31)),
        ("1.001s:1.1011s", 30000 / 1001, range(30, 33)),
    ],
)
def test_frames_and_seconds(wanted, rate, frames):
    assert find_frames(VIDEO, wanted, rate=rate) == frames


@pytest.mark.parametrize(
    ("wanted", "rate", "words"),
    [
        ("", 10.0, "is no part of a video: give A:B"),
        ("-1", 10.0, "is no part of a video: give A:B"),
        ("1.5", 10.0, "is no part of a video: give A:B"),
        ("1:2:3", 10.0, "is no part of a video: give A:B"),
        ("nans", 10.0, "is no part of a video: give A:B"),
        ("\u0663", 10.0, "is no part of a video: give A:B"),
        ("s", 10.0, "is no part of a video: give A:B"),
        ("50", 10.0, "which has frames 0 to 49"),
        ("5s", 10.0, "which has frames 0 to 49"),
        ("0.51s:0.59s", 10.0, "which has frames 0 to 49"),
        ("3:2", 10.0, "which has frames 0 to 49"),
        ("1s", None, "is in seconds, and it is not known how many frames this video has in one: give numbers"),
    ],
)
def test_what_is_no_part_of_the_video_is_a_sentence(wanted, rate, words):
    with pytest.raises(InputError, match=words):
        find_frames(VIDEO, wanted, rate=rate)
