"""Built-in object: a hexagonal brass lantern with thin bars, a candle inside and a pierced roof, on a tiled stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inr_plugins.scenes.objects.catalogue import Part
from inr_plugins.scenes.solids import around, ball, box, hoop, lathe, prism, regular, rod, tube, union
from inr_plugins.scenes.surface import Material
from inr_plugins.scenes.textures import Checker, Plain, Stripes, rgb

if TYPE_CHECKING:
    from manifold3d import Manifold

_BRASS = Material(Plain(rgb("dba94c"), mottle=0.04, period=0.9), roughness=0.32, metal=True)
_IRON = Material(Plain(rgb("31404a")), roughness=0.3, reflectance=0.06)


def _roof() -> Manifold:
    """A hollow six-sided roof; slots through its faces open onto the inside."""
    outer = prism(regular(6, 0.74), 1.38, 1.82, 0.28)
    inner = prism(regular(6, 0.68), 1.3, 1.76, 0.28)
    slots = [box((0.3, 0.05, 0.24), (0.44, y, 1.57)) for y in (-0.13, 0.0, 0.13)]
    return outer - inner - union(around(union(slots), 6, 30))


def _bars() -> Manifold:
    """Corner posts, and a diagonal lattice in each of the six windows."""
    posts = around(box((0.06, 0.06, 1.12), (0.6, 0, 0.84), 0.01), 6)
    half, face = 0.29, 0.6 * np.cos(np.pi / 6)
    low, high = 0.32, 1.36
    lattice = [
        rod((face, -half, low), (face, half, (low + high) / 2), 0.011),
        rod((face, -half, (low + high) / 2), (face, half, high), 0.011),
        rod((face, half, low), (face, -half, (low + high) / 2), 0.011),
        rod((face, half, (low + high) / 2), (face, -half, high), 0.011),
    ]
    return union(posts) + union(around(union(lattice), 6, 30))


def parts() -> list[Part]:
    """The parts, z up; about 2.4 units tall."""
    stand = prism(regular(6, 0.92), 0.0, 0.13) + prism(regular(6, 0.82), 0.13, 0.2, 0.95)
    tray = prism(regular(6, 0.74), 0.2, 0.34, 0.92) - prism(regular(6, 0.5), 0.29, 0.5)
    collar = prism(regular(6, 0.7), 1.33, 1.39, 1.06) - prism(regular(6, 0.54), 1.2, 1.5)
    chimney = lathe([(0, 1.78), (0.15, 1.78), (0.15, 1.94), (0.22, 1.97), (0.12, 2.07), (0.04, 2.1), (0, 2.1)])
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    handle = tube(np.stack([0.2 * np.cos(turn), 0 * turn, 2.27 + 0.2 * np.sin(turn)], -1), 0.028, closed=True)
    feet = union(around(ball(0.075, (0.74, 0, -0.02)), 6))

    melt = [(0, 0.26), (0.2, 0.26), (0.2, 0.92), (0.17, 0.94), (0.1, 0.9), (0, 0.89)]
    drips = union(
        [
            rod((0.195, 0, 0.9), (0.2, 0, bottom), 0.028).rotate((0, 0, angle))
            + ball(0.034, (0.2, 0, bottom), 24).rotate((0, 0, angle))
            for angle, bottom in ((10, 0.62), (75, 0.74), (130, 0.5), (205, 0.68), (290, 0.57))
        ]
    )
    wick = rod((0, 0, 0.85), (0.015, 0, 0.99), 0.012)
    flame = lathe([(0, 0.96), (0.05, 1.0), (0.062, 1.05), (0.045, 1.12), (0.018, 1.2), (0, 1.25)], 40)
    rings = hoop(0.205, 0.022, 0.36) + hoop(0.16, 0.018, 1.86)
    return [
        Part(stand, Material(Checker(rgb("0f6a6e"), rgb("f3e5c8"), 0.115, (0.02, 0.02, 0.014)), roughness=0.25)),
        Part(tray + collar + feet + rings, _BRASS),
        Part(_bars(), _BRASS),
        Part(_roof(), _IRON),
        Part(chimney, Material(Stripes(rgb("c43b2c"), rgb("31404a"), along="angle", count=12), roughness=0.3)),
        Part(handle, _BRASS),
        Part(lathe(melt) + drips, Material(Plain(rgb("f6ead0")), roughness=0.45)),
        Part(wick, Material(Plain(rgb("2a2522")), roughness=0.9)),
        Part(flame, Material(Plain(rgb("ff9a1f")), roughness=0.5)),
    ]
