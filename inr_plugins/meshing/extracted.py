"""The surface of a run as a mesh: found, cleaned and coloured by one call, and described for whoever gets it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh, transform_mesh
from inr_plugins.meshing.extract import Extracted, extract
from inr_plugins.meshing.region import TurnedBox
from inr_plugins.meshing.report import describe
from inr_plugins.meshing.settings import MeshSettings
from inr_plugins.meshing.shapes import RunShape, find_shape, frame_of, shape_shown
from inr_plugins.progress import Bar, silent

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run


@dataclass(frozen=True)
class ExtractedMesh:
    """A mesh, where it lies and how it came about.

    Attributes:
        mesh: outward faces, in the frame that `settings` asks for.
        found: the same in the normalised frame, before it was moved, and what it was found by.
        settings: what was asked for.
        shape: which shape of a run of shapes it is; None: a run of images.
        to_normalised: map from the dataset's frame to the normalised one.
        to_output: map from the normalised frame to that of `mesh`.
        description: what goes beside the file: frame, units, level, box, counts (see `meshing.report.describe`).
    """

    mesh: Mesh
    found: Extracted
    settings: MeshSettings
    shape: RunShape | None
    to_normalised: Similarity
    to_output: Similarity
    description: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Which shape of a run is meant, and between which frames its mesh goes.

    Attributes:
        shape: of a run of shapes; None: a run of images.
        to_normalised: map from the dataset's frame to the normalised one.
        to_output: map from the normalised frame to that of the mesh.
    """

    shape: RunShape | None
    to_normalised: Similarity
    to_output: Similarity

    @property
    def corners(self) -> np.ndarray:
        """(2, 3) two opposite corners of the normalised frame's cube [-1, 1], in the frame of the mesh."""
        return self.to_output.points(np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))


def find_place(run: Run, settings: MeshSettings) -> Place:
    """What is known of a mesh before anything is evaluated.

    Raises:
        InputError: there is no such shape, or the run does not know its frame.
    """
    shape = find_shape(run, settings.shape)
    to_normalised = frame_of(run, shape)
    to_output = Similarity.identity() if settings.frame == "normalised" else to_normalised.inverse()
    return Place(shape, to_normalised, to_output)


def extract_mesh(
    run: Run,
    settings: MeshSettings | None = None,
    *,
    place: Place | None = None,
    turned: TurnedBox | None = None,
    at_once: int | None = None,
    bar: Bar | None = None,
) -> ExtractedMesh:
    """The surface of a run's field, cleaned and coloured, in the dataset's frame and units.

    Args:
        run: an open run (`engine.runs.run.load_run`).
        settings: what is wanted; None: the defaults.
        place: from `find_place`, where that was asked already.
        turned: look only into this, whatever the settings' box and crop say.
        at_once: most points to ask the field at once; None: as many as memory is there for.
        bar: told (what is being done, how much is done, how much there is).

    Raises:
        InputError: settings out of range or that this run cannot fulfil, a field without a surface at the level, or
            one that is not finite.
    """
    settings = settings or MeshSettings()
    settings.check()
    if len(settings.blend) > 1:
        raise InputError(f"{setting('blend')} has {len(settings.blend)} numbers, and one mesh is made: give one.")
    place = place or find_place(run, settings)
    start = time.perf_counter()
    with shape_shown(run, place.shape, towards=settings.towards, share=settings.blend[0]):
        found = extract(
            run,
            settings,
            to_normalised=place.to_normalised,
            shape=place.shape,
            turned=turned,
            at_once=at_once,
            bar=bar or silent,
        )
    mesh = transform_mesh(found.mesh, place.to_output)
    seconds = {"extract": time.perf_counter() - start}
    description = describe(
        found, mesh, run, settings, to_normalised=place.to_normalised, shape=place.shape, seconds=seconds
    )
    return ExtractedMesh(mesh, found, settings, place.shape, place.to_normalised, place.to_output, description)
