"""The panel "Training": quality, losses and speed over time, learning rates, memory, and a checkpoint at once."""

from __future__ import annotations

import threading
import traceback
from pathlib import Path
from typing import Any

import torch

from inr_plugins.errors import InputError
from inr_plugins.machine import resident_bytes
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.panels.history import Curve, History, as_image, curves, drawn, speed

_EVERY = 2.0
"""Seconds between drawings."""
_MOST_LOSSES = 4
_NOTE = 8_000
"""Milliseconds that a notification stays."""
_SECONDS_TO_SAVE = 10.0


class TrainingPanel(Panel):
    """Follows the training that serves the page; a run that is only looked at has none, and no such panel."""

    title = "Training"

    def install(self, live: LiveViewer, *, order: float) -> None:
        """As each panel's, where something is trained."""
        if live.viewer.trainer is not None:
            super().install(live, order=order)

    def build(self) -> None:
        """Add drawing, numbers and button, and begin to take notes."""
        self.history = History()
        self._plots = self.gui.add_markdown("The first steps are under way.", image_root=Path())
        self._numbers = self.gui.add_markdown("")
        self._save = self.gui.add_button("Save now", hint="Write a checkpoint of the last step into the run folder.")
        self._save.on_click(self.safely(self._start_saving))
        self._save.visible = hasattr(self._trainer, "save_now")
        self._saved = self.gui.add_markdown("")
        self._saving = threading.Lock()
        self._saver: threading.Thread | None = None
        self._ends = threading.Event()
        self.live.after_step.append(self._note)
        self._drawer = threading.Thread(target=self._follow, name="viewer training panel", daemon=True)
        self._drawer.start()

    def close(self) -> None:
        """End the thread that draws, and wait for a checkpoint that is being written."""
        self._ends.set()
        self._drawer.join(_EVERY)
        if self._saver is not None:
            self._saver.join(_SECONDS_TO_SAVE)

    @property
    def _trainer(self) -> Any:
        return self.live.viewer.trainer

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _note(self, step: int) -> None:
        losses = getattr(self._trainer, "last_losses", None) or {}
        metrics = getattr(self._trainer, "last_metrics", None) or {}
        self.history.note(step, {**losses, **({"psnr": metrics["psnr"]} if "psnr" in metrics else {})})

    def _follow(self) -> None:
        while not self._ends.wait(_EVERY):
            try:
                if self.live.pages:
                    self._draw()
            except Exception as error:
                self.live.log_once(f"{self.title}: {error}", traceback.format_exc())

    def _draw(self) -> None:
        moments = self.history.moments()
        plots = plots_of(curves(moments), speed(moments))
        if plots and plots != self._plots.content:
            self._plots.content = plots
        numbers = "  \n".join([*rates_of(self._trainer), memory_of(str(self.live.viewer.pipeline.model.device))])
        if numbers != self._numbers.content:
            self._numbers.content = numbers
        if self._trainer.training_state == "completed" and self._save.visible:
            self._save.visible = False
            self._saved.content = "Training is done; its last step is saved."

    # -- saving --------------------------------------------------------------------------------------------------------

    def _start_saving(self, event: Any) -> None:
        if not self._saving.acquire(blocking=False):
            raise InputError("A checkpoint is being saved already: wait for it.")
        self._saved.content = "Waiting for the step at hand, then saving."
        self._saver = threading.Thread(target=self._write, args=(event.client,), name="viewer save")
        self._saver.start()

    def _write(self, client: Any) -> None:
        try:
            path: Path = self._trainer.save_now()
        except Exception as error:
            self.live.log_once(f"{self.title}: {error}", traceback.format_exc())
            sentence, options = f"Not saved: {error}", {"color": "red"}
        else:
            sentence, options = f"Saved: {path}", {}
        finally:
            self._saving.release()
        # A whole path is one word, which would make the column as wide.
        self._saved.content = sentence if options else f"Saved {path.name} in {path.parent.name} of the run folder."
        if client is not None and hasattr(client, "add_notification"):
            client.add_notification(self.title, sentence, auto_close=_NOTE, **options)


def plots_of(values: dict[str, Curve], steps: Curve) -> str:
    """Markdown of the drawings: PSNR, the largest losses, and steps a second; empty before there is anything."""
    psnr = {name: line for name, line in values.items() if name == "psnr"}
    losses = {name: line for name, line in values.items() if name != "psnr"}
    largest = sorted(losses, key=lambda name: -losses[name][-1][1])[:_MOST_LOSSES]
    pictures = {
        "PSNR of batches, dB": drawn("PSNR of batches, dB", psnr),
        "Losses": drawn("Losses", {name: losses[name] for name in losses if name in largest}, log=True),
        "Steps a second": drawn("Steps a second", {"speed": steps}),
    }
    return "\n\n".join(as_image(svg, name) for name, svg in pictures.items() if svg)


def rates_of(trainer: Any) -> list[str]:
    """Lines of the learning rates by group of parameters, those of one rate together."""
    optimizers = getattr(getattr(trainer, "optimizers", None), "optimizers", None) or {}
    groups: dict[str, list[str]] = {}
    for name, optimizer in list(optimizers.items()):
        if optimizer.param_groups:
            groups.setdefault(f"{optimizer.param_groups[0]['lr']:.3g}", []).append(name)
    return [f"Learning rate of {', '.join(names)}: {rate}" for rate, names in groups.items()]


def memory_of(device: str) -> str:
    """A line of what the process holds, and what torch holds of a GPU."""
    held = resident_bytes()
    parts = [f"{held / 1e9:.2f} GB" if held else "unknown on this system"]
    if device.startswith("cuda"):
        now, most = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
        parts.append(f"{now / 1e9:.2f} GB of the GPU, {most / 1e9:.2f} GB at most")
    return f"Memory: {'; '.join(parts)}"
