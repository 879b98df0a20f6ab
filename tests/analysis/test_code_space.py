"""Principal components of codes, beside numpy's covariance and made codes."""

import numpy as np
import pytest

from inr_plugins.analysis.code_space import MOST, code_space
from inr_plugins.analysis.findings import find_codes
from inr_plugins.errors import InputError


def codes(count=40, width=12):
    return np.random.default_rng(0).normal(size=(count, width)).astype(np.float32) * np.linspace(3, 0.5, width) + 5


def test_places_have_the_variances_and_the_independence_of_principal_components():
    found, given = code_space(codes()), codes()
    variances = np.linalg.eigvalsh(np.cov(given.T.astype(np.float64)))[::-1]
    assert found.places.shape == (40, MOST)
    assert np.var(found.places, axis=0, ddof=1) == pytest.approx(variances[:MOST])
    assert found.shares[:12] == pytest.approx(variances / variances.sum())
    assert found.places.mean(0) == pytest.approx(0, abs=1e-9)
    correlation = np.corrcoef(found.places.T)
    assert np.abs(correlation - np.eye(MOST)).max() < 1e-6


def test_distances_are_those_of_codes_in_a_plane_and_the_largest_place_is_positive():
    plane = np.random.default_rng(1).normal(size=(9, 2)) @ np.random.default_rng(2).normal(size=(2, 30))
    found = code_space(plane)
    apart = np.linalg.norm(found.places[:, None, :2] - found.places[None, :, :2], axis=-1)
    assert apart == pytest.approx(np.linalg.norm(plane[:, None] - plane[None], axis=-1))
    assert found.shares[:2].sum() == pytest.approx(1)
    rows = np.abs(found.places[:, :2]).argmax(0)
    assert (found.places[rows, [0, 1]] > 0).all()


def test_the_number_of_directions_is_that_of_equal_variances():
    cross = np.concatenate([np.eye(5), -np.eye(5)])
    assert code_space(cross).effective == pytest.approx(5)
    line = np.outer(np.arange(6.0), np.ones(4))
    assert code_space(line).effective == pytest.approx(1)
    same = code_space(np.ones((3, 4)))
    assert (same.effective, same.shares.tolist()) == (0.0, [0.0, 0.0])


def test_what_is_said_written_and_drawn():
    names = [f"person_{person}{pose}" for person in range(4) for pose in range(10)]
    given = codes()
    given[:, 0] = 0
    found = find_codes(given, names)
    said = dict(found.words)
    assert said["codes"] == "40 of 12 entries, 11 of them not 0"
    shares = np.cumsum(code_space(given).shares)
    assert said["directions"].startswith(f"{(shares < 0.9).sum() + 1} hold 90 % of the variance; ")
    lines = found.as_csv().splitlines()
    assert lines[0].split(",")[:3] == ["name", "direction_1", "direction_2"]
    assert [line.split(",")[0] for line in lines[1:]] == names
    assert float(lines[3].split(",")[2]) == pytest.approx(code_space(given).places[2, 1])
    left = found.figure().axes[0]
    assert {text.get_text() for text in left.texts} == set(names)
    drawn = np.concatenate([np.asarray(each.get_offsets()) for each in left.collections])
    assert sorted(drawn[:, 0]) == pytest.approx(sorted(code_space(given).places[:, 0]))
    assert len(left.collections) == 4


def test_one_code_has_no_components():
    with pytest.raises(InputError, match="has 1 code, of which there are no principal components"):
        find_codes(codes(1), ["one"])
    with pytest.raises(ValueError, match="two codes, got 1"):
        code_space(codes(1))
