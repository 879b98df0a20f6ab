"""How two processes of a training end: by themselves, by a mistake, killed, diverging, told to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from engine.tiny_method import make_scene

HERE = Path(__file__).parent
AT = 5


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What came of each training, and all that was printed."""
    folder = tmp_path_factory.mktemp("launched")
    make_scene(folder / "scene")
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, str(HERE / "launched.py"), str(folder / "scene"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "results.json").read_text()), done.stdout, done.stderr


@pytest.mark.timeout(1000)
def test_the_first_process_alone_speaks_and_saves(ended):
    results, printed, _ = ended
    assert printed.count("Training from scratch.") == len([name for name in results if results[name]["checkpoints"]])
    assert all(".training.lock" not in (each["folder"] or []) for each in results.values())


def test_a_process_that_fails_ends_the_other_with_its_sentence(ended):
    results, _, errors = ended
    assert results["mistake"]["status"] == 1
    assert results["mistake"]["said"] == "The second process has found a mistake: mend it."
    assert "Traceback" not in errors


def test_a_process_that_is_killed_ends_the_other(ended):
    said = ended[0]["killed"]["said"]
    assert re.match(r"Process 1 of 2 was ended by SIGKILL, .* no memory left: .*, step 4, with --load-dir", said)


def test_a_loss_that_is_not_finite_in_one_process_stops_both(ended):
    results = ended[0]
    assert f"The loss is not finite at step {AT}" in results["not finite"]["said"]
    assert results["not finite"]["checkpoints"] == [4]


def test_a_signal_stops_both_after_the_same_step_and_saves_it(ended):
    results, printed, _ = ended
    assert results["told to end"]["status"] == 128 + 15
    (step,) = results["told to end"]["checkpoints"]
    assert AT <= step <= AT + 2
    assert printed.count("Stopping after this step") == 1


def test_a_machine_that_cannot_reach_the_first_says_so(ended):
    said = ended[0]["out of reach"]["said"]
    assert said.startswith("Process 1 of 2 cannot reach tcp://127.0.0.1:9: start the machine of rank 0")


def test_a_training_that_cannot_begin_leaves_no_folder(ended):
    result = ended[0]["without data"]
    assert "There is no data at" in result["said"]
    assert result["folder"] is None
