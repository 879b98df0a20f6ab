"""Makes the helpers beside these tests importable, and keeps LPIPS off: no test may ask a server for its weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _without_lpips(monkeypatch):
    from inr_plugins.metrics.lpips import lpips_network

    monkeypatch.setenv("INR_LPIPS", "off")
    lpips_network.cache_clear()
    yield
    lpips_network.cache_clear()
