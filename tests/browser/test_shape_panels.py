"""The panels of a dictionary of shapes, in Chromium: codes, blends, and what was learnt from beside what was learnt."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import trimesh
from browser.live_training import JPEG, NOT_THE_MODEL, LiveTraining, psnr
from inr_plugins.method_configs.nid import nid_shapes
from integration.small_methods import small_nid

AXES = np.array([[50.0, 40.0, 60.0], [40.0, 50.0, 20.0], [60.0, 20.0, 40.0]])
"""Half axes of ellipsoids."""


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    for number, axes in enumerate(AXES):
        trimesh.creation.icosphere(3, 1.0).apply_scale(axes).export(folder / f"shape_{number}.ply")
    with LiveTraining(small_nid(nid_shapes, folder, tmp_path_factory.mktemp("runs"))) as training:
        yield training


@pytest.fixture(scope="module")
def page(browser, training):
    """A trained model's, which stands still."""
    training.live.panel._max_res.value = 128  # rays are traced step by step
    page = browser.open(training.port)
    assert page.wait(lambda: page.step > 100, 60)
    page.click("Pause Training")
    training.sharp_frame(page)
    return page


@contextmanager
def other_shape(model, number):
    """The model itself shows another of its shapes."""
    shown, model.shown_shape = model.shown_shape, number
    try:
        yield
    finally:
        model.shown_shape = shown


def test_another_shapes_code_draws_that_shape(page, training):
    panel = page.folder("Shape code")
    shown = training.sharp_frame(page)
    with other_shape(training.model, 0):
        first = training.picture(shown)
    with other_shape(training.model, 1):
        second = training.picture(shown)
    assert psnr(first * 255, second) < NOT_THE_MODEL
    panel.choose("From", "0: shape_0")
    training.sharp_frame(page)
    panel.choose("Towards", "1: shape_1")
    panel.set("Blend", 1)
    page.next_frame()
    assert psnr(training.sharp_frame(page).image, second) > JPEG
    panel.click("Back to the learnt code")
    page.next_frame()
    assert psnr(training.sharp_frame(page).image, first) > JPEG


def test_the_target_is_the_file_in_the_frame_of_the_picture(page, training):
    panel = page.folder("Target")
    panel.choose("Show", "over the fit")
    assert page.wait(lambda: "1,280 faces" in panel.text, 20)
    size = np.ptp(page.sent("/target", "vertices"), axis=0)
    np.testing.assert_allclose(size / size.max(), AXES[0] / AXES[0].max(), atol=0.01)
    panel.choose("Show", "hidden")
    assert page.wait(lambda: "1,280 faces" not in panel.text)
