"""Batches of points around balls, as a datamanager of shapes gives them, with distances of closed form."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from inr_plugins.shape_points import ShapePoints


class BallBatches:
    """Batches of step after step; the shape of number i is a ball around the origin with the i-th radius.

    The first quarter of a ball's points lies on it, a quarter close to it, the others anywhere in [-1, 1]^3.
    """

    def __init__(self, radii, *, per_step=None, points=256, surface=0.25, normals=True, cloud=None):
        """
        Args:
            radii: of the balls.
            per_step: how many of them are in a batch, the first of a random order; all, if not given.
            points: of each.
            surface: part of them that lies on the ball.
            normals: whether those are known.
            cloud: draw points of the surface from only so many, the same every time.
        """
        self.radii, self.per_step = torch.tensor(radii), per_step or len(radii)
        self.points, self.on, self.normals = points, int(surface * points), normals
        directions = torch.randn(cloud or 1, 3, generator=torch.Generator().manual_seed(7))
        self.cloud = normalize(directions, dim=-1) if cloud else None

    def next_train(self, step):
        generator = torch.Generator().manual_seed(step)
        shape = torch.randperm(len(self.radii), generator=generator)[: self.per_step]
        radius = self.radii[shape][:, None]
        size = (self.per_step, self.points)
        direction = normalize(torch.randn(*size, 3, generator=generator), dim=-1)
        if self.cloud is not None:
            direction = self.cloud[torch.randint(len(self.cloud), size, generator=generator)]
        kind = torch.arange(self.points).expand(size)
        on, near = kind < self.on, (kind >= self.on) & (kind < self.on + self.points // 4)
        height = 0.05 * torch.randn(*size, generator=generator)
        anywhere = 2 * torch.rand(*size, 3, generator=generator) - 1
        close = direction * (radius + torch.where(on, 0.0, height))[..., None]
        points = torch.where((on | near)[..., None], close, anywhere)
        sdf = torch.where(on, 0.0, points.norm(dim=-1) - radius)
        normal = direction * (on & self.normals)[..., None]
        batch = {"sdf": sdf, "near": near, "on": on, "normal": normal, "occupancy": (sdf < 0).float()}
        return ShapePoints(points, shape), batch
