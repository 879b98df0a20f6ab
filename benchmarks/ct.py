"""A slice from few and noisy views: cn-ct with several normalizations beside filtered back-projection and TV.

.venv/bin/python benchmarks/ct.py IMAGE --work DIR [--size 128] [--steps 1000] [--views 100 30 16] [--noise 0 0.05]
    [--rows cross none layer batch octaves relu finer] [--seeds 1] [--report]

IMAGE is a grey image of a slice, averaged to --size pixels along its side. Views are made of it as ns-train cn-ct does,
by rays and pixels finer than those of a fit. "none" is the same network, with its encoding, without a normalization;
"octaves" has the paper's encoding in place of it, "relu" has neither, and "finer" is FINER++'s with sines. Of several
seeds, which draw weights and noise, the table has means and, after ±, half of what lies between them. Every result is a
file in the work folder, and one that is there is not made again: stopped, the same command goes on. PSNR and SSIM are
of the slice, clamped to [0, 1]; held out is |A f - y| / |y| of 8 views between those that are learnt from, noise
included; seconds are those of training, or of the answer without a network.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

from one_run import train_once
from PIL import Image

from inr_plugins.files import write_json

CLASSICAL = ("fbp", "tv")
ROWS: dict[str, dict[str, str]] = {
    **{norm: {"normalization": norm} for norm in ("cross", "none", "layer", "batch", "global")},
    "octaves": {"normalization": "none", "encoding": "positional"},
    "relu": {"normalization": "none", "encoding": "identity"},
    "finer": {"normalization": "none", "activation": "finer-sine"},
}
"""Options of the model in each row of the table."""


def small_slice(image: Path, size: int, work: Path) -> Path:
    """The slice as a grey file of the size."""
    place = work / f"slice-{size}.png"
    if not place.exists():
        with Image.open(image) as found:
            grey = found.convert("L")
            grey.resize((size, size), Image.Resampling.BOX).save(place)
    return place


def settings(slice_: Path, views: int, noise: float, seed: int) -> Any:
    """cn-ct's configuration."""
    from inr_plugins.method_configs.tomography import cn_ct

    config: Any = copy.deepcopy(cn_ct.config)
    parser = config.pipeline.datamanager.dataparser
    parser.data, parser.views, parser.noise, parser.noise_seed = slice_, views, noise, seed
    config.machine.seed += seed
    return config


def scores_of(model: Any, parser: Any, found: Any) -> dict[str, float]:
    """PSNR, SSIM and held-out error of a slice (height, width)."""
    scores = model.measurement_scores(parser.measured, {"it": found}, parser.truth)
    return {"psnr": scores["psnr_it"], "ssim": scores["ssim_it"], "held_out": scores["held_out_error_it"]}


def fit(
    name: str, slice_: Path, views: int, noise: float, row: str, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """One training."""
    config = settings(slice_, views, noise, seed)
    for option, value in ROWS[row].items():
        setattr(config.pipeline.model, option, value)
    run = train_once(config, slice_, options.work / "runs", name, options.steps)
    model, parser = run.pipeline.model, run.pipeline.datamanager.dataparser
    return {**scores_of(model, parser, model.volume_values()), "seconds": run.seconds, "cpu": run.cpu}


def classical(slice_: Path, views: int, noise: float, method: str, seed: int) -> dict[str, Any]:
    """One answer without a network; the held-out views choose its window or weight."""
    from inr_plugins.operators.tomography import back_projected, smoothest

    config = settings(slice_, views, noise, seed)
    manager = config.pipeline.datamanager
    manager.data = slice_
    manager.settle_parser()
    pipeline = config.pipeline.setup(device="cpu", test_mode="inference")
    parser = pipeline.datamanager.dataparser
    measured = parser.measured
    begin = time.perf_counter()
    found = back_projected(measured) if method == "fbp" else smoothest(measured)
    seconds = time.perf_counter() - begin
    return {**scores_of(pipeline.model, parser, found), "seconds": seconds}


def told(each: list[dict[str, Any]]) -> str:
    """A cell of the table."""
    if not each:
        return "-"
    values = [one["psnr"] for one in each]
    ssim, missed, seconds = (sum(one[key] for one in each) / len(each) for key in ("ssim", "held_out", "seconds"))
    range_ = f" ± {(max(values) - min(values)) / 2:.2f}" if len(each) > 1 else ""
    return f"{sum(values) / len(values):.2f}{range_} dB ({ssim:.3f}), {100 * missed:.2f} %, {seconds:.0f} s"


def table(found: dict[tuple[str, int, float], list[dict[str, Any]]], options: argparse.Namespace) -> str:
    """PSNR (SSIM), held-out error in percent and seconds, as markdown."""
    cells = [(views, noise) for noise in options.noise for views in options.views]
    lines = ["| | " + " | ".join(f"{views} views, noise {100 * noise:g} %" for views, noise in cells) + " |"]
    lines.append("|---" * (len(cells) + 1) + "|")
    for method in (*options.rows, *CLASSICAL):
        lines.append(
            f"| {method if method in CLASSICAL else f'cn-ct, {method}'} | "
            + " | ".join(told(found.get((method, *cell), [])) for cell in cells)
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="where all results are kept")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--views", type=int, nargs="+", default=[100, 30, 16])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.05])
    parser.add_argument(
        "--rows", nargs="+", choices=list(ROWS), default=["cross", "none", "layer", "batch", "octaves", "relu", "finer"]
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="only print the table")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()
    slice_ = small_slice(options.image, options.size, options.work)
    found: dict[tuple[str, int, float], list[dict[str, Any]]] = {}
    # What a stopped run lacks are the last seeds and rows, not the last columns.
    methods = (*options.rows[:2], *CLASSICAL, *options.rows[2:])
    for seed, method, noise, views in product(range(options.seeds), methods, options.noise, options.views):
        is_classical = method in CLASSICAL
        if is_classical and seed and not noise:
            continue
        name = f"{method}-{views}-{noise:g}" + ("" if is_classical else f"-{options.steps}")
        name += f"-{seed}" if seed else ""
        place = options.work / f"{name}.json"
        if not place.exists() and not options.report:
            made = (
                classical(slice_, views, noise, method, seed)
                if is_classical
                else fit(name, slice_, views, noise, method, seed, options)
            )
            write_json(place, made)
            print(f"{name}: {made['psnr']:.2f} dB, {made['seconds']:.0f} s", file=sys.stderr, flush=True)
        if place.exists():
            found.setdefault((method, views, noise), []).append(json.loads(place.read_text(encoding="utf-8")))
    print(table(found, options))


if __name__ == "__main__":
    main()
