"""Where the processes of a training find each other, on one machine or several, and the connections between them."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from nerfstudio.utils import comms
from torch import distributed as dist

from inr_plugins import files, ranks
from inr_plugins.engine.defaults import InrMachineConfig
from inr_plugins.errors import InputError

_STEP_MINUTES = 30
"""Longest time that processes wait for one another within a step, nerfstudio's."""
_BETWEEN_DAYS = 30
"""The same between steps, where the first one evaluates, saves, or is paused."""
_BETWEEN_TRIES = 0.5
"""Seconds from one attempt to reach the first machine to the next."""


@dataclass(frozen=True)
class Meeting:
    """What a process has to know to meet the others.

    Attributes:
        place: a file, of processes of one machine; else tcp://HOST:PORT.
        per_machine: processes of each machine.
        machines: how many there are.
        machine_rank: number of this one.
        device_type: cuda, or cpu.
        seconds: how long to wait for those who are not there yet.
    """

    place: str
    per_machine: int
    machines: int
    machine_rank: int
    device_type: str
    seconds: float

    @property
    def processes(self) -> int:
        """How many processes there are on all machines."""
        return self.per_machine * self.machines

    def rank(self, local_rank: int) -> int:
        """Number of a process of this machine among all."""
        return self.machine_rank * self.per_machine + local_rank


@contextmanager
def hosting(machine: InrMachineConfig, device_type: str) -> Iterator[Meeting]:
    """The meeting of a training's processes, for as long as this process holds it.

    Processes of one machine meet by a file of this user's, those of several at a port of the first machine.

    Raises:
        InputError: the address is none, or cannot be had.
    """
    sizes = (machine.num_devices, machine.num_machines, machine.machine_rank, device_type, machine.join_timeout)
    if machine.num_machines == 1:
        with files.temporary_folder("processes") as folder:
            yield Meeting(str(folder / "meeting"), *sizes)
        return
    host, port = _address(machine.dist_url)
    store = None
    if machine.machine_rank == 0:
        try:
            store = dist.TCPStore(host, port, is_master=True, wait_for_workers=False)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"Nothing can listen at --machine.dist-url {machine.dist_url} on this machine: give a name or an "
                "address of the one of rank 0, and a port that is free."
            ) from error
    try:
        yield Meeting(f"tcp://{host}:{port}", *sizes)
    finally:
        del store


def _address(url: str) -> tuple[str, int]:
    found = re.fullmatch(r"tcp://(\[[0-9a-fA-F:]+\]|[^:/\s]+):(\d{1,5})/?", url)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise InputError(
            f"--machine.dist-url is {url}: give tcp://HOST:PORT of the machine of rank 0, the same on all machines."
        )
    return found[1].strip("[]"), int(found[2])


def join(meeting: Meeting, local_rank: int) -> None:
    """Meet the others; from now on torch.distributed, nerfstudio's `comms` and `ranks` know of them.

    Raises:
        InputError: the first machine cannot be reached, or somebody does not come.
    """
    rank, count = meeting.rank(local_rank), meeting.processes
    if meeting.machines == 1 and sys.platform == "linux":
        # Else it asks for the machine's own name, which need not lead anywhere.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = _store(meeting, rank)
    _await_all(store, meeting, rank)
    is_cuda = meeting.device_type == "cuda"
    if is_cuda:
        torch.cuda.set_device(local_rank)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if is_cuda else "gloo",
        store=store,
        rank=rank,
        world_size=count,
        timeout=timedelta(minutes=_STEP_MINUTES),
    )
    for machine in range(meeting.machines):
        first = machine * meeting.per_machine
        group = dist.new_group(list(range(first, first + meeting.per_machine)))
        if machine == meeting.machine_rank:
            comms.LOCAL_PROCESS_GROUP = group  # type: ignore[assignment]
    ranks.use_control_group(dist.new_group(backend="gloo", timeout=timedelta(days=_BETWEEN_DAYS)))


def _store(meeting: Meeting, rank: int) -> dist.Store:
    waiting = timedelta(seconds=meeting.seconds)
    if meeting.machines == 1:
        store: dist.Store = dist.FileStore(meeting.place, meeting.processes)
        store.set_timeout(waiting)
        return store
    host, port = _address(meeting.place)
    try:
        # torch's own attempts each print the frames of its C++ code.
        _await_listener(host, port, meeting.seconds)
        return dist.TCPStore(host, port, is_master=False, timeout=waiting)
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"Process {rank} of {meeting.processes} cannot reach {meeting.place}: start the machine of rank 0 with "
            "this --machine.dist-url, and see that its port can be reached from here."
        ) from error


def _await_listener(host: str, port: int, seconds: float) -> None:
    """Wait until something listens there; OSError if nothing does in time."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=max(end - time.monotonic(), 0.1)).close()
            return
        except OSError:
            if time.monotonic() + _BETWEEN_TRIES > end:
                raise
            time.sleep(_BETWEEN_TRIES)


def _await_all(store: dist.Store, meeting: Meeting, rank: int) -> None:
    store.set(f"here/{rank}", "1")
    try:
        store.wait([f"here/{each}" for each in range(meeting.processes)], timedelta(seconds=meeting.seconds))
    except RuntimeError as error:
        raise InputError(
            f"Process {rank} of {meeting.processes} has waited {meeting.seconds:g} seconds for the others: give every "
            "machine the same --machine.num-machines, --machine.num-devices and --machine.dist-url, and a "
            "--machine.machine-rank of its own; --machine.join-timeout waits for longer."
        ) from error


def disband() -> None:
    """Part from the others, all at once: each process is by itself from now on, and may end when it likes."""
    if not (dist.is_available() and dist.is_initialized()):
        return
    ranks.gather_numbers([0])
    ranks.use_control_group(None)
    comms.LOCAL_PROCESS_GROUP = None
    dist.destroy_process_group()
