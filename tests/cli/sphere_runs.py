"""Runs whose field is a formula: a sphere in the frame of a dataset that nerfstudio turned, shifted and scaled."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh

from inr_plugins.cli import mesh as cli
from inr_plugins.geometry.frames import Similarity

# The sphere in the dataset's frame, and the transform that nerfstudio would have applied to the poses.
CENTRE, RADIUS = np.array([12.0, -3.5, 40.25]), 2.0
SHIFT, SCALE = np.array([-11.0, 3.0, -39.0]), 0.2


def rotation(*, mirror: bool) -> np.ndarray:
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, 0.6, -0.8], [0, 0.8, 0.6]])
    return turn @ tilt @ np.diag([1, 1, -1 if mirror else 1])


class Sphere(torch.nn.Module):
    """What all fields below share: a sphere in the normalised frame, coloured by the direction it is seen from."""

    def __init__(self, centre: np.ndarray, radius: float) -> None:
        super().__init__()
        self.register_buffer("centre", torch.as_tensor(centre, dtype=torch.float32))
        self.radius = radius
        self.largest_chunk = 0

    def distance(self, x):
        self.largest_chunk = max(self.largest_chunk, len(x))
        return (x - self.centre).norm(dim=-1) - self.radius

    def colour(self, x, d):
        return 0.5 - 0.5 * d


class SphereDensity(Sphere):
    """Density 100 inside, falling to zero over a thin shell, and a small floater."""

    def density(self, x):
        floater = (x - self.centre - torch.tensor([0.5, 0.0, 0.0])).norm(dim=-1) - 0.02
        return 1000 * (0.05 - torch.minimum(self.distance(x), floater)).clamp(0.0, 0.1)


class SphereSDF(Sphere):
    def sdf(self, x):
        return self.distance(x)


class SphereOccupancy(Sphere):
    def occupancy(self, x):
        return torch.sigmoid(-self.distance(x) / 0.03)


class BrokenSDF(Sphere):
    def sdf(self, x):
        return torch.full_like(x[:, 0], torch.nan)


class Fake:
    """In place of engine.runs.run.load_run."""

    def __init__(self, field_class=SphereSDF, *, mirror: bool = False, **model) -> None:
        transform = np.hstack([rotation(mirror=mirror), (rotation(mirror=mirror) @ SHIFT)[:, None]])
        self.to_normalised = Similarity.from_dataparser(transform, SCALE)
        self.field = field_class(self.to_normalised.points(CENTRE[None])[0], SCALE * RADIUS)
        box = torch.tensor([[-1.0, -1.0, -0.8], [1.0, 1.0, 0.9]])
        self.model = SimpleNamespace(field=self.field, scene_box=SimpleNamespace(aabb=box), **model)
        self.outputs = SimpleNamespace(
            dataparser_transform=torch.tensor(transform, dtype=torch.float32), dataparser_scale=SCALE
        )
        self.loaded: list[tuple[Path, str | None, Path | None]] = []

    def __call__(self, path, *, device, data):
        self.loaded.append((path, device, data))
        return SimpleNamespace(
            config=None,
            config_path=path,
            pipeline=SimpleNamespace(model=self.model, device=torch.device("cpu")),
            step=123,
            dataparser_outputs=self.outputs,
        )


def inr_mesh(fake: Fake, *arguments) -> int:
    return cli.main([str(argument) for argument in arguments], load=fake)


def read(path: Path) -> tuple[trimesh.Trimesh, dict]:
    (found,) = trimesh.load_scene(path, process=False).geometry.values()
    return found, json.loads(path.with_name(path.name + ".json").read_text())


def assert_is_the_sphere(found: trimesh.Trimesh, *, centre=CENTRE, radius=RADIUS, tolerance=0.01) -> None:
    assert found.is_watertight
    assert found.is_winding_consistent
    assert found.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=3 * tolerance)
    assert np.abs(found.center_mass - centre).max() < tolerance * radius
    assert np.abs(np.linalg.norm(found.vertices - centre, axis=1) / radius - 1).max() < tolerance
    assert (np.einsum("ij,ij->i", found.vertex_normals, found.vertices - centre) > 0).all()
