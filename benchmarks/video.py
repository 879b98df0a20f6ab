"""A video learnt by ns-train's methods, beside its raw size and H.264: bytes, seconds and PSNR.

.venv/bin/python benchmarks/video.py VIDEO [--output FOLDER] [--shrink 2] [--rows diner-video:300 finer-video:1500]
    [--report]

VIDEO is a video file or a folder of frames, of which --shrink averages so many pixels of each side to one. A row is
METHOD:STEPS or METHOD:STEPS:SETTING=VALUE,..., with settings of the pipeline such as model.key_width, or machine.seed;
it is trained with ns-train's own trainer, and its seconds are those of the training with its checkpoint, without
starting and without evaluation. What has been measured is kept in FOLDER, so that a benchmark that was stopped goes on;
--report only prints the tables.

PSNR is over all channels of all pixels of all frames: of the learnt values, clamped to [0, 1], and of H.264's decoded
RGB. H.264 is x264 (veryslow), of Y'CbCr with colours as fine as the brightness and with half of them, and of RGB.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import zlib
from ast import literal_eval
from pathlib import Path
from typing import Any

import numpy as np
import torch
from one_run import train_once
from PIL import Image

from inr_plugins.data.signals.video import read_video
from inr_plugins.files import write_json

ROWS = ["diner-video:300", "finer-video:1500"]
H264 = [("libx264", "yuv444p"), ("libx264", "yuv420p"), ("libx264rgb", "rgb24")]
QUALITIES = (*range(0, 20, 2), *range(20, 48, 4))


def psnr(found: np.ndarray, truth: np.ndarray) -> float:
    """dB over all channels, of values in [0, 255]."""
    error = float(np.mean((found.astype(np.float64) - truth) ** 2)) / 255**2
    return 100.0 if error == 0 else -10 * float(np.log10(error))


def encoded(truth: np.ndarray, codec: str, pix_fmt: str, quality: int | None) -> bytes:
    """A Matroska file of a video."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *truth.shape[1:3], pix_fmt
        if quality is not None:
            stream.options = {"crf": str(quality), "preset": "veryslow"}
        for picture in truth:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """Its frames, RGB."""
    import av

    with av.open(io.BytesIO(data)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def files_of(truth: np.ndarray) -> list[dict[str, Any]]:
    """Sizes and PSNR of video files."""
    found = [{"name": "raw, 8 bits", "bytes": truth.nbytes, "psnr": 100.0}]
    found.append({"name": "FFV1, lossless", "bytes": len(encoded(truth, "ffv1", "bgr0", None)), "psnr": 100.0})
    for codec, pix_fmt in H264:
        for quality in QUALITIES:
            data = encoded(truth, codec, pix_fmt, quality)
            name = f"H.264 {pix_fmt} crf {quality}"
            found.append({"name": name, "bytes": len(data), "psnr": psnr(decoded(data), truth)})
    return found


def values_of(field: Any) -> np.ndarray:
    """All values of a field, in [0, 255]."""
    places = torch.arange(field.grid.count).split(1 << 16)
    with torch.no_grad():
        found = torch.cat([field.at(field.grid.indices(each).double()) for each in places])
    return (found.clamp(0, 1) * 255).numpy()


def in_eight_bits(field: Any) -> tuple[Any, int]:
    """The field with keys of eight bits a number, evenly from the least to the largest, and a network of 16-bit floats.

    Returns:
        The field, and the bytes of both, of the keys as DEFLATE packs them.
    """
    made = copy.deepcopy(field)
    packed = 0
    with torch.no_grad():
        if hasattr(made, "table"):
            keys = made.table.keys
            low, high = keys.amin(0), keys.amax(0)
            whole = ((keys - low) / (high - low) * 255).round()
            packed = len(zlib.compress(whole.byte().numpy().tobytes(), 9))
            keys.copy_(whole / 255 * (high - low) + low)
        for weight in made.network.parameters():
            weight.copy_(weight.half().float())
            packed += 2 * weight.numel()
    return made, packed


def measure(row: str, frames: Path, truth: np.ndarray, folder: Path) -> dict[str, Any]:
    """Train one row; what came of it."""
    import inr_plugins.method_configs.images as presets

    method, steps, *settings = row.split(":")
    config: Any = copy.deepcopy(getattr(presets, method.replace("-", "_")).config)
    for name, _, value in (each.partition("=") for part in settings for each in part.split(",")):
        *path, last = name.split(".")
        at = config if path[:1] == ["machine"] else config.pipeline
        for part in path:
            at = getattr(at, part)
        if not hasattr(at, last):
            raise SystemExit(f"{method} has no setting {name}")
        setattr(at, last, literal_eval(value) if value[0].isdigit() else value)
    run = train_once(config, frames, folder / "runs", row.replace(":", "-"), int(steps))
    field = run.pipeline.model.field.cpu()
    found = values_of(field).reshape(truth.shape)
    small, packed = in_eight_bits(field)
    frames_psnr = [psnr(each, own) for each, own in zip(found, truth, strict=True)]
    keys = field.table.keys.numel() if hasattr(field, "table") else 0
    return {
        "row": row,
        "seconds": run.seconds,
        "cpu": run.cpu,
        "threads": torch.get_num_threads(),
        "psnr": psnr(found, truth),
        "psnr_whole": psnr(np.rint(found), truth),
        "frames": [min(frames_psnr), max(frames_psnr)],
        "keys": keys,
        "weights": sum(each.numel() for each in field.network.parameters()),
        "bytes": 4 * sum(each.numel() for each in field.parameters()),
        "packed": packed,
        "psnr_packed": psnr(values_of(small).reshape(truth.shape), truth),
    }


def best(files: list[dict[str, Any]], most: int) -> dict[str, Any] | None:
    """The H.264 file with the highest PSNR among those of at most so many bytes, and the smallest of equal ones."""
    fitting = [each for each in files if each["name"].startswith("H.264") and each["bytes"] <= most]
    return max(fitting, key=lambda each: (each["psnr"], -each["bytes"])) if fitting else None


def report(records: list[dict[str, Any]], files: list[dict[str, Any]]) -> None:
    """Tables in Markdown."""

    def told(file: dict[str, Any] | None) -> str:
        if file is None:
            return "none so small"
        name = file["name"].removeprefix("H.264 ")
        reached = "lossless" if file["psnr"] == 100 else f"{file['psnr']:.2f} dB"
        return f"{reached} ({file['bytes']:,} bytes, {name})"

    print("| | seconds (CPU) | PSNR (in 8 bits) | frames | bytes, float32 | H.264 of at most as many | packed | PSNR |")
    print("|---|---|---|---|---|---|---|---|")
    for each in records:
        low, high = each["frames"]
        print(
            f"| {each['row']} | {each['seconds']:.0f} ({each['cpu']:.0f}), {each['threads']} threads "
            f"| {each['psnr']:.2f} ({each['psnr_whole']:.2f}) | {low:.1f} to {high:.1f} | {each['bytes']:,} "
            f"| {told(best(files, each['bytes']))} | {each['packed']:,}: {told(best(files, each['packed']))} "
            f"| {each['psnr_packed']:.2f} |"
        )
    print("\n| file | bytes | PSNR |\n|---|---|---|")
    for each in files:
        print(f"| {each['name']} | {each['bytes']:,} | {each['psnr']:.2f} |")


def main() -> None:
    """Measure what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--output", type=Path, default=Path("outputs/video"))
    parser.add_argument("--shrink", type=int, default=2)
    parser.add_argument("--rows", nargs="+", default=ROWS)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    frames = options.output / f"frames-{options.shrink}"
    if not frames.exists():
        frames.mkdir(parents=True)
        for number, picture in enumerate(read_video(options.video).pixels):
            Image.fromarray(picture).reduce(options.shrink).save(frames / f"frame_{number:04}.png")
    truth = read_video(frames).pixels
    place = options.output / "records.json"
    kept = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {"rows": [], "files": []}
    if not kept["files"]:
        kept["files"] = files_of(truth)
        write_json(place, kept)
    for row in [] if options.report else options.rows:
        if row not in [each["row"] for each in kept["rows"]]:
            kept["rows"].append(measure(row, frames, truth, options.output))
            write_json(place, kept)
    report(kept["rows"], kept["files"])


if __name__ == "__main__":
    main()
