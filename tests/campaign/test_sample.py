"""A tenth of the campaign's cases in process, which the seed chooses (INR_CAMPAIGN_SEED)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from long_form import long_form

TESTS = Path(__file__).resolve().parents[1]
SEED = int(os.environ.get("INR_CAMPAIGN_SEED", "17"))


@long_form
@pytest.mark.parametrize("seed", [SEED], ids=lambda seed: f"seed-{seed}")
def test_a_tenth_of_the_cases_holds(seed, tmp_path):
    # In a process of its own: threads of other tests' libraries do not live on where this one forks.
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = ["--sample", str(seed % 10), "--seed", str(seed), "--jobs", "1", "--together", "80"]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "campaign", *arguments, "--output", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
