"""A user's mistake under the real ns-train: one sentence on stderr, exit status 1, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from long_form import long_form

HERE = Path(__file__).parent


@long_form
def test_missing_data_under_ns_train(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        "NERFSTUDIO_METHOD_CONFIGS": "tiny=tiny_method:specification",
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "nerfstudio.scripts.train", "tiny", "--data", "nowhere"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("Error: There is no data at nowhere")
    # Nothing was trained, so no run is left behind.
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "outputs"])
