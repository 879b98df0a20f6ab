"""Counts of a campaign: a row for each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from campaign.case import KINDS, Case
from campaign.sandbox import Outcome
from rich.console import Console
from rich.table import Table

COLUMNS = ("held", *KINDS)


def counts(cases: Sequence[Case], outcomes: Mapping[str, Outcome]) -> dict[str, list[int]]:
    """By group: the number of cases, then how many ended in each way of COLUMNS; those that never ran are in none."""
    rows: dict[str, list[int]] = {}
    for case in cases:
        row = rows.setdefault(case.group, [0] * (1 + len(COLUMNS)))
        row[0] += 1
        if case.name in outcomes:
            row[1 + COLUMNS.index(outcomes[case.name].kind)] += 1
    return rows


def show(cases: Sequence[Case], outcomes: Mapping[str, Outcome], console: Console) -> None:
    """Print every fault, and the table."""
    for case in cases:
        outcome = outcomes.get(case.name)
        if outcome is not None and outcome.kind != "held":
            console.print(f"{outcome.kind}: {case.name}: {outcome.sentence}", markup=False, highlight=False)
    table = Table("group", "cases", *COLUMNS, "seconds")
    rows = counts(cases, outcomes)
    for group, row in rows.items():
        spent = sum(outcomes[case.name].seconds for case in cases if case.group == group and case.name in outcomes)
        table.add_row(group, *map(str, row), f"{spent:.0f}")
    table.add_section()
    spent = sum(outcomes[case.name].seconds for case in cases if case.name in outcomes)
    table.add_row("all", *(str(sum(column)) for column in zip(*rows.values(), strict=True)), f"{spent:.0f}")
    console.print(table)
