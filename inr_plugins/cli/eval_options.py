"""What inr-eval can be told, and the checks that need nothing but the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from inr_plugins.cli.arguments import Groups
from inr_plugins.cli.runs import SeveralRuns
from inr_plugins.errors import InputError
from inr_plugins.files import shown, sweep, sweep_temporary, why_unreadable
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.options import COMMANDS, check_numbers, told


@dataclass(frozen=True, kw_only=True)
class EvalOptions(SeveralRuns):
    """Measure trained runs, of these methods or nerfstudio's own: images on held-out views (PSNR, SSIM, LPIPS,
    seconds), the surface against a true mesh or cloud, silhouettes. Several runs stand side by side."""

    GROUPS: ClassVar[Groups] = {
        "run": "load_config shape data device",
        "image": "split every views background silhouettes save_images",
        "surface": "truth mesh seen_only resolution thresholds samples seed iou",
        "output": "output overwrite",
    }

    split: Literal["test", "val", "train"] = "test"
    """Which views to render."""
    every: Annotated[int | None, told("N", "all views")] = None
    """Render the first view and every N-th after it."""
    views: Annotated[int | None, told("N", "all views")] = None
    """Render N views spread evenly over the split."""
    background: Annotated[
        Literal["white", "black", "model"] | None,
        told("{white,black,model}", "white under images with alpha, the model's own behind others"),
    ] = None
    """What truth and rendering are composited over."""
    truth: Annotated[str, told("FILE|auto|none", "auto")] = "auto"
    """True mesh or point cloud, in the dataset's frame; auto: a shape's own file, or that of a scene of inr-scene."""
    mesh: Annotated[Path | None, told("FILE", "the run's own, extracted as inr-mesh does")] = None
    """Judge this mesh or cloud instead; with --truth, no run is needed."""
    seen_only: bool = False
    """Leave out what no training camera of the run sees of the truth, and say how much that is."""
    shape: Annotated[str | None, told("NAME|NUMBER", "the only one; of several, the views of all")] = None
    """Of a run of several shapes, measure this one, by its name or number."""
    resolution: int = 256
    """Samples along the longest side of the box, for the run's own mesh."""
    thresholds: Annotated[tuple[float, ...], told("T [T ...]", "0.5 %, 1 % and 2 % of the truth's diagonal")] = ()
    """Distances of the F-scores, in units of the dataset."""
    samples: int = 300_000
    """Points drawn from each surface."""
    seed: int = 0
    """Seed of the drawing."""
    iou: bool = False
    """Measure the volumetric IoU even where a surface is not watertight; where both are it is measured anyway."""
    silhouettes: bool = False
    """Compare rendered silhouettes with the dataset's masks, or its alpha."""
    save_images: Annotated[Path | None, told("FOLDER", "none are kept")] = None
    """Keep pictures, truth beside rendering."""
    output: Annotated[Path | None, told("PATH", "eval.json in the run folder; of several runs, here")] = None
    """JSON record."""
    overwrite: bool = False
    """Replace an existing record and pictures."""
    data: Annotated[Path | None, told("PATH", "where the runs were trained from")] = None
    """Where the dataset is now."""
    device: Annotated[str | None, told("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate, such as cpu or cuda:0."""


def check_options(options: EvalOptions) -> None:
    """Refuse options that make no sense before anything is loaded.

    Raises:
        InputError: naming the option.
    """
    _check_subject(options)
    if options.every is not None and options.views is not None:
        raise InputError("Give --every or --views, not both.")
    check_numbers(options, COMMANDS["inr-eval"])
    for option, file in (("--mesh", options.mesh), ("--truth", truth_file(options))):
        problem = None if file is None else why_unreadable(file)
        if file is not None and problem is not None:
            raise InputError(f"{option} {shown(file)} {problem}; give a mesh or a point cloud.")
        if file is not None:
            from inr_plugins.geometry.io.surface_read import check_surface_file

            try:
                check_surface_file(file)
            except InputError as error:
                raise InputError(f"{option}: {error.marked}") from error


def _check_subject(options: EvalOptions) -> None:
    """Refuse runs, meshes, truths and shapes that do not go together."""
    runs = options.given()
    if not runs and options.mesh is None:
        raise InputError("Give a run folder of ns-train, or a --mesh and its --truth.")
    if options.mesh is not None and len(runs) > 1:
        raise InputError(f"--mesh {options.mesh} is one mesh: give one run with it, or none.")
    if not runs and options.truth in ("auto", "none"):
        raise InputError("--mesh without a run needs --truth, the file to judge it by.")
    if options.mesh is not None and options.truth == "none":
        raise InputError("--mesh needs a truth to be judged by: leave out --truth none, or give a file.")
    if options.seen_only and not runs:
        raise InputError("--seen-only needs a run, whose training cameras do the seeing: give one beside --mesh.")
    if options.seen_only and options.truth == "none":
        raise InputError("--seen-only is of the true surface: leave out --truth none, or --seen-only.")
    if options.shape is not None and not runs:
        raise InputError(f"--shape {options.shape} is of a run: give one with it, or leave it out.")


def truth_file(options: EvalOptions) -> Path | None:
    """The file that --truth names, or None for auto and none."""
    return None if options.truth in ("auto", "none") else Path(options.truth)


def check_outputs(output: Path, pictures: Path | None, *, overwrite: bool) -> None:
    """Refuse outputs that could not be written at the end.

    Raises:
        InputError: a wrong extension, a folder or a file in the way, a place that cannot be written, or something to
            overwrite without --overwrite.
    """
    sweep_temporary()
    if output.suffix.lower() != ".json":
        raise InputError(f"--output {output}: the extension must be .json.")
    if output.is_dir():
        raise InputError(f"--output {output} is a folder; name a file in it.")
    if output.exists() and not overwrite:
        raise InputError(f"{output} exists already; pass --overwrite or another --output.")
    if pictures is not None and pictures.exists():
        if not pictures.is_dir():
            raise InputError(f"--save-images {pictures} is a file; give a folder.")
        sweep(pictures)
        if any(pictures.iterdir()) and not overwrite:
            raise InputError(f"{pictures} is not empty; pass --overwrite or another --save-images.")
    check_place(output)
    if pictures is not None:
        # Into the folder, if there is one.
        check_place(pictures / "picture.png" if pictures.exists() else pictures)


def check_picture_places(pictures: Path | None, folders: Sequence[str]) -> None:
    """Refuse a folder for pictures in which something stands in the way of one of `folders`.

    Raises:
        InputError: naming it.
    """
    for name in folders:
        if pictures is not None and (pictures / name).exists() and not (pictures / name).is_dir():
            raise InputError(f"{pictures / name} is a file, where a run's pictures go: give another --save-images.")
