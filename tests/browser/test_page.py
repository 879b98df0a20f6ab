"""A diner training with its page open in Chromium: what comes, whose picture it is, and pages that come and go."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from browser.live_training import NOT_THE_MODEL, THE_MODEL, likeness


@pytest.fixture(scope="module")
def page(browser, training):
    return browser.open(training.port)


@contextmanager
def paused(page):
    """Training stands still, by the page's own button."""
    page.click("Pause Training")
    try:
        yield
    finally:
        page.click("Resume Training")


def test_the_page_loads_and_a_shape_comes_up(page):
    assert page.wait(lambda: page.is_connected, 20)
    assert page.wait(lambda: page.frames and page.frames[-1].image.std() > 10, 20)
    assert page.complaints == []
    assert page.notes == []


def test_the_picture_and_the_step_go_on_while_it_trains(page, training):
    step, frame = page.step, page.next_frame()
    assert page.wait(lambda: page.step > step + 5 and not np.array_equal(page.frames[-1].image, frame.image))
    assert training.step >= page.step


def test_the_picture_is_the_models_own(page, training):
    assert page.wait(lambda: page.step > 100, 30)  # all stages of diner's lattice
    with paused(page):
        shown, step = training.sharp_frame(page), training.step
        picture = training.picture(shown)
        assert max(shown.image.shape) == 512
        assert likeness(shown, picture) > THE_MODEL
        assert likeness(shown, picture[:, ::-1]) < NOT_THE_MODEL
        assert likeness(shown, picture[::-1]) < NOT_THE_MODEL
        page.drag(120)
        turned = training.sharp_frame(page)
        assert likeness(turned, training.picture(turned)) > THE_MODEL
        assert likeness(turned, picture) < NOT_THE_MODEL
        assert training.step == step
    assert page.wait(lambda: training.step > step)


def test_another_output_is_shown_when_it_is_chosen(page, training):
    options = page.folder("Render Options")
    with paused(page):
        options.choose("Output type", "normals")
        shown = training.sharp_frame(page)
        picture = training.picture(shown, "normals")
        options.choose("Output type", "rgb")
    assert likeness(shown, picture) > THE_MODEL


def test_a_page_that_is_loaded_again_goes_on(page, training):
    page.raw.reload()
    frames, step = len(page.frames), training.step
    assert page.wait(lambda: page.is_connected and len(page.frames) > frames, 20)
    assert page.wait(lambda: page.step > step)
    assert page.wait(lambda: len(training.live.pages) == 1)


def test_two_people_each_see_from_where_they_stand(browser, page, training):
    training.live.panel._max_res.value = 256  # two pages take twice the time
    other = browser.open(training.port, size=(700, 700))
    training.place(other)
    other.drag(150)
    with paused(page):
        seen = training.sharp_frame(page), training.sharp_frame(other)
        assert seen[0].camera["position"] != seen[1].camera["position"]
        for shown in seen:
            assert likeness(shown, training.picture(shown)) > THE_MODEL
    other.raw.context.close()
    assert page.wait(lambda: len(training.live.pages) == 1)
    page.next_frame()


def test_an_error_in_the_model_is_a_sentence_in_the_page_and_the_page_goes_on(page, training, monkeypatch):
    sentence, step = "The lattice has no cells left.", training.step
    with monkeypatch.context() as patch:
        patch.setattr(training.live.source, "new_frame", complain(sentence))
        assert page.wait(lambda: sentence in page.text, 15)
    page.next_frame()
    assert training.step > step


def complain(sentence):
    def fail(*_, **__):
        raise ValueError(sentence)

    return fail
