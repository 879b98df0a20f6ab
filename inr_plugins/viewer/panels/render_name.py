"""nerfstudio's Render tab: made to write into the run folder only, and to end with the viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inr_plugins.viewer.panels.camera_paths import safe_name


def keep_in_run_folder(server: Any, run_folder: Path) -> bool:
    """Have camera paths of the Render tab written into, and loaded from, the run folder, by names without folders.

    Args:
        server: viser's server, whose Render tab has been built.
        run_folder: where config.yml is.

    Returns:
        Whether the tab was found; another viser or nerfstudio may keep it elsewhere.
    """
    by_label = _controls(server)
    name = by_label.get("Render name")
    if name is None:
        return False
    # What the tab's callbacks read, of this control only: whatever the page sends, and however fast.
    name.__class__ = _with_safe_names(type(name))
    name.on_update(lambda _: _show_safe(name))
    for label in ("Generate Command", "Load Path"):
        for callback in by_label[label]._impl.update_cb if label in by_label else ():
            _set_closed_over(callback, "datapath", run_folder)
    return True


def stop_playing(server: Any) -> None:
    """End the Render tab's Play, whose thread would else keep the process from ending.

    Args:
        server: viser's server.
    """
    play = _controls(server).get("Play")
    if play is not None:
        # Its thread goes on for as long as the button is not to be seen.
        play.visible = True


def _controls(server: Any) -> dict[Any, Any]:
    handles = getattr(server.gui, "_gui_input_handle_from_id", {}).values()
    return {getattr(each._impl, "label", None): each for each in list(handles)}


def _with_safe_names(kind: Any) -> Any:
    def value(self: Any) -> str:
        return safe_name(self._impl.value)

    return type(kind.__name__, (kind,), {"value": property(value, kind.value.fset)})


def _show_safe(name: Any) -> None:
    # An empty field, or a dash at the end, is somebody who goes on writing.
    if name._impl.value.rstrip("-. ") not in ("", name.value):
        name.value = name.value


def _set_closed_over(function: Any, variable: str, value: Any) -> None:
    code = getattr(function, "__code__", None)
    if code is not None and variable in code.co_freevars:
        function.__closure__[code.co_freevars.index(variable)].cell_contents = value
