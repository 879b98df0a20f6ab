"""Shares of a spectrum, against signals whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest

from inr_plugins.analysis.band_shares import band_shares


@pytest.mark.parametrize(("cycles", "band"), [(1, 0), (7, 0), (9, 1), (15, 1), (17, 2), (25, 3), (32, 3)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_wave_is_in_the_band_of_its_frequency(cycles, band, axis):
    wave = 0.5 + 0.4 * np.cos(2 * np.pi * cycles * np.arange(64) / 64)
    image = np.broadcast_to(wave[:, None] if axis == 0 else wave[None], (64, 64))
    assert band_shares(image[..., None])[band] == pytest.approx(1)


def test_a_slanted_wave_is_in_the_band_of_its_larger_part():
    row, column = np.meshgrid(np.arange(64), np.arange(64), indexing="ij")
    wave = np.cos(2 * np.pi * (3 * row + 20 * column) / 64)
    assert band_shares(wave[..., None])[2] == pytest.approx(1)


@pytest.mark.parametrize(("axes", "shares"), [(1, [1, 1, 1, 1]), (2, [1, 3, 5, 7]), (3, [1, 7, 19, 37])])
def test_noise_fills_bands_by_their_size(axes, shares):
    side = {1: 40_000, 2: 200, 3: 120}[axes]
    noise = np.random.default_rng(0).normal(size=(*[side] * axes, 2))
    assert band_shares(noise) == pytest.approx(np.array(shares) / sum(shares), abs=0.02)


def test_two_waves_share_by_their_magnitudes_and_the_mean_does_not_count():
    at = 2 * np.pi * np.arange(64) / 64
    signal = 7 + 3 * np.cos(2 * at) + np.cos(30 * at)
    assert band_shares(signal[:, None]) == pytest.approx([0.75, 0, 0, 0.25])
    assert band_shares(np.ones((8, 8, 3))) == [0, 0, 0, 0]
