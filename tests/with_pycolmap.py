"""pycolmap is an optional extra of the package; where it is, tests that need it run."""

from __future__ import annotations

import importlib.util

import pytest

needs_pycolmap = pytest.mark.skipif(
    importlib.util.find_spec("pycolmap") is None, reason="pycolmap, the extra photos, is not installed"
)
