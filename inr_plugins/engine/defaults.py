"""Defaults that suit this project where nerfstudio's do not: any device, a private viewer, quiet logs.

Their class paths are written into every config.yml: never move or rename these classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from nerfstudio.configs.base_config import LocalWriterConfig, LoggingConfig, MachineConfig, ViewerConfig
from nerfstudio.utils import writer

from inr_plugins.errors import InputError, setting

DeviceType = Literal["cpu", "cuda", "mps"]


def choose_device_type(wanted: str = "auto") -> DeviceType:
    """Return the device type to run on: `wanted`, or for "auto" CUDA when there is one, else the CPU.

    Raises:
        InputError: `wanted` is a device that this machine does not have, or no device type at all.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        return "cpu"
    if wanted == "cuda":
        if not torch.cuda.is_available():
            raise InputError("No CUDA device was found: leave out --machine.device-type, or give it the value cpu.")
        return "cuda"
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("No MPS device was found: leave out --machine.device-type, or give it the value cpu.")
        return "mps"
    raise InputError(f"Unknown device type {wanted!r}: give --machine.device-type auto, cpu, cuda or mps.")


def choose_device(wanted: str | torch.device | None) -> torch.device:
    """The device that a command is told as its device; None: CUDA when there is one, else the CPU.

    Raises:
        InputError: torch knows no such device, or this machine does not have it.
    """
    if wanted is None:
        return torch.device(choose_device_type())
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = {"cpu": True, "cuda": count > 0, "mps": torch.backends.mps.is_available()}
    try:
        device = torch.device(wanted)
        if there[device.type] and (device.type != "cuda" or (device.index or 0) < count):
            return device
    except (RuntimeError, KeyError):
        pass  # torch has no such word, or has it for what no field runs on
    here = [name for name, is_there in there.items() if is_there and name != "cuda"]
    here += [f"cuda:{index}" for index in range(count)]
    raise InputError(f"{setting('device', str(wanted))} is not there: leave it out, or give one of {', '.join(here)}.")


@dataclass
class InrMachineConfig(MachineConfig):
    """Machine settings that take CUDA when there is one."""

    # Wider than nerfstudio's type on purpose: the choice is made when training starts, so that importing a preset
    # neither starts CUDA nor ties a saved configuration to the machine it was made on.
    device_type: Literal["auto", "cpu", "cuda", "mps"] = "auto"  # type: ignore[assignment]
    """Device to train on; auto takes CUDA when there is one, else the CPU."""
    num_devices: int = 1
    """Processes on each machine, each with a device of its own; on a CPU, with a part of its cores."""
    join_timeout: float = 600.0
    """Seconds that each process waits for the others to come, when training begins."""

    def resolve(self) -> DeviceType:
        """Settle "auto" for good and return the device type; InputError if this machine has no such device."""
        device_type = choose_device_type(self.device_type)
        self.device_type = device_type
        return device_type

    def check_devices(self) -> None:
        """Refuse a device that is not there, more of them than there are, and machines that cannot meet; InputError."""
        if self.machine_rank >= self.num_machines:
            raise InputError(
                f"--machine.machine-rank must be below --machine.num-machines, got {self.machine_rank} of "
                f"{self.num_machines}: ranks count from 0."
            )
        if not self.is_shared and self.device_type == "auto":
            return
        device = choose_device_type(self.device_type)
        if not self.is_shared:
            return
        if device == "mps":
            raise InputError(
                f"--machine.num-devices {self.num_devices} and --machine.num-machines {self.num_machines} need CUDA or "
                "a CPU: leave them out, or give --machine.device-type cpu."
            )
        if device == "cuda" and self.num_devices > torch.cuda.device_count():
            raise InputError(
                f"--machine.num-devices must be at most {torch.cuda.device_count()}, the CUDA devices of this machine, "
                f"got {self.num_devices}."
            )
        if self.num_machines > 1 and self.dist_url == "auto":
            raise InputError(
                "--machine.dist-url must be given with several machines: tcp://HOST:PORT of the one of rank 0."
            )

    @property
    def is_shared(self) -> bool:
        """Whether several processes train one model."""
        return self.num_devices * self.num_machines > 1


@dataclass
class InrViewerConfig(ViewerConfig):
    """Viewer settings: reachable from this machine only, unless asked otherwise."""

    websocket_host: str = "127.0.0.1"
    """Address that the viewer listens on; 0.0.0.0 opens it to the network."""
    num_rays_per_chunk: int = 8192
    """Rays that the viewer renders at once."""


def _local_writer() -> LocalWriterConfig:
    events = (
        writer.EventName.ITER_TRAIN_TIME,
        writer.EventName.TRAIN_RAYS_PER_SEC,
        writer.EventName.CURR_TEST_PSNR,
        writer.EventName.ETA,
    )
    return LocalWriterConfig(enable=True, stats_to_track=events)


@dataclass
class InrLoggingConfig(LoggingConfig):
    """Logging settings: a line now and then, and no table of function timings at the end."""

    steps_per_log: int = 50
    """Steps between two lines of progress."""
    local_writer: LocalWriterConfig = field(default_factory=_local_writer)
    """What is printed to the terminal."""
    profiler: Literal["none", "basic", "pytorch"] = "none"
    """Profiler: none, basic (time spent in nerfstudio's functions) or pytorch (a trace of a few steps)."""
