"""A process that trains a part of each batch, started by the launcher."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import distributed as dist

from inr_plugins.engine.processes import reports
from inr_plugins.engine.processes.meeting import Meeting, join
from inr_plugins.engine.rng import seed_all
from inr_plugins.errors import InputError


def work(local_rank: int, config: Any, meeting: Meeting, pipes: Sequence[Connection]) -> None:
    """Train as one of the processes of a meeting; what a process of torch's spawn runs.

    Args:
        local_rank: number of this process on this machine.
        config: of the training.
        meeting: where the others are.
        pipes: where the reports of each process of this machine go.

    Raises:
        SystemExit: always, with the status that the process is to end with; no error leaves this.
    """
    rank = meeting.rank(local_rank)
    # Signals of a terminal reach all processes; the one that has started this one passes them on, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if rank > 0:
        _be_quiet()
    for number, pipe in enumerate(pipes):
        if number != local_rank:
            pipe.close()
    reports.send_by(lambda kind, text: pipes[local_rank].send(reports.Report(rank, kind, text)))
    status: int | str | None = 0
    try:
        train(config, meeting, local_rank)
    except SystemExit as stop:
        status = stop.code
    except InputError as error:
        reports.tell("sentence", str(error))
        status = 1
    except BaseException as error:
        reports.tell("lost" if _is_left(error) else "trace", traceback.format_exc())
        status = 1
    sys.stdout.flush()
    raise SystemExit(status)


def train(config: Any, meeting: Meeting, local_rank: int) -> Any:
    """nerfstudio's loop of a training, as its ns-train has it; returns the trainer.

    Raises:
        SystemExit: training was stopped.
        InputError: from the meeting, or from training.
    """
    if meeting.device_type == "cpu":
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, min(threads, torch.get_num_threads()) // meeting.per_machine))
    join(meeting, local_rank)
    seed_all(config.machine.seed + dist.get_rank())
    trainer = config.setup(local_rank=local_rank, world_size=meeting.processes)
    trainer.setup()
    reports.tell("started")
    trainer.train()
    return trainer


def _be_quiet() -> None:
    """What it would say, the first process says."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    warnings.simplefilter("ignore")


def _is_left(error: BaseException) -> bool:
    """Whether it is of the connections between processes, which break when another one ends."""
    known = (dist.DistBackendError, dist.DistNetworkError, dist.DistStoreError)
    return isinstance(error, known) or (isinstance(error, RuntimeError) and "gloo" in str(error))
