"""A run folder belongs to one training: concurrent starts, going on in place, several machines."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from test_trainer import train
from tiny_method import tiny_config

from inr_plugins.engine.defaults import InrMachineConfig
from inr_plugins.engine.runs import checkpoints, reservation
from inr_plugins.engine.runs.checkpoints import checkpoint_path, checkpoint_steps
from inr_plugins.errors import InputError

_fork = multiprocessing.get_context("fork") if hasattr(os, "fork") else None


def in_child(function, *arguments):
    """Run a function in a forked process; what it returns, or what it raised in words."""
    receiving, sending = _fork.Pipe(duplex=False)

    def work() -> None:
        try:
            sending.send(function(*arguments))
        except Exception as error:
            sending.send(repr(error))
        os._exit(0)

    process = _fork.Process(target=work)
    process.start()
    assert receiving.poll(60)
    answer = receiving.recv()
    process.join()
    return answer


def held_in_child(folder: Path) -> tuple[multiprocessing.Process, int]:
    """A process that holds a folder until it is killed, and its number."""
    receiving, sending = _fork.Pipe(duplex=False)

    def work() -> None:
        reservation.hold(folder)
        sending.send(os.getpid())
        signal.pause()

    process = _fork.Process(target=work)
    process.start()
    assert receiving.poll(60)
    return process, receiving.recv()


def settle(scene: Path, output: Path, **settings) -> str:
    """What ns-train does before it trains; the folder's name."""
    config = tiny_config(scene, output, **settings)
    config.set_timestamp()
    config.save_config()
    return config.get_base_dir().name


def test_a_chosen_folder_is_refused_while_somebody_trains_in_it(scene, tmp_path):
    folder = tmp_path / "scene" / "tiny" / "mine"
    holder, number = held_in_child(folder)
    assert settle(scene, tmp_path) != "mine"
    with pytest.raises(InputError, match=rf"Another training is under way in .*mine \(process {number} on .*timestamp"):
        settle(scene, tmp_path, timestamp="mine")
    assert not (folder / "config.yml").exists()
    holder.kill()
    holder.join()
    # The lock went with the process; an empty folder that was left is taken.
    assert settle(scene, tmp_path, timestamp="mine") == "mine"
    reservation.release(folder)


def test_going_on_in_place_has_the_folder_to_itself(scene, tmp_path):
    first = train(tiny_config(scene, tmp_path, timestamp="a", max_num_iterations=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reservation, "_held", {})
        holder, _ = held_in_child(first.base_dir)
    again = {"timestamp": "a", "load_dir": first.checkpoint_dir, "max_num_iterations": 2}
    with pytest.raises(InputError, match="Another training is under way"):
        train(tiny_config(scene, tmp_path, **again))
    holder.kill()
    holder.join()
    train(tiny_config(scene, tmp_path, **again))
    assert checkpoint_steps(first.checkpoint_dir) == [4]
    assert not list(first.base_dir.glob(".*"))


def test_a_device_that_is_not_there_is_refused_before_a_folder_is_made(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = tiny_config(scene, tmp_path)
    config.machine.device_type = "cuda"
    with pytest.raises(InputError, match="No CUDA device was found"):
        config.set_timestamp()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_a_training_forked_does_not_keep_its_folder(tmp_path):
    reservation.hold(tmp_path / "run")
    child = _fork.Process(target=signal.pause)
    child.start()
    reservation.release(tmp_path / "run")
    assert in_child(reservation.hold, tmp_path / "run") is None
    assert child.is_alive()
    child.kill()
    child.join()


def test_several_machines_are_told_the_folder_and_the_first_writes(scene, tmp_path, monkeypatch):
    # They need CUDA, which the folder has nothing to do with.
    monkeypatch.setattr(InrMachineConfig, "check_devices", lambda self: None)

    def config(rank: int, **settings):
        made = tiny_config(scene, tmp_path, vis="viewer+tensorboard", **settings)
        made.machine.num_machines, made.machine.machine_rank = 2, rank
        return made

    for rank in (0, 1):
        with pytest.raises(InputError, match="the same --timestamp"):
            config(rank).set_timestamp()
    second = config(1, timestamp="t")
    second.set_timestamp()
    second.save_config()
    assert list(tmp_path.iterdir()) == []
    first = config(0, timestamp="t")
    first.set_timestamp()
    first.save_config()
    assert (tmp_path / "scene" / "tiny" / "t" / "config.yml").is_file()
    second = config(1, timestamp="t")
    second.set_timestamp()
    assert second.get_base_dir() == first.get_base_dir()
    assert not second.setup(local_rank=0, world_size=2).config.is_viewer_enabled()
    # What the first machine's own processes get holds the configuration that is still to be written.
    assert pickle.loads(pickle.dumps(first)).get_base_dir() == first.get_base_dir()
    reservation.release(first.get_base_dir())


def test_a_run_is_not_trained_over_from_another_ones_checkpoint(scene, tmp_path):
    mine, other = (train(tiny_config(scene, tmp_path, timestamp=name)) for name in ("mine", "other"))
    before = checkpoint_path(mine.checkpoint_dir, 7).read_bytes()
    for source in (
        {"load_dir": other.checkpoint_dir},
        {"load_checkpoint": checkpoint_path(other.checkpoint_dir, 7)},
    ):
        with pytest.raises(InputError, match="already holds checkpoints"):
            train(tiny_config(scene, tmp_path, timestamp="mine", **source))
        assert checkpoint_path(mine.checkpoint_dir, 7).read_bytes() == before
        assert not list(mine.base_dir.glob(".*"))


@pytest.mark.parametrize("way", ["load_step", "load_checkpoint"])
def test_going_back_in_time_keeps_what_is_newer(scene, tmp_path, way):
    run = train(tiny_config(scene, tmp_path, timestamp="a", save_only_latest_checkpoint=False))
    text = (run.base_dir / "config.yml").read_text(encoding="utf8")
    source = {"load_checkpoint": checkpoint_path(run.checkpoint_dir, 4)}
    if way == "load_step":
        source = {"load_dir": run.checkpoint_dir, "load_step": 4}
    with pytest.raises(InputError, match=r"newer than step 4, that of step 7: leave out --timestamp"):
        train(tiny_config(scene, tmp_path, timestamp="a", **source))
    assert checkpoint_steps(run.checkpoint_dir) == [7, 4]
    assert (run.base_dir / "config.yml").read_text(encoding="utf8") == text
    branch = train(tiny_config(scene, tmp_path, max_num_iterations=1, **source))
    assert checkpoint_steps(branch.checkpoint_dir) == [5]
    assert checkpoint_steps(run.checkpoint_dir) == [7, 4]


def test_going_on_in_place_removes_only_what_it_goes_on_from(scene, tmp_path):
    run = train(tiny_config(scene, tmp_path, timestamp="a", save_only_latest_checkpoint=False))
    again = tiny_config(scene, tmp_path, timestamp="a", load_dir=run.checkpoint_dir, max_num_iterations=5)
    train(again)
    # Steps 8 and 12 were written, the latest of them is kept.
    assert checkpoint_steps(run.checkpoint_dir) == [12, 4]


def test_a_checkpoint_that_appeared_is_not_written_over(scene, tmp_path):
    run = train(tiny_config(scene, tmp_path, timestamp="a"))
    foreign = checkpoint_path(run.checkpoint_dir, 9)
    checkpoints.write_checkpoint({"step": 9, "pipeline": {}}, foreign)
    before = foreign.read_bytes()
    with pytest.raises(InputError, match="Another training has written"):
        run.save_checkpoint(9)
    assert foreign.read_bytes() == before


def test_a_configuration_from_elsewhere_is_trained_anew_in_a_folder_of_its_own(scene, tmp_path, monkeypatch):
    run = train(tiny_config(scene, tmp_path / "old", timestamp="a"))
    before = {path.name: path.read_bytes() for path in run.base_dir.rglob("*.*") if "events" not in path.name}
    monkeypatch.setattr(sys, "argv", ["ns-train", "tiny", "--load-config", str(run.base_dir / "config.yml")])
    anew = train(tiny_config(scene, tmp_path / "new", timestamp="a", max_num_iterations=2))
    assert anew.base_dir.parent == tmp_path / "new" / "scene" / "tiny"
    assert anew.base_dir.name != "a"
    assert {path.name: path.read_bytes() for path in run.base_dir.rglob("*.*") if "events" not in path.name} == before


def _signal(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(20)


def _refuse(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("happens", "ends"),
    [
        (lambda: _refuse(InputError("no")), InputError),
        (lambda: _refuse(ValueError("nerfstudio's own")), ValueError),
        (lambda: _signal(signal.SIGINT), SystemExit(130)),
        (lambda: _signal(signal.SIGTERM), SystemExit(143)),
    ],
    ids=["refused", "error", "ctrl-c", "sigterm"],
)
def test_a_training_that_did_not_begin_leaves_no_folder(scene, tmp_path, monkeypatch, happens, ends):
    """After the logs have been begun, which is as late as it can be."""
    monkeypatch.setattr("nerfstudio.utils.profiler.setup_profiler", lambda *_: happens())
    begun: list[str] = []
    has_begun = reservation._has_begun
    monkeypatch.setattr(
        reservation, "_has_begun", lambda folder, **k: begun.extend(os.listdir(folder)) or has_begun(folder, **k)
    )
    with pytest.raises(ends if isinstance(ends, type) else type(ends)) as raised:
        train(tiny_config(scene, tmp_path / "outputs", vis="tensorboard"))
    assert any(name.startswith("events") for name in begun)
    if not isinstance(ends, type):
        assert raised.value.code == ends.code
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_or_holds_other_things_stays(scene, tmp_path):
    (tmp_path / "there").mkdir()
    reservation.hold(tmp_path / "there")
    made = reservation.reserve_new(tmp_path / "a" / "b" / "made")
    other = reservation.reserve_new(tmp_path / "a" / "b" / "made")
    (other / "notes.txt").touch()
    for folder in (tmp_path / "there", made, other):
        reservation.release(folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "made_2", "notes.txt", "there"]
