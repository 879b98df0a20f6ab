"""A Ray cluster of two machines that are processes of this one: only in scripts/test --all, or where named."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config) -> bool | None:
    """Leave this folder out, unless scripts/test --all runs or somebody has named it."""
    named = any(HERE.name in Path(str(each).split("::")[0]).parts for each in config.args)
    if os.environ.get("INR_ALL_TESTS") or named:
        return None
    return True if HERE in [collection_path, *collection_path.parents] else None
