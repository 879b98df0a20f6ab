from pathlib import Path

import pytest


@pytest.fixture
def run_folder(tmp_path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yml").write_text("a run\n")
    return folder
