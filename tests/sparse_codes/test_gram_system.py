"""Equations as their products, against the matrix itself."""

import numpy as np
import pytest
import torch

from inr_plugins.sparse_codes import gram_system
from inr_plugins.sparse_codes.gram_system import GramSystem


def equations(count=50, atoms=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    phi = torch.randn(count, atoms, generator=generator, dtype=torch.float64)
    return phi, torch.randn(count, generator=generator, dtype=torch.float64), torch.rand(count, generator=generator)


@pytest.mark.parametrize("block", [3, 1024])
@pytest.mark.parametrize("weighted", [True, False])
def test_chunks_and_blocks_add_up_to_the_products(monkeypatch, block, weighted):
    monkeypatch.setattr(gram_system, "BLOCK", block)
    phi, y, weight = equations()
    weight = weight if weighted else None
    system = GramSystem.from_function(lambda x: phi[x[:, 0].long()], torch.arange(50.0)[:, None], y, weight, chunk=8)
    w = np.diag(weight.double().numpy()) if weighted else np.eye(50)
    a, b = phi.numpy(), y.numpy()
    np.testing.assert_allclose(system.gram.numpy(), a.T @ w @ a, atol=1e-12)
    np.testing.assert_allclose(system.moment.numpy(), a.T @ w @ b, atol=1e-12)
    assert system.energy == pytest.approx(float(b @ w @ b))
    assert system.weight == pytest.approx(float(np.trace(w)))
    whole = GramSystem.of(phi, y, weight)
    torch.testing.assert_close(whole.gram, system.gram)
    code = torch.randn(7, dtype=torch.float64)
    missed = a @ code.numpy() - b
    assert system.residual(code) == pytest.approx(float(np.sqrt(missed @ w @ missed / np.trace(w))))


def test_a_weight_counts_like_repeating_the_equation():
    phi, y, _ = equations(4)
    weighted = GramSystem.of(phi, y, torch.tensor([1.0, 3.0, 0.0, 2.0]))
    rows = torch.tensor([0, 1, 1, 1, 3, 3])
    repeated = GramSystem.of(phi[rows], y[rows])
    torch.testing.assert_close(weighted.gram, repeated.gram)
    code = torch.ones(7)
    assert weighted.residual(code) == pytest.approx(repeated.residual(code))


def test_products_of_float32_outputs_are_as_exact_as_float64_ones():
    phi, y, _ = equations(3000)
    phi = phi.float() + 100
    exact = phi.double().T @ phi.double()
    assert ((GramSystem.of(phi, y).gram - exact) / exact).abs().max() < 1e-14
    # float32 products would not be.
    assert ((GramSystem.of(phi, y, product=torch.float32).gram - exact) / exact).abs().max() > 1e-9


def test_an_answer_names_atoms_by_what_they_contribute():
    phi = torch.tensor([[1.0, 0.0, 0.1, 0.0], [0.0, 2.0, 0.0, 1.0]])
    answer = GramSystem.of(phi, torch.zeros(2)).answer(
        torch.tensor([2.0, -1.5, 3.0, 0.0], dtype=torch.float64), iterations=3
    )
    assert answer.support.tolist() == [1, 0, 2]
    assert answer.iterations == 3
    assert answer.residual == pytest.approx(((2.3**2 + 3.0**2) / 2) ** 0.5)


def test_atoms_that_are_zero_at_all_points_are_dead_and_the_others_get_norm_one():
    phi, y, _ = equations()
    phi[:, 2] = 0
    phi[:, 4] *= 1e-3
    system = GramSystem.of(phi, y)
    assert system.alive().tolist() == [True, True, False, True, True, True, True]
    scale, gram, moment = system.normalised()
    unit = phi / phi.norm(dim=0).clamp_min(1e-30)
    torch.testing.assert_close(gram, unit.T @ unit)
    torch.testing.assert_close(moment, unit.T @ y)
    torch.testing.assert_close(phi * scale, unit)


def test_equations_that_say_nothing_are_refused():
    phi, y, _ = equations()
    with pytest.raises(ValueError, match="no equations"):
        GramSystem.from_function(lambda x: x, torch.zeros(0, 3), torch.zeros(0))
    with pytest.raises(ValueError, match="positive weight"):
        GramSystem.of(phi, y, torch.zeros(50))
    with pytest.raises(ValueError, match="must not be negative"):
        GramSystem.of(phi, y, torch.full((50,), -1.0))
    for bad in (float("nan"), float("inf")):
        y[3] = bad
        with pytest.raises(ValueError, match="not finite"):
            GramSystem.of(phi, y)
