"""Run by test_crash.py in a process of its own: trains in children that kill themselves at bad moments.

Usage: crash_worker.py SCENE OUTPUT. Children are forked, so that the imports are paid for once.
"""

from __future__ import annotations

import datetime
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from test_trainer import train
from tiny_method import TinyModel, tiny_config

from inr_plugins.errors import InputError


def kill_self(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_the_middle_of_a_step() -> None:
    """Die in the loss of step 6."""
    compute = TinyModel.get_loss_dict

    def fatal(self, outputs, batch, metrics_dict=None):
        if self.training and self.steps == 6:
            kill_self()
        return compute(self, outputs, batch, metrics_dict)

    TinyModel.get_loss_dict = fatal


def in_the_middle_of_a_write() -> None:
    """Die when half of the second checkpoint (step 7) is in its file."""
    write = torch.save

    def fatal(state, file):
        write(state, file)
        if state["step"] == 7:
            file.flush()
            file.truncate(file.tell() // 2)
            kill_self()

    torch.save = fatal


def before_the_move() -> None:
    """Die when the second checkpoint is written but not in its place."""
    move = os.replace

    def fatal(source, target):
        if Path(target).name == "step-000000007.ckpt":
            kill_self()
        move(source, target)

    os.replace = fatal


def on_a_disk_with_a_limit() -> None:
    """Let no file grow beyond 4 kB from the second checkpoint on: a real error from the system, below torch."""
    import resource

    write = torch.save

    def limited(state, file):
        if state["step"] == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        write(state, file)

    torch.save = limited


def told_to_end(times: int) -> None:
    """Be told to end, so many times, by SIGTERM in the loss of step 6."""
    compute = TinyModel.get_loss_dict

    def told(self, outputs, batch, metrics_dict=None):
        if self.training and self.steps == 6:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGTERM)
        return compute(self, outputs, batch, metrics_dict)

    TinyModel.get_loss_dict = told


def told_to_end_once() -> None:
    told_to_end(1)


def told_to_end_twice() -> None:
    told_to_end(2)


def child(sabotage: Callable[[], None], scene: Path, output: Path) -> str:
    """Train in a child under `sabotage`; return how it ended."""
    process = os.fork()
    if process == 0:
        torch.set_num_threads(1)
        sabotage()
        config = tiny_config(scene, output, timestamp=sabotage.__name__)
        status = 0
        try:
            train(config)
        except InputError as error:
            (output / f"{sabotage.__name__}.txt").write_text(str(error), encoding="utf8")
            status = 3
        except SystemExit as stop:
            status = stop.code
        os._exit(status)
    _, status = os.waitpid(process, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


class _FrozenClock(datetime.datetime):
    """Every moment is the same second."""

    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5)


def in_one_second(scene: Path, output: Path) -> str:
    """Train with three seeds in three children at once, all started in one second; return how they ended."""
    from nerfstudio.configs import experiment_config

    experiment_config.datetime = _FrozenClock
    reading, writing = os.pipe()
    processes = []
    for seed in range(3):
        process = os.fork()
        if process == 0:
            torch.set_num_threads(1)
            config = tiny_config(scene, output / "in_one_second", max_num_iterations=3)
            config.machine.seed = seed
            os.close(writing)
            os.read(reading, 1)  # Wait until all are there.
            train(config)
            os._exit(0)
        processes.append(process)
    os.close(writing)
    return " ".join(str(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])) for process in processes)


def main() -> None:
    scene, output = map(Path, sys.argv[1:])
    for sabotage in (
        in_the_middle_of_a_step,
        in_the_middle_of_a_write,
        before_the_move,
        on_a_disk_with_a_limit,
        told_to_end_once,
        told_to_end_twice,
    ):
        print(f"RESULT {sabotage.__name__}: {child(sabotage, scene, output)}", flush=True)
    print(f"RESULT in_one_second: {in_one_second(scene, output)}", flush=True)


if __name__ == "__main__":
    main()
