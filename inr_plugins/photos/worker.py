"""The process that pycolmap works in: one step of finding poses, told by a line of JSON on standard input.

In a process of its own, since pycolmap ends the process that it is in where something is wrong with a file, and
prints as it goes. It answers in lines of JSON: {"done": how many}, then {"result": ...} or {"error": a sentence}. It
ends when its standard input does, so that nobody who was killed leaves it behind.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from inr_plugins.photos.pycolmap_import import import_pycolmap

_LOOK_EVERY = 0.5
MODEL_FILES = ("cameras.bin", "images.bin", "points3D.bin")


def features(job: dict[str, Any]) -> None:
    """Find features in all pictures that have none yet.

    Args:
        job: `database`, `pictures` (the folder), `groups`: dictionaries of `names`, `model` and `params`, the camera
            of the pictures of these names; `max_features`, `threads`.
    """
    pycolmap = import_pycolmap()
    with pycolmap.Database.open(job["database"]) as database:
        there = {image.name for image in database.read_all_images()}
    for group in job["groups"]:
        names = [name for name in group["names"] if name not in there]
        if names:
            reader = pycolmap.ImageReaderOptions(camera_model=group["model"], camera_params=group["params"])
            pycolmap.import_images(
                job["database"], job["pictures"], pycolmap.CameraMode.SINGLE, image_names=names, options=reader
            )
    options = pycolmap.FeatureExtractionOptions(num_threads=job["threads"], use_gpu=False)
    options.sift.max_num_features = job["max_features"]
    names = [name for group in job["groups"] for name in group["names"]]
    with _told(job["database"], "descriptors"):
        pycolmap.extract_features(
            job["database"],
            job["pictures"],
            image_names=names,
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )


def matches(job: dict[str, Any]) -> None:
    """Compare the features of pairs of pictures that have not been compared yet, and keep what one motion explains.

    Args:
        job: `database`, `list` (a file of two names a line), `threads`, `seed`.
    """
    pycolmap = import_pycolmap()
    pycolmap.set_random_seed(job["seed"])
    matching = pycolmap.FeatureMatchingOptions(num_threads=job["threads"], use_gpu=False)
    pairing = pycolmap.ImportedPairingOptions(match_list_path=job["list"])
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = job["seed"]
    with _told(job["database"], "two_view_geometries"):
        pycolmap.match_image_pairs(
            job["database"],
            matching_options=matching,
            pairing_options=pairing,
            verification_options=verification,
            device=pycolmap.Device.cpu,
        )


def mapping(job: dict[str, Any]) -> dict[str, Any]:
    """Place the cameras, and write each model that comes of it into a folder of its number.

    Args:
        job: `database`, `pictures`, `models` (the folder to write to, empty), `threads`, `seed`.

    Returns:
        The names of the pictures in each model, the largest first: `models`, a list of [folder, names].
    """
    pycolmap = import_pycolmap()
    pycolmap.set_random_seed(job["seed"])
    options = pycolmap.IncrementalPipelineOptions(num_threads=job["threads"], random_seed=job["seed"], min_model_size=3)
    placed = [0]

    def begun() -> None:
        placed[0] = 2
        say(done=2)

    def another() -> None:
        placed[0] += 1
        say(done=placed[0])

    found = pycolmap.incremental_mapping(
        job["database"],
        job["pictures"],
        job["models"],
        options=options,
        initial_image_pair_callback=begun,
        next_image_callback=another,
    )
    models = [
        (str(number), sorted(model.image(each).name for each in model.reg_image_ids()))
        for number, model in found.items()
    ]
    models.sort(key=lambda each: (-len(each[1]), each))
    return {"models": models}


STEPS: dict[str, Callable[[dict[str, Any]], Any]] = {"features": features, "matches": matches, "mapping": mapping}


def say(**what: Any) -> None:
    """A line of JSON for whoever waits."""
    print(json.dumps(what), flush=True)


@contextmanager
def _told(database: str, table: str) -> Iterator[None]:
    """While the body runs, say how many rows a table of the database has."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_EVERY):
            with suppress(sqlite3.Error):
                connection = sqlite3.connect(f"{Path(database).absolute().as_uri()}?mode=ro", uri=True)
                try:
                    say(done=connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
                finally:
                    connection.close()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _end_with_input() -> None:
    """End this process when nobody holds the other end of its standard input any more."""
    while sys.stdin.read(1):
        pass
    os._exit(1)


def main(_: Sequence[str] = ()) -> int:
    """Do the step that the first line of standard input tells."""
    # Ctrl-C reaches the whole group: whoever waits for this process says what there is to say.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        say(result=STEPS[job["step"]](job))
    except Exception as error:  # whatever it is, it is told to whoever waits
        say(error=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    # pycolmap's own threads need not be waited for.
    status = main()
    sys.stdout.flush()
    os._exit(status)
