"""What a process gets before it runs a method: errors in a sentence, less noise, an ffmpeg."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import torch

from inr_plugins.engine.evaluation import EvalBudget, spread_indices
from inr_plugins.engine.host import ffmpeg, memory
from inr_plugins.engine.host.ffmpeg import ensure_ffmpeg
from inr_plugins.engine.host.noise import silence_dependencies, silence_startup_noise
from inr_plugins.engine.host.startup import (
    await_choice,
    find_own_ffmpeg,
    prepare_process,
    report_full_disks,
    report_input_errors,
    report_interrupted_start,
)
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.errors import InputError


def test_input_errors_end_in_a_sentence_and_others_in_a_traceback(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: seen.append(error[0]))
    report_input_errors()
    sys.excepthook(InputError, InputError("fix this"), None)
    assert capsys.readouterr().err == "Error: fix this\n"
    sys.excepthook(KeyError, KeyError("a bug"), None)
    assert seen == [KeyError]

    monkeypatch.setattr(sys, "argv", ["ns-eval", "--load-config", "gone/config.yml"])
    with pytest.raises(FileNotFoundError) as missing:
        Path("gone/config.yml").read_text(encoding="utf8")
    sys.excepthook(FileNotFoundError, missing.value, None)
    assert capsys.readouterr().err.startswith("Error: There is no gone/config.yml")
    sys.excepthook(FileNotFoundError, FileNotFoundError(2, "No such file", "other"), None)
    assert seen == [KeyError, FileNotFoundError]


@pytest.mark.parametrize(
    ("command", "lower"),
    [
        ("ns-render", "give ns-render a lower --eval-num-rays-per-chunk"),
        ("ns-eval", "lower eval_num_rays_per_chunk in run/co"),
    ],
)
def test_want_of_memory_to_look_at_a_run_is_a_sentence(command, lower, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: seen.append(error[0]))
    report_input_errors()
    monkeypatch.setattr(sys, "argv", [f"/bin/{command}", "--load-config", "run/config.yml"])
    on_a_device = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.31 GiB. GPU 0 has 2 GiB free")
    for error in (on_a_device, MemoryError()):
        sys.excepthook(type(error), error, None)
        told = capsys.readouterr().err
        assert told.startswith(f"Error: There is not enough memory for {command} (")
        assert f"): {lower}" in told
        assert len(told.splitlines()) == 1
    assert not seen
    monkeypatch.setattr(sys, "argv", ["/bin/python", "own.py"])
    sys.excepthook(MemoryError, MemoryError(), None)
    assert seen == [MemoryError]


@pytest.mark.parametrize(
    ("arguments", "is_told"),
    [(["/bin/ns-train", "diner", "--data", "x"], True), (["/bin/ns-train", "nerfacto"], False), (["pytest"], False)],
)
def test_ctrl_c_while_a_command_starts_is_a_sentence_for_our_methods_only(arguments, is_told, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: seen.append(error[0]))
    monkeypatch.setattr(sys, "argv", arguments)
    report_interrupted_start.__wrapped__()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    sentence = "ns-train: stopped before it began; nothing was written.\n"
    assert (capsys.readouterr().err, seen) == ((sentence, []) if is_told else ("", [KeyboardInterrupt]))


def test_a_thread_that_a_full_disk_stops_says_a_sentence_and_others_a_traceback(monkeypatch, capsys):
    def end_in(error: Exception) -> str:
        def work() -> None:
            raise error

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return capsys.readouterr().err

    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    report_full_disks()
    said = end_in(OSError(errno.ENOSPC, "No space left on device"))
    assert said == "Error: A file of the log could not be written: No space left on device.\n"
    assert end_in(KeyError("a bug")) == ""
    assert seen == [KeyError]


@pytest.mark.parametrize("choose", [InrTrainerConfig.set_timestamp, InrTrainerConfig.get_base_dir])
def test_a_method_that_is_chosen_prepares_the_process(choose, tmp_path, monkeypatch):
    """ns-train asks for a timestamp before anything can fail, commands on a run for its folder."""
    hook = sys.excepthook
    monkeypatch.setattr(sys, "excepthook", hook)
    prepare_process.cache_clear()
    config = InrTrainerConfig(method_name="tiny", experiment_name="one", output_dir=tmp_path, run_dir=tmp_path)
    assert sys.excepthook is hook
    config.machine.num_machines = 2  # which is refused without a timestamp
    with contextlib.suppress(InputError):
        choose(config)
    assert sys.excepthook is not hook
    prepare_process.cache_clear()


@pytest.mark.parametrize(("there", "explained"), [(True, False), (False, True)])
def test_only_a_config_that_is_not_there_is_explained_before_a_choice(there, explained, tmp_path, monkeypatch):
    if there:
        (tmp_path / "config.yml").touch()
    hook = sys.excepthook
    monkeypatch.setattr(sys, "excepthook", hook)
    monkeypatch.setattr(sys, "argv", ["ns-eval", "--load-config", str(tmp_path / "config.yml")])
    await_choice()
    assert (sys.excepthook is not hook) is explained


@pytest.mark.parametrize(
    ("module", "message", "silent"),
    [
        ("nerfstudio.cameras.cameras", "Using a non-tuple sequence for multidimensional indexing is deprecated", True),
        ("nerfstudio.engine.trainer", "`torch.cuda.amp.GradScaler(args...)` is deprecated.", True),
        ("torch.utils.data.dataloader", "This DataLoader will create 4 worker processes in total.", True),
        (
            "inr_plugins.models.diner.model",
            "Using a non-tuple sequence for multidimensional indexing is deprecated",
            False,
        ),
        ("nerfstudio.cameras.cameras", "The camera is upside down", False),
    ],
)
def test_only_known_noise_of_known_modules_is_silenced(module, message, silent):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        silence_startup_noise()
        warnings.warn_explicit(message, FutureWarning, "file.py", 1, module=module)
    assert (not caught) is silent


@pytest.mark.parametrize(
    ("module", "category", "silent"),
    [
        ("torch.jit._script", FutureWarning, True),
        ("nerfacc.volrend", SyntaxWarning, True),
        ("google.protobuf.internal", DeprecationWarning, True),
        ("inr_plugins.models.diner.model", FutureWarning, False),
        ("torch.jit._script", UserWarning, False),
    ],
)
def test_own_commands_say_nothing_of_what_dependencies_will_do_differently(module, category, silent):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        silence_dependencies()
        warnings.warn_explicit("It will change", category, "file.py", 1, module=module)
    assert (not caught) is silent


def test_ffmpeg_is_linked_once_and_works(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "ffmpeg").symlink_to(tmp_path / "gone")
    link = ensure_ffmpeg(tmp_path)
    assert link == tmp_path / "ffmpeg"
    assert os.listdir(tmp_path) == ["ffmpeg"]
    assert b"ffmpeg version" in subprocess.run([link, "-version"], capture_output=True, check=True).stdout
    target = link.readlink()
    assert ensure_ffmpeg(tmp_path) == link
    assert link.readlink() == target

    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    find_own_ffmpeg()
    assert os.environ["PATH"].split(os.pathsep)[-1] == str(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    find_own_ffmpeg()
    assert os.environ["PATH"] == str(tmp_path)


def test_the_systems_ffmpeg_is_left_alone(tmp_path, monkeypatch):
    own = tmp_path / "usr" / "ffmpeg"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\n", encoding="utf8")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(own.parent))
    (tmp_path / "bin").mkdir()
    assert ensure_ffmpeg(tmp_path / "bin") == own
    assert os.listdir(tmp_path / "bin") == []


def test_an_ffmpeg_goes_into_the_cache_where_the_environment_takes_none(tmp_path, monkeypatch):
    def read_only(folder=None):
        if folder is None:
            raise InputError("Cannot put an ffmpeg here.")
        return folder / "ffmpeg"

    monkeypatch.setattr(ffmpeg, "ensure_ffmpeg", read_only)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ffmpeg.ensure_ffmpeg_somewhere() == tmp_path / "inr-plugins" / "bin" / "ffmpeg"


def test_ffmpeg_in_a_folder_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="Cannot put an ffmpeg"):
        ensure_ffmpeg(tmp_path / "nowhere")


def test_allocator_is_left_alone_on_other_systems(monkeypatch):
    memory.tune_allocator.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.tune_allocator() is False
    memory.tune_allocator.cache_clear()
    monkeypatch.undo()
    monkeypatch.setenv("INR_ALLOCATOR", "system")
    assert memory.tune_allocator() is False
    memory.tune_allocator.cache_clear()


def test_budget_keeps_evaluation_within_its_share(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    budget = EvalBudget(0.2)
    budget.start()
    spent = 0.0
    for _ in range(1000):
        now += 1.0
        if budget.allows(estimate=3.0):
            now += 3.0
            spent += 3.0
            budget.record(3.0)
        assert spent <= 0.2 * now
    assert spent > 0.19 * now
    assert budget.affordable(1000, estimate=1.0) == int(0.2 * now / 3.0)
    assert [budget.affordable(wanted, estimate=1.0) for wanted in (-1, 0, 4)] == [-1, 0, 4]
    late = EvalBudget(0.1)
    late.start()
    assert late.affordable(4, estimate=100.0) == 1
    assert not EvalBudget(0.0).allows(estimate=1.0)
    assert EvalBudget(1.0).allows(estimate=1e9)


@pytest.mark.parametrize(
    ("count", "wanted", "expected"),
    [(10, 4, [0, 3, 6, 9]), (3, 5, [0, 1, 2]), (5, -1, [0, 1, 2, 3, 4]), (5, 0, []), (5, 1, [0]), (0, 4, [])],
)
def test_spread_indices(count, wanted, expected):
    assert spread_indices(count, wanted) == expected
