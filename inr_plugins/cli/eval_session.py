"""An evaluation as it goes on: what has been measured is on the disk, whatever becomes of the runs that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inr_plugins.cli.ending import describe, keep_traceback
from inr_plugins.errors import InputError, is_out_of_memory

if TYPE_CHECKING:
    from inr_plugins.evaluation.judge import Settings
    from inr_plugins.evaluation.pictures import PictureFolder


class EvalSession:
    """What has been measured so far, and its record on the disk.

    Attributes:
        record: the record as it was written last; None before a run has been measured.
        failed: config.yml of runs that could not be measured, and why.
        complaints: sentences on pictures that could not be kept.
    """

    def __init__(
        self,
        configs: Sequence[Path],
        settings: Settings,
        output: Path,
        *,
        command: str,
        pictures: PictureFolder | None,
    ) -> None:
        self.record: dict[str, Any] | None = None
        self.failed: dict[Path, str] = {}
        self.complaints: list[str] = []
        self._pending = list(configs)
        self._measured: list[Path] = []
        self._entries: list[dict[str, Any]] = []
        self._settings, self._output, self._command, self._pictures = settings, output, command, pictures

    def add(self, config: Path | None, judge: Callable[[], dict[str, Any]]) -> None:
        """Measure a run by calling `judge`, or note why that failed; then write the record and the run's pictures.

        Args:
            config: the run's config.yml; None for a mesh without a run.
            judge: as evaluation.judge's functions, with all they need.

        Raises:
            InputError: the record cannot be written.
            KeyboardInterrupt: the process was told to stop; the message says what was written.
        """
        try:
            self._measure(config, judge)
            if self._entries:
                self._write()
            self._publish()
        except KeyboardInterrupt as stop:
            done = f"{len(self._entries)} of {len(self._entries) + len(self.failed) + len(self._pending)} runs"
            raise type(stop)(*([] if self.record is None else [f"{self._output} holds {done}"])) from None

    def _measure(self, config: Path | None, judge: Callable[[], dict[str, Any]]) -> None:
        from inr_plugins.evaluation.failures import failure, free_memory

        try:
            self._entries.append(judge())
            self._measured += [] if config is None else [config]
        except Exception as error:
            what = self._settings.mesh if config is None else config.parent
            if isinstance(error, InputError) or is_out_of_memory(error):
                sentence = failure(error, what, device=self._settings.device).on_command_line
            else:
                sentence = f"{what} could not be measured ({describe(error)}); {keep_traceback('inr-eval', error)}."
            self.failed[config or Path()] = sentence
            if self._pictures is not None:
                self._pictures.discard()
        self._pending = [each for each in self._pending if each != config]
        # Of a run that failed for want of it, now that its error and all that this held are gone.
        free_memory()

    def _publish(self) -> None:
        if self._pictures is None:
            return
        try:
            self._pictures.publish()
        except InputError as error:
            self.complaints.append(str(error))

    def _write(self) -> None:
        from inr_plugins.evaluation.record import make_record, write_record

        record = make_record(
            self._entries,
            self._measured,
            self._settings,
            failed=self.failed,
            pending=self._pending,
            folder=self._output.parent,
            command=self._command,
        )
        write_record(record, self._output)
        self.record = record
