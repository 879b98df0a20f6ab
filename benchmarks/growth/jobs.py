"""Jobs that are done once, by the processor: a mesh of a field, a code over a dictionary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .meter import Peak, Task, seconds_of

BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
EQUATIONS, FEATURES, WIDTH = 10_000, 128, 4


def surface(points: np.ndarray) -> np.ndarray:
    """A distance bound (slope at most 1) of a ball around a shell between the two sides of a gyroid, in float32."""
    x, y, z = points.T.astype(np.float32)
    k = np.float32(14)
    gyroid = np.sin(k * x) * np.cos(k * y) + np.sin(k * y) * np.cos(k * z) + np.sin(k * z) * np.cos(k * x)
    shell = np.abs(gyroid) / (k * np.float32(1.75)) - np.float32(0.01)
    return np.maximum(shell, np.sqrt(x * x + y * y + z * z) - np.float32(0.7))


def _on_cpu(task: Task) -> Task:
    return replace(task, device=torch.device("cpu"))


def mesh_of(*, dense: bool) -> Any:
    """Measures the extraction of a mesh against the samples along a side of the box."""

    def measure(task: Task) -> dict[str, Any]:
        from inr_plugins.geometry.levelset.block_lattice import ByDistance
        from inr_plugins.geometry.levelset.isosurface import extract_isosurface
        from inr_plugins.geometry.levelset.lattice import Lattice
        from inr_plugins.geometry.levelset.sparse_isosurface import extract_sparse_isosurface

        task, found = _on_cpu(task), {}

        def extract() -> None:
            if dense:
                mesh = extract_isosurface(surface, BOX, resolution=task.size, level=0.0, inside="below")
                found.update(faces=len(mesh.faces), evaluated=1.0)
            else:
                lattice = Lattice.for_box(BOX, resolution=task.size)
                made = extract_sparse_isosurface(surface, lattice, choice=ByDistance(), level=0.0, inside="below")
                found.update(faces=len(made.mesh.faces), evaluated=made.share)

        peak = Peak(task)
        seconds = seconds_of(extract, task.device)
        return {"job_seconds": seconds, "memory_mib": peak.mib(), **found}

    return measure


def code(task: Task) -> dict[str, Any]:
    """Solving for a shape's code, as nid-fit does, against the size of the dictionary."""
    from inr_plugins.networks.dictionary.expert_bank import ExpertBank
    from inr_plugins.sparse_codes.code_prior import CodePrior, prior_code
    from inr_plugins.sparse_codes.gram_system import GramSystem

    task = _on_cpu(task)
    torch.manual_seed(0)
    equations = 100 if task.tiny else EQUATIONS
    bank = ExpertBank(FEATURES, task.size, WIDTH)
    points, trunk = torch.randn(equations, 3), torch.randn(3, FEATURES)
    prior = CodePrior.from_codes(torch.randn(60, task.size))
    systems: list[Any] = []

    def products() -> None:
        systems.append(
            GramSystem.from_function(lambda x: bank.all_outputs(torch.sin(x @ trunk)), points, points.sum(1).sin())
        )

    peak = Peak(task)
    with torch.no_grad():
        first = seconds_of(products, task.device)
        second = seconds_of(lambda: prior_code(systems[0], prior, noise=0.01, keep=min(256, task.size)), task.device)
    found = {"products_seconds": first, "solve_seconds": second}
    return {"job_seconds": first + second, "memory_mib": peak.mib(), **found}
