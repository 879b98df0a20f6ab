"""Background and foreground of a still camera by nid-video, the median over the frames and principal component pursuit.

.venv/bin/python benchmarks/background.py CLIP [--work FOLDER] [--rows nid-video:1500 nid-video:1500:model.omega=45.0]
    [--threshold 0.1] [--shrink 2] [--seeds 1]

CLIP is a video file or a folder of frames, of which --shrink averages so many pixels of each side to one. Where it was
made by `inr-phantom video`, its background and its mask are beside it, and every answer is judged by them: PSNR of the
background over all frames, as it is there too where something stands before it, and precision, recall and F of the
mask. Else only the share of the foreground is known. The foreground is, for all, where any colour of the video is
farther from the background than the threshold.

A row of nid-video is nid-video:STEPS or nid-video:STEPS:SETTING=VALUE,..., trained with ns-train's own trainer; its
seconds are those of the training. What has been trained is kept in the work folder, and not trained again.

Principal component pursuit (`operators.low_rank`) has the background as the low-rank part of the matrix of pixels and
frames. No library among this package's has it.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from ast import literal_eval
from pathlib import Path
from typing import Any

import numpy as np
import torch
from one_run import train_once
from PIL import Image

from inr_plugins.data.signals.video import read_video
from inr_plugins.files import write_json
from inr_plugins.operators.low_rank import principal_component_pursuit

ROWS = ["nid-video:1500"]


def by_pursuit(video: np.ndarray) -> tuple[np.ndarray, str]:
    """The background of every frame, values in [0, 1], and what is to be said of it."""
    low, _, rank = principal_component_pursuit(torch.from_numpy(video.reshape(len(video), -1).T))
    return low.T.reshape(video.shape).numpy(), f"rank {rank}"


def by_median(video: np.ndarray) -> tuple[np.ndarray, str]:
    """The same for all frames."""
    return np.broadcast_to(np.median(video, 0), video.shape), ""


def by_nid_video(clip: Path, row: str, work: Path, seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, float, int]:
    """Background, seconds of training, and bytes of what is learnt in float32; kept in the work folder."""
    from inr_plugins.method_configs.nid_video import nid_video

    from inr_plugins.engine.runs.run import load_run

    _, steps, *settings = row.split(":", 2)
    folder = work / f"{clip.stem}-{row.replace(':', '-').replace('/', '-')}-{seed}"
    told = folder / "told.json"
    if not told.exists():
        config: Any = copy.deepcopy(nid_video.config)
        config.machine.seed = seed
        for name, value in (each.split("=") for each in ",".join(settings).split(",") if each):
            *path, last = name.split(".")
            owner = config.pipeline
            for part in path:
                owner = getattr(owner, part)
            setattr(owner, last, literal_eval(value))
        trained = train_once(config, clip, folder, "run", int(steps))
        size = sum(4 * each.numel() for each in trained.pipeline.model.parameters())
        told_of = {"run": str(trained.folder), "seconds": trained.seconds, "cpu": trained.cpu, "bytes": size}
        write_json(told, told_of)
    found = json.loads(told.read_text(encoding="utf8"))
    model: Any = load_run(Path(found["run"]) / "config.yml", device="cpu").pipeline.model
    places = torch.arange(int(np.prod(shape[:3])))
    background = torch.cat([model.field.at(model.grid.indices(part).double()) for part in places.split(1 << 18)])
    return background.numpy().reshape(shape), float(found["seconds"]), int(found["bytes"])


def truth_of(clip: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Background and mask of a made clip, where they are beside it."""
    background, mask = (clip.with_name(clip.stem + end) for end in ("_background.png", "_mask.mkv"))
    if clip.is_dir() or not (background.exists() and mask.exists()):
        return None
    return np.asarray(Image.open(background).convert("RGB")) / 255.0, read_video(mask).pixels[..., 0] > 127


def shrunk(clip: Path, by: int, work: Path) -> Path:
    """The clip with averages of so many pixels of each side, as a folder of frames in the work folder."""
    if by == 1:
        return clip
    folder = work / f"{clip.stem}-{by}"
    if not folder.exists():
        folder.mkdir(parents=True)
        for number, frame in enumerate(read_video(clip).pixels):
            height, width = (side // by for side in frame.shape[:2])
            Image.fromarray(frame).resize((width, height), Image.Resampling.BOX).save(folder / f"{number:04}.png")
    return folder


def judged(video: np.ndarray, background: np.ndarray, truth: Any, threshold: float) -> list[str]:
    """PSNR of the background; share, precision, recall and F of the foreground."""
    moves = (np.abs(background.clip(0, 1) - video) > threshold).any(-1)
    share = f"{100 * moves.mean():.2f} %"
    if truth is None:
        return ["–", share, "–", "–", "–"]
    still, mask = truth
    error = float(np.mean((background.clip(0, 1) - still) ** 2))
    both = float((moves & mask).sum())
    precision, recall = both / max(1, moves.sum()), both / max(1, mask.sum())
    f = 2 * both / max(1, moves.sum() + mask.sum())
    return [f"{-10 * np.log10(max(error, 1e-12)):.2f} dB", share, f"{precision:.3f}", f"{recall:.3f}", f"{f:.3f}"]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="video file or folder of frames")
    parser.add_argument("--work", type=Path, default=Path("background"), help="where trainings are kept")
    parser.add_argument("--rows", nargs="+", default=ROWS, help="trainings of nid-video")
    parser.add_argument("--threshold", type=float, default=0.1, help="of the foreground")
    parser.add_argument("--shrink", type=int, default=1, help="pixels of each side that become one")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each row")
    options = parser.parse_args()
    truth = truth_of(options.clip) if options.shrink == 1 else None
    clip = shrunk(options.clip, options.shrink, options.work)
    video = read_video(clip).pixels / 255.0
    print(f"{clip.name}: {len(video)} frames of {video.shape[2]} x {video.shape[1]}\n")
    print("| | background | foreground | precision | recall | F | seconds | |\n|---|---:|---:|---:|---:|---:|---:|---|")

    def tell(name: str, background: np.ndarray, seconds: float, remark: str) -> None:
        cells = [*judged(video, background, truth, options.threshold), f"{seconds:.1f}", remark]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)

    for row in options.rows:
        for seed in range(options.seeds):
            background, seconds, size = by_nid_video(clip, row, options.work, seed, video.shape)
            tell(f"{row}, seed {seed}", background, seconds, f"{size / 1e3:.0f} kB")
    for name, way in (("median", by_median), ("principal component pursuit", by_pursuit)):
        begun = time.perf_counter()
        background, remark = way(video)
        tell(name, background, time.perf_counter() - begun, remark)


if __name__ == "__main__":
    main()
