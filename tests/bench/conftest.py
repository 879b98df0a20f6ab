"""Makes the helpers beside these tests, and the tiny method of the engine's tests, importable; a small scene."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "engine")]


@pytest.fixture
def scene_folder(tmp_path: Path) -> Path:
    """A Blender-format dataset of 4 training and 3 test views, 12 pixels wide and 8 high."""
    from bench_helpers import write_blender

    return write_blender(tmp_path / "data" / "ball")
