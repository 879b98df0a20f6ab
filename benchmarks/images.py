"""Memory and seconds of many large images: loading them, and drawing batches from them.

.venv/bin/python benchmarks/images.py [--views 1000] [--gigabytes 4] [--batches 50] [--folder DIR] [--stock]

Makes a dataset of JPEGs of 1920 x 1080 in DIR (a temporary folder by default), if it is not there, and reads it with
the datamanager of this package, or with nerfstudio's (--stock, which holds 24 bytes a pixel while it loads). Peaks are
of the process's resident memory, from /proc; what is said of the start is Python with its libraries.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from PIL import Image

from inr_plugins.data.images.datamanager import InrDataManagerConfig

WIDTH, HEIGHT, RAYS = 1920, 1080, 4096


def make_dataset(folder: Path, views: int) -> None:
    """Smooth pictures, so that the files are small, and cameras on a circle."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    column, line = np.arange(WIDTH) / WIDTH, np.arange(HEIGHT)[:, None] / HEIGHT
    frames = []
    for index in range(views):
        path = folder / f"images/{index:05d}.jpg"
        if not path.exists():
            waves = [np.sin((3 + k) * column + index) * np.cos((5 - k) * line) for k in range(3)]
            Image.fromarray(np.uint8(127 + 120 * np.stack(waves, axis=-1))).save(path, quality=80)
        angle = 2 * np.pi * index / views
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1], pose[:3, 2] = (
            [-np.sin(angle), np.cos(angle), 0],
            [0, 0, 1],
            [np.cos(angle), np.sin(angle), 0],
        )
        pose[:3, 3] = 4 * pose[:3, 2]
        frames.append({"file_path": f"images/{index:05d}.jpg", "transform_matrix": pose.tolist()})
    lens = {"fl_x": 1500, "fl_y": 1500, "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}), encoding="utf-8")


def resident(name: str) -> float:
    """VmRSS or VmHWM of this process, GB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(each.split()[1]) for each in lines if each.startswith(name)) / 1e6


def main() -> None:
    """Measure, and print a few lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=1000)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--stock", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        make_dataset(folder, options.views)
        data = NerfstudioDataParserConfig(data=folder, downscale_factor=1, train_split_fraction=0.98)
        settings = {"dataparser": data, "train_num_rays_per_batch": RAYS}
        if options.stock:
            config = VanillaDataManagerConfig(**settings)
        else:
            config = InrDataManagerConfig(**settings, cache_gigabytes=options.gigabytes)
        print(f"at the start      {resident('VmRSS'):.2f} GB")
        start = time.perf_counter()
        manager = config.setup(device="cpu", test_mode="val")
        print(f"loading           {time.perf_counter() - start:.1f} s, peak {resident('VmHWM'):.2f} GB")
        times = []
        for step in range(options.batches):
            start = time.perf_counter()
            manager.next_train(step)
            times.append(time.perf_counter() - start)
        print(f"a batch of {RAYS}   {1e3 * statistics.median(times):.1f} ms (median), first {1e3 * times[0]:.1f} ms")
        print(f"after batches     {resident('VmRSS'):.2f} GB, peak {resident('VmHWM'):.2f} GB")


if __name__ == "__main__":
    main()
