"""Every method trained on halves of fixed batches in two processes, and on the whole of them in one.

Also what the two processes run: pair.py RANK FOLDER CASE...
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from inr_plugins.method_configs.images import cn_image
from inr_plugins.method_configs.neus import cn_neus
from inr_plugins.method_configs.nid import nid_fit, nid_shapes
from inr_plugins.method_configs.shapes import cn_occupancy, finer_sdf
from integration.small_methods import (
    small_diner,
    small_diner_image,
    small_diner_surface,
    small_diner_video,
    small_finer_nerf,
    small_mipnerf,
    small_network_image,
    small_neus,
    small_nid,
    small_nid_images,
    small_shape,
)

from inr_plugins import ranks
from inr_plugins.data.shapes.datamanager import ShapeDataManager
from inr_plugins.engine.processes.meeting import Meeting, join
from inr_plugins.engine.rng import seed_all, separate_rng
from inr_plugins.engine.runs.checkpoints import checkpoint_path
from inr_plugins.engine.trainer import InrTrainer
from inr_plugins.shape_points import ShapePoints
from inr_plugins.signal_grid import PictureBatch, SignalPixels

STEPS, MORE_STEPS = 20, 4
RESUMED = ("finer-sdf", "diner")
"""Cases that go on from the others' checkpoint."""


def _damped(config: Any) -> Any:
    """With steps of Adam that are short where a gradient is nothing but rounding, as that of a bias before a norm is;
    else they are as long as all others, in a direction that the rounding decides."""
    for group in config.optimizers.values():
        group["optimizer"].eps = 1e-4
    return config


def _smooth(config: Any, network: Any = None) -> Any:
    """Of units without a kink: of half a million of relu a few lie so near to it that rounding decides whether they are
    on, which changes a gradient by as much as a sample is worth; softplus' differ by 1e-5."""
    (network or config.pipeline.model).activation = "softplus"
    return config


def _uncut(config: Any) -> Any:
    """With no sample left out for how little it counts: that is no smooth function of the weights, and rounding may
    decide it (one sample of diner-surface moved its distances by 7e-4)."""
    for limit in ("min_weight", "train_min_weight", "min_transmittance"):
        if hasattr(config.pipeline.model, limit):
            setattr(config.pipeline.model, limit, 0.0)
    return config


# -- the methods -------------------------------------------------------------------------------------------------------


def _of_images(folder: Path) -> dict[str, Callable[[], Any]]:
    scene, runs = folder / "knot", folder / "runs"

    def diner() -> Any:
        config = small_diner(scene, runs)
        model = config.pipeline.model
        # Two changes of stage, a pruning of each kind.
        model.coarse_voxels, model.coarse_steps, model.num_voxels = (600, 1500), (7, 5), 4000
        model.coarse_prune_every, model.prune_steps, model.visible_weight = 4, (3,), 2e-3
        # So few steps have to find the scene.
        config.optimizers["coarse"]["optimizer"].lr, config.optimizers["coarse"]["scheduler"] = 1.5, None
        return _smooth(config, model.network)

    def finer_nerf() -> Any:
        config = small_finer_nerf(scene, runs)
        config.pipeline.model.double_samples_at, config.pipeline.model.grid_warm_up_steps = (6, 12), 8
        return config

    def finer_nerf_cross() -> Any:
        config = finer_nerf()
        config.pipeline.model.normalization, config.pipeline.model.omega = "cross", None
        return _damped(_smooth(config))

    def neus() -> Any:
        return _damped(small_neus(cn_neus, scene, runs))

    def surface() -> Any:
        config = small_diner_surface(scene, runs)
        model = config.pipeline.model
        # The lattice is refined, and what is far from the surface is dropped.
        model.stage_steps, model.sharpening_steps, model.refresh_every = (8,), 10, 5
        model.hull_sizes, model.hull_steps = (), ()
        return _damped(_smooth(config, model.network))

    def surface_of_density() -> Any:
        config = small_diner_surface(scene, runs)
        model = config.pipeline.model
        # A density is thinned out, refined and made a surface, which is refined too.
        model.hull_sizes, model.hull_steps, model.coarse_prune_every = (12, 20), (6, 5), 4
        model.lattice_sizes, model.stage_steps = (24, 32), (5,)
        model.sharpening_steps, model.refresh_every, model.colour_start_steps = 5, 3, 10
        config = _damped(_smooth(config, model.network))
        # So few steps have to find the object.
        model.visible_weight = 2e-3
        config.optimizers["surroundings"]["optimizer"].lr = 1.0
        config.optimizers["surroundings"]["scheduler"].warmup_steps = 0
        config.optimizers["surroundings"]["optimizer"].eps = 1e-8
        return config

    configs = {
        "diner": diner,
        "diner-surface": surface,
        "diner-surface of a density": surface_of_density,
        "finer-nerf": finer_nerf,
        "finer-nerf of cross norms": finer_nerf_cross,
        "cn-mipnerf": lambda: _damped(_smooth(small_mipnerf(scene, runs))),
        "cn-neus": neus,
    }
    return {name: lambda make=make: _uncut(make()) for name, make in configs.items()}


def _of_signals(folder: Path) -> dict[str, Callable[[], Any]]:
    """Each process draws its own part of the pixels: that of one is all of them."""
    image, runs = folder / "image.png", folder / "runs"

    def in_parts(config: Any) -> Any:
        config.pipeline.datamanager.pixels_per_batch = 70
        return config

    def of_pictures(patch: int) -> Any:
        # Three pictures: one process has two of them.
        config = small_nid_images(folder / "frames", runs)
        config.pipeline.model.patch = patch
        return _damped(config)

    return {
        "diner-image": lambda: small_diner_image(image, runs),
        "diner-image in parts": lambda: in_parts(small_diner_image(image, runs)),
        "diner-video in parts": lambda: in_parts(small_diner_video(folder / "frames", runs)),
        "nid-images": lambda: of_pictures(8),
        "nid-images of whole ones": lambda: of_pictures(0),
        "cn-image": lambda: _damped(small_network_image(cn_image, image, runs)),
    }


def _of_shapes(folder: Path) -> dict[str, Callable[[], Any]]:
    runs = folder / "runs"

    def shape(preset: Any, lr: float) -> Any:
        config = small_shape(preset, folder / "ball.ply", runs, lr)
        # Points come by their kinds: the first process has all of the surface's, the second all of those far from it.
        config.pipeline.datamanager.surface_share, config.pipeline.datamanager.near_share = 0.3, 0.6
        config.pipeline.datamanager.far_share = 0.2
        return config

    def slopes() -> Any:
        config = shape(finer_sdf, 1e-3)
        config.pipeline.model.eikonal_weight = config.pipeline.model.normal_weight = 0.1
        return config

    def dictionary(gate: str) -> Any:
        config = small_nid(nid_shapes, folder / "shapes", runs)
        config.pipeline.model.gate = gate
        if gate == "points":
            # Which experts a code has is no smooth function of the weights.
            config.pipeline.model.warmup_steps = STEPS
            _damped(config)
        return config

    def fit() -> Any:
        config = small_nid(nid_fit, folder / "ball.ply", runs)
        config.pipeline.model.dictionary = folder / "dictionary.ckpt"
        config.optimizers["code"]["optimizer"].lr = 5e-3
        config.settle_scale()
        return config

    return {
        "finer-sdf": lambda: shape(finer_sdf, 1e-3),
        "finer-sdf with slopes": slopes,
        "cn-occupancy": lambda: shape(cn_occupancy, 5e-3),
        "nid-shapes": lambda: dictionary("table"),
        "nid-shapes of points": lambda: dictionary("points"),
        "nid-fit": fit,
    }


def cases(folder: Path) -> dict[str, Callable[[], Any]]:
    """Configurations by name; data are in `folder`."""
    return {**_of_images(folder), **_of_signals(folder), **_of_shapes(folder)}


# -- the same batches in one process and in two ------------------------------------------------------------------------


def _half(batch: tuple[Any, dict[str, Any]], rank: int | None) -> tuple[Any, dict[str, Any]]:
    """A rank's half of rays, of points of one shape, or of several shapes; of pixels and pictures what it has drawn."""
    if rank is None:
        return batch
    asked, known = batch
    if isinstance(asked, SignalPixels | PictureBatch):
        return batch
    if isinstance(asked, ShapePoints):
        axis = 0 if len(asked.shape) > 1 else 1

        def half(values: torch.Tensor) -> torch.Tensor:
            return values.chunk(2, axis)[rank]

        shape = half(asked.shape) if axis == 0 else asked.shape
        return ShapePoints(half(asked.points), shape), {name: half(each) for name, each in known.items()}
    count = len(asked) // 2
    rows = slice(rank * count, (rank + 1) * count)
    return asked[rows], {name: each[rows] for name, each in known.items()}


def _rand(rank: int | None) -> Callable[..., torch.Tensor]:
    """In the place of torch.rand: the middle of each interval; of points, rows of one fixed table."""
    table = torch.quasirandom.SobolEngine(3, seed=3).draw(1 << 15)

    def rand(*size: Any, dtype: Any = None, device: Any = None) -> torch.Tensor:
        shape = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
        if len(shape) == 2 and shape[1] == 3:
            return table[(rank or 0) * shape[0] :][: shape[0]].to(dtype or torch.float32)
        return torch.full(tuple(shape), 0.5, dtype=dtype, device=device)

    return rand


@contextmanager
def _fixed(trainer: InrTrainer, rank: int | None) -> Iterator[None]:
    """Batches and random numbers that do not depend on how many processes share them."""
    manager = trainer.pipeline.datamanager
    draw = manager.next_train

    def next_train(step: int) -> Any:
        with separate_rng(seed=1000 + step), mock.patch.object(torch, "rand", _RAND):
            return _half(draw(step), rank)

    manager.next_train = next_train
    rand = _rand(rank)
    with (
        mock.patch.object(torch, "rand", rand),
        mock.patch.object(torch, "rand_like", lambda x: rand(*x.shape, dtype=x.dtype)),
        mock.patch.object(torch, "randperm", lambda n, device=None: torch.arange(n, device=device)),
    ):
        yield


_RAND = torch.rand
_BATCHES = ShapeDataManager._batches


def _same_batches(manager: ShapeDataManager, stream: int) -> Any:
    manager.config.seed = 7
    with mock.patch.object(ranks, "rank", return_value=0):
        return _BATCHES(manager, stream)


def train(config: Any, rank: int | None, *, steps: int = STEPS) -> InrTrainer:
    """Train on all rays, or as one of two processes on half of them."""
    config.vis, config.viewer.quit_on_train_completion = "tensorboard", True
    config.max_num_iterations, config.final_eval_images, config.eval_time_fraction = steps, 0, 0.0
    config.machine.device_type, config.pipeline.model.precision = "cpu", "float32"
    config.steps_per_save = 0
    if rank is not None and hasattr(config.pipeline.model, "eikonal_points"):
        config.pipeline.model.eikonal_points //= 2
    with mock.patch.object(ShapeDataManager, "_batches", _same_batches):
        config.set_timestamp() if rank is None else config.set_experiment_name()
        seed_all(rank or 0)
        trainer = config.setup(local_rank=rank or 0, world_size=1 if rank is None else 2)
        trainer.setup()
    trainer.at_start = weights_of(trainer)  # type: ignore[attr-defined]
    with _fixed(trainer, rank):
        trainer.train()
    return trainer


def weights_of(trainer: InrTrainer) -> dict[str, torch.Tensor]:
    """All that the model holds."""
    return {name: each.clone() for name, each in trainer.pipeline.model.state_dict().items()}


def checkpoint_of(trainer: InrTrainer) -> Path:
    """The one that it has written last."""
    return checkpoint_path(trainer.checkpoint_dir, trainer.step)


def await_file(path: Path, seconds: float = 200.0) -> Path:
    """Wait until another process has put it there."""
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.05)
    return path


def main(rank: int, folder: Path, names: list[str]) -> None:
    """Train each case as one of the two processes."""
    torch.set_num_threads(1)
    for name in names:
        if name == "nid-fit":
            await_file(folder / "dictionary.ckpt")
        for label, steps in ((name, STEPS), (f"{name} resumed", MORE_STEPS)):
            is_resumed = label != name
            if is_resumed and name not in RESUMED:
                continue
            where = folder / f"pair {label}"
            where.mkdir(exist_ok=True)
            join(Meeting(str(where / "meeting"), 2, 1, 0, "cpu", 120.0), rank)
            config = cases(folder)[name]()
            config.timestamp, config.run_dir = "pair", where / "run"
            if is_resumed:
                config.load_checkpoint = await_file(folder / f"whole {name}.ckpt")
            trainer = train(config, rank, steps=steps)
            torch.save(weights_of(trainer), where / f"{rank}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
