"""Cases, a few at a time, into the record."""

from __future__ import annotations

import gc
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
    silence: float = SILENCE,
    keep: Path | None = None,
    report: Callable[[Case, Outcome], None] = lambda case, outcome: None,
) -> None:
    """Run what the record does not know yet.

    Args:
        cases: in which order they are started.
        record: gets every outcome as soon as there is one.
        jobs: how many run at a time.
        silence: seconds without a sign of life that make a hang.
        keep: where folders of cases stay that did not hold; None removes them.
        report: called with every outcome.
    """
    # What is there now is not looked through, and so not copied, in the processes of cases.
    gc.freeze()
    waiting = [case for case in cases if case.name not in record.outcomes]
    running: list[Running] = []
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as around:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    folder = Path(around) / f"{len(waiting)}"
                    running.append(Running(waiting.pop(0), folder, record.key.seed, silence))
                for each in list(running):
                    outcome = each.poll()
                    if outcome is not None:
                        running.remove(each)
                        record.add(each.case, outcome)
                        _put_away(each, outcome, keep)
                        report(each.case, outcome)
                time.sleep(_PAUSE)
        finally:
            for each in running:
                each.stop(Fault("hang", "the campaign was stopped"))
            gc.unfreeze()


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
