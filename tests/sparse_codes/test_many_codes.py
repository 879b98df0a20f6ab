"""Codes of many signals at once, against the pursuit of one, least squares by numpy and made signals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.sparse_codes.code_prior import CodePrior
from inr_plugins.sparse_codes.gram_system import GramSystem
from inr_plugins.sparse_codes.many_codes import likely_code, likely_codes, pursue
from inr_plugins.sparse_codes.sparse_coding import matching_pursuit

NONE = torch.zeros(0, dtype=torch.long)


def test_many_signals_get_what_each_gets_alone():
    torch.manual_seed(0)
    atoms, signals = torch.randn(40, 25, dtype=torch.float64), torch.randn(7, 40, dtype=torch.float64)
    atoms *= torch.rand(25, dtype=torch.float64) + 0.1
    pursuit = pursue(atoms.T @ atoms, signals @ atoms, 9, first=NONE)
    index, weight = pursuit.index, pursuit.weights()
    codes = torch.zeros(7, 25, dtype=torch.float64).scatter(1, index, weight)
    for signal, code in zip(signals, codes, strict=True):
        alone = matching_pursuit(GramSystem.of(atoms, signal), 9, tolerance=0)
        torch.testing.assert_close(code, alone.code, rtol=1e-6, atol=1e-9)


def test_first_atoms_are_taken_and_the_others_chosen_beside_them():
    rng = np.random.default_rng(1)
    atoms, signal = rng.normal(size=(30, 12)), rng.normal(size=30)
    pursuit = pursue(
        torch.from_numpy(atoms.T @ atoms), torch.from_numpy(signal @ atoms)[None], 5, first=torch.tensor([11, 4])
    )
    index, weight = pursuit.index, pursuit.weights()
    chosen = [11, 4]
    for _ in range(3):
        part, *_ = np.linalg.lstsq(atoms[:, chosen], signal, rcond=None)
        left = signal - atoms[:, chosen] @ part
        resembles = np.abs(left @ atoms) / np.linalg.norm(atoms, axis=0)
        resembles[chosen] = -1
        chosen.append(int(resembles.argmax()))
    part, *_ = np.linalg.lstsq(atoms[:, chosen], signal, rcond=None)
    assert index[0].tolist() == chosen
    np.testing.assert_allclose(weight[0], part, rtol=1e-5)


def test_atoms_that_add_nothing_have_no_weight():
    torch.manual_seed(2)
    few = torch.randn(20, 3, dtype=torch.float64)
    atoms = torch.cat([few, few @ torch.randn(3, 4, dtype=torch.float64)], 1)
    signal = torch.randn(1, 20, dtype=torch.float64)
    pursuit = pursue(atoms.T @ atoms, signal @ atoms, 7, first=NONE, ridge=0)
    index, weight = pursuit.index, pursuit.weights()
    best = few @ torch.linalg.lstsq(few, signal[0]).solution
    torch.testing.assert_close(atoms[:, index[0]] @ weight[0], best, rtol=1e-6, atol=1e-7)
    assert int((weight != 0).sum()) == 3
    assert index[0].sort().values.tolist() == list(range(7))


def test_atoms_are_shared_out_among_signals_by_what_they_gain():
    rng = np.random.default_rng(3)
    atoms = rng.normal(size=(30, 12))
    signals = rng.normal(size=(4, 30)) * np.array([[5.0], [0.5], [1.0], [1.0]])
    pursuit = pursue(torch.from_numpy(atoms.T @ atoms), torch.from_numpy(signals @ atoms), 6, first=NONE)
    missed = np.zeros((4, 7))
    for row, signal in enumerate(signals):
        for count in range(7):
            used = atoms[:, pursuit.index[row, :count].numpy()]
            missed[row, count] = np.square(signal - used @ np.linalg.lstsq(used, signal, rcond=None)[0]).sum()
    np.testing.assert_allclose(pursuit.gains, -np.diff(missed), rtol=1e-4, atol=1e-9)
    taken = pursuit.shared_out(6, 2)
    for first in (0, 2):
        # The least that two signals can miss with six atoms together, of all ways to share them.
        pair = missed[first : first + 2]
        best = min(range(7), key=lambda count: pair[0, count] + pair[1, 6 - count])
        assert taken[first : first + 2].tolist() == [best, 6 - best]
    weights = pursuit.weights(taken)
    for row, count in enumerate(taken.tolist()):
        used = atoms[:, pursuit.index[row, :count].numpy()]
        expected = np.linalg.lstsq(used, signals[row], rcond=None)[0]
        np.testing.assert_allclose(weights[row, :count], expected, rtol=1e-5)
        assert not bool(weights[row, count:].any())


@pytest.mark.parametrize(("k", "first"), [(1, torch.tensor([0, 1])), (8, NONE)])
def test_a_number_of_atoms_that_cannot_be_is_refused(k, first):
    with pytest.raises(ValueError, match=f"k must be {len(first)} to 7, got {k}"):
        pursue(torch.eye(7), torch.ones(1, 7), k, first=first)


def made(seed, *, noise, n=6, m=400):
    rng = np.random.default_rng(seed)
    training = rng.normal(size=(200, n)) * np.linspace(2, 0.5, n) + 1
    atoms, code = rng.normal(size=(m, n)), rng.normal(size=n) * np.linspace(2, 0.5, n) + 1
    y = atoms @ code + noise * rng.normal(size=m)
    prior = CodePrior.from_codes(torch.from_numpy(training), isotropic=0.1)
    return torch.from_numpy(atoms), torch.from_numpy(y), prior, code


def test_the_code_is_that_of_least_squares_with_the_prior_and_the_noise_that_there_is():
    atoms, y, prior, _ = made(3, noise=0.3)
    known = torch.rand(len(y), generator=torch.Generator().manual_seed(0)) < 0.7
    found = likely_code(atoms, y, prior, known=known, independent=0.25)
    assert found.used.tolist() == known.tolist()
    assert found.noise == pytest.approx(0.3, rel=0.15)
    u, v = prior.directions.numpy(), prior.variances.numpy()
    inverse = np.linalg.inv(u @ np.diag(v) @ u.T + prior.rest * np.eye(6))
    a, b, mean = atoms[known].numpy(), y[known].numpy(), prior.mean.numpy()
    wanted = np.linalg.solve(
        0.25 * a.T @ a / found.noise**2 + inverse, 0.25 * a.T @ b / found.noise**2 + inverse @ mean
    )
    np.testing.assert_allclose(found.code, wanted, rtol=1e-4)


def test_what_is_not_known_says_nothing():
    atoms, y, prior, _ = made(4, noise=0.1)
    known = torch.arange(len(y)) < 250
    other = torch.where(known, y, 100.0)
    first, second = (likely_code(atoms, each, prior, known=known) for each in (y, other))
    torch.testing.assert_close(first.code, second.code)
    with pytest.raises(ValueError, match="nothing is known of it"):
        likely_code(atoms, y, prior, known=torch.zeros_like(known))


def test_what_is_wrong_in_one_place_is_found_and_left_out():
    atoms, y, prior, code = made(5, noise=0.05)
    wrong = (torch.arange(len(y)) >= 100) & (torch.arange(len(y)) < 160)
    spoilt = torch.where(wrong, y + 3.0, y)

    def around(numbers):
        return torch.nn.functional.avg_pool1d(numbers[None, None], 5, 1, 2, count_include_pad=False)[0, 0]

    plain, found = likely_code(atoms, spoilt, prior), likely_code(atoms, spoilt, prior, around=around)
    error, without = (np.abs(each.code.numpy() - code).max() for each in (found, plain))
    assert error < 0.03
    assert without > 3 * error
    assert not bool(found.used[wrong].any())
    # Its neighbours are left out with it, and only those: means of five reach two on, and as far again.
    assert torch.equal((~found.used).nonzero()[:, 0], torch.arange(96, 164))
    assert found.noise == pytest.approx(0.05, rel=0.2)


def test_noise_is_not_taken_for_less_where_the_code_follows_it():
    """Of 14 equations for 6 numbers the mean square of what is missed is about 8 / 14 of the variance."""
    found = [likely_code(*made(seed, noise=0.3, m=14)[:3]).noise for seed in range(60)]
    assert float(np.mean(np.square(found))) == pytest.approx(0.09, rel=0.2)


@pytest.mark.parametrize("independent", [1.0, 1 / 16])
def test_many_signals_have_the_codes_and_noises_that_each_has_by_turns(independent):
    rng = np.random.default_rng(5)
    atoms = rng.normal(size=(30, 8)) * np.array([1, 1, 1, 1, 1e-3, 1, 1, 0.1])
    # Of two that are the same, the prior says which.
    atoms[:, 6] = atoms[:, 5]
    signals = rng.normal(size=(4, 8)) @ atoms.T + rng.normal(size=(4, 30)) * np.array([[0.0], [0.01], [0.3], [2.0]])
    prior = CodePrior.from_codes(torch.from_numpy(rng.normal(size=(5, 8)) + 0.3), isotropic=0.2)
    covariance = prior.directions.numpy() @ np.diag(prior.variances) @ prior.directions.numpy().T
    inverse, mean = np.linalg.inv(covariance + prior.rest * np.eye(8)), prior.mean.numpy()
    codes, noises = likely_codes(torch.from_numpy(atoms), torch.from_numpy(signals), prior, independent=independent)
    for y, code, noise in zip(signals, codes.numpy(), noises.numpy(), strict=True):
        sigma = np.sqrt(np.mean((y - atoms @ mean) ** 2)) + 1e-4
        for _ in range(12):
            system = independent * atoms.T @ atoms / sigma**2 + inverse
            wanted = np.linalg.solve(system, independent * atoms.T @ y / sigma**2 + inverse @ mean)
            doubt = np.trace(np.linalg.solve(system, atoms.T @ atoms))
            sigma = max(1e-4, np.sqrt((np.sum((y - atoms @ wanted) ** 2) + doubt) / 30))
        np.testing.assert_allclose(code, wanted, rtol=1e-5, atol=1e-6)
        assert noise == pytest.approx(sigma, rel=1e-5)
