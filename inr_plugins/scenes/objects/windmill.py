"""Built-in object: a brick tower mill with lattice sails, a railed gallery, a door and windows cut into the wall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from inr_plugins.scenes.objects.catalogue import Part
from inr_plugins.scenes.solids import around, ball, box, hoop, lathe, prism, regular, rod, union
from inr_plugins.scenes.surface import Material
from inr_plugins.scenes.textures import Bricks, Plain, Stripes, Wood, rgb

if TYPE_CHECKING:
    from manifold3d import Manifold

_WHITE = Material(Plain(rgb("f2ece0")), roughness=0.45)
_BRICK = Bricks(rgb("b5583a"), rgb("d9cbb4"), course=0.085, around=26, mortar=0.013)

_WINDOWS = ((1.3, -15), (1.3, 95), (1.3, 215), (0.52, 25), (0.52, 155))
"""Height of the middle, and direction in degrees."""


def _wall_radius(z: float) -> float:
    return 0.62 - 0.135 * z


def _at_windows(solid: Manifold) -> Manifold:
    """Copies of a solid at every window; its origin on the wall's face, +x outward."""
    return union(solid.translate((_wall_radius(z), 0, z)).rotate((0, 0, turn)) for z, turn in _WINDOWS)


def _tower() -> Manifold:
    shell = lathe([(0, 0.1), (_wall_radius(0.1), 0.1), (_wall_radius(1.72), 1.72), (0, 1.72)], 64)
    door = box((0.26, 0.4, 0.4), (0, -0.56, 0.32)) + lathe([(0, -0.2), (0.13, -0.2), (0.13, 0.2), (0, 0.2)], 40).rotate(
        (90, 0, 0)
    ).translate((0, -0.56, 0.52))
    return shell - (door + _at_windows(box((0.3, 0.15, 0.22), (0, 0, 0))))


def _gallery() -> tuple[Manifold, Manifold]:
    deck = lathe([(0.4, 0.86), (0.76, 0.93), (0.76, 0.98), (0.4, 0.98)], 48)
    braces = around(rod((0.53, 0, 0.62), (0.72, 0, 0.94), 0.022), 12)
    posts = around(rod((0.72, 0, 0.95), (0.72, 0, 1.17), 0.012), 24)
    return deck + union(braces), union(posts) + hoop(0.72, 0.017, 1.17) + hoop(0.72, 0.009, 1.075)


def _sail() -> tuple[Manifold, Manifold]:
    """One sail along +x in the xz plane, and its cloth; the hub is at the origin."""
    spar = box((1.06, 0.04, 0.045), (0.53, 0, 0), 0.008)
    slats = [box((0.016, 0.02, 0.27), (x, 0, -0.135)) for x in np.linspace(0.3, 1.05, 11)]
    rails = [box((0.77, 0.02, 0.018), (0.675, 0, z)) for z in (-0.09, -0.18, -0.265)]
    cloth = box((0.75, 0.008, 0.085), (0.675, 0, -0.045))
    return union([spar, *slats, *rails]), cloth


def parts() -> list[Part]:
    """The parts, z up; the sails face -y."""
    deck, railing = _gallery()
    lath, cloth = _sail()

    def turned(solid: Manifold) -> Manifold:
        copies = [solid.rotate((0, 90 * i + 27, 0)) for i in range(4)]
        return union(copies).rotate((8, 0, 0)).translate((0, -0.66, 1.95))

    cap = lathe([(0, 1.7), (0.46, 1.7), (0.47, 1.76), (0.4, 1.95), (0.26, 2.12), (0.1, 2.22), (0, 2.24)], 64)
    axle = rod((0, -0.1, 2.02), (0, -0.74, 1.935), 0.05) + ball(0.085, (0, -0.73, 1.94))
    base = prism(regular(12, 0.98, 15), 0.0, 0.1, 0.95)
    door = box((0.25, 0.03, 0.5), (0, -0.43, 0.35))
    panes = _at_windows(box((0.12, 0.17, 0.24), (-0.14, 0, 0)))
    frames = _at_windows(
        union(
            [
                box((0.03, 0.02, 0.24), (-0.075, 0, 0)),
                box((0.03, 0.17, 0.02), (-0.075, 0, 0)),
                box((0.08, 0.19, 0.022), (-0.005, 0, -0.119)),
            ]
        )
    )
    steps = box((0.38, 0.2, 0.06), (0, -0.72, 0.13)) + box((0.34, 0.12, 0.12), (0, -0.65, 0.14))
    finial = rod((0, 0, 2.2), (0, 0, 2.38), 0.012) + ball(0.04, (0, 0, 2.38), 32)
    return [
        Part(_tower(), Material(_BRICK, roughness=0.75)),
        Part(panes, Material(Plain(rgb("1d3a4a")), roughness=0.12)),
        Part(door, Material(Wood(rgb("3f8f86"), rgb("1f5a58"), axis=2, spacing=0.05), roughness=0.5)),
        Part(deck, Material(Wood(rgb("c08a4e"), rgb("7a4a22")), roughness=0.6)),
        Part(railing + frames, _WHITE),
        Part(turned(lath), Material(Plain(rgb("8a5a2c")), roughness=0.55)),
        Part(turned(cloth), _WHITE),
        Part(cap, Material(Stripes(rgb("2e4a66"), rgb("3f668c"), along="angle", count=16), roughness=0.35)),
        Part(axle + finial, Material(Plain(rgb("d9a441")), roughness=0.3, metal=True)),
        Part(steps, Material(Plain(rgb("a8a39a"), mottle=0.2, period=0.4), roughness=0.8)),
        Part(base, Material(Plain(rgb("6f9a48"), mottle=0.35, period=0.45), roughness=0.9)),
    ]
