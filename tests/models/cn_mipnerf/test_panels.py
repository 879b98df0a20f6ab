"""cn-mipnerf's panel on a ball in closed form: what is told of a ray, what is drawn of it, and how it is asked for."""

import numpy as np
import pytest
import torch
from models.cn_mipnerf.test_model import RADIUS, make
from page_client import PageClient
from viewer.served import eventually, served
from viser.infra import WebsockMessageHandler

from inr_plugins.models.cn_mipnerf.panels import NODE, RayPanel, cone_mesh, sample_ray, section_points, told

FROM, TOWARDS = np.array([4.0, 0.0, 0.0]), np.array([-1.0, 0.0, 0.0])
PIXEL = 0.01


def ball():
    """A model whose density is that of a solid ball, in a box of half side 1.5."""
    model = make().eval()

    def density(mean, variance, *, sampling_level):
        return 400.0 * (mean.norm(dim=1) < RADIUS)

    model.field.density_of_gaussians = density
    model.field.density_and_colour = lambda mean, variance, directions, ray, *, sampling_level: (
        density(mean, variance, sampling_level=sampling_level),
        torch.ones(len(mean), 3),
    )
    return model


@pytest.fixture
def ray():
    return sample_ray(ball(), FROM, TOWARDS, PIXEL)


def test_coarse_sections_are_even_and_fine_ones_close_to_the_surface(ray):
    edges = np.linspace(2.5, 5.5, 17)
    np.testing.assert_allclose(ray.coarse.start, edges[:-1], atol=1e-5)
    np.testing.assert_allclose(ray.coarse.end, edges[1:], atol=1e-5)
    assert ray.coarse.weights.sum() == pytest.approx(1, abs=1e-4)
    # The first section whose middle is inside holds everything.
    first = int(np.argmax(np.abs(4 - (edges[1:] + edges[:-1]) / 2) < RADIUS))
    assert ray.coarse.weights.argmax() == first
    surface = 4 - RADIUS
    assert np.abs(np.median(ray.fine.start) - surface) < 0.4
    assert ray.fine.depth == pytest.approx(surface, abs=(ray.fine.end - ray.fine.start).min() + 0.02)


def test_its_points_lie_on_the_ray_and_its_cone_around_it(ray):
    points, colours = section_points(ray)
    assert len(points) == len(colours) == len(ray.coarse.start) + len(ray.fine.start)
    np.testing.assert_allclose(points[:, 1:], 0, atol=1e-6)
    assert points[:16, 0] == pytest.approx(4 - (ray.coarse.start + ray.coarse.end) / 2)
    vertices, faces = cone_mesh(ray)
    along = 4 - vertices[:, 0]
    np.testing.assert_allclose(sorted(set(along.round(4))), [2.5, 5.5])
    # 2 / sqrt(12) of the pixel's width at distance 1.
    np.testing.assert_allclose(np.hypot(vertices[:, 1], vertices[:, 2]), along * PIXEL * 2 / 12**0.5, rtol=1e-4)
    # Each edge between two rings is of two triangles, each on a ring of one.
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    assert sorted(np.unique(np.unique(edges, axis=0, return_counts=True)[1])) == [1, 2]


def test_what_is_told_are_the_sums_of_its_weights(ray):
    rows = {each.split("|")[1].strip(): each.split("|")[2:4] for each in told(ray, 16).splitlines() if "|" in each}
    assert [each.strip() for each in rows["Opacity"]] == ["1.00", "1.00"]
    assert float(rows["Distance"][1]) == pytest.approx(ray.fine.depth, abs=1e-3)
    assert rows["Sections"][1].strip() == f"{len(ray.fine.start)} of 16"


def test_a_ray_that_misses_is_no_ray():
    assert sample_ray(ball(), FROM, np.array([0.0, 1.0, 0.0]), PIXEL) is None


def test_a_click_is_answered_once_it_has_been_asked_for(monkeypatch):
    panel, handled = RayPanel(), []
    handle = WebsockMessageHandler._handle_incoming_message

    def noting(receiver, client, message):
        handle(receiver, client, message)
        handled.append(type(message).__name__)

    monkeypatch.setattr(WebsockMessageHandler, "_handle_incoming_message", noting)
    with served(ball(), panel) as page, PageClient(page.port) as browser:
        page.live.retake()

        def press(label):
            def found():
                return next((each["id"] for each in browser.others if each.get("label") == label), None)

            assert browser.wait(found)
            browser.send(type="GuiUpdateMessage", id=found(), updates={"value": True})

        def click(direction):
            browser.send(
                type="ScenePointerMessage",
                event_type="click",
                ray_origin=(40.0, 0.0, 0.0),
                ray_direction=direction,
                screen_pos=((0.5, 0.5),),
            )

        press("Click a ray")
        assert eventually(lambda: panel._text.content == "Click into the picture.")
        enabled = [each for each in browser.others if each["type"] == "ScenePointerEnableMessage"]
        click((-1.0, 0.0, 0.0))
        assert eventually(lambda: "data:image/svg" in panel._text.content)
        assert eventually(lambda: f"{NODE}/sections" in page.points)
        points = page.points[f"{NODE}/sections"][0]
        assert np.linalg.norm(points[:, 1:]) < 1e-4
        assert 25 > points[:, 0].mean() > -25
        press("Clear")
        assert eventually(lambda: page.points == {} and panel._text.content == "")
        # Only the click that was asked for. viser's threads may turn round what is sent at once; it hands each message
        # to the server and to the connection.
        click((-1.0, 0.0, 0.0))
        assert eventually(lambda: handled.count("ScenePointerMessage") == 4)
        press("Click a ray")
        assert eventually(lambda: panel._text.content == "Click into the picture.")
        click((0.0, 1.0, 0.0))
        assert eventually(lambda: "misses the scene's box" in panel._text.content)
        assert page.points == {}
        assert browser.wait(lambda: any(each["type"] == "ScenePointerEnableMessage" for each in browser.others))
        assert len(enabled) <= 1
