"""One training of a benchmark in a process of its own: `ns-train` under a clock.

    python -m inr_plugins.bench.worker --unit seconds --budgets 60 300 --result FILE -- METHOD <ns-train arguments>

It is started by :mod:`inr_plugins.bench.runner`, ends when that does, and writes what it measured to the file. The
command line starts it as :mod:`inr_plugins.cli.bench_worker`, which knows how a mesh is made.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inr_plugins import files
from inr_plugins.bench.checkpoints import Checkpoints
from inr_plugins.bench.clock import Schedule, TrainingClock, moments
from inr_plugins.bench.measurement import Measurement, Score
from inr_plugins.bench.record import BESIDE
from inr_plugins.bench.resume_points import last_point, resuming_arguments
from inr_plugins.errors import is_out_of_memory

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import Trainer

_DATA_SECONDS = 600.0

MeasureSurface = Callable[["Trainer", int], dict[str, Any]]
"""Extracts the mesh of what a trainer has learnt, with so many samples along its longest side, and compares it with
the true one: what a record keeps of that."""


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The worker's own options, and what comes after -- as `ns_train`."""
    parser = argparse.ArgumentParser(prog="python -m inr_plugins.bench.worker", description=__doc__)
    parser.add_argument("--unit", choices=("seconds", "steps"), required=True, help="what budgets are in")
    parser.add_argument("--budgets", type=float, nargs="+", required=True, help="moments of full evaluation")
    parser.add_argument("--result", type=Path, required=True, help="JSON file for what is measured")
    parser.add_argument("--progress", type=Path, help="JSON file that says now and then how far training is")
    parser.add_argument("--picture", type=Path, help="PNG file for the first view as it is in the end, truth beside it")
    parser.add_argument("--launched", type=float, default=None, help="when this process was started, Unix time")
    parser.add_argument("--eval-every-view", type=int, default=20, help="test views of full evaluation")
    parser.add_argument("--eval-pixel-stride", type=int, default=1, help="of these, every n-th row and column")
    parser.add_argument("--curve-points", type=int, default=6, help="points of the curve")
    parser.add_argument("--curve-views", type=int, default=2, help="views of each of them")
    parser.add_argument("--mesh-resolution", type=int, default=0, help="samples of the mesh of a budget; 0: no mesh")
    parser.add_argument("--save", action="store_true", help="save a checkpoint at each budget")
    parser.add_argument("--points", type=Path, help="folder for what a training that was killed goes on from")
    parser.add_argument("--checkpoint-every", type=float, default=0.0, help="seconds between these; 0: none")
    parser.add_argument("--stock", action="store_true", help="the method builds LPIPS in its constructor")
    parser.add_argument("ns_train", nargs="+", help="after --: arguments of ns-train")
    return parser.parse_args(arguments)


def end_with_parent(*, every: float = 1.0) -> None:
    """Kill this process and all that it started when its parent is gone, even if that was killed.

    SIGTERM, with which a benchmark ends its job, ends it at once too: there is no checkpoint to save. Only for a
    process that leads a group of its own: data loaders, which survive their parent, are in that group.
    """
    if os.getpgrp() != os.getpid():
        return
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def wait_for_data(datamanager: Any) -> None:
    """Wait until a datamanager that loads in processes of its own has a batch: loading is no part of training."""
    queue = getattr(datamanager, "data_queue", None)
    end = time.monotonic() + _DATA_SECONDS
    while queue is not None and queue.empty() and time.monotonic() < end:
        time.sleep(0.05)


def synchronise() -> None:
    """Wait for the CUDA device, if one is in use."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def begin_measurement(
    trainer: Trainer,
    options: argparse.Namespace,
    measure_surface: MeasureSurface | None = None,
    *,
    preparation: float = 0.0,
    checkpoints: Checkpoints | None = None,
) -> Measurement:
    """Measure `trainer` from its next step on, by callbacks before and after everything else in a step.

    Args:
        trainer: set up, with its data loaded.
        options: see `parse_arguments`.
        measure_surface: in place of meshes.
        preparation: seconds that the model took before this to prepare itself; they count as training.
        checkpoints: of the trainer; those of a training that goes on know what was measured before.
    """
    from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation

    from inr_plugins.bench.views import evaluation_indices, held_out_views, score_views
    from inr_plugins.engine.evaluation import spread_indices

    saved = checkpoints or checkpoints_of(trainer, options)
    views = held_out_views(trainer.pipeline.datamanager, trainer.pipeline.model)
    chosen = evaluation_indices(len(views.dataset), every=options.eval_every_view)

    def score(indices: Sequence[int]) -> dict[int, Score]:
        scores = score_views(views, indices, stride=options.eval_pixel_stride)
        return {index: (each.psnr, each.ssim, each.silhouette_iou) for index, each in scores.items()}

    def stop() -> None:
        trainer.stop_training = True

    def tell(progress: dict[str, Any]) -> None:
        if options.progress is not None:
            files.write_json(options.progress, progress, durable=False)

    def surface() -> dict[str, Any]:
        assert measure_surface is not None
        return measure_surface(trainer, options.mesh_resolution)

    measurement = Measurement(
        clock=TrainingClock(),
        schedule=Schedule(moments(options.budgets, unit=options.unit, curve_points=options.curve_points)),
        unit=options.unit,
        curve_indices=[chosen[place] for place in spread_indices(len(chosen), options.curve_views)],
        all_indices=chosen,
        score=score,
        stop=stop,
        surface=surface if options.mesh_resolution and measure_surface is not None else None,
        synchronise=synchronise,
        on_budget=saved.save_budget,
        on_progress=tell,
        checkpoint=lambda step: saved.save_point(step, _so_far(measurement, options, saved)),
        checkpoint_every=0.0 if options.points is None else options.checkpoint_every,
        preparation=preparation,
    )
    if saved.point is not None:
        measurement.go_on_from(saved.point.measured)
    before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
    trainer.callbacks.insert(0, TrainingCallback([before], lambda step: measurement.before_step()))
    trainer.callbacks.append(TrainingCallback([after], lambda step: measurement.after_step(step)))
    return measurement


def checkpoints_of(trainer: Trainer, options: argparse.Namespace) -> Checkpoints:
    """What is saved of a training, and what it goes on from."""
    return Checkpoints(trainer, options.points, keeps_budgets=options.save)


def _so_far(measurement: Measurement, options: argparse.Namespace, saved: Checkpoints) -> dict[str, Any]:
    return {**measurement.state(), "startup_seconds": startup_seconds(measurement, options, saved)}


def startup_seconds(measurement: Measurement, options: argparse.Namespace, saved: Checkpoints) -> float | None:
    """Seconds from when the process was launched until the first step, less preparation; of the first part, if several.

    None where nobody has said when it was launched, or no step was done.
    """
    if saved.point is not None:
        return saved.point.measured["startup_seconds"]
    if options.launched is None or measurement.started_at is None:
        return None
    return measurement.started_at - options.launched - measurement.preparation


def describe(trainer: Trainer, measurement: Measurement, *, startup_seconds: float | None) -> dict[str, Any]:
    """What was measured, and what only this process knows.

    Args:
        trainer: after training.
        measurement: of it.
        startup_seconds: from its start to its first step.
    """
    import torch

    rays = trainer.pipeline.datamanager.get_train_rays_per_batch()
    found = measurement.outcome()
    speed = found.pop("steps_per_second")
    uses_cuda = torch.cuda.is_initialized()
    beside = scores_beside(trainer)
    return {
        **({} if beside is None else {BESIDE: beside}),
        "startup_seconds": startup_seconds,
        "rays_per_step": rays,
        "rays_per_second": None if speed is None else rays * speed,
        "steps_per_second": speed,
        **found,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if uses_cuda else None,
        "evaluation_views": len(measurement.all_indices),
    }


def scores_beside(trainer: Trainer) -> dict[str, float] | None:
    """What a fit that knows measurements alone is judged by, and other answers; None of other methods."""
    pipeline = trainer.pipeline
    judge = getattr(pipeline.datamanager, "measurement_scores", None)
    if judge is None:
        return None
    was_training = pipeline.training
    pipeline.eval()
    try:
        return {name: float(value) for name, value in judge(pipeline.model).items()}
    finally:
        pipeline.train(was_training)


def write_picture(trainer: Trainer, index: int, path: Path, *, stride: int) -> None:
    """Write one held-out view, the truth beside the rendering, to look at."""
    import torch
    from PIL import Image

    from inr_plugins.bench.views import held_out_views, render_view

    views = held_out_views(trainer.pipeline.datamanager, trainer.pipeline.model)
    rendering = render_view(views, index, stride=stride).clamp(0, 1)
    both = torch.cat([views.truth(index, stride=stride), rendering], dim=1)
    with files.replacing(path) as partial:
        Image.fromarray((both.nan_to_num() * 255).round().byte().numpy()).save(partial, format="PNG")


def time_training(options: argparse.Namespace, measure_surface: MeasureSurface | None = None) -> None:
    """Make every training of this process a measured one; without `measure_surface` there are no meshes."""
    from nerfstudio.engine.trainer import Trainer
    from nerfstudio.pipelines.base_pipeline import VanillaPipeline

    train, prepare = Trainer.train, VanillaPipeline.get_training_callbacks
    preparation = 0.0

    @functools.wraps(prepare)
    def prepared(pipeline: VanillaPipeline, *arguments: Any) -> Any:
        # A model that starts from something better than noise, a sphere or a code, makes it here.
        nonlocal preparation
        begin = time.perf_counter()
        callbacks = prepare(pipeline, *arguments)
        preparation = time.perf_counter() - begin
        return callbacks

    @functools.wraps(train)
    def measured(trainer: Trainer) -> None:
        wait_for_data(trainer.pipeline.datamanager)
        saved = checkpoints_of(trainer, options)
        measurement = begin_measurement(trainer, options, measure_surface, preparation=preparation, checkpoints=saved)
        train(trainer)
        measurement.finish(trainer.step)
        saved.finish()
        if options.picture is not None:
            write_picture(trainer, measurement.curve_indices[0], options.picture, stride=options.eval_pixel_stride)
        files.write_json(
            options.result, describe(trainer, measurement, startup_seconds=startup_seconds(measurement, options, saved))
        )

    Trainer.train = measured  # type: ignore[method-assign, assignment]
    VanillaPipeline.get_training_callbacks = prepared  # type: ignore[method-assign, assignment]


def main(arguments: Sequence[str] | None = None, *, measure_surface: MeasureSurface | None = None) -> None:
    """Train and measure; errors end the process as they end ns-train."""
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    end_with_parent()
    if options.stock:
        from inr_plugins.engine.offline_lpips import install_without_weights

        install_without_weights()
    time_training(options, measure_surface)
    from nerfstudio.scripts import train

    point = None if options.points is None else last_point(options.points)
    sys.argv = ["ns-train", *(options.ns_train if point is None else resuming_arguments(options.ns_train, point))]
    try:
        train.entrypoint()
    except Exception as error:
        # Of nerfstudio's own methods; ours say it themselves.
        if not is_out_of_memory(error):
            raise
        from inr_plugins.engine.want_of_memory import want_of_memory_of_others

        sys.exit(want_of_memory_of_others(error))


if __name__ == "__main__":
    main()
