"""One training of a benchmark as `inr-bench run` starts it: the worker, with meshes made as `inr-mesh` makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inr_plugins.bench import worker

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import Trainer


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
            settings = Settings(surface=SurfaceSettings(samples=samples))
            found = judge_surface(run, settings, extract=lambda run: extract(run, options))
    finally:
        pipeline.train(was_training)
    # Where the files lie is nobody's business but this machine's.
    return {name: value for name, value in found.items() if name not in ("truth_file", "prediction_file")}


if __name__ == "__main__":
    worker.main(measure_surface=measure_surface)
