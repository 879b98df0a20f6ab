"""Numbers of a report: groups of records that belong beside each other, their means and spreads, tables as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from inr_plugins.bench.record import FINISHED, Record
from inr_plugins.bench.surfaces import IOU, SURFACE_NUMBERS, surface_value

NOTHING = "–"


@dataclass(frozen=True)
class Spread:
    """Mean of what several seeds gave.

    Attributes:
        mean: over the values that are there; None if there are none.
        deviation: sample standard deviation; None for fewer than two.
        count: values that are there.
        missing: values that should be there and are not.
    """

    mean: float | None
    deviation: float | None
    count: int
    missing: int

    def text(self, digits: int) -> str:
        """The mean and, of several seeds, ± its deviation; with the number of seeds if some have no value."""
        if self.mean is None:
            return NOTHING
        text = f"{self.mean:.{digits}f}"
        if self.deviation is not None:
            text += f" ± {self.deviation:.{digits}f}"
        return f"{text} ({self.count} of {self.count + self.missing})" if self.missing else text


def spread(values: Iterable[float | None]) -> Spread:
    """Mean and deviation of the values that are there."""
    everything = list(values)
    present = [value for value in everything if value is not None]
    return Spread(
        mean=statistics.fmean(present) if present else None,
        deviation=statistics.stdev(present) if len(present) > 1 else None,
        count=len(present),
        missing=len(everything) - len(present),
    )


@dataclass(frozen=True)
class Group:
    """Records that one table may hold: one protocol, one machine, one preset.

    Attributes:
        preset: its name, or None.
        records: those of finished trainings, oldest first.
        failed: those of the others.
    """

    preset: str | None
    records: tuple[Record, ...]
    failed: tuple[Record, ...]

    @property
    def any_record(self) -> Record:
        """One of them; what makes the group is the same in all."""
        return (*self.records, *self.failed)[0]

    @property
    def unit(self) -> str:
        """Unit of the budgets."""
        return str(self.any_record["definition"]["unit"])

    def scenes(self) -> list[str]:
        """Names of its scenes, each once."""
        names = [record["definition"]["scene"]["name"] for record in (*self.records, *self.failed)]
        return list(dict.fromkeys(names))

    def labels(self) -> list[str]:
        """Names of its finished methods, each once."""
        return list(dict.fromkeys(row_label(record) for record in self.records))

    def of(self, *, label: str | None = None, scene: str | None = None) -> list[Record]:
        """Its finished records of a method, a scene, or both."""
        return [
            record
            for record in self.records
            if (label is None or row_label(record) == label)
            and (scene is None or record["definition"]["scene"]["name"] == scene)
        ]

    def budgets(self) -> list[float]:
        """Budgets that all finished records share; empty if they differ, as those of presets may."""
        found = {tuple(record["definition"]["budgets"]) for record in self.records}
        return list(next(iter(found))) if len(found) == 1 else []


MARK = "‡"
"""Beside methods of which a training was stopped and went on."""


def marked(label: str, records: Iterable[Record]) -> str:
    """The label, marked where some of the records are of trainings that were stopped and went on."""
    return f"{label} {MARK}" if any(record.get("resumed") for record in records) else label


def row_label(record: Record) -> str:
    """What a method is called in tables."""
    return str(record["definition"]["label"])


def group_records(records: Sequence[Record]) -> list[Group]:
    """Groups in the order in which their first records were made.

    Definitions can change, by a new version or a scene made anew, under the same names: in one group the newest record
    of a method, scene and seed counts.

    Args:
        records: oldest first.
    """
    groups: dict[tuple[Any, ...], dict[tuple[Any, ...], Record]] = {}
    for record in records:
        definition = record["definition"]
        row = (definition["label"], definition["scene"]["name"], definition["seed"])
        groups.setdefault(_group_key(record), {})[row] = record
    return [
        Group(
            preset=next(iter(members.values()))["definition"]["preset"],
            records=tuple(record for record in members.values() if record["status"] == FINISHED),
            failed=tuple(record for record in members.values() if record["status"] != FINISHED),
        )
        for members in groups.values()
    ]


def _group_key(record: Record) -> tuple[Any, ...]:
    definition, machine = record["definition"], record["hardware"]
    # Rows of a preset may differ in their number of steps.
    budgets = None if definition["budgets_of_preset"] else tuple(definition["budgets"])
    names = ("preset", "unit", "eval_every_view", "eval_pixel_stride", "curve_points", "curve_views", "device")
    protocol = (*(definition[name] for name in names), definition.get("mesh_resolution", 0))
    return (budgets, *protocol, machine["cpu"], machine["cores"], str(machine["gpus"]))


def result_at(record: Record, budget: float | None) -> dict[str, Any] | None:
    """What was measured at a budget, or in the end (None); None where there is no such result."""
    results = record["measured"]["results"]
    if budget is None:
        return results[-1] if results else None
    return next((result for result in results if result["budget"] == budget), None)


def metric_of(result: dict[str, Any] | None, metric: str) -> float | None:
    """A metric of a result, of its images or its surface; None where it was not measured."""
    if metric == IOU or metric in SURFACE_NUMBERS:
        return surface_value(result, metric)
    return None if result is None else result.get(metric)


def metric_spread(records: Sequence[Record], metric: str, budget: float | None) -> Spread:
    """A metric at a budget over records, which differ in their seeds."""
    return spread(metric_of(result_at(record, budget), metric) for record in records)


def mean_over_scenes(group: Group, label: str, scenes: Sequence[str], metric: str, budget: float | None) -> Spread:
    """Each seed's mean over `scenes`, and the spread of these; seeds that lack a scene have none."""
    by_seed: dict[int, dict[str, float | None]] = {}
    for record in group.of(label=label):
        value = metric_of(result_at(record, budget), metric)
        definition = record["definition"]
        by_seed.setdefault(definition["seed"], {})[definition["scene"]["name"]] = value
    means: list[float | None] = []
    for values in by_seed.values():
        chosen = [values.get(scene) for scene in scenes]
        present = [value for value in chosen if value is not None]
        means.append(statistics.fmean(present) if present and len(present) == len(scenes) else None)
    return spread(means)


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column to the left and all others to the right."""
    lines = ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def best_in_bold(spreads: Sequence[Spread], digits: int, better: Callable[..., float] = max) -> list[str]:
    """Texts of one column, the best mean in bold where there are several; equal ones, as printed, alike."""
    means = [round(each.mean, digits) for each in spreads if each.mean is not None]
    best = better(means) if len(means) > 1 else None
    texts = [each.text(digits) for each in spreads]
    return [
        f"**{text}**" if each.mean is not None and round(each.mean, digits) == best else text
        for each, text in zip(spreads, texts, strict=True)
    ]
