"""Volumes and images of many channels in Chromium: their planes, all of them, and which channels are drawn."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager

import numpy as np
import tifffile
import torch
from browser.live_training import NOT_THE_MODEL, THE_MODEL, LiveTraining, as_sent, psnr
from inr_plugins.method_configs.images import finer_image
from inr_plugins.method_configs.resonance import cn_mri

from inr_plugins.models.inverse.planes import BodyView, PlaneView, planes_of

QUALITY = 95
GREY = np.array([0.299, 0.587, 0.114])
SIDES, SPACING = (20, 16, 12), (1.5, 2.0, 3.0)
"""Columns, rows and slices, and their distances."""


def volume(folder):
    column, row, slice_ = (np.linspace(-1, 1, side) for side in SIDES)
    z, y, x = np.meshgrid(slice_, row, column, indexing="ij")
    body = np.exp(-3 * (x**2 + 2 * y**2 + z**2)) + (np.abs(np.stack([x - 0.5, y + 0.4, z - 0.3])) < 0.3).all(0)
    np.save(folder / "body.npy", body.astype(np.float32))
    told = {"values": "volume", "spacing_mm": SPACING[::-1]}
    (folder / "body.json").write_text(json.dumps(told))
    return folder / "body.npy"


def channels(folder):
    place = np.linspace(0, 1, 24)
    waves = [np.sin(2 * np.pi * (k + 1) * place[:, None] * place + k) for k in range(5)]
    picture = (127 + 120 * np.stack(waves, -1)).astype(np.uint8)
    tifffile.imwrite(folder / "bands.tif", picture, photometric="minisblack", planarconfig="contig")
    return folder / "bands.tif"


@contextmanager
def paused(method, data, folder, browser):
    """A training and a page of it that stand still after some steps, and the model's own copy for pages."""
    config = copy.deepcopy(method.config)
    config.pipeline.datamanager.data, config.output_dir = data, folder / "runs"
    config.pipeline.model.width = 32
    config.viewer.jpeg_quality, config.viewer.max_num_display_images = QUALITY, 1
    with LiveTraining(config) as training:
        training.live.panel._max_res.value = 128
        page = browser.open(training.port, size=(900, 600), is_sharp=True)
        assert page.wait(lambda: page.step > 60, 60)
        page.click("Pause Training")
        training.sharp_frame(page)
        yield training, page, page.folder("Image")


def drawn(training, page, **attributes):
    """dB of what the page shows against what the model draws from there with some attributes set, as grey: so fine
    colours are lost on the way."""
    shown = training.sharp_frame(page)
    made = training.model.viewer_copy()
    for name, value in attributes.items():
        setattr(made, name, value)
    with torch.no_grad():
        outputs = made.get_outputs_for_camera(shown.rays_from.to(made.device), None)
    wanted = as_sent(outputs["rgb"].cpu().numpy(), shown)
    return psnr(shown.image @ GREY, wanted @ GREY)


def test_planes_and_all_of_a_volume(browser, tmp_path):
    xy, xz, yz = planes_of(None)
    with paused(cn_mri, volume(tmp_path), tmp_path, browser) as (training, page, panel):
        # Voxels are oblong.
        own = {"xy": PlaneView((xy,), (10, 8, 6), SIDES, SPACING)}
        assert drawn(training, page, view=own["xy"]) > THE_MODEL
        panel.choose("Plane", "xz")
        panel.set("Row", 5)
        own["xz"] = PlaneView((xz,), (10, 5, 6), SIDES, SPACING)
        assert drawn(training, page, view=own["xz"]) > THE_MODEL
        panel.choose("Plane", "all three")
        panel.set("Column", 13)
        own["all three"] = PlaneView((xy, xz, yz), (13, 5, 6), SIDES, SPACING)
        assert drawn(training, page, view=own["all three"]) > THE_MODEL
        assert drawn(training, page, view=own["xz"]) < THE_MODEL - 8
        panel.choose("Plane", "volume")
        assert drawn(training, page, view=BodyView("density", 20.0)) > THE_MODEL
        page.drag(80)
        assert drawn(training, page, view=BodyView("density", 20.0)) > THE_MODEL
        assert drawn(training, page, view=BodyView("maximum")) < THE_MODEL - 5
        panel.choose("Rays", "maximum")
        assert drawn(training, page, view=BodyView("maximum")) > THE_MODEL
        panel.set("Level", 0.4)
        panel.set("Window", 0.3)
        low, high = training.model.unit_span
        window = tuple((each - low) / (high - low) for each in (0.25, 0.55))
        assert drawn(training, page, view=BodyView("maximum"), window=window) > THE_MODEL - 2
        panel.choose("Plane", "xy")
        assert drawn(training, page, view=PlaneView((xy,), (13, 5, 6), SIDES, SPACING), window=window) > THE_MODEL - 2


def test_channels_are_chosen(browser, tmp_path):
    with paused(finer_image, channels(tmp_path), tmp_path, browser) as (training, page, panel):
        first = training.model.seen_bands
        assert drawn(training, page, seen_bands=first) > NOT_THE_MODEL
        assert len(panel.options("Channels")) > 5
        alone = [each for each in panel.options("Channels") if each.endswith("4")]
        panel.choose("Channels", alone[0])
        number = training.model.bands.index(alone[0])
        assert drawn(training, page, seen_bands=(number,)) > NOT_THE_MODEL
        assert drawn(training, page, seen_bands=first) < NOT_THE_MODEL - 5
        assert f"Of {alone[0]} " in panel.text
