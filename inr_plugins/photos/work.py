"""The folder that unfinished work is kept in, so that the same command goes on where one was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inr_plugins.errors import InputError, setting
from inr_plugins.files import locked, move, sweep, write_json
from inr_plugins.geometry.io.output_place import check_place

REPORT = "report.json"
TRANSFORMS = "transforms.json"
IMAGES, MASKS, POINTS = "images", "masks", "sparse_points.ply"
_OURS = {REPORT, TRANSFORMS, IMAGES, MASKS, POINTS, "work"}
_LOCK = "lock"
_ENDS = 1 << 16


@dataclass(frozen=True)
class Work:
    """The folder `work` in the dataset's.

    Attributes:
        output: the dataset's folder.
        is_anew: this is work on a dataset that is to take the place of the one that is there, which keeps its own.
    """

    output: Path
    is_anew: bool = False

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.output / "work" / "anew" if self.is_anew else self.output / "work"

    @property
    def partial(self) -> Path:
        """The dataset while it is written."""
        return self.output / "work" / "new"

    @property
    def ready(self) -> Path:
        """The dataset when it is complete and about to get its place."""
        return self.output / "work" / "ready"

    @property
    def kept(self) -> tuple[Path, ...]:
        """What is kept beside a finished dataset, so that it can be written anew with its poses."""
        return self.state, self.film, self.models, self.failed, self.outcome

    @property
    def state(self) -> Path:
        """What it was begun with: photos and options, JSON."""
        return self.folder / "state.json"

    @property
    def database(self) -> Path:
        """COLMAP's, of features and matches."""
        return self.folder / "database.db"

    @property
    def pictures(self) -> Path:
        """The pictures that are compared."""
        return self.folder / "pictures"

    @property
    def frames(self) -> Path:
        """The frames of a video."""
        return self.folder / "frames"

    @property
    def film(self) -> Path:
        """Which frames of a video these are, JSON."""
        return self.folder / "film.json"

    @property
    def models(self) -> Path:
        """The reconstructions, each in a folder of its number."""
        return self.folder / "models"

    @property
    def failed(self) -> Path:
        """Which photos could not be read, JSON."""
        return self.folder / "failed.json"

    @property
    def outcome(self) -> Path:
        """What came of placing the cameras, JSON."""
        return self.folder / "outcome.json"

    def has_begun(self) -> bool:
        """Whether something is there that it would take long to do again."""
        others = {each.name for each in self.output.iterdir()} - {self.folder.name}
        return bool(others) or self.database.exists() or self.outcome.exists()

    def drop_bulk(self) -> None:
        """Remove what is large and no longer needed once the cameras have their places and the images are written."""
        for folder in (self.pictures, self.frames):
            shutil.rmtree(folder, ignore_errors=True)
        for ending in ("", "-wal", "-shm", "-journal"):
            self.database.with_name(self.database.name + ending).unlink(missing_ok=True)

    def begin(self, state: dict[str, Any], *, overwrite: bool) -> Work:
        """Go on with what is there if it was begun with the same, or begin; what is unfinished of other photos goes.

        Returns:
            The work to go on with: beside that of a dataset which is complete and is to be replaced.

        Raises:
            InputError: a dataset of something else is complete here, without `overwrite`.
        """
        if self.state.is_file() and _read(self.state) == json.loads(json.dumps(state)):
            return self
        if not self.is_anew and (self.output / TRANSFORMS).exists():
            if not overwrite:
                raise InputError(
                    f"{self.output} is a dataset of other photos or options: give {setting('overwrite', True)} to "
                    "begin anew, or give another folder."
                )
            return Work(self.output, is_anew=True).begin(state, overwrite=True)
        self.forget()
        write_json(self.state, state, durable=False)
        return self

    def forget(self) -> None:
        """Remove all work that was done."""
        self.drop_bulk()
        for path in self.kept:
            _remove(path)


@contextmanager
def replacing_dataset(work: Work) -> Iterator[Path]:
    """A new empty folder to write a dataset to; it takes the place of the one that is there when the block ends well.

    What fails or is stopped before leaves the old dataset as it was. The change itself is a few renames, during which
    there is no transforms.json; killed among them, whatever next opens the folder goes on (`opened`).

    Raises:
        OSError: the disk is full or not writable.
    """
    partial = work.partial
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if work.is_anew:
            _copy_kept(work, partial / "work")
        move(partial, work.ready)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    take_over(work.output)


def take_over(output: Path) -> None:
    """Give a dataset that is ready its place, as far as that has not been done; nothing where none is."""
    whole, ready = Work(output), Work(output).ready
    if not ready.is_dir():
        return
    content = _read(ready / TRANSFORMS)
    if content is not None:
        (output / TRANSFORMS).unlink(missing_ok=True)
        for path in [each for each in whole.kept if (ready / "work" / each.name).exists()]:
            _put(ready / "work" / path.name, path)
        if not any("mask_path" in frame for frame in content["frames"]):
            _remove(output / MASKS)
        for name in (IMAGES, MASKS, POINTS, REPORT, TRANSFORMS):
            if (ready / name).exists():
                _put(ready / name, output / name)
    # Its own name goes last: while it is there, this is not done.
    shutil.rmtree(Work(output, is_anew=True).folder, ignore_errors=True)
    shutil.rmtree(ready, ignore_errors=True)


def _copy_kept(work: Work, folder: Path) -> None:
    """Copy what is kept of some work; an empty file, which is read as none, stands for what it has not."""
    folder.mkdir()
    for path in work.kept:
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif path.exists():
            shutil.copyfile(path, folder / path.name)
        else:
            (folder / path.name).touch()


def _put(source: Path, target: Path) -> None:
    real = Path(os.path.realpath(target))
    _remove(real)
    move(source, real)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def opened(output: Path) -> Iterator[Work]:
    """The folder of work of a dataset, for this process alone; gone again where a mistake is found at its beginning.

    Raises:
        InputError: the place takes no files, holds something else, or another process is at work there.
    """
    check_place(output / TRANSFORMS)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file: give a folder for the dataset.")
    if output.is_dir():
        sweep(output)
        names = {each.name for each in output.iterdir()} - {"lost+found"}
        foreign = sorted(names - _OURS)
        if names and (foreign or not (output / "work").is_dir()):
            raise InputError(
                f"{output} holds {(foreign or sorted(names))[0]}, which is none of inr-photos's work: give another "
                "folder."
            )
    work, was_there = Work(output), output.exists()
    try:
        with locked(work.folder / _LOCK):
            take_over(output)
            try:
                yield work
            except InputError:
                anew = Work(output, is_anew=True)
                if not (anew.database.exists() or anew.outcome.exists()):
                    shutil.rmtree(anew.folder, ignore_errors=True)
                if not work.has_begun():
                    shutil.rmtree(work.folder, ignore_errors=True)
                    if not was_there:
                        with suppress(OSError):
                            output.rmdir()
                raise
    except BlockingIOError as error:
        raise InputError(f"Another inr-photos is at work in {output}: wait for it, or give another folder.") from error


def digest_of(paths: Iterable[Path]) -> str:
    """Hexadecimal digits that follow from files' names, sizes, beginnings and ends."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        with path.open("rb") as file:
            content = file.read(_ENDS)
            file.seek(max(0, size - _ENDS))
            content += file.read(_ENDS)
        digest.update(f"{path.name}\0{size}\0".encode(errors="surrogatepass") + content)
    return digest.hexdigest()[:16]


def read_json(path: Path) -> Any:
    """What an own file holds, None where there is none or it cannot be read."""
    return _read(path)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def internal_names(endings: Sequence[str]) -> list[str]:
    """Names of pictures for COLMAP, whose lists have spaces between names: numbers."""
    return [f"{number:06d}{ending}" for number, ending in enumerate(endings)]
