"""Runs of shapes: which of a run's shapes is meant, where its file is, and the frame that its surface comes out in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.frames import Similarity
from inr_plugins.shape_names import number_of_shape

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run

DATASET_FRAME = "dataset_frame"
"""Key, in the metadata of what our dataparsers make, of the exact map from the dataset's frame."""

# What nerfstudio-data takes for applied_transform where there is none but COLMAP's files are there.
_OLD_COLMAP_TRANSFORM = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]])


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


@runtime_checkable
class BlendsShapes(Protocol):
    """A model of shapes that are codes over a dictionary, which answers for what lies between two of them."""

    def blending(self, towards: str, share: float, *, given_by: str) -> AbstractContextManager[None]:
        """Meanwhile the field is that of the shown shape on its way to one of the dictionary's, a share of it.

        `given_by` is what `towards` was given as, for the InputError where there is no such shape.
        """


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
            raise InputError(
                f"{setting('shape', wanted)}: the run was not trained on shapes but on images; leave it out."
            )
        return None
    names = manager.shape_names
    if wanted is None:
        number = int(getattr(run.pipeline.model, "shown_shape", 0))
    else:
        number = number_of_shape(wanted, names, given_by=setting("shape", wanted))
    return RunShape(number, names[number], manager.shape_file(number), manager.shape_frame(number), len(names))


def show_shape(run: Run, shape: RunShape | None) -> None:
    """Let the run's model answer for `shape`, where it holds several."""
    if shape is not None and hasattr(run.pipeline.model, "show"):
        run.pipeline.model.show(shape.number)


@contextmanager
def shape_shown(run: Run, shape: RunShape | None, *, towards: str | None, share: float) -> Iterator[None]:
    """Let the run's model answer for `shape`, or for what is on the way from it to one of the dictionary's.

    Raises:
        InputError: `towards` is none of the dictionary's shapes, or there is no dictionary.
    """
    show_shape(run, shape)
    if towards is None:
        yield
        return
    model = run.pipeline.model
    if not isinstance(model, BlendsShapes):
        raise InputError(f"{setting('towards', towards)}: the run has no dictionary of shapes; leave it out.")
    with model.blending(towards, share, given_by=setting("towards", towards)):
        yield


def frame_of(run: Run, shape: RunShape | None) -> Similarity:
    """Map from the frame of the data, or of one shape's file, to the normalised frame.

    The frame of a dataset of images is that of the poses in its files: for nerfstudio-data, of the `transform_matrix`
    entries. nerfstudio's own `dataparser_transform` starts before the file's `applied_transform` and `applied_scale`,
    which are taken out of it here.

    Raises:
        InputError: the transforms are no similarities.
    """
    if shape is not None:
        # Not through the dataparser's transform, which is float32 and that of the first shape.
        return shape.to_normalised
    outputs = run.dataparser_outputs
    exact = (getattr(outputs, "metadata", None) or {}).get(DATASET_FRAME)
    if exact is not None:
        return exact
    # Only nerfstudio's own datamanagers get here.
    applied, applied_scale = _applied(run)
    transform = outputs.dataparser_transform.detach().cpu().double().numpy()[:3] @ np.linalg.inv(applied)
    return Similarity.from_dataparser(transform, float(outputs.dataparser_scale) / applied_scale)


def _applied(run: Run) -> tuple[Float[np.ndarray, "4 4"], float]:
    """What nerfstudio-data multiplied into its terms from the run's file: applied_transform and applied_scale."""
    manager: Any = getattr(getattr(run.config, "pipeline", None), "datamanager", None)
    parser = getattr(manager, "dataparser", None)
    applied = np.eye(4)
    if not isinstance(parser, NerfstudioDataParserConfig):
        return applied, 1.0
    data = Path(manager.data if manager.data is not None else parser.data)
    path = data if data.suffix == ".json" else data / "transforms.json"
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    if "applied_transform" in document:
        applied[:3] = np.array(document["applied_transform"], dtype=np.float64)[:3]
    elif (data / "colmap/sparse/0").exists():
        applied[:3] = _OLD_COLMAP_TRANSFORM
    return applied, float(document.get("applied_scale", 1.0))


def views_of(dataset: InputDataset, shape: RunShape | None) -> list[int]:
    """Numbers of the views of a dataset that show `shape`; all of them for None."""
    metadata = dataset.cameras.metadata
    if shape is None or metadata is None or "shape" not in metadata:
        return list(range(len(dataset)))
    return (metadata["shape"].reshape(-1) == shape.number).nonzero().reshape(-1).tolist()
