"""Whole reconstructions of many photographs: only in scripts/test --all, or where named."""

from __future__ import annotations

from pathlib import Path

from long_form import left_out

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config) -> bool | None:
    return left_out(HERE, collection_path, config)
