"""Mean PSNR and SSIM of runs over every n-th test view, for methods too slow for all views on a CPU.

.venv/bin/python scripts/evaluate_views.py RUN [RUN ...] --every 20 [--save FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image

from inr_plugins.engine.run import load_run
from inr_plugins.metrics.image import psnr, ssim


def main() -> None:
    """Render, compare over white, print one line a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of ns-train, of any method")
    parser.add_argument("--every", type=int, default=20, help="which test views: the first and every n-th after it")
    parser.add_argument("--save", type=Path, help="folder for the pictures: truth beside rendering")
    options = parser.parse_args()
    for path in options.runs:
        run = load_run(path, test_mode="test")
        dataset = run.pipeline.datamanager.eval_dataset
        if not isinstance(dataset, InputDataset):
            raise SystemExit(f"{path} has no test images")
        found: dict[str, list[float]] = {"psnr": [], "ssim": []}
        start = time.perf_counter()
        for index in range(0, len(dataset), options.every):
            camera = dataset.cameras[index : index + 1].to(run.pipeline.device)
            truth = dataset.get_data(index, image_type="float32")["image"].to(run.pipeline.device)
            with torch.no_grad():
                rgb = run.pipeline.model.get_outputs_for_camera(camera)["rgb"]
            if truth.shape[-1] == 4:
                truth = truth[..., :3] * truth[..., 3:] + 1 - truth[..., 3:]
            rgb = rgb.clamp(0, 1)
            found["psnr"].append(psnr(rgb, truth))
            found["ssim"].append(ssim(rgb, truth))
            if options.save is not None:
                options.save.mkdir(parents=True, exist_ok=True)
                both = (torch.cat([truth, rgb], 1) * 255).byte().cpu().numpy()
                Image.fromarray(both).save(options.save / f"{run.config.method_name}_{index:04d}.png")
        means = ", ".join(f"{name} {statistics.mean(values):.3f}" for name, values in found.items())
        views = len(found["psnr"])
        seconds = (time.perf_counter() - start) / views
        print(
            f"{run.config.method_name} step {run.step}: {means} over {views} views, {seconds:.1f} s a view", flush=True
        )


if __name__ == "__main__":
    main()
