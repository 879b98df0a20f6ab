"""The worker with the real trainer on a tiny method, and what keeps it from outliving the benchmark."""

import json
import mmap
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from nerfstudio.pipelines.base_pipeline import VanillaPipeline
from tiny_training import train

from inr_plugins.bench import worker
from inr_plugins.bench.memory import PeakMemory
from inr_plugins.bench.worker import wait_for_data
from inr_plugins.errors import InputError


@pytest.mark.usefixtures("one_thread")
def test_a_training_is_measured_at_its_budgets_and_stopped_after_the_last(tmp_path):
    picture, progress = tmp_path / "a" / "view.png", tmp_path / "progress.json"
    trainer, measured = train(
        tmp_path,
        ["--unit", "steps", "--budgets", "2", "5", "--save", "--picture", str(picture), "--progress", str(progress),
         "--launched", str(time.time() - 100)],
        max_num_iterations=50,
        save_only_latest_checkpoint=False,
    )  # fmt: skip
    assert [(each["budget"], each["steps"]) for each in measured["results"]] == [(2, 2), (5, 5)]
    assert trainer.step == 4
    assert [each["steps"] for each in measured["curve"]] == [1, 2, 5]
    # Four test views, all of which are measured since that is fewer than five.
    assert [view["view"] for view in measured["results"][0]["views"]] == [0, 1, 2, 3]
    assert 0 < measured["results"][1]["psnr"] < 30
    assert measured["rays_per_step"] == 32
    in_steps = measured["results"][1]["seconds"] - measured["preparation_seconds"]
    assert measured["rays_per_second"] == pytest.approx(32 * 5 / in_steps)
    assert 100 < measured["startup_seconds"] < 500
    assert measured["peak_memory_gb"] > 0.01
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads(progress.read_text())["phase"] == "evaluating"
    names = sorted(path.name for path in trainer.checkpoint_dir.iterdir())
    assert names == ["step-000000001.ckpt", "step-000000004.ckpt"]


@pytest.mark.usefixtures("one_thread")
def test_a_training_shorter_than_its_budget_is_measured_where_it_ended(tmp_path):
    _, measured = train(tmp_path, ["--unit", "seconds", "--budgets", "1000"], max_num_iterations=3)
    (result,) = measured["results"]
    assert (result["steps"], result["ended_by_itself"]) == (3, True)


@pytest.mark.usefixtures("one_thread")
def test_what_the_model_does_before_the_first_step_counts_as_training_and_not_as_start_up(tmp_path, monkeypatch):
    callbacks = VanillaPipeline.get_training_callbacks

    def slow(self, attributes):
        time.sleep(1.5)
        return callbacks(self, attributes)

    monkeypatch.setattr(VanillaPipeline, "get_training_callbacks", slow)
    launched = time.time()
    _, measured = train(
        tmp_path, ["--unit", "seconds", "--budgets", "1.5", "--launched", str(launched)], max_num_iterations=50
    )
    assert 1.5 <= measured["preparation_seconds"] < 60
    # The budget is over when training begins; a step that has begun counts.
    assert [each["steps"] for each in measured["results"]] == [1]
    assert measured["startup_seconds"] + measured["results"][0]["seconds"] < time.time() - launched


@pytest.mark.usefixtures("one_thread")
def test_measuring_changes_nothing_in_training(tmp_path):
    plain, _ = train(tmp_path, None, max_num_iterations=5)
    watched, _ = train(tmp_path, ["--unit", "steps", "--budgets", "2", "5"], max_num_iterations=5, timestamp="watched")
    for a, b in zip(plain.pipeline.parameters(), watched.pipeline.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_waits_for_a_datamanager_that_loads_in_a_process_of_its_own():
    answers = iter([True, True, False])
    asked = []
    queue = SimpleNamespace(empty=lambda: asked.append(1) or next(answers))
    wait_for_data(SimpleNamespace(data_queue=queue))
    assert len(asked) == 3
    wait_for_data(SimpleNamespace())


_ORPHAN = """
import subprocess, sys
code = '''
import subprocess, sys, time
from inr_plugins.bench.worker import end_with_parent
end_with_parent(every=0.05)
loader = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(loader.pid, flush=True)
time.sleep(60)
'''
child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline(), flush=True)
import os
os.kill(os.getpid(), 9)
"""


def test_a_worker_that_is_told_to_end_does_so_at_once_and_saves_nothing():
    code = (
        "import os, signal, time\n"
        "from inr_plugins.bench.worker import end_with_parent\n"
        "from inr_plugins.engine.interrupt import on_first_signal\n"
        "end_with_parent()\n"
        "with on_first_signal(lambda number: print('one step more', flush=True)):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(30)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300, start_new_session=True
    )
    assert (told.returncode, told.stdout) == (143, "")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
def test_a_worker_and_its_loaders_end_when_the_benchmark_is_killed():
    killed = subprocess.run([sys.executable, "-c", _ORPHAN], capture_output=True, text=True, check=False, timeout=300)
    assert killed.returncode == -9
    numbers = [int(word) for word in killed.stdout.split()]
    assert len(numbers) == 2

    def alive(number):
        try:
            with open(f"/proc/{number}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    end = time.monotonic() + 30
    while any(map(alive, numbers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(alive, numbers))


@pytest.mark.skipif(sys.platform != "linux", reason="the mark can be reset on Linux only")
def test_peak_memory_leaves_out_what_happened_before_it_was_watched():
    def hold(count):
        # From the system, and back to it at once.
        with mmap.mmap(-1, count) as block:
            block.write(b"x" * count)

    watched = PeakMemory()
    hold(300_000_000)
    watched.watch()
    watched.note()
    before = watched.host_gb
    hold(100_000_000)
    watched.note()
    assert 0.05 < watched.host_gb - before < 0.25
    assert watched.is_of_training_alone


@pytest.mark.usefixtures("one_thread")
def test_a_step_without_memory_is_a_sentence(tmp_path, monkeypatch):
    def step(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has less.")

    monkeypatch.setattr("nerfstudio.engine.trainer.Trainer.train_iteration", step)
    with pytest.raises(InputError, match=r"not enough memory to train .*20\.00 GiB\): lower --pipeline\.datamanager"):
        train(tmp_path, None, max_num_iterations=3)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. GPU 0 has less."), MemoryError()])
def test_want_of_memory_in_a_method_of_nerfstudios_is_a_sentence_and_a_status(tmp_path, monkeypatch, error):
    def train():
        raise error

    monkeypatch.setattr("nerfstudio.scripts.train.entrypoint", train)
    monkeypatch.setattr("inr_plugins.bench.worker.time_training", lambda *_: None)
    monkeypatch.setattr("inr_plugins.bench.worker.end_with_parent", lambda: None)
    monkeypatch.setattr(sys, "argv", ["worker"])
    words = ["--unit", "steps", "--budgets", "2", "--result", str(tmp_path / "r.json"), "--", "nerfacto"]
    with pytest.raises(
        SystemExit, match=r"There is not enough memory .*: lower --pipeline\.datamanager\.train-num-rays"
    ):
        worker.main(words)
