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


@pytest.fixture
def one_thread(monkeypatch):
    """Trainings of this process, on one thread."""
    import torch
    from nerfstudio.utils import profiler, writer

    monkeypatch.setattr(sys, "argv", ["pytest"])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    for table in (writer.EVENT_WRITERS, writer.EVENT_STORAGE, writer.GLOBAL_BUFFER, profiler.PROFILER):
        table.clear()
