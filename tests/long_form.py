"""Tests that belong to the long form, scripts/test --all, and folders of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

long_form = pytest.mark.skipif(not os.environ.get("INR_ALL_TESTS"), reason="long: scripts/test --all")
"""Marks a test of many seconds whose behaviour a shorter one is about as well."""


def left_out(folder: Path, collected: Path, config: Any) -> bool | None:
    """Whether pytest is to leave out what it has come to: `folder` and all in it, unless the long form runs or somebody
    has named the folder; None leaves that to others."""
    named = any(folder.name in Path(str(each).split("::")[0]).parts for each in config.args)
    if os.environ.get("INR_ALL_TESTS") or named:
        return None
    return True if folder in [collected, *collected.parents] else None
