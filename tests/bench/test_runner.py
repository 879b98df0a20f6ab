"""Running plans with stand-ins for trainings: records, failures, kills and resuming."""

import dataclasses
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_helpers import job, measured, scene, stand_in
from rich.console import Console

from inr_plugins import machine
from inr_plugins.bench import one_job
from inr_plugins.bench.plan import Job
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import read_json, record_path
from inr_plugins.bench.rules import Rules
from inr_plugins.bench.runner import run_jobs
from inr_plugins.bench.workplace import Workplace, worker_command
from inr_plugins.errors import InputError

RULES = {each.name for each in dataclasses.fields(Rules)}
HERE = Path(__file__).parent
GOOD = f"import json; open(RESULT, 'w').write({json.dumps(measured([{'budget': 1.0, 'psnr': 21.5}]))!r})"
LOUD = "import sys; print('first', file=sys.stderr); sys.exit('the disk ran away')"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(one_job, "_POLL_SECONDS", 0.01)


def run(jobs, output, code, **options):
    screen = io.StringIO()
    line = ProgressLine(len(jobs), Console(file=screen, width=200))
    rules = Rules(**{name: options.pop(name) for name in [*options] if name in RULES})
    failed = run_jobs(jobs, output, rules=rules, command_of=stand_in(code), line=line, **options)
    return failed, screen.getvalue()


def test_a_finished_job_has_a_record_with_everything_in_it(tmp_path):
    failed, screen = run([job("a")], tmp_path, GOOD)
    assert failed == []
    record = read_json(record_path(tmp_path, job("a").key))
    assert record["status"] == "finished"
    assert record["definition"] == job("a").definition()
    assert record["measured"]["results"][0]["psnr"] == 21.5
    assert {"python", "torch", "nerfstudio", "inr-plugins"} <= record["versions"].keys()
    assert record["hardware"]["cores"] >= 1
    assert shlex.split(record["command"])[0] == sys.executable
    assert record["protocol"]
    assert record["date"].endswith("+00:00")
    # What is no terminal is told of the start too: minutes pass before the end.
    assert screen.index("job 1 of 1  a on ball, seed 0: started") < screen.index("21.50 dB at 1 s")
    assert list((tmp_path / "work").iterdir()) == []


def test_finished_jobs_are_skipped_and_a_changed_definition_is_run(tmp_path):
    run([job("a"), job("b")], tmp_path, GOOD)
    other = job("a", where=scene(digest="1" * 16))
    failed, screen = run([job("a"), job("b"), other], tmp_path, LOUD)
    assert [record["key"] for record in failed] == [other.key]
    assert "2 finished before and skipped." in screen
    # The record of the old definition is kept.
    assert read_json(record_path(tmp_path, job("a").key))["status"] == "finished"


def test_records_of_other_code_are_not_passed_off_as_finished(tmp_path, monkeypatch):
    run([job("a")], tmp_path, GOOD)
    path = record_path(tmp_path, job("a").key)
    by_now = read_json(path)["versions"]["code"]
    assert by_now == machine.code_digest()
    monkeypatch.setattr(machine, "code_digest", lambda: "changed")
    run([job("b")], tmp_path, GOOD)
    with pytest.raises(
        InputError, match=rf"1 of the 2 trainings .* by other code .*code {by_now}, this is changed.*--rerun stale"
    ):
        run([job("a"), job("b")], tmp_path, LOUD)
    failed, screen = run([job("a"), job("b")], tmp_path, LOUD, other_code="keep")
    assert failed == []
    assert read_json(path)["versions"]["code"] == by_now
    failed, screen = run([job("b"), job("a")], tmp_path, GOOD, rerun="stale")
    assert failed == []
    assert "1 finished before and skipped." in screen
    assert read_json(path)["versions"]["code"] == "changed"
    assert run([job("a"), job("b")], tmp_path, LOUD)[0] == []


def test_records_from_before_there_was_a_digest_count_as_of_other_code(tmp_path):
    run([job("a")], tmp_path, GOOD)
    path = record_path(tmp_path, job("a").key)
    old = read_json(path)
    del old["versions"]["code"]
    path.write_text(json.dumps(old))
    with pytest.raises(InputError, match="code unknown, this is"):
        run([job("a")], tmp_path, GOOD)


def test_a_failed_job_says_why_the_others_go_on_and_it_is_tried_again(tmp_path):
    failed, screen = run([job("bad"), job("good")], tmp_path, f"if LABEL == 'bad':\n    {LOUD}\n{GOOD}")
    (record,) = failed
    assert record == read_json(record_path(tmp_path, job("bad").key))
    assert record["error"].splitlines() == ["The training ended with status 1.", "first", "the disk ran away"]
    assert record["measured"] is None
    assert "the disk ran away" in (tmp_path / "logs" / record["key"] / "stderr.txt").read_text()
    assert read_json(record_path(tmp_path, job("good").key))["status"] == "finished"
    assert "FAILED: the disk ran away" in screen
    failed, _ = run([job("bad"), job("good")], tmp_path, GOOD)
    assert failed == []
    assert not (tmp_path / "logs" / record["key"]).exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("pass", "ended without a result"),
        ("open(RESULT, 'w').write('{\"curve\"')", "ended without a result"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        (GOOD + "; raise SystemExit(3)", "status 3"),
    ],
)
def test_a_job_without_a_whole_result_has_failed(tmp_path, code, words):
    failed, _ = run([job()], tmp_path, code)
    assert words in failed[0]["error"]


def test_run_folders_are_kept_on_demand_only(tmp_path):
    code = "import os; folder = os.path.join(os.path.dirname(RESULT), 'run'); os.mkdir(folder); " + GOOD
    run([job("a")], tmp_path, code)
    assert not (tmp_path / "runs").exists()
    run([job("b")], tmp_path, code, keep_runs=True)
    assert (tmp_path / "runs" / job("b").key).is_dir()


# A benchmark of a finished job and one that never ends, as a process that can be killed.
_BENCHMARK = '''
import signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from bench_helpers import job, stand_in
from test_runner import GOOD
from inr_plugins.bench.runner import run_jobs
from inr_plugins.engine.interrupt import exit_status, sigterm_as_ctrl_c
# A suite that runs in the background of a shell ignores Ctrl-C, and what it starts inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
code = f"""import os, time
if LABEL == 'b':
    open(RESULT + '.pid', 'w').write(str(os.getpid())); time.sleep(60)
{GOOD}"""
try:
    with sigterm_as_ctrl_c():
        run_jobs([job("a"), job("b")], Path(sys.argv[1]), command_of=stand_in(code))
except KeyboardInterrupt as stop:
    sys.exit(exit_status(stop))
'''


def is_alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def interrupted(tmp_path):
    """A benchmark whose first job is finished and whose second is in the middle; its process, and the job's number."""
    process = subprocess.Popen([sys.executable, "-c", _BENCHMARK, str(tmp_path), str(HERE)], stderr=subprocess.DEVNULL)
    mark = tmp_path / "work" / job("b").key / "result.json.pid"
    end = time.monotonic() + 30
    while not (mark.is_file() and mark.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    number = int(mark.read_text())
    yield process, number
    if process.poll() is None:
        process.kill()
    process.wait()
    if is_alive(number):
        os.kill(number, signal.SIGKILL)


def test_a_killed_benchmark_goes_on_where_it_was(interrupted, tmp_path):
    process, _ = interrupted
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not record_path(tmp_path, job("b").key).exists()
    left = tmp_path / "work" / job("b").key
    assert left.is_dir()
    before = record_path(tmp_path, job("a").key).stat().st_mtime_ns
    # The half-done job is started anew: of the old one nothing is left to be taken for a result.
    (left / "result.json").write_text(json.dumps(measured([])))
    check = f"import os; assert os.listdir(os.path.dirname(RESULT)) != [] and not os.path.exists(RESULT)\n{GOOD}"
    failed, screen = run([job("a"), job("b")], tmp_path, check)
    assert failed == []
    assert "1 finished before" in screen
    assert record_path(tmp_path, job("a").key).stat().st_mtime_ns == before
    assert read_json(record_path(tmp_path, job("b").key))["status"] == "finished"


@pytest.mark.parametrize(("number_of_signal", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_end_the_job_too_and_leave_no_record_of_it(interrupted, tmp_path, number_of_signal, status):
    process, number = interrupted
    assert is_alive(number)
    process.send_signal(number_of_signal)
    assert process.wait(timeout=300) == status
    assert not is_alive(number)
    assert list((tmp_path / "work").iterdir()) == []
    assert record_path(tmp_path, job("a").key).exists()
    assert not record_path(tmp_path, job("b").key).exists()


def test_a_second_benchmark_in_the_same_folder_is_refused(interrupted, tmp_path):
    with pytest.raises(InputError, match="Another benchmark of this machine is at work"):
        run([job("c")], tmp_path, GOOD)


def test_an_output_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to"):
        run([job()], tmp_path / "file" / "bench", GOOD)


def test_a_terminal_shows_how_far_a_job_is(tmp_path):
    screen = io.StringIO()
    jobs = [job("a"), job("b")]
    line = ProgressLine(2, Console(file=screen, width=200, force_terminal=True))
    line.expect(jobs)
    with line:
        line.begin(jobs[0])
        line.show(jobs[0], {"phase": "training", "seconds": 0.6, "steps": 12, "psnr": 18.25})
        status = str(line._status.status)
    assert "job 1 of 2  a on ball, seed 0 · training, 1 of 1 s, step 12, 18.25 dB" in status
    # 20 s of start-up and 1.3 times the budget, for each of two jobs.
    assert "about 0:00:43 left" in status


def test_thousands_of_jobs_are_counted_off_without_looking_at_all_of_them_each_time(monkeypatch):
    made, key = [], Job.key.fget
    monkeypatch.setattr(Job, "key", property(lambda job: made.append(1) or key(job)))
    jobs = [job(f"{number}") for number in range(300)]
    line = ProgressLine(len(jobs), Console(file=io.StringIO()))
    line.expect(jobs)
    with line:
        for each in jobs:
            line.skip(each)
    assert line._waiting == {}
    assert len(made) == 2 * len(jobs)


def test_the_workers_command_holds_the_protocol_and_the_training(tmp_path):
    place = Workplace(tmp_path / "work", tmp_path / "picture.png")
    command = worker_command(job("tensorf"), place, save=True)
    split = command.index("--")
    assert command[1:5] == ["-m", "inr_plugins.bench.worker", "--unit", "seconds"]
    assert {"--stock", "--save"} <= set(command[:split])
    assert command[split + 1 : split + 4] == ["tensorf", "--save-only-latest-checkpoint", "False"]
    assert "--stock" not in worker_command(job("diner"), place)


def test_a_job_with_meshes_tells_its_worker_which_may_be_another(tmp_path):
    plain = worker_command(job(), Workplace(tmp_path, tmp_path / "view.png"))
    assert plain[1:3] == ["-m", "inr_plugins.bench.worker"]
    assert "--mesh-resolution" not in plain
    meshed = dataclasses.replace(job(), protocol=dataclasses.replace(job().protocol, mesh_resolution=64))
    command = worker_command(meshed, Workplace(tmp_path, tmp_path / "view.png"), worker="another.worker")
    assert command[2] == "another.worker"
    assert command[command.index("--mesh-resolution") + 1] == "64"
