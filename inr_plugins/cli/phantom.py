"""inr-phantom: made data whose truth is known, of any size."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.compress import check_new_file
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.result import print_places
from inr_plugins.errors import InputError
from inr_plugins.files import replacing_all, replacing_folder
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.options import COMMANDS, check_numbers, told
from inr_plugins.progress import progress

if TYPE_CHECKING:
    import numpy as np

    from inr_plugins.scenes.moving_discs import MovingDiscs

Kind = Literal["planet", "video", "cell", "heads", "mixes"]
_TIFF = (".tif", ".tiff")
_ENDINGS = {"planet": _TIFF, "video": (".mkv",), "cell": (".npy",), "mixes": _TIFF}
"""Of files; heads are a folder."""
_METHODS = {
    **{"planet": "diner-image", "video": "diner-video", "cell": "diner-tomography", "heads": "nid-images"},
    "mixes": "diner-image",
}
_PLANET, _VIDEO, _FRAMES, _CELL, _HEADS, _HEAD = 2048, 320, 40, 96, 1000, 64
_MIXED, _COLOURS, _MIXES = 256, 2, 4
_RATE = 25.0
_LARGEST_CELL = 512
_LARGEST_HEAD = 4096
_HEAD_FILES = "head_*.png"


@dataclass(frozen=True, kw_only=True)
class PhantomOptions(CommonOptions):
    """Make data to learn from, whose truth is known.

    planet: a picture of a planet as a tiled TIFF, of any size, larger ones with more detail.
    video: three discs that move before a picture that stands still, as an .mkv without loss; beside it, the background
    (OUT_background.png) and where the discs are (OUT_mask.mkv: white).
    cell: the refractive index of a cell in water, as an .npy of slices; beside it, the microscope (OUT.json).
    heads: slices through heads, each another, as a folder of PNG of 16 bits: Shepp and Logan's ellipses with all their
    numbers changed at random. Another seed has others of the same kind.
    mixes: an image of many channels and of known rank, as a TIFF of 16 bits: red and green (or --colours 3) of
    --picture, and random mixes of them.

    Example: inr-phantom planet planet.tif --size 8192
    """

    GROUPS: ClassVar[Groups] = {"picture": "size frames count picture colours mixes seed", "output": "overwrite"}

    kind: Annotated[tyro.conf.Positional[Kind], tyro.conf.arg(metavar="KIND")]
    """What: planet, video, cell, heads or mixes."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """File to write: .tif of a planet or of mixes, .mkv of a video, .npy of a cell; folder of heads."""
    size: Annotated[int | None, told("PIXELS", "2048 of a planet, 320 of a video, 96 of a cell, 64 of a head")] = None
    """Pixels of a side of a planet or of a slice of a cell or a head, or of the width of a video, which is 4:3; of the
    longer side of mixes, to which a picture is brought by area averages."""
    frames: Annotated[int | None, told("COUNT", "40")] = None
    """Frames of a video."""
    count: Annotated[int | None, told("COUNT", "1000")] = None
    """How many heads."""
    picture: Annotated[Path | None, told("PATH", "a planet of 256 pixels a side")] = None
    """RGB picture that is mixed."""
    colours: Annotated[int | None, told("2|3", "2")] = None
    """Of the picture, the colours that are taken and mixed: red and green, or all; the rank."""
    mixes: Annotated[int | None, told("COUNT", "4")] = None
    """Channels behind the colours, each a mean of them by random weights."""
    seed: int = 0
    """Of what it looks like."""
    overwrite: bool = False
    """Replace existing files."""


def make(options: PhantomOptions, *, outputs: OutputFiles) -> None:
    """Make what the command line asks for.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    check_numbers(options, COMMANDS["inr-phantom"])
    _check(options)
    files = _files(options)
    for file in files:
        if options.kind == "heads":
            _check_new_folder(file, overwrite=options.overwrite)
        else:
            check_new_file(file, overwrite=options.overwrite)
    begin = time.perf_counter()
    outputs.expect(files)
    makers = {
        **{"planet": _make_planet, "video": _make_video, "cell": _make_cell, "heads": _make_heads},
        "mixes": _make_mixes,
    }
    lines = makers[options.kind](options)
    if options.quiet:
        print_places(*files)
        return
    for name, text in [*lines, ("seconds", f"{time.perf_counter() - begin:.1f}")]:
        print(f"{name:>10}  {text}")
    rank = f" --pipeline.model.key-width {options.colours or _COLOURS}"
    whole = {"heads": " --pipeline.model.patch 0", "mixes": rank}.get(options.kind, "")
    print(f"{'next':>10}  ns-train {_METHODS[options.kind]} --data {shlex.quote(str(options.output))}{whole}")


def _check(options: PhantomOptions) -> None:
    """Raise InputError for the first option that is not for what is made, or out of reason."""
    output, kind = options.output, options.kind
    endings = _ENDINGS.get(kind, ())
    if endings and output.suffix.lower() not in endings:
        raise InputError(f"{output} does not end in {endings[0]}: give a name that does.")
    if kind == "heads" and output.suffix:
        raise InputError(f"{output} looks like a file, and heads are a folder of them: give a name without an ending.")
    if kind != "video" and options.frames is not None:
        what = {"cell": "a cell has slices by its size", "heads": "a head is a picture", "mixes": "mixes are a picture"}
        raise InputError(f"--frames is for videos, and {what.get(kind, 'a planet is a picture')}: leave it out.")
    if kind != "heads" and options.count is not None:
        raise InputError(f"--count is for heads, and this is of {kind}: leave it out.")
    for name in ("picture", "colours", "mixes"):
        if kind != "mixes" and getattr(options, name) is not None:
            raise InputError(f"--{name} is for mixes, and this is of {kind}: leave it out.")
    for name, usual, most in (("cell", _CELL, _LARGEST_CELL), ("heads", _HEAD, _LARGEST_HEAD)):
        if kind == name and not 8 <= (options.size or usual) <= most:
            of = "a cell" if name == "cell" else "heads"
            raise InputError(f"--size {options.size} of {of} is out of reason: give 8 to {most}.")


def _check_new_folder(path: Path, *, overwrite: bool) -> None:
    if not path.exists():
        check_place(path)
    elif not path.is_dir():
        raise InputError(f"{path} is a file, and heads are a folder of them: give another name.")
    elif any(path.iterdir()) and not overwrite:
        raise InputError(f"{path} has files in it: give another name, or --overwrite.")
    elif any(not each.match(_HEAD_FILES) for each in path.iterdir()):
        raise InputError(f"{path} has other files than heads in it, which would be lost: give another name.")


def _files(options: PhantomOptions) -> list[Path]:
    """All that is written."""
    output = options.output
    if options.kind == "video":
        return video_files(output)
    return [output, output.with_suffix(".json")] if options.kind == "cell" else [output]


def video_files(output: Path) -> list[Path]:
    """The files of a made video: itself, its background, where its foreground is."""
    return [output, output.with_name(f"{output.stem}_background.png"), output.with_name(f"{output.stem}_mask.mkv")]


def _make_planet(options: PhantomOptions) -> list[tuple[str, str]]:
    from inr_plugins.scenes.planet import write_planet

    output, size = options.output, options.size or _PLANET
    with progress(quiet=options.quiet) as bar:
        write_planet(output, size, seed=options.seed, on_tile=lambda done, total: bar("Drawing tiles", done, total))
    return [("image", f"{output}, {size} x {size} pixels, {output.stat().st_size / 1e6:.1f} MB")]


def _make_video(options: PhantomOptions) -> list[tuple[str, str]]:
    from inr_plugins.scenes.moving_discs import MovingDiscs

    width, files = options.size or _VIDEO, video_files(options.output)
    discs = MovingDiscs(width, max(1, round(width * 3 / 4)), options.frames or _FRAMES, seed=options.seed)
    with progress(quiet=options.quiet) as bar:
        _write_discs(discs, files, on_frame=lambda done: bar("Drawing frames", done, 2 * discs.frames))
    return [
        ("video", f"{files[0]}, {discs.frames} frames of {discs.width} x {discs.height} pixels"),
        ("background", str(files[1])),
        ("foreground", f"{files[2]}, white where it is"),
    ]


def _make_cell(options: PhantomOptions) -> list[tuple[str, str]]:
    import numpy as np

    from inr_plugins.scenes.cell import MEDIUM, PITCH_UM, SLICE_UM, Cell

    output, cell = options.output, Cell(options.size or _CELL, seed=options.seed)
    told = {
        "values": "refractive index",
        "axes": "slices rows columns",
        "wavelength_nm": 515,
        "na": 0.65,
        "medium_index": MEDIUM,
        "pitch_um": PITCH_UM,
        "slice_um": SLICE_UM,
    }
    with replacing_all(_files(options)) as (volume, beside):
        with volume.open("wb") as file:
            np.save(file, cell.index(), allow_pickle=False)
        beside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    size = f"{cell.size} x {cell.size} x {cell.slices} voxels"
    return [("volume", f"{output}, {size}"), ("microscope", str(_files(options)[1]))]


def _make_heads(options: PhantomOptions) -> list[tuple[str, str]]:
    import numpy as np
    from PIL import Image

    from inr_plugins.scenes.head_slices import HeadSlices

    heads = HeadSlices(options.size or _HEAD, options.count or _HEADS, seed=options.seed)
    digits = len(str(heads.count - 1))
    with progress(quiet=options.quiet) as bar, replacing_folder(options.output, over=options.overwrite) as folder:
        for number, values in enumerate(heads.all()):
            pixels = (values * 65_535).round().astype(np.uint16)
            Image.fromarray(pixels).save(folder / f"head_{number:0{digits}}.png")
            bar("Drawing heads", number + 1, heads.count)
    return [("heads", f"{options.output}, {heads.count} of {heads.size} x {heads.size} pixels, 16-bit grey")]


def _make_mixes(options: PhantomOptions) -> list[tuple[str, str]]:
    import numpy as np

    from inr_plugins.data.signals.image_output import write_image
    from inr_plugins.scenes.mixed_channels import MixedChannels

    colours, count = options.colours or _COLOURS, _MIXES if options.mixes is None else options.mixes
    mixed = MixedChannels(colours, count, seed=options.seed)
    pixels = np.rint(mixed.of(_picture(options)) * 65_535).astype(np.uint16)
    write_image(options.output, pixels, has_bands=True)
    height, width, channels = pixels.shape
    lines = [("image", f"{options.output}, {width} x {height} pixels, {channels} channels, 16 bits, rank {colours}")]
    for number, weights in enumerate(mixed.weights, colours + 1):
        words = " + ".join(f"{weight:.4f} {name}" for weight, name in zip(weights, ("R", "G", "B"), strict=False))
        lines.append((f"channel {number}", words))
    return lines


def _picture(options: PhantomOptions) -> np.ndarray:
    """What is mixed, (height, width, 3) in [0, 1]."""
    import numpy as np
    from PIL import Image

    from inr_plugins.data.signals.image_file import read_image
    from inr_plugins.scenes.planet import octaves_of, planet

    if options.picture is None:
        size = options.size or _MIXED
        along = ((2 * np.arange(size) + 1 - size) / size).astype(np.float32)
        return planet(*np.meshgrid(along, along), octaves=octaves_of(size), seed=options.seed) / 255.0
    try:
        read = read_image(options.picture)
    except InputError as error:
        # The file has another option before it here.
        raise InputError(error.marked.replace("--data", "--picture")) from error
    if read.kind.channels != len("RGB"):
        raise InputError(f"--picture {options.picture} has {read.kind.description()}: give one of RGB alone.")
    values, longer = read.values(), max(read.kind.width, read.kind.height)
    size = options.size or longer
    if size > longer:
        raise InputError(f"--size {size} is more than --picture {options.picture} has, {longer}: give that or less.")
    sides = (max(1, round(read.kind.width * size / longer)), max(1, round(read.kind.height * size / longer)))
    planes = [Image.fromarray(np.ascontiguousarray(values[..., each])) for each in range(len("RGB"))]
    return np.stack([np.asarray(each.resize(sides, Image.Resampling.BOX)) for each in planes], -1).clip(0, 1)


def _write_discs(discs: MovingDiscs, files: list[Path], *, on_frame: Callable[[int], None]) -> None:
    """Write a video, its background and its mask, all of them or none."""
    import numpy as np
    from PIL import Image

    from inr_plugins.data.signals.video_output import encode_video

    def pictures(which: int) -> Iterator[np.ndarray]:
        for frame in range(discs.frames):
            picture, mask = discs.picture(frame)
            yield (picture, mask[..., None].astype(np.uint8) * np.uint8(255))[which]
            on_frame(which * discs.frames + frame + 1)

    with replacing_all(files) as (video, background, mask):
        encode_video(video, pictures(0), rate=_RATE, is_lossless=True)
        Image.fromarray(discs.background).save(background, format="PNG")
        encode_video(mask, pictures(1), rate=_RATE, is_lossless=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(PhantomOptions, prog="inr-phantom", args=arguments), OutputFiles()
    return run_command(
        "inr-phantom",
        lambda: make(options, outputs=outputs),
        when_stopped=lambda: f"{outputs.in_words()}.",
        written=lambda: outputs.in_words() if outputs.written() else "",
        with_less_memory="give a lower --size",
    )


def entrypoint() -> None:
    """The inr-phantom command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
