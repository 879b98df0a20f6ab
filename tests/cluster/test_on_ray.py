"""Trainings on a Ray cluster: their records come back, a lost machine costs one attempt, and what cannot be is told."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from bench.bench_helpers import job, measured, stand_in
from rich.console import Console

from inr_plugins.bench.on_ray import run_on_ray
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import read_json, record_path
from inr_plugins.bench.rules import Rules
from inr_plugins.errors import InputError
from inr_plugins.signals_kept import sigterm_kept

pytest.importorskip("ray", reason='there is no Ray: install "inr-plugins[cluster]"')

TESTS = Path(__file__).resolve().parents[1]
RESULT = json.dumps(measured([{"budget": 1.0, "psnr": 21.5}]))
DONE = f"open(RESULT, 'w').write({RESULT!r})"


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one processor each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch, sigterm_kept():
        # Workers import what stand-ins are made of.
        patch.setenv("PYTHONPATH", f"{TESTS}:{TESTS / 'bench'}")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        made.add_node(num_cpus=1)
        yield made
        made.shutdown()


def run(cluster, jobs, output, code, **rules):
    screen = io.StringIO()
    line = ProgressLine(len(jobs), Console(file=screen, width=200))
    before = signal.getsignal(signal.SIGTERM)
    failed = run_on_ray(
        jobs, output, address=cluster.address, rules=Rules(**rules), command_of=stand_in(code), line=line
    )
    assert signal.getsignal(signal.SIGTERM) is before  # Ray has another, which it leaves
    return failed, screen.getvalue()


def note(place: Path, words: str) -> str:
    """Code that adds a line to a file of this test's."""
    return f"open({str(place)!r}, 'a').write(LABEL + {words!r} + '\\n')"


def test_records_pictures_and_logs_come_back_and_what_is_finished_is_not_run_again(cluster, tmp_path):
    bad = "import sys; print('first', file=sys.stderr); sys.exit('the disk ran away')"
    code = f"""
import os
folder, key = os.path.split(os.path.dirname(RESULT))
if LABEL == 'bad':
    {bad}
open(os.path.join(os.path.dirname(folder), 'pictures', key + '.png'), 'w').write('P')
{DONE}
"""
    output = tmp_path / "bench"
    failed, screen = run(cluster, [job("a"), job("bad")], output, code)
    record = read_json(record_path(output, job("a").key))
    assert (record["status"], record["measured"]["results"][0]["psnr"]) == ("finished", 21.5)
    assert record["hardware"]["cores"] >= 1
    assert (output / "pictures" / f"{job('a').key}.png").read_text() == "P"
    assert [each["error"].splitlines()[-1] for each in failed] == ["the disk ran away"]
    assert "the disk ran away" in (output / "logs" / job("bad").key / "stderr.txt").read_text()
    assert "21.50 dB at 1 s" in screen
    failed, screen = run(cluster, [job("a"), job("bad")], output, DONE)
    assert failed == []
    assert "1 finished before and skipped." in screen


def test_a_machine_that_is_lost_costs_its_training_one_attempt(cluster, tmp_path):
    told = tmp_path / "told.txt"
    # Whoever runs the training c for the first time is lost with its machine.
    code = f"""
import os, time
{note(told, "")}
first = open({str(told)!r}).read().split().count(LABEL) == 1
if LABEL == 'c' and first:
    time.sleep(60)
{DONE}
"""
    lost: list[int] = []

    def end_worker() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = subprocess.run(["pgrep", "-f", "LABEL = 'c'"], capture_output=True, text=True, check=False)
            if found.stdout.split():
                child = int(found.stdout.split()[0])
                parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
                lost.append(parent)
                subprocess.run(["kill", "-KILL", str(parent)], check=True)
                return
            time.sleep(0.1)

    killer = threading.Thread(target=end_worker)
    killer.start()
    failed, _ = run(cluster, [job(label) for label in "abcd"], tmp_path / "bench", code)
    killer.join()
    assert failed == []
    assert len(lost) == 1
    for label in "abcd":
        assert read_json(record_path(tmp_path / "bench", job(label).key))["status"] == "finished"
    assert sorted(told.read_text().split()) == ["a", "b", "c", "c", "d"]


def test_what_cannot_be_had_is_one_sentence(cluster, tmp_path):
    on_gpu = replace(job("a"), protocol=replace(job("a").protocol, device="cuda"))
    with pytest.raises(InputError, match="No machine of the Ray cluster has a GPU: train with --device cpu"):
        run(cluster, [on_gpu], tmp_path, DONE)
    with pytest.raises(InputError, match="--keep-runs cannot be had with --ray"):
        run(cluster, [job("a")], tmp_path, DONE, keep_runs=True)
    with pytest.raises(InputError, match=r"There is no Ray cluster at 127\.0\.0\.1:1 "):
        run_on_ray([job("a")], tmp_path, address="127.0.0.1:1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        with pytest.raises(InputError, match=r'Ray is not installed: pip install "inr-plugins\[cluster\]"'):
            run_on_ray([job("a")], tmp_path)
