"""What the page of an image shows in place of the fit, and the PSNR that it says, against numpy by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from viewer.fake_viewer import Ball
from viewer.served_page import served_page

from inr_plugins.errors import InputError
from inr_plugins.fields.image import ImageField
from inr_plugins.models.inverse.planes import COLUMN, ROW, BodyView, planes_of
from inr_plugins.models.inverse.volume_panel import VolumePanel
from inr_plugins.models.signals.panels import SLICE, TRUTH, ImagePanel
from inr_plugins.signal_grid import PixelGrid

WIDTH, HEIGHT = 320, 240


class Grey(ImageField):
    """One value everywhere."""

    value = 0.5

    def forward(self, places):
        raise NotImplementedError

    def at(self, pixels):
        return torch.full((len(pixels), self.channels), self.value)


@pytest.fixture
def opened():
    model = Ball()
    model.grid, model.has_alpha = PixelGrid(WIDTH, HEIGHT), False
    model.field = Grey(model.grid, 3)
    own = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    panel = ImagePanel()
    with served_page(model, panel, image=SimpleNamespace(pixels=own)) as page:
        yield own / 255.0, page


MIDDLES = torch.tensor([[0.0, 0.0], [7.0, 3.0], [319.0, 239.0]], dtype=torch.float64)


def values(page):
    return page.live.snapshot.model.field.at(MIDDLES).numpy()


def test_file_and_error_take_the_place_of_the_fit_which_comes_back(opened):
    truth, page = opened
    own = np.stack([truth[0, 0], truth[3, 7], truth[239, 319]])
    page.set("Show", "file")
    assert page.page.wait(lambda: np.allclose(values(page), own, atol=1e-6))
    assert page.live.snapshot.is_edited
    page.set("Show", "error")
    assert page.page.wait(lambda: np.allclose(values(page), 10 * np.abs(own - 0.5), atol=1e-5))
    page.set("Show", "fit")
    assert page.page.wait(lambda: np.allclose(values(page), 0.5))
    assert not page.live.snapshot.is_edited


def test_the_psnr_is_that_of_the_fit_whatever_is_shown(opened):
    truth, page = opened
    page.set("Show", "file")
    # Of 65,536 of 76,800 pixels.
    error = np.mean((truth - 0.5) ** 2)
    assert page.says("65,536 of 76,800 pixels, step 0.")
    told = [str(each) for each in page.page.others if "PSNR" in str(each)]
    found = float(told[-1].split("PSNR ")[1].split(" dB")[0])
    assert found == pytest.approx(-10 * np.log10(error), abs=0.02)


def test_channels_are_drawn_three_or_one_at_a_time_and_all_of_them_judged():
    model, bands = Ball(), tuple(f"channel {number}" for number in range(1, 7))
    model.grid, model.has_alpha, model.bands, model.seen_bands = PixelGrid(20, 10), False, bands, (0, 1, 2)
    model.field = Grey(model.grid, 6)
    own = np.random.default_rng(0).integers(0, 256, (10, 20, 6)).astype(np.uint8)
    errors = ((own / 255.0 - 0.5) ** 2).mean((0, 1))
    with served_page(model, ImagePanel(bands=bands), image=SimpleNamespace(pixels=own)) as page:
        assert page.control("Channels")["options"] == ["first three", *bands]
        assert not page.live.snapshot.is_edited
        every = f"PSNR {-10 * np.log10(errors.mean()):.2f} dB** of all pixels and 6 channels, step 0."
        assert page.says(f"{every} Of first three {-10 * np.log10(errors[:3].mean()):.2f} dB.")
        page.set("Channels", "channel 5")
        assert page.page.wait(lambda: page.live.snapshot.model.seen_bands == (4,))
        assert page.says(f"{every} Of channel 5 {-10 * np.log10(errors[4]):.2f} dB.")
        page.set("Show", "error")
        place = torch.tensor([[4.0, 3.0]], dtype=torch.float64)
        missed = 10 * np.abs(own[3, 4] / 255.0 - 0.5)
        assert page.page.wait(lambda: np.allclose(page.live.snapshot.model.field.at(place), missed, atol=1e-5))


class Gone:
    """A file that cannot be read."""

    @property
    def pixels(self):
        raise InputError("There is no image at /a.png: give it.")


def test_without_the_file_there_is_the_fit_alone_and_the_page_says_why():
    model = Ball()
    model.grid, model.has_alpha = PixelGrid(WIDTH, HEIGHT), False
    model.field = Grey(model.grid, 3)
    with served_page(model, ImagePanel(), image=Gone()) as page:
        assert page.says("Only the fit can be shown. There is no image at /a.png")
        assert page.control("Show")["options"] == ["fit"]
        assert not page.says("PSNR", seconds=0.5)


def test_a_slider_chooses_the_frame_that_is_drawn_and_judged():
    frames = 3
    model = Ball()
    model.frame, model.grid, model.has_alpha = None, PixelGrid(20, 10, frames), False
    model.field = Grey(model.grid, 3)
    own = np.random.default_rng(0).integers(0, 256, (frames, 10, 20, 3)).astype(np.uint8)
    with served_page(model, ImagePanel(frames=frames), image=SimpleNamespace(pixels=own)) as page:
        assert page.control("Frame")["max"] == 2
        assert not page.live.snapshot.is_edited
        for frame in (2, 0, 1):
            page.set("Frame", frame)
            error = np.mean((own[frame] / 255.0 - 0.5) ** 2)
            assert page.says(f"PSNR {-10 * np.log10(error):.2f} dB** of all pixels of frame {frame}, step 0.")
            assert page.page.wait(lambda frame=frame: page.live.snapshot.model.frame == (frame or None))
        page.set("Show", "file")
        place = torch.tensor([[4.0, 3.0, 1.0]], dtype=torch.float64)
        wanted = own[1, 3, 4] / 255.0
        assert page.page.wait(lambda: np.allclose(page.live.snapshot.model.field.at(place), wanted, atol=1e-6))


def test_of_a_volume_the_middle_slice_is_drawn_at_first():
    model = Ball()
    model.frame, model.grid, model.has_alpha = None, PixelGrid(20, 10, 5), False
    model.field = Grey(model.grid, 1)
    own = np.random.default_rng(0).random((5, 10, 20, 1)).astype(np.float32)
    image = SimpleNamespace(pixels=own, values=lambda: own)
    panel = ImagePanel(frames=5, frame=SLICE, stored=TRUTH, scales=(("1/mm", (0.0, 0.025)),))
    with served_page(model, panel, image=image) as page:
        assert page.says("Black is 0, white 0.025 per mm.")
        error = np.mean((own[2] - 0.5) ** 2)
        assert page.says(f"PSNR {-10 * np.log10(error):.2f} dB** of all pixels of slice 2, step 0.")
        assert page.live.snapshot.model.frame == 2
        page.set("Slice", 0)
        assert page.page.wait(lambda: page.live.snapshot.model.frame is None)
        page.set("Show", "truth")
        place = torch.tensor([[4.0, 3.0, 0.0]], dtype=torch.float64)
        assert page.page.wait(lambda: np.allclose(page.live.snapshot.model.field.at(place), own[0, 3, 4]))


def volume_page(voxel_mm=(1.0, 1.0, 2.0), *, is_patient=False):
    model = Ball()
    model.frame, model.grid, model.has_alpha, model.view = None, PixelGrid(20, 10, 5), False, None
    model.field = Grey(model.grid, 1)
    own = np.random.default_rng(0).random((5, 10, 20, 1)).astype(np.float32)
    panel = VolumePanel(
        planes=planes_of(None),
        sides=model.grid.sides,
        voxel_mm=voxel_mm,
        frames=5,
        frame=SLICE,
        stored=TRUTH,
        scales=(("1", (1.0, 3.0)),),
        is_patient=is_patient,
    )
    return own, served_page(model, panel, image=SimpleNamespace(pixels=own, values=lambda: own)), panel


def test_slices_of_oblong_voxels_have_their_own_lengths():
    _, opened, _ = volume_page(voxel_mm=(1.0, 1.5, 2.0))
    with opened as page:
        assert page.page.wait(lambda: getattr(page.live.snapshot.model, "view", None) is not None)
        assert [each.name for each in page.live.snapshot.model.view.planes] == ["xy"]


def test_sliders_of_places_are_those_of_the_planes_that_are_seen():
    _, opened, panel = volume_page()

    def seen():
        return [panel._places[axis].visible for axis in (COLUMN, ROW, 2)]

    with opened as page:
        assert seen() == [False, False, True]
        for plane, wanted in (("xz", [False, True, False]), ("yz", [True, False, False]), ("all three", [True] * 3)):
            page.set("Plane", plane)
            assert page.page.wait(lambda wanted=wanted: seen() == wanted)


def test_planes_of_a_volume_are_chosen_and_judged():
    own, opened, _ = volume_page()
    with opened as page:
        drawn = lambda: page.live.snapshot.model  # noqa: E731
        assert drawn().view is None
        page.set("Plane", "xz")
        error = np.mean((own[:, 5] - 0.5) ** 2)
        assert page.says(f"PSNR {-10 * np.log10(error):.2f} dB** of all pixels of row 5, step 0.")
        assert page.page.wait(lambda: drawn().view is not None and [p.name for p in drawn().view.planes] == ["xz"])
        page.set("Row", 2)
        error = np.mean((own[:, 2] - 0.5) ** 2)
        assert page.says(f"PSNR {-10 * np.log10(error):.2f} dB** of all pixels of row 2, step 0.")
        assert page.page.wait(lambda: drawn().view.at == (10, 2, 2))
        page.set("Plane", "yz")
        page.set("Column", 7)
        error = np.mean((own[:, :, 7] - 0.5) ** 2)
        assert page.says(f"PSNR {-10 * np.log10(error):.2f} dB** of all pixels of column 7, step 0.")
        page.set("Plane", "all three")
        error = np.mean((own[2] - 0.5) ** 2)
        assert page.says(f"PSNR {-10 * np.log10(error):.2f} dB** of all pixels of slice 2, step 0.")
        assert page.page.wait(lambda: len(drawn().view.planes) == 3)
        assert (drawn().view.at, drawn().view.sides, drawn().view.spacing_mm) == ((7, 2, 2), (20, 10, 5), (1, 1, 2))
        page.set("Plane", "xy")
        assert page.page.wait(lambda: drawn().view is None)


@pytest.mark.parametrize("is_patient", [False, True])
def test_all_of_a_volume_is_chosen_and_judged_by_a_slice(is_patient):
    own, opened, panel = volume_page(is_patient=is_patient)

    def shown():
        return [each.visible for each in (panel._rays, panel._opacity)]

    with opened as page:

        def drawn():
            return getattr(page.live.snapshot.model, "view", None)

        assert shown() == [False, False]
        page.set("Plane", "volume")
        assert page.page.wait(lambda: drawn() == BodyView("density", 20.0))
        assert page.page.wait(lambda: shown() == [True, True])
        assert [panel._places[axis].visible for axis in (COLUMN, ROW, 2)] == [False, False, True]
        assert ("front" in panel._edges.content) == is_patient
        page.set("Opacity", 35)
        assert page.page.wait(lambda: drawn() == BodyView("density", 35.0))
        page.set("Rays", "maximum")
        assert page.page.wait(lambda: drawn() == BodyView("maximum", 35.0))
        assert page.page.wait(lambda: shown() == [True, False])
        page.set("Slice", 1)
        error = np.mean((own[1] - 0.5) ** 2)
        assert page.says(f"PSNR {-10 * np.log10(error):.2f} dB** of all pixels of slice 1, step 0.")
        page.set("Plane", "xy")
        assert page.page.wait(lambda: drawn() is None and shown() == [False, False])


def test_window_and_level_are_in_the_unit_and_leave_the_error_alone():
    _, opened, _ = volume_page()
    with opened as page:
        drawn = lambda: page.live.snapshot.model  # noqa: E731
        assert page.says("Black is 1, white 3.")
        page.set("Level", 1.5)
        assert page.says("Black is 0.5, white 2.5.")
        page.set("Window", 0.4)
        assert page.says("Black is 1.3, white 1.7.")
        assert page.page.wait(lambda: drawn().window == pytest.approx((0.15, 0.35)))
        page.set("Show", "error")
        assert page.says("Black is 0, white 0.2.")
        assert page.page.wait(lambda: not hasattr(drawn(), "window"))
        page.set("Show", "truth")
        assert page.page.wait(lambda: getattr(drawn(), "window", None) == pytest.approx((0.15, 0.35)))
        page.set("Level", 2)
        page.set("Window", 2)
        assert page.page.wait(lambda: drawn().window == (0, 1))


def test_tissues_set_window_and_level_of_hounsfield_units():
    model = Ball()
    model.grid, model.has_alpha = PixelGrid(20, 10), False
    model.field = Grey(model.grid, 1)
    own = np.random.default_rng(0).random((10, 20, 1)).astype(np.float32)
    panel = ImagePanel(scales=(("HU", (-1000.0, 1000.0)),))
    with served_page(model, panel, image=SimpleNamespace(pixels=own, values=lambda: own)) as page:
        assert page.says("Black is -1000, white 1000 HU.")
        page.set("Tissue", "soft tissue")
        assert page.says("Black is -160, white 240 HU.")
        page.set("Tissue", "bone")
        assert page.says("Black is -500, white 1300 HU.")
        page.set("Tissue", "all")
        assert page.page.wait(lambda: page.live.snapshot.model.window == (0, 1))


def test_a_tissue_beyond_the_scale_is_as_near_as_the_sliders_go():
    model = Ball()
    model.grid, model.has_alpha = PixelGrid(20, 10), False
    model.field = Grey(model.grid, 1)
    own = np.random.default_rng(0).random((10, 20, 1)).astype(np.float32)
    panel = ImagePanel(scales=(("HU", (-1000.0, 200.0)),))
    with served_page(model, panel, image=SimpleNamespace(pixels=own, values=lambda: own)) as page:
        page.set("Tissue", "bone")
        assert page.says("Black is -400, white 800 HU.")


def test_an_image_has_no_slider(opened):
    _, page = opened
    assert page.control("Show")
    assert not any(each.get("label") == "Frame" for each in page.page.others)


class Parted(Ball):
    """What shows one part of several."""

    part = 0

    def show_part(self, part):
        self.part = part


def test_parts_are_switched_and_judged_each_for_itself():
    model = Parted()
    model.grid, model.has_alpha = PixelGrid(20, 10), False
    model.field = Grey(model.grid, 2)
    own = np.random.default_rng(0).random((10, 20, 2)).astype(np.float32)
    scales = (("1", (0.0, 1.2)), ("rad", (-math.pi, math.pi)))
    panel = ImagePanel(parts=("amplitude", "phase"), unjudged=("phase",), scales=scales)
    with served_page(model, panel, image=SimpleNamespace(pixels=own, values=lambda: own)) as page:
        error = np.mean((own[..., 0] - 0.5) ** 2)
        assert page.says(f"PSNR {-10 * np.log10(error):.2f} dB** of all pixels of the amplitude, step 0.")
        assert page.says("Black is 0, white 1.2.")
        page.set("Show", "error")
        assert page.says("Black is 0, white 0.12.")
        page.set("Show", "fit")
        page.set("Part", "phase")
        assert page.says("Black is -3.1416, white 3.1416 rad.")
        assert [[each.visible for each in pair] for pair in panel._window._pairs] == [[False, False], [True, True]]
        assert page.page.wait(lambda: page.live.snapshot.model.part == 1)
        assert page.says("The phase is known but for a constant, and has no PSNR here.")
        assert model.part == 0
        page.set("Part", "amplitude")
        assert page.page.wait(lambda: page.live.snapshot.model.part == 0)


def test_a_part_that_the_file_has_not_is_that_of_the_fit_whatever_is_shown():
    model = Parted()
    model.grid, model.has_alpha = PixelGrid(20, 10), False
    model.field = Grey(model.grid, 1)
    own = np.random.default_rng(0).random((10, 20, 1)).astype(np.float32)
    scales = (("1", (1.33, 1.37)), ("1", (0.0, 0.04)))
    panel = ImagePanel(parts=("index", "absorption"), unstored=("absorption",), scales=scales)
    with served_page(model, panel, image=SimpleNamespace(pixels=own, values=lambda: own)) as page:
        page.set("Show", "file")
        assert page.page.wait(lambda: np.allclose(values(page)[0], own[0, 0]))
        page.set("Part", "absorption")
        assert page.page.wait(lambda: np.allclose(values(page), 0.5))
        assert page.says("The file has no absorption, which is that of the fit whatever is shown.")
        assert page.says("Black is 0, white 0.04.")
