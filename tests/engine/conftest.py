"""Fixtures for tests that train the tiny method of tiny_method.py on a scene of noise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

# config.yml names the classes of tiny_method, so it has to be importable by its own name.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Blender-format scene of four 16 x 16 images a split."""
    from tiny_method import make_scene

    return make_scene(tmp_path_factory.mktemp("data") / "scene")


@pytest.fixture(autouse=True)
def _plain_process(monkeypatch: pytest.MonkeyPatch):
    """No --load-config on the command line, no data elsewhere, one thread; nerfstudio's log writers do not pile up."""
    from nerfstudio.utils import profiler, writer

    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.delenv("INR_DATA", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    for table in (writer.EVENT_WRITERS, writer.EVENT_STORAGE, writer.GLOBAL_BUFFER, profiler.PROFILER):
        table.clear()


@pytest.fixture
def eval_setup(monkeypatch):
    """nerfstudio's eval_setup, called as ns-eval calls it, with the tiny method registered."""
    from nerfstudio.configs.method_configs import all_methods
    from nerfstudio.utils.eval_utils import eval_setup
    from tiny_method import tiny_config

    monkeypatch.setitem(all_methods, "tiny", tiny_config(Path("data"), Path("outputs")))

    def call(config_path: Path):
        monkeypatch.setattr(sys, "argv", ["ns-eval", "--load-config", str(config_path)])
        return eval_setup(config_path)

    return call
