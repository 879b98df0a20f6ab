"""Codes under a prior against the closed form of the whole problem, in numpy."""

import numpy as np
import pytest
import torch

from inr_plugins.sparse_codes.code_prior import CodePrior, prior_code
from inr_plugins.sparse_codes.gram_system import GramSystem


def codes_of(shapes=5, atoms=12, seed=0):
    """Codes around a mean that is not zero."""
    generator = torch.Generator().manual_seed(seed)
    return 1 + torch.randn(shapes, atoms, generator=generator, dtype=torch.float64)


def covariance(prior):
    return (
        prior.directions @ torch.diag(prior.variances) @ prior.directions.T
        + prior.rest * torch.eye(len(prior.mean), dtype=torch.float64)
    ).numpy()


def equations(count, atoms=12, seed=1):
    generator = torch.Generator().manual_seed(seed)
    phi = torch.randn(count, atoms, generator=generator, dtype=torch.float64)
    return phi, torch.randn(count, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("isotropic", [0.05, 0.5, 1.0])
def test_the_prior_is_the_shrunk_covariance_of_the_codes(isotropic):
    codes = codes_of()
    prior = CodePrior.from_codes(codes, isotropic=isotropic)
    sample = np.cov(codes.numpy(), rowvar=False)
    expected = (1 - isotropic) * sample + isotropic * np.trace(sample) / 12 * np.eye(12)
    np.testing.assert_allclose(covariance(prior), expected, atol=1e-12)
    np.testing.assert_allclose(prior.mean.numpy(), codes.numpy().mean(0))
    everything = torch.arange(12)
    inverse = np.linalg.inv(expected)
    np.testing.assert_allclose(prior.precision(everything).numpy(), inverse, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(prior.weighted_mean().numpy(), inverse @ prior.mean.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [3, 40])
def test_the_code_is_the_conditional_mean_of_the_joint_normal(count):
    prior = CodePrior.from_codes(codes_of(), isotropic=0.2)
    phi, y = equations(count)
    found = prior_code(GramSystem.of(phi, y), prior, noise=0.3)
    # The other form of Gaussian conditioning, which inverts a matrix of points and not of atoms.
    c, a = covariance(prior), phi.numpy()
    gain = c @ a.T @ np.linalg.inv(a @ c @ a.T + 0.09 * np.eye(count))
    expected = prior.mean.numpy() + gain @ (y.numpy() - a @ prior.mean.numpy())
    np.testing.assert_allclose(found.code.numpy(), expected, rtol=1e-7, atol=1e-9)
    assert found.iterations == 1


def test_without_directions_it_is_ridge_regression_towards_the_mean():
    code = codes_of(1)
    prior = CodePrior.from_codes(code, isotropic=1.0)
    assert prior.directions.shape == (12, 0)
    assert prior.rest == pytest.approx(float(code.square().sum()) / 12)
    phi, y = equations(30)
    found = prior_code(GramSystem.of(phi, y), prior, noise=0.5)
    ridge = 0.25 / prior.rest
    expected = code[0] + torch.linalg.solve(
        phi.T @ phi + ridge * torch.eye(12, dtype=torch.float64), phi.T @ (y - phi @ code[0])
    )
    torch.testing.assert_close(found.code, expected)


def test_many_exact_equations_decide_and_few_poor_ones_leave_the_mean():
    prior = CodePrior.from_codes(codes_of())
    phi, _ = equations(200)
    truth = torch.randn(12, dtype=torch.float64)
    decided = prior_code(GramSystem.of(phi, phi @ truth), prior, noise=1e-5)
    torch.testing.assert_close(decided.code, truth, rtol=1e-5, atol=1e-5)
    poor = prior_code(GramSystem.of(phi[:2], phi[:2] @ truth), prior, noise=100.0)
    torch.testing.assert_close(poor.code, prior.mean, rtol=0, atol=0.01)


def test_three_equations_suffice_where_unseen_shapes_are_like_the_seen_ones():
    """Codes on a plane: within it two numbers are unknown, among all atoms twelve."""
    generator = torch.Generator().manual_seed(2)
    plane = torch.randn(2, 12, generator=generator, dtype=torch.float64)
    codes = 1 + torch.randn(20, 2, generator=generator, dtype=torch.float64) @ plane
    unseen = 1 + torch.tensor([0.7, -1.1], dtype=torch.float64) @ plane
    phi, _ = equations(3)
    system = GramSystem.of(phi, phi @ unseen)
    known = prior_code(system, CodePrior.from_codes(codes, isotropic=1e-6), noise=1e-3)
    flat = prior_code(system, CodePrior.from_codes(codes, isotropic=1.0), noise=1e-3)
    assert (known.code - unseen).norm() < 0.02 * unseen.norm()
    assert (flat.code - unseen).norm() > 0.2 * unseen.norm()


def test_what_is_kept_is_the_best_under_the_prior_with_all_else_zero():
    prior = CodePrior.from_codes(codes_of())
    phi, y = equations(40)
    found = prior_code(GramSystem.of(phi, y), prior, noise=0.3, keep=4)
    assert len(found.support) == 4
    assert found.iterations == 3  # 12, 6 and 4 atoms
    inverse = np.linalg.inv(covariance(prior))

    def objective(code):
        missed, away = phi.numpy() @ code - y.numpy(), code - prior.mean.numpy()
        return missed @ missed / 0.09 + away @ inverse @ away

    best = objective(found.code.numpy())
    for atom in found.support.tolist():
        for change in (-1e-3, 1e-3):
            moved = found.code.numpy().copy()
            moved[atom] += change
            assert objective(moved) > best


def test_a_planted_sparse_code_survives_keeping_few():
    phi, _ = equations(60)
    codes = torch.zeros(6, 12, dtype=torch.float64)
    codes[:, [1, 4, 9]] = codes_of(6, 3)
    truth = torch.zeros(12, dtype=torch.float64)
    truth[[1, 4, 9]] = torch.tensor([1.5, 0.3, 2.0], dtype=torch.float64)
    found = prior_code(GramSystem.of(phi, phi @ truth), CodePrior.from_codes(codes), noise=1e-4, keep=3)
    assert sorted(found.support.tolist()) == [1, 4, 9]
    torch.testing.assert_close(found.code, truth, rtol=1e-5, atol=1e-5)


def test_the_distance_from_the_training_codes_is_the_share_outside_of_their_span():
    codes = torch.zeros(3, 4, dtype=torch.float64)
    codes[0, 0], codes[1, 0], codes[2, 1] = 1, -1, 3
    prior = CodePrior.from_codes(codes)
    assert prior.outside(codes[0]) == pytest.approx(0, abs=1e-12)
    beyond = prior.mean + torch.tensor([3.0, 0.0, 4.0, 0.0], dtype=torch.float64)
    assert prior.outside(beyond) == pytest.approx(16 / 25)
    assert prior.outside(prior.mean) == 0


def test_settings_out_of_range_are_refused():
    codes = codes_of()
    for isotropic in (0.0, 1.5):
        with pytest.raises(ValueError, match="isotropic must be"):
            CodePrior.from_codes(codes, isotropic=isotropic)
    for none in (codes[:0], torch.zeros(3, 12)):
        with pytest.raises(ValueError, match="at least one code that is not zero"):
            CodePrior.from_codes(none)
    prior = CodePrior.from_codes(codes)
    system = GramSystem.of(*equations(9))
    for settings in ({"noise": 0.0}, {"noise": 1.0, "keep": 0}):
        with pytest.raises(ValueError, match="noise > 0 and keep >= 1"):
            prior_code(system, prior, **settings)
    with pytest.raises(ValueError, match="prior is for 12 experts, the equations have 5"):
        prior_code(GramSystem.of(*equations(9, 5)), prior, noise=1.0)
