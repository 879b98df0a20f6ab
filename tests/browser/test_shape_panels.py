"""The panels of a dictionary of shapes, in Chromium: its codes, what it learns from, and its first layer."""

from __future__ import annotations

import re
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import trimesh
from browser.chromium import SCENE_UNITS
from browser.live_training import NOT_THE_MODEL, LiveTraining, likeness
from inr_plugins.method_configs.nid import nid_shapes
from integration.small_methods import small_nid

AXES = np.array([[50.0, 40.0, 60.0], [60.0, 15.0, 20.0]])
"""Half axes of ellipsoids."""
OMEGA = 5.0
QUALITY = 95
"""Of the page's pictures, which are very small."""


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    for number, axes in enumerate(AXES):
        trimesh.creation.icosphere(2, 1.0).apply_scale(axes).export(folder / f"shape_{number}.ply")
    config = small_nid(nid_shapes, folder, tmp_path_factory.mktemp("runs"))
    model = config.pipeline.model
    model.activation, model.omega = "finer-sine", OMEGA
    config.viewer.jpeg_quality = QUALITY
    with LiveTraining(config) as training:
        yield training


@pytest.fixture(scope="module")
def page(browser, training):
    """A trained model's, which stands still."""
    training.live.panel._max_res.value = 32
    page = browser.open(training.port, size=(900, 600), is_sharp=True)
    assert page.wait(lambda: page.step > 100, 60)
    page.click("Pause Training")
    training.sharp_frame(page)
    return page


@contextmanager
def drawn_from(model, code):
    """The model itself draws a code of the test's own."""
    used = code.nonzero()[:, 0]
    model.drawn_code = used[None], code[used][None]
    try:
        yield
    finally:
        model.drawn_code = None


def kept(model, number):
    """A shape's code as NID has it (sec. 3.3): its largest entries, over their length."""
    raw = model.gate.codes.detach()[number]
    code = raw * (raw.abs() >= raw.abs().sort().values[-model.config.active])
    return code / code.norm()


# -- Shape code --------------------------------------------------------------------------------------------------------


def test_codes_of_the_users_are_drawn_and_the_learnt_one_comes_back(page, training):
    panel, model = page.folder("Shape code"), training.model
    learnt = kept(model, 0), kept(model, 1)
    entries, experts = panel.folder("Largest entries"), panel.folder("Experts")
    largest = int(learnt[0].abs().argmax())
    assert page.wait(lambda: entries.has(f"Expert {largest}"))
    assert float(entries.value(f"Expert {largest}")) == pytest.approx(float(learnt[0][largest]), abs=0.02)
    assert re.search(rf"\b{int((learnt[0] != 0).sum())} of 24 entries are not zero", experts.text)
    assert experts.root.locator("img").evaluate_all("all => all.length == 2 && all.every(each => each.naturalWidth)")

    def drawn(click, code):
        """The page's picture after a click: how like the model's own of this code, and of the learnt one."""
        before = training.live.snapshot
        click()
        assert page.wait(lambda: training.live.snapshot is not before)
        shown = training.sharp_frame(page)
        with drawn_from(model, code):
            own = training.picture(shown)
        return likeness(shown, own), likeness(shown, training.picture(shown))

    panel.choose("Towards", "1: shape_1")
    own, usual = drawn(lambda: panel.set("Blend", 0.75), 0.25 * learnt[0] + 0.75 * learnt[1])
    assert own > 28
    assert usual < NOT_THE_MODEL
    own, usual = drawn(lambda: panel.click("Back to the learnt code"), learnt[0])
    assert own > 28
    assert usual > 28
    assert page.wait(lambda: float(panel.value("Blend")) == 0)
    without = learnt[0].index_fill(0, torch.tensor([largest]), 0)
    own, usual = drawn(lambda: entries.set(f"Expert {largest}", 0), without)
    assert own > 28
    assert usual < NOT_THE_MODEL

    def choose():
        panel.choose("From", "1: shape_1")
        # It is the shape that is shown now, also to meshes, once the other dropdown has said so.
        assert page.wait(lambda: model.shown_shape == 1 and training.live.snapshot.model.shown_shape == 1)

    own, usual = drawn(choose, learnt[1])
    assert own > 28
    assert usual > 28


# -- Target ------------------------------------------------------------------------------------------------------------


def test_the_target_is_the_file_where_the_fit_is(page, training):
    panel, shown = page.folder("Target"), training.model.shown_shape
    panel.choose("Show", "over the fit")
    assert page.wait(lambda: f"shape_{shown}: 320 faces" in panel.text, 20)
    vertices = page.sent("/target", "vertices") / SCENE_UNITS
    size = np.ptp(vertices, axis=0)
    np.testing.assert_allclose(size / size.max(), AXES[shown] / AXES[shown].max(), atol=0.01)
    # Where the surface is that is learnt.
    with torch.no_grad():
        distance = training.model.field.sdf(torch.from_numpy(vertices)).numpy()
    assert np.abs(distance).mean() < 0.1 * size.max()


def test_the_target_is_solid_wires_or_hidden(page):
    def orange():
        """Pixels of about its colour, lit."""
        red, green, blue = np.moveaxis(page.look().astype(int), -1, 0)
        return int(((red - green > 25) & (green - blue > 25)).sum())

    panel = page.folder("Target")
    panel.choose("Show", "hidden")
    assert page.wait(lambda: "faces" not in panel.text)
    usual = orange()
    panel.choose("Surface", "solid")
    panel.choose("Show", "beside the fit")
    assert page.wait(lambda: orange() > usual + 3000)
    solid = orange()
    panel.choose("Surface", "wireframe")
    assert page.wait(lambda: usual + 300 < orange() < 0.8 * solid)
    panel.choose("Show", "hidden")
    assert page.wait(lambda: orange() < usual + 100)


# -- First-layer frequencies -------------------------------------------------------------------------------------------


def cycles(weight, bias):
    """Of FINER++, per unit, by differences of its phase at a lattice of points: median and 0.95 quantile."""
    line = (np.arange(5) + 0.5) / 2.5 - 1
    x = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)

    def phase(at):
        z = at @ weight.T + bias
        return OMEGA * (np.abs(z) + 1) * z / (2 * np.pi)

    step = 1e-5
    slopes = [(phase(x + step * axis) - phase(x - step * axis)) / (2 * step) for axis in np.eye(3)]
    fastest = np.sqrt(sum(np.square(each) for each in slopes))
    return np.median(fastest), np.quantile(fastest, 0.95)


def test_frequencies_are_of_the_first_layer_and_move_while_it_trains(page, training):
    panel = page.folder("First-layer frequencies")

    def told(line):
        found = re.search(rf"{line}\s+([\d.e-]+)\s+([\d.e-]+)", panel.text)
        return found and tuple(map(float, found.groups()))

    def now():
        return told(f"Step {page.step:,}")

    panel.check("Show")
    assert page.wait(now)
    layer = training.model.dictionary.trunk.layers[0]
    values = [each.detach().double().numpy() for each in (layer.weight, layer.bias)]
    assert now() == pytest.approx(cycles(*values), rel=0.01)
    assert panel.root.locator("img").evaluate_all("all => all.length == 1 && all.every(each => each.naturalWidth)")
    start, step = told("Start"), page.step
    page.click("Resume Training")
    assert page.wait(lambda: re.search(r"Step ([\d,]+)", panel.text)[1] != f"{step:,}", 20)
    page.click("Pause Training")
    assert page.wait(lambda: training.trainer.training_state != "training")
    assert page.wait(now, 20)
    values = [each.detach().double().numpy() for each in (layer.weight, layer.bias)]
    assert now() == pytest.approx(cycles(*values), rel=0.01)
    assert told("Start") == start
    panel.check("Show", False)
    assert page.wait(lambda: panel.root.locator("img").count() == 0)
