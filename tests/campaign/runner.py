"""Cases, a few at a time, into the record."""

from __future__ import annotations

import gc
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from campaign.case import Case, Fault
from campaign.record import Record
from campaign.sandbox import SILENCE, Outcome, Running, remove

_PAUSE = 0.005  # Seconds between two looks at what runs.


def run(
    cases: Sequence[Case],
    record: Record,
    *,
    jobs: int = 2,
    together: int = 1,
    silence: float = SILENCE,
    keep: Path | None = None,
    report: Callable[[Case, Outcome], None] = lambda case, outcome: None,
) -> None:
    """Run what the record does not know yet.

    Args:
        cases: in which order they are started.
        record: gets every outcome as soon as there is one.
        jobs: how many run at a time.
        together: how many cases in process share one, in turn, until one of them kills it or hangs in it.
        silence: seconds without a sign of life that make a hang.
        keep: where folders of cases stay that did not hold; None removes them.
        report: called with every outcome.
    """
    # What is there now is not looked through, and so not copied, in the processes of cases.
    gc.freeze()
    waiting = [case for case in cases if case.name not in record.outcomes]
    running: list[Running] = []
    numbers = itertools.count()
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as around:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    chosen = _first(waiting, together)
                    folders = [Path(around) / f"{next(numbers)}" for _ in chosen]
                    running.append(Running(chosen, folders, record.key.seed, silence))
                for each in list(running):
                    outcome = each.poll()
                    if outcome is not None:
                        record.add(each.case, outcome)
                        _put_away(each, outcome, keep)
                        report(each.case, outcome)
                        if not each.next():
                            running.remove(each)
                            waiting[:0] = [case for case, _ in each.waiting]
                time.sleep(_PAUSE)
        finally:
            for each in running:
                each.stop(Fault("hang", "the campaign was stopped"))
            gc.unfreeze()


def _first(waiting: list[Case], together: int) -> list[Case]:
    """Take the cases from the front that are to share a process; those that start processes have one each."""
    chosen = [waiting.pop(0)]
    while waiting and len(chosen) < together and not chosen[0].processes and not waiting[0].processes:
        chosen.append(waiting.pop(0))
    return chosen


def _put_away(ended: Running, outcome: Outcome, keep: Path | None) -> None:
    """Remove what a case left, or keep it for a look where it did not hold."""
    if outcome.kind != "held" and keep is not None:
        place = keep / ended.case.name.replace("/", "__")
        remove(place)
        keep.mkdir(parents=True, exist_ok=True)
        ended.folder.rename(place) if _same_disk(ended.folder, keep) else remove(ended.folder)
    else:
        remove(ended.folder)


def _same_disk(a: Path, b: Path) -> bool:
    return a.stat().st_dev == b.stat().st_dev
