from pathlib import Path

import pytest

from inr_plugins.scenes.make import SceneOptions, make_scene


@pytest.fixture(scope="session")
def knot(tmp_path_factory) -> Path:
    """A small made scene, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("whole way")
    make_scene(
        "knot",
        folder / "knot",
        options=SceneOptions(resolution=(32, 32), num_train=12, num_val=1, num_test=2, samples=1),
    )
    return folder / "knot"
