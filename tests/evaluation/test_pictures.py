"""Pictures of an evaluation: what a killed one has left goes with the next."""

import subprocess
import sys

from inr_plugins.evaluation.pictures import picture_folder
from inr_plugins.leftovers import hidden_folder

_KILLED = """
import os, signal, sys
from pathlib import Path
from inr_plugins.leftovers import hidden_folder
with hidden_folder(Path(sys.argv[1]), "pictures") as folder:
    (folder / "diner").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_evaluation_left_goes_also_where_it_had_begun_to_publish(tmp_path):
    """It hides its pictures where it finds a folder, and has made those below when it publishes."""
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path], check=False)
    (left,) = tmp_path.iterdir()
    (tmp_path / "out" / "pictures").mkdir(parents=True)
    with hidden_folder(tmp_path, "pictures") as alive:
        with picture_folder(tmp_path / "out" / "pictures"):
            assert not left.exists()
        assert alive.exists()
