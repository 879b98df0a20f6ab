"""Real trainings under a page, some in a real browser: only in scripts/test --all, or where named."""

from __future__ import annotations

from pathlib import Path

import jaxtyping
import pytest
from browser.chromium import chromium, find_chromium
from browser.live_training import LiveTraining
from integration.small_methods import small_diner
from long_form import left_out

from inr_plugins.scenes.make import SceneOptions, make_scene

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config) -> bool | None:
    return left_out(HERE, collection_path, config)


@pytest.fixture(scope="module", autouse=True)
def no_checks_of_shapes():
    """Pages are to be as quick as they are: with checks at each call, small pieces of frames cost threefold."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(scope="session")
def knot(tmp_path_factory) -> Path:
    """A small made scene."""
    folder = tmp_path_factory.mktemp("scene") / "knot"
    options = SceneOptions(resolution=(32, 32), num_train=12, num_val=1, num_test=2, samples=1)
    make_scene("knot", folder, options=options)
    return folder


@pytest.fixture(scope="module")
def browser():
    """Chromium, for one file: while it is there, this thread can run no other loop of events."""
    pytest.importorskip("playwright", reason="there is no Playwright: install inr-plugins[browser]")
    executable = find_chromium()
    if executable is None:
        pytest.skip("There is no Chromium: scripts/get_chromium brings Debian's, for root.")
    with chromium(executable) as started:
        yield started


@pytest.fixture(scope="module")
def training(knot, tmp_path_factory):
    """A small diner training with its page, in a thread of this process."""
    with LiveTraining(small_diner(knot, tmp_path_factory.mktemp("runs"))) as training:
        yield training
