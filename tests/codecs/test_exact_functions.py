"""Sine, exp and sums against numpy's, and that no order of a sum changes a bit."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from inr_plugins.codecs.exact_functions import LARGEST_FACTOR, exponential, product, row_moments, sine

RANDOM = np.random.default_rng(0)


def test_sine_and_exponential_are_numpys():
    x = np.concatenate([RANDOM.uniform(-400, 400, 10_000), [0.0, np.pi / 2, -np.pi / 2, np.pi, 1e-9]])
    assert np.abs(sine(x) - np.sin(x)).max() < 2e-9
    y = -np.concatenate([RANDOM.uniform(0, 50, 10_000), [0.0, 1e-9, 400.0]])
    assert np.abs(exponential(y) / np.exp(y) - 1).max() < 1e-12
    assert exponential(np.array([-1e9])) < 1e-200


def test_products_are_the_same_in_any_order():
    x, weights = RANDOM.normal(0, 100, (50, 300)), RANDOM.integers(-LARGEST_FACTOR, LARGEST_FACTOR + 1, (20, 300))
    found = product(x, weights.astype(float))
    assert np.allclose(found, x @ weights.T, rtol=0, atol=300 * LARGEST_FACTOR / 2**20)
    order = RANDOM.permutation(300)
    assert np.array_equal(found, product(x[:, order], weights[:, order].astype(float)))
    one_by_one = np.zeros((50, 20))
    for place in order:
        one_by_one += product(x[:, [place]], weights[:, [place]].astype(float))
    assert np.array_equal(found, one_by_one)
    # In plain floating-point numbers order does matter.
    assert not np.array_equal(x @ weights.T, x[:, order] @ weights[:, order].T)


def test_what_would_not_be_exact_is_refused():
    for weights in (np.full((1, 2), LARGEST_FACTOR + 1.0), np.ones((1, 2000))):
        with pytest.raises(ValueError, match="summed up exactly"):
            product(np.ones((1, weights.shape[1])), weights)


def test_moments_of_rows_are_those_of_any_order():
    x = RANDOM.normal(3, 5, (200, 28))
    mean, squares = row_moments(x)
    assert np.allclose(mean[:, 0], x.mean(1), atol=1e-6)
    assert np.allclose(squares[:, 0], x.var(1) * 28, rtol=1e-3)
    again = row_moments(x[:, RANDOM.permutation(28)])
    assert np.array_equal(mean, again[0])
    assert np.array_equal(squares, again[1])


def test_sine_and_exponential_are_known_to_the_bit():
    """The sums of no library's sine: those differ in the last bits."""
    x = np.arange(-20_000, 20_000) / 64
    for function, numbers, known in ((sine, x, "c1b8e8b7c8f0b958"), (exponential, -np.abs(x), "cf61a29b97685a1b")):
        assert hashlib.sha256(function(numbers).astype("<f8").tobytes()).hexdigest()[:16] == known
