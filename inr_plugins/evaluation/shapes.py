"""Runs of shapes: which of a run's shapes is meant, where its file is, and the frame that its surface comes out in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nerfstudio.data.datasets.base_dataset import InputDataset

from inr_plugins.engine.shape_names import number_of_shape
from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity

if TYPE_CHECKING:
    from inr_plugins.engine.run import Run


@runtime_checkable
class HoldsShapes(Protocol):
    """A datamanager whose data are surfaces from files, numbered from 0."""

    @property
    def shape_names(self) -> tuple[str, ...]:
        """Names of the shapes, no two alike."""

    def shape_frame(self, number: int) -> Similarity:
        """Map from the frame and units of a shape's file to the normalised frame."""

    def shape_file(self, number: int) -> Path:
        """The file that a shape was read from."""


@dataclass(frozen=True)
class RunShape:
    """One shape of a run.

    Attributes:
        number: its number, counted from 0.
        name: its name.
        file: the file that it was read from.
        to_normalised: map from that file's frame to the normalised one.
        count: shapes that the run holds.
    """

    number: int
    name: str
    file: Path
    to_normalised: Similarity
    count: int


def find_shape(run: Run, wanted: str | None) -> RunShape | None:
    """The shape of a run that is meant; None for a run of images.

    Args:
        run: the open run.
        wanted: the shape's name or number; None: the one that the model shows, which is its only one or its first
            unless the environment variable INR_SHAPE names another.

    Raises:
        InputError: no such shape, or one is wanted of a run of images.
    """
    manager = getattr(run.pipeline, "datamanager", None)
    if not isinstance(manager, HoldsShapes):
        if wanted is not None:
            raise InputError(f"--shape {wanted}: the run was not trained on shapes but on images; leave --shape out.")
        return None
    names = manager.shape_names
    if wanted is None:
        number = int(getattr(run.pipeline.model, "shown_shape", 0))
    else:
        number = number_of_shape(wanted, names, given_by="--shape")
    return RunShape(number, names[number], manager.shape_file(number), manager.shape_frame(number), len(names))


def show_shape(run: Run, shape: RunShape | None) -> None:
    """Let the run's model answer for `shape`, where it holds several."""
    if shape is not None and hasattr(run.pipeline.model, "show"):
        run.pipeline.model.show(shape.number)


def frame_of(run: Run, shape: RunShape | None) -> Similarity:
    """Map from the frame of the data, or of one shape's file, to the normalised frame."""
    if shape is not None:
        # Not through the dataparser's transform, which is float32 and that of the first shape.
        return shape.to_normalised
    outputs = run.dataparser_outputs
    return Similarity.from_dataparser(
        outputs.dataparser_transform.detach().cpu().double().numpy(), float(outputs.dataparser_scale)
    )


def views_of(dataset: InputDataset, shape: RunShape | None) -> list[int]:
    """Numbers of the views of a dataset that show `shape`; all of them for None."""
    metadata = dataset.cameras.metadata
    if shape is None or metadata is None or "shape" not in metadata:
        return list(range(len(dataset)))
    return (metadata["shape"].reshape(-1) == shape.number).nonzero().reshape(-1).tolist()
