"""The panels of a normalised radiance field, in Chromium: its batches' statistics, and how a clicked ray is sampled."""

from __future__ import annotations

import re

import numpy as np
import pytest
from browser.chromium import SCENE_UNITS
from browser.live_training import LiveTraining
from integration.small_methods import small_mipnerf


@pytest.fixture(scope="module")
def training(knot, tmp_path_factory):
    with LiveTraining(small_mipnerf(knot, tmp_path_factory.mktemp("runs"))) as training:
        yield training


@pytest.fixture(scope="module")
def page(browser, training):
    """A page of a model that trains."""
    training.live.panel._max_res.value = 128
    page = browser.open(training.port, size=(900, 600), is_sharp=True)
    assert page.wait(lambda: page.step > 60, 60)
    return page


def apart(level, batch_mean, batch_variance, statistics):
    """How far the means of a batch are off, in standard deviations, and by how much its spread is larger."""
    mean, variance = (each[level].double().numpy() for each in (statistics.mean, statistics.variance))
    off = np.sqrt(np.mean(np.square(batch_mean - mean) / variance))
    return off, np.exp(np.mean(np.log(batch_variance / variance) / 2))


def test_a_batch_is_shown_against_the_running_averages_of_each_pass(page, training):
    panel, batches = page.folder("Batch statistics"), {}

    def take(normalization, inputs):
        """What a normalization is given in a step, as the test itself reads it."""
        if normalization.training:
            rows = inputs[0].detach().double().reshape(-1, inputs[0].shape[-1]).numpy()
            batches[normalization.statistics.sampling_level] = rows.mean(0), rows.var(0, ddof=1)

    norm = training.model.field.trunk.norms[0]
    hook = norm.register_forward_pre_hook(take)
    panel.check("Show")
    assert page.wait(lambda: panel.root.locator("img").count() == 1, 20)
    page.click("Pause Training")
    training.sharp_frame(page)
    hook.remove()

    def told():
        """Of the trunk's first layer, of the step that the page says."""
        assert page.wait(lambda: f"Batch of step {page.step:,}" in panel.text)
        return tuple(map(float, re.search(r"trunk 1\s+([\d.]+) σ\s+x ([\d.]+)", panel.text).groups()))

    assert told() == pytest.approx(apart(0, *batches[0], norm.statistics), abs=0.006)
    assert panel.root.locator("img").evaluate_all("all => all.every(each => each.naturalWidth)")
    panel.choose("Samples", "Fine")
    fine = pytest.approx(apart(1, *batches[1], norm.statistics), abs=0.006)
    assert page.wait(lambda: told() == fine)
    panel.check("Show", False)
    assert page.wait(lambda: panel.root.locator("img").count() == 0)
    assert norm.statistics.last == {}


def test_a_clicked_ray_is_sampled_as_the_picture_is_drawn(page, training):
    panel = page.folder("Sampling of a ray")
    shown = training.sharp_frame(page)
    depth, opacity = (training.picture(shown, each)[..., 0] for each in ("depth", "accumulation"))
    height, width = depth.shape
    # A pixel in the middle of what is dense.
    row, column = (int(np.median(each)) for each in np.nonzero(opacity > 0.9 * opacity.max()))
    panel.click("Click a ray")
    assert page.wait(lambda: "Click into the picture." in panel.text)
    box = page.raw.locator("canvas[data-engine]").bounding_box()
    page.raw.mouse.click(
        box["x"] + (column + 0.5) / width * box["width"], box["y"] + (row + 0.5) / height * box["height"]
    )
    assert page.wait(lambda: "Opacity" in panel.text, 20)

    def told(line):
        return tuple(map(float, re.search(rf"{line}\s+([\d.e-]+)\s+([\d.e-]+)", panel.text).groups()))

    assert told("Opacity")[1] == pytest.approx(opacity[row, column], abs=0.02)
    assert told("Distance")[1] == pytest.approx(depth[row, column], rel=0.01)
    assert panel.root.locator("img").evaluate_all("all => all.length == 2 && all.every(each => each.naturalWidth)")
    points = page.sent("/cn-mipnerf ray/sections", "points") / SCENE_UNITS
    rays = shown.rays_from.generate_rays(camera_indices=0, keep_shape=True)
    origin, direction = (each[row, column].numpy() for each in (rays.origins, rays.directions))
    along = (points - origin) @ direction
    assert np.linalg.norm(points - origin - along[:, None] * direction, axis=1).max() < 0.01 * along.min()
    fine = int(re.search(r"Sections\s+16\s+(\d+) of 16", panel.text)[1])
    assert len(points) == 16 + fine


def test_it_is_seen_in_the_scene_until_it_is_cleared(page, training):
    def red():
        """Pixels of about the colour of its cone."""
        picture = page.look().astype(int)
        return int((picture[..., 0] - picture[..., 1:].max(-1) > 60).sum())

    panel = page.folder("Sampling of a ray")
    page.drag(90)  # seen from the side
    training.sharp_frame(page)
    with_cone = red()
    panel.click("Clear")
    assert page.wait(lambda: red() < with_cone - 500)
    assert "Opacity" not in panel.text
    assert not panel.has("Clear")
