"""An object from holograms: diner-lensless beside a network of coordinates and Gerchberg and Saxton's method.

.venv/bin/python benchmarks/lensless.py DATA --work DIR [--rows keys network gs] [--steps 600] [--noise 0 0.05]
    [--minutes 7] [--every 25] [--frequencies both-ends] [--report]

DATA is what ns-train diner-lensless takes. "network" has eight ReLU layers of 256 of ten octaves of the place for each
part, DNF's network with which DINER's paper compares, in the same trainer with the same loss; "gs" is Gerchberg and
Saxton's method, 100 steps. Fits are scored every so many steps, off the clock, and end after the minutes. Every result
is a file in the work folder, and one that is there is not made again: stopped, the same command goes on. Figures are
those of ns-eval.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from pathlib import Path
from typing import Any

from inr_plugins.files import write_json

ROWS = ("keys", "network", "gs")
_GOAL_DB = 30.0


class _OutOfTime(Exception):
    """The minutes are over."""


def settings(row: str, noise: float, options: argparse.Namespace) -> Any:
    """The method's configuration."""
    from inr_plugins.method_configs.lensless import diner_lensless

    config: Any = copy.deepcopy(diner_lensless.config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data = options.data
    manager.dataparser.noise, manager.dataparser.frequencies = noise, options.frequencies
    if row == "network":
        model.keys = False
        for name, value in {"activation": "relu", "encoding": "positional", "width": 256, "hidden_layers": 8}.items():
            setattr(model.network, name, value)
    if row != "gs":
        for name, value in (each.split("=") for each in options.set):
            setattr(model, name, json.loads(value))
    return config


def fit(name: str, row: str, noise: float, options: argparse.Namespace) -> dict[str, Any]:
    """One training, and its scores on the way."""
    from inr_plugins.engine.rng import seed_all

    config = settings(row, noise, options)
    config.output_dir, config.experiment_name = options.work / "runs", name
    config.max_num_iterations, config.steps_per_save, config.vis = options.steps, options.steps, "tensorboard"
    config.final_eval_images, config.steps_per_eval_image, config.steps_per_eval_batch = 0, 0, 0
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    pipeline = trainer.pipeline
    parser, step_of = pipeline.datamanager.dataparser, pipeline.get_train_loss_dict
    curve: list[dict[str, float]] = []
    clock = {"begin": time.perf_counter(), "off": 0.0}

    def score(step: int) -> float:
        begin = time.perf_counter()
        seconds = begin - clock["begin"] - clock["off"]
        pipeline.eval()
        scores = pipeline.model.measurement_scores(parser.measured, {}, parser.truth)
        pipeline.train()
        curve.append({"step": step, "seconds": seconds, **scores})
        clock["off"] += time.perf_counter() - begin
        print(name, json.dumps({key: round(value, 3) for key, value in curve[-1].items()}), file=sys.stderr, flush=True)
        return seconds

    def step_and_score(step: int) -> Any:
        if step % options.every == 0 and step and score(step) > 60 * options.minutes:
            raise _OutOfTime
        return step_of(step)

    pipeline.get_train_loss_dict = step_and_score
    try:
        trainer.train()
        score(options.steps)
    except _OutOfTime:
        pass
    reached = [each["seconds"] for each in curve if each.get("psnr_amplitude", 0.0) >= _GOAL_DB]
    return {**curve[-1], "seconds_to_goal": reached[0] if reached else None, "curve": curve}


def classical(noise: float, options: argparse.Namespace) -> dict[str, Any]:
    """Gerchberg and Saxton's answer."""
    from inr_plugins.operators.lensless import gerchberg_saxton

    config = settings("gs", noise, options)
    config.pipeline.datamanager.settle_parser()
    pipeline = config.pipeline.setup(device="cpu", test_mode="inference")
    parser = pipeline.datamanager.dataparser
    measured = parser.measured
    begin = time.perf_counter()
    found = gerchberg_saxton(measured)
    seconds = time.perf_counter() - begin
    scores = pipeline.model.measurement_scores(measured, {"gs": found}, parser.truth)
    return {"seconds": seconds, **{key[:-3]: value for key, value in scores.items() if key.endswith("_gs")}}


def table(found: dict[tuple[str, float], dict[str, Any]]) -> str:
    """As markdown."""
    lines = [
        "| | noise | amplitude | phase | held-out hologram | steps, seconds | to 30 dB of amplitude |",
        "|---" * 7 + "|",
    ]
    for (row, noise), each in found.items():
        size = f"{each['psnr_amplitude']:.2f} dB ({each['ssim_amplitude']:.3f})" if "psnr_amplitude" in each else "-"
        turned = f"{each['psnr_phase']:.2f} dB" if "psnr_phase" in each else "-"
        held = f"{each['held_out_psnr']:.2f} dB, {100 * each['held_out_error']:.2f} %"
        goal = f"{each['seconds_to_goal']:.0f} s" if each.get("seconds_to_goal") else "-"
        steps = f"{each['step']:.0f}, " if "step" in each else ""
        lines.append(
            f"| {row} | {100 * noise:g} % | {size} | {turned} | {held} | {steps}{each['seconds']:.0f} s | {goal} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="where all results are kept")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--frequencies", choices=("fft", "both-ends"), default="fft")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="options of the model")
    parser.add_argument("--report", action="store_true", help="only print the table")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()
    found = {}
    for noise in options.noise:
        for row in options.rows:
            more = "" if row == "gs" else "-".join(["", str(options.steps), *options.set])
            name = f"{options.data.stem}-{row}-{noise:g}{more}"
            place = options.work / f"{name}.json"
            if not place.exists() and not options.report:
                made = classical(noise, options) if row == "gs" else fit(name, row, noise, options)
                write_json(place, made)
            if place.exists():
                found[row, noise] = json.loads(place.read_text(encoding="utf-8"))
    print(table(found))


if __name__ == "__main__":
    main()
