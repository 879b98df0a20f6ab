"""Tables and plots of the records: scaling_tables.md, growth.json, and a picture for each axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inr_plugins import files
from inr_plugins.machine import hardware, versions

from .axes import AXES, QUANTITIES
from .fit import in_words
from .plots import plot_axis
from .records import Records

Curve = tuple[list[int], list[float]]
"""Sizes, ascending, and a figure of each."""


def curves_of(records: Sequence[dict[str, Any]], axis: str) -> dict[tuple[str, str], Curve]:
    """The figures of an axis by series and quantity, in the order of its table; series that have none are left out."""
    found: dict[tuple[str, str], Curve] = {}
    for series in AXES[axis].series:
        own = [each for each in records if (each["axis"], each["series"]) == (axis, series) and each["error"] is None]
        own.sort(key=lambda each: each["size"])
        for key in AXES[axis].told:
            having = [each for each in own if key in each["found"]]
            if having:
                found[series, key] = [each["size"] for each in having], [each["found"][key] for each in having]
    return found


def write_report(records: Records) -> Path:
    """Write tables and plots of all records there are; the path of the tables."""
    made = list(records.records())
    about = {"hardware": hardware(device=records.device), "versions": versions()}
    files.write_json(records.folder / "growth.json", {**about, "records": made})
    pictures = [name for name in AXES if plot_axis(name, curves_of(made, name), records.folder / f"growth_{name}.png")]
    path = records.folder / "scaling_tables.md"
    files.write_text(path, "\n".join(lines_of(made, about, pictures)))
    return path


def lines_of(records: Sequence[dict[str, Any]], about: dict[str, Any], pictures: Sequence[str]) -> Iterator[str]:
    """The tables, with what was measured on, and what failed."""
    machine = about["hardware"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    torch = about["versions"].get("torch", "?")
    yield f"{gpus}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB; torch {torch}."
    yield ""
    if any(each["tiny"] for each in records):
        yield "A rehearsal: these are not the sizes that are asked about, and no figure means anything."
        yield ""
    codes = sorted({each["code"] for each in records})
    if len(codes) > 1:
        yield f"Measured with different code, {', '.join(codes)}: --rerun measures all with one."
        yield ""
    yield f"{len(records)} points in {sum(each['seconds'] for each in records) / 60:.0f} minutes."
    yield ""
    for name, axis in AXES.items():
        curves = curves_of(records, name)
        failed = [each for each in records if each["axis"] == name and each["error"] is not None]
        if not curves and not failed:
            continue
        yield f"## {axis.title}"
        yield ""
        yield from table(curves, axis.unit)
        yield from (f"- {each['series']} at {each['size']:,}: {each['error']}" for each in failed)
        yield from [""] if failed else []
        if name in pictures:
            yield f"![{axis.title}](../pictures/growth_{name}.png)"
            yield ""


def table(curves: dict[tuple[str, str], Curve], unit: str) -> Iterator[str]:
    """A row for each series and quantity, with how it grows."""
    if not curves:
        return
    sizes = sorted({size for each, _ in curves.values() for size in each})
    yield f"| {unit} | | " + " | ".join(f"{size:,}" for size in sizes) + " | grows as |"
    yield "|---|---|" + "---:|" * len(sizes) + "---|"
    before = None
    for (series, key), (own, costs) in curves.items():
        by_size = dict(zip(own, costs, strict=True))
        cells = [number(by_size[size]) if size in by_size else "" for size in sizes]
        shown = "" if series == before else series
        yield f"| {shown} | {QUANTITIES[key]} | " + " | ".join(cells) + f" | {in_words(own, costs)} |"
        before = series
    yield ""


def number(value: float) -> str:
    """With three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.001 else f"{value:.5f}"
