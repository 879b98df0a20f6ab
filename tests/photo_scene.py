"""Photographs of a made scene whose poses are known: a few blocks on a speckled floor, that COLMAP can hold on to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from inr_plugins.geometry.cameras import look_at
from inr_plugins.geometry.frames import Similarity
from inr_plugins.scenes.light import LightOptions
from inr_plugins.scenes.render import Picture, SceneRenderer
from inr_plugins.scenes.surface import Material, SceneMesh, with_normals
from inr_plugins.scenes.textures import SurfacePoints, noise

_BLOCKS = (
    ((7.0, 7.0, 0.1), (0.0, 0.0, -0.05)),
    ((0.9, 0.7, 0.8), (0.1, 0.2, 0.4)),
    ((0.5, 0.5, 1.3), (-0.8, -0.3, 0.65)),
    ((0.7, 0.4, 0.3), (0.7, -0.8, 0.15)),
    ((0.4, 0.9, 0.5), (0.9, 0.9, 0.25)),
)
"""Sizes and middles."""


def speckled(surface: SurfacePoints) -> np.ndarray:
    """Noise of several periods that have no common multiple within the scene, so that no two places look alike."""
    channels = []
    for shift, periods in enumerate(((5.3, 2.1, 0.83), (6.1, 1.7, 0.71), (7.7, 2.9, 0.61))):
        layers = [noise(surface.position + np.float32(1.3 * shift), period) for period in periods]
        channels.append(0.3 * layers[0] + 0.35 * layers[1] + 0.35 * layers[2])
    return np.clip(np.stack(channels, axis=-1) ** 2, 0, 1).astype(np.float32)


def renderer() -> SceneRenderer:
    """The scene, z up, about 7 wide."""
    import trimesh

    blocks = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in _BLOCKS]
    mesh = trimesh.util.concatenate(blocks)
    material = Material(speckled, roughness=1.0, reflectance=0.0)
    scene = SceneMesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), np.zeros(len(mesh.faces), int), (material,))
    light = LightOptions(shadows=False)
    return SceneRenderer(with_normals(scene, 1.0), to_dataset=Similarity.identity(), light=light, object_radius=4.0)


def around(count: int, *, degrees: float = 360.0, radius: float = 4.0) -> np.ndarray:
    """Camera-to-world poses with OpenGL's axes on an arc about the scene, at two heights by turns."""
    turn = np.radians(degrees) * np.arange(count) / count
    height = np.where(np.arange(count) % 2, 1.9, 2.7)
    flat = np.sqrt(radius**2 - height**2)
    return look_at(np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=-1), np.array([0.0, 0.0, 0.3]))


def photograph(poses: np.ndarray, *, size: tuple[int, int], focal: float, samples: int = 2) -> list[np.ndarray]:
    """Pictures (h, w, 3) from poses."""
    scene, picture = renderer(), Picture(*size, focal, samples)
    found = []
    for pose in poses:
        rgba = scene.render(pose, picture).rgba.astype(np.float32)
        alpha = rgba[..., 3:] / 255
        found.append(np.round(rgba[..., :3] * alpha + 200 * (1 - alpha)).astype(np.uint8))
    return found


def write_photos(folder: Path, pictures: list[np.ndarray]) -> list[str]:
    """Write pictures as photo_00.png and so on; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"photo_{number:02d}.png" for number in range(len(pictures))]
    for name, pixels in zip(names, pictures, strict=True):
        Image.fromarray(pixels).save(folder / name, compress_level=1)
    return names


def errors(found: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles in degrees, and distances, between poses and true ones, after the best similarity of their positions.

    The similarity is Umeyama's (1991), in closed form.
    """
    places, true_places = found[:, :3, 3], truth[:, :3, 3]
    middle, true_middle = places.mean(axis=0), true_places.mean(axis=0)
    covariance = (true_places - true_middle).T @ (places - middle) / len(places)
    left, values, right = np.linalg.svd(covariance)
    signs = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ signs @ right
    scale = (values * np.diag(signs)).sum() / ((places - middle) ** 2).sum(axis=1).mean()
    moved = scale * (places - middle) @ rotation.T + true_middle
    turned = rotation @ found[:, :3, :3]
    cosine = (np.einsum("nij,nij->n", turned, truth[:, :3, :3]) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.linalg.norm(moved - true_places, axis=1)
