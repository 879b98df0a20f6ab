"""The rank of an image's attributes, against numpy's own decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from inr_plugins.analysis.attribute_rank import attribute_rank


def mixtures(parts: int, channels: int, *, bits: int) -> np.ndarray:
    """Channels that are mixtures of so many independent ones, rounded to bits."""
    rng = np.random.default_rng(3)
    own = rng.random((5000, parts))
    weights = rng.random((parts, channels))
    mixed = own @ (weights / weights.sum(0)) if parts else np.full((5000, channels), 0.3)
    most = 2**bits - 1
    return np.rint(mixed * most) / most


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("parts", "channels"), [(0, 3), (1, 3), (2, 3), (3, 3), (2, 6), (3, 7)])
def test_mixtures_of_so_many_channels_have_that_rank_in_spite_of_rounding(parts, channels, bits):
    assert attribute_rank(mixtures(parts, channels, bits=bits), bits=bits).rank == parts


def test_a_direction_below_what_rounding_leaves_does_not_count():
    rng = np.random.default_rng(0)
    step = 1 / 255
    values = np.stack([rng.random(5000), rng.normal(0.5, 0.5 * step, 5000), rng.normal(0.5, 2 * step, 5000)], -1)
    assert attribute_rank(values, bits=8).rank == 2


def test_the_best_affine_maps_are_those_of_the_singular_value_decomposition():
    rng = np.random.default_rng(1)
    values = rng.random((400, 3)) @ rng.random((3, 3)) / 3 + 0.1
    found = attribute_rank(values, bits=8)
    mean = values.mean(0)
    u, s, v = np.linalg.svd(values - mean, full_matrices=False)
    for k in range(3):
        rebuilt = mean + (u[:, :k] * s[:k]) @ v[:k]
        assert found.psnr[k] == pytest.approx(-10 * np.log10(np.square(rebuilt - values).mean()))
    assert found.psnr[3] == 120
    assert found.singular == pytest.approx(s / 20)
    assert found.shares == pytest.approx(s**2 / (s**2).sum())


def test_one_colour_has_no_direction():
    found = attribute_rank(np.full((9, 3), 0.5), bits=8)
    assert (found.rank, found.shares, found.psnr[0]) == (0, [0, 0, 0], 120)
