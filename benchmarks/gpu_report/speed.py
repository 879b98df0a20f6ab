"""What a step costs at a method's published size: time, waits of the host, memory, and how busy the GPU is."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from .methods import IMAGES, MEASURED, PEERS, SHAPES, SIGNALS, Pictures, made_source, make_small, preset
from .training import Training

WARM_UP = {"diner": 600, "finer-nerf": 300}
"""Steps before a method is timed, in which empty space is found; of all others 20."""
TIMED, WATCHED, LONGEST = 50, 5, 60.0
"""Steps that are timed and steps whose waits are counted; seconds after which a warm-up is cut short."""

Measure = Callable[[], dict[str, Any]]


def measurements(device: torch.device, *, scene: Path | None, tiny: bool) -> dict[str, Measure]:
    """A measurement for each method, ours and nerfstudio's."""

    def bound(method: str) -> Measure:
        return lambda: measure(method, device, scene=scene, tiny=tiny)

    return {f"step/{method}": bound(method) for method in (*IMAGES, *SHAPES, *SIGNALS, *MEASURED, *PEERS)}


def measure(method: str, device: torch.device, *, scene: Path | None, tiny: bool) -> dict[str, Any]:
    """Time steps of a training on the scene's pictures, or on what is made where it wants something else."""
    config = preset(method)
    if tiny:
        make_small(config, tiny=True) if method not in PEERS else _make_small_peer(config)
    is_made = scene is None or method in (*SHAPES, *SIGNALS, *MEASURED)
    source: Any = made_source(config) if scene is None or is_made else Pictures(config, scene, device)
    begin = time.perf_counter()
    training = Training(config, source, device, last_step=config.max_num_iterations)
    prepared = time.perf_counter() - begin
    step = _warm_up(training, 2 if tiny else WARM_UP.get(method, 20))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(3 if tiny else TIMED):
        seconds.append(_timed(training, step))
        step += 1
    found = {
        "steps_before": step,
        "preparation_seconds": round(prepared, 2),
        "ms": 1e3 * statistics.median(seconds),
        "ms_of_each": [round(1e3 * each, 3) for each in seconds],
        "rays": source.count,
        "rays_a_second": source.count / statistics.median(seconds),
        "precision": getattr(config.pipeline.model, "precision", "float16" if config.mixed_precision else "float32"),
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None,
    }
    watched = 1 if tiny else WATCHED
    found["waits"] = count_waits(training, step, watched, device)
    found["kernel_share"] = kernel_share(training, step + watched, watched, device)
    return found


def _make_small_peer(config: Any) -> None:
    config.pipeline.datamanager.train_num_rays_per_batch = 64


def _warm_up(training: Training, steps: int) -> int:
    end = time.perf_counter() + LONGEST
    for number in range(steps):
        training.step(number)
        if time.perf_counter() > end:
            return number + 1
    return steps


def _timed(training: Training, number: int) -> float:
    """Seconds of a step, the device's work included."""
    _finish(training.device)
    begin = time.perf_counter()
    training.step(number)
    _finish(training.device)
    return time.perf_counter() - begin


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def count_waits(training: Training, step: int, steps: int, device: torch.device) -> float | None:
    """Times a step that the host waits for the device, by torch's own count; None without one."""
    if device.type != "cuda":
        training.step(step)
        return None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for number in range(step, step + steps):
                training.step(number)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(each.message) for each in told) / steps


def kernel_share(training: Training, step: int, steps: int, device: torch.device) -> float | None:
    """The part of a step's time in which kernels run on the device; None without one."""
    is_cuda = device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) if is_cuda else nullcontext() as profile:
        _finish(device)
        begin = time.perf_counter()
        for number in range(step, step + steps):
            training.step(number)
        _finish(device)
        seconds = time.perf_counter() - begin
    if profile is None:
        return None
    busy = sum(
        getattr(event, "self_device_time_total", getattr(event, "self_cuda_time_total", 0.0))
        for event in profile.key_averages()
    )
    return busy / 1e6 / seconds
