"""What grows, in which sizes, and what is measured at each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import folders, jobs, several, trainings
from .meter import Task

Measure = Callable[[Task], dict[str, Any]]

SECONDS = {
    "step_seconds": "seconds a step",
    "job_seconds": "seconds",
    "load_seconds": "seconds to load",
    "first_batch_seconds": "seconds a batch, first time",
    "batch_seconds": "seconds a batch",
}
MEMORY = {"memory_mib": "MiB", "loading_mib": "MiB while loading"}
SIZES = {"table_mib": "MiB of the tables", "sent_mib": "MiB of gradients", "files_mib": "MiB of files"}
COUNTS = {"rows": "rows of the table", "asked": "rows that a step asks for"}
QUANTITIES = {**SECONDS, **MEMORY, **SIZES, **COUNTS}
"""What a table may hold of a point's figures, and in which words."""


@dataclass(frozen=True)
class Axis:
    """One thing that grows.

    Attributes:
        title: of its table and its plot.
        unit: what the sizes count.
        sizes: that are measured.
        tiny: of a rehearsal.
        series: what is measured at each of them, by name.
        told: keys of QUANTITIES that its table holds, where a series has them.
        up_to: largest size of a series that is not to be measured at all of them.
    """

    title: str
    unit: str
    sizes: tuple[int, ...]
    tiny: tuple[int, ...]
    series: dict[str, Measure]
    told: tuple[str, ...] = ("step_seconds", "memory_mib")
    up_to: dict[str, int] | None = None

    def sizes_of(self, series: str, *, tiny: bool) -> tuple[int, ...]:
        """Of one series."""
        most = (self.up_to or {}).get(series)
        return self.tiny if tiny else tuple(each for each in self.sizes if most is None or each <= most)


AXES = {
    "rays": Axis(
        "A step against its rays",
        "rays",
        (1024, 4096, 16384, 65536),
        (64, 128),
        {name: trainings.rays_of(name) for name in ("diner", "finer-nerf", "cn-mipnerf", "cn-neus")},
    ),
    "lattice": Axis(
        "A step of diner against its lattice",
        "cells along a side",
        (64, 96, 128, 192, 256),
        (12, 16),
        {
            "diner": trainings.lattice_of(None),
            "diner, rays on as many cells": trainings.lattice_of(None, same_cells=True),
            "diner before cells are dropped": trainings.lattice_of(0.1),
        },
        told=("step_seconds", "memory_mib", "table_mib", "rows", "asked"),
    ),
    "experts": Axis(
        "A step of nid-shapes, and a code of nid-fit, against the dictionary",
        "experts",
        (256, 512, 1024, 2048, 4096),
        (16, 32),
        {
            "nid-shapes": trainings.experts_of(sparse=True),
            "nid-shapes in the warm-up": trainings.experts_of(sparse=False),
            "a code of nid-fit": jobs.code,
        },
        told=("step_seconds", "job_seconds", "memory_mib"),
    ),
    "mesh": Axis(
        "A mesh against its resolution",
        "samples along a side",
        (128, 256, 512, 1024),
        (16, 24),
        {"coarse to fine": jobs.mesh_of(dense=False), "dense": jobs.mesh_of(dense=True)},
        told=("job_seconds", "memory_mib"),
        up_to={"dense": 512},
    ),
    "views": Axis(
        "Pictures of 1920 x 1080",
        "views",
        (10, 30, 100, 300, 1000),
        (4, 6),
        {"diner": folders.views},
        told=("load_seconds", "batch_seconds", "step_seconds", "loading_mib", "memory_mib", "files_mib"),
    ),
    "shapes": Axis(
        "A folder of shapes",
        "shapes",
        (10, 50, 200, 700, 2000),
        (2, 3),
        {"nid-shapes": folders.shapes},
        told=("load_seconds", "first_batch_seconds", "batch_seconds", "step_seconds", "loading_mib", "memory_mib"),
    ),
    "processes": Axis(
        "Processes of one thread, each with rays of its own",
        "processes",
        (1, 2),
        (1, 2),
        {name: several.processes_of(name) for name in ("diner", "cn-mipnerf", "nid-shapes")},
        told=("step_seconds", "memory_mib", "sent_mib"),
    ),
}


@dataclass(frozen=True)
class Point:
    """What one process measures."""

    axis: str
    series: str
    size: int

    @property
    def name(self) -> str:
        """For people, and for `--only`."""
        return f"{self.axis}/{self.series}/{self.size}"


def points(*, tiny: bool) -> list[Point]:
    """All of them, the small ones first."""
    return [
        Point(name, series, size)
        for name, axis in AXES.items()
        for series in axis.series
        for size in axis.sizes_of(series, tiny=tiny)
    ]
