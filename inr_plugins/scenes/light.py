"""Light and reflection, in linear RGB: a soft key light, a sky that fills the shadows, and GGX gloss.

The key light is a disc at infinity, so that its shadows have a penumbra that widens with distance. Everything here is
per point and knows nothing about rays; what is visible from a point comes in as numbers in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_SKY = np.array([0.98, 1.02, 1.08], dtype=np.float32)
_HORIZON = np.array([0.72, 0.70, 0.68], dtype=np.float32)
_GROUND = np.array([0.40, 0.36, 0.33], dtype=np.float32)
_KEY_TINT = np.array([1.06, 1.0, 0.92], dtype=np.float32)
_SHOULDER = 0.75


@dataclass(frozen=True)
class LightOptions:
    """The light of a made scene."""

    azimuth: float = -50.0
    """Where the key light comes from, degrees about the up axis from +x towards +y."""
    elevation: float = 50.0
    """Height of the key light above the horizon, degrees."""
    size: float = 10.0
    """Apparent diameter of the key light, degrees: 0 gives hard shadows, 30 very soft ones."""
    key: float = 1.0
    """Strength of the key light."""
    fill: float = 0.5
    """Strength of the light from the sky and the ground."""
    gloss: float = 1.0
    """Strength of reflections; 0 makes every surface matt, so that colour does not depend on the view."""
    shadows: bool = True
    """Cast shadows, from the key light and as darkening of corners."""

    def direction(self) -> Float[np.ndarray, " 3"]:
        """Unit vector from the scene to the centre of the key light."""
        azimuth, elevation = np.radians(self.azimuth), np.radians(self.elevation)
        flat = np.cos(elevation)
        return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], dtype=np.float32)


def basis(axis: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Two unit vectors across each unit `axis`, without a branch (Duff et al., JCGT 2017, listing 3)."""
    x, y, z = axis.T
    sign = np.where(z >= 0, 1.0, -1.0).astype(axis.dtype)
    a = -1.0 / (sign + z)
    b = x * y * a
    first = np.stack([1.0 + sign * x * x * a, sign * b, -sign * x], axis=-1)
    second = np.stack([b, sign + y * y * a, -y], axis=-1)
    return first, second


def towards_key(options: LightOptions, square: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    """Directions (not normalised) to points of the light's disc, uniform in area, from points of the unit square."""
    centre = options.direction()[None]
    first, second = basis(centre)
    radius = np.tan(np.radians(options.size / 2)) * np.sqrt(square[:, :1])
    angle = 2 * np.pi * square[:, 1:]
    return (centre + radius * np.cos(angle) * first + radius * np.sin(angle) * second).astype(np.float32)


def cosine_hemisphere(normal: Float[np.ndarray, "n 3"], square: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    """Unit directions about `normal` with density proportional to the cosine, from points of the unit square."""
    first, second = basis(normal)
    radius = np.sqrt(square[:, :1])
    angle = 2 * np.pi * square[:, 1:]
    up = np.sqrt(np.maximum(1 - square[:, :1], 0))
    return (radius * np.cos(angle) * first + radius * np.sin(angle) * second + up * normal).astype(np.float32)


def sky_irradiance(normal: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Light of the whole surroundings on an unoccluded facet, divided by pi: ground below, sky above."""
    up = 0.5 + 0.5 * normal[:, 2:]
    return (1 - up) * (0.6 * _GROUND + 0.4 * _HORIZON) + up * (0.75 * _SKY + 0.25 * _HORIZON)


def sky_radiance(direction: Float[np.ndarray, "n 3"], roughness: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """What a mirror of that roughness sees in unit `direction`: ground, horizon, sky and two soft boxes."""
    height = direction[:, 2]
    width = 0.12 + roughness
    above = np.clip(0.5 + height / (2 * width), 0, 1)[:, None]
    zenith = np.clip(height, 0, 1)[:, None]
    out = (1 - above) * _GROUND + above * (_HORIZON + zenith * (_SKY - _HORIZON))
    sharpness = 1 / (0.04 + roughness**2)
    for box, strength in (((-0.75, 0.45, 0.48), 1.6), ((0.1, 0.9, 0.35), 0.9)):
        away = 1 - direction @ np.asarray(box, np.float32)
        # The lobe keeps its total light while roughness widens it.
        out = out + (strength * np.minimum(sharpness / 12, 1) * np.exp(-np.maximum(away, 0) * sharpness))[:, None]
    return out.astype(np.float32)


@dataclass(frozen=True)
class Facets:
    """Shading points: unit normal and unit direction to the eye, linear albedo, and the material's numbers."""

    normal: Float[np.ndarray, "n 3"]
    to_eye: Float[np.ndarray, "n 3"]
    albedo: Float[np.ndarray, "n 3"]
    roughness: Float[np.ndarray, " n"]
    reflectance: Float[np.ndarray, " n"]
    metal: Float[np.ndarray, " n"]


def shade(
    facets: Facets, options: LightOptions, *, key_visible: Float[np.ndarray, " n"], open_sky: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """Linear RGB radiance towards the eye.

    Lambert's law plus, times `options.gloss`, a GGX lobe for the key light (Walter et al. 2007, with Schlick's Fresnel
    and the height-correlated Smith term) and a reflection of the surroundings.

    Args:
        facets: the points.
        options: the light.
        key_visible: share of the key light that is seen from each point.
        open_sky: share of the surroundings that is seen, weighted by the cosine.
    """
    light = options.direction()
    facing = np.maximum(facets.normal @ light, 0)
    key = (options.key * facing * key_visible)[:, None] * _KEY_TINT
    fill = options.fill * open_sky[:, None] * sky_irradiance(facets.normal)
    metal = facets.metal[:, None]
    colour = facets.albedo * (1 - metal if options.gloss > 0 else 1.0) * (key + fill)
    if options.gloss == 0:
        return colour

    mirror = metal * facets.albedo + (1 - metal) * facets.reflectance[:, None]
    cosine = np.einsum("ij,ij->i", facets.normal, facets.to_eye)
    at_eye = np.clip(cosine, 1e-3, 1)
    lobe = _ggx(facets, light, facing, at_eye, np.radians(options.size / 2))
    bounced = 2 * cosine[:, None] * facets.normal - facets.to_eye
    grazing = ((1 - at_eye) ** 5 * (1 - facets.roughness))[:, None]
    surroundings = options.fill * 2 * open_sky[:, None] * sky_radiance(bounced, facets.roughness)
    return colour + options.gloss * (
        (np.pi * lobe[:, None]) * mirror * key + (mirror + (1 - mirror) * grazing) * surroundings
    )


def _ggx(
    facets: Facets, light: Float[np.ndarray, " 3"], at_light: np.ndarray, at_eye: np.ndarray, light_radius: float
) -> Float[np.ndarray, " n"]:
    """D G / (4 n.l n.v), without the Fresnel factor; the lobe is widened by the light's own radius."""
    alpha = np.clip(facets.roughness**2 + 0.5 * light_radius, 1e-3, 1)
    half = facets.to_eye + light
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    cosine = np.clip(np.einsum("ij,ij->i", facets.normal, half), 0, 1)
    square = alpha**2
    spread = alpha**2 / (np.pi * (cosine**2 * (square - 1) + 1) ** 2)
    masking = at_light * np.sqrt(at_eye**2 * (1 - square) + square) + at_eye * np.sqrt(
        at_light**2 * (1 - square) + square
    )
    return spread * 0.5 / np.maximum(masking, 1e-4)


def tone(radiance: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Linear radiance with its highlights rolled off smoothly into [0, 1): identity up to 0.75."""
    room = 1 - _SHOULDER
    return np.where(radiance <= _SHOULDER, radiance, 1 - room * np.exp(-(radiance - _SHOULDER) / room))
