"""Rate and distortion of .inr files beside JPEG and JPEG2000, at equal size of the file.

.venv/bin/python benchmarks/compression.py IMAGES [--output FOLDER] [--crop 128] [--steps 2000] [--networks ...]
    [--losses 0.1 0.3 1] [--again] [--report]

Each image of the folder IMAGES is cut down to its middle, and learnt by each network as ns-train has it; each run is
then compressed for each loss, and what is counted is the length of the file and the PSNR of what is decoded from it.
JPEG (all qualities, with and without coarser colours, progressive or not, optimised codes) and JPEG2000 (a codestream
without a box) have, for each .inr file, the best PSNR that a file of at most as many bytes has. What has been measured
is kept in FOLDER, with the runs, so that a benchmark that was stopped goes on; --again compresses them anew, --report
only prints the table.

A network is called METHOD:LAYERSxWIDTH or METHOD:LAYERSxWIDTH:NORMALIZATION.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from one_run import train_once
from PIL import Image

NETWORKS = ["cn-image:3x12:batch", "cn-image:5x20:batch", "cn-image:5x20:cross", "finer-image:3x20"]


def psnr(found: np.ndarray, truth: np.ndarray) -> float:
    """dB over all channels of 8-bit images."""
    error = np.mean((found.astype(float) - truth) ** 2) / 255**2
    return 100.0 if error == 0 else float(-10 * np.log10(error))


def best_of(truth: np.ndarray, most: int, files: list[tuple[int, float]]) -> float | None:
    """The best PSNR of files with at most so many bytes; None where even the smallest has more."""
    fitting = [each for size, each in files if size <= most]
    return max(fitting) if fitting else None


def files_of(truth: np.ndarray, save: Callable[[Image.Image, io.BytesIO], None]) -> tuple[int, float]:
    """Size and PSNR of a file."""
    buffer = io.BytesIO()
    save(Image.fromarray(truth), buffer)
    with Image.open(buffer) as image:
        return buffer.getbuffer().nbytes, psnr(np.asarray(image.convert("RGB")), truth)


def jpegs(truth: np.ndarray) -> Iterator[tuple[int, float]]:
    """JPEG at all qualities."""
    for quality in range(1, 96):
        for subsampling in (0, 2):
            for progressive in (False, True):
                options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
                yield files_of(truth, lambda image, to, o=options: image.save(to, "JPEG", optimize=True, **o))


def jpeg2000s(truth: np.ndarray) -> Iterator[tuple[int, float]]:
    """JPEG2000 at many rates."""
    for rate in np.geomspace(4, 400, 60):
        options = {
            "quality_mode": "rates",
            "quality_layers": [float(rate)],
            "irreversible": True,
            "no_jp2": True,
            "mct": 1,
        }
        yield files_of(truth, lambda image, to, o=options: image.save(to, "JPEG2000", **o))


def train(image: Path, network: str, folder: Path, steps: int) -> tuple[Any, float]:
    """A run of `network`, and its CPU seconds; one that is there already is opened."""
    import inr_plugins.method_configs.images as presets

    from inr_plugins.engine.runs.run import load_run

    name = f"{image.stem}-{network.replace(':', '-')}"
    for place in sorted((folder / "runs" / name).glob(f"*/*/cpu-{steps}.json")):
        return load_run(place.parent, device="cpu").pipeline, json.loads(place.read_text(encoding="utf-8"))
    method, shape, *normalization = network.split(":")
    layers, width = map(int, shape.split("x"))
    config = copy.deepcopy(getattr(presets, method.replace("-", "_")).config)
    model = config.pipeline.model
    model.hidden_layers, model.width = layers, width
    if normalization:
        (model.normalization,) = normalization
    run = train_once(config, image, folder / "runs", name, steps)
    (run.folder / f"cpu-{steps}.json").write_text(json.dumps(run.cpu), encoding="utf-8")
    return run.pipeline, run.cpu


def measure(image: Path, network: str, losses: list[float], folder: Path, steps: int) -> list[dict[str, Any]]:
    """Records of one run, one for each loss."""
    from inr_plugins.codecs.image import read_image_code
    from inr_plugins.models.signals.compression import compress

    pipeline, seconds = train(image, network, folder, steps)
    truth = pipeline.datamanager.image.pixels
    weights = sum(each.numel() for each in pipeline.model.field.parameters())
    found = []
    for loss in losses:
        made = compress(pipeline.model, truth, loss=loss)
        decoded = read_image_code(made.file, "the file").pixels()
        found.append(
            {
                "image": image.stem,
                "network": network,
                "steps": steps,
                "loss": loss,
                "weights": weights,
                "bytes": len(made.file),
                "bpp": 8 * len(made.file) / truth[..., 0].size,
                "psnr": psnr(decoded, truth),
                "fit_psnr": made.fit_psnr,
                "cpu_seconds": seconds,
            }
        )
    return found


def report(records: list[dict[str, Any]], crops: Path) -> None:
    """Means over the images, as a table in Markdown."""
    names = sorted({each["image"] for each in records})
    truths = {name: np.asarray(Image.open(crops / f"{name}.png").convert("RGB")) for name in names}
    others = {name: (list(jpegs(truth)), list(jpeg2000s(truth))) for name, truth in truths.items()}
    print(f"{len(names)} images: {', '.join(names)}")
    print("| network | steps | dB lost at most | weights | bytes | bits a pixel | PSNR | JPEG | JPEG2000 | ahead of |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    keys = sorted({(each["network"], each["steps"], each["loss"]) for each in records})
    for key in keys:
        rows = [each for each in records if (each["network"], each["steps"], each["loss"]) == key]
        beside = [[best_of(truths[r["image"]], r["bytes"], files) for files in others[r["image"]]] for r in rows]
        means = [
            "none so small" if any(each is None for each in column) else f"{statistics.mean(column):.2f}"
            for column in zip(*beside, strict=True)
        ]
        wins = [
            sum(own is None or row["psnr"] > own for row, own in zip(rows, column, strict=True))
            for column in zip(*beside, strict=True)
        ]
        average = {name: statistics.mean(each[name] for each in rows) for name in ("weights", "bytes", "bpp", "psnr")}
        print(
            f"| {key[0]} | {key[1]} | {key[2]:g} | {average['weights']:,.0f} | {average['bytes']:,.0f} | "
            f"{average['bpp']:.3f} | {average['psnr']:.2f} | {means[0]} | {means[1]} | "
            f"JPEG in {wins[0]}, JPEG2000 in {wins[1]} of {len(rows)} |"
        )
    cpu = statistics.mean(each["cpu_seconds"] for each in records)
    print(f"A training took {cpu:.0f} s of a processor on average.")


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--output", type=Path, default=Path("outputs/compression"))
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--losses", type=float, nargs="+", default=[0.1, 0.3, 1.0])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no training after so many")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    begin = time.monotonic()
    crops = options.output / f"crops-{options.crop}"
    crops.mkdir(parents=True, exist_ok=True)
    place = options.output / f"records-{options.crop}.json"
    records = json.loads(place.read_text(encoding="utf-8")) if place.exists() else []
    if options.again:
        records = []
    done = {(each["image"], each["network"], each["steps"]) for each in records}
    files = sorted(each for each in options.images.iterdir() if each.suffix.lower() in (".png", ".jpg", ".tif"))
    for network in [] if options.report else options.networks:
        for file in files:
            if (file.stem, network, options.steps) in done or time.monotonic() - begin > options.seconds:
                continue
            with Image.open(file) as image:
                left, top = (image.width - options.crop) // 2, (image.height - options.crop) // 2
                box = (left, top, left + options.crop, top + options.crop)
                image.convert("RGB").crop(box).save(crops / f"{file.stem}.png")
            records += measure(crops / f"{file.stem}.png", network, options.losses, options.output, options.steps)
            partial = place.with_suffix(".partial")
            partial.write_text(json.dumps(records, indent=1), encoding="utf-8")
            partial.replace(place)
    report(records, crops)


if __name__ == "__main__":
    main()
