"""What is to be run: jobs with keys that follow from all that could change their results, in an order that is fair.

The protocol is the same for every method. With budgets in seconds each training runs once, with the method's own
length and learning-rate schedule, and a clock stops it: what a user with a stopwatch gets. Budgets are moments of that
one training. The clock starts when the data is loaded, counts what a model does to prepare itself and then the steps,
from when the first batch is ready, and stands still during evaluation; a step that has begun when a budget ends is
finished and counts. With budgets in steps the largest is the training's --max-num-iterations, which methods whose
schedules follow the run's length go by.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inr_plugins.bench.clock import Unit
from inr_plugins.bench.peers import (
    OF_MEASUREMENTS,
    OF_ONE_IMAGE,
    OF_ONE_VIDEO,
    PEERS,
    check_methods,
    is_stock,
    known_methods,
    method_settings,
)
from inr_plugins.bench.preset import Entry, Preset
from inr_plugins.bench.presets import PRESETS, missing_methods
from inr_plugins.bench.scenes import BUILT_IN, Scene
from inr_plugins.bench.surfaces import DEFAULT_RESOLUTION
from inr_plugins.errors import InputError


@dataclass(frozen=True)
class Protocol:
    """How every training of a benchmark is measured.

    Attributes:
        unit: what budgets are in.
        budgets: moments at which all evaluation views are measured, ascending; training ends with the last.
        eval_every_view: evaluation takes the first and every n-th test view after it, but five at least.
        eval_pixel_stride: of these views every n-th row and column is rendered.
        curve_points: points of the curve of PSNR against time.
        curve_views: evaluation views that each of them is the mean of.
        mesh_resolution: samples along the longest side of the mesh that each budget is measured by; 0: none is made.
        device: cpu or cuda.
        is_of_preset: whether budgets are a preset's own, which may differ from method to method.
    """

    unit: Unit
    budgets: tuple[float, ...]
    eval_every_view: int = 20
    eval_pixel_stride: int = 1
    curve_points: int = 6
    curve_views: int = 2
    mesh_resolution: int = 0
    device: str = "cpu"
    is_of_preset: bool = False


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        label: what the method is called in tables.
        method: its name in ns-train.
        options: the user's and the preset's options of ns-train for it.
        settings: options that it gets for this kind of data.
        scene: the dataset.
        seed: seed of the training.
        protocol: how it is measured.
        preset: the preset that asks for it, or None.
    """

    label: str
    method: str
    options: tuple[str, ...]
    settings: tuple[str, ...]
    scene: Scene
    seed: int
    protocol: Protocol
    preset: str | None = None

    def definition(self) -> dict[str, Any]:
        """All that could change the result, as JSON holds it; of the scene what it is, not where."""
        return {
            "label": self.label,
            "method": self.method,
            "options": list(self.options),
            "settings": list(self.settings),
            "scene": {"name": self.scene.name, "digest": self.scene.digest, "parser": self.scene.parser},
            "seed": self.seed,
            "unit": self.protocol.unit,
            "budgets": list(self.protocol.budgets),
            "eval_every_view": self.protocol.eval_every_view,
            "eval_pixel_stride": self.protocol.eval_pixel_stride,
            "curve_points": self.protocol.curve_points,
            "curve_views": self.protocol.curve_views,
            "device": self.protocol.device,
            "budgets_of_preset": self.protocol.is_of_preset,
            "preset": self.preset,
            # Only where it means something: records without meshes keep the keys they had before there were any.
            **({"mesh_resolution": self.protocol.mesh_resolution} if self.protocol.mesh_resolution else {}),
        }

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that change with the definition."""
        text = json.dumps(self.definition(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def ns_train_arguments(self, run_folder: Path) -> list[str]:
        """Arguments of ns-train: no evaluation, no saving and no viewer while the clock runs.

        What the user's options name is left out of everything else.
        """
        fixed = [
            ("--output-dir", str(run_folder)),
            ("--experiment-name", self.scene.name),
            ("--timestamp", "run"),
            ("--vis", "tensorboard"),
            ("--machine.seed", str(self.seed)),
            ("--machine.device-type", self.protocol.device),
            ("--steps-per-save", "0"),
            ("--steps-per-eval-batch", "0"),
            ("--steps-per-eval-image", "0"),
            ("--steps-per-eval-all-images", "0"),
        ]
        if not is_stock(self.method):
            # They would evaluate once more when training ends.
            fixed.append(("--final-eval-images", "0"))
        if self.protocol.unit == "steps":
            fixed.append(("--max-num-iterations", str(int(self.protocol.budgets[-1]))))
        fixed += zip(self.settings[::2], self.settings[1::2], strict=True)
        given = {word.split("=")[0].replace("_", "-") for word in self.options if word.startswith("--")}
        kept = [word for pair in fixed if pair[0] not in given for word in pair]
        # Methods of shapes and of images have their dataparser built in.
        parser = [] if self.scene.parser in BUILT_IN else [self.scene.parser]
        return [self.method, *kept, *self.options, *parser, "--data", str(self.scene.folder)]


@dataclass(frozen=True)
class Request:
    """What a benchmark is asked to run; see `inr-bench run --help`.

    Attributes:
        methods: names of methods; with a preset, only these of it.
        scenes: datasets.
        seconds: budgets in seconds, or
        steps: budgets in steps.
        seeds: trainings of each method on each scene, with seeds 0, 1, ...
        options: options of ns-train by method; several for one make several rows of it.
        device: cpu or cuda.
        preset: name of a preset, or None.
        eval_every_view: None leaves it to the preset, or 20.
        eval_pixel_stride: see Protocol.
        curve_points: see Protocol.
        curve_views: see Protocol.
        mesh_resolution: see Protocol; None: 256 for shapes and for presets that compare surfaces, else 0.
    """

    methods: tuple[str, ...]
    scenes: tuple[Scene, ...]
    seconds: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    seeds: int = 1
    options: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    device: str = "cpu"
    preset: str | None = None
    eval_every_view: int | None = None
    eval_pixel_stride: int = 1
    curve_points: int = 6
    curve_views: int = 2
    mesh_resolution: int | None = None


def parse_options(given: Sequence[str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Options by method from texts like ``diner=--pipeline.model.key-width 9``.

    Raises:
        InputError: no method before an equals sign, quotes that do not close, or the same options twice for a method.
    """
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for text in given:
        method, equals, options = text.partition("=")
        if not equals or method.startswith("-"):
            raise InputError(f'--options {text} names no method: write --options METHOD="--option value".')
        try:
            words = tuple(shlex.split(options))
        except ValueError as error:
            raise InputError(f"--options {text} cannot be split into words ({error}).") from error
        if words in found.get(method, ()):
            raise InputError(f"--options gives {method} the same options twice: give each row of it others.")
        found[method] = (*found.get(method, ()), words)
    return found


def make_plan(request: Request) -> list[Job]:
    """The jobs of a request, interleaved: every method once on every scene with seed 0, then with seed 1, and so on.

    A slow hour of the machine then hits all methods alike.

    Raises:
        InputError: no or unknown methods, scenes, budgets or preset, or a number out of range.
    """
    preset = _preset(request.preset)
    _check_numbers(request)
    if not request.scenes:
        raise InputError("No scene to train on: give --scenes some dataset folders, or meshes; inr-scene makes one.")
    entries = _entries(request, preset)
    strangers = sorted(set(request.options) - {entry.method for entry in entries})
    if strangers:
        raise InputError(f"--options names {strangers[0]}, which is not among the methods to run: correct its name.")
    _check_kinds(request.scenes, entries)
    jobs = []
    for seed in range(request.seeds):
        for scene in request.scenes:
            jobs += [
                _job(entry, options, scene, seed, request, preset)
                for entry in entries
                for options in request.options.get(entry.method or "", ((),))
            ]
    return jobs


def _check_kinds(scenes: Sequence[Scene], entries: Sequence[Entry]) -> None:
    """Refuse nerfstudio's own methods on shapes, and methods of an image or a video on what is none, and the reverse.

    Whether another one of ours learns from shapes, its training says, and which measurements a method learns from.
    """
    for entry, scene in itertools.product(entries, scenes):
        method, learns_an_image = entry.method or "", (entry.method or "").endswith(OF_ONE_IMAGE)
        if method in OF_MEASUREMENTS:
            if scene.parser not in ("signal-data", "measured-data"):
                raise InputError(f"{method} learns from measurements, and {scene.name} is none: leave one of them out.")
            continue
        if scene.parser == "measured-data":
            raise InputError(f"{method} does not learn from measurements, and {scene.name} is some: leave one out.")
        if scene.parser == "shape-data" and method in PEERS:
            raise InputError(f"{method} learns from views, and {scene.name} is a shape: leave one of them out.")
        if method.endswith(OF_ONE_VIDEO) and scene.parser != "video-data":
            raise InputError(f"{method} learns a video, and {scene.name} is none: leave one of them out.")
        if scene.parser == "video-data" and not method.endswith(OF_ONE_VIDEO):
            raise InputError(f"{method} does not learn a video, and {scene.name} is one: leave one of them out.")
        if scene.parser == "signal-data" and not learns_an_image:
            raise InputError(f"{method} does not learn one image, and {scene.name} is one: leave one of them out.")
        if scene.parser != "signal-data" and learns_an_image:
            raise InputError(f"{method} learns one image, and {scene.name} is none: leave one of them out.")


def _preset(name: str | None) -> Preset | None:
    if name is None:
        return None
    if name not in PRESETS:
        raise InputError(f"There is no preset {name}: choose among {', '.join(PRESETS)}.")
    missing = missing_methods(PRESETS[name], known_methods())
    if missing:
        raise InputError(
            f"The preset {name} cannot be run yet: it needs {', '.join(missing)}, which this version does not have."
        )
    return PRESETS[name]


def _check_numbers(request: Request) -> None:
    if request.seconds and request.steps:
        raise InputError("Give --seconds or --steps, not both: all methods run under one kind of budget.")
    if any(not 0 < value < float("inf") for value in (*request.seconds, *request.steps)):
        raise InputError("Every budget of --seconds or --steps must be above 0.")
    minima = {"seeds": 1, "eval_pixel_stride": 1, "curve_points": 1, "curve_views": 1}
    if request.mesh_resolution:
        minima["mesh_resolution"] = 2
    if request.eval_every_view is not None:
        minima["eval_every_view"] = 1
    for name, least in minima.items():
        if getattr(request, name) < least:
            option = name.replace("_", "-")
            raise InputError(f"--{option} must be at least {least}, got {getattr(request, name)}.")


def _entries(request: Request, preset: Preset | None) -> list[Entry]:
    check_methods(list(request.methods))
    if preset is None:
        if not request.methods:
            raise InputError(f"No method to run: give --methods some of {', '.join(known_methods())}, or a --preset.")
        repeated = [name for name in request.methods if request.methods.count(name) > 1]
        if repeated:
            raise InputError(f"--methods names {repeated[0]} twice: name it once, and repeat with --seeds.")
        return [Entry(name, name) for name in request.methods]
    entries = [entry for entry in preset.entries if entry.method is not None]
    chosen = [entry for entry in entries if not request.methods or entry.method in request.methods]
    if not chosen:
        methods = ", ".join(sorted({entry.method for entry in entries if entry.method}))
        raise InputError(f"The preset {preset.name} runs {methods}: give --methods some of these, or leave it out.")
    return chosen


def _job(
    entry: Entry, options: tuple[str, ...], scene: Scene, seed: int, request: Request, preset: Preset | None
) -> Job:
    assert entry.method is not None
    every = request.eval_every_view
    if every is None:
        every = preset.eval_every_view if preset else 20
    unit, budgets = _budgets(entry, request, preset)
    protocol = Protocol(
        unit=unit,
        budgets=budgets,
        is_of_preset=not (request.seconds or request.steps),
        eval_every_view=every,
        eval_pixel_stride=request.eval_pixel_stride,
        curve_points=request.curve_points,
        curve_views=request.curve_views,
        mesh_resolution=_mesh_resolution(request, scene, preset),
        device=request.device,
    )
    return Job(
        label=labelled(entry.label, options),
        method=entry.method,
        options=(*entry.options, *options),
        settings=method_settings(entry.method, scene.parser),
        scene=scene,
        seed=seed,
        protocol=protocol,
        preset=None if preset is None else preset.name,
    )


def _mesh_resolution(request: Request, scene: Scene, preset: Preset | None) -> int:
    """The user's, else what the scene or the preset is about."""
    if request.mesh_resolution is not None:
        return request.mesh_resolution
    of_surfaces = preset is not None and not {"psnr", "ssim"}.intersection(preset.metrics)
    return DEFAULT_RESOLUTION if of_surfaces or scene.parser == "shape-data" else 0


def labelled(label: str, options: Sequence[str]) -> str:
    """What a row is called: its label and the user's options in short, without what nests them."""
    shown = []
    for word in options:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        shown.append(option.rsplit(".", 1)[-1].lstrip("-") + equals + value)
    return f"{label} ({' '.join(shown)})" if options else label


def _budgets(entry: Entry, request: Request, preset: Preset | None) -> tuple[Unit, tuple[float, ...]]:
    """The user's budgets, else the preset's for this entry; ascending, each once."""
    if request.seconds:
        return "seconds", tuple(sorted({float(value) for value in request.seconds}))
    if request.steps:
        return "steps", tuple(sorted({float(value) for value in request.steps}))
    if entry.steps is not None:
        return "steps", (float(entry.steps),)
    if preset is not None and preset.seconds:
        return "seconds", preset.seconds
    raise InputError("No budget: give --seconds, for instance 60 300 900, or --steps.")
