"""The lines at the top of the page, of steps at known times."""

import pytest

from inr_plugins.viewer.status import Status


def trained(*steps: tuple[float, int], last_step=None) -> Status:
    status = Status()
    status.is_training, status.last_step = True, last_step
    for at, step in steps:
        status.note_step(step, at=at)
    return status


def lines(status: Status) -> list[str]:
    return status.text().split("  \n")


def test_speed_and_time_are_of_the_steps():
    """Two steps a second for ten seconds, then one."""
    fast = [(50 + 0.5 * step, step) for step in range(21)]
    status = trained(*fast, last_step=198)
    assert lines(status) == ["Step: 20", "Time: 0:10, 2 steps/s, 89 s to go", "Resolution: 0x0px"]
    slow = [(60.0 + second, 20 + second) for second in range(1, 58)]
    status = trained(*fast, *slow)
    assert lines(status)[:2] == ["Step: 77", "Time: 1:07, 1 steps/s"]
    # Steps that take longer than what is counted have a speed all the same.
    assert lines(trained((0, 0), (30, 1), (60, 2)))[1] == "Time: 1:00, 0.0333 steps/s"


@pytest.mark.parametrize(
    ("last_step", "words"),
    [(5, "0 s"), (99, "89 s"), (100, "2 min"), (190, "3 min"), (5409, "90 min"), (9010, "2.5 h")],
)
def test_what_is_left_is_roughly_said(last_step, words):
    assert lines(trained((0, 0), (10, 10), last_step=last_step))[1] == f"Time: 0:10, 1 steps/s, {words} to go"


def test_without_a_speed_there_is_none():
    status = trained((5, 7), last_step=100)
    assert lines(status)[1] == "Time: 0:00"
    # Two of one moment, and one step that was done again.
    assert lines(trained((5, 7), (5, 8), last_step=100))[1] == "Time: 0:00"
    assert lines(trained((5, 7), (6, 7), last_step=100))[1] == "Time: 0:01, 0 steps/s"


def test_what_is_not_trained_has_no_time_and_a_resolution():
    status = trained((0, 7), (1, 8))
    status.is_training, status.resolution, status.psnr = False, "640x480px", 21.26
    assert lines(status) == ["Step: 8", "PSNR of the last batch: 21.3 dB", "Resolution: 640x480px"]
