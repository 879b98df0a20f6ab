"""Built-in object: a striped espresso cup with saucer, spoon and sugar, in an open wire cage on a wooden board."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inr_plugins.scenes.objects.catalogue import Part
from inr_plugins.scenes.solids import ball, box, hoop, lathe, rod, tube, union
from inr_plugins.scenes.surface import Material
from inr_plugins.scenes.textures import Checker, Marble, Plain, Stripes, Wood, rgb

if TYPE_CHECKING:
    from manifold3d import Manifold

_STEEL = Material(Plain(rgb("c9ced3")), roughness=0.28, metal=True)
_GLAZE = Stripes(rgb("f5efe2"), rgb("1f5f8b"), along="angle", count=14, twist=0.35, duty=0.62)


def _cup() -> Manifold:
    """A bowl with a wall of 0.04 and a foot ring, standing on the saucer."""
    outside = [(0, 0.17), (0.2, 0.17), (0.22, 0.24), (0.3, 0.32), (0.38, 0.46), (0.425, 0.62), (0.44, 0.8)]
    inside = [(0.425, 0.815), (0.4, 0.8), (0.385, 0.62), (0.345, 0.48), (0.27, 0.36), (0.15, 0.3), (0, 0.29)]
    return lathe(outside + inside, 128)


def _handle() -> Manifold:
    t = np.linspace(0, 1, 40)
    angle = np.radians(115 - 235 * t)
    path = np.stack([0.46 + 0.19 * np.cos(angle), 0 * t, 0.56 + 0.17 * np.sin(angle)], axis=-1)
    return tube(path, 0.036, sides=24)


def _cage() -> Manifold:
    """Two families of helices that cross, between three hoops, with a domed top of arches."""
    t = np.linspace(0, 1, 60)
    wires: list[Manifold] = []
    for sense in (1, -1):
        for k in range(9):
            angle = 2 * np.pi * (k / 9 + sense * 0.22 * t)
            path = np.stack([0.86 * np.cos(angle), 0.86 * np.sin(angle), 0.12 + 0.96 * t], axis=-1)
            wires.append(tube(path, 0.013, sides=10))
    for k in range(3):
        arc = np.pi * t
        arch = np.stack([0.86 * np.cos(arc), 0 * t, 1.08 + 0.42 * np.sin(arc)], axis=-1)
        wires.append(tube(arch, 0.013, sides=10).rotate((0, 0, 60.0 * k + 15)))
    return union(wires) + hoop(0.86, 0.022, 0.14) + hoop(0.86, 0.022, 1.08) + ball(0.06, (0, 0, 1.52), 40)


def _spoon() -> Manifold:
    bowl = ball(0.1, (0, 0, 0)).scale((1.45, 0.95, 0.5)) - ball(0.1, (0, 0, 0.03)).scale((1.4, 0.9, 0.55))
    t = np.linspace(0, 1, 24)
    stem = tube(np.stack([0.12 + 0.52 * t, 0 * t, 0.005 + 0.1 * np.sin(2.6 * t)], axis=-1), 0.016, sides=12)
    tip = ball(0.03, (0.64, 0, 0.055), 24).scale((1.0, 1.0, 1.0))
    return (bowl + stem + tip).rotate((0, 0, 62)).translate((0.3, -0.52, 0.215))


def parts() -> list[Part]:
    """The parts, z up; the handle points to +x."""
    board = box((1.9, 1.9, 0.12), (0, 0, 0.06), 0.03)
    saucer = lathe(
        [(0, 0.13), (0.3, 0.13), (0.34, 0.15), (0.68, 0.235), (0.7, 0.25), (0.67, 0.255), (0.33, 0.185), (0, 0.18)], 128
    ) + lathe([(0, 0.1), (0.3, 0.1), (0.3, 0.16), (0, 0.16)])
    coffee = lathe([(0, 0.26), (0.2, 0.3), (0.285, 0.36), (0.36, 0.48), (0.405, 0.62), (0.415, 0.7), (0, 0.7)], 128)
    sugar = box((0.13, 0.13, 0.13), (0, 0, 0), 0.012).rotate((0, 0, 25)).translate((-0.5, -0.2, 0.27))
    second = box((0.13, 0.13, 0.13), (0, 0, 0), 0.012).rotate((8, 20, -15)).translate((-0.45, 0.15, 0.275))
    posts = union([rod((x, y, 0), (x, y, -0.06), 0.06) for x in (-0.8, 0.8) for y in (-0.8, 0.8)])
    crema = Marble(rgb("5a2c10"), rgb("c98a45"), spacing=0.22, bend=0.7, sharpness=2.0, direction=(0.8, 0.6, 0.0))
    return [
        Part(_cup(), Material(_GLAZE, roughness=0.22)),
        Part(_handle() - lathe([(0, 0.3), (0.3, 0.3), (0.4, 0.9), (0, 0.9)]), Material(Plain(rgb("1f5f8b")), 0.22)),
        Part(coffee, Material(crema, roughness=0.2)),
        Part(saucer, Material(Stripes(rgb("f5efe2"), rgb("d8552f"), along="z", size=0.4, start=0.23), roughness=0.22)),
        Part(_spoon(), _STEEL),
        Part(sugar + second, Material(Plain(rgb("fbf7ee"), mottle=0.08, period=0.2), roughness=0.85)),
        Part(_cage(), _STEEL),
        Part(board, Material(Wood(rgb("c98f55"), rgb("7f4b22"), spacing=0.11), roughness=0.5)),
        Part(posts, Material(Checker(rgb("2b2b2b"), rgb("2b2b2b"), 0.2), roughness=0.7)),
    ]
