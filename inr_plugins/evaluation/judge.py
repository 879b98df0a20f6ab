"""One entry of the record: a run, or a mesh without one, measured by everything that was asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor

from inr_plugins.errors import InputError, is_out_of_memory, setting
from inr_plugins.evaluation.backgrounds import BackgroundName, true_view
from inr_plugins.evaluation.failures import failure
from inr_plugins.evaluation.images import check_views, choose_views, measure_views, summarise_views
from inr_plugins.evaluation.runs import Split, data_folder, find_truth, open_run, split_dataset, stand_in_note
from inr_plugins.evaluation.surfaces import SurfaceSettings, compare_surfaces, read_named
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.meshing.extracted import ExtractedMesh
from inr_plugins.meshing.shapes import RunShape, find_shape, frame_of, views_of
from inr_plugins.meshing.views import require_views, training_views

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run

Extract = Callable[[Any], ExtractedMesh]
"""The mesh of an open Run in the dataset's frame."""

# What is worth keeping of the description of an extracted mesh: nothing that says where it lay.
_KEPT = (
    "made_by",
    "shape",
    "field",
    "level",
    "level_source",
    "resolution",
    "lattice_shape",
    "box",
    "box_frame",
    "evaluated_share",
    "cleaned",
    "seconds",
)


@dataclass(frozen=True)
class Settings:
    """What is measured, and how.

    Attributes:
        split: which views.
        every: the first view and every n-th after it.
        views: this many views, spread evenly; every and views None: all.
        background: see backgrounds.true_view.
        silhouettes: compare silhouettes too.
        truth: the true surface's file; "auto": that of a made scene, or the file that a shape was learnt from, where
            there is one; None: no surface is judged.
        mesh: judge this surface, not the run's own.
        surface: how surfaces are compared.
        data: where the dataset is now.
        device: where models go; None: CUDA when there is one.
        shape: name or number of the shape to measure; None: the views of all, and the surface of a run's only one.
        seen_only: measure the surface over what the training cameras see too.
    """

    split: Split = "test"
    every: int | None = None
    views: int | None = None
    background: BackgroundName | None = None
    silhouettes: bool = False
    truth: Path | str | None = "auto"
    mesh: Path | None = None
    surface: SurfaceSettings = field(default_factory=SurfaceSettings)
    data: Path | None = None
    device: str | None = None
    shape: str | None = None
    seen_only: bool = False


OnView = Callable[[int, int, str, Float[Tensor, "height width 3"], Float[Tensor, "height width 3"]], None]
"""Told, after each view: views done, all views, the view's name, the truth and the rendering."""


def judge_mesh(settings: Settings) -> dict[str, Any]:
    """A surface file against the truth, without a run.

    Raises:
        InputError: a file cannot be read, or the surfaces cannot be compared.
    """
    assert settings.mesh is not None
    assert isinstance(settings.truth, Path)
    start = time.perf_counter()
    notes: list[str] = []
    pred = read_named(settings.mesh, option="mesh", tell=notes.append)
    truth = read_named(settings.truth, option="truth", tell=notes.append)
    found = compare_surfaces(pred, truth, settings.surface)
    return {
        "method": None,
        "shape": None,
        "step": None,
        "device": None,
        "images": None,
        "surface": {**found, "truth_file": settings.truth, "prediction_file": settings.mesh, "extraction": None},
        "missing": {"images": "no run was given"},
        "notes": notes,
        "seconds": {"surface": time.perf_counter() - start},
    }


def judge_run(
    config_path: Path, settings: Settings, *, load: Callable[..., Run], extract: Extract, on_view: OnView
) -> dict[str, Any]:
    """A run's images and surface, whichever it has.

    The surface comes first: it takes seconds where pictures may take hours, and a truth in another frame is found.

    Args:
        config_path: the run's config.yml.
        settings: what to measure.
        load: engine.runs.run.load_run, or what stands in for it.
        extract: makes the run's mesh.
        on_view: told after each view.

    Raises:
        InputError: the run cannot be opened or measured as asked for, or there is nothing to measure.
    """
    log = _Log()
    with log.timed("open"):
        run = open_run(config_path, device=settings.device, data=settings.data, load=load)
    shape, undecided = _meant_shape(run, settings)
    dataset = split_dataset(run, settings.split)
    seen = [] if dataset is None else views_of(dataset, shape)
    indices = [seen[place] for place in choose_views(len(seen), every=settings.every, views=settings.views)]
    if dataset is None:
        log.missing["images"] = "the method has no images"
        if settings.silhouettes:
            raise InputError(
                f"{config_path.parent} is a run of a method without images: leave {setting('silhouettes')} out."
            )
    else:
        check_views(dataset, indices, silhouettes=settings.silhouettes)
        # Made only to be refused, if need be, before the surface takes its time.
        true_view(dataset, indices[0], wanted=settings.background, model=run.pipeline.model)
    surface = None
    if undecided:
        log.missing["surface"] = "the run holds several shapes, and --shape names none of them"
        log.notes.append("The surface was not measured: name with --shape the shape to measure.")
    else:
        surface = _surface(run, settings, shape, extract=extract, log=log)
    images = None
    if dataset is not None:
        images = _images(run, dataset, indices, settings, count=len(seen), on_view=on_view, log=log)
    if images is None and surface is None:
        raise InputError(
            f"There is nothing to measure in {config_path.parent}: give a {setting('truth')} for its surface."
        )
    return {
        "method": getattr(run.config, "method_name", None),
        "shape": None if shape is None else shape.name,
        "step": int(run.step),
        "device": str(run.pipeline.device),
        "images": images,
        "surface": surface,
        **asdict(log),
    }


def judge_surface(run: Run, settings: Settings, *, extract: Extract) -> dict[str, Any]:
    """The surface of an open run alone, as `judge_run` measures it; {"missing": why} where there is nothing to measure.

    Raises:
        InputError: a truth or a mesh was named and cannot be compared.
    """
    log = _Log()
    shape, undecided = _meant_shape(run, settings)
    if undecided:
        return {"missing": "the run holds several shapes"}
    surface = _surface(run, settings, shape, extract=extract, log=log)
    return {"missing": log.missing["surface"]} if surface is None else {**surface, "seconds": log.seconds}


def _meant_shape(run: Run, settings: Settings) -> tuple[RunShape | None, bool]:
    """The shape to measure, None for all or none; and whether the run holds several of which none is named.

    Raises:
        InputError: as `shapes.find_shape`; also a truth or a mesh is given for one of several, and not which.
    """
    shape = find_shape(run, settings.shape)
    if shape is None or shape.count == 1 or settings.shape is not None:
        return shape, False
    if settings.mesh is not None or settings.truth not in ("auto", None):
        raise InputError(
            f"The run {run.config_path.parent} holds {shape.count} shapes: name with {setting('shape')} the one that "
            f"{setting('truth')} or {setting('mesh')} is of."
        )
    return None, settings.truth is not None


@dataclass
class _Log:
    """What is noted on the way.

    Attributes:
        missing: why something was not measured.
        notes: sentences for whoever reads the table.
        seconds: what each part took.
    """

    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note the seconds that the body takes, if it ends well."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def _images(
    run: Run,
    dataset: InputDataset,
    indices: Sequence[int],
    settings: Settings,
    *,
    count: int,
    on_view: OnView,
    log: _Log,
) -> dict[str, Any]:
    """The images part of a run's entry; `count` views could have been chosen."""
    names = [f"{settings.split}_{index:04d}" for index in indices]
    with log.timed("images"):
        scores = measure_views(
            run.pipeline.model,
            dataset,
            indices,
            background=settings.background,
            silhouettes=settings.silhouettes,
            device=run.pipeline.device,
            folder=data_folder(run),
            on_view=lambda done, total, truth, rgb: on_view(done, total, names[done - 1], truth, rgb),
        )
    note = stand_in_note(dataset, settings.split)
    if note is not None:
        log.notes.append(note)
    if scores[0].psnr is None:
        log.notes.append("What is looked for is not known: the run is judged by measurements that were held out.")
    elif scores[0].lpips is None:
        is_of_bands = bool(getattr(run.pipeline.model, "bands", ()))
        reason = "its weights could not be had, or the images are too small for it"
        log.missing["lpips"] = "it is of colours, and the channels of the image are none" if is_of_bands else reason
    found = summarise_views(scores, split=settings.split, count=count)
    # Of what was measured and not seen.
    by_measurements = getattr(run.pipeline.datamanager, "measurement_scores", None)
    if by_measurements is not None:
        with log.timed("measurements"):
            found["mean"] |= by_measurements(run.pipeline.model)
    return found


def _surface(
    run: Run, settings: Settings, shape: RunShape | None, *, extract: Extract, log: _Log
) -> dict[str, Any] | None:
    """The surface part of a run's entry; None, with the reason in `log`, where there is nothing to judge it by."""
    truth_file = _truth_file(run, settings, shape)
    if truth_file is None:
        asking = "mesh" if settings.mesh is not None else "seen_only" if settings.seen_only else None
        if asking is not None:
            raise InputError(
                f"The dataset of {run.config_path.parent} has no true surface: give {setting('truth')} for "
                f"{setting(asking)}."
            )
        no_scene = "the dataset was not made by inr-scene, so its true surface is not known; --truth names it"
        log.missing["surface"] = "not asked for" if settings.truth is None else no_scene
        return None
    truth = read_named(truth_file, option="truth", tell=log.notes.append)
    views = _cameras(run, shape) if settings.seen_only else None
    try:
        pred, extraction = _prediction(run, settings, extract=extract, log=log)
        with log.timed("surface"):
            found = compare_surfaces(pred, truth, settings.surface, views=views)
    except (InputError, RuntimeError, MemoryError) as error:
        # Nobody asked for it, so the images are measured all the same.
        understood = isinstance(error, InputError) or is_out_of_memory(error)
        if settings.truth == "auto" and settings.mesh is None and not settings.seen_only and understood:
            reason = failure(error, run.config_path.parent, device=settings.device).on_command_line
            log.missing["surface"] = reason
            log.notes.append(f"The surface was not measured: {reason}")
            return None
        raise
    files = {"truth_file": truth_file, "prediction_file": settings.mesh}
    return {**found, **files, "extraction": extraction}


def _cameras(run: Run, shape: RunShape | None) -> PinholeViews:
    """The training cameras, in the frame of the dataset.

    Raises:
        InputError: there are none, or they are no pinholes.
    """
    views = require_views(training_views(run, shape), setting("seen_only", True))
    return views.moved(frame_of(run, shape).inverse())


def _truth_file(run: Run, settings: Settings, shape: RunShape | None) -> Path | None:
    """The file to judge the surface by, or None."""
    if settings.truth != "auto":
        return None if settings.truth is None else Path(settings.truth)
    return find_truth(data_folder(run)) if shape is None else shape.file


def _prediction(
    run: Run, settings: Settings, *, extract: Extract, log: _Log
) -> tuple[Mesh | Cloud, dict[str, Any] | None]:
    """The surface to judge: the one that was named, else the run's own, with how it was extracted."""
    if settings.mesh is not None:
        return read_named(settings.mesh, option="mesh", tell=log.notes.append), None
    with log.timed("extract"):
        extracted = extract(run)
    described = extracted.description
    return extracted.mesh, {name: described[name] for name in _KEPT if name in described}
