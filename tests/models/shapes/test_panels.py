"""The target in the page: the surface of the shape that is shown, where it was or to its right, or not at all."""

from types import SimpleNamespace

import numpy as np
import pytest
from viewer.fake_viewer import Ball
from viewer.served_page import served_page

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.models.shapes.panels import TargetPanel, _for_the_page
from inr_plugins.viewer import scene_surface

CORNERS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
MESH, CLOUD = Mesh(CORNERS - 0.25, FACES), Cloud(CORNERS[[1, 0, 3, 2]], None)


@pytest.fixture
def opened():
    model = Ball()
    model.names, model.shown_shape = ("tetrahedron", "cloud"), 0
    model.asked, surfaces = [], (MESH, CLOUD)

    def surface(number):
        model.asked.append(number)
        if isinstance(surfaces[number], Exception):
            raise surfaces[number]
        return surfaces[number]

    panel = TargetPanel()
    with served_page(model, panel, shape_surface=surface) as page:
        yield model, page
    assert not panel._worker.is_alive()


def newest(page, kind):
    """The last message of a kind that is about the target."""
    found = [each for each in page.page.others if each["type"] == kind and each.get("name") == "/target"]
    return SimpleNamespace(**found[-1]) if found else None


def shows(page, kind, count=1):
    return page.page.wait(lambda: len([e for e in page.page.others if e["type"] == kind]) >= count)


def array(raw, kind):
    return np.frombuffer(raw, dtype=kind).reshape(-1, 3) if isinstance(raw, bytes) else np.asarray(raw).reshape(-1, 3)


def newest_words(page):
    """What the panel says."""
    found = [
        (e.get("updates") or {}).get("_markdown", (e.get("updates") or {}).get("markdown")) for e in page.page.others
    ]
    return [each for each in found if each is not None][-1]


def test_the_mesh_lies_over_the_fit_and_is_hidden_again(opened):
    model, page = opened
    page.set("Show", "over the fit")
    assert shows(page, "MeshMessage")
    mesh = newest(page, "MeshMessage")
    np.testing.assert_allclose(array(mesh.vertices, np.float32), 10 * MESH.vertices, atol=1e-6)
    np.testing.assert_array_equal(array(mesh.faces, np.uint32), FACES)
    assert 0 < mesh.opacity < 1
    assert mesh.side == "double"
    # It comes after the mesh.
    assert shows(page, "SetPositionMessage")
    assert np.allclose(newest(page, "SetPositionMessage").position, 0)
    assert page.says("tetrahedron: 4 faces."), newest_words(page)
    page.set("Surface", "wireframe")
    assert shows(page, "MeshMessage", 2)
    assert newest(page, "MeshMessage").wireframe
    assert newest(page, "MeshMessage").opacity is None
    page.set("Surface", "solid")
    assert shows(page, "MeshMessage", 3)
    assert (newest(page, "MeshMessage").wireframe, newest(page, "MeshMessage").opacity) == (False, None)
    page.set("Show", "hidden")
    assert shows(page, "RemoveSceneNodeMessage", 3)
    assert page.page.wait(lambda: newest_words(page) == "")
    # Made once.
    assert model.asked == [0]
    # What is hidden is made for no other shape.
    model.shown_shape = 1
    page.live.retake()
    assert not page.page.wait(lambda: len(model.asked) > 1, 0.1)


def test_it_stands_to_the_right_of_who_asked_who_steps_back_once(opened):
    model, page = opened
    before = page.page.position
    page.set("Show", "beside the fit")
    assert shows(page, "MeshMessage")
    # The page looks from +x with z up: right is +y.
    assert page.page.wait(lambda: newest(page, "SetPositionMessage") is not None)
    np.testing.assert_allclose(newest(page, "SetPositionMessage").position, [0, 11.5, 0], atol=1e-4)
    assert page.page.wait(lambda: page.page.position[0] > before[0])
    # In the middle of both.
    assert page.page.wait(lambda: abs(page.page.target[1] - (2.5 + 5.75)) < 1e-3)
    # The next shape comes without another step, and stands there too.
    place, target = page.page.position, page.page.target
    model.shown_shape = 1
    page.live.retake()
    assert shows(page, "PointCloudMessage")
    assert page.page.wait(lambda: np.allclose(newest(page, "SetPositionMessage").position, [0, 11.5, 0], atol=1e-4))
    assert page.says("cloud: 4 points.")
    np.testing.assert_array_equal([page.page.position, page.page.target], [place, target])


def test_another_shape_brings_its_own_target(opened):
    model, page = opened
    page.set("Show", "over the fit")
    assert shows(page, "MeshMessage")
    model.shown_shape = 1
    page.live.retake()
    assert shows(page, "PointCloudMessage")
    assert page.says("cloud: 4 points.")
    points = array(newest(page, "PointCloudMessage").points, np.float32)
    np.testing.assert_allclose(points, 10 * CLOUD.points, atol=1e-6)
    # Four thousandths of a normalised unit.
    assert newest(page, "PointCloudMessage").point_size == pytest.approx(0.04)


def test_what_cannot_be_read_is_said_and_the_next_shape_is_shown(capsys):
    model = Ball()
    model.names, model.shown_shape = ("gone", "cloud"), 0

    def surface(number):
        if number == 0:
            raise InputError("The file has gone.")
        return CLOUD

    with served_page(model, TargetPanel(), shape_surface=surface) as page:
        page.set("Show", "over the fit")
        assert page.says("The file has gone.")
        assert page.page.wait(lambda: "Target: The file has gone." in capsys.readouterr().out)
        model.shown_shape = 1
        page.live.retake()
        assert shows(page, "PointCloudMessage")


def test_more_than_a_page_bears_is_thinned_evenly(monkeypatch):
    monkeypatch.setattr(scene_surface, "MOST_POINTS", 5)
    line = np.linspace(0, 1, 1001)[:, None] * np.ones(3)
    np.testing.assert_allclose(scene_surface.thinned_points(line)[:, 0], [0, 0.25, 0.5, 0.75, 1], atol=1e-3)
    monkeypatch.setattr(scene_surface, "MOST_FACES", 100)
    u, v = np.meshgrid(np.arange(20), np.arange(20))
    grid = np.stack([u, v, 0 * u], -1).reshape(-1, 3) / 19
    first = (np.arange(19)[:, None] * 20 + np.arange(19)).reshape(-1)
    faces = np.concatenate([np.stack([first, first + 1, first + 21], 1), np.stack([first, first + 21, first + 20], 1)])
    thinned = scene_surface.thinned_faces(Mesh(grid, faces))
    assert 20 < len(thinned.faces) <= 100
    assert (
        _for_the_page(Mesh(grid, faces), "cow")[1]
        == f"cow: 722 faces, thinned out to {len(thinned.faces)} for the page."
    )
    assert _for_the_page(Cloud(grid, None), "pig")[1] == "pig: 400 points, of which 5 are shown."
    np.testing.assert_allclose(thinned.bounds, [[0, 0, 0], [1, 1, 0]], atol=1e-6)
