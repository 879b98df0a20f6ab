"""The table of an evaluation: a column a run, a row a metric, the best value of each row marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table

from inr_plugins.evaluation.surfaces import threshold_names

_STAGE = "psnr_stage_"
_OF_OTHERS = (
    ("psnr_", "PSNR", "high", ".2f"),
    ("ssim_", "SSIM", "high", ".4f"),
    ("held_out_error_", "error of held-out views", "low", ".4g"),
    ("held_out_contrast_error_", "error of held-out contrast", "low", ".4g"),
)
"""Metrics of answers without a network, which have their name behind them."""
MARK = "*"
"""Stands after the best value of a row."""


@dataclass(frozen=True)
class Row:
    """A metric of every run.

    Attributes:
        name: what it is, with its unit.
        values: one a run; None where it is missing.
        floors: what a perfect prediction gets, where that is not obvious; one a run.
        better: which way is better.
        form: format of a value.
    """

    name: str
    values: list[float | None]
    better: Literal["high", "low"]
    form: str
    floors: list[float | None] | None = None


def best(values: Sequence[float | None], better: Literal["high", "low"]) -> set[int]:
    """Places of the best of at least two values; none where there are fewer, or they are all the same."""
    there = [value for value in values if value is not None]
    if len(there) < 2 or len(set(there)) == 1:
        return set()
    extreme = max(there) if better == "high" else min(there)
    return {place for place, value in enumerate(values) if value == extreme}


def image_rows(runs: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows of the means over views."""
    keys = list(dict.fromkeys(key for run in runs for key in (run["images"] or {"mean": {}})["mean"]))
    stages = sorted({int(key.rpartition("_")[2]) for key in keys if _STAGE in key})
    others = [
        (f"{name} of {key.removeprefix(prefix).upper()}", key, better, form)
        for prefix, name, better, form in _OF_OTHERS
        for key in keys
        if key.startswith(prefix) and _STAGE not in key
    ]
    rows = (
        ("PSNR (dB)", "psnr", "high", ".2f"),
        *((f"PSNR of stage {stage} (dB)", f"{_STAGE}{stage}", "high", ".2f") for stage in stages),
        ("SSIM", "ssim", "high", ".4f"),
        ("LPIPS", "lpips", "low", ".4f"),
        ("silhouette IoU", "silhouette_iou", "high", ".4f"),
        ("error of held-out views", "held_out_error", "low", ".4g"),
        ("error of held-out contrast", "held_out_contrast_error", "low", ".4g"),
        *others,
        ("seconds a view", "seconds", "low", ".3g"),
    )
    return [
        Row(name, [(run["images"] or {"mean": {}})["mean"].get(key) for run in runs], better, form)  # type: ignore[arg-type]
        for name, key, better, form in rows
    ]


def surface_rows(runs: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows of the distances, each with its floor, the F-scores and the IoU; over what cameras see, if that is known."""
    surfaces = [None if run["surface"] is None else {**run["surface"], **_seen(run)} for run in runs]
    suffix = ", seen" if any(map(_seen, runs)) else ""

    def both(key: str) -> tuple[list[float | None], list[float | None]]:
        values, floors = (
            [None if surface is None else surface[part][key] for surface in surfaces] for part in ("scores", "floor")
        )
        return values, floors

    rows = []
    for name, key, better in (
        ("Chamfer", "chamfer", "low"),
        ("Chamfer squared", "chamfer_squared", "low"),
        ("accuracy", "accuracy", "low"),
        ("completeness", "completeness", "low"),
        ("normal consistency", "normal_consistency", "high"),
    ):
        values, floors = both(key)
        rows.append(Row(f"{name}{suffix}", values, better, ".4g", floors))  # type: ignore[arg-type]
        if key == "chamfer":
            shares = [[_share_of_diagonal(*pair) for pair in zip(part, surfaces, strict=True)] for part in both(key)]
            rows.append(Row(f"{name}{suffix} (% of diagonal)", shares[0], "low", ".3g", shares[1]))
    for place, name in enumerate(next((threshold_names(surface) for surface in surfaces if surface), [])):
        found = [
            [None if s is None else s[part]["thresholds"][place]["f_score"] for s in surfaces]
            for part in ("scores", "floor")
        ]
        rows.append(Row(f"F-score{suffix} at {name}", found[0], "high", ".4f", found[1]))
    ious = [None if surface is None or surface["iou"] is None else surface["iou"]["iou"] for surface in surfaces]
    return [*rows, Row(f"volumetric IoU{suffix}", ious, "high", ".4f")]


def _seen(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was measured over what cameras see; empty where it was not."""
    return (run["surface"] or {}).get("seen") or {}


def _share_of_diagonal(distance: float | None, surface: Mapping[str, Any] | None) -> float | None:
    """A distance in percent of the diagonal of the truth's box."""
    if distance is None or surface is None:
        return None
    low, high = surface["truth"]["box"]
    return 100 * distance / math.dist(low, high)


def make_table(record: Mapping[str, Any]) -> Table:
    """The table of a record, under which :func:`captions` belong; metrics that no run has are left out."""
    runs = record["runs"]
    table = Table()
    table.add_column("")
    for run in runs:
        step = "" if run["step"] is None else f"\nstep {run['step']}"
        table.add_column(f"{escape(run['label'])}{step}", justify="right")
    for row in [*image_rows(runs), *surface_rows(runs)]:
        if all(value is None for value in row.values):
            continue
        marked = best(row.values, row.better)
        cells = [_cell(row, place, is_best=place in marked) for place in range(len(runs))]
        table.add_row(row.name, *cells)
    return table


def _cell(row: Row, place: int, *, is_best: bool) -> str:
    value = row.values[place]
    if value is None:
        return "-"
    text = f"{value:{row.form}}"
    text = f"[bold]{text} {MARK}[/bold]" if is_best else text
    floor = None if row.floors is None else row.floors[place]
    return text if floor is None else f"{text} [dim](floor {floor:{row.form}})[/dim]"


def captions(record: Mapping[str, Any]) -> list[str]:
    """What a reader has to know about the numbers: views, means, backgrounds, thresholds and floors."""
    shapes = sorted({run["shape"] for run in record["runs"] if run.get("shape")})
    lines = [f"Shape: {', '.join(shapes)}."] if shapes else []
    images = [run["images"] for run in record["runs"] if run["images"] is not None]
    if images:
        counts = sorted({(image["views_measured"], image["views_of_the_split"]) for image in images})
        views = ", ".join(f"{measured} of {count}" for measured, count in counts)
        split = record["protocol"]["images"]["split"]
        lines.append(f"{views} {split} views; PSNR, SSIM and LPIPS are means of per-view values.")
        lines.append(f"Background: {'; '.join(sorted({_background(view) for i in images for view in i['views']}))}.")
        if len({tuple(view["file"] for view in image["views"]) for image in images}) > 1:
            lines.append("The runs were measured on different views, so their images do not compare.")
    surfaces = [run["surface"] for run in record["runs"] if run["surface"] is not None]
    if surfaces:
        lines.append(
            f"Distances in units of the dataset, {surfaces[0]['samples']:,} points a surface; floor: what a second "
            "sampling of the truth gets."
        )
        lines += [_thresholds(surface) for surface in surfaces[:1]]
        lines += [line for line in map(_unseen, record["runs"]) if line]
        if len({(surface["truth"]["kind"], str(surface["truth"]["box"])) for surface in surfaces}) > 1:
            lines.append("The runs have different truths, so their surfaces do not compare.")
    lines += [f"{run['label']}: {note}" for run in record["runs"] for note in run["notes"]]
    if len(record["runs"]) > 1:
        lines.append(f"{MARK} best of its row.")
    return lines


def _background(view: Mapping[str, Any]) -> str:
    if view["truth"] == "alpha":
        return f"images over {view['background']}"
    if view["truth"] == "composited":
        return f"images composited over {view['background']} by the dataparser, taken as they are"
    if view["truth"] == "mask":
        return f"images cut out along their masks, over {view['background']}"
    if view["truth"] == "whole":
        return "images taken whole, with what is outside of their masks (--background white cuts them out)"
    return "images without alpha, taken as they are"


def _unseen(run: Mapping[str, Any]) -> str | None:
    """What is left out where only what cameras see is measured."""
    seen = _seen(run)
    if not seen:
        return None
    iou = seen["iou"]
    volume = "" if iou is None else f", and {100 * iou['left_out_share']:.1f} % of the volume of both"
    return (
        f"{run['label']}: seen by none of {seen['cameras']} training cameras, and left out: "
        f"{100 * seen['unseen_share']:.1f} % of the truth's area, {100 * seen['left_out_share']:.1f} % of the "
        f"prediction's{volume}. The record has the whole surfaces' scores too."
    )


def _thresholds(surface: Mapping[str, Any]) -> str:
    values = ", ".join(f"{score['threshold']:.4g}" for score in surface["scores"]["thresholds"])
    return f"F-score thresholds: {values} ({surface['thresholds_from']})."
