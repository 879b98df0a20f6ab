"""Training steps of several processes, each with rays of its own, which send one another their gradients."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

from benchmarks.gpu_report.methods import Balls
from benchmarks.gpu_report.training import Training

from .meter import TINY, TOGETHER, Task, resident, steps_of
from .trainings import RAYS_OF_LATTICE, diner_config, nid_config, small


class Own:
    """Batches of which each process has others."""

    def __init__(self, source: Balls) -> None:
        self.source, self.count = source, source.count

    def scene(self) -> dict[str, Any]:
        """What a model is told of the data."""
        return self.source.scene()

    def batch(self, step: int, device: torch.device) -> tuple[Any, Any]:
        """Of a step of this process."""
        return self.source.batch(step * dist.get_world_size() + dist.get_rank(), device)


def processes_of(method: str) -> Any:
    """Measures a method's steps against the number of processes, of one thread each, or of one GPU."""

    def measure(task: Task) -> dict[str, Any]:
        if task.device.type == "cuda" and torch.cuda.device_count() < task.size:
            raise RuntimeError(f"this wants {task.size} CUDA devices, and there are {torch.cuda.device_count()}")
        torch.multiprocessing.spawn(_work, (method, task), nprocs=task.size)
        found = [json.loads((task.folder / f"{rank}.json").read_text()) for rank in range(task.size)]
        slowest = max(found, key=lambda each: each["step_seconds"])
        return {**slowest, "memory_mib": max(each["memory_mib"] for each in found)}

    return measure


def _work(rank: int, method: str, task: Task) -> None:
    """One of the processes."""
    from inr_plugins.engine.processes.meeting import Meeting, disband, join

    torch.set_num_threads(1)
    join(Meeting(str(task.folder / "meeting"), task.size, 1, 0, task.device.type, 120.0), rank)
    device = torch.device(task.device.type, rank) if task.device.type == "cuda" else task.device
    task = replace(task, device=device, resident=resident(), effort=TINY if task.tiny else TOGETHER)
    if method == "diner":
        config, source = diner_config(12 if task.tiny else 128), Balls(64 if task.tiny else RAYS_OF_LATTICE)
    elif method == "nid-shapes":
        config = nid_config(16 if task.tiny else 1024, tiny=task.tiny)
        config.pipeline.model.warmup_steps = 0
        source = Balls.for_config(config)
    else:
        config, source = small(method, tiny=task.tiny), Balls(64 if task.tiny else 1024)
    found = steps_of(Training(config, Own(source), device, last_step=1000), task, first=0)
    _write(task.folder / f"{rank}.json", found)
    disband()


def _write(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found), encoding="utf-8")
