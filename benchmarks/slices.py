"""Slices from few and noisy views: nid-ct over a dictionary beside cn-ct, back-projection and total variation.

.venv/bin/python benchmarks/slices.py RUN UNSEEN --work DIR [--count 6] [--views 128 32 16 8] [--noise 0 0.05]
    [--rows nid-ct pca fbp tv siren ffm] [--learnt FOLDER] [--networks 3] [--steps 500] [--report]

RUN is a run of nid-images on whole pictures, UNSEEN a folder of others of their kind, of which the first --count are
measured as ns-train cn-ct does, each with its own noise. "siren" and "ffm" are cn-ct with sines, and with ReLU behind
Fourier features, without a normalization, on the first --networks of them. "pca" has as many principal components of
the pictures of --learnt in the dictionary's place, and the same solver. Figures are means over slices: PSNR and SSIM
of the slice, clamped to [0, 1], |A f - y| / |y| of views that are held out, and seconds of processor time. Every result
is a file in the work folder, and one that is there is not made again: stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from one_run import train_once
from PIL import Image

from inr_plugins.files import write_json

CLASSICAL = ("fbp", "tv")
NETWORKS = {"siren": {"activation": "sine"}, "ffm": {"activation": "relu"}}


def configured(preset: Any, slice_: Path, views: int, noise: float, seed: int) -> Any:
    """A method's configuration for a slice."""
    config: Any = copy.deepcopy(preset.config)
    parser = config.pipeline.datamanager.dataparser
    parser.data, parser.views, parser.noise, parser.noise_seed = slice_, views, noise, seed
    return config


def scores(model: Any, parser: Any, found: Any) -> dict[str, float]:
    """PSNR, SSIM and held-out error of a slice (height, width)."""
    told = model.measurement_scores(parser.measured, {"it": found}, parser.truth)
    return {"psnr": told["psnr_it"], "ssim": told["ssim_it"], "held_out": told["held_out_error_it"]}


@cache
def components(folder: Path, count: int) -> tuple[Any, Any]:
    """Of the slices of a folder: their principal components and mean, an equation a row, and codes of all of them."""
    import torch

    slices = [np.asarray(Image.open(path), dtype=np.float64) / 65_535 for path in sorted(folder.iterdir())]
    values = torch.from_numpy(np.stack(slices)).flatten(1)
    mean = values.mean(0)
    left, size, right = torch.linalg.svd(values - mean, full_matrices=False)
    codes = torch.cat([(left * size)[:, :count], torch.ones(len(values), 1)], 1)
    return torch.cat([right[:count], mean[None]]).T, codes


def by_components(measured: Any, options: argparse.Namespace, count: int) -> Any:
    """The most likely slice over principal components, solved for as nid-ct's code is."""
    from inr_plugins.models.nid.slice import NidSliceModelConfig
    from inr_plugins.operators.radon import root_of_ramp
    from inr_plugins.sparse_codes.code_prior import CodePrior
    from inr_plugins.sparse_codes.many_codes import likely_code

    columns, codes = components(options.learnt, count)
    geometry = measured.geometry
    beam = geometry.beam(geometry.learnt_angles)
    rows = root_of_ramp(beam.forward(columns.T.reshape(-1, geometry.height, geometry.width))).flatten(1).T
    found = likely_code(
        rows,
        root_of_ramp(measured.learnt.double()).flatten(),
        CodePrior.from_codes(codes, isotropic=NidSliceModelConfig.isotropic),
    )
    return (columns @ found.code).reshape(geometry.height, geometry.width).float().clamp(min=0)


def made(row: str, slice_: Path, views: int, noise: float, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One answer."""
    from inr_plugins.method_configs.nid_ct import nid_ct
    from inr_plugins.method_configs.tomography import cn_ct

    from inr_plugins.operators.tomography import back_projected, smoothest

    if row in NETWORKS:
        config = configured(cn_ct, slice_, views, noise, seed)
        config.pipeline.model.normalization = "none"
        for option, value in NETWORKS[row].items():
            setattr(config.pipeline.model, option, value)
        name = f"{row}-{views}-{noise:g}-{slice_.stem}"
        run = train_once(config, slice_, options.work / "runs", name, options.steps)
        model, parser = run.pipeline.model, run.pipeline.datamanager.dataparser
        return {**scores(model, parser, model.volume_values()), "seconds": run.cpu}
    config = configured(nid_ct, slice_, views, noise, seed)
    config.pipeline.model.dictionary = options.dictionary
    manager = config.pipeline.datamanager
    manager.data = slice_
    manager.settle_parser()
    pipeline: Any = config.pipeline.setup(device="cpu", test_mode="inference")
    model, parser = pipeline.model, pipeline.datamanager.dataparser
    measured = parser.measured
    begin = time.process_time()
    if row == "pca":
        found = by_components(measured, options, model.dictionary.settings.experts)
    elif row in CLASSICAL:
        found = back_projected(measured) if row == "fbp" else smoothest(measured)
    else:
        model.begin(measured)
        found = model.volume_values()
    return {**scores(model, parser, found), "seconds": time.process_time() - begin}


def table(found: dict[tuple[str, int, float], list[dict[str, Any]]], options: argparse.Namespace) -> str:
    """PSNR (SSIM), held-out error in percent and seconds, means, as markdown."""
    cells = [(views, noise) for noise in options.noise for views in options.views]
    lines = ["| | " + " | ".join(f"{views} views, noise {100 * noise:g} %" for views, noise in cells) + " |"]
    lines.append("|---" * (len(cells) + 1) + "|")
    for row in options.rows:
        told = []
        for cell in cells:
            each = found.get((row, *cell))
            if not each:
                told.append("-")
                continue
            psnr, ssim, held_out, seconds = (
                np.mean([one[key] for one in each]) for key in ("psnr", "ssim", "held_out", "seconds")
            )
            told.append(f"{psnr:.2f} dB ({ssim:.3f}), {100 * held_out:.2f} %, {seconds:.1f} s")
        lines.append(f"| {row} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dictionary", type=Path, metavar="RUN")
    parser.add_argument("unseen", type=Path, metavar="UNSEEN")
    parser.add_argument("--work", type=Path, required=True, help="where all results are kept")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--views", type=int, nargs="+", default=[128, 32, 16, 8])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.05])
    parser.add_argument("--learnt", type=Path, help="the pictures that the dictionary was learnt on, for pca")
    rows = ["nid-ct", "pca", *CLASSICAL, *NETWORKS]
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows)
    parser.add_argument("--report", action="store_true", help="only print the table")
    options = parser.parse_args()
    if "pca" in options.rows and options.learnt is None and not options.report:
        parser.error("pca wants --learnt, the pictures that the dictionary was learnt on")
    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()
    slices = sorted(options.unseen.iterdir())[: options.count]
    found: dict[tuple[str, int, float], list[dict[str, Any]]] = {}
    for row in options.rows:
        for noise in options.noise:
            for views in options.views:
                for number, slice_ in enumerate(slices[: options.networks] if row in NETWORKS else slices):
                    name = f"{row}-{views}-{noise:g}-{slice_.stem}"
                    place = options.work / f"{name}.json"
                    if not place.exists() and not options.report:
                        write_json(place, made(row, slice_, views, noise, number, options))
                        print(f"{name}: {place.read_text()}".replace("\n", ""), file=sys.stderr, flush=True)
                    if place.exists():
                        cell = found.setdefault((row, views, noise), [])
                        cell.append(json.loads(place.read_text(encoding="utf-8")))
    print(table(found, options))


if __name__ == "__main__":
    main()
