"""A category of shapes of our own, to learn a dictionary from: vases, no two alike, as watertight PLY files.

.venv/bin/python scripts/make_vases.py FOLDER [--count 60] [--seed 0]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import trimesh
from scipy.interpolate import PchipInterpolator

RINGS, SPOKES = 160, 192


def vase(random: np.random.Generator) -> trimesh.Trimesh:
    """A solid vase that stands on z = 0: a smooth profile, lobes that wind around it, flat ends."""
    height, lobes = random.uniform(1.2, 2.0), random.integers(3, 9)
    depth, twist = random.uniform(0.0, 0.14), random.uniform(-2.0, 2.0)
    marks = np.array([0.0, 0.12, 0.35, 0.6, 0.8, 0.93, 1.0])
    belly, neck = random.uniform(0.4, 0.62), random.uniform(0.14, 0.3)
    radii = np.array([0.75, 0.95, 1.0, random.uniform(0.7, 1.0), 0.0, 0.0, 0.0]) * belly
    radii[4:] = neck, neck * random.uniform(0.9, 1.2), neck * random.uniform(1.2, 1.8)
    at, angle = np.linspace(0, 1, RINGS), np.linspace(0, 2 * np.pi, SPOKES, endpoint=False)
    # Lobes fade towards both ends.
    swell = 1 + depth * np.sin(np.pi * at)[:, None] * np.cos(lobes * angle + lobes * twist * at[:, None])
    radius = PchipInterpolator(marks, radii)(at)[:, None] * swell
    z = np.broadcast_to((height * at)[:, None], radius.shape)
    wall = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1).reshape(-1, 3)
    ends = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, height]])
    number = np.arange(RINGS * SPOKES).reshape(RINGS, SPOKES)
    after = np.roll(number, -1, axis=1)
    a, b, c, d = number[:-1], after[:-1], number[1:], after[1:]
    faces = [np.stack(each, axis=-1).reshape(-1, 3) for each in ((a, b, d), (a, d, c))]
    bottom, top = np.full(SPOKES, len(wall)), np.full(SPOKES, len(wall) + 1)
    faces += [np.stack([bottom, after[0], number[0]], axis=-1), np.stack([top, number[-1], after[-1]], axis=-1)]
    return trimesh.Trimesh(np.concatenate([wall, ends]), np.concatenate(faces), process=False)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--count", type=int, default=60, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random in them")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(options.seed)
    for number in range(options.count):
        vase(random).export(options.folder / f"vase_{number:03d}.ply")


if __name__ == "__main__":
    main()
