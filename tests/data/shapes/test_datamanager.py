"""The datamanager of shapes gives points that follow from seed and step, pictures, and rays to exporters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager
from nerfstudio.engine.callbacks import TrainingCallbackAttributes, TrainingCallbackLocation
from shape_folders import BALLS, ball_folder, manager, to_file, write_ball

from inr_plugins.data.shapes.datamanager import describe_shapes
from inr_plugins.data.shapes.images import ShapeImages
from inr_plugins.engine.runs.resume import data_state, load_data_state
from inr_plugins.errors import InputError
from inr_plugins.shape_points import ShapePoints

ALL_KINDS = {"near_share": 0.4, "far_share": 0.3, "uniform_share": 0.1, "surface_share": 0.2}


@pytest.fixture
def ball(tmp_path):
    return write_ball(tmp_path / "ball.ply", radius=5.0, centre=(10.0, -20.0, 30.0), subdivisions=4)


@pytest.fixture
def folder(tmp_path):
    return ball_folder(tmp_path / "balls")


def assert_same(one, other) -> None:
    assert torch.equal(one[0].points, other[0].points)
    assert torch.equal(one[0].shape, other[0].shape)
    for name in one[1]:
        assert torch.equal(one[1][name], other[1][name]), name


# -- points ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", ["next_train", "next_eval"])
def test_points_of_a_ball_have_the_distances_of_a_ball(ball, draw):
    data = manager(ball, **ALL_KINDS)
    points, batch = getattr(data, draw)(3)
    assert isinstance(points, ShapePoints)
    assert points.points.shape == (1, 300, 3)
    assert points.shape.tolist() == [0]
    # Normalised, the ball has radius 0.9; the sphere of triangles lies a thousandth of it inside.
    true = points.points.norm(dim=-1) - 0.9
    assert (batch["sdf"] - true).abs().max() < 3e-3
    off = ~batch["on"]
    assert torch.equal(batch["occupancy"][off], (batch["sdf"][off] < 0).float())
    assert int(batch["on"].sum()) == 60
    assert int(batch["near"].sum()) == 120
    assert (batch["sdf"][batch["on"]] == 0).all()
    outward = (batch["normal"] * torch.nn.functional.normalize(points.points, dim=-1)).sum(-1)
    assert outward[batch["on"]].min() > 0.99
    assert {name: value.dtype for name, value in batch.items()} == {
        "sdf": torch.float32,
        "occupancy": torch.float32,
        "near": torch.bool,
        "on": torch.bool,
        "normal": torch.float32,
    }
    assert data.get_train_rays_per_batch() == data.get_eval_rays_per_batch() == 300


def test_a_batch_follows_from_seed_and_step_whatever_was_drawn_before(ball):
    straight, winding = manager(ball), manager(ball)
    expected = [straight.next_train(step) for step in range(6)]
    for step in (0, 5, 2, 3):
        winding.next_eval(step)
        torch.rand(7)
        np.random.default_rng().random()
        assert_same(winding.next_train(step), expected[step])


def test_a_resumed_run_gets_the_batches_that_it_would_have_got(ball):
    first, again = manager(ball), manager(ball)
    for step in range(4):
        first.next_train(step)
    load_data_state(again, data_state(first))
    assert again.train_count == 4
    assert_same(again.next_train(4), first.next_train(4))


def test_the_seed_is_the_runs_own_unless_one_is_given(ball, monkeypatch):
    def drawn(run_seed: int, seed: int | None, rank: int = 0):
        monkeypatch.setattr("inr_plugins.ranks.rank", lambda: rank)
        torch.manual_seed(run_seed)
        data = manager(ball, seed=seed)
        data.setup_train()
        return data.next_train(0)[0].points

    assert torch.equal(drawn(1, None), drawn(1, None))
    assert not torch.equal(drawn(1, None), drawn(2, None))
    assert torch.equal(drawn(1, 7), drawn(2, 7))
    assert not torch.equal(drawn(1, 7, rank=1), drawn(1, 7))


def test_held_out_points_are_not_those_of_training(ball):
    data = manager(ball)
    seen = torch.cat([data.next_train(step)[0].points.reshape(-1, 3) for step in range(20)])
    held_out = data.next_eval(0)[0].points.reshape(-1, 3)
    assert not (held_out[:, None] == seen).all(-1).any()
    assert_same(manager(ball).next_eval(0), data.next_eval(0))


def test_a_batch_of_a_folder_has_some_of_its_shapes_each_with_its_own_distances(folder):
    data = manager(folder, shapes_per_batch=2)
    assert data.get_train_rays_per_batch() == 300
    radii = torch.tensor([radius for radius, _ in BALLS.values()]) * 0.9 / 5
    seen = set()
    for step in range(12):
        points, batch = data.next_train(step)
        assert points.points.shape == (2, 150, 3)
        true = points.points.norm(dim=-1) - radii[points.shape][:, None]
        assert (batch["sdf"] - true).abs().max() < 0.012
        seen |= set(points.shape.tolist())
    assert seen == {0, 1, 2}
    # More shapes a batch than there are: all of them, and the points divided among those.
    assert manager(folder, shapes_per_batch=8).next_train(0)[0].points.shape == (3, 100, 3)


# -- frames and pictures ---------------------------------------------------------------------------------------------


def test_every_shape_has_its_own_file_and_frame(folder):
    data = manager(folder, test_mode="inference")
    assert data.shape_names == ("a", "b", "c")
    for number, (name, (radius, centre)) in enumerate(BALLS.items()):
        assert data.shape_file(number) == folder / f"{name}.ply"
        frame = data.shape_frame(number)
        assert np.abs(to_file(frame, np.zeros((1, 3))) - centre).max() < 1e-6
        assert frame.scale == pytest.approx(0.9 / 5, rel=1e-6), radius


def test_pictures_serve_as_the_pipelines_images(folder):
    data = manager(folder)
    assert isinstance(data, VanillaDataManager)
    assert data.dataset_type is ShapeImages
    assert data.train_dataset.metadata["shapes"] == ("a", "b", "c")
    assert data.train_dataset.scene_box.aabb.tolist() == [[-1, -1, -1], [1, 1, 1]]
    assert len(data.fixed_indices_eval_dataloader.input_dataset) == 3
    camera, batch = data.next_eval_image(0)
    assert len(camera) == 1
    assert batch["image"].shape == (24, 24, 3)
    assert 0.2 < float((batch["image"] < 1).any(-1).float().mean()) < 0.8
    assert data.get_param_groups() == {}
    assert data.get_datapath() == folder


def test_a_cloud_is_sampled_and_drawn_like_the_surface_it_was_taken_from(ball):
    data, whole = (
        manager(ball, parser={"cloud_points": 4000, "image_size": 32}),
        manager(ball, parser={"image_size": 32}),
    )
    points, batch = data.next_train(0)
    true = points.points.norm(dim=-1) - 0.9
    near = batch["near"]
    assert (batch["sdf"] - true)[near].abs().max() < 0.05
    assert ((batch["sdf"] < 0) == (true < 0))[true.abs() > 0.02].float().mean() > 0.99
    cloud, mesh = (each.eval_dataset.get_numpy_image(1)[..., 3] > 0 for each in (data, whole))
    assert (cloud & mesh).sum() > 0.9 * (cloud | mesh).sum()


def test_a_run_that_is_looked_at_samples_nothing_and_draws_nothing_by_itself(folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing is to be drawn")

    monkeypatch.setattr("inr_plugins.data.shapes.sampling.SampleSource.sample", refuse)
    monkeypatch.setattr("inr_plugins.data.shapes.images.ShapePictures.draw", refuse)
    assert len(manager(folder, test_mode="inference").train_dataset) == 3
    assert len(manager(folder, test_mode="test").eval_dataset) == 3


def test_nerfstudios_exporters_get_as_many_rays_as_they_ask_for(ball):
    data = manager(ball, test_mode="test")
    assert data.train_pixel_sampler is not None
    data.train_pixel_sampler.num_rays_per_batch = 77
    for _ in range(2):
        rays, batch = data.next_train(0)
        assert isinstance(rays, RayBundle)
        assert rays.origins.shape == (77, 3)
        assert rays.metadata["shape"].shape == (77, 1)
        image, line, column = batch["indices"][5].tolist()
        assert torch.equal(batch["image"][5], data.train_dataset[image]["image"][line, column])
    assert data.get_datapath() == ball.parent


# -- words -----------------------------------------------------------------------------------------------------------


def test_training_begins_with_what_was_read_and_what_was_not(tmp_path, capsys):
    data = manager(ball_folder(tmp_path / "balls", broken=True))
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("Read 3 shapes", "a: 1,280 faces, watertight", "Skipped 1"):
        assert words in printed
    lines = describe_shapes(data.dataparser.shapes, path=tmp_path)
    assert len(lines) == 6
    assert "inside by winding number" in lines[1]
    assert "bad.ply" in lines[5]
    manager(tmp_path / "balls", test_mode="test")
    assert "Read 3" not in capsys.readouterr().out


def test_long_waits_are_told_when_training_ends_and_short_ones_are_not(ball, capsys):
    data = manager(ball)
    (callback,) = data.get_training_callbacks(TrainingCallbackAttributes(None, None, None, None))
    data.next_train(0)
    data._began -= 100.0
    capsys.readouterr()
    for waited, is_told in ((1.0, False), (30.0, True)):
        data._stream.waited_seconds = waited
        callback.run_callback_at_location(10, TrainingCallbackLocation.AFTER_TRAIN)
        printed = " ".join(capsys.readouterr().out.split())
        assert ("Training waited for points for 30 of 100 seconds" in printed) == is_told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"points_per_batch": 0}, "--pipeline.datamanager.points-per-batch must be at least 1, got 0"),
        ({"shapes_per_batch": 0}, "--pipeline.datamanager.shapes-per-batch must be at least 1"),
        ({"ahead": 0}, "--pipeline.datamanager.ahead must be at least 1"),
        ({"seed": -1}, "--pipeline.datamanager.seed must be at least 0"),
        ({"near_share": -0.5}, "--pipeline.datamanager.near-share must be 0 or more, got -0.5"),
        ({"far_share": float("nan")}, "--pipeline.datamanager.far-share must be 0 or more"),
        ({"near_share": 0.0, "far_share": 0.0}, "are 0, so that there is nothing to draw"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_read(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        manager(tmp_path / "nothing.ply", **options)


def test_a_shape_tells_the_target_of_training_unless_that_has_no_sign(ball):
    distance = manager(ball).shape_distance(0)
    asked = np.array([[0.0, 0.0, 0.0], [0.95, 0.0, 0.0], [0.0, 0.6, 0.6]], dtype=np.float32)
    assert distance(asked) == pytest.approx(np.linalg.norm(asked, axis=1) - 0.9, abs=0.01)
    assert manager(ball, parser={"sign": "unsigned"}).shape_distance(0) is None


def test_a_scanner_comes_to_the_normalised_frame_with_the_points(ball):
    data = manager(ball, parser={"scanner": (10.0, -20.0, 40.0), "cloud_points": 500})
    assert data.scanner_of(0) == pytest.approx(data.shape_frame(0).points(np.array([[10.0, -20.0, 40.0]]))[0])
    assert data.scanner_of(0) == pytest.approx([0.0, 0.0, 1.8], abs=0.02)
    assert manager(ball).scanner_of(0) is None
