"""The level of a density that splits empty from solid."""

import numpy as np
import pytest

from inr_plugins.geometry.levelset.level import density_level


def test_two_clean_classes_are_split_in_the_middle_of_the_gap():
    density = np.zeros((10, 10, 10), dtype=np.float32)
    density[3:6, 3:6, 3:6] = 1e6
    # Opacities 0 and 1: the middle is alpha = 1/2, that is density * length = ln 2.
    assert density_level(density, length=0.02) == pytest.approx(np.log(2) / 0.02, rel=0.01)


def test_agrees_with_otsu_by_brute_force():
    rng = np.random.default_rng(0)
    density = np.concatenate([rng.exponential(3.0, 7000), rng.normal(150.0, 40.0, 1000).clip(0)]).astype(np.float32)
    length = 0.01
    alpha = 1 - np.exp(-density.astype(np.float64) * length)
    thresholds = np.linspace(alpha.min(), alpha.max(), 257)[1:-1]
    within = [np.sum(side.size * side.var()) for t in thresholds for side in [alpha[alpha < t]]]
    within = [w + (alpha[alpha >= t].size * alpha[alpha >= t].var()) for w, t in zip(within, thresholds, strict=True)]
    best = -np.log1p(-thresholds[int(np.argmin(within))]) / length
    assert density_level(density.reshape(20, 20, 20), length=length) == pytest.approx(best, rel=0.05)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_level_lies_within_the_samples(scale):
    density = (scale * np.random.default_rng(1).random((8, 8, 8))).astype(np.float32)
    assert density.min() < density_level(density, length=0.02) < density.max()


def test_constant_density():
    assert density_level(np.full((2, 2, 2), 3.0, dtype=np.float32), length=1.0) == 3.0
