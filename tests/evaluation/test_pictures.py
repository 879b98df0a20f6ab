"""Pictures of an evaluation: what a killed one has left goes with the next."""

import os
import subprocess
import sys

from inr_plugins.evaluation.pictures import picture_folder


def test_what_a_killed_evaluation_left_goes_also_where_it_had_begun_to_publish(tmp_path):
    """It hides its pictures where it finds a folder, and has made those below when it publishes."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f".pictures.{int(ended.stdout)}.0123abcd.partial"
    (left / "diner").mkdir(parents=True)
    ours = tmp_path / f".pictures.{os.getpid()}.0123abcd.partial"
    ours.mkdir()
    (tmp_path / "out" / "pictures").mkdir(parents=True)
    with picture_folder(tmp_path / "out" / "pictures"):
        assert not left.exists()
        assert ours.exists()
