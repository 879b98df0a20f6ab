"""What pages draw takes nothing from the generators that training draws from: runs end with the same bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from inr_plugins.method_configs.images import cn_image
from inr_plugins.method_configs.neus import cn_neus
from inr_plugins.method_configs.nid import nid_shapes
from inr_plugins.method_configs.shapes import cn_occupancy, finer_sdf
from integration.small_methods import (
    small_diner,
    small_diner_image,
    small_finer_nerf,
    small_mipnerf,
    small_network_image,
    small_neus,
    small_nid,
    small_shape,
    small_stream,
)
from nerfstudio.cameras.cameras import Cameras
from PIL import Image

from inr_plugins.viewer.bake import bake
from inr_plugins.viewer.frames import Frame
from inr_plugins.viewer.snapshot import take_snapshot

OF_SCENES = {
    "diner": small_diner,
    "finer-nerf": small_finer_nerf,
    "cn-mipnerf": small_mipnerf,
    "cn-neus": lambda data, output: small_neus(cn_neus, data, output),
}
OF_SHAPES = {
    "finer-sdf": lambda data, output: small_shape(finer_sdf, data, output, 1e-3),
    "cn-occupancy": lambda data, output: small_shape(cn_occupancy, data, output, 1e-3),
    "nid-shapes": lambda data, output: small_nid(nid_shapes, data, output),
}
OF_IMAGES = {
    "diner-image": small_diner_image,
    "cn-image": lambda data, output: small_network_image(cn_image, data, output),
    "finer-stream": small_stream,
}


@pytest.fixture(scope="module")
def balls(tmp_path_factory):
    """A folder of two balls."""
    folder = tmp_path_factory.mktemp("balls")
    for name, radius in (("a.ply", 1.0), ("b.ply", 0.7)):
        trimesh.creation.icosphere(subdivisions=2, radius=radius).export(folder / name)
    return folder


def generators() -> tuple:
    # Not Python's own, from which nothing here trains: beartype, which checks types in these tests, draws from it.
    state = np.random.get_state()
    return torch.get_rng_state().tolist(), state[1].tolist(), state[2]


@pytest.mark.parametrize("method", [*OF_SCENES, *OF_SHAPES, *OF_IMAGES])
def test_copies_bakes_and_frames_leave_the_generators_alone(method, knot, balls, tmp_path):
    if method in OF_SCENES:
        config = OF_SCENES[method](knot, tmp_path)
    elif method in OF_IMAGES:
        Image.effect_noise((8, 8), 50).save(tmp_path / "noise.png")
        config = OF_IMAGES[method](tmp_path / "noise.png", tmp_path)
    else:
        config = OF_SHAPES[method](balls if method == "nid-shapes" else balls / "a.ply", tmp_path)
    pipeline = config.pipeline.setup(device="cpu", test_mode="val", world_size=1, local_rank=0)
    model = pipeline.model.train()
    pose = torch.eye(4)[:3]
    pose[2, 3] = 2.0
    camera = Cameras(pose[None], fx=20.0, fy=20.0, cx=6.0, cy=6.0, width=12, height=12)
    before = generators()
    snapshot = take_snapshot(model, 0)
    bake(snapshot.model, seconds=0.02)
    frame = Frame(snapshot.model, camera)
    while frame.fill(64):
        pass
    assert frame.done == len(frame)
    assert generators() == before
    assert model.training
