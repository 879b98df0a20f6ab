"""The report of a benchmark, made from its records alone: Markdown tables, and plots of quality against time."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inr_plugins.bench.beside import beside_table
from inr_plugins.bench.export import RESULTS, write_results
from inr_plugins.bench.paper_table import paper_section
from inr_plugins.bench.plots import plot_scene
from inr_plugins.bench.presets import PRESETS
from inr_plugins.bench.record import Record, code_of, describe_protocol, read_all
from inr_plugins.bench.surface_table import mean_surface_table, surface_table
from inr_plugins.bench.tables import (
    MARK,
    NOTHING,
    Group,
    Spread,
    best_in_bold,
    group_records,
    markdown_table,
    marked,
    mean_over_scenes,
    metric_spread,
    result_at,
    spread,
)
from inr_plugins.errors import InputError
from inr_plugins.files import write_text

REPORT = "report.md"
_OVERRUN = 1.1


_DRAWN = {each: "pixels/s" for each in ("signal-data", "video-data", "measured-data")} | {"shape-data": "points/s"}
"""What methods learn from, where it is not rays."""


def write_report(folders: Path | Sequence[Path], into: Path | None = None) -> tuple[Path, str, list[str]]:
    """Write report.md, results.csv and plots of all records in the folders of benchmarks.

    Args:
        folders: one or several, of several machines for instance; of records with one key the newest counts.
        into: where to write; the first folder by default.

    Returns:
        The file, its text, and sentences on what could not be used.

    Raises:
        InputError: there are no records in one of them, or the folder cannot be written.
    """
    folders = [folders] if isinstance(folders, Path) else folders
    output = folders[0] if into is None else into
    records, complaints = read_all(folders)
    sections = []
    try:
        output.mkdir(parents=True, exist_ok=True)
        for number, group in enumerate(group_records(records), start=1):
            sections.append(_section(group, output, number=number))
        text = "# Benchmark\n\n" + "\n\n".join(sections) + "\n"
        path = output / REPORT
        write_text(path, text)
        write_results(output / RESULTS, records)
    except OSError as error:
        raise InputError(f"The report cannot be written to {output} ({error.strerror}): make it writable.") from error
    return path, text, complaints


def _section(group: Group, output: Path, *, number: int) -> str:
    """One group: title, tables, plots, protocol, and what failed."""
    parts = [f"## {_title(group)}"]
    preset = PRESETS.get(group.preset or "")
    if preset is not None and preset.note:
        parts.append(preset.note)
    if preset is not None and preset.printed and group.records:
        parts.append(paper_section(group, preset))
    parts.append(_code_note(group))
    plots = plot_names(group.scenes())
    for scene in group.scenes():
        if group.of(scene=scene):
            parts += [f"### {scene}", _scene_table(group, scene), surface_table(group, scene)]
            parts.append(beside_table(group, scene))
            plot = output / "plots" / f"{number}-{plots[scene]}.png"
            if plot_scene(group, scene, plot):
                parts.append(f"![PSNR on {scene} against seconds of training]({plot.relative_to(output).as_posix()})")
    if len(group.scenes()) > 1 and group.budgets():
        parts += ["### Mean over scenes", _mean_table(group), mean_surface_table(group)]
    if group.failed:
        parts += ["### Failed", _failures(group)]
    parts += ["### Protocol", _protocol(group)]
    return "\n\n".join(part for part in parts if part)


def _code_note(group: Group) -> str:
    """A warning where the rows of a table were not measured by the same code; empty where they were."""
    codes = sorted({code_of(record) for record in group.records})
    if len(codes) < 2:
        return ""
    return (
        f"**Measured by {len(codes)} versions of this package's code ({', '.join(codes)})**, so rows may differ by "
        "what has changed between them; `inr-bench run ... --rerun stale` measures all of them with one."
    )


def plot_names(scenes: Sequence[str]) -> dict[str, str]:
    """A file name for each scene, in letters that every link and every file system takes, and no two alike.

    A name that has other letters, or that differs from another in its capitals only, ends in digits of its hash.
    """
    slugs = {scene: re.sub(r"[^A-Za-z0-9_-]+", "-", scene) for scene in scenes}
    alike = Counter(slug.lower() for slug in slugs.values())
    return {
        scene: slug
        if slug == scene and alike[slug.lower()] == 1
        else f"{slug.strip('-') or 'scene'}-{hashlib.sha256(scene.encode()).hexdigest()[:8]}"
        for scene, slug in slugs.items()
    }


def budget_text(budget: float, unit: str) -> str:
    """A budget for people: minutes where they are whole."""
    if unit == "steps":
        return f"{budget:,.0f} steps"
    return f"{budget / 60:.0f} min" if budget >= 60 and budget % 60 == 0 else f"{budget:g} s"


def _title(group: Group) -> str:
    preset = PRESETS.get(group.preset or "")
    name = preset.source if preset else group.preset or "Quality under a budget"
    budgets = group.budgets()
    device = "GPU" if group.any_record["definition"]["device"] == "cuda" else "CPU"
    return f"{name}, {', '.join(budget_text(each, group.unit) for each in budgets)} on {device}" if budgets else name


def _scene_table(group: Group, scene: str) -> str:
    """Methods in rows, best first; budgets in columns, then what it cost."""
    columns: list[float | None] = [*group.budgets()] or [None]
    last = columns[-1]
    labels = sorted(
        dict.fromkeys(label for label in group.labels() if group.of(label=label, scene=scene)),
        key=lambda label: -(metric_spread(group.of(label=label, scene=scene), "psnr", last).mean or 0.0),
    )
    rows_of = [group.of(label=label, scene=scene) for label in labels]
    when = [NOTHING if each is None else budget_text(each, group.unit) for each in columns]
    headings = ["method", *(f"PSNR, {each}" if each != NOTHING else "PSNR" for each in when)]
    drawn = _DRAWN.get(rows_of[0][0]["definition"]["scene"]["parser"], "rays/s")
    silhouettes = [metric_spread(rows, "silhouette_iou", last) for rows in rows_of]
    outlined = [best_in_bold(silhouettes, 4)] if any(each.count for each in silhouettes) else []
    headings += ["SSIM", *["silhouettes" for _ in outlined], "steps", "seconds", drawn, "start-up s", "peak GB", "runs"]
    psnr = [best_in_bold([metric_spread(rows, "psnr", each) for rows in rows_of], 2) for each in columns]
    ssim = best_in_bold([metric_spread(rows, "ssim", last) for rows in rows_of], 3)
    table = [
        [
            marked(label, rows),
            *(column[place] for column in psnr),
            ssim[place],
            *(column[place] for column in outlined),
            *_costs(rows, last),
        ]
        for place, (label, rows) in enumerate(zip(labels, rows_of, strict=True))
    ]
    notes = _notes(dict(zip(labels, rows_of, strict=True)), group.unit)
    return "\n\n".join([markdown_table(headings, table), *notes])


def _notes(rows: dict[str, list[Record]], unit: str) -> list[str]:
    """What has to be known of single methods: trainings that ended by themselves, steps much longer than a budget."""
    results = [(label, result) for label, each in rows.items() for row in each for result in row["measured"]["results"]]
    early = dict.fromkeys(label for label, result in results if result["ended_by_itself"])
    notes = [f"Training ended by itself before the last budget: {', '.join(early)}."] if early else []
    over = [
        f"{label} ({result['seconds']:.0f} s for {budget_text(result['budget'], unit)})"
        for label, result in results
        if unit == "seconds" and result["seconds"] > _OVERRUN * result["budget"]
    ]
    if over:
        notes.append(f"The step that ended a budget went well beyond it: {', '.join(over)}.")
    told = [
        f"{label} ({len(resumed['parts'])} parts, {resumed['seconds']:,.0f} s in all)"
        for label, each in rows.items()
        for resumed in (row.get("resumed") for row in each)
        if resumed
    ]
    if told:
        notes.append(
            f"{MARK} A training was stopped and went on from a checkpoint: {', '.join(told)}. Its seconds and speed "
            "leave out what was lost and each start but the first, which what is given in all has in it."
        )
    return notes


def _costs(rows: Sequence[Record], budget: float | None) -> list[str]:
    """Steps, seconds, speed, start-up, memory and number of runs of one method's records."""
    results = [result_at(record, budget) for record in rows]
    steps = spread(None if each is None else each["steps"] for each in results).mean
    seconds = spread(None if each is None else each["seconds"] for each in results).mean
    measured = [record["measured"] for record in rows]
    speed = spread(each["rays_per_second"] for each in measured).mean
    on_device = spread(each["peak_device_memory_gb"] for each in measured)
    peak = on_device if on_device.count else spread(each["peak_memory_gb"] for each in measured)
    return [
        NOTHING if steps is None else f"{steps:,.0f}",
        NOTHING if seconds is None else f"{seconds:,.0f}",
        NOTHING if speed is None else f"{speed:,.0f}",
        spread(each["startup_seconds"] for each in measured).text(0).split(" ±")[0],
        peak.text(1).split(" ±")[0],
        str(len(rows)),
    ]


def _mean_table(group: Group) -> str:
    """Means over all scenes of the group, of methods that have them all."""
    scenes, budgets = group.scenes(), group.budgets()
    last = budgets[-1]
    spreads: dict[str, list[Spread]] = {}
    for label in group.labels():
        ssim = mean_over_scenes(group, label, scenes, "ssim", last)
        spreads[label] = [*(mean_over_scenes(group, label, scenes, "psnr", each) for each in budgets), ssim]
    labels = sorted(spreads, key=lambda label: -(spreads[label][len(budgets) - 1].mean or 0.0))
    digits = [2] * len(budgets) + [3]
    columns = [best_in_bold([spreads[label][place] for label in labels], each) for place, each in enumerate(digits)]
    headings = ["method", *(f"PSNR, {budget_text(each, group.unit)}" for each in budgets), "SSIM"]
    rows = zip(labels, *columns, strict=True)
    return markdown_table(headings, [[marked(label, group.of(label=label)), *cells] for label, *cells in rows])


def _failures(group: Group) -> str:
    lines = []
    for record in group.failed:
        definition = record["definition"]
        words = str(record["error"]).splitlines() or ["no word"]
        told = words[0] if len(words) == 1 else f"{words[0]} {words[-1]}"
        lines.append(
            f"- {definition['label']} on {definition['scene']['name']}, seed {definition['seed']}: {told} "
            f"(logs/{record['key']})"
        )
    return "\n".join(lines)


def _protocol(group: Group) -> str:
    """The protocol, the machine and the versions that the group's records tell of."""
    record = group.any_record
    machine = record["hardware"]
    gpus = f", {', '.join(machine['gpus'])}" if machine["gpus"] else ""
    lines = [f"- {sentence}" for sentence in describe_protocol(record["definition"])]
    lines.append(f"- Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB{gpus}.")
    lines.append(f"- Versions: {'; '.join(_versions(group))}.")
    lines.append(f"- {_load(group)}")
    beside = max((record.get("neighbours") or 0 for record in group.records), default=0)
    if beside:
        lines.append(f"- Beside a training, up to {beside} others of the benchmark ran on its machine.")
    lines += [f"- Settings of {method}: `{' '.join(settings)}`" for method, settings in _settings(group).items()]
    return "\n".join(lines)


def _versions(group: Group) -> list[str]:
    """Each set of versions that occurs, once."""
    every = [record["versions"] for record in (*group.records, *group.failed)]
    return list(dict.fromkeys(", ".join(f"{name} {number}" for name, number in each.items()) for each in every))


def _load(group: Group) -> str:
    """How busy the machine was before the jobs: what others did on it slowed methods down unequally."""
    loads = [(record.get("load_average") or {}).get("before") for record in group.records]
    present = [load for load in loads if load is not None]
    if not present:
        return "The load of the machine is not known."
    return f"Load of the machine before the jobs: {min(present):.1f} to {max(present):.1f} processes."


def _settings(group: Group) -> dict[str, list[str]]:
    """Settings that methods were given for such data, by method; those without any are left out."""
    found: dict[str, list[str]] = {}
    for record in group.records:
        definition: dict[str, Any] = record["definition"]
        settings = [*definition["settings"], *definition["options"]]
        if settings:
            found.setdefault(definition["label"], settings)
    return found
