"""Where photos come from: a folder, or the frames of a video."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from inr_plugins.errors import InputError
from inr_plugins.files import write_json
from inr_plugins.photos.pictures import Photo, look_into, photo_of
from inr_plugins.photos.video import Film, choose_frames, write_frames
from inr_plugins.photos.work import Work, read_json
from inr_plugins.progress import Bar

_FEWEST = 3


@dataclass(frozen=True)
class Source:
    """The photos, and what was found beside them.

    Attributes:
        photos: in their order.
        unreadable: pictures that do not open, with why.
        notes: sentences on what was left out.
        in_sequence: whether the photos follow each other, as frames do.
    """

    photos: tuple[Photo, ...]
    unreadable: dict[str, str]
    notes: tuple[str, ...] = ()
    in_sequence: bool = False


def photos_of_folder(folder: Path) -> Source:
    """The photographs in a folder.

    Raises:
        InputError: there are none, or too few.
    """
    there = look_into(folder)
    notes = []
    if there.others:
        others = (
            f"{len(there.others)} files of {folder} are no pictures"
            if len(there.others) > 1
            else "One file is no picture"
        )
        notes.append(f"{others} and left out ({there.others[0]}).")
    return check_count(folder, Source(there.photos, there.unreadable, tuple(notes)))


def photos_of_video(video: Path, work: Work, *, frames: int, max_size: int, ffmpeg: Path, tell: Bar) -> Source:
    """The frames of a video, chosen and written to `work` where that has not been done.

    Args:
        video: the file.
        work: where the frames go.
        frames: how many to take.
        max_size: of the longer side, in pixels.
        ffmpeg: the program.
        tell: of progress.

    Raises:
        InputError: it does not decode, or has too few frames.
    """
    film = _film(video, work, frames=frames, ffmpeg=ffmpeg, tell=tell)
    names = [f"frame_{number:06d}.png" for number in film.chosen]
    if not all((work.frames / name).exists() for name in names):
        shutil.rmtree(work.frames, ignore_errors=True)
        work.frames.mkdir()
        write_frames(video, film, [work.frames / name for name in names], ffmpeg=ffmpeg, max_size=max_size)
    photos = tuple(replace(photo_of(work.frames / name), is_lossy=True) for name in names)
    notes = [f"{len(names)} of the video's {film.frames:,} frames were taken, the sharpest of each stretch."]
    if film.damage:
        notes.append(f"The video is damaged, and was read as far as it goes (ffmpeg: {film.damage}).")
    return check_count(video, Source(photos, {}, tuple(notes), in_sequence=True))


def _film(video: Path, work: Work, *, frames: int, ffmpeg: Path, tell: Bar) -> Film:
    stored = read_json(work.film)
    if stored is not None:
        return Film(stored["frames"], tuple(stored["chosen"]), stored["damage"])
    # Nobody knows how many there are before they are read.
    film = choose_frames(video, frames, ffmpeg=ffmpeg, on_frame=lambda done: tell("Reading the video", done, done + 1))
    tell("Reading the video", film.frames, film.frames)
    write_json(work.film, {"frames": film.frames, "chosen": list(film.chosen), "damage": film.damage}, durable=False)
    return film


def check_count(source: Path, found: Source) -> Source:
    """The same, if it is enough to begin with; InputError if not."""
    count = len(found.photos)
    if count < _FEWEST:
        few = "is one photograph" if count == 1 else f"are {count} photographs"
        raise InputError(
            f"There {few} in {source}, and places are found by comparing {_FEWEST} at least: give 20 or more, taken "
            "around the same thing in small steps."
        )
    return found
