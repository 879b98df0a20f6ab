"""The range of every numeric option, of ns-train with the methods of this package and of the inr- commands.

They are looked at before anything is loaded and before a run folder is made. What depends on several options, or on
the data, stays with what it belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import tyro

from inr_plugins.errors import InputError, setting

OF_THE_DATA: Mapping[str, Any] = {"of_the_data": True}
"""Metadata of a setting that nobody sets: a run notes in it what its data is."""

LONGEST_NAME = 200
"""Bytes of a name that becomes a folder's: file systems take 255, and what is hidden beside one has a longer name."""


def told(metavar: str, default: str) -> Any:
    """How the help names an option's value and, where there is one, what stands in for a default of None."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})" if default else "")


@dataclass(frozen=True)
class Range:
    """Numbers that an option can have; NaN and infinities are in none.

    Attributes:
        least: the smallest.
        most: the greatest.
        above: `least` itself is left out.
        below: `most` itself is left out.
        also: a number outside that has a meaning of its own.
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False
    also: float | None = None

    def __contains__(self, value: float) -> bool:
        if value == self.also:
            return True
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        return low and high and abs(value) != math.inf

    def __str__(self) -> str:
        """In words that go after "must be"."""
        parts = []
        if self.least > -math.inf:
            parts.append(f"{'above' if self.above else 'at least'} {_number(self.least)}")
        if self.most < math.inf:
            parts.append(f"{'below' if self.below else 'at most'} {_number(self.most)}")
        also = "" if self.also is None else f"{_number(self.also)}, or "
        return also + (" and ".join(parts) or "a finite number")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


_Rows = Sequence[tuple[str, Range, str]]


def _table(rows: _Rows) -> dict[str, Range]:
    """Rows of (what the names begin with, range, names) as ranges by name; no name comes twice."""
    found: dict[str, Range] = {}
    for prefix, allowed, names in rows:
        for name in names.split():
            if prefix + name in found:
                raise KeyError(f"{prefix + name} has two ranges")
            found[prefix + name] = allowed
    return found


_BILLION = 10**9
_ANY = Range()
_COUNT, _COUNT_OR_NONE, _TWO = Range(1, _BILLION), Range(0, _BILLION), Range(2, _BILLION)
_ALL_OR_COUNT = Range(1, _BILLION, also=-1)
_FROM_MINUS_ONE = Range(-1, _BILLION)
# Layers and units of networks: what no machine has memory for is a slip of the finger.
_WIDTH, _DEPTH = Range(1, 65_536), Range(1, 1024)
_POSITIVE, _NOT_NEGATIVE = Range(0, above=True), Range(0)
_PART, _PART_ABOVE_0, _PART_BELOW_1 = Range(0, 1), Range(0, 1, above=True), Range(0, 1, below=True)
_SEED, _PORT = Range(0, 2**32 - 1), Range(1, 65535)
_IMAGE = Range(8, 4096)

_MODEL, _DATA, _PARSER = "pipeline.model.", "pipeline.datamanager.", "pipeline.datamanager.dataparser."
_OPTIMIZER, _SCHEDULER = "optimizers.*.optimizer.", "optimizers.*.scheduler."

TRAINING = _table(
    [
        ("", _COUNT, "max-num-iterations gradient-accumulation-steps.*"),
        ("", _COUNT_OR_NONE, "steps-per-save steps-per-eval-batch steps-per-eval-image steps-per-eval-all-images"),
        ("", _COUNT_OR_NONE, "load-step"),
        ("", Range(2, 65_536), "mesh-resolution"),
        ("", _PART, "eval-time-fraction"),
        ("", _FROM_MINUS_ONE, "final-eval-images"),
        ("machine.", _SEED, "seed"),
        ("machine.", Range(1, 1024), "num-devices num-machines"),
        ("machine.", Range(0, 1023), "machine-rank"),
        ("machine.", Range(1, 10**7), "join-timeout"),
        ("logging.", _COUNT, "steps-per-log max-buffer-size"),
        ("logging.local-writer.", _COUNT_OR_NONE, "max-log-size"),
        ("viewer.", _PORT, "websocket-port websocket-port-default"),
        ("viewer.", _COUNT, "num-rays-per-chunk"),
        ("viewer.", _FROM_MINUS_ONE, "max-num-display-images"),
        ("viewer.", Range(1, 100), "jpeg-quality"),
        ("viewer.", _POSITIVE, "camera-frustum-scale"),
        (_OPTIMIZER, _NOT_NEGATIVE, "lr eps weight-decay"),
        (_OPTIMIZER, _POSITIVE, "max-norm"),
        (_OPTIMIZER, _PART_BELOW_1, "betas"),
        (_SCHEDULER, _PART_ABOVE_0, "final-fraction delay-factor"),
        (_SCHEDULER, _PART_BELOW_1, "delay-share warmup-share"),
        (_SCHEDULER, _COUNT, "max-steps"),
        (_SCHEDULER, _COUNT_OR_NONE, "warmup-steps stage-starts"),
        (_SCHEDULER, _POSITIVE, "lr-final lr-pre-warmup"),
        # Data: pixels of images.
        (_DATA, Range(1, 10**8), "train-num-rays-per-batch eval-num-rays-per-batch pixel-sampler.num-rays-per-batch"),
        (_DATA, _ALL_OR_COUNT, "train-num-images-to-sample-from eval-num-images-to-sample-from"),
        (_DATA, _FROM_MINUS_ONE, "train-num-times-to-repeat-images eval-num-times-to-repeat-images"),
        (_DATA, _COUNT_OR_NONE, "eval-image-indices"),
        (_DATA, Range(0, 16, above=True), "camera-res-scale-factor"),
        (_DATA, Range(1, 4096), "patch-size"),
        (_DATA, _POSITIVE, "pixel-sampler.fisheye-crop-radius"),
        (_DATA, _COUNT, "pixel-sampler.max-num-iterations train-view-stride"),
        (_DATA, _NOT_NEGATIVE, "cache-gigabytes gpu-cache-gigabytes"),
        (_PARSER, _POSITIVE, "scale-factor scene-scale depth-unit-scale-factor"),
        (_PARSER, Range(1, 1024), "downscale-factor"),
        (_PARSER, _PART_ABOVE_0, "train-split-fraction"),
        (_PARSER, _TWO, "eval-interval"),
        (_PARSER, _PART, "mask-color"),
        (_PARSER, _FROM_MINUS_ONE, "max-2D-matches-per-3D-point"),
        # Data: points around shapes.
        (_DATA, Range(1, 10**8), "points-per-batch"),
        (_DATA, _COUNT, "shapes-per-batch"),
        (_DATA, Range(1, 1024), "ahead"),
        (_DATA, _NOT_NEGATIVE, "near-share far-share uniform-share surface-share"),
        (_DATA, _SEED, "seed"),
        (_PARSER, Range(0, 2, above=True), "near-scale far-scale extent"),
        (_PARSER, Range(0, 10**8), "pool"),
        (_PARSER, _SEED, "sample-seed"),
        (_PARSER, Range(10, _BILLION), "cloud-points"),
        (_PARSER, Range(3, 1000), "normal-neighbours"),
        (_PARSER, Range(), "scanner"),
        (_PARSER, _POSITIVE, "file-unit"),
        (_PARSER, _IMAGE, "image-size"),
        (_PARSER, Range(2, 10_000), "train-views val-views test-views"),
        # Data: pixels of an image.
        (_PARSER, _NOT_NEGATIVE, "memory-gigabytes"),
        (_PARSER, Range(2, _BILLION), "first-frames"),
        (_PARSER, Range(4, 65_536), "size"),
        (_DATA, Range(1, _BILLION), "pixels-per-batch"),
        # Data: views of a slice.
        (_PARSER, Range(1, 10_000), "views held-out-views"),
        (_PARSER, Range(0, 100_000), "slice"),
        (_PARSER, Range(0, 10), "noise"),
        (_PARSER, _SEED, "noise-seed"),
        (_PARSER, Range(1e-4, 0.9), "share"),
        (_PARSER, Range(1e-6, 1e4), "pixel-mm side-mm"),
        # Data: holograms, and pictures in the light of LEDs.
        (_PARSER, Range(0, 1000), "held-out-heights"),
        (_PARSER, Range(0, 4096), "margin"),
        (_PARSER, Range(4, 1024), "leds"),
        (_PARSER, Range(1, 1024), "held-out-leds"),
        (_PARSER, Range(0, 2, above=True), "ring-na"),
        # Networks.
        (_MODEL, _WIDTH, "width widths colour-width network.width expert-width trunk-width"),
        (_MODEL, _DEPTH, "hidden-layers colour-layers network.hidden-layers trunk-layers"),
        (_MODEL, _COUNT_OR_NONE, "skips network.skips"),
        (_MODEL, Range(0, 64), "octaves network.octaves"),
        (_MODEL, _POSITIVE, "omega scale carrier beta network.omega network.scale network.carrier network.beta"),
        (_MODEL, _POSITIVE, "first-bias network.first-bias"),
        (_MODEL, _WIDTH, "fourier-features network.fourier-features"),
        (_MODEL, _POSITIVE, "fourier-std network.fourier-std"),
        # Rendering.
        (_MODEL, Range(1, 10**8), "eval-num-rays-per-chunk"),
        (_MODEL, _NOT_NEGATIVE, "near-plane"),
        (_MODEL, _POSITIVE, "far-plane box-scale"),
        (_MODEL, _PART_BELOW_1, "min-transmittance min-weight train-min-weight average-decay visible-weight"),
        (_MODEL, Range(2, 65_536), "num-coarse-samples uniform-samples outside-samples"),
        (_MODEL, Range(1, 65_536), "num-fine-samples"),
        (_MODEL, Range(0, 65_536), "finer-samples"),
        (_MODEL, Range(1, 64), "sampling-rounds"),
        (_MODEL, Range(8, 65_536), "samples-per-diagonal march-samples"),
        (_MODEL, _COUNT_OR_NONE, "double-samples-at grid-warm-up-steps"),
        (_MODEL, Range(1024, _BILLION), "max-train-samples"),
        (_MODEL, Range(2, 1024), "grid-resolution"),
        (_MODEL, Range(3, 256, also=0), "lattice-cells"),
        (_MODEL, _COUNT, "grid-refresh-every trace-steps"),
        (_MODEL, Range(1), "trace-slope"),
        # diner.
        (_MODEL, Range(8, _BILLION), "num-voxels coarse-voxels"),
        (_MODEL, _WIDTH, "key-width"),
        (_MODEL, _COUNT, "coarse-steps coarse-prune-every"),
        (_MODEL, Range(0, 2, above=True), "coarse-step-size step-size"),
        (_MODEL, _COUNT_OR_NONE, "prune-steps warm-up-steps colour-start-steps"),
        (_MODEL, _NOT_NEGATIVE, "coarse-entropy-weight entropy-weight coarse-point-weight point-weight"),
        # diner-image.
        (_MODEL, _NOT_NEGATIVE, "key-start smoothness sparsity"),
        # diner-surface.
        (_MODEL, Range(24, 2048), "lattice-sizes"),
        (_MODEL, Range(8, 1024), "coarse-sizes hull-sizes"),
        (_MODEL, Range(0, 2), "colour-degrees"),
        (_MODEL, _COUNT, "hull-steps stage-steps sharpening-steps refresh-every"),
        (_MODEL, _POSITIVE, "sharpness-start sharpness-end"),
        (_MODEL, _NOT_NEGATIVE, "curvature-weight area-weight smooth-share"),
        # Surfaces and shapes.
        (_MODEL, Range(1, 10**4), "slow-weight"),
        (_MODEL, Range(1, 10**8), "eikonal-points"),
        (_MODEL, _NOT_NEGATIVE, "eikonal-weight mask-weight coarse-loss-weight coarse-weight normal-weight"),
        (_MODEL, Range(-1, 1), "initial-variance"),
        (_MODEL, _POSITIVE, "sharpness-rate"),
        (_MODEL, _PART, "anneal-share solve-share"),
        (_MODEL, _COUNT_OR_NONE, "start-steps"),
        (_MODEL, _COUNT, "start-run-steps"),
        # Dictionaries.
        (_MODEL, Range(2, 10**6), "experts"),
        (_MODEL, Range(1, 10**6), "active gate-points"),
        (_MODEL, Range(1, 64), "patches"),
        (_MODEL, _COUNT_OR_NONE, "warmup-steps"),
        (_MODEL, _NOT_NEGATIVE, "sparsity-weight balance-weight load-weight"),
        (_MODEL, Range(10, 10**8), "points"),
        (_MODEL, Range(0, 10**8), "far-points detail-points"),
        (_MODEL, Range(0, 0.5, above=True), "offsets"),
        (_MODEL, _NOT_NEGATIVE, "surface-weight offset-weight far-weight"),
        (_MODEL, _POSITIVE, "noise"),
        (_MODEL, _POSITIVE, "time-omega"),
        (_MODEL, _WIDTH, "time-width"),
        (_MODEL, _NOT_NEGATIVE, "decay"),
        (_MODEL, Range(0, 1, above=True, below=True), "threshold"),
        (_MODEL, _PART_ABOVE_0, "isotropic l1"),
        (_MODEL, _POSITIVE, "white"),
        (_MODEL, Range(4, 4096, also=0), "patch"),
        (_MODEL, Range(0, 4096), "overlap"),
        (_MODEL, Range(1, 10**8), "places pieces"),
    ]
)
"""Ranges of ns-train's options by name; an asterisk stands for the name of a group of parameters."""

COMMANDS = {
    "inr-mesh": _table(
        [
            ("", Range(2, 65_536), "resolution"),
            ("", _POSITIVE, "voxel-size memory-gb trim-to-points"),
            ("", _COUNT_OR_NONE, "min-component"),
            # No closed mesh has fewer.
            ("", Range(4, _BILLION), "max-faces"),
            ("", Range(64, 8192), "texture"),
            ("", Range(0.0, 1.0), "blend"),
            ("", _ANY, "level box crop"),
        ]
    ),
    "inr-eval": _table(
        [
            ("", _COUNT, "every views"),
            ("", Range(2, 65_536), "resolution"),
            ("", _POSITIVE, "thresholds"),
            ("", Range(100, 10**8), "samples"),
            ("", _SEED, "seed"),
        ]
    ),
    "inr-scene": _table(
        [
            ("", Range(2, 8192), "resolution"),
            ("", Range(1, 100_000), "num-train num-val num-test"),
            ("", Range(0.001, 1e4), "radius"),
            ("", Range(0.001, 1e3), "object-radius"),
            ("", Range(1, 150), "fov"),
            ("", Range(1, 1024), "samples"),
            ("", Range(0, 180), "smooth-angle"),
            ("", Range(0, 2**63 - 1), "seed"),
            ("light.", Range(-360, 360), "azimuth"),
            ("light.", Range(-90, 90), "elevation"),
            ("light.", Range(0, 90), "size"),
            ("light.", Range(0, 10), "key fill gloss"),
        ]
    ),
    "inr-bench": _table(
        [
            ("", _POSITIVE, "seconds time-limit"),
            ("", _NOT_NEGATIVE, "checkpoint-every"),
            ("", _COUNT, "steps eval-every-view eval-pixel-stride"),
            ("", Range(1, 10_000), "seeds"),
            ("", Range(0, 1023), "devices"),
            ("", _COUNT, "curve-points curve-views"),
            ("", Range(2, 65_536, also=0), "mesh-resolution"),
        ]
    ),
    "inr-photos": _table(
        [
            ("", Range(32, 16_384), "max-size"),
            ("", Range(3, 10_000), "frames"),
            ("", Range(100, 10**6), "max-features"),
            ("", _PART, "at-least"),
            ("", Range(0, 2**31 - 1), "seed"),
            ("", _POSITIVE, "known-length"),
        ]
    ),
    "inr-signal": _table(
        [("", Range(1 / 1024, 1024), "scale"), ("", _COUNT_OR_NONE, "region"), ("", Range(1 / 1024, 1000), "fps")]
    ),
    # A kernel has as many rows, and takes a backward pass of all of them for each.
    "inr-analyze": _table([("", Range(2, 4096), "points")]),
    "inr-phantom": _table(
        [
            ("", Range(1, 100_000), "size"),
            ("", Range(2, 100_000), "frames"),
            ("", Range(1, 10**7), "count"),
            ("", Range(2, 3), "colours"),
            ("", Range(0, 1000), "mixes"),
            ("", Range(0, 2**63 - 1), "seed"),
        ]
    ),
    "inr-decompress": _table([("", Range(1, 1024), "stage")]),
    "inr-fit": _table(
        [("", _COUNT, "steps"), ("", Range(0, 10**9), "detail-points"), ("", Range(2, 65_536), "resolution")]
    ),
    "inr-compress": _table([("", Range(0, 60, above=True), "loss"), ("", _COUNT, "size steps")]),
    "inr-demo": _table(
        [
            ("", _COUNT, "steps frames"),
            ("", Range(2, 65_536), "mesh-resolution"),
            ("", Range(32, 16_384), "photo-size video-size"),
        ]
    ),
    "inr-view": _table([("", _PORT, "port")]),
}
"""The same of this package's own commands."""


def check_numbers(settings: Any, table: Mapping[str, Range], *, prefix: str = "", unprefixed: str = "") -> None:
    """Refuse the first number in a command's settings that is outside of its range.

    Args:
        settings: a dataclass, with others in its fields and in dictionaries there.
        table: ranges by the name of the option; numbers without one are let pass.
        prefix: where the settings stand in those of the command.
        unprefixed: what names begin with that is not typed, as that of a dataparser's options behind its own name.

    Raises:
        InputError: naming the option, its range and the number.
    """
    for option, key, value in _numbers(settings, prefix, prefix):
        allowed = table.get(key)
        if allowed is not None and value not in allowed:
            typed = option.removeprefix(unprefixed)
            # Settings of a training have no other name than their option's.
            name = f"--{typed}" if table is TRAINING else setting(typed.replace("-", "_"))
            raise InputError(f"{name} must be {allowed}, got {value}: give it another number, or leave it out.")


def model_option(name: str) -> str:
    """A setting of a model as the option that it is."""
    return f"--{_MODEL}{name.replace('_', '-')}"


def check_model(config: Any) -> None:
    """Refuse the first number in a model's settings that is outside of its range.

    Raises:
        InputError: naming the option, its range and the number.
    """
    check_numbers(config, TRAINING, prefix=_MODEL)


def check_schedule(config: Any) -> None:
    """Refuse the first number in the settings of a schedule of a learning rate that is outside of its range.

    Raises:
        InputError: naming the option, its range and the number.
    """
    check_numbers(config, TRAINING, prefix=_SCHEDULER)


def check_name(name: str | None, option: str) -> None:
    """Refuse a name for a folder that no file system takes.

    Raises:
        InputError: naming the option.
    """
    if name is None:
        return
    size = max(len(part.encode(errors="surrogatepass")) for part in name.split("/"))
    if size > LONGEST_NAME:
        raise InputError(f"{option} is {size} bytes long, and names of folders can have {LONGEST_NAME}: shorten it.")
    if "\0" in name or name in (".", ".."):
        raise InputError(f"{option} is {name!r}, which no folder can be called: give another.")


def _numbers(settings: Any, option: str, key: str) -> Iterator[tuple[str, str, float]]:
    """Each number in `settings` with its option's name and its key in the table."""
    if isinstance(settings, int | float) and not isinstance(settings, bool):
        yield option, key, settings
    elif isinstance(settings, tuple | list):
        for each in settings:
            yield from _numbers(each, option, key)
    elif isinstance(settings, dict):
        for name, each in settings.items():
            # The groups of parameters are named by the method, what is in them is not.
            inner = name if "*" in key else "*"
            yield from _numbers(each, f"{option}.{name}", f"{key}.{inner}")
    elif is_dataclass(settings) and not isinstance(settings, type):
        for field in fields(settings):
            name = field.name.replace("_", "-")
            if not name.startswith("-"):
                dot = "." if option and not option.endswith(".") else ""
                yield from _numbers(getattr(settings, field.name, None), f"{option}{dot}{name}", f"{key}{dot}{name}")
