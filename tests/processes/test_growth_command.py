"""benchmarks.growth as it is typed: processes of its own that measure, and two that train together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(1700)
def test_the_command_is_rehearsed(tmp_path):
    words = ["processes/diner", "rays/cn-neus/64", "mesh/dense/16"]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.growth", "--output", str(tmp_path), "--tiny", "--only"]
    done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "points").iterdir()]
    found = {(each["axis"], each["series"], each["size"]): each["found"] for each in records}
    assert set(found) == {
        *(("processes", "diner", 1), ("processes", "diner", 2)),
        *(("rays", "cn-neus", 64), ("mesh", "dense", 16)),
    }
    alone, together = found["processes", "diner", 1], found["processes", "diner", 2]
    # With the gradients of the other's rays: those of more rows.
    assert 0 < alone["sent_mib"] < together["sent_mib"]
    assert (tmp_path / "growth_processes.png").exists()
    again = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=800)
    assert again.stdout.count("done before") == 4
