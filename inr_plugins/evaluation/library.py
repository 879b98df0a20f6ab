"""Evaluation as inr-eval does it, for programs: one run, one entry of the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inr_plugins.engine.runs.run import load_run
from inr_plugins.evaluation.judge import Settings, judge_run
from inr_plugins.meshing.extracted import extract_mesh
from inr_plugins.meshing.settings import MeshSettings


def evaluate(run: Path | str, settings: Settings | None = None, *, resolution: int | None = None) -> dict[str, Any]:
    """A run's pictures, surface and silhouettes against the truth.

    Args:
        run: run folder, or its config.yml.
        settings: what is measured, and how; None: all test views, and the surface where its truth is known.
        resolution: samples along the longest side of the run's mesh; None: 256.

    Returns:
        The run's entry of inr-eval's record: "images", "surface", what is "missing" and why, "notes", "seconds".

    Raises:
        InputError: the run cannot be opened or measured so, or there is nothing to measure.
    """
    settings = settings or Settings()
    path = Path(run)
    wanted = MeshSettings(resolution=resolution, colour="none", shape=settings.shape)
    return judge_run(
        path / "config.yml" if path.is_dir() else path,
        settings,
        load=load_run,
        extract=lambda opened: extract_mesh(opened, wanted),
        on_view=lambda *_: None,
    )
