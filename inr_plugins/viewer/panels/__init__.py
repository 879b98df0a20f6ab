"""Panels that every method's page has; a method's own are in models/<family>/panels.py."""

from __future__ import annotations

from collections.abc import Mapping

from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.panels.cameras import CamerasPanel
from inr_plugins.viewer.panels.look import LookPanel
from inr_plugins.viewer.panels.mesh import MeshPanel
from inr_plugins.viewer.panels.take_away import IMAGE, TakeAwayPanel
from inr_plugins.viewer.panels.training import TrainingPanel


def general_panels(*, has_surface: bool = True, read_out: Mapping[str, str | None] = IMAGE) -> list[Panel]:
    """New panels for one page, from the top down; of a flat image there is no surface to look at or to extract.

    Args:
        has_surface: see LivePage.
        read_out: see LivePage.
    """
    if not has_surface:
        return [TrainingPanel(), CamerasPanel(), TakeAwayPanel(None, read_out=read_out)]
    mesh = MeshPanel()
    return [TrainingPanel(), mesh, LookPanel(), CamerasPanel(), TakeAwayPanel(lambda: mesh.resolution)]
