"""Light and textures, each against an integral or a definition."""

from __future__ import annotations

import numpy as np
import pytest

from inr_plugins.geometry.srgb import linear_from_srgb, srgb_from_linear
from inr_plugins.scenes.light import Facets, LightOptions, cosine_hemisphere, shade, tone, towards_key
from inr_plugins.scenes.render import _lattice
from inr_plugins.scenes.textures import (
    Bricks,
    Checker,
    Marble,
    Plain,
    Stripes,
    SurfacePoints,
    Wood,
    noise,
    rgb,
)


def at(position: np.ndarray) -> SurfacePoints:
    position = np.asarray(position, dtype=np.float32)
    return SurfacePoints(position, np.zeros(len(position), dtype=np.int64), np.zeros_like(position))


def directions(count: int, seed: int = 0) -> np.ndarray:
    out = np.random.default_rng(seed).normal(size=(count, 3))
    return (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("normal", [[0, 0, 1], [0, 0, -1], [0.6, -0.48, 0.64], [1, 0, 0]])
def test_cosine_samples_have_the_moments_of_the_cosine_density(normal: list[float]):
    axis = np.tile(np.array([normal], dtype=np.float32), (4096, 1))
    sampled = cosine_hemisphere(axis, _lattice(4096).astype(np.float32))
    assert np.allclose(np.linalg.norm(sampled, axis=1), 1, atol=1e-5)
    cosine = sampled @ axis[0]
    assert cosine.mean() == pytest.approx(2 / 3, abs=2e-3)
    assert (cosine**2).mean() == pytest.approx(1 / 2, abs=2e-3)
    assert np.allclose(sampled.mean(0), 2 / 3 * axis[0], atol=3e-3)


def test_light_samples_fill_the_disc_evenly():
    light = LightOptions(size=30.0, azimuth=20.0, elevation=35.0)
    sampled = towards_key(light, _lattice(4096).astype(np.float32))
    sampled /= np.linalg.norm(sampled, axis=1, keepdims=True)
    angle = np.degrees(np.arccos(sampled @ light.direction()))
    assert angle.max() == pytest.approx(15, abs=0.1)
    # Even in area: a disc of half the tangent holds a quarter of the samples.
    assert (np.tan(np.radians(angle)) < 0.5 * np.tan(np.radians(15))).mean() == pytest.approx(0.25, abs=2e-3)


@pytest.mark.parametrize("count", [1, 4, 9, 27, 64])
def test_the_lattice_is_stratified_in_both_coordinates(count: int):
    points = _lattice(count)
    expected = (np.arange(count) + 0.5) / count
    assert np.allclose(np.sort(points[:, 0]), expected)
    assert np.allclose(np.sort(points[:, 1]), expected)


@pytest.mark.parametrize("roughness", [0.3, 0.6, 1.0])
def test_a_white_metal_reflects_no_more_light_than_it_gets(roughness: float):
    """Integrate the lobe over eye directions, for a light at 40 degrees: the albedo must be at most 1."""
    count = 200_000
    eye = directions(count)
    eye[:, 2] = np.abs(eye[:, 2])
    facets = Facets(
        normal=np.tile(np.array([[0, 0, 1]], dtype=np.float32), (count, 1)),
        to_eye=eye,
        albedo=np.ones((count, 3), dtype=np.float32),
        roughness=np.full(count, roughness, dtype=np.float32),
        reflectance=np.zeros(count, dtype=np.float32),
        metal=np.ones(count, dtype=np.float32),
    )
    light = LightOptions(fill=0, size=0, elevation=50.0)
    ones = np.ones(count, dtype=np.float32)
    radiance = shade(facets, light, key_visible=ones, open_sky=ones)[:, 1]
    irradiance = np.pi * light.key * np.sin(np.radians(50))  # the key's strength is irradiance / pi
    reflected = (radiance * eye[:, 2]).mean() * 2 * np.pi  # uniform over the hemisphere
    assert 0.3 < reflected / irradiance <= 1.01
    if roughness == 1:  # D = 1 / pi and G / (4 n.l n.v) = 1 / (2 (n.l + n.v)), which integrates by hand
        cosine = np.sin(np.radians(50))
        assert reflected / irradiance == pytest.approx(1 - cosine * np.log((1 + cosine) / cosine), rel=0.01)


def test_shading_is_reciprocal_where_it_should_be():
    """Swapping eye and light leaves radiance / cosine of the light unchanged (Helmholtz)."""
    light = LightOptions(fill=0, size=0, azimuth=10.0, elevation=30.0)
    other = LightOptions(fill=0, size=0, azimuth=80.0, elevation=65.0)
    normal = np.array([[0, 0, 1]], dtype=np.float32)
    one = np.ones(1, dtype=np.float32)

    def ratio(lamp: LightOptions, eye: np.ndarray) -> float:
        facets = Facets(normal, eye[None], np.full((1, 3), 0.5, np.float32), 0.4 * one, 0.04 * one, one)
        return float(shade(facets, lamp, key_visible=one, open_sky=one)[0, 1] / lamp.direction()[2])

    assert ratio(light, other.direction()) == pytest.approx(ratio(other, light.direction()), rel=1e-5)


def test_tone_is_the_identity_below_the_shoulder_smooth_at_it_and_below_one():
    x = np.linspace(0, 5, 5001)[:, None] * np.ones((1, 3))
    y = tone(x)
    assert np.array_equal(y[x <= 0.75], x[x <= 0.75])
    assert (np.diff(y[:, 0]) >= 0).all()
    assert y.max() <= 1
    slope = np.diff(y[:, 0]) / 1e-3
    assert np.abs(np.diff(slope)).max() < 0.01


def test_display_values_round_trip():
    x = np.linspace(0, 1, 256, dtype=np.float32)
    assert np.allclose(srgb_from_linear(linear_from_srgb(x)), x, atol=1e-5)
    assert linear_from_srgb(np.array(0.5)) == pytest.approx(0.21404, abs=1e-4)
    assert rgb("ff8000")[1] == pytest.approx(0.2158, abs=1e-3)


RED, BLUE = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)


def test_a_checker_changes_colour_across_each_face_of_a_cell():
    checker = Checker(RED, BLUE, 0.5, (0.0, 0.0, 0.0))
    inside = np.array([[0.1, 0.1, 0.1], [0.6, 0.1, 0.1], [0.1, 0.6, 0.1], [0.6, 0.6, 0.1], [-0.1, 0.1, 0.1]])
    assert np.allclose(checker(at(inside)), [RED, BLUE, BLUE, RED, BLUE])


def test_stripes_take_the_share_they_were_given():
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 3))
    for stripes in (Stripes(RED, BLUE, size=0.3, duty=0.7), Stripes(RED, BLUE, along="angle", count=9, duty=0.7)):
        red = (stripes(at(points))[:, 0] > 0.5).mean()
        assert red == pytest.approx(0.7, abs=0.02)


def test_bricks_lie_in_bond_with_joints_of_the_right_width():
    bricks = Bricks((0.5, 0.2, 0.1), (0.9, 0.9, 0.9), course=0.1, around=20, mortar=0.02, variation=0.0)
    angle = np.linspace(-np.pi, np.pi, 20_000, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle), np.full_like(angle, 0.06)], -1)
    joint = bricks(at(ring))[:, 2] > 0.8
    assert joint.mean() == pytest.approx(20 * 0.02 / (2 * np.pi), rel=0.05)
    above = bricks(at(ring + np.array([0, 0, 0.1])))[:, 2] > 0.8
    assert not (joint & above).any()


@pytest.mark.parametrize(
    "texture", [Plain(RED, mottle=0.3), Marble(RED, BLUE), Wood(RED, BLUE), Bricks(RED, BLUE, 0.1, 12, 0.01)]
)
def test_textures_are_functions_of_the_point_and_stay_in_range(texture):
    points = np.random.default_rng(1).uniform(-2, 2, (500, 3))
    colours = texture(at(points))
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert colours.std(0).max() > 0.01
    assert np.array_equal(texture(at(points[100:200])), colours[100:200])


def test_noise_is_uniform_periodic_and_continuous():
    points = np.random.default_rng(2).uniform(-3, 3, (20_000, 3)).astype(np.float32)
    values = noise(points, 1.5)
    assert 0 <= values.min() <= values.max() <= 1
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert np.allclose(noise(points + np.float32([1.5, -3.0, 4.5]), 1.5), values, atol=1e-3)
    assert np.abs(noise(points + np.float32(1e-4), 1.5) - values).max() < 0.02
