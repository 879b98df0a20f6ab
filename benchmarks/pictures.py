"""Unseen pictures over a dictionary of nid-images, and repaired by it, beside classical methods and networks of each.

.venv/bin/python benchmarks/pictures.py --train FOLDER --test FOLDER --size 64 [--work DIR] [--steps 1000] [--seeds 1]
    [--hole 0.27] [--networks 10]

Two tables. Pictures: mean PSNR and SSIM of the test pictures, how many numbers each method has for one (of sparse codes
also which numbers these are), and pictures a second. nid-image-fit codes them over a dictionary of patches (by its
encoder, with 5 and 10 gradient steps, and by matching pursuit) and over one of whole pictures (by the prior). Beside
it: principal components of the same patches and pictures of the training folder, with as many numbers; the largest
coefficients of the cosine transform of a picture, as many; and a network for each picture, 100 steps: SIREN, at
its usual size and a small one, and one on Fourier features, each at the best of its rates on the first pictures.

Holes: a square of the side --hole of a picture, of one random colour, at a random place; mean PSNR within it. Known:
nid-image-fit --pipeline.datamanager.dataparser.mask, biharmonic inpainting (scikit-image), the most likely pixels under
the training pictures' own covariance, and SIREN on what is known. Not known: nid-image-fit --pipeline.model.loss l1,
and SIREN with absolute errors.

Networks are trained for the first --networks test pictures only. What has been trained is kept in the work folder.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from one_run import train_once
from PIL import Image
from scipy.fft import dctn, idctn
from skimage.metrics import structural_similarity
from skimage.restoration import inpaint_biharmonic
from torch.nn import functional as F

from inr_plugins.data.signals.picture_folder import read_pictures
from inr_plugins.files import write_json
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.signal_grid import PixelGrid

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
NETWORKS = {
    "SIREN": CoordinateNetworkConfig(activation="sine", omega=30.0, width=128, hidden_layers=3),
    "SIREN of about as many numbers": CoordinateNetworkConfig(activation="sine", omega=30.0, width=30, hidden_layers=2),
    "Fourier features": CoordinateNetworkConfig(
        activation="relu", encoding="fourier", fourier_features=128, fourier_std=4.0, width=128, hidden_layers=3
    ),
}
STEPS = 100
Table = list[list[str]]


def psnr(found: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> float:
    """Mean over pictures, each of all its pixels or of some."""
    error = (found.clip(0, 1) - truth) ** 2
    each = [error[number][... if where is None else where[number]].mean() for number in range(len(truth))]
    return float(np.mean([-10 * np.log10(max(one, 1e-12)) for one in each]))


def ssim(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean over pictures."""
    settings: Any = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = zip(found.clip(0, 1), truth, strict=True)
    return float(np.mean([structural_similarity(one, other, channel_axis=-1, **settings) for one, other in pairs]))


# -- nid ---------------------------------------------------------------------------------------------------------------


def dictionary(options: argparse.Namespace, patch: int, seed: int) -> Path:
    """The run of a dictionary, trained unless it has been."""
    from inr_plugins.method_configs.nid_images import nid_images

    folder = options.work / f"{'patches' if patch else 'whole'}-{options.steps}-{seed}"
    told = folder / "told.json"
    if not told.exists():
        config: Any = copy.deepcopy(nid_images.config)
        config.machine.seed, config.pipeline.model.patch = seed, patch
        config.pipeline.datamanager.dataparser.size = options.size
        trained = train_once(config, options.train, folder, "run", options.steps)
        write_json(told, {"run": str(trained.folder), "seconds": trained.seconds, "cpu": trained.cpu})
    found = json.loads(told.read_text(encoding="utf8"))
    print(f"<!-- {folder.name}: {found['seconds']:.0f} s of training -->")
    return Path(found["run"])


def fitted(
    options: argparse.Namespace, run: Path, data: Path, name: str, steps: int, **settings: Any
) -> tuple[np.ndarray, dict[str, Any], np.ndarray]:
    """The test pictures by nid-image-fit, (pictures, h, w, c), what it reports, and where something is missing."""
    from inr_plugins.method_configs.nid_images import nid_image_fit

    config: Any = copy.deepcopy(nid_image_fit.config)
    config.pipeline.model.dictionary, config.pipeline.datamanager.dataparser.size = run, options.size
    config.pipeline.datamanager.dataparser.mask = settings.pop("mask", None)
    for key, value in settings.items():
        setattr(config.pipeline.model, key, value)
    trained = train_once(config, data, options.work / "fits", name, steps)
    model: Any = trained.pipeline.model
    grid = model.grid
    report = json.loads((Path(trained.folder) / "fit.json").read_text(encoding="utf8"))
    shape = (grid.frames, grid.height, grid.width)
    return model.field(None).view(*shape, -1).numpy(), report, model.missing.view(shape).numpy()


# -- others ------------------------------------------------------------------------------------------------------------


def components(training: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
    """Rows of the test over the mean and so many principal components, less one, of those of the training."""
    mean = training.mean(0)
    if len(training) > 2 * training.shape[1]:
        directions = np.linalg.eigh(np.cov(training.T))[1][:, ::-1].T
    else:
        directions = np.linalg.svd(training - mean, full_matrices=False)[2]
    chosen = directions[: count - 1]
    return mean + (test - mean) @ chosen.T @ chosen


def in_patches(pictures: np.ndarray, side: int) -> np.ndarray:
    """(s, h, w, c) to rows of patches that do not overlap."""
    s, h, w, c = pictures.shape
    cut = pictures.reshape(s, h // side, side, w // side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(-1, side * side * c)


def put_together(rows: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `in_patches`."""
    s, h, w, c = shape
    return rows.reshape(s, h // side, w // side, side, side, c).transpose(0, 1, 3, 2, 4, 5).reshape(shape)


def largest_cosines(pictures: np.ndarray, count: int) -> np.ndarray:
    """Pictures of their largest coefficients of the cosine transform, over all channels."""
    found = dctn(pictures, axes=(1, 2), norm="ortho")
    size = np.abs(found).reshape(len(found), -1)
    least = np.sort(size, 1)[:, -count][:, None, None, None]
    return idctn(np.where(np.abs(found) >= least, found, 0), axes=(1, 2), norm="ortho")


def network(
    config: CoordinateNetworkConfig,
    picture: np.ndarray,
    rate: float,
    *,
    known: np.ndarray | None = None,
    l1: bool = False,
) -> np.ndarray:
    """A network's picture after 100 steps of Adam on all known pixels."""
    torch.manual_seed(0)
    height, width, channels = picture.shape
    grid = PixelGrid(width, height)
    places = grid.middles(torch.arange(grid.count))
    target = 2 * torch.from_numpy(picture).float().view(-1, channels) - 1
    chosen = torch.ones(grid.count, dtype=torch.bool) if known is None else torch.from_numpy(known).flatten()
    made = config.build(2, channels)
    optimizer = torch.optim.Adam(made.parameters(), lr=rate)
    for _ in range(STEPS):
        optimizer.zero_grad()
        out = made(places[chosen])
        (F.l1_loss if l1 else F.mse_loss)(out, target[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        return ((made(places) + 1) / 2).view(height, width, channels).numpy()


def best_rate(config: CoordinateNetworkConfig, pictures: np.ndarray) -> float:
    """Of RATES, on some pictures."""
    return max(RATES, key=lambda rate: psnr(np.stack([network(config, each, rate) for each in pictures]), pictures))


def likely_pixels(training: np.ndarray, pictures: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Pictures whose holes are the most likely under the training pictures' mean and covariance."""
    rows = training.reshape(len(training), -1)
    mean, found = rows.mean(0), pictures.reshape(len(pictures), -1).copy()
    covariance = np.cov(rows.T)
    covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    for row, gone in zip(
        found, np.repeat(hole[..., None], pictures.shape[-1], -1).reshape(len(found), -1), strict=True
    ):
        seen = ~gone
        known = np.linalg.solve(covariance[np.ix_(seen, seen)], (row - mean)[seen])
        row[gone] = mean[gone] + covariance[np.ix_(gone, seen)] @ known
    return found.reshape(pictures.shape)


# -- tables ------------------------------------------------------------------------------------------------------------


def regression(options: argparse.Namespace, training: np.ndarray, test: np.ndarray, seed: int) -> Table:
    """Rows of the table of pictures."""
    rows: Table = []

    def tell(name: str, found: np.ndarray, truth: np.ndarray, numbers: str, speed: str) -> None:
        rows.append([name, f"{psnr(found, truth):.2f}", f"{ssim(found, truth):.3f}", numbers, speed])

    patches, whole = dictionary(options, 16, seed), dictionary(options, 0, seed)
    ways: list[tuple[str, Path, str, int]] = [
        ("nid-images 16, encoder", patches, "gate", 1),
        ("nid-images 16, encoder +5", patches, "gate", 5),
        ("nid-images 16, encoder +10", patches, "gate", 10),
        ("nid-images 16, pursuit", patches, "pursuit", 1),
        ("nid-images whole, prior", whole, "prior", 1),
    ]
    counts: dict[Path, int] = {}
    for name, run, start, steps in ways:
        _, report, _ = fitted(options, run, options.test, f"{start}-{steps}", steps, start=start)
        judged = report["judged"][f"+{steps}"] if steps > 1 else report["judged"]["init"]
        counts[run] = round(report["numbers"])
        sparse = " and which" if start != "prior" else ""
        speed = f"{report['pictures_per_second']:.3g}" if steps == 1 else ""
        rows.append([name, f"{judged['psnr']:.2f}", f"{judged['ssim']:.3f}", f"{counts[run]:,}{sparse}", speed])
    shape = test.shape
    begun = time.perf_counter()
    each = counts[patches] * len(test) // len(in_patches(test, 16))
    found = components(in_patches(training, 16), in_patches(test, 16), each)
    speed = f"{len(test) / (time.perf_counter() - begun):.3g}"
    tell("principal components, 16", put_together(found, 16, shape), test, f"{counts[patches]:,}", speed)
    begun = time.perf_counter()
    found = components(training.reshape(len(training), -1), test.reshape(len(test), -1), counts[whole])
    speed = f"{len(test) / (time.perf_counter() - begun):.3g}"
    tell("principal components, whole", found.reshape(shape), test, f"{counts[whole]:,}", speed)
    for count in (counts[patches], counts[whole]):
        tell("cosine transform, largest", largest_cosines(test, count), test, f"{count:,} and which", "")
    few = test[: options.networks]
    for name, config in NETWORKS.items():
        rate, begun = best_rate(config, few[:2]), time.perf_counter()
        found = np.stack([network(config, picture, rate) for picture in few])
        numbers = sum(each.numel() for each in config.build(2, test.shape[-1]).parameters())
        speed = f"{len(few) / (time.perf_counter() - begun):.2g}"
        tell(f"{name}, {STEPS} steps at {rate:g}, {len(few)} pictures", found, few, f"{numbers:,}", speed)
    return rows


def holes(options: argparse.Namespace, training: np.ndarray, test: np.ndarray, seed: int) -> Table:
    """Rows of the table of holes."""
    side, rng = round(options.hole * options.size), np.random.default_rng(0)
    hole, spoilt = np.zeros(test.shape[:3], dtype=bool), test.copy()
    data, masks = options.work / "spoilt", options.work / "masks"
    for folder in (data, masks):
        folder.mkdir(parents=True, exist_ok=True)
    for number, (gone, picture) in enumerate(zip(hole, spoilt, strict=True)):
        top, left = rng.integers(0, np.array(test.shape[1:3]) - side)
        gone[top : top + side, left : left + side] = True
        picture[gone] = np.rint(255 * rng.random(test.shape[-1])) / 255
        pixels = np.rint(255 * picture).astype(np.uint8)
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(data / f"{number:04}.png")
        Image.fromarray((255 * gone).astype(np.uint8)).save(masks / f"{number:04}.png")
    rows: Table = []

    def tell(name: str, found: np.ndarray, where: str, *, restored: bool = False) -> None:
        count = len(found)
        whole = found if restored else np.where(hole[:count, ..., None], found, spoilt[:count])
        cells = [f"{psnr(found, test[:count], hole[:count]):.2f}", f"{psnr(whole, test[:count]):.2f}"]
        rows.append([name, where, *cells])

    run = dictionary(options, 0, seed)
    found, _, _ = fitted(options, run, data, "known", 1, mask=masks)
    tell("nid-image-fit", found, "known")
    tell("biharmonic", np.stack([_biharmonic(one, gone) for one, gone in zip(spoilt, hole, strict=True)]), "known")
    tell("covariance of the training pictures", likely_pixels(training, spoilt, hole), "known")
    config, few = NETWORKS["SIREN"], range(options.networks)
    rate = best_rate(config, test[:2])
    tell(
        f"SIREN, {STEPS} steps at {rate:g}, {len(few)} pictures",
        np.stack([network(config, spoilt[n], rate, known=~hole[n]) for n in few]),
        "known",
    )
    found, _, missing = fitted(options, run, data, "unknown", 1, loss="l1")
    restored = np.where(missing[..., None], found, spoilt)
    tell("nid-image-fit, l1", restored, "not known", restored=True)
    tell(
        f"SIREN, l1, {STEPS} steps at {rate:g}, {len(few)} pictures",
        np.stack([network(config, spoilt[n], rate, l1=True) for n in few]),
        "not known",
        restored=True,
    )
    tell("nothing done", spoilt, "")
    both = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in zip(missing, hole, strict=True)]
    print(f"<!-- what is called missing beside the holes: F {np.mean(both):.3f} -->")
    return rows


def _biharmonic(picture: np.ndarray, gone: np.ndarray) -> np.ndarray:
    return inpaint_biharmonic(picture, gone, channel_axis=-1)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="folder of the dictionary's pictures")
    parser.add_argument("--test", type=Path, required=True, help="folder of unseen ones")
    parser.add_argument("--size", type=int, default=64, help="to which all are brought; a multiple of 16")
    parser.add_argument("--work", type=Path, default=Path("pictures"), help="where trainings are kept")
    parser.add_argument("--steps", type=int, default=1000, help="of a dictionary")
    parser.add_argument("--seeds", type=int, default=1, help="dictionaries of each kind")
    parser.add_argument("--hole", type=float, default=0.27, help="side of the hole, of a picture's")
    parser.add_argument("--networks", type=int, default=10, help="pictures that networks are trained for")
    options = parser.parse_args()
    training, test = (read_pictures(each, size=options.size).values() for each in (options.train, options.test))
    print(f"{len(training)} pictures to learn from, {len(test)} unseen, {options.size} x {options.size}")
    for seed in range(options.seeds):
        for head, make in (
            (["pictures", "PSNR, dB", "SSIM", "numbers each", "pictures a second"], regression),
            (["holes", "where they are", "PSNR in them, dB", "PSNR of all, dB"], holes),
        ):
            found = make(options, training, test, seed)
            print(f"\nseed {seed}\n\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
            for row in found:
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
