"""`make_dataset`: from photographs or a video to a nerfstudio dataset with poses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError, setting
from inr_plugins.files import write_json
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.up_axis import up_rotation
from inr_plugins.photos.colmap_folder import read_colmap
from inr_plugins.photos.dataset import View, image_names, write_dataset
from inr_plugins.photos.failures import Evidence, check_depth, check_enough
from inr_plugins.photos.lenses import lens_groups
from inr_plugins.photos.masks import check_masks, find_masks, masks_of_no_photo
from inr_plugins.photos.measure import KnownLength, SizedPhoto, known_length
from inr_plugins.photos.model import Model, read_model
from inr_plugins.photos.options import PhotoOptions, check_options
from inr_plugins.photos.pictures import Photo
from inr_plugins.photos.pycolmap_import import import_pycolmap
from inr_plugins.photos.report import describe, unused_masks
from inr_plugins.photos.sources import Source, photos_of_folder, photos_of_video
from inr_plugins.photos.steps import find_poses, outcome, prepare
from inr_plugins.photos.upright import Up, given_up, turn_to_z, up_of_cameras
from inr_plugins.photos.work import (
    REPORT,
    TRANSFORMS,
    Work,
    digest_of,
    internal_names,
    opened,
    read_json,
    replacing_dataset,
)
from inr_plugins.progress import Bar, silent


@dataclass(frozen=True)
class MadeDataset:
    """What was made.

    Attributes:
        folder: the dataset.
        report: what report.json says.
        was_there: whether it was complete before.
    """

    folder: Path
    report: dict[str, Any]
    was_there: bool = False


@dataclass(frozen=True)
class _Posed:
    """Photos with a reconstruction of them.

    Attributes:
        found: the photos.
        pictures: what each is called in the reconstruction.
        model: the reconstruction.
        evidence: what was found in them, by their names; None where the poses came with them.
        failed: why photos could not be read, by their names.
    """

    found: Source
    pictures: list[str]
    model: Model
    evidence: Evidence | None
    failed: dict[str, str]


def make_dataset(
    source: str | Path,
    output: str | Path,
    *,
    options: PhotoOptions | None = None,
    overwrite: bool = False,
    tell: Bar = silent,
    ffmpeg: Callable[[], Path] = lambda: Path("ffmpeg"),
) -> MadeDataset:
    """Find out where photos were taken from, and write them as a dataset of nerfstudio's.

    The dataset's frame is that of COLMAP's reconstruction, turned so that z points up and scaled: to metres where a
    length is known, else so that cameras are about 1 from what they see. What is done is kept in the folder `work`
    of the output, and the same call goes on there. The same photos, options and seed give the same poses.

    Args:
        source: a folder of photographs, a video, or a folder of COLMAP's.
        output: folder to write. It has a transforms.json when it is complete, and not before.
        options: how.
        overwrite: begin anew, or write anew, where the output was made of other photos or with other options. The old
            dataset stays until the new one is complete.
        tell: of progress.
        ffmpeg: gives the program that reads videos; asked for videos only.

    Raises:
        InputError: a bad option, photos that cannot be read or do not fit together, or a place that takes no files.
    """
    options = options or PhotoOptions()
    source, output, begun = Path(source), Path(output), time.perf_counter()
    check_options(options)
    import_pycolmap()
    # Whatever is wrong with the photos is said before anything is made.
    posed = _posed_by_colmap(source, options) if options.colmap else None
    is_video = posed is None and source.is_file()
    found = None if posed is not None or is_video else photos_of_folder(source)
    photos = posed.found.photos if posed is not None else found.photos if found is not None else ()
    if photos and options.masks is not None:
        check_masks(options.masks, photos, max_size=options.max_size, tell=tell)
    with opened(output) as work:
        work = work.begin(
            _state([each.path for each in photos] or [source], options, is_video=is_video), overwrite=overwrite
        )
        final = _final(options)
        there = None if work.is_anew else _complete(output, final, overwrite=overwrite)
        if there is not None:
            return MadeDataset(output, there, was_there=True)
        if posed is None:
            found = found or photos_of_video(
                source, work, frames=options.frames, max_size=options.max_size, ffmpeg=ffmpeg(), tell=tell
            )
            posed = _posed_by_us(found, work, options, tell)
        with replacing_dataset(work) as folder:
            report = {
                "made_by": f"inr-photos {version('inr-plugins')}",
                "source": source.name,
                **_write(posed, folder, options, tell),
                "asked": final,
                "seconds": round(time.perf_counter() - begun, 1),
            }
            write_json(folder / REPORT, report)
        Work(output).drop_bulk()
    return MadeDataset(output, report)


def _state(paths: Sequence[Path], options: PhotoOptions, *, is_video: bool) -> dict[str, Any]:
    """What the reconstruction follows from."""
    names = ("max_size", "cameras", "matching", "max_features", "seed", "colmap", *(["frames"] if is_video else []))
    return {"version": 1, "photos": digest_of(paths), **{name: getattr(options, name) for name in names}}


def _final(options: PhotoOptions) -> dict[str, Any]:
    """What the dataset follows from beside the reconstruction."""
    masks = (
        None if options.masks is None else digest_of(sorted(each for each in options.masks.iterdir() if each.is_file()))
    )
    length = None if options.known_length is None else list(options.known_length)
    return {"masks": masks, "known_length": length, "up": options.up}


def _complete(output: Path, final: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
    """The report on a dataset that is complete and what was asked for, None where there is something to do.

    Raises:
        InputError: it is complete with other options, without `overwrite`.
    """
    there = read_json(output / REPORT)
    if there is None or not (output / TRANSFORMS).exists():
        return None
    if there.get("asked") == final:
        return there
    if not overwrite:
        raise InputError(
            f"{output} is complete, with other options: give {setting('overwrite', True)} to write it anew with the "
            "poses that it has, or give another folder."
        )
    return None


def _posed_by_colmap(folder: Path, options: PhotoOptions) -> _Posed:
    found, model = read_colmap(folder, max_size=options.max_size)
    return _Posed(found, [each.name for each in model.placed], model, None, {})


def _posed_by_us(found: Source, work: Work, options: PhotoOptions, tell: Bar) -> _Posed:
    """Find the poses, as far as that has not been done.

    Raises:
        InputError: too few photos find their place.
    """
    photos = found.photos
    groups = lens_groups(photos, options.cameras, options.max_size)
    pictures = internal_names([".jpg" if photo.is_lossy else ".png" for photo in photos])
    done = outcome(work)
    if done is None:
        failed = prepare(photos, pictures, work, max_size=options.max_size, tell=tell)
        used = ["" if number in failed else picture for number, picture in enumerate(pictures)]
        write_json(work.failed, {photos[number].name: why for number, why in failed.items()}, durable=False)
        done = find_poses(used, groups, work, options, in_sequence=found.in_sequence, tell=tell)
    evidence, folder = done
    evidence = evidence.renamed({picture: photo.name for picture, photo in zip(pictures, photos, strict=True)})
    check_enough(evidence, options.at_least, one_lens=any(len(each.numbers) > 1 and not each.camera for each in groups))
    model = read_model(folder)
    check_depth(evidence, [len(each.points) for each in model.placed])
    return _Posed(found, pictures, model, evidence, read_json(work.failed) or {})


def _write(posed: _Posed, output: Path, options: PhotoOptions, tell: Bar) -> dict[str, Any]:
    """Write the dataset; the report on it."""
    photos, pictures, model = posed.found.photos, posed.pictures, posed.model
    photo_by_picture = dict(zip(pictures, photos, strict=True))
    masks, unused = dict[str, Path](), list[str]()
    if options.masks is not None:
        masks = find_masks(options.masks, photos)
        unused = masks_of_no_photo(options.masks, photos, posed.found.unreadable)
    names = dict(zip(pictures, image_names(photos), strict=True))
    views = []
    for placed in model.placed:
        photo = photo_by_picture[placed.name]
        views.append(View(photo, placed, names[placed.name], masks.get(photo.name)))
    up = _up(options, model)
    length = _length(options, photos, pictures, model)
    scale = 1 / model.distance_of_sight() if length is None else length.scale
    frame = Similarity(turn_to_z(up.direction), scale, np.zeros(3))
    write_dataset(
        output,
        views,
        model,
        frame,
        max_size=options.max_size,
        tell=lambda done, total: tell("Writing images", done, total),
    )
    return describe(
        posed.found,
        posed.evidence,
        posed.failed,
        model,
        views,
        notes=unused_masks(unused),
        up=up,
        length=length,
        frame=frame,
        max_size=options.max_size,
    )


def _up(options: PhotoOptions, model: Model) -> Up:
    if options.up == "auto":
        return up_of_cameras(model.rotations)
    # The turn that brings the axis to +z has that axis in its last line.
    return given_up(up_rotation(options.up, "")[2], model.rotations)


def _length(options: PhotoOptions, photos: Sequence[Photo], pictures: list[str], model: Model) -> KnownLength | None:
    if options.known_length is None:
        return None
    placed = {each.name: each for each in model.placed}
    given = []
    for photo, picture in zip(photos, pictures, strict=True):
        one = placed.get(picture)
        lens = None if one is None else model.lenses[one.camera]
        seen = photo.size if lens is None else (int(lens.width), int(lens.height))
        given.append(SizedPhoto(photo.name, photo.size, one, seen))
    return known_length(options.known_length, given, model)
