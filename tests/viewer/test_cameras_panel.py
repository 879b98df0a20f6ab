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

from inr_plugins.errors import InputError
from inr_plugins.viewer.drawing import Moved
from inr_plugins.viewer.frames import Frame
from inr_plugins.viewer.panels.cameras import CamerasPanel

SIZE = (48, 36)
ERROR = 0.1


class Photographs:
    """Of the ball of radius 1/2 from distances 3 and 2: its own colour plus an error, on white."""

    def __init__(self, distances=(3.0, 2.0)) -> None:
        poses = torch.eye(4)[:3].repeat(len(distances), 1, 1)
        poses[:, 2, 3] = torch.tensor(distances)
        width, height = SIZE
        self.cameras = Cameras(poses, fx=50.0, fy=50.0, cx=width / 2, cy=height / 2, width=width, height=height)
        self.image_filenames = [Path("a.png"), Path("b.png"), Path("c.png")]

    def __len__(self) -> int:
        return len(self.cameras)

    def get_data(self, index: int, image_type: str):
        assert image_type == "float32"
        rays = self.cameras.generate_rays(camera_indices=index)
        return {"image": Ball()(rays)["rgb"] - ERROR}


@pytest.fixture
def page():
    """Viewer, panel and a page of a ball with photographs."""
    panel, made = CamerasPanel(), SimpleNamespace()
    manager = SimpleNamespace(train_dataset=Photographs(), eval_dataset=Photographs((4.0,)))
    with served(Ball(), panel, trainer=None, datamanager=manager) as place:
        made.live, made.panel, made.page = place.live, panel, place.open(FakePage(0, aspect=2.0))
        made.place = place
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
    while frame.fill(4096):
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


def test_who_is_moved_on_the_way_and_never_arrives_sees_the_own_view_again(page):
    compared(page)
    renderer = page.live.pages[0]
    view = renderer.view
    view.begun = time.monotonic() + 60  # still on its way, however slow the machine
    assert not view.has_left(pose_at([0.0, 0.0, 9.0]), 1.0)
    assert not view.is_missed
    view.begun -= 70
    assert page.page.wait(lambda _: renderer.view is None)
    assert eventually(lambda: "The camera has been moved" in page.panel._says.content)
    assert page.page.wait(lambda _: renderer.is_sharp)


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


def click(page, label: str) -> None:
    """As viser does when somebody clicks."""
    handles = page.place.viewer.viser_server.gui._gui_input_handle_from_id.values()
    (calls,) = (each._impl.update_cb for each in handles if each._impl.label == label)
    for call in calls:
        call(page.event)


def test_buttons_go_through_all_cameras_of_a_set_round_and_round(page):
    number, says = page.panel._number, page.panel._says
    click(page, "Look from it")
    assert says.content == "**training 0, a.png**"
    assert page.page.client.camera.position == pytest.approx((0, 0, 10 * (3 - 0.05 * 3)))
    for label, expected in (("Previous", 1), ("Next", 0), ("Next", 1)):
        click(page, label)
        assert number.value == expected
    # Only looked from, all the while.
    assert says.content == "**training 1, b.png**"
    assert page.live.pages[0].view is None
    page.panel._set.value = "evaluation"
    assert eventually(lambda: (number.value, number.max) == (0, 0))
    click(page, "Compare")
    assert eventually(lambda: "evaluation 0, a.png" in says.content and says.content.endswith(", step 0"))
    click(page, "Next")
    assert page.live.pages[0].view.name == "evaluation 0, a.png"
    click(page, "Look from it")
    assert page.live.pages[0].view is None
    assert says.content == "**evaluation 0, a.png**"


def test_a_negative_number_and_a_photograph_of_another_size_are_refused(page):
    page.panel._number.value = -1
    with pytest.raises(InputError, match="cameras 0 to 1, and no -1"):
        page.panel._look(page.event, compared=True)
    page.panel._number.value = 0
    page.panel._dataset.get_data = lambda index, image_type: {"image": torch.zeros(20, 10, 3)}
    with pytest.raises(InputError, match=r"training 0, a\.png has 10 x 20 pixels, and its camera 48 x 36"):
        page.panel._look(page.event, compared=True)
    page.event.client = SimpleNamespace(client_id=7)
    with pytest.raises(InputError, match="has gone"):
        page.panel._look(page.event, compared=False)


def test_only_who_asked_compares(page):
    other = page.place.open(FakePage(5))
    page.panel._look(SimpleNamespace(client=other.client), compared=True)
    assert [each.view is None for each in page.live.pages] == [True, False]


def test_what_is_shown_follows_its_controls(page):
    compared(page)
    assert page.page.wait(lambda _: page.live.pages[0].is_sharp)
    ball = torch.tensor([0.8, 0.2, 0.1])
    for shown, colours in (("truth", (-ERROR, -ERROR)), ("split", (-ERROR, 0.0))):
        page.panel._shown.value = shown
        for column, error in zip((12 + 22, 12 + 26), colours, strict=True):
            assert page.page.wait(
                lambda page, column=column, error=error: torch.allclose(
                    page.frames[-1]["rgb"][18, column], ball + error, atol=1e-5
                )
            )
    # Between both is a line, where both are to be seen.
    assert float(page.page.frames[-1]["rgb"][18, 12 + 24].max()) < 0.2
    for split, error in ((0.0, 0.0), (1.0, -ERROR)):
        page.panel._split.value = split
        assert page.page.wait(
            lambda page, error=error: torch.allclose(page.frames[-1]["rgb"][0, 12:60], torch.tensor(1.0 + error))
        )


def test_depths_have_borders_that_hide_nothing_and_high_pages_have_them_above_and_below(page):
    compared(page)
    view, frame = page.live.pages[0].view, frame_of(page)
    outputs = frame.shown(with_z=True)
    before = {name: each.clone() for name, each in outputs.items()}
    view.lay_over(outputs, frame, 0.5, drawn_by="model")
    # 48 pixels across and 96 down: 30 above and below.
    assert outputs["rgb"].shape == (96, 48, 3)
    for name in ("depth", "gl_z_buf_depth"):
        assert torch.equal(outputs[name][30:66], before[name])
        assert float(outputs[name][0, 0]) == float(before[name].max()) > 4
    assert float(outputs["rgb"][:30].max()) == float(outputs["accumulation"][66:].max()) == 0


def sentence_of(page, truth, *, mask=None, width: int = 48) -> list[str]:
    """What is told of a frame of the ball against a photograph."""
    page.panel._dataset.get_data = lambda index, image_type: {
        "image": truth,
        **({} if mask is None else {"mask": mask}),
    }
    told = []
    view = page.panel._comparison(0, np.zeros(3))
    view.told = told.append
    frame = Frame(page.live.get_model(), view.camera(width))
    while frame.fill(4096):
        pass
    view.lay_over(frame.shown(with_z=False), frame, 2.0, drawn_by="model")
    return told


def test_what_the_psnr_is_of_is_said(page):
    page.live.retake()
    drawn = Ball()(Photographs().cameras.generate_rays(camera_indices=0))
    own, hit = drawn["rgb"].detach(), drawn["accumulation"]
    left = torch.zeros(36, 48, 1, dtype=torch.bool)
    left[:, :24] = True
    # Wrong by 0.01 to the left and by 0.5 to the right.
    truth = own - torch.where(left, 0.01, 0.5)
    assert sentence_of(page, truth, mask=left) == ["**training 0, a.png**: PSNR 40.00 dB (48 x 36, inside its mask)"]
    error = (0.01**2 + 0.5**2) / 2
    assert f"PSNR {-10 * np.log10(error):.2f} dB (48 x 36)" in sentence_of(page, truth)[0]
    # Averages of what is wrong by the same everywhere are as wrong, but for the ball's border.
    assert "(24 x 18, reduced)" in sentence_of(page, own - 0.1, width=24)[0]
    assert sentence_of(page, own, mask=torch.zeros(36, 48, 1, dtype=torch.bool)) == []
    assert "PSNR no error (48 x 36)" in sentence_of(page, own)[0]
    # Cut out of what it was before, it is seen before what the model has behind.
    cut_out = torch.cat([own * hit, hit], -1)
    assert "PSNR no error (48 x 36)" in sentence_of(page, cut_out)[0]
