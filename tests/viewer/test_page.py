"""What a model's page settles before anybody looks: addresses, sizes, and who may make it public."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from viewer.fake_viewer import Ball, FakeViewer

from inr_plugins.viewer.page import LivePage


@pytest.fixture
def set_up():
    """Sets a page up, as often as it is called; all of them end with the test."""
    pages = []

    def make(**options):
        viewer, page = made(**options)
        pages.append(page)
        return viewer, page

    yield make
    for page in pages:
        page.live.close()


def made(*, port=7007, asked=7007, share=False, scale=0.1, notes=None, **attributes):
    viewer = FakeViewer(Ball())
    viewer.config = SimpleNamespace(
        websocket_host="127.0.0.1", websocket_port=asked, websocket_port_default=7007, make_share_url=share,
        camera_frustum_scale=scale, num_rays_per_chunk=4096,
    )  # fmt: skip
    viewer.viewer_info = [f"Viewer running locally at: http://127.0.0.1:{asked or 7007}"]
    client = SimpleNamespace(add_notification=lambda title, body, **_: notes.append(body))
    viewer.viser_server = SimpleNamespace(
        get_port=lambda: port, get_clients=lambda: {0: client}, on_client_connect=lambda call: None,
        request_share_url=lambda: "https://public", gui=MagicMock(),
    )  # fmt: skip
    # A camera four units from the middle, which it looks at.
    pose = torch.tensor([[[0.0, 0.0, 1.0, 4.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]])
    sizes = {"fx": 200.0, "fy": 200.0, "cx": 100.0, "cy": 100.0, "height": 200.0}
    cameras = SimpleNamespace(camera_to_worlds=pose, **{name: torch.full((1, 1), size) for name, size in sizes.items()})
    cameras = type("Cameras", (), {**vars(cameras), "__len__": lambda self: 1})()
    viewer.pipeline.datamanager.train_dataset = SimpleNamespace(cameras=attributes.pop("cameras", cameras))
    for name, value in attributes.items():
        setattr(viewer, name, value)
    page = LivePage()
    page._setup(viewer)
    return viewer, page


def test_the_address_that_is_printed_is_the_one_that_works(set_up):
    viewer, _ = set_up(port=7009, asked=None)
    assert viewer.viewer_info == ["Viewer running locally at: http://127.0.0.1:7009"]


def test_training_cameras_can_be_seen_and_do_not_hide_the_first_view(set_up):
    """The view starts a twentieth of four units, of ten scene units each, ahead of its camera; pictures hang before."""
    viewer, _ = set_up()
    # viser's pyramid of height z has half sides z / 2 here, and scale = cube root of (z / 2 * z / 2 * z / 3).
    depth = viewer.config.camera_frustum_scale * 12 ** (1 / 3)
    assert 1.0 < depth < 0.9 * 10 * 4 / 20
    viewer, _ = set_up(scale=0.3)
    assert viewer.config.camera_frustum_scale == 0.3


def test_a_visitor_cannot_make_the_page_public_unless_that_was_asked_for(set_up, capsys):
    notes = []
    viewer, _ = set_up(notes=notes)
    assert viewer.viser_server.request_share_url() is None
    assert "--viewer.make-share-url" in notes[0]
    viewer, _ = set_up(share=True)
    assert viewer.viser_server.request_share_url() == "https://public"


def test_the_page_is_live(set_up):
    viewer, page = set_up()
    assert page.live is viewer.live


def test_a_click_on_a_training_camera_leads_before_its_picture(set_up):
    pose = torch.eye(4)[:3].repeat(2, 1, 1)
    pose[1, 2, 3] = 4.0
    cameras = Cameras(pose, fx=30.0, fy=30.0, cx=20.0, cy=15.0, width=40, height=30)
    clicks = []
    handles = {1: SimpleNamespace(on_click=clicks.append)}
    viewer, _ = set_up(init_scene=lambda: None, camera_handles=handles, cameras=cameras)
    viewer.init_scene()
    client = SimpleNamespace(camera=SimpleNamespace(aspect=2.0))
    clicks[0](SimpleNamespace(client=client))
    # A twentieth of the four units ahead, in scene units of a tenth.
    assert client.camera.position == pytest.approx((0, 0, 38.0))
