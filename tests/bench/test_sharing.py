"""Several processes and devices in one benchmark: each training is run once, by somebody who is there to finish it."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_helpers import job, measured, stand_in
from long_form import long_form
from rich.console import Console

from inr_plugins.bench import crew, one_job
from inr_plugins.bench.claims import ClaimedError, claimed, neighbours
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import read_json, record_path
from inr_plugins.bench.rules import Rules
from inr_plugins.bench.runner import run_claimed, run_jobs

HERE = Path(__file__).parent
RESULT = json.dumps(measured([{"budget": 1.0, "psnr": 21.5}]))
# Says when it began and ended, and which devices it saw.
TOLD = f"""
import json, os, time
begun = time.time()
time.sleep(0.3)
with open(os.path.join(os.path.dirname(RESULT), "..", "..", "told.txt"), "a") as file:
    file.write(json.dumps([LABEL, begun, time.time(), os.environ.get("CUDA_VISIBLE_DEVICES")]) + "\\n")
open(RESULT, "w").write({RESULT!r})
"""
# Another process that runs jobs a, b, c, d in the folder argv[1]; each takes a while.
OTHER = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}]
from bench_helpers import job, stand_in
from test_sharing import TOLD
from inr_plugins.bench.runner import run_claimed
run_claimed([job(label) for label in sys.argv[2:]], Path(sys.argv[1]), command_of=stand_in(TOLD))
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(one_job, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(crew, "_LOOK_EVERY", 0.05)


def quiet(count: int) -> ProgressLine:
    return ProgressLine(count, Console(file=io.StringIO()))


def told(output: Path) -> list[list]:
    return [json.loads(line) for line in (output / "told.txt").read_text().splitlines()]


def start_other(output: Path, *labels: str, seconds: float = 0.3) -> subprocess.Popen:
    code = OTHER.replace("stand_in(TOLD)", f"stand_in(TOLD.replace('0.3', '{seconds}'))")
    return subprocess.Popen([sys.executable, "-c", code, str(output), *labels], stderr=subprocess.DEVNULL)


def wait_for(condition, seconds: float = 30.0) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


@long_form
def test_processes_that_share_a_folder_run_each_training_once(tmp_path):
    jobs = [job(label) for label in "abcdef"]
    others = [start_other(tmp_path, *"abcdef"), start_other(tmp_path, *"fedcba")]
    assert wait_for(lambda: (tmp_path / "told.txt").is_file())
    assert run_claimed(jobs, tmp_path, command_of=stand_in(TOLD), line=quiet(6)) == []
    # Who comes to the end has waited for what the others were at.
    assert all(read_json(record_path(tmp_path, each.key))["status"] == "finished" for each in jobs)
    assert [other.wait(30) for other in others] == [0, 0]
    assert sorted(line[0] for line in told(tmp_path)) == list("abcdef")
    assert list((tmp_path / "work").iterdir()) == list((tmp_path / "claims").iterdir()) == []


@long_form
def test_a_training_whose_process_was_killed_is_run_by_who_waits_for_it(tmp_path):
    # It is not to be done before it is killed.
    other = start_other(tmp_path, "a", seconds=15)
    place = tmp_path / "work" / job("a").key
    assert wait_for(place.is_dir)
    with pytest.raises(ClaimedError, match=f"process {other.pid} on "), claimed(tmp_path, job("a").key):
        pass
    assert neighbours(tmp_path, "another") == 1
    line = quiet(1)
    line.wait_for_others = lambda count: other.kill()
    assert run_claimed([job("a")], tmp_path, command_of=stand_in(TOLD), line=line) == []
    assert other.wait(60) == -signal.SIGKILL
    assert read_json(record_path(tmp_path, job("a").key))["status"] == "finished"


def test_what_somebody_is_at_is_not_cleared_up(tmp_path):
    place = tmp_path / "work" / job("a").key
    place.mkdir(parents=True)
    left = tmp_path / "work" / "0123456789abcdef"
    left.mkdir()
    with claimed(tmp_path, job("a").key):
        run_claimed([job("b")], tmp_path, command_of=stand_in(TOLD), line=quiet(1))
        assert place.is_dir()
    assert not left.exists()


def test_each_device_has_one_training_at_a_time_and_sees_itself_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    jobs = [job(label) for label in "abcd"]
    assert run_jobs(jobs, tmp_path, devices=("0", "2"), command_of=stand_in(TOLD), line=quiet(4)) == []
    lines = told(tmp_path)
    assert {line[3] for line in lines} == {"4", "6"}
    for device in ("4", "6"):
        times = sorted(line[1:3] for line in lines if line[3] == device)
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(times))
    records = [read_json(record_path(tmp_path, each.key)) for each in jobs]
    assert {record["device_number"] for record in records} == {"0", "2"}
    # The first two at the least ran side by side.
    assert [record["neighbours"] for record in records[:2]] == [1, 1]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5,6"


def test_alone_it_has_no_neighbours_and_sees_all_devices(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    run_jobs([job("a")], tmp_path, command_of=stand_in(TOLD), line=quiet(1))
    record = read_json(record_path(tmp_path, job("a").key))
    assert (record["neighbours"], record["device_number"]) == (0, None)
    assert told(tmp_path)[0][3] == "4,5,6"


def test_an_error_on_one_device_ends_the_trainings_on_all(tmp_path):
    def command_of(each, place):
        if each.label == "b":
            raise RuntimeError("no command")
        return [sys.executable, "-c", "import time; time.sleep(60)"]

    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="no command"):
        run_jobs([job("a"), job("b"), job("c")], tmp_path, devices=("0", "1"), command_of=command_of, line=quiet(3))
    assert time.monotonic() - begun < 50
    assert list((tmp_path / "records").iterdir()) == list((tmp_path / "claims").iterdir()) == []


@long_form
def test_a_training_that_takes_too_long_is_ended_and_the_next_one_run(tmp_path):
    code = f"import time\nif LABEL == 'slow':\n    time.sleep(60)\nopen(RESULT, 'w').write({RESULT!r})"
    rules = Rules(time_limit=1.5)
    failed = run_jobs([job("slow"), job("quick")], tmp_path, rules=rules, command_of=stand_in(code), line=quiet(2))
    assert [(each["definition"]["label"], each["error"]) for each in failed] == [
        ("slow", "The training was ended after 1.5 s, the --time-limit.")
    ]
    assert read_json(record_path(tmp_path, job("quick").key))["status"] == "finished"


def test_what_is_run_again_is_said_by_the_rules(tmp_path):
    def count(**rules) -> int:
        before = len(told(tmp_path)) if (tmp_path / "told.txt").exists() else 0
        run_jobs([job("a")], tmp_path, rules=Rules(**rules), command_of=stand_in(TOLD), line=quiet(1))
        return len(told(tmp_path)) - before

    assert count() == 1
    assert count() == 0
    assert count(rerun="stale") == 0
    assert count(rerun="all") == 1
    path = record_path(tmp_path, job("a").key)
    record = read_json(path)
    record["versions"]["torch"] = "0.1"
    path.write_text(json.dumps(record))
    assert count(other_code="keep") == 0
    assert count(rerun="stale") == 1


def test_who_waits_says_so_where_there_is_no_terminal(tmp_path):
    screen = io.StringIO()
    line = ProgressLine(2, Console(file=screen, width=200))
    with line:
        for _ in range(3):
            line.wait_for_others(2)
    assert screen.getvalue().count("2 trainings are being run elsewhere: waiting") == 1
