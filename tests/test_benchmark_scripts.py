"""Benchmarks that go through models' own scores: a small one from end to end, for nothing else calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from long_form import long_form
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@long_form
def test_slices_are_compared(tmp_path: Path) -> None:
    grey = np.zeros((48, 48), np.uint8)
    grey[12:30, 10:36], grey[18:22, 20:26] = 120, 250
    Image.fromarray(grey).save(tmp_path / "slice.png")
    words = "--size 24 --steps 2 --views 12 --noise 0 --seeds 2 --rows cross none"
    place = [str(tmp_path / "slice.png"), "--work", str(tmp_path / "work")]
    command = [sys.executable, str(BENCHMARKS / "ct.py"), *place, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "INR_LPIPS": "off"})
    assert done.returncode == 0, done.stderr[-2000:]
    scores = {each.stem: json.loads(each.read_text()) for each in (tmp_path / "work").glob("*.json")}
    # Without noise seeds draw nothing for the others.
    of_seeds = {"cross-12-0-2", "cross-12-0-2-1", "none-12-0-2", "none-12-0-2-1"}
    assert set(scores) == {*of_seeds, "fbp-12-0", "tv-12-0"}
    both = [scores[name]["psnr"] for name in ("cross-12-0-2", "cross-12-0-2-1")]
    assert both[0] != both[1]
    assert f"| cn-ct, cross | {sum(both) / 2:.2f} ± {abs(both[0] - both[1]) / 2:.2f} dB" in done.stdout
    assert scores["tv-12-0"]["psnr"] > 15
