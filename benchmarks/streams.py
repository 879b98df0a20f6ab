"""Bytes and PSNR of the stages of finer-stream, beside JPEG and JPEG2000 and beside networks that are learnt at once.

.venv/bin/python benchmarks/streams.py IMAGE [--output FOLDER] [--crop 128] [--widths 16 32 48 64] [--hidden-layers 3]
    [--stage-steps 500] [--loss 0.3]

IMAGE is cut down to its middle and learnt by finer-stream; its file is cut off behind each stage, and what counts is
the length of what is left and the PSNR of what that decodes to. Beside each stage stand:

- the best PSNR of a JPEG and of a JPEG2000 of at most as many bytes, each written for that size (see compression.py);
- what a progressive JPEG of at most as many bytes as the whole file has, cut off at the stage's bytes;
- finer-image of the stage's width, learnt alone for as many steps as the stream had had by then, and compressed with
  the same loss.
"""

from __future__ import annotations

import argparse
import copy
import io
from pathlib import Path

import numpy as np
from compression import best_of, jpeg2000s, jpegs, psnr
from one_run import train_once
from PIL import Image, ImageFile


def cut_jpeg(truth: np.ndarray, whole: int, sizes: list[int]) -> list[float | None]:
    """PSNR of the best progressive JPEG of at most `whole` bytes, cut off at each size; None where nothing decodes."""
    files = []
    for quality in range(1, 96):
        for subsampling in (0, 2):
            buffer = io.BytesIO()
            Image.fromarray(truth).save(
                buffer, "JPEG", quality=quality, subsampling=subsampling, progressive=True, optimize=True
            )
            if buffer.getbuffer().nbytes <= whole:
                files.append((psnr(np.asarray(Image.open(buffer).convert("RGB")), truth), buffer.getvalue()))
    if not files:
        return [None] * len(sizes)
    data = max(files)[1]
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    found: list[float | None] = []
    for size in sizes:
        try:
            found.append(psnr(np.asarray(Image.open(io.BytesIO(data[:size])).convert("RGB")), truth))
        except OSError:
            found.append(None)
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return found


def cell(value: float | None) -> str:
    """A PSNR in a table."""
    return "none" if value is None else f"{value:.2f}"


def main() -> None:
    """Train, compress, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--output", type=Path, default=Path("outputs/streams"))
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 48, 64])
    parser.add_argument("--hidden-layers", type=int, default=3)
    parser.add_argument("--stage-steps", type=int, default=500)
    parser.add_argument("--loss", type=float, default=0.3)
    options = parser.parse_args()
    from inr_plugins.method_configs.images import finer_image
    from inr_plugins.method_configs.streams import finer_stream

    from inr_plugins.codecs.files import read_image_file
    from inr_plugins.models.signals.compression import compress
    from inr_plugins.models.signals.stream_compression import compress_stream

    options.output.mkdir(parents=True, exist_ok=True)
    crop = options.output / f"{options.image.stem}-{options.crop}.png"
    with Image.open(options.image) as image:
        left, top = (image.width - options.crop) // 2, (image.height - options.crop) // 2
        image.convert("RGB").crop((left, top, left + options.crop, top + options.crop)).save(crop)
    truth = np.asarray(Image.open(crop))
    config = copy.deepcopy(finer_stream.config)
    model, count = config.pipeline.model, len(options.widths)
    model.widths, model.hidden_layers = tuple(options.widths), options.hidden_layers
    run = train_once(config, crop, options.output / "runs", "stream", count * options.stage_steps)
    seconds = run.cpu
    stream = compress_stream(run.pipeline.model, truth, loss=options.loss)
    sizes = [each.size for each in stream.stages]
    staged = [psnr(read_image_file(stream.file[:size], "the file").code.pixels(), truth) for size in sizes]
    alone = []
    for stage, width in enumerate(options.widths, 1):
        config = copy.deepcopy(finer_image.config)
        model = config.pipeline.model
        model.width, model.hidden_layers = width, options.hidden_layers
        own = train_once(config, crop, options.output / "runs", f"alone-{width}", stage * options.stage_steps)
        made = compress(own.pipeline.model, truth, loss=options.loss)
        alone.append((made.fit_psnr, len(made.file), made.psnr, own.cpu))
    others, cut = (list(jpegs(truth)), list(jpeg2000s(truth))), cut_jpeg(truth, sizes[-1], sizes)
    print("| stage | width | trained | bytes | PSNR | JPEG | JPEG2000 | progressive JPEG, cut | ", end="")
    print("alone, trained | bytes | PSNR |")
    print("|---" * 11 + "|")
    rows = zip(stream.stages, staged, cut, alone, strict=True)
    for stage, (each, own, progressive, (fit, size, decoded, _)) in enumerate(rows, 1):
        beside = [cell(best_of(truth, each.size, files)) for files in others]
        print(
            f"| {stage} | {each.width} | {each.fit_psnr:.2f} | {each.size:,} | {own:.2f} | {' | '.join(beside)} | "
            f"{cell(progressive)} | {fit:.2f} | {size:,} | {decoded:.2f} |"
        )
    print(f"Seconds of a processor: stream {seconds:.0f}, alone {', '.join(f'{each[3]:.0f}' for each in alone)}.")


if __name__ == "__main__":
    main()
