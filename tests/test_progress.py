"""Progress: a bar on a terminal, lines now and then elsewhere, nothing where it is quiet."""

import io

import pytest

from inr_plugins.progress import Lines, Pace, progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(seconds: int, *, total: int = 100) -> list[str]:
    """What is said of work that tells every second how far it is."""
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    for second in range(1, seconds + 1):
        clock.now += 1
        lines.tell("Sampling", total * second // seconds, total)
    return stream.getvalue().splitlines()


def test_lines_come_every_ten_seconds_and_at_the_end():
    assert lines_of(35) == [
        "Sampling: 28 of 100 after 10 s",
        "Sampling: 57 of 100 after 20 s",
        "Sampling: 85 of 100 after 30 s",
        "Sampling: 100 of 100 after 35 s",
    ]


def test_what_is_short_has_no_line():
    assert lines_of(9) == []


def test_large_numbers_are_told_as_a_share():
    assert lines_of(20, total=3_000_000)[0] == "Sampling: 50 % after 10 s"


def test_a_day_is_no_flood():
    told = lines_of(24 * 3600)
    assert 50 < len(told) < 100


def test_another_name_has_its_own_end():
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    for name in ("first", "second"):
        clock.now += 12
        lines.tell(name, 1, 2)
        clock.now += 1
        lines.tell(name, 2, 2)
    lines.tell("third", 2, 2)
    assert stream.getvalue().splitlines() == [
        "first: 1 of 2 after 12 s",
        "first: 2 of 2 after 13 s",
        "second: 1 of 2 after 25 s",
        "second: 2 of 2 after 26 s",
    ]


def test_a_pace_is_due_again_only_after_a_while():
    clock = Clock()
    pace = Pace(clock)
    assert not pace.is_due()
    clock.now += 10
    assert [pace.is_due(), pace.is_due()] == [True, False]


def test_no_control_characters_without_a_terminal(monkeypatch):
    monkeypatch.setattr("inr_plugins.progress._FIRST_SECONDS", 0.0)
    monkeypatch.setattr("inr_plugins.progress._SHARE", 0.0)
    stream = io.StringIO()
    with progress(stream=stream) as bar:
        bar("Looking [from] the views", 1, 2)
    assert stream.getvalue() == "Looking [from] the views: 1 of 2 after 0 s\n"


def test_a_terminal_has_a_bar_that_leaves_nothing(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress(stream=stream) as bar:
        assert stream.getvalue() == ""
        bar("Looking [from] the views", 1, 4)
        bar("Looking [from] the views", 2, 5)
    shown = stream.getvalue()
    assert "Looking [from] the views" in shown
    assert "2/5" in shown
    assert "40%" in shown
    # The last thing is to wipe the line.
    assert shown.endswith("\x1b[2K")


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_quiet_is_quiet(kind):
    stream = kind()
    with progress(quiet=True, stream=stream) as bar:
        bar("Sampling", 1, 2)
    assert stream.getvalue() == ""
