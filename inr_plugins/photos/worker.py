"""The process that pycolmap works in: one step of finding poses, told by a line of JSON on standard input.

In a process of its own, since pycolmap ends the process that it is in where something is wrong with a file, and
prints as it goes. It answers in lines of JSON: {"done": how many} where it counts, then {"result": ...} or
{"error": a sentence}. It ends when its standard input does, so that nobody who was killed leaves it behind.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inr_plugins.photos.one_lens import focal_ratios
from inr_plugins.photos.pycolmap_import import import_pycolmap

_MANY, _ASIDE, _WORSE = 40, 0.05, 1.01
"""Photos of a lens from which on its middle is refined; how far from the picture's that may be, in its longer sides;
and how much larger the error may have become, of rounding."""


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
        job: `database`, `pictures`, `models` (the folder to write to, empty), `seed`.

    Returns:
        The names of the pictures in each model, the largest first: `models`, a list of [folder, names]; and of the
        largest the `focal_ratios`.
    """
    pycolmap = import_pycolmap()
    pycolmap.set_random_seed(job["seed"])
    # On one thread: sums of several differ in their last digits, and each camera rests on those before it.
    options = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=job["seed"], min_model_size=3)
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
    ratios = dict[str, float]()
    if models:
        largest = models[0][0]
        refine_centres(found[int(largest)])
        found[int(largest)].write(str(Path(job["models"]) / largest))
        ratios = focal_ratios(found[int(largest)])
    return {"models": models, "focal_ratios": ratios}


def refine_centres(model: Any) -> None:
    """Refine where lenses have their middle, with all else, where many photos of one lens are placed.

    COLMAP leaves it in the middle of the picture: of few photos it cannot be told from a turn of the camera. In phones
    it is a hundredth of the picture beside that, which turns all cameras by half a degree. What comes out far from the
    middle is not believed.

    Args:
        model: a Reconstruction; changed.
    """
    pycolmap = import_pycolmap()
    counts = Counter(model.image(each).camera_id for each in model.reg_image_ids())
    many = {number for number, count in counts.items() if count >= _MANY}
    if not many:
        return
    refined = pycolmap.Reconstruction(model)
    config = pycolmap.BundleAdjustmentConfig()
    for each in refined.reg_image_ids():
        config.add_image(each)
    for number in counts.keys() - many:
        config.set_constant_cam_intrinsics(number)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    options = pycolmap.BundleAdjustmentOptions(refine_principal_point=True, print_summary=False)
    options.ceres.solver_options.num_threads = 1
    summary = pycolmap.create_default_bundle_adjuster(options, config, refined).solve()
    refined.update_point_3d_errors()
    if not summary.is_solution_usable():
        return
    if refined.compute_mean_reprojection_error() > _WORSE * model.compute_mean_reprojection_error():
        return
    for number in many:
        lens = refined.camera(number)
        aside = abs(lens.principal_point_x - lens.width / 2), abs(lens.principal_point_y - lens.height / 2)
        if max(aside) > _ASIDE * max(lens.width, lens.height):
            return
    for number in counts:
        model.camera(number).params = refined.camera(number).params
    for each in model.reg_frame_ids():
        model.frame(each).rig_from_world = refined.frame(each).rig_from_world
    for number, point in refined.points3D.items():
        model.point3D(number).xyz = point.xyz
    model.update_point_3d_errors()


STEPS: dict[str, Callable[[dict[str, Any]], Any]] = {"features": features, "matches": matches, "mapping": mapping}


def say(**what: Any) -> None:
    """A line of JSON for whoever waits."""
    print(json.dumps(what), flush=True)


def _end_with_input() -> None:
    """End this process when nobody holds the other end of its standard input any more."""
    while sys.stdin.read(1):
        pass
    os._exit(1)


def main(_: Sequence[str] = ()) -> int:
    """Do the step that the first line of standard input tells."""
    # Ctrl-C reaches the whole group: whoever waits for this process says what there is to say.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
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
