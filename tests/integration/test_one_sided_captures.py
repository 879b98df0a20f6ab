"""Cameras that stand on one side of an object far from the origin: nothing has to be typed but the data."""

import json

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.neus import cn_neus, cn_neus_table
from integration.small_methods import small_diner, small_diner_surface, small_neus
from long_form import long_form
from PIL import Image
from short_runs import train

from inr_plugins.models.neus import start

pytestmark = long_form

MIDDLE, RADIUS, SIZE, COUNT = np.array([5.0, -3.0, 2.0]), 0.5, 32, 12


def dome_poses():
    """Cameras of a spiral in a cone of 50 degrees, 3 away from the ball, looking at it; camera to world."""
    poses = []
    for k in range(COUNT):
        tilt, turn = np.radians(50) * np.sqrt((k + 0.5) / COUNT), 2.4 * k
        back = np.array([np.cos(tilt), np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn)])
        right = np.cross([0.0, 0.1, 1.0], back)
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(back, right), back, MIDDLE + 3 * back], -1)
        poses.append(pose)
    return poses


@pytest.fixture(scope="module")
def dome(tmp_path_factory):
    """nerfstudio's data of an orange ball before grey, with masks."""
    folder = tmp_path_factory.mktemp("dome")
    focal, frames = 40.0, []
    row, column = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5, indexing="ij")
    local = np.stack([(column - SIZE / 2) / focal, -(row - SIZE / 2) / focal, -np.ones_like(row)], -1)
    for k, pose in enumerate(dome_poses()):
        rays = local @ pose[:3, :3].T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        to_ball = MIDDLE - pose[:3, 3]
        hit = np.linalg.norm(to_ball - (rays @ to_ball)[..., None] * rays, axis=-1) < RADIUS
        Image.fromarray(np.where(hit[..., None], [200, 90, 20], 128).astype(np.uint8)).save(folder / f"{k}.png")
        Image.fromarray((255 * hit).astype(np.uint8)).save(folder / f"mask{k}.png")
        frames.append({"file_path": f"{k}.png", "mask_path": f"mask{k}.png", "transform_matrix": pose.tolist()})
    lens = {"fl_x": focal, "fl_y": focal, "cx": SIZE / 2, "cy": SIZE / 2, "w": SIZE, "h": SIZE}
    (folder / "transforms.json").write_text(json.dumps({"camera_model": "OPENCV", **lens, "frames": frames}))
    return folder


def in_dataset(trainer, box):
    """A box of the normalised frame, its middle and half its sides in the dataset's."""
    frame = trainer.pipeline.datamanager.train_dataset.metadata["dataset_frame"]
    box = box.detach().double().numpy()
    return frame.inverse().points(box.mean(0)[None])[0], (box[1] - box[0]) / 2 / frame.scale


def small(method, data, output):
    config = method(data, output)
    config.pipeline.datamanager.settle_parser()
    return config


def test_cn_neus_finds_the_ball_by_its_masks(dome, tmp_path, capsys):
    trainer = train(small(lambda *args: small_neus(cn_neus, *args), dome, tmp_path), 3)
    model = trainer.pipeline.model
    middle, half = in_dataset(trainer, model.surface_aabb())
    # Away from the cameras the cones around it are longer than it.
    assert np.abs(middle - MIDDLE).max() < 0.3
    assert (half > RADIUS).all()
    assert (half < 2.8 * RADIUS).all()
    said = " ".join(capsys.readouterr().out.split())
    assert "The pictures are taken for an object that masks or alpha cut out" in said
    assert "The object is looked for in a box of" in said
    assert "the dataset's units" in said
    # The sphere that it starts from is where the ball is.
    with torch.no_grad():
        assert float(model.field.sdf(model.field.middle[None])) < 0


def test_diner_surface_finds_it_too(dome, tmp_path, capsys):
    trainer = train(small(small_diner_surface, dome, tmp_path), 3)
    said = " ".join(capsys.readouterr().out.split())
    assert "an object that masks or alpha cut out of them; --pipeline.model.capture table asks for none" in said
    middle, half = in_dataset(trainer, trainer.pipeline.model.surface_aabb())
    # Of the band's cells, which reach beyond the surface.
    assert np.abs(middle - MIDDLE).max() < 0.3
    assert (half > RADIUS).all()
    assert (half < 2.8 * RADIUS).all()


def test_diner_begins_in_a_box_around_it(dome, tmp_path, capsys):
    trainer = train(small(small_diner, dome, tmp_path), 3)
    model = trainer.pipeline.model
    # No cell has been dropped yet.
    middle, half = in_dataset(trainer, model.surface_aabb())
    assert np.abs(middle - MIDDLE).max() < 0.3
    assert (half > RADIUS).all()
    assert (half < 2.8 * RADIUS).all()
    assert "the dataset's units" in " ".join(capsys.readouterr().out.split())
    learnt = trainer.optimizers.optimizers["coarse"].param_groups[0]["params"]
    assert learnt[0] is model.field.density_table
    own = small(small_diner, dome, tmp_path / "own")
    own.pipeline.model.box = "scene"
    trainer = train(own, 1)
    assert in_dataset(trainer, trainer.pipeline.model.surface_aabb())[1].max() > 4 * RADIUS


def test_without_masks_cn_neus_table_looks_where_the_cameras_do(dome, tmp_path, capsys):
    trainer = train(small(lambda *args: small_neus(cn_neus_table, *args), dome, tmp_path), 3)
    said = " ".join(capsys.readouterr().out.split())
    assert "an object, looked at from outside, with what is around it; a room from inside is for cn-neus-room" in said
    model = trainer.pipeline.model
    middle, half = in_dataset(trainer, model.surface_aabb())
    assert np.abs(middle - MIDDLE).max() < 0.05
    assert half == pytest.approx([1.5] * 3, rel=0.01)
    # What is behind begins where that ends.
    assert torch.equal(model.background.box, model.field.box)


def test_a_run_goes_on_in_its_box_without_looking_for_one(dome, tmp_path, monkeypatch, capsys):
    first = train(small(lambda *args: small_neus(cn_neus, *args), dome, tmp_path / "first"), 2)
    monkeypatch.setattr(start, "object_box", lambda *_, **__: pytest.fail("it was looked for again"))
    config = small(lambda *args: small_neus(cn_neus, *args), dome, tmp_path / "second")
    capsys.readouterr()
    second = train(config, 2, load_dir=first.checkpoint_dir)
    assert "are taken for" not in capsys.readouterr().out
    assert torch.equal(second.pipeline.model.field.box, first.pipeline.model.field.box)
