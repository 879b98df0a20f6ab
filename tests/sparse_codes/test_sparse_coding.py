"""Sparse codes against planted ones, brute force, numpy and the conditions that the least value must meet."""

import itertools

import numpy as np
import pytest
import torch

from inr_plugins.sparse_codes import sparse_coding
from inr_plugins.sparse_codes.gram_system import GramSystem
from inr_plugins.sparse_codes.sparse_coding import matching_pursuit, proximal_code, refit, solve_positive


def dictionary(count=60, atoms=30, seed=0):
    """Atoms of very different norms, float64."""
    generator = torch.Generator().manual_seed(seed)
    phi = torch.randn(count, atoms, generator=generator, dtype=torch.float64)
    return phi * 10 ** (2 * torch.rand(atoms, generator=generator, dtype=torch.float64) - 1)


def planted(phi, chosen):
    code = torch.zeros(phi.shape[1], dtype=torch.float64)
    code[chosen] = torch.tensor([(-1.0) ** i * (1 + i) for i in range(len(chosen))], dtype=torch.float64)
    return code / phi.norm(dim=0)


@pytest.mark.parametrize("weighted", [True, False])
def test_pursuit_finds_a_planted_code_exactly_and_stops_there(weighted):
    phi = dictionary()
    code = planted(phi, [3, 17, 8, 25])
    weight = torch.linspace(0.5, 2, 60) if weighted else None
    found = matching_pursuit(GramSystem.of(phi, phi @ code, weight), 12, ridge=0.0)
    assert sorted(found.support.tolist()) == [3, 8, 17, 25]
    assert found.support.tolist()[0] == 25
    assert found.iterations == 4
    torch.testing.assert_close(found.code, code)
    assert found.residual < 1e-7


def plain_pursuit(phi, y, k):
    """Orthogonal matching pursuit with the matrix itself: choose by correlation, solve by lstsq."""
    chosen, left = [], y
    for _ in range(k):
        correlation = np.abs(phi.T @ left) / np.linalg.norm(phi, axis=0)
        correlation[chosen] = -1
        chosen.append(int(correlation.argmax()))
        weights = np.linalg.lstsq(phi[:, chosen], y, rcond=None)[0]
        left = y - phi[:, chosen] @ weights
    return chosen, weights, left


def test_pursuit_of_noise_is_that_of_the_matrix_itself():
    phi = dictionary(seed=1)
    y = torch.randn(60, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for k in (1, 5, 14):
        found = matching_pursuit(GramSystem.of(phi, y), k, ridge=0.0)
        chosen, weights, left = plain_pursuit(phi.numpy(), y.numpy(), k)
        assert sorted(found.support.tolist()) == sorted(chosen)
        np.testing.assert_allclose(found.code[chosen].numpy(), weights, rtol=1e-8)
        assert found.residual == pytest.approx(float(np.sqrt((left**2).mean())))


@pytest.mark.parametrize("tolerance", [0.0, 1e-6])
def test_pursuit_passes_over_dead_and_repeated_atoms(tolerance):
    phi = dictionary(atoms=6)
    phi[:, 1] = 0
    phi[:, 4] = -3 * phi[:, 0]
    y = torch.randn(60, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    left = y.numpy() - phi.numpy() @ np.linalg.lstsq(phi.numpy(), y.numpy(), rcond=None)[0]
    for ridge in (0.0, 1e-8):
        found = matching_pursuit(GramSystem.of(phi, y), 6, ridge=ridge, tolerance=tolerance)
        assert found.code.isfinite().all()
        assert found.code[1] == 0
        assert found.residual == pytest.approx(float(np.sqrt((left**2).mean())), rel=1e-5)
        assert found.iterations == 4 or ridge > 0


def test_pursuits_ridge_is_of_atoms_of_norm_one():
    phi = dictionary(atoms=5)
    y = torch.randn(60, dtype=torch.float64)
    found = matching_pursuit(GramSystem.of(phi, y), 5, ridge=0.3, tolerance=0.0)
    closed = torch.linalg.solve(phi.T @ phi + 0.3 * torch.diag(phi.square().sum(0)), phi.T @ y)
    torch.testing.assert_close(found.code, closed)


def test_nothing_is_asked_of_a_zero_target():
    system = GramSystem.of(dictionary(), torch.zeros(60))
    for found in (matching_pursuit(system, 4), proximal_code(system, 0.1)):
        assert not found.code.any()
        assert len(found.support) == 0
        assert found.residual == 0


@pytest.mark.parametrize("l1", [0.5, 0.05, 0.02])
def test_proximal_steps_end_where_the_subgradient_holds_zero(l1):
    phi = dictionary(seed=6)
    y = phi @ planted(phi, [1, 5, 9]) + 0.3 * torch.randn(
        60, generator=torch.Generator().manual_seed(7), dtype=torch.float64
    )
    weight = torch.linspace(0.5, 2, 60, dtype=torch.float64)
    found = proximal_code(GramSystem.of(phi, y, weight), l1, tolerance=1e-12, iterations=20000)
    assert found.iterations < 20000
    norms = (weight[:, None] * phi.square()).sum(0).sqrt()
    penalty = l1 * float((phi.T @ (weight * y) / norms).abs().max())
    pull = phi.T @ (weight * (y - phi @ found.code)) / norms
    used = found.code != 0
    assert 0 < int(used.sum()) < 30
    torch.testing.assert_close(pull[used], penalty * found.code[used].sign(), rtol=1e-3, atol=0)
    assert (pull[~used].abs() <= penalty * (1 + 1e-3)).all()


def test_proximal_steps_agree_with_the_best_signed_support_of_a_small_lasso():
    phi = dictionary(20, 3, seed=8)
    phi = phi / phi.norm(dim=0)
    y = torch.randn(20, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    penalty = 0.3 * float((phi.T @ y).abs().max())

    def objective(code):
        return float((y - phi @ code).square().sum() / 2 + penalty * code.abs().sum())

    best = objective(torch.zeros(3, dtype=torch.float64))
    for signs in itertools.product((-1.0, 0.0, 1.0), repeat=3):
        sign = torch.tensor(signs, dtype=torch.float64)
        used = sign != 0
        if used.any():
            code = torch.zeros(3, dtype=torch.float64)
            a = phi[:, used]
            code[used] = torch.linalg.solve(a.T @ a, a.T @ y - penalty * sign[used])
            best = min(best, objective(code))
    found = proximal_code(GramSystem.of(phi, y), 0.3, tolerance=1e-12)
    assert objective(found.code) == pytest.approx(best, rel=1e-10)


def test_the_gap_stops_near_the_least_value():
    phi = dictionary(seed=10)
    y = phi @ planted(phi, [2, 20]) + 0.1
    system = GramSystem.of(phi, y)
    rough, fine = proximal_code(system, 0.02, tolerance=1e-3), proximal_code(system, 0.02, tolerance=1e-10)
    norms = phi.norm(dim=0)
    penalty = 0.02 * float((phi.T @ y / norms).abs().max())

    def objective(code):
        return float((y - phi @ code).square().sum() / 2 + penalty * (norms * code).abs().sum())

    # Momentum that is never dropped would take three times as long.
    assert rough.iterations < fine.iterations < 100
    assert -1e-9 <= objective(rough.code) - objective(fine.code) <= 1e-3 * system.energy / 2


def test_steps_that_are_too_long_are_shortened_until_they_converge(monkeypatch):
    phi = dictionary(60, 1, seed=11) + 0.3 * dictionary(60, 40, seed=12)
    system = GramSystem.of(phi, phi[:, :3].sum(1))
    expected = proximal_code(system, 0.01, tolerance=1e-8)
    monkeypatch.setattr(sparse_coding, "_largest_eigenvalue", lambda gram: 0.0)
    found = proximal_code(system, 0.01, tolerance=1e-8)
    assert expected.iterations <= found.iterations < 2000
    assert found.residual == pytest.approx(expected.residual, rel=1e-3)


def test_power_iteration_finds_the_largest_eigenvalue_from_below():
    _, gram, _ = GramSystem.of(dictionary(), torch.ones(60)).normalised()
    largest = float(torch.linalg.eigvalsh(gram)[-1])
    assert 0.9 * largest < sparse_coding._largest_eigenvalue(gram) <= largest * (1 + 1e-12)


def test_full_penalty_leaves_nothing_and_what_is_kept_is_solved_again():
    phi = dictionary(seed=13)
    code = planted(phi, [4, 11, 19])
    system = GramSystem.of(phi, phi @ code)
    assert not proximal_code(system, 1.0).code.any()
    found = proximal_code(system, 0.05, keep=3)
    assert sorted(found.support.tolist()) == [4, 11, 19]
    torch.testing.assert_close(found.code, code, rtol=1e-6, atol=1e-9)
    assert proximal_code(system, 0.05).residual > 100 * found.residual


def test_refitting_is_least_squares_on_the_support():
    phi = dictionary(seed=14)
    y = torch.randn(60, dtype=torch.float64)
    support = torch.tensor([7, 2, 21])
    found = refit(GramSystem.of(phi, y), support, ridge=1e-14)
    expected = np.linalg.lstsq(phi[:, support].numpy(), y.numpy(), rcond=None)[0]
    np.testing.assert_allclose(found.code[support].numpy(), expected, rtol=1e-8)
    assert int((found.code != 0).sum()) == 3


def test_settings_out_of_range_and_singular_equations_are_refused():
    system = GramSystem.of(dictionary(), torch.ones(60))
    for settings in ({"k": 0}, {"k": 3, "ridge": -1.0}, {"k": 3, "tolerance": -1.0}):
        with pytest.raises(ValueError, match="pursuit needs k >= 1"):
            matching_pursuit(system, **settings)
    for settings in ({"l1": 0.0}, {"l1": 1.1}, {"l1": 0.1, "iterations": 0}, {"l1": 0.1, "keep": 0}):
        with pytest.raises(ValueError, match="proximal steps need l1 in"):
            proximal_code(system, **settings)
    with pytest.raises(ValueError, match="ridge must be > 0"):
        refit(system, torch.tensor([1]), ridge=0.0)
    with pytest.raises(ValueError, match="too dependent"):
        solve_positive(-torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
