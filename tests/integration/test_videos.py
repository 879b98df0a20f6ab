"""Methods of videos through their own trainer and datamanager, and what can be done with their runs."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
import torch
from inr_plugins.method_configs.images import finer_video
from integration.small_methods import small_diner_image, small_diner_video, small_network_image
from long_form import long_form
from PIL import Image
from short_runs import assert_going_on_is_not_having_stopped, train

from inr_plugins.bench.views import held_out_views
from inr_plugins.cli import analyze, compress, signal_file
from inr_plugins.cli import eval as evaluation
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError

pytestmark = long_form

WIDTH, HEIGHT, FRAMES = 20, 12, 4


def moving() -> np.ndarray:
    """A bright square on a gradient, which goes two pixels to the right with each frame."""
    frames = np.zeros((FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    frames[..., 0] = np.linspace(0, 200, WIDTH).astype(np.uint8)
    frames[..., 1] = np.linspace(0, 200, HEIGHT).astype(np.uint8)[:, None]
    for number, frame in enumerate(frames):
        frame[4:8, 2 + 2 * number : 6 + 2 * number] = 230
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder of frames."""
    folder = tmp_path_factory.mktemp("a video")
    for number, frame in enumerate(moving()):
        Image.fromarray(frame).save(folder / f"f{number}.png")
    return folder


SMALL = {
    "diner-video": small_diner_video,
    "finer-video": lambda data, output: small_network_image(finer_video, data, output),
}


@pytest.mark.parametrize(("method", "pixels"), [("diner-video", 1 << 20), ("diner-video", 300), ("finer-video", 300)])
def test_stopping_and_going_on_gives_the_same_bits(method, pixels, clip, tmp_path):
    def config(name):
        each = SMALL[method](clip, tmp_path / name)
        each.pipeline.datamanager.pixels_per_batch = pixels
        return each

    assert_going_on_is_not_having_stopped(config, [4], 9)


def test_each_camera_sees_the_pixels_of_its_frame(clip, tmp_path):
    config = small_diner_video(clip, tmp_path)
    pipeline = config.pipeline.setup(device="cpu", test_mode="test", world_size=1, local_rank=0).eval()
    truth = torch.from_numpy(moving() / 255).float()

    def at(places):
        column, row, frame = (each.round().long() for each in places.T)
        assert (places - places.round()).abs().max() < 1e-4
        return truth[frame, row, column]

    pipeline.model.field.at = at
    views = list(pipeline.datamanager.fixed_indices_eval_dataloader)
    assert len(views) == FRAMES
    for number, (camera, batch) in enumerate(views):
        rgb = pipeline.model.get_outputs_for_camera(camera)["rgb"]
        assert torch.allclose(rgb, truth[number], rtol=0, atol=1e-6)
        assert torch.allclose(batch["image"], truth[number], rtol=0, atol=1e-6)
    # A page's cameras have no time but the first one, and the frame is chosen there.
    pipeline.model.frame = 2
    rgb = pipeline.model.get_outputs_for_camera(views[0][0])["rgb"]
    assert torch.allclose(rgb, truth[2], rtol=0, atol=1e-6)
    views = held_out_views(pipeline.datamanager, pipeline.model)
    assert torch.allclose(views.truth(3), truth[3], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def run(clip, tmp_path_factory):
    return train(small_diner_video(clip, tmp_path_factory.mktemp("run")), 200)


def learnt(run) -> np.ndarray:
    with torch.no_grad():
        values = run.pipeline.model.field(None).clamp(0, 1).double().numpy()
    return values.reshape(FRAMES, HEIGHT, WIDTH, 3)


def test_it_learns_the_video_and_is_judged_frame_by_frame(run, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    record = tmp_path / "record.json"
    assert evaluation.main([str(run.base_dir), "--output", str(record), "--device", "cpu", "--quiet"]) == 0
    (entry,) = json.loads(record.read_text())["runs"]
    error = np.mean((learnt(run) - moving() / 255) ** 2, axis=(1, 2, 3))
    by_hand = -10 * np.log10(error)
    views = entry["images"]["views"]
    assert [each["psnr"] for each in views] == pytest.approx(by_hand.tolist(), abs=1e-3)
    assert [each["file"] for each in views] == [f"f{number}.png" for number in range(FRAMES)]
    assert entry["images"]["mean"]["psnr"] == pytest.approx(by_hand.mean(), abs=1e-3)
    assert by_hand.min() > 28
    assert evaluate_views(run.pipeline, -1, step=0)[1].startswith(f"Evaluated all 4 frames: psnr {by_hand.mean():.4g}")
    assert evaluate_views(run.pipeline, 2, step=0)[1].startswith("Evaluated 2 of 4 frames: psnr ")


def read_out(run, out, *options) -> int:
    return signal_file.main([str(run.base_dir), str(out), "--device", "cpu", "--quiet", *options])


def test_the_video_is_read_out_without_loss_and_in_part(run, tmp_path, capsys):
    wanted = np.rint(learnt(run) * 255).astype(np.uint8)
    assert read_out(run, tmp_path / "all.mkv") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'all.mkv'}\n"
    with av.open(str(tmp_path / "all.mkv")) as container:
        # A folder has no rate of its own.
        assert container.streams.video[0].average_rate == 25
        found = np.stack([each.to_ndarray(format="rgb24") for each in container.decode(video=0)])
    assert np.array_equal(found, wanted)
    assert read_out(run, tmp_path / "some", "--frames", "1:3", "--scale", "3", "--region", "4", "2", "6", "5") == 0
    files = sorted((tmp_path / "some").iterdir())
    assert [each.name for each in files] == ["frame_00001.png", "frame_00002.png"]
    for number, file in zip((1, 2), files, strict=True):
        larger = np.asarray(Image.open(file))
        assert larger.shape == (15, 18, 3)
        # The middle one of each three lies where the pixel does.
        assert np.array_equal(larger[1::3, 1::3], wanted[number, 2:7, 4:10])
    assert read_out(run, tmp_path / "one.png", "--frames", "3") == 0
    assert np.array_equal(read_image(tmp_path / "one.png").pixels, wanted[3])
    assert read_out(run, tmp_path / "slow.mp4", "--frames", ":2", "--fps", "5") == 0
    with av.open(str(tmp_path / "slow.mp4")) as container:
        assert (container.streams.video[0].average_rate, container.streams.video[0].frames) == (5, 2)


def test_mistakes_of_the_command_are_a_sentence_and_write_nothing(run, tmp_path, capsys):
    (tmp_path / "there.mkv").write_bytes(b"mine")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "frame_00000.png").write_bytes(b"mine")
    for name, options, words in (
        ("there.mkv", (), "exists: give another name, or --overwrite"),
        ("frames", (), "exists: give another name, or --overwrite"),
        ("a.png", (), "This run has learnt 4 frames, and"),
        ("a.png", ("--frames", "0", "--fps", "5"), "--fps is for videos, and"),
        ("a.mkv", ("--frames", "2:5"), "--frames 2:5 is no part of the video, which has frames 0 to 3"),
        ("a.mkv", ("--frames", "3:3"), "--frames 3:3 is no part of the video"),
        ("a.mkv", ("--frames", "some"), "--frames some is no part of a video: give A:B"),
        (
            "a.mkv",
            ("--frames", "0.1s"),
            "--frames 0.1s is in seconds, and it is not known how many frames this video has",
        ),
        ("a.mkv", ("--fps", "0"), "--fps must be at least"),
        ("a.avi", (), "ending that no image is written to: give it .png, .tif or .jpg, of a video .mkv or .mp4"),
        (f"{'a' * 300}.mkv", (), "could not be written (File name too long); give another place"),
    ):
        assert signal_file.main([str(run.base_dir), str(tmp_path / name), "--device", "cpu", *options]) == 1
        assert words in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["frames", "there.mkv"]
    assert (tmp_path / "frames" / "frame_00000.png").read_bytes() == b"mine"
    assert read_out(run, tmp_path / "frames", "--overwrite", "--frames", "2") == 0
    assert [each.name for each in (tmp_path / "frames").iterdir()] == ["frame_00002.png"]
    capsys.readouterr()
    assert compress.main([str(run.base_dir), str(tmp_path / "a.inr"), "--device", "cpu"]) == 1
    assert "learn can be compressed: the keys of diner-image alone" in capsys.readouterr().err
    assert analyze.main([str(run.base_dir), "spectrum", "--device", "cpu", "--output", str(tmp_path / "new")]) == 1
    assert "spectrum: that of a video is not taken; rank, keys and ntk are" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_video_is_analysed_over_all_of_its_frames(run, tmp_path, capsys):
    for kind in ("rank", "keys", "ntk"):
        options = ["--points", "50", "--device", "cpu", "--output", str(tmp_path / kind)]
        assert analyze.main([str(run.base_dir), kind, *options]) == 0
    said = capsys.readouterr().out
    by_hand = -10 * np.log10(np.mean((learnt(run) - moving() / 255) ** 2))
    assert f"keys of 3, {by_hand:.2f} dB" in said
    # Principal directions of all pixels' colours.
    colours = moving().reshape(-1, 3) / 255
    singular = np.linalg.svd(colours - colours.mean(0), compute_uv=False) / len(colours) ** 0.5
    rows = (tmp_path / "rank" / "rank.csv").read_text().splitlines()[2:]
    assert [float(each.split(",")[1]) for each in rows] == pytest.approx(singular.tolist(), abs=1e-6)
    assert "50 pixels" in said


def test_a_run_of_an_image_makes_no_video(tmp_path, capsys):
    Image.fromarray(moving()[0]).save(tmp_path / "a.png")
    trained = train(small_diner_image(tmp_path / "a.png", tmp_path / "runs"), 1)
    for name, options, words in (
        ("a.mkv", (), "This run has learnt an image, and"),
        ("out.png", ("--frames", "0"), "--frames is for videos, and this run has learnt an image"),
    ):
        assert signal_file.main([str(trained.base_dir), str(tmp_path / name), "--device", "cpu", *options]) == 1
        assert words in capsys.readouterr().err


def test_a_coordinate_network_is_read_out_as_it_is_seen(clip, tmp_path, capsys):
    config = SMALL["finer-video"](clip, tmp_path / "runs")
    config.pipeline.model.hidden_layers = 3
    trained = train(config, 150)
    assert read_out(trained, tmp_path / "out") == 0
    found = np.stack([np.asarray(Image.open(each)) for each in sorted((tmp_path / "out").iterdir())])
    assert np.abs(found.astype(float) - moving()).mean() < 12
    pipeline = load_run(trained.base_dir, device="cpu", test_mode="test").pipeline
    for number, (camera, _) in enumerate(pipeline.datamanager.fixed_indices_eval_dataloader):
        seen = pipeline.model.get_outputs_for_camera(camera)["rgb"].numpy()
        assert np.abs(seen * 255 - found[number]).max() < 0.51
    assert compress.main([str(trained.base_dir), str(tmp_path / "a.inr"), "--device", "cpu"]) == 1
    assert "What finer-video learns cannot be compressed yet" in capsys.readouterr().err


def test_a_run_opens_without_its_video_and_goes_on_with_its_own_only(run, clip, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    for number, frame in enumerate(moving()):
        Image.fromarray(frame).save(gone / f"f{number}.png")
    trained = train(small_diner_video(gone, tmp_path / "runs"), 2)
    for each in gone.iterdir():
        each.unlink()
    gone.rmdir()
    model = load_run(trained.base_dir, device="cpu").pipeline.model
    assert (model.grid.frames, model.grid.width, model.grid.height) == (FRAMES, WIDTH, HEIGHT)
    assert read_out(trained, tmp_path / "a.mkv") == 0
    # Of another order, so that a single frame in the middle differs.
    other = tmp_path / "other"
    other.mkdir()
    for number, frame in enumerate(moving()[[0, 2, 1, 3]]):
        Image.fromarray(frame).save(other / f"f{number}.png")
    with pytest.raises(InputError, match=r"has not learnt from the data at .*other: its pictures are others"):
        train(small_diner_video(other, tmp_path / "more"), 1, load_dir=run.checkpoint_dir)


def test_what_is_no_video_leaves_no_folder(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="has one frame: learn it as an image, with ns-train diner-image"):
        train(small_diner_video(tmp_path / "a.png", tmp_path / "runs"), 1)
    assert not (tmp_path / "runs").exists()
