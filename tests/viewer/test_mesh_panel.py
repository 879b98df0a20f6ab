"""The panel "Mesh" against balls in closed form: radius, colours, crop, frame and units, and what the page is sent."""

from __future__ import annotations

import io
import socket
import threading
import time
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
import trimesh
import viser
from cli.sphere_runs import CENTRE, RADIUS, SCALE, Fake, Sphere, SphereOccupancy, SphereSDF
from nerfstudio.data.scene_box import OrientedBox
from page_client import PageClient
from scipy.spatial.transform import Rotation
from viewer.fake_viewer import Ball, FakePage, FakeViewer

from inr_plugins.errors import InputError
from inr_plugins.geometry.mesh import signed_volume
from inr_plugins.meshing.settings import MeshSettings
from inr_plugins.progress import silent
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panels import mesh_work
from inr_plugins.viewer.panels.mesh import MeshPanel
from inr_plugins.viewer.panels.mesh_work import crop_of, make_mesh
from inr_plugins.viewer.snapshot import take_snapshot

STEP = 1234
COARSE = MeshSettings(resolution=40)


class BallModel(Ball):
    """Drawn as one ball, and extracted as another: that of a field, in a frame that was turned, shifted and scaled."""

    def __init__(self, run: Fake) -> None:
        super().__init__()
        self.field, self.scene_box = run.field, run.model.scene_box


class SphereDensity(Sphere):
    """Soft: half of the opaque 88 on the sphere."""

    def density(self, x):
        return 88 * torch.sigmoid(-self.distance(x) / 0.01)


class Grey(torch.nn.Module):
    """A signed distance without colours; waits where it is asked until it may go on."""

    def __init__(self, ball: SphereSDF) -> None:
        super().__init__()
        self.ball = ball
        self.gate = SimpleNamespace(event=threading.Event())

    def __deepcopy__(self, memo):
        made = Grey(self.ball)
        made.gate = self.gate
        return made

    def sdf(self, x):
        assert self.gate.event.wait(30)
        return self.ball.sdf(x)


def watched(run: Fake, **options) -> LiveViewer:
    viewer = FakeViewer(BallModel(run), **options)
    viewer.pipeline.datamanager.train_dataparser_outputs = run.outputs
    return LiveViewer(viewer)


def made_of(live: LiveViewer, crop=None):
    return make_mesh(live, take_snapshot(live.viewer.pipeline.model, STEP), COARSE, crop, silent)


@pytest.mark.parametrize("field", [SphereDensity, SphereSDF, SphereOccupancy])
def test_the_mesh_is_the_ball_in_the_datasets_frame_and_what_is_shown_in_the_pages(field):
    run = Fake(field)
    made = made_of(watched(run))
    assert (made.step, made.units) == (STEP, "units of the input camera poses")
    assert str(STEP) in made.name
    outward = made.mesh.vertices - CENTRE
    assert np.abs(np.linalg.norm(outward, axis=1) / RADIUS - 1).max() < 0.04
    assert signed_volume(made.mesh) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.1)
    middle = run.to_normalised.points(CENTRE[None])[0]
    shown = made.shown.vertices - middle
    assert np.abs(np.linalg.norm(shown, axis=1) / (SCALE * RADIUS) - 1).max() < 0.04
    # Seen from straight outside, along -n, the field has the colour 0.5 + 0.5 n of the normalised frame.
    expected = 0.5 + 0.5 * shown / np.linalg.norm(shown, axis=1, keepdims=True)
    assert np.abs(made.shown.colours - expected).max() < 0.1


class Witness:
    """Of a copy that is made of what has it."""

    def __init__(self, lock) -> None:
        self.lock, self.held = lock, []

    def __deepcopy__(self, memo):
        self.held.append(self.lock.locked())
        return self


def test_what_shares_tensors_with_training_is_copied_between_two_steps(monkeypatch):
    live, seen = watched(Fake()), []
    model = live.viewer.pipeline.model
    model.witness = Witness(live.viewer.train_lock)
    shared = take_snapshot(model, STEP, share_from=0)
    assert shared.model.colour is model.colour
    live.edits.append(lambda copy: vars(copy).update(radius=0.125))
    live.status.step = STEP + 1

    def extract(run, *_, **__):
        seen.append(run)
        raise InputError("No surface.")

    monkeypatch.setattr(mesh_work, "extract_mesh", extract)
    for state in ("training", "paused"):
        live.viewer.trainer.training_state = state
        with pytest.raises(InputError, match="No surface"):
            make_mesh(live, shared, COARSE, None, silent)
    copied, as_given = seen
    assert model.witness.held == [False, True]
    assert copied.step == STEP + 1
    assert copied.pipeline.model.colour is not model.colour
    assert copied.pipeline.model.radius == 0.125
    # Nothing is trained: nothing is to be waited for.
    assert as_given.pipeline.model is shared.model


def test_a_crop_that_is_turned_cuts_the_ball_in_half():
    run = Fake()
    live, turn = watched(run), Rotation.from_rotvec([0.4, -0.9, 0.3]).as_matrix()
    middle = run.to_normalised.points(CENTRE[None])[0]
    # One side of the box goes through the ball's middle, the others pass it by.
    sides = np.array([0.9, 1.2, 1.4])
    place = middle + turn @ np.array([sides[0] / 2, 0, 0])
    panel = live.panel
    panel.crop_obb = OrientedBox(torch.tensor(turn), torch.tensor(place), torch.tensor(sides))
    assert crop_of(panel) is None
    panel.crop_viewport = True
    made = made_of(live, crop_of(panel))
    assert signed_volume(made.mesh) == pytest.approx(2 / 3 * np.pi * RADIUS**3, rel=0.04)
    ahead = (run.to_normalised.points(made.mesh.vertices) - middle) @ turn[:, 0]
    assert -1e-6 < ahead.min() < 1e-6
    assert ahead.max() == pytest.approx(SCALE * RADIUS, rel=0.03)
    # What nerfstudio says lies in the box, with the slack of its float32.
    inside = OrientedBox(torch.tensor(turn), torch.tensor(place), torch.tensor(sides + 1e-5))
    assert inside.within(torch.from_numpy(run.to_normalised.points(made.mesh.vertices))).all()
    # Cut off flat, and closed.
    assert trimesh.Trimesh(made.mesh.vertices, made.mesh.faces, process=False).is_watertight


def test_a_crop_beside_the_scene_or_without_volume_is_refused():
    live = watched(Fake())
    live.panel.crop_viewport = True
    live.panel.crop_obb = OrientedBox(torch.eye(3), torch.tensor([9.0, 0, 0]), torch.ones(3))
    with pytest.raises(InputError, match="outside the scene"):
        made_of(live, crop_of(live.panel))
    live.panel.crop_obb = OrientedBox(torch.eye(3), torch.zeros(3), torch.tensor([1.0, 0, 1]))
    with pytest.raises(InputError, match="without length"):
        crop_of(live.panel)


class Page:
    """A page on a real server, with the panel; speaks in labels."""

    def __init__(self, live: LiveViewer, client: PageClient) -> None:
        self.live, self.client = live, client

    def press(self, label: str, value=True) -> None:
        self.client.send(type="GuiUpdateMessage", id=self.control(label)["id"], updates={"value": value})

    def control(self, label: str) -> dict:
        assert self.client.wait(lambda: any(each.get("label") == label for each in self.client.others)), label
        return next(each for each in self.client.others if each.get("label") == label)

    def says(self, sentence: str) -> bool:
        return self.client.wait(lambda: any(sentence in str(each) for each in self.client.others))

    def sent(self, kind: str, **wanted) -> dict:
        def found() -> list[dict]:
            return [
                each
                for each in self.client.others
                if each["type"] == kind and all(each[name] == value for name, value in wanted.items())
            ]

        assert self.client.wait(lambda: bool(found())), kind
        return found()[-1]

    def file(self, name: str) -> bytes:
        start = self.sent("FileTransferStart", filename=name)
        which = {"transfer_uuid": start["transfer_uuid"]}
        self.sent("FileTransferPart", part=start["part_count"] - 1, **which)
        parts = [self.sent("FileTransferPart", part=part, **which) for part in range(start["part_count"])]
        data = b"".join(each["content"] for each in parts)
        assert len(data) == start["size_bytes"]
        return data


@pytest.fixture
def opened():
    """Serves a run's panel, and gives the page."""
    closers = []

    def open_page(run: Fake) -> Page:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        live = watched(run)
        live.viewer.viser_server = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
        panel = MeshPanel()
        panel.install(live, order=-1.0)
        live.viewer.open(FakePage())
        live.update_scene(STEP)
        client = PageClient(port)
        closers.extend([live.viewer.viser_server.stop, live.close, client.__enter__().__exit__])
        page = Page(live, client)
        page.press("Resolution", 32)
        assert client.wait(lambda: panel._resolution.value == 32)
        return page

    yield open_page
    while closers:
        closers.pop()()


def test_the_page_shows_hides_and_downloads_the_mesh(opened):
    run = Fake(SphereDensity)
    page = opened(run)
    page.press("Extract")
    glb = page.sent("GlbMessage")
    assert glb["scale"] == 10
    (shown,) = trimesh.load_scene(io.BytesIO(glb["glb_data"]), file_type="glb").geometry.values()
    outward = shown.vertices - run.to_normalised.points(CENTRE[None])[0]
    assert np.abs(np.linalg.norm(outward, axis=1) / (SCALE * RADIUS) - 1).max() < 0.04
    assert page.live.stand_back > 0
    assert page.says(f"Step {STEP:,}")
    assert page.says(f"{len(shown.faces):,} faces")
    for kind in ("ply", "glb", "obj"):
        page.press(f"Download {kind.upper()}")
        data = page.file(f"mesh_step_{STEP}.{kind}")
        (found,) = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False).geometry.values()
        place = next(iter(trimesh.load_scene(io.BytesIO(data), file_type=kind).graph.to_flattened().values()))
        at = trimesh.transform_points(found.vertices, place["transform"]) if kind == "glb" else found.vertices
        assert np.abs(np.linalg.norm(at - CENTRE, axis=1) / RADIUS - 1).max() < 0.04, kind
    page.press("Wireframe")
    assert page.sent("MeshMessage")["wireframe"]
    # Whoever comes later sees what the others see.
    with PageClient(page.client.port) as late:
        assert late.wait(lambda: any(each["type"] == "MeshMessage" for each in late.others))
        of_the_mesh = [each["type"] for each in late.others if each.get("name") == "/inr_mesh"]
        assert of_the_mesh.index("MeshMessage") > max(
            (at for at, kind in enumerate(of_the_mesh) if kind in ("RemoveSceneNodeMessage", "GlbMessage")), default=-1
        )
    page.press("Show mesh", False)
    page.sent("RemoveSceneNodeMessage")
    assert page.client.wait(lambda: page.live.stand_back == 0)


def test_the_crop_of_the_page_is_extracted_unless_that_is_switched_off(opened):
    run = Fake(SphereSDF)
    page = opened(run)
    (panel,) = (call.__self__ for call in page.live.at_close if isinstance(call.__self__, MeshPanel))
    middle = run.to_normalised.points(CENTRE[None])[0]
    view = page.live.panel
    view.crop_obb = OrientedBox(torch.eye(3), torch.tensor(middle) + torch.tensor([0.5, 0, 0]), torch.ones(3).double())
    view.crop_viewport = True
    for crops, part in ((True, 0.5), (False, 1.0)):
        page.press("Crop", crops)
        assert page.client.wait(lambda crops=crops: panel._crops.value == crops)
        count = len([each for each in page.client.others if each["type"] == "GlbMessage"])
        page.press("Extract")
        assert page.client.wait(
            lambda count=count: len([e for e in page.client.others if e["type"] == "GlbMessage"]) > count
        )
        assert page.client.wait(lambda: panel._worker is None)
        assert signed_volume(panel._made.mesh) == pytest.approx(part * 4 / 3 * np.pi * RADIUS**3, rel=0.08)
        # Along the dataset's axes, in its units.
        sides = [float(each) for each in panel._text.content.splitlines()[2].split(" units")[0].split(" × ")]
        assert sides == pytest.approx(np.ptp(panel._made.mesh.vertices, axis=0), rel=1e-3)
        assert (panel._bar.visible, panel._cancel.visible) == (False, False)


def test_before_there_is_a_mesh_or_a_picture_that_is_said():
    live, panel = watched(Fake()), MeshPanel()
    live.viewer.viser_server = SimpleNamespace(gui=MagicMock())
    live.viewer.ready = False
    panel.install(live, order=-1.0)
    with pytest.raises(InputError, match="no mesh yet"):
        panel._send("PLY", SimpleNamespace(client=None))
    with pytest.raises(InputError, match="no picture yet"):
        panel._start(SimpleNamespace(client=None))
    live.close()


def test_a_second_click_is_refused_and_the_first_can_be_cancelled(opened):
    run = Fake()
    run.field = gated = Grey(run.field)
    page = opened(run)
    page.press("Extract")
    assert page.says("Looking where the surface")
    page.press("Extract")
    assert page.client.wait(lambda: bool(page.client.notes))
    assert "already" in page.client.notes[0]["body"]
    page.press("Cancel")
    assert page.says("Ending")
    gated.gate.event.set()
    assert page.says("Cancelled.")
    # And the next is made; of a field without colours in the light of the scene, as white would be flat.
    page.press("Extract")
    assert not page.sent("MeshMessage")["wireframe"]


def test_closing_ends_an_extraction(opened):
    run = Fake()
    run.field = gated = Grey(run.field)
    page = opened(run)
    page.press("Extract")
    assert page.says("Looking where the surface")
    begin = time.monotonic()
    threading.Timer(0.2, gated.gate.event.set).start()
    page.live.close()
    assert time.monotonic() - begin < 20
    assert not any(each.name == "viewer mesh" for each in threading.enumerate())


def test_what_went_wrong_is_said_in_the_panel(opened):
    run = Fake()
    run.field.radius = -1.0
    page = opened(run)
    page.press("Extract")
    assert page.says("No mesh: ")
    assert page.client.wait(lambda: bool(page.client.notes))
