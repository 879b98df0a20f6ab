"""Built-in object: a marble trefoil knot on a stepped plinth with a fluted collar."""

from __future__ import annotations

import numpy as np

from inr_plugins.scenes.objects.catalogue import Part
from inr_plugins.scenes.solids import around, box, hoop, lathe, prism, regular, rod, tube, union
from inr_plugins.scenes.surface import Material
from inr_plugins.scenes.textures import Checker, Marble, Plain, Stripes, rgb

_BRASS = Material(Plain(rgb("d9a441")), roughness=0.3, metal=True)


def parts() -> list[Part]:
    """The parts, z up; about 2.6 units tall."""
    t = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    ring = 0.62 + 0.27 * np.cos(3 * t)
    # The knot stands on edge: its own axis is y.
    path = np.stack([ring * np.cos(2 * t), 0.27 * np.sin(3 * t), ring * np.sin(2 * t) + 1.72], axis=-1)
    knot = tube(path, 0.155, sides=40, closed=True)

    flutes = union(around(rod((0.38, 0, 0.4), (0.38, 0, 0.74), 0.045), 20))
    column = lathe([(0, 0.42), (0.37, 0.42), (0.37, 0.72), (0, 0.72)]) - flutes
    cap = lathe([(0, 0.71), (0.34, 0.71), (0.47, 0.79), (0.47, 0.86), (0, 0.86)])
    steps = box((1.5, 1.5, 0.18), (0, 0, 0.09), 0.02) + box((1.2, 1.2, 0.16), (0, 0, 0.24), 0.02)
    steps = steps + prism(regular(8, 0.56, 22.5), 0.3, 0.45)
    corners = union(
        [
            rod((x, y, 0.17), (x, y, 0.52), 0.018) + box((0.08, 0.08, 0.08), (x, y, 0.54), 0.02)
            for x in (-0.66, 0.66)
            for y in (-0.66, 0.66)
        ]
    )
    chain = union(
        [
            rod((-0.66, y, z), (0.66, y, z), 0.009) + rod((y, -0.66, z), (y, 0.66, z), 0.009)
            for y in (-0.66, 0.66)
            for z in (0.34, 0.46)
        ]
    )
    marble = Marble(rgb("14606e"), rgb("f6dfa8"), spacing=0.24, bend=0.6, sharpness=5.0)
    return [
        Part(knot, Material(marble, roughness=0.28)),
        Part(column, Material(Plain(rgb("efe6d6"), mottle=0.12, period=0.8), roughness=0.6)),
        Part(cap, Material(Stripes(rgb("2f5d8a"), rgb("f0e7d2"), along="angle", count=24), roughness=0.4)),
        Part(steps, Material(Checker(rgb("27313b"), rgb("e6ded0"), 0.15, (0.075, 0.075, 0.05)), roughness=0.35)),
        Part(corners + chain + hoop(0.45, 0.02, 0.88), _BRASS),
    ]
