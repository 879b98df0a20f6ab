"""The campaign: every case, or some, in processes of their own; see docs/results/campaign.md."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from campaign import corpora, runner
from campaign.case import Case
from campaign.record import ROOT, Key, Record, commit
from campaign.sandbox import Outcome
from campaign.table import counts, show
from rich.console import Console


@dataclass
class Options:
    """Attack everything that reads, resumes, writes or runs, and count what did not hold.

    A campaign that was stopped goes on where it was, while seed and code are the same. Exit code 1: something did not
    hold.
    """

    only: tuple[str, ...] = ()
    """Groups, or beginnings of names of cases: datasets meshes/ply."""
    seed: int = 17
    """What random numbers begin with."""
    sample: int | None = None
    """Only this tenth, 0 to 9, of the cases in process; which cases are in it depends on the seed."""
    in_process: bool = False
    """Only cases that start no processes."""
    fresh: bool = False
    """Begin anew instead of going on."""
    jobs: int = 2
    """Cases at a time."""
    together: int = 1
    """Cases in process that share a process, in turn, which is quicker; one that it dies in or hangs in leaves it."""
    output: Path = ROOT / "outputs" / "campaign"
    """The folder of the record, and of what cases left that did not hold."""


def choose(cases: list[Case], options: Options) -> list[Case]:
    """Those cases that the options name."""
    if options.sample is not None:
        cases = corpora.tenth(cases, options.seed, options.sample)
    if options.in_process:
        cases = [case for case in cases if not case.processes]
    if options.only:
        cases = [case for case in cases if case.group in options.only or case.name.startswith(options.only)]
    return cases


def main(options: Options) -> int:
    """Run and print; the exit code."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    cases = choose(corpora.all_cases(), options)
    if not cases:
        print("campaign: no case has such a name: give --only a group, or the beginning of a case's name.")
        return 1
    record = Record(options.output / "record.jsonl", Key(options.seed, commit()), fresh=options.fresh)
    known = sum(case.name in record.outcomes for case in cases)
    print(f"campaign: seed {options.seed}, commit {record.key.commit[:12]}, {len(cases)} cases, {known} known already")

    def report(case: Case, outcome: Outcome) -> None:
        if outcome.kind != "held":
            line = f"{outcome.kind}: {case.name} ({outcome.seconds:.1f} s): {outcome.sentence}"
            console.print(line, markup=False, highlight=False)

    try:
        runner.run(
            cases, record, jobs=options.jobs, together=options.together, keep=options.output / "kept", report=report
        )
    except KeyboardInterrupt:
        print("campaign: stopped; the same command goes on.")
    show(cases, record.outcomes, console)
    held = sum(row[1] for row in counts(cases, record.outcomes).values())
    return 0 if held == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
