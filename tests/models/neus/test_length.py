"""How many steps a run has where nobody says, and what is said of its time."""

import copy
from pathlib import Path

import pytest
from inr_plugins.method_configs.neus import cn_neus

from inr_plugins.models.neus import length
from inr_plugins.models.neus.length import HowLong, in_words


@pytest.mark.parametrize(("device", "given", "steps"), [("cpu", None, 20_000), ("cuda", None, 300_000), ("cpu", 7, 7)])
def test_the_number_of_steps_is_the_machines_unless_it_is_given(device, given, steps, monkeypatch):
    monkeypatch.setattr(length, "choose_device_type", lambda wanted: device)
    config = copy.deepcopy(cn_neus.config)
    assert config.max_num_iterations is None
    config.max_num_iterations = given
    config.settle()
    assert config.max_num_iterations == steps
    config.settle()
    assert config.max_num_iterations == steps


def test_the_run_to_start_from_is_found_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = copy.deepcopy(cn_neus.config)
    config.pipeline.model.start = Path("outputs/run")
    config.settle()
    assert config.pipeline.model.start == tmp_path / "outputs/run"


def test_the_time_is_said_once_from_the_steps_that_were_timed(capsys):
    now = [0.0]
    clock = HowLong(100, 20_100, clock=lambda: now[0])
    for step in range(100, 400):
        # The first steps are slow.
        now[0] += 30.0 if step < 105 else 1.5
        clock.after_step(step)
    said = " ".join(capsys.readouterr().out.split())
    assert said == (
        "A step takes 1.5 s: the 19,975 that are left take about 8 h 19 min; --max-num-iterations sets how many there "
        "are."
    )


def test_it_is_said_again_where_steps_have_become_faster(capsys):
    now = [0.0]
    clock = HowLong(0, 20_000, clock=lambda: now[0])
    for step in range(400):
        now[0] += 2.0 if step < 150 else 1.0
        clock.after_step(step)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("A step takes") == 2
    assert "A step takes 1 s, no longer 2: the 19,800 that are left take about 5 h 30 min" in said


def test_nothing_is_said_of_a_minute(capsys):
    now = [0.0]
    clock = HowLong(0, 60, clock=lambda: now[0])
    for step in range(60):
        now[0] += 1.0
        clock.after_step(step)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(20, "1 min"), (3599, "1 h 0 min"), (5400, "1 h 30 min"), (200_000, "2 d 7 h")]
)
def test_a_length_of_time_is_told_to_two_units(seconds, words):
    assert in_words(seconds) == words
