"""The datamanager of shapes: points with their signed distances to learn from, pictures to look at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader, RandIndicesEvalDataloader
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins import ranks
from inr_plugins.data.fingerprint import Fingerprint, fingerprint_of_surfaces
from inr_plugins.data.images.parser import TestMode
from inr_plugins.data.no_rays import NoRaysConfig
from inr_plugins.data.shapes.batches import PointBatch, PointBatches, divide_points, moved
from inr_plugins.data.shapes.files import ShapeSet
from inr_plugins.data.shapes.images import ShapeImages
from inr_plugins.data.shapes.parser import ShapeDataParser, ShapeDataParserConfig
from inr_plugins.data.shapes.sampling import Distance, SampleCounts
from inr_plugins.data.shapes.stream import SampleStream
from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.shape_points import ShapePoints

OPTION = "--pipeline.datamanager."
_SHARES = {"on": "surface_share", "near": "near_share", "far": "far_share", "uniform": "uniform_share"}
# Waits of more than this part of the time are told of, but not the few seconds at the start when samples are pooled.
_LONG_WAIT, _FEW_SECONDS = 0.05, 5.0
# Of many shapes, so many are described when training starts, and so many skipped files named.
_TOLD = 8
_TRAIN, _EVAL = 0, 1


@dataclass
class ShapeDataManagerConfig(NoRaysConfig):
    """Settings of the datamanager of all methods that learn shapes."""

    _target: type = field(default_factory=lambda: ShapeDataManager)
    """Class to instantiate."""
    dataparser: ShapeDataParserConfig = field(default_factory=ShapeDataParserConfig)
    """Which shapes, how they are brought into the frame of the model, and how they are sampled."""
    points_per_batch: int = 10_000
    """Points of a training step, of all its shapes together."""
    shapes_per_batch: int = 1
    """Shapes of a training step, chosen at random where there are more."""
    near_share: float = 0.5
    """Share of the points that lie close to the surface; the four shares count relative to their sum."""
    far_share: float = 0.5
    """Share of the points that lie loosely around the surface."""
    uniform_share: float = 0.0
    """Share of the points that are spread evenly over the scene box."""
    surface_share: float = 0.0
    """Share of the points that lie on the surface, with their normals."""
    ahead: int = 4
    """Batches that are made in the background before training asks for them."""
    seed: int | None = None
    """Seed of what is drawn for each batch; by default --machine.seed."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used."""
        _check_config(self)


class ShapeDataManager(VanillaDataManager[ShapeImages]):
    """Points around shapes for training and its held-out batches, and pictures of them for everything else.

    A training batch is a function of the seed and the step alone, so that a resumed run goes on as if it had not
    stopped; a background thread makes batches ahead. In a run that is opened to be looked at and not trained,
    `next_train` gives rays, which is what nerfstudio's exporters ask for.

    Raises:
        InputError: from the constructor, if the data or an option is bad; it names the file or the option.
    """

    config: ShapeDataManagerConfig
    dataparser: ShapeDataParser

    def __init__(
        self,
        config: ShapeDataManagerConfig,
        device: torch.device | str = "cpu",
        test_mode: TestMode = "val",
        world_size: int = 1,
        local_rank: int = 0,
        **kwargs: Any,
    ) -> None:
        _check_config(config)
        self._stream: SampleStream[PointBatch] | None = None
        self._held_out: PointBatches | None = None
        self._began: float | None = None
        self._fingerprint: Fingerprint | None = None
        super().__init__(
            config=config, device=device, test_mode=test_mode, world_size=world_size, local_rank=local_rank, **kwargs
        )

    # -- the shapes ----------------------------------------------------------------------------------------------------

    @property
    def shape_names(self) -> tuple[str, ...]:
        """Names of the shapes, in the order of their numbers."""
        return self.dataparser.shapes.names

    def shape_frame(self, number: int) -> Similarity:
        """Map from the frame and units of a shape's file to the normalised frame."""
        return self.dataparser.shapes.shapes[number].to_normalised

    def scanner_of(self, number: int) -> Float[np.ndarray, " 3"] | None:
        """Where the scanner stood that a shape's points were seen from, normalised frame; None: nobody said."""
        scanner = self.config.dataparser.scanner
        return None if scanner is None else self.shape_frame(number).points(np.array([scanner]))[0]

    def shape_file(self, number: int) -> Path:
        """The file that a shape was read from."""
        return self.dataparser.shapes.shapes[number].path

    def shape_surface(self, number: int) -> Mesh | Cloud:
        """What a shape is learnt from, in the normalised frame: outward faces, or points with outward normals."""
        return self.dataparser.shapes.shapes[number].surface

    def shape_distance(self, number: int) -> Distance | None:
        """What gives the target of training at points (n, 3) of the normalised frame; None where it has no sign."""
        if self.config.dataparser.sign == "unsigned":
            return None
        return self.dataparser.shapes.shapes[number].source.distance

    def shape_points(self, number: int) -> Float[np.ndarray, "n 3"] | None:
        """The points of a shape that is a cloud, in the normalised frame; None of a mesh."""
        surface = self.shape_surface(number)
        return surface.points if isinstance(surface, Cloud) else None

    def data_fingerprint(self) -> Fingerprint:
        """Numbers by which the shapes are known again, in another file or at another place too; made once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of_surfaces([shape.surface for shape in self.dataparser.shapes.shapes])
        return self._fingerprint

    # -- setting up ----------------------------------------------------------------------------------------------------

    def setup_train(self) -> None:
        """Make training batches ready and say what there is to learn from; for exporters, only a pixel sampler."""
        if self.test_mode != "val":
            self.train_pixel_sampler = self._get_pixel_sampler(self.train_dataset, self.config.train_num_rays_per_batch)
            return
        for line in describe_shapes(self.dataparser.shapes, path=self.config.dataparser.data):
            CONSOLE.print(line, highlight=False, markup=False)
        self._stream = SampleStream(self._batches(_TRAIN), ahead=self.config.ahead)

    def setup_eval(self) -> None:
        """Make held-out batches and pictures ready."""
        self._held_out = self._batches(_EVAL)
        self.fixed_indices_eval_dataloader = FixedIndicesEvalDataloader(self.eval_dataset, device=self.device)
        self.eval_dataloader = RandIndicesEvalDataloader(self.eval_dataset, device=self.device)

    def _batches(self, stream: int) -> PointBatches:
        seed = self.config.seed
        # nerfstudio seeds torch with --machine.seed and the process's rank before it makes a pipeline.
        seed = torch.initial_seed() if seed is None else seed
        return PointBatches(
            [shape.source for shape in self.dataparser.shapes.shapes],
            self._counts(),
            shapes=self.config.shapes_per_batch,
            entropy=(seed, ranks.rank(), stream),
            fresh=stream == _EVAL,
            pin=torch.device(self.device).type == "cuda",
        )

    def _counts(self) -> SampleCounts:
        """Points of each kind that each shape of a batch gets."""
        config, shapes = self.config, min(self.config.shapes_per_batch, len(self.shape_names))
        shares = {kind: getattr(config, name) for kind, name in _SHARES.items()}
        return divide_points(max(1, config.points_per_batch // shapes), shares)

    # -- batches -------------------------------------------------------------------------------------------------------

    def next_train(self, step: int) -> tuple[ShapePoints | RayBundle, dict[str, Any]]:  # type: ignore[override]
        """Points of training step `step` and what is known of them (see PointBatch), on the device.

        In a run that is not trained: rays through random pixels of the pictures, and their colours.
        """
        if self._stream is None:
            return self._pixels(step)
        self.train_count += 1
        batch = moved(self._stream.get(step), self.device)
        if self._began is None:
            self._began = time.perf_counter()
        return batch

    def next_eval(self, step: int) -> tuple[ShapePoints, dict[str, Any]]:  # type: ignore[override]
        """Points that training does not see, otherwise drawn like its own, and what is known of them."""
        assert self._held_out is not None  # nerfstudio sets up before it asks
        self.eval_count += 1
        return moved(self._held_out(step), self.device)

    def _pixels(self, step: int) -> tuple[RayBundle, dict[str, Any]]:
        if not hasattr(self, "train_image_dataloader"):
            # The exporter has set the number of pixels on the sampler that is there.
            sampler = self.train_pixel_sampler
            super().setup_train()
            self.train_pixel_sampler = sampler
        return super().next_train(step)

    def get_train_rays_per_batch(self) -> int:
        """Points of a training step."""
        return min(self.config.shapes_per_batch, len(self.shape_names)) * self._counts().total

    def get_eval_rays_per_batch(self) -> int:
        """Points of a held-out batch."""
        return self.get_train_rays_per_batch()

    @staticmethod
    def evaluated(number: int, count: int) -> str:
        """What metrics are of, where `number` of `count` pictures were compared."""
        return f"{number} of {count} pictures of the surface"

    def get_datapath(self) -> Path:
        """The folder of the data; nerfstudio saves camera paths there."""
        data = Path(self.config.dataparser.data)
        return data if data.is_dir() else data.parent

    # -- training ------------------------------------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """What is said when training has ended."""
        return [TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN], self._tell_waits)]

    def _tell_waits(self, step: int) -> None:
        """Say how long training waited for points, if that was long; `step` is the last one."""
        if self._stream is None or self._began is None:
            return
        waited, elapsed = self._stream.waited_seconds, time.perf_counter() - self._began
        if waited > max(_LONG_WAIT * elapsed, _FEW_SECONDS):
            CONSOLE.print(
                f"Training waited for points for {waited:.0f} of {elapsed:.0f} seconds: lower {OPTION}points-per-batch "
                f"or {OPTION}dataparser.pool, or give the process more cores."
            )


def _check_config(config: ShapeDataManagerConfig) -> None:
    """Raise InputError for the first setting out of range, with its name and range."""
    for name, least in (("points_per_batch", 1), ("shapes_per_batch", 1), ("ahead", 1), ("seed", 0)):
        value = getattr(config, name)
        if value is not None and value < least:
            raise InputError(f"{OPTION}{name.replace('_', '-')} must be at least {least}, got {value}.")
    for name in _SHARES.values():
        share = getattr(config, name)
        if not 0 <= share < float("inf"):
            raise InputError(f"{OPTION}{name.replace('_', '-')} must be 0 or more, got {share}.")
    if not any(getattr(config, name) for name in _SHARES.values()):
        names = ", ".join(name.replace("_", "-") for name in _SHARES.values())
        raise InputError(f"All of {OPTION}{{{names}}} are 0, so that there is nothing to draw: raise one.")


def describe_shapes(shapes: ShapeSet, *, path: Path) -> list[str]:
    """What a user should know of the shapes that were read, in lines: how many, of what kind, and what was skipped."""
    found = shapes.shapes
    count = f"{len(found)} shape{'s' if len(found) > 1 else ''}"
    lines = [f"Read {count} from {path}."]
    told = found if len(found) <= _TOLD else [shape for shape in found if shape.notes or shape.watertight is False]
    lines += [f"  {shape.description}" for shape in told[:_TOLD]]
    if len(told) > _TOLD:
        lines.append(f"  ... and {len(told) - _TOLD} more that are open, or were fixed")
    if shapes.passed_over is not None:
        lines.append(shapes.passed_over)
    if shapes.skipped:
        lines.append(f"Skipped {len(shapes.skipped)} that could not be read:")
        lines += [f"  {sentence}" for sentence in shapes.skipped[:_TOLD]]
        lines += [f"  ... and {len(shapes.skipped) - _TOLD} more"] if len(shapes.skipped) > _TOLD else []
    return lines
