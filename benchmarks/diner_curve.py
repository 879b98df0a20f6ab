"""How the picture of diner gets better as it is trained, before and after a change: PSNR against steps and seconds.

.venv/bin/python benchmarks/diner_curve.py --data DIR --json FILE [--steps 1500] [--every 60]
    [--variant before code=../before] [--variant after] [--variant slow pipeline.model.warm_up_steps=400]

Each variant is a training of its own in a process of its own: a name, `code=FOLDER` for that of another checkout (with
its own .venv; else its presets are those of this one), and settings of the preset. They take their steps in turns, so
that a machine that slows down slows all of them; seconds are those of the steps alone, without starting and without
evaluation. PSNR is the mean over some test views, of every second pixel of each axis (`--stride`). Variants whose curve
is whole in FILE are not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from ast import literal_eval
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

_MARK = "diner_curve: "
"""Of the lines in which a process answers, among all that training prints."""


# -- a training, in its own process ------------------------------------------------------------------------------------


def _apply(config: Any, settings: list[str]) -> None:
    for setting in settings:
        name, _, value = setting.partition("=")
        *path, last = name.split(".")
        at = config
        for part in path:
            at = at[part] if isinstance(at, dict) else getattr(at, part)
        try:
            found = literal_eval(value)
        except (ValueError, SyntaxError):
            found = value
        if not hasattr(at, last):
            raise SystemExit(f"diner has no setting {name}")
        setattr(at, last, found)


def _make_trainer(options: argparse.Namespace, folder: Path) -> Any:
    from inr_plugins.method_configs.diner import diner

    from inr_plugins.engine.offline_lpips import without_lpips_weights

    config: Any = deepcopy(diner.config)
    config.data = config.pipeline.datamanager.data = options.data
    config.vis, config.machine.device_type, config.machine.seed = "tensorboard", "cpu", options.seed
    config.max_num_iterations = options.steps
    config.output_dir, config.experiment_name, config.timestamp = folder, "diner", "curve"
    for name, group in config.optimizers.items():
        # Those of the coarse stages fall over each stage.
        if options.decay_over and group["scheduler"] is not None and name != "coarse":
            group["scheduler"].max_steps = options.decay_over
    _apply(config, options.here)
    # Which settles what reads the data.
    config.set_timestamp()
    config.save_config()
    torch.manual_seed(options.seed)
    with without_lpips_weights():
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup(test_mode="test")
    return trainer


def _views(trainer: Any, count: int, stride: int) -> list[tuple[Any, torch.Tensor]]:
    """Rays of some test views, and what they are to see."""
    dataset = trainer.pipeline.datamanager.eval_dataset
    found = []
    for view in np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int)):
        image = dataset.get_data(int(view))["image"][::stride, ::stride]
        rays = dataset.cameras.generate_rays(camera_indices=int(view), keep_shape=True)[::stride, ::stride]
        found.append((rays, image))
    return found


def _quality(trainer: Any, views: list[tuple[Any, torch.Tensor]]) -> float:
    model, found = trainer.pipeline.model, []
    model.eval()
    with torch.no_grad():
        for rays, image in views:
            target = model.renderer_rgb.blend_background(image.float())
            error = (model.get_outputs_for_camera_ray_bundle(rays)["rgb"] - target).square().mean()
            found.append(-10 * float(torch.log10(error)))
    return sum(found) / len(found)


def _work(options: argparse.Namespace) -> None:
    """Take steps up to each number that is read, and answer with the point of the curve there."""
    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()
    from nerfstudio.engine.callbacks import TrainingCallbackLocation as Location

    with tempfile.TemporaryDirectory() as folder:
        trainer = _make_trainer(options, Path(folder))
        views = _views(trainer, options.views, options.stride)
        done, seconds, cpu = 0, 0.0, 0.0
        print(f"{_MARK}ready", flush=True)
        for line in sys.stdin:
            longest = 0.0
            while done < int(line):
                trainer.pipeline.train()
                start, spent = time.perf_counter(), time.process_time()
                for callback in trainer.callbacks:
                    callback.run_callback_at_location(done, location=Location.BEFORE_TRAIN_ITERATION)
                trainer.train_iteration(done)
                for callback in trainer.callbacks:
                    callback.run_callback_at_location(done, location=Location.AFTER_TRAIN_ITERATION)
                taken = time.perf_counter() - start
                seconds, cpu, longest = seconds + taken, cpu + time.process_time() - spent, max(longest, taken)
                done += 1
            point = {"step": done, "seconds": round(seconds, 3), "cpu": round(cpu, 3), "longest": round(longest, 3)}
            point["psnr"] = round(_quality(trainer, views), 4)
            print(_MARK + json.dumps(point), flush=True)


# -- all of them -------------------------------------------------------------------------------------------------------


class _Training:
    """A variant: its process, and its curve so far."""

    def __init__(self, name: str, words: list[str], options: argparse.Namespace) -> None:
        self.name, self.points = name, []  # type: tuple[str, list[dict[str, float]]]
        codes = [word.removeprefix("code=") for word in words if word.startswith("code=")]
        settings = [word for word in words if not word.startswith("code=")]
        environment, python = {**os.environ, "INR_LPIPS": "off"}, Path(sys.executable)
        if codes:
            folder = Path(codes[-1]).resolve()
            environment["PYTHONPATH"] = str(folder)
            own = folder / ".venv" / "bin" / "python"
            python = own if own.exists() else python
        command = [str(python), __file__, "--data", str(options.data), "--steps", str(options.steps)]
        command += ["--views", str(options.views), "--stride", str(options.stride), "--seed", str(options.seed)]
        command += ["--decay-over", str(options.decay_over), "--json", "-", "--here", *settings]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(_MARK):
                return line.removeprefix(_MARK)
        raise SystemExit(f"{self.name}: the training failed")

    def go_to(self, step: int) -> dict[str, float]:
        """Train up to a step; the point of the curve there."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{step}\n")
        self.process.stdin.flush()
        self.points.append(json.loads(self._answer()))
        return self.points[-1]

    def end(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def largest_fall(points: list[dict[str, float]]) -> float:
    """By how many dB a curve lies below its own best before, at most."""
    best, fall = -np.inf, 0.0
    for point in points:
        best = max(best, point["psnr"])
        fall = max(fall, best - point["psnr"])
    return fall


def seconds_to(points: list[dict[str, float]], psnr: float) -> float | None:
    """Seconds until a curve reaches so many dB for good, linear between its points; None if it does not."""
    below = [i for i, point in enumerate(points) if point["psnr"] < psnr]
    last = below[-1] if below else -1
    if last == len(points) - 1:
        return None
    if last < 0:
        return points[0]["seconds"]
    a, b = points[last], points[last + 1]
    return a["seconds"] + (psnr - a["psnr"]) / (b["psnr"] - a["psnr"]) * (b["seconds"] - a["seconds"])


def psnr_at(points: list[dict[str, float]], seconds: float) -> float | None:
    """PSNR after so many seconds, linear between points; None before the first and after the last."""
    for a, b in pairwise(points):
        if a["seconds"] <= seconds <= b["seconds"]:
            part = (seconds - a["seconds"]) / (b["seconds"] - a["seconds"])
            return a["psnr"] + part * (b["psnr"] - a["psnr"])
    return None


def table(curves: dict[str, list[dict[str, float]]], levels: list[float], times: list[float]) -> str:
    """What the curves say, as a table in markdown."""
    heads = ["variant", "seconds", "last PSNR", "largest fall", "longest step"]
    heads += [f"dB after {seconds:g} s" for seconds in times] + [f"seconds to {level:g} dB" for level in levels]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, points in curves.items():
        longest = max(point["longest"] for point in points)
        cells = [name, f"{points[-1]['seconds']:.0f}", f"{points[-1]['psnr']:.2f}"]
        cells += [f"{largest_fall(points):.2f}", f"{longest:.1f}"]
        reached = [psnr_at(points, seconds) for seconds in times] + [seconds_to(points, level) for level in levels]
        cells += ["-" if each is None else f"{each:.2f}" for each in reached]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Train what is missing, in turns, and print the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset with test views")
    parser.add_argument("--json", type=Path, required=True, help="where all curves are kept")
    parser.add_argument(
        "--variant", nargs="+", action="append", default=[], metavar="WORD", help="name, code, settings"
    )
    parser.add_argument("--steps", type=int, default=1500, help="of each training")
    parser.add_argument("--every", type=int, default=60, help="steps between points of the curve")
    parser.add_argument("--dense", type=int, nargs=3, metavar=("FROM", "TO", "EVERY"), help="more points between steps")
    parser.add_argument("--views", type=int, default=6, help="test views")
    parser.add_argument("--stride", type=int, default=2, help="pixels of each axis from one that counts to the next")
    parser.add_argument("--decay-over", type=int, default=0, help="steps over which rates fall; 0: the preset's")
    parser.add_argument("--levels", type=float, nargs="*", default=[], help="dB whose seconds are told")
    parser.add_argument("--times", type=float, nargs="*", default=[60, 300], help="seconds whose dB are told")
    parser.add_argument("--seed", type=int, default=42, help="of the trainings")
    parser.add_argument("--here", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here is not None:
        _work(options)
        return
    kept: dict[str, Any] = json.loads(options.json.read_text()) if options.json.exists() else {}
    steps = {*range(options.every, options.steps, options.every), options.steps}
    if options.dense:
        steps |= {*range(options.dense[0], options.dense[1] + 1, options.dense[2])}
    variants = {words[0]: words[1:] for words in options.variant or [["now"]]}
    wanted = [name for name in variants if len(kept.get(name, {"points": []})["points"]) != len(steps)]
    trainings = [_Training(name, variants[name], options) for name in wanted]
    for step in sorted(steps):
        for training in trainings:
            point = training.go_to(step)
            kept[training.name] = {"words": variants[training.name], "points": training.points}
            words = "  ".join(f"{name} {value}" for name, value in point.items())
            print(f"{training.name:>12}  {words}", file=sys.stderr, flush=True)
        options.json.write_text(json.dumps({**kept}, indent=1))
    for training in trainings:
        training.end()
    print(table({name: kept[name]["points"] for name in variants}, options.levels, options.times))


if __name__ == "__main__":
    main()
