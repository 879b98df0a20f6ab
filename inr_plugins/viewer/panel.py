"""The base of panels: a folder of the page, and what it may do to what is drawn and to what is trained."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from inr_plugins.errors import InputError
from inr_plugins.viewer.live import LiveViewer


class Panel(ABC):
    """A folder above nerfstudio's own tabs.

    Subclasses add their controls in `build`, through `self.gui` (viser's GuiApi), and give callbacks as
    `self.safely(callback)`. They run in threads of viser's, beside training and drawing. So they

    - read what is drawn from `self.live.snapshot`, whose model nothing changes (None before a page is open);
    - change or save what is trained under `with self.live.train_lock:` (held while a step runs: seconds, perhaps),
      then call `self.live.retake()`, after the lock has been given back, to see it;
    - change what is drawn and not what is trained by `self.live.edits.append(change)`: `change(model)` sets attributes
      of each copy before it is drawn; `self.live.edit()` then has the last one changed and drawn at once;
    - call `self.live.redraw()` when only the picture is to change;
    - follow training by `self.live.after_step.append(call)`: `call(step)` runs in the training thread, so it takes
      microseconds, and leaves work to a thread of its own;
    - let go of threads and files in `close`, which is called when the page's server ends.
    """

    title: ClassVar[str]
    """Name of the folder."""
    is_open: ClassVar[bool] = False
    """Whether the folder stands open at first."""
    live: LiveViewer
    gui: Any

    def install(self, live: LiveViewer, *, order: float) -> None:
        """Make the folder and what is in it; `order` says where among others, negative above nerfstudio's."""
        self.live, self.gui = live, live.viewer.viser_server.gui
        options: dict[str, Any] = {"order": order, "expand_by_default": self.is_open}
        with self.gui.add_folder(self.title, **options):
            self.build()
        live.at_close.append(self.close)

    @property
    def model(self) -> Any:
        """The model that is trained, to be touched under `self.live.train_lock` only."""
        return self.live.viewer.pipeline.model

    @abstractmethod
    def build(self) -> None:
        """Add the controls; called once, inside the folder, before any page is open."""

    def close(self) -> None:
        """Let go of what the panel holds; nothing by default."""
        return None

    def safely(self, callback: Callable[[Any], Any]) -> Callable[[Any], None]:
        """A callback for viser whose errors are a sentence in the page that asked.

        What is no InputError is in the terminal too, once.
        """

        def call(event: Any) -> None:
            try:
                callback(event)
            except Exception as error:
                if not isinstance(error, InputError):
                    # One says what to do, and that is all.
                    self.live.log_once(f"{self.title}: {error}", traceback.format_exc())
                client = getattr(event, "client", None)
                if client is not None and hasattr(client, "add_notification"):
                    client.add_notification(self.title, str(error), auto_close=10_000, color="red")

        return call
