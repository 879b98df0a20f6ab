"""One training of a benchmark as `inr-bench run` starts it: the worker, with meshes made as `inr-mesh` makes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inr_plugins.bench import worker
from inr_plugins.errors import InputError

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import Trainer

    from inr_plugins.engine.runs.run import Run


SAMPLES = 100_000
"""Points drawn from each surface: a third of what inr-eval takes, for a benchmark measures many."""


def measure_surface(trainer: Trainer, resolution: int, *, samples: int = SAMPLES) -> dict[str, Any]:
    """Compare the mesh of what `trainer` has learnt with the true surface; training goes on as if nothing had been.

    Args:
        trainer: in the middle of training, its config.yml written.
        resolution: samples along the mesh's longest side.
        samples: points drawn from each surface.

    Returns:
        What `inr-eval` records of a surface, less its files, or {"missing": why there is nothing}.
    """
    from inr_plugins.cli.eval import extract
    from inr_plugins.cli.eval_options import EvalOptions
    from inr_plugins.engine.rng import separate_rng
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.evaluation.judge import Settings, judge_surface
    from inr_plugins.evaluation.surfaces import SurfaceSettings

    pipeline, options = trainer.pipeline, EvalOptions(resolution=resolution)
    # nerfstudio's base class does not say so, but both kinds of datamanager have it.
    manager: Any = pipeline.datamanager
    run = Run(
        *(trainer.config, trainer.base_dir / "config.yml", pipeline, trainer.step),
        dataparser_outputs=manager.train_dataparser_outputs,
    )

    was_training = pipeline.training
    pipeline.eval()
    try:
        with separate_rng(seed=0):
            settings = Settings(surface=SurfaceSettings(samples=samples), seen_only=can_be_seen(run))

            def judge(settings: Settings) -> dict[str, Any]:
                return judge_surface(run, settings, extract=lambda run: extract(run, options))

            try:
                found = judge(settings)
            except (InputError, RuntimeError, MemoryError):
                # Asked for what cameras see of it, it fails where there is no surface; else it says why there is none.
                found = judge(replace(settings, seen_only=False))
    finally:
        pipeline.train(was_training)
    # Where the files lie is nobody's business but this machine's.
    return {name: value for name, value in found.items() if name not in ("truth_file", "prediction_file")}


def can_be_seen(run: Run) -> bool:
    """Whether a run has training cameras that can tell which part of a true mesh they see, and there is one."""
    from inr_plugins.evaluation.runs import data_folder, find_truth
    from inr_plugins.meshing.views import training_views

    if getattr(run.dataparser_outputs, "cameras", None) is None:
        return False
    return find_truth(data_folder(run)) is not None and training_views(run) is not None


if __name__ == "__main__":
    worker.main(measure_surface=measure_surface)
