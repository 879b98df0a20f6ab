"""The panel "Look" against balls in closed form: slices, contours, levels, clouds, shading, and what pages are sent."""

from __future__ import annotations

import io
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import viser
from cli.sphere_runs import SCALE, Fake
from page_client import PageClient
from PIL import Image
from viewer.fake_viewer import BOX, Ball, FakePage, FakeViewer
from viewer.test_bake import BallDensity, BallDistance, BallOccupancy, PaintedBall

from inr_plugins.fields.moved_level import at_level
from inr_plugins.fields.protocol import ColourField
from inr_plugins.geometry.frames import Similarity
from inr_plugins.rendering.tracing.sphere_tracing import trace_distance
from inr_plugins.viewer import live as live_module
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panels import look_work as work
from inr_plugins.viewer.panels.look import LookPanel, units_of
from inr_plugins.viewer.snapshot import Snapshot

RADIUS, STEP_AXES = 0.5, np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def no_pause(_: float) -> None:
    return None


def model_of(field):
    return SimpleNamespace(field=field, scene_box=SimpleNamespace(aabb=BOX), device=torch.device("cpu"))


def radii(image: np.ndarray, side: float) -> np.ndarray:
    """Distance of black pixels from the middle, normalised units."""
    pixels = len(image)
    rows, columns = np.nonzero((image == 0).all(-1))
    # A border is between a pixel and the next.
    return np.hypot(rows + 0.5 - pixels / 2, columns + 0.5 - pixels / 2) * side / pixels


@pytest.mark.parametrize("field", [BallDistance(), BallOccupancy()])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_a_slices_zero_line_is_the_circle_in_which_the_plane_cuts_the_ball(field, offset):
    points = work.slice_points(np.array([0.0, offset, 0]), STEP_AXES, 2.0, 200)
    assert torch.allclose(points[:, 1], torch.tensor(offset))
    values = work.slice_values(model_of(field), points, no_pause).reshape(200, 200)
    assert values[100, 100] < 0 < values[5, 5]
    found = radii(work.colour_slice(values, spacing=0.05), 2.0)
    expected = np.sqrt(RADIUS**2 - offset**2)
    assert len(found) > 200
    assert np.abs(found - expected).max() < 0.03


def test_a_slice_has_the_distances_and_nothing_outside_the_box():
    points = work.slice_points(np.zeros(3), STEP_AXES, 3.0, 60)
    values = work.slice_values(model_of(BallDistance()), points, no_pause)
    within = (points.abs() <= 1).all(-1).numpy()
    assert np.isnan(values[~within]).all()
    np.testing.assert_allclose(values[within], points.norm(dim=-1).numpy()[within] - RADIUS, atol=1e-6)
    image = work.colour_slice(values.reshape(60, 60), spacing=0.1)
    assert len(np.unique(image[0], axis=0)) == 1
    inside, outside = image[29, 27].astype(int), image[29, 58 - 12].astype(int)
    assert inside[2] > inside[0]
    assert outside[0] > outside[2]


def test_pixels_of_a_slice_lie_along_its_axes():
    turned = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    points = work.slice_points(np.array([5.0, 0, 0]), turned, 4.0, 2)
    # Columns along y, rows along z, the middles of four pixels of side 2.
    assert points.tolist() == [[5, -1, -1], [5, 1, -1], [5, -1, 1], [5, 1, 1]]


@pytest.mark.parametrize("value", [0.35, -0.35])
def test_the_end_of_the_box_is_no_contour(value):
    values = np.full((20, 20), value)
    values[:, 12:] = values[15:] = np.nan
    known = work.colour_slice(values, spacing=0.1)[:15, :12].reshape(-1, 3)
    assert len(np.unique(known, axis=0)) == 1


def test_of_what_is_dense_the_skin_is_kept():
    dense = torch.zeros(7, 8, 9, dtype=torch.bool)
    dense[1:6, 1:6, 1:6] = True
    assert int(work._skin(dense).sum()) == 5**3 - 3**3
    # Also at the end of the lattice, where it is cut open.
    assert int(work._skin(torch.ones(3, 4, 5, dtype=torch.bool)).sum()) == 3 * 4 * 5 - 1 * 2 * 3


def test_contours_lie_where_the_distance_is_a_multiple_of_their_spacing():
    line = np.linspace(-1.0, 1.0, 401)
    image = work.colour_slice(np.tile(line, (4, 1)), spacing=0.25)[1].astype(float).sum(-1)
    darker = (image[1:-1] < image[:-2] - 60) & (image[1:-1] < image[2:] - 60)
    at = line[1:-1][darker]
    assert len(at) >= 6
    assert np.abs(at / 0.25 - np.round(at / 0.25)).max() < 0.03
    assert [work.spacing_of(each) for each in (8.0, 9.0, 20.0, 0.5)] == pytest.approx([1.0, 2.0, 5.0, 0.1])


def test_a_level_moves_the_surface_of_a_copy_and_not_of_the_field():
    ray, straight = torch.tensor([[3.0, 0, 0]]), torch.tensor([[-1.0, 0, 0]])
    field = BallDistance()
    for own, radius in ((at_level(field, 0.2), 0.7), (at_level(field, -0.1), 0.4), (field, RADIUS)):
        hits = trace_distance(own.sdf, ray, straight, torch.zeros(1), torch.full((1,), 6.0), box=BOX)
        assert float(hits.distance) == pytest.approx(3 - radius, abs=2e-3)
    assert isinstance(at_level(PaintedBall(), 0.2), ColourField)
    soft = at_level(BallOccupancy(), 0.9)
    # sigmoid(100 (r - |x|)) is 0.9 at |x| = r - ln(9) / 100.
    edge = torch.tensor([[RADIUS - np.log(9) / 100, 0, 0]]).float()
    torch.testing.assert_close(soft.occupancy(edge), torch.tensor([0.5]), atol=2e-4, rtol=0)


class SmallModel(torch.nn.Module):
    """Has its field as models do: as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.field = torch.nn.Module()
        self.field.sdf = lambda x: x.norm(dim=-1) - RADIUS


def test_the_level_of_a_shallow_copy_leaves_the_modules_that_it_shares():
    import copy

    model, x = SmallModel(), torch.tensor([[0.8, 0, 0]])
    shown = copy.copy(model)
    work.move_level(shown, 0.25)
    assert float(shown.field.sdf(x)) == pytest.approx(0.05)
    assert float(model.field.sdf(x)) == pytest.approx(0.3)


class ManyShapes:
    """A model whose field is that of the shape that is shown."""

    @property
    def field(self):
        return self.field_of(0)

    def field_of(self, shape):
        return SimpleNamespace(sdf=lambda x: x.norm(dim=-1) - RADIUS - shape)


def test_the_level_is_that_of_each_shape():
    import copy

    model, x = ManyShapes(), torch.tensor([[0.8, 0, 0]])
    shown = copy.copy(model)
    work.move_level(shown, 0.25)
    assert float(shown.field.sdf(x)) == pytest.approx(0.05)
    assert float(shown.field_of(1).sdf(x)) == pytest.approx(-0.95)
    assert float(model.field.sdf(x)) == pytest.approx(0.3)


def test_units_are_those_of_the_data():
    """A normalised unit is so many of the dataset's; of data without a frame it is itself."""
    run = Fake()
    pipeline = SimpleNamespace(datamanager=SimpleNamespace(train_dataparser_outputs=run.outputs))
    snapshot = Snapshot(run.model, 0, False)
    scale, name = units_of(pipeline, snapshot)
    assert (scale, name) == (pytest.approx(1 / SCALE), "units of the input camera poses")
    pipeline.datamanager = SimpleNamespace(
        shape_names=("cow",),
        shape_frame=lambda number: Similarity(np.eye(3), 4.0, np.zeros(3)),
        shape_file=lambda number: Path("folder", "cow.ply"),
    )
    assert units_of(pipeline, snapshot) == (0.25, "units of cow.ply")
    pipeline.datamanager = SimpleNamespace()
    assert units_of(pipeline, snapshot) == (1.0, "normalised units")


def test_a_cloud_is_the_balls_skin_in_its_colours():
    cloud = work.cloud_of(model_of(BallDensity()), 10.0, seconds=0.1, pause=no_pause)
    away = np.linalg.norm(cloud.points, axis=1)
    assert 500 < len(cloud.points) <= work.MOST_POINTS
    assert away.max() <= RADIUS
    assert away.min() > RADIUS - 2 * cloud.edge
    assert cloud.total * cloud.edge**3 == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.1)
    assert (np.abs(cloud.colours - 0.3 * 255) <= 1).all()
    assert len(work.cloud_of(model_of(BallDensity()), 101.0, seconds=0.01, pause=no_pause).points) == 0


def test_grey_is_lit_from_the_eye():
    outputs = {
        "rgb": torch.rand(1, 3, 3),
        "accumulation": torch.tensor([[[1.0], [1.0], [0.0]]]),
        "normals": (torch.tensor([[[0.0, 0, 1], [1, 0, 0], [0, 0, 0]]]) + 1) / 2,
    }
    directions = torch.tensor([0.0, 0, -1]).expand(1, 3, 3)
    assert work.shade_anew(outputs, directions, torch.ones(3), grey=True)
    facing, edge_on, nothing = outputs["rgb"][0]
    assert max(float(facing.std()), float(edge_on.std())) < 1e-6
    assert float(edge_on[0] / facing[0]) == pytest.approx(0.35)
    torch.testing.assert_close(nothing, torch.ones(3))
    assert not work.shade_anew({"rgb": outputs["rgb"]}, directions, torch.ones(3), grey=True)


class Drawn(Ball):
    """Drawn as one ball, looked into as a field."""

    def __init__(self, field) -> None:
        super().__init__()
        self.field = field


@pytest.fixture
def served():
    """A panel on a real server, for a field; and a page that hears it."""
    opened = []

    def serve(field, *, model=None, trainer=None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        viewer = FakeViewer(model or Drawn(field), trainer=trainer)
        viewer.viser_server = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
        live, panel = LiveViewer(viewer), LookPanel()
        panel.install(live, order=-1.0)
        viewer.open(FakePage())
        client = PageClient(port).__enter__()
        opened.append((client, live, viewer))
        return live, panel, client

    yield serve
    for client, live, viewer in opened:
        client.__exit__()
        live.close()
        viewer.viser_server.stop()


def say(client: PageClient, label: str, value) -> None:
    assert client.wait(lambda: any(each.get("label") == label for each in client.others)), label
    number = next(each["id"] for each in client.others if each.get("label") == label)
    client.send(type="GuiUpdateMessage", id=number, updates={"value": value})


def of_kind(client: PageClient, kind: str) -> list[dict]:
    return [each for each in client.others if each["type"] == kind]


def last_slice(client: PageClient) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(of_kind(client, "ImageMessage")[-1]["data"])).convert("RGB"))


def test_the_page_is_sent_a_slice_that_follows_the_handles_and_the_level(served):
    live, panel, client = served(BallDistance())
    say(client, "Slice", True)
    assert client.wait(lambda: of_kind(client, "ImageMessage") and len(last_slice(client)) == 256)
    # Ten units of the page are one of the model's.
    assert of_kind(client, "ImageMessage")[-1]["render_width"] == pytest.approx(20.0)
    assert np.median(radii(last_slice(client), 2.0)) == pytest.approx(0.5, abs=0.01)
    client.send(
        type="TransformControlsUpdateMessage", name="/inr_slice", wxyz=(1.0, 0, 0, 0), position=(0.0, 0.0, 3.0)
    )  # fmt: skip
    assert client.wait(lambda: np.median(radii(last_slice(client), 2.0)) == pytest.approx(0.4, abs=0.01))
    sizes = [Image.open(io.BytesIO(each["data"])).width for each in of_kind(client, "ImageMessage")]
    assert 48 in sizes
    say(client, "Level", 0.2)
    expected = np.sqrt(0.7**2 - 0.3**2)
    assert client.wait(lambda: np.median(radii(last_slice(client), 2.0)) == pytest.approx(expected, abs=0.012))
    x = torch.tensor([[0.9, 0, 0]])
    assert float(live.snapshot.model.field.sdf(x)) == pytest.approx(0.2)
    assert float(live.viewer.pipeline.model.field.sdf(x)) == pytest.approx(0.4)
    say(client, "Slice", False)
    assert client.wait(lambda: panel._image is None)
    assert client.wait(lambda: removed(client) >= {"/inr_slice", "/inr_slice/image"})
    live.close()
    assert not panel._thread.is_alive()


def removed(client: PageClient) -> set[str]:
    """Nodes that the page has been told to forget."""
    return {each["name"] for each in of_kind(client, "RemoveSceneNodeMessage")}


class BallAside:
    """A ball of radius 1/2 around (0.3, 0.1, 0), which fails while it is told to."""

    def __init__(self) -> None:
        self.fails = False

    def __deepcopy__(self, memo):
        return self

    def sdf(self, x):
        if self.fails:
            raise ValueError("There is no field.")
        return (x - torch.tensor([0.3, 0.1, 0.0])).norm(dim=-1) - RADIUS


def middle(image: np.ndarray, side: float) -> np.ndarray:
    """Of black pixels: columns and rows, from the middle, normalised units."""
    rows, columns = np.nonzero((image == 0).all(-1))
    return (np.array([columns.mean(), rows.mean()]) + 0.5 - len(image) / 2) * side / len(image)


def test_a_slice_lies_across_the_axis_and_has_the_units_of_the_data(served):
    field = BallAside()
    _, panel, client = served(field)
    panel._scale = (100.0, "mm")
    say(client, "Slice", True)
    # Half a normalised unit are 50 mm, of which eight contours are in steps of 10.
    assert client.wait(lambda: "contours every 10 mm; blue is inside" in panel._text.content)
    assert client.wait(lambda: of_kind(client, "ImageMessage"))
    for axis, aside, offset in (("x", [0.1], 0.3), ("z", [0.3, 0.1], 0.0), ("y", [0.3], 0.1)):
        say(client, "Across", axis)
        expected = np.sqrt(RADIUS**2 - offset**2)

        def shown(aside=aside, expected=expected):
            image = last_slice(client)
            at, whole = middle(image, 2.0), (image == 0).all(-1)
            size = (np.ptp(np.nonzero(whole)[1]) + 1) / len(image)
            return (
                np.allclose(np.sort(np.abs(at)), np.sort([*aside, 0.0])[-2:], atol=0.02) and abs(size - expected) < 0.02
            )

        assert client.wait(shown), axis
    # Turned so that columns run along x and rows along y.
    client.send(type="TransformControlsUpdateMessage", name="/inr_slice", wxyz=(1.0, 0, 0, 0), position=(0.0, 0, 0))
    assert client.wait(lambda: np.allclose(middle(last_slice(client), 2.0), [0.3, 0.1], atol=0.02))
    field.fails = True
    say(client, "Level", 0.1)
    assert client.wait(lambda: panel._text.content == "Not shown: There is no field.")
    field.fails = False
    say(client, "Level", 0.0)
    assert client.wait(lambda: "contours every" in panel._text.content)


def test_a_field_that_shares_tensors_with_training_is_asked_between_its_steps(served, monkeypatch):
    monkeypatch.setattr(live_module, "SHARED_FROM", 1)
    held = []

    class Watched(BallDistance):
        def sdf(self, x):
            held.append(live.viewer.train_lock.locked())
            return super().sdf(x)

    live, _, client = served(Watched(), trainer="training")
    live.update_scene(0)
    held.clear()
    say(client, "Slice", True)
    assert client.wait(lambda: of_kind(client, "ImageMessage"))
    assert held
    assert all(held)


class WithNormals(Drawn):
    """Whose normals all look towards z, as the page's camera stands."""

    def forward(self, ray_bundle):
        outputs = super().forward(ray_bundle)
        return {**outputs, "normals": torch.tensor([0.5, 0.5, 1.0]).expand_as(outputs["rgb"])}


def test_pictures_are_shaded_anew_as_soon_as_that_is_chosen(served):
    live, panel, client = served(None, model=WithNormals(None))
    page = live.pages[0].page

    def seen(middle: list[float]) -> bool:
        def is_seen(page) -> bool:
            rgb = page.frames[-1]["rgb"] if page.frames else torch.zeros(1, 1, 3)
            half = len(rgb) // 2
            return torch.allclose(rgb[half, half], torch.tensor(middle), atol=0.01) and bool((rgb[0, 0] == 1).all())

        return page.wait(is_seen)

    assert seen([0.8, 0.2, 0.1])
    for choice, middle_pixel in (("normals", [0.5, 0.5, 1.0]), ("grey", [0.9] * 3), ("colours", [0.8, 0.2, 0.1])):
        say(client, "Shading", choice)
        assert seen(middle_pixel), choice
    assert panel._text.content == ""


def test_a_model_without_normals_says_that_it_is_not_shaded(served):
    _, panel, client = served(BallDistance())
    say(client, "Shading", "grey")
    assert client.wait(lambda: "no normals to shade by" in panel._text.content)


def test_a_threshold_begins_where_the_surface_of_a_mesh_lies(served):
    model = Drawn(BallDensity())
    model.surface_level = lambda: 10**2.5
    _, panel, _ = served(None, model=model)
    assert panel._slider.value == pytest.approx(2.5)


def test_the_page_is_sent_a_cloud_above_the_threshold(served):
    _, panel, client = served(BallDensity())
    say(client, "Dense points", True)
    assert client.wait(lambda: bool(of_kind(client, "PointCloudMessage")))
    message = of_kind(client, "PointCloudMessage")[-1]
    points = np.frombuffer(message["points"], dtype=np.float32).reshape(-1, 3)
    assert np.linalg.norm(points, axis=1).max() == pytest.approx(5.0, abs=0.3)
    say(client, "Threshold", 3.0)
    assert client.wait(lambda: panel._points is None)
    # Not only forgotten.
    assert client.wait(lambda: removed(client) == {"/inr_cloud"})
    count = len(of_kind(client, "PointCloudMessage"))
    say(client, "Threshold", 1.0)
    assert client.wait(lambda: len(of_kind(client, "PointCloudMessage")) > count)
    count = len(of_kind(client, "RemoveSceneNodeMessage"))
    say(client, "Dense points", False)
    assert client.wait(lambda: len(of_kind(client, "RemoveSceneNodeMessage")) > count)
    assert panel._text.content == ""


def test_nothing_runs_while_nothing_is_shown(served):
    _, panel, client = served(BallDistance())
    time.sleep(0.1)
    assert panel._thread is None
    assert not of_kind(client, "ImageMessage")
