"""Tables of surfaces: how far the mesh of each method is from the true one, and how far the truth is from itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inr_plugins.bench.record import Record
from inr_plugins.bench.surfaces import (
    CAPTION,
    IOU,
    IOU_DIGITS,
    SEEN_CAPTION,
    SURFACE_NUMBERS,
    TABLE,
    seen_of,
    surface_of,
    surface_value,
)
from inr_plugins.bench.tables import (
    NOTHING,
    Group,
    Spread,
    best_in_bold,
    markdown_table,
    mean_over_scenes,
    metric_spread,
    result_at,
    spread,
)

_SECONDS = "mesh s"


def surface_table(group: Group, scene: str) -> str:
    """The surfaces of one scene in the end, nearest first; "" where none was measured, and why if they were to be."""
    rows = {label: found for label in group.labels() if (found := group.of(label=label, scene=scene))}
    records = [record for each in rows.values() for record in each]
    if not any(surface_of(result_at(record, None)) for record in records):
        return _why_none(records)
    floors = [_floor(records, name) for name in TABLE]
    whole = _table(list(rows), lambda label, name: metric_spread(rows[label], name, None), floors, seconds=rows)
    return "\n\n".join([f"{CAPTION}\n\n{whole}", *_seen_table(rows, records)])


def _seen_table(rows: dict[str, list[Record]], records: Sequence[Record]) -> list[str]:
    """The surfaces over what cameras see, where that was measured of all; else nothing."""
    found = [seen_of(result_at(record, None)) for record in records if surface_of(result_at(record, None))]
    if not all(found):
        return []
    unseen = max(each["unseen_share"] for each in found if each is not None)

    def value(label: str, name: str) -> Spread:
        return spread(surface_value(result_at(record, None), name, seen=True) for record in rows[label])

    floors = [_floor(records, name, seen=True) for name in TABLE]
    return [SEEN_CAPTION.format(100 * unseen), _table(list(rows), value, floors)]


def mean_surface_table(group: Group) -> str:
    """Means over all scenes, of methods that have a surface in each; "" where no method has."""
    scenes = group.scenes()

    def mean(label: str, name: str) -> Spread:
        return mean_over_scenes(group, label, scenes, name, None)

    labels = [label for label in group.labels() if mean(label, "chamfer").mean is not None]
    if not labels:
        return ""
    records = [record for label in labels for record in group.of(label=label)]
    return f"{CAPTION}\n\n{_table(labels, mean, [_floor(records, name) for name in TABLE])}"


def _table(
    labels: Sequence[str],
    value: Callable[[str, str], Spread],
    floors: Sequence[str],
    *,
    seconds: dict[str, list[Record]] | None = None,
) -> str:
    nothing = float("inf")
    ordered = sorted(labels, key=lambda label: nothing if (at := value(label, "chamfer").mean) is None else at)
    columns = [
        best_in_bold(
            [value(label, name) for label in ordered],
            SURFACE_NUMBERS[name].digits,
            better=min if SURFACE_NUMBERS[name].lower_is_better else max,
        )
        for name in TABLE
    ]
    columns.append(best_in_bold([value(label, IOU) for label in ordered], IOU_DIGITS))
    headings = ["method", *(SURFACE_NUMBERS[name].heading for name in TABLE), "IoU"]
    last = ["*floor*", *floors, NOTHING]
    if seconds is not None:
        headings.append(_SECONDS)
        columns.append([_seconds(seconds[label]) for label in ordered])
        last.append(NOTHING)
    rows = [[label, *cells] for label, *cells in zip(ordered, *columns, strict=True)]
    return markdown_table(headings, [*rows, last])


def _floor(records: Sequence[Record], name: str, *, seen: bool = False) -> str:
    mean = spread(surface_value(result_at(record, None), name, part="floor", seen=seen) for record in records).mean
    return NOTHING if mean is None else f"{mean:.{SURFACE_NUMBERS[name].digits}f}"


def _seconds(records: Sequence[Record]) -> str:
    found = [surface_of(result_at(record, None)) for record in records]
    mean = spread(None if each is None else each["seconds"].get("extract") for each in found).mean
    return NOTHING if mean is None else f"{mean:.0f}"


def _why_none(records: Sequence[Record]) -> str:
    results = [result_at(record, None) or {} for record in records]
    reasons = dict.fromkeys(result["surface"]["missing"] for result in results if result.get("surface"))
    return f"Surfaces were not measured: {'; '.join(reasons)}." if reasons else ""
