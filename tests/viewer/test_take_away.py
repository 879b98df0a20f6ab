"""The panel "Take away": turns in closed form, as nerfstudio reads them, commands that shells and programs take."""

from __future__ import annotations

import inspect
import json
import shlex
import socket
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import viser
import viser.transforms as vtf
from long_form import long_form
from nerfstudio.cameras.camera_paths import get_path_from_json
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.scripts.render import get_crop_from_json
from nerfstudio.viewer.render_panel import populate_render_tab
from nerfstudio.viewer.viewer import Viewer
from page_client import PageClient
from scipy.spatial.transform import Rotation
from viewer.fake_viewer import Ball, FakeViewer

from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.meshing.region import TurnedBox
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panels.camera_paths import camera_of, camera_path, crop_entry, safe_name, turn, write_path
from inr_plugins.viewer.panels.commands import eval_command, mesh_command, render_command, straight_box
from inr_plugins.viewer.panels.render_name import keep_in_run_folder, stop_playing
from inr_plugins.viewer.panels.take_away import TakeAwayPanel

CENTRE, EYE = np.array([0.1, -0.2, 0.3]), np.array([1.5, -0.9, 1.1])


def page_camera():
    """viser's camera at EYE, which looks at CENTRE, z up; by viser's own mathematics of rotations."""
    ahead = (CENTRE - EYE) / np.linalg.norm(CENTRE - EYE)
    right = np.cross(ahead, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = vtf.SO3.from_matrix(np.stack([right, np.cross(ahead, right), ahead], axis=1))
    return SimpleNamespace(
        wxyz=rotation.wxyz, position=10 * EYE, look_at=10 * CENTRE, up_direction=np.array([0, 0, 2.0]), fov=0.9,
        aspect=1.5,
    )  # fmt: skip


def test_the_camera_is_the_one_that_nerfstudio_draws_from():
    camera = page_camera()
    drawn = Viewer.get_camera_state(
        SimpleNamespace(ready=False, current_camera_idx=0), SimpleNamespace(camera=camera)
    ).c2w.numpy()
    pose, centre, axis = camera_of(camera)
    assert np.allclose(pose[:3], drawn, atol=1e-6)
    assert np.allclose(centre, CENTRE)
    assert np.allclose(axis, [0, 0, 1])


def test_a_turntable_keeps_distance_height_and_what_is_in_the_middle():
    pose, centre, axis = camera_of(page_camera())
    cameras = get_path_from_json(
        camera_path(turn(pose, centre, axis, 12), fov=50.0, size=(96, 64), seconds=2.0, crop=None)
    )
    poses = cameras.camera_to_worlds.double().numpy()
    assert poses.shape == (12, 3, 4)
    assert np.allclose(poses[0], pose[:3], atol=1e-6)
    offsets = poses[:, :, 3] - CENTRE
    assert np.allclose(np.linalg.norm(offsets, axis=1), np.linalg.norm(EYE - CENTRE), atol=1e-6)
    assert np.allclose(offsets[:, 2], EYE[2] - CENTRE[2], atol=1e-6)
    assert np.allclose(-poses[:, :, 2], -offsets / np.linalg.norm(offsets, axis=1, keepdims=True), atol=1e-6)
    assert np.allclose(poses[:, 2, 0], 0, atol=1e-6)  # level
    angles = np.unwrap(np.arctan2(offsets[:, 1], offsets[:, 0]))
    assert np.allclose(np.diff(angles), 2 * np.pi / 12, atol=1e-5)
    assert float(cameras.fy[0]) == pytest.approx(32 / np.tan(np.radians(25)), rel=1e-5)


def boxed_panel(rpy=(0.1, -0.4, 0.7)):
    rotation = torch.tensor(vtf.SO3.from_rpy_radians(*rpy).as_matrix())
    box = OrientedBox(rotation, torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 0.5]))
    return SimpleNamespace(crop_viewport=True, crop_obb=box, background_color=(10, 20, 30))


def test_the_crop_is_the_box_that_ns_render_reads():
    panel = boxed_panel()
    read = get_crop_from_json({"crop": crop_entry(panel)})
    assert torch.allclose(read.obb.R.double(), panel.crop_obb.R.double(), atol=1e-6)
    assert torch.allclose(read.obb.T.float(), panel.crop_obb.T)
    assert torch.allclose(read.obb.S.float(), panel.crop_obb.S)
    assert torch.allclose(read.background_color, torch.tensor([10, 20, 30]) / 255)
    panel.background_color = None
    assert torch.equal(get_crop_from_json({"crop": crop_entry(panel)}).background_color, torch.zeros(3))
    panel.crop_viewport = False
    assert crop_entry(panel) is None


def words_of(line: str) -> list[str]:
    """As a shell splits it."""
    done = subprocess.run(["sh", "-c", f"set -- {line}\nprintf '%s\\0' \"$@\""], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def test_commands_are_whole_for_a_shell_whatever_folders_are_called():
    config = Path("/runs/it's here/a $HOME and a very long name of a folder/config.yml")
    path = Path("/runs/x y/turntable.json")
    line = render_command(config, path, is_still=False)
    words = words_of(line)
    assert words[:2] == ["ns-render", "camera-path"]
    assert dict(zip(words[2::2], words[3::2], strict=True)) == {
        "--load-config": str(config), "--camera-path-filename": str(path), "--output-format": "video",
        "--output-path": "renders/turntable.mp4",
    }  # fmt: skip
    assert max(map(len, line.splitlines())) <= 38
    box = np.array([[-0.5, -1, -2], [0.25, 1, 2]])
    words = words_of(mesh_command(config, resolution=96, crop=box, shape=2))
    assert words[:2] == ["inr-mesh", str(config)]
    assert words[2:] == ["--resolution", "96", "--shape", "2", "--crop", "-0.5", "-1", "-2", "0.25", "1", "2"]
    assert words_of(eval_command(config)) == ["inr-eval", str(config)]


def test_a_crop_is_taken_to_the_datasets_frame():
    to_normalised = Similarity(Rotation.from_euler("z", 90, degrees=True).as_matrix(), 0.5, np.array([1.0, 0, 0]))
    turned = TurnedBox(np.array([[-1.0, -2, -3], [1, 2, 3]]), Similarity.identity())
    box, is_larger = straight_box(turned, to_normalised)
    # x_data = R^T (x - offset) / 0.5, by hand.
    assert np.allclose(box, [[-4, 0, -6], [4, 4, 6]])
    assert not is_larger
    askew = TurnedBox(turned.box, Similarity(Rotation.from_euler("z", 30, degrees=True).as_matrix(), 1.0, np.zeros(3)))
    assert straight_box(askew, to_normalised)[1]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/x", "etc-x"), ("/srv/a", "srv-a"), ("..", "camera_path"), ("", "camera_path"), ("a b$c", "a-b-c"),
        ("2026-11-27-19-00-00", "2026-11-27-19-00-00"), (".hidden", "hidden"), ("a\\..\\b\0", "a-..-b"),
        (80 * "x" + "/y", 80 * "x"),
    ],
)  # fmt: skip
def test_names_stay_in_their_folder(name, safe):
    assert safe_name(name) == safe


def test_a_folder_that_takes_no_files_is_a_sentence(tmp_path):
    (tmp_path / "camera_paths").write_text("a file")
    with pytest.raises(InputError, match="Cannot write"):
        write_path(tmp_path, "a", {})


def test_a_path_is_written_into_its_folder(tmp_path):
    file = write_path(tmp_path, "../../a", {"fps": 24})
    assert file == tmp_path / "camera_paths" / "a.json"
    assert json.loads(file.read_text()) == {"fps": 24}


def test_two_paths_of_one_name_are_two_files(tmp_path):
    files = [write_path(tmp_path, "a", {"fps": fps}) for fps in (1, 2, 3)]
    assert [file.name for file in files] == ["a.json", "a_2.json", "a_3.json"]
    assert [json.loads(file.read_text())["fps"] for file in files] == [1, 2, 3]


@pytest.fixture
def server():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
    yield served, port
    served.stop()


def label_id(page, label):
    assert page.wait(lambda: any(each.get("label") == label for each in page.others)), label
    return next(each["id"] for each in page.others if each.get("label") == label)


def press(page, label):
    page.send(type="GuiUpdateMessage", id=label_id(page, label), updates={"value": True})


@long_form
def test_nerfstudios_render_tab_writes_into_the_run_folder_only(server, tmp_path):
    served, port = server
    data, run = tmp_path / "data", tmp_path / "run"
    for folder in (data, run):
        folder.mkdir()
    populate_render_tab(served, run / "config.yml", data, None)
    assert keep_in_run_folder(served, run)
    with PageClient(port) as page:
        page.send(type="GuiUpdateMessage", id=label_id(page, "Render name"), updates={"value": "../../../escaped"})
        handles = {each._impl.label: each for each in served.gui._gui_input_handle_from_id.values()}
        assert page.wait(lambda: handles["Render name"].value == "escaped")
        # Whoever has written it sees what it is going to be.
        assert page.wait(lambda: handles["Render name"]._impl.value == "escaped")
        # Somebody who is about to write, or writes on, is not disturbed; what is read is safe all the same.
        for value, read in (("", "camera_path"), ("my-", "my")):
            page.send(type="GuiUpdateMessage", id=label_id(page, "Render name"), updates={"value": value})
            assert page.wait(lambda read=read: handles["Render name"].value == read)
            written = handles["Render name"]._impl
            assert not page.wait(lambda written=written, value=value: written.value != value, 0.1)
    assert folders_of(served) == [run, run]


def folders_of(server) -> list[Path]:
    """Where the Render tab writes to, and reads from."""
    by_label = {each._impl.label: each._impl.update_cb for each in server.gui._gui_input_handle_from_id.values()}
    calls = [call for label in ("Generate Command", "Load Path") for call in by_label[label]]
    return [inspect.getclosurevars(each).nonlocals["datapath"] for each in calls]


@pytest.mark.parametrize("has_tab", [True, False])
def test_a_render_tab_that_is_not_found_is_said_to_be_unguarded(server, tmp_path, capsys, has_tab):
    served, _ = server
    if has_tab:
        populate_render_tab(served, tmp_path / "config.yml", tmp_path / "elsewhere", None)
    viewer = FakeViewer(Ball())
    viewer.viser_server, viewer.log_filename = served, tmp_path / "viewer_log_filename.txt"
    live = LiveViewer(viewer)
    TakeAwayPanel(lambda: 96).install(live, order=-1.0)
    live.close()
    assert not has_tab or folders_of(served) == [tmp_path.resolve()] * 2
    assert ("any folder by its Render name" in " ".join(capsys.readouterr().out.split())) != has_tab


def test_what_the_render_tab_plays_ends_with_the_viewer(server, tmp_path):
    """The thread of Play is no daemon: Python would wait for it without end."""
    served, port = server
    populate_render_tab(served, tmp_path / "config.yml", tmp_path, None)
    viewer = FakeViewer(Ball())
    viewer.viser_server, viewer.log_filename = served, tmp_path / "viewer_log_filename.txt"
    live = LiveViewer(viewer)
    TakeAwayPanel(lambda: 96).install(live, order=-1.0)

    def playing() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if "(play)" in each.name]

    with PageClient(port) as page:
        press(page, "Play")
        assert page.wait(playing)
        try:
            live.close()
            assert page.wait(lambda: not playing())
        finally:
            stop_playing(served)


def test_of_an_image_there_is_a_command_that_reads_it_out_and_none_for_a_mesh(server, tmp_path):
    served, port = server
    viewer = FakeViewer(Ball())
    viewer.viser_server, viewer.log_filename = served, tmp_path / "viewer_log_filename.txt"
    panel, live = TakeAwayPanel(None, read_out={"video.mkv": None, "phase.tif": "phase"}), LiveViewer(viewer)
    panel.install(live, order=-1.0)
    with PageClient(port) as page:
        page.wait(lambda: bool(served.get_clients()))
        press(page, "This view")
        assert page.wait(lambda: "inr-signal" in panel._text.content)
    live.close()
    assert "inr-mesh" not in panel._text.content
    # A shell joins what a backslash ends.
    whole, part = (
        shlex.split(each.split("```")[0].replace("\\\n", "")) for each in panel._text.content.split("inr-signal")[1:]
    )
    assert whole == [str(tmp_path / "config.yml"), str(tmp_path / "video.mkv")]
    assert part == [str(tmp_path / "config.yml"), str(tmp_path / "phase.tif"), "--part", "phase"]
    assert "**Read out phase**" in panel._text.content


def test_one_click_writes_a_turntable_and_says_how_to_render_it(server, tmp_path):
    served, port = server
    viewer = FakeViewer(Ball())
    viewer.viser_server, viewer.log_filename = served, tmp_path / "viewer_log_filename.txt"
    panel = TakeAwayPanel(lambda: 96)
    live = LiveViewer(viewer)
    panel.install(live, order=-1.0)
    with PageClient(port) as page:
        page.wait(lambda: bool(served.get_clients()))
        press(page, "Turntable")
        assert page.wait(lambda: "ns-render" in panel._text.content)
        press(page, "Download commands")
        assert page.wait(lambda: any("take_away.sh" in str(each) for each in page.others))
    (file,) = (tmp_path / "camera_paths").glob("turntable_*.json")
    poses = get_path_from_json(json.loads(file.read_text())).camera_to_worlds.numpy()
    assert len(poses) == 96
    distance = np.linalg.norm(page.position) / 10
    assert np.allclose(np.linalg.norm(poses[:, :, 3], axis=1), distance, rtol=1e-4)
    assert str(file) in panel._script.replace("\\\n", "")
    assert "--resolution 96" in panel._text.content
    assert "no checkpoint yet" in panel._text.content
    live.close()


class Shapes:
    """A datamanager of shapes, whose files are half as large as the normalised frame, and stand beside each other."""

    train_dataset = None

    def __init__(self, *names: str) -> None:
        self.shape_names = names

    def shape_frame(self, number: int) -> Similarity:
        return Similarity(np.eye(3), 2.0, np.array([float(number), 0, 0]))

    def shape_file(self, number: int) -> Path:
        return Path(f"{self.shape_names[number]}.ply")


@pytest.fixture
def install(server, tmp_path):
    """Puts a panel beside a run's config.yml; gives it and what happens to the client that clicks."""
    served, _ = server
    lives = []

    def make(manager=None, *, shown: int = 0):
        viewer = FakeViewer(Ball())
        viewer.viser_server, viewer.log_filename = served, tmp_path / "viewer_log_filename.txt"
        viewer.pipeline.datamanager = manager or viewer.pipeline.datamanager
        viewer.pipeline.model.shown_shape = shown
        panel, live, got = TakeAwayPanel(lambda: 96), LiveViewer(viewer), []
        lives.append(live)
        panel.install(live, order=-1.0)
        client = SimpleNamespace(
            camera=page_camera(),
            add_notification=lambda title, body, **_: got.append(body),
            send_file_download=lambda name, content: got.append((name, content)),
        )
        return panel, SimpleNamespace(client=client), got

    yield make
    for live in lives:
        live.close()


def run_script(script: bytes, folder: Path) -> list[list[str]]:
    """The words of each command of a shell script, as programs of these names hear them."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("ns-render", "inr-mesh", "inr-eval"):
        (programs / name).write_text(f"#!/bin/sh\nprintf '%s\\0' {name} \"$@\" '|'\n")
        (programs / name).chmod(0o755)
    (folder / "script.sh").write_bytes(script)
    done = subprocess.run(
        ["sh", folder / "script.sh"], env={"PATH": f"{programs}:/usr/bin:/bin"}, capture_output=True, check=True
    )
    return [each.strip("\0").split("\0") for each in done.stdout.decode().split("|\0")[:-1]]


def test_this_view_is_one_frame_of_the_page_and_its_commands_are_of_the_shape_and_the_box_that_are_seen(
    install, tmp_path
):
    panel, event, got = install(Shapes("cow", "pig"), shown=1)
    live = panel.live
    live.viewer.ready = False
    live.retake()
    # What is trained goes on; the page still shows the pig.
    panel.model.shown_shape = 0
    vars(live.panel).update(crop_viewport=True, background_color=(1, 2, 3))
    live.panel.crop_obb = OrientedBox(torch.eye(3), torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 0.5]))
    (tmp_path / "nerfstudio_models").mkdir()
    (tmp_path / "nerfstudio_models" / "step-000000007.ckpt").touch()
    panel._width.value = 641
    for call in panel._still._impl.update_cb:
        call(event)
    (file,) = (tmp_path / "camera_paths").glob("view_*.json")
    path = json.loads(file.read_text())
    cameras = get_path_from_json(path)
    assert np.allclose(cameras.camera_to_worlds.numpy(), camera_of(event.client.camera)[0][None, :3], atol=1e-6)
    # Videos want even sides.
    assert (int(cameras.width[0]), int(cameras.height[0])) == (640, 426)
    assert float(cameras.fy[0]) == pytest.approx(213 / np.tan(0.45), rel=1e-5)
    assert (path["fps"], path["seconds"], path["is_cycle"]) == (1, 1, False)
    assert path["crop"]["crop_center"] == pytest.approx([0.1, 0.2, 0.3])
    text = panel._text.content
    assert "Load Path" not in text
    assert "no checkpoint" not in text
    assert "turned" not in text
    assert panel._download.visible
    panel._send(event)
    note, (name, script) = got
    assert (note, name) == (f"Camera path: {file}", "take_away.sh")
    assert script.startswith(b"#!/bin/sh\n")
    render, mesh, evaluation = run_script(script, tmp_path)
    config = str(tmp_path / "config.yml")
    assert dict(zip(render[2::2], render[3::2], strict=True)) == {
        "--load-config": config, "--camera-path-filename": str(file), "--output-format": "images",
        "--output-path": f"renders/{file.stem}",
    }  # fmt: skip
    assert mesh[:7] == ["inr-mesh", config, "--resolution", "96", "--shape", "1", "--crop"]
    # x_file = (x - (1, 0, 0)) / 2.
    assert [float(each) for each in mesh[7:]] == pytest.approx([-0.7, -0.4, 0.025, -0.2, 0.6, 0.275])
    assert evaluation == ["inr-eval", config, "--shape", "1"]
    # The only shape needs no number; a box that is turned is said to be.
    panel, event, _ = install(Shapes("cow"))
    panel.live.panel.crop_viewport, panel.live.panel.crop_obb = True, boxed_panel().crop_obb
    panel._write(event, is_still=True)
    assert "--shape" not in panel._text.content
    assert "which is turned" in panel._text.content


def test_a_turn_lasts_as_long_as_is_asked_for(install, tmp_path):
    panel, event, _ = install()
    panel._seconds.value = 2.0
    panel._write(event, is_still=False)
    (file,) = (tmp_path / "camera_paths").glob("turntable_*.json")
    path = json.loads(file.read_text())
    poses = [each["camera_to_world"] for each in path["camera_path"]]
    assert (len(poses), path["fps"], path["seconds"], path["is_cycle"]) == (48, 24, 2, True)
    # What Load Path shows: eight of them, a quarter of a second apart.
    assert [each["matrix"] for each in path["keyframes"]] == poses[::6]
    assert path["default_transition_sec"] == 0.25
    assert path["keyframes"][0]["aspect"] == pytest.approx(1.5, rel=0.01)
    assert "crop" not in path
    assert "Load Path in the Render tab" in panel._text.content


def test_a_page_that_has_gone_is_a_sentence(install):
    panel, event, _ = install()
    event.client = None
    for call in (lambda: panel._write(event, is_still=True), lambda: panel._send(event)):
        with pytest.raises(InputError, match="has gone"):
            call()
