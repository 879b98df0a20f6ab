"""Rays around a ball of one colour before nothing, and what they see of it in closed form."""

from __future__ import annotations

import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from torch.nn.functional import normalize

COLOUR = torch.tensor([0.8, 0.3, 0.1])


def model_in_a_box(config, metadata=None, seed=0):
    """The model of a configuration, in a box of half side 1.5."""
    torch.manual_seed(seed)
    box = SceneBox(aabb=torch.tensor([[-1.5] * 3, [1.5] * 3]))
    return config.setup(scene_box=box, num_train_data=1, metadata=metadata or {"opaque": False}, device="cpu")


def rays(origins, directions, pixel=1.0):
    """A bundle whose pixels have that area."""
    return RayBundle(origins=origins, directions=directions, pixel_area=torch.full((len(origins), 1), pixel))


def ball_batch(radius, count, *, spread=0.5, pixel=1.0):
    """Rays from distance 4 towards the middle, and what they see, with alpha."""
    origins = normalize(torch.randn(count, 3), dim=-1) * 4
    directions = normalize(torch.randn(count, 3) * spread - origins, dim=-1)
    closest = (origins - (origins * directions).sum(-1, keepdim=True) * directions).norm(dim=-1)
    hit = (closest < radius)[:, None]
    image = torch.cat([torch.where(hit, COLOUR, torch.zeros(3)), hit.float()], -1)
    return rays(origins, directions, pixel), {"image": image}
