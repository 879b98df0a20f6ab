"""A page that sees a camera of the dataset: a ball in closed form, and photographs that are wrong by a known amount."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import OrientedBox
from scipy.spatial.transform import Rotation
from viewer.fake_viewer import Ball, FakePage
from viewer.served import eventually, served

from inr_plugins.viewer.drawing import Moved
from inr_plugins.viewer.frames import Frame
from inr_plugins.viewer.panels.cameras import CamerasPanel

SIZE = (48, 36)
ERROR = 0.1


class Photographs:
    """Of the ball of radius 1/2 from distances 3 and 2: its own colour plus an error, on white."""

    def __init__(self) -> None:
        poses = torch.eye(4)[:3].repeat(2, 1, 1)
        poses[:, 2, 3] = torch.tensor([3.0, 2.0])
        width, height = SIZE
        self.cameras = Cameras(poses, fx=50.0, fy=50.0, cx=width / 2, cy=height / 2, width=width, height=height)
        self.image_filenames = [Path("a.png"), Path("b.png")]

    def __len__(self) -> int:
        return 2

    def get_data(self, index: int, image_type: str):
        assert image_type == "float32"
        rays = self.cameras.generate_rays(camera_indices=index)
        return {"image": Ball()(rays)["rgb"] - ERROR}


@pytest.fixture
def page():
    """Viewer, panel and a page of a ball with photographs."""
    panel, made = CamerasPanel(), SimpleNamespace()
    manager = SimpleNamespace(train_dataset=Photographs(), eval_dataset=None)
    with served(Ball(), panel, trainer=None, datamanager=manager) as place:
        made.live, made.panel, made.page = place.live, panel, place.open(FakePage(0, aspect=2.0))
        made.event = SimpleNamespace(client=made.page.client)
        yield made


def compared(made) -> dict:
    made.panel._look(made.event, compared=True)
    assert made.page.wait(lambda page: bool(page.frames) and page.frames[-1]["rgb"].shape[:2] == (36, 72))
    return made.page.frames[-1]


def test_truth_stands_left_of_the_split_and_what_is_drawn_right_of_it(page):
    frame = compared(page)["rgb"]
    # The page is twice as wide as high, the picture 4 to 3: borders of 12 to both sides.
    assert float(frame[:, :12].max()) == float(frame[:, 60:].max()) == 0
    ball = torch.tensor([0.8, 0.2, 0.1])
    torch.testing.assert_close(frame[18, 12 + 22], ball - ERROR)
    torch.testing.assert_close(frame[18, 12 + 26], ball)
    torch.testing.assert_close(frame[1, 13], torch.full((3,), 1 - ERROR))
    torch.testing.assert_close(frame[1, 58], torch.ones(3))


def test_the_psnr_is_that_of_the_whole_picture(page):
    compared(page)
    assert eventually(lambda: f"PSNR {-20 * np.log10(ERROR):.2f} dB (48 x 36)" in page.panel._says.content)
    assert "training 0, a.png" in page.panel._says.content


def test_the_view_is_exactly_the_cameras(page):
    """A ball of radius 1/2 at distance 3 and a focal length of 50 pixels covers a disc of a known radius."""
    page.panel._split.value = 0.0
    frame = compared(page)
    seen = float((frame["accumulation"][..., 0] > 0.5).sum())
    assert seen == pytest.approx(np.pi * (50 * np.tan(np.arcsin(0.5 / 3))) ** 2, rel=0.04)
    page.panel._step(page.event, 1)
    assert eventually(lambda: "training 1, b.png" in page.panel._says.content)
    nearer = np.pi * (50 * np.tan(np.arcsin(0.5 / 2))) ** 2
    # Smaller frames of it may come first.
    assert page.page.wait(
        lambda page: float((page.frames[-1]["accumulation"][..., 0] > 0.5).sum()) == pytest.approx(nearer, rel=0.04)
    )


def test_errors_are_shown_four_times(page):
    page.panel._shown.value = "error"
    frame = compared(page)["rgb"]
    torch.testing.assert_close(frame[18, 36], torch.full((3,), 4 * ERROR))


def test_whoever_moves_leaves_the_comparison(page):
    compared(page)
    renderer = page.live.pages[0]
    renderer.view.begun -= 10
    # The fake camera stands elsewhere than where the page was put.
    page.live.viewer._trigger_rerender()
    assert renderer.view is None
    assert page.page.wait(lambda page: page.frames[-1]["rgb"].shape[0] == page.frames[-1]["rgb"].shape[1])


def test_a_camera_that_is_not_there_is_refused(page):
    page.panel._number.value = 7
    page.panel.safely(lambda event: page.panel._look(event, compared=True))(page.event)
    time.sleep(0.05)
    assert page.page.notes == ["There are cameras 0 to 1, and no 7."]


def test_without_photographs_there_is_no_panel():
    panel = CamerasPanel()
    with served(Ball(), panel, trainer=None):
        assert not hasattr(panel, "gui")


def frame_of(page, *, crop=None):
    frame = Frame(page.live.get_model(), page.live.pages[0].view.camera(48), crop=crop)
    for _ in frame.pieces(lambda: 4096):
        pass
    return frame


def test_a_bake_is_not_scored_and_what_it_guides_is_said_to_be(page):
    compared(page)
    view, told = page.live.pages[0].view, []
    view.told = told.append
    frame = frame_of(page)
    view.lay_over(frame.shown(with_z=False), frame, 2.0, drawn_by="bake")
    assert told == []
    view.lay_over(frame.shown(with_z=False), frame, 2.0, drawn_by="guided")
    assert "guided by a bake" in told[0]


def test_a_cropped_picture_says_so(page):
    compared(page)
    view, told = page.live.pages[0].view, []
    view.told = told.append
    crop = OrientedBox(R=torch.eye(3), T=torch.zeros(3), S=torch.full((3,), 2.0))
    frame = frame_of(page, crop=crop)
    view.lay_over(frame.shown(with_z=False), frame, 2.0, drawn_by="model")
    assert "of what the crop leaves" in told[0]


def test_a_frame_of_the_view_before_is_not_shown_as_of_this_one(page):
    """It would have this photograph beside another camera's picture."""
    compared(page)
    renderer = page.live.pages[0]
    before = renderer._last, renderer._last_plan
    assert page.page.wait(lambda _: renderer.is_sharp)
    renderer.view = page.panel._comparison(1, np.zeros(3))
    count = len(page.page.frames)
    with pytest.raises(Moved):
        renderer._show(*before)
    assert len(page.page.frames) == count


def pose_at(position, turn=0.0):
    return np.concatenate([Rotation.from_euler("y", turn).as_matrix(), np.reshape(position, (3, 1))], axis=1)


def test_who_has_arrived_leaves_with_the_first_move(page):
    compared(page)
    view = page.live.pages[0].view
    # A message on its way, of where the page was.
    assert not view.has_left(pose_at([0.0, 0.0, 9.0]), 1.0)
    assert not view.has_left(pose_at(view.position), 1.0)
    assert view.has_left(pose_at(view.position + 0.1), 1.0)


@pytest.mark.parametrize(("turn", "fov"), [(0.01, 0.8), (0.2, 0.9), (0.2, 0.7)])
def test_who_turns_on_the_spot_or_zooms_leaves_and_who_only_arrives_does_not(page, turn, fov):
    compared(page)
    view = page.live.pages[0].view
    view.begun = time.monotonic() + 60  # still on its way, however slow the machine
    assert not view.has_left(pose_at(view.position), 1.0)
    assert not view.has_left(pose_at(view.position, 0.2), 1.0)
    assert not view.has_left(pose_at(view.position, 0.2), 0.8)
    view.begun -= 70
    assert not view.has_left(pose_at(view.position, 0.2), 0.8)
    assert view.has_left(pose_at(view.position, turn), fov)


def test_what_panels_have_changed_is_said_beside_the_psnr_and_only_then(page):
    wanted = {}
    page.live.edits.append(lambda model: vars(model).update(wanted))
    page.live.edit()
    compared(page)
    assert eventually(lambda: "PSNR" in page.panel._says.content)
    assert "not as learnt" not in page.panel._says.content
    wanted["radius"] = 0.45
    page.live.edit()
    assert eventually(lambda: "not as learnt: a panel has changed it" in page.panel._says.content)
