import itertools

import jaxtyping
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from inr_plugins.networks.activations import pointwise as analytic_activations
from inr_plugins.networks.activations.pointwise import evaluate
from inr_plugins.networks.activations.real import GaussFormula, SineFormula, SoftplusFormula
from inr_plugins.networks.activations.wavelet import WaveletFormula

OMEGA, S, C, BETA = 1.3, 0.9, 2.1, 3.0


def variable_sine(detach=False):
    return SineFormula(OMEGA, variable=True, detach=detach)


REAL = {
    "sine": SineFormula(OMEGA),
    "gauss": GaussFormula(S),
    "softplus": SoftplusFormula(BETA),
    "finer-sine": variable_sine(),
    "finer-gauss": GaussFormula(S, variable_sine()),
}
WAVELETS = {"wavelet": WaveletFormula(C, S), "finer-wavelet": WaveletFormula(C, S, variable_sine())}
FORMULAS = REAL | WAVELETS
# Every formula with every kind of number that it takes.
CASES = [
    *itertools.product(FORMULAS, [torch.float64]),
    *itertools.product(WAVELETS, [torch.complex128]),
]


def closed_form(name, z):
    """The functions as the papers write them, in numpy."""

    def stretch(t):
        return (np.abs(t) + 1) * t

    if name == "softplus":
        return np.log(1 + np.exp(BETA * z)) / BETA
    if name.startswith("finer-"):
        w = stretch(z.real) + 1j * stretch(z.imag) if np.iscomplexobj(z) else stretch(z)
        u = np.sin(OMEGA * w)
    else:
        u = np.sin(OMEGA * z) if name == "sine" else z
    if name.endswith("sine"):
        return u
    return np.exp(-((S * u) ** 2)) if name.endswith("gauss") else np.exp(1j * C * u - np.abs(S * u) ** 2)


def composition(name, z, detach=False):
    """The same in torch, as the authors write them; detach holds the scale |z| + 1 constant."""

    def stretch(t):
        scale = t.abs() + 1
        return (scale.detach() if detach else scale) * t

    if name == "softplus":
        return torch.nn.functional.softplus(z, beta=BETA)
    if name.startswith("finer-"):
        w = torch.complex(stretch(z.real), stretch(z.imag)) if z.is_complex() else stretch(z)
        u = torch.sin(OMEGA * w)
    else:
        u = torch.sin(OMEGA * z) if name == "sine" else z
    if name.endswith("sine"):
        return u
    return torch.exp(-((S * u) ** 2)) if name.endswith("gauss") else torch.exp(1j * C * u - (S * u).abs().square())


def detached(name):
    inner = variable_sine(detach=True)
    return {"finer-sine": inner, "finer-gauss": GaussFormula(S, inner), "finer-wavelet": WaveletFormula(C, S, inner)}[
        name
    ]


def inputs(dtype, shape=(3, 4), seed=0):
    """Numbers whose parts are at least 0.05 away from 0, where the second derivatives of the finer forms jump."""
    z = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    parts = torch.view_as_real(z) if z.is_complex() else z
    parts += 0.05 * parts.sign()
    return z.requires_grad_()


def derivatives(function, z, seed=1):
    """Value, gradient of a random weighting, and the gradients of a random weighting of that gradient."""
    generator = torch.Generator().manual_seed(seed)
    value = function(z)
    weight = torch.randn(value.shape, generator=generator, dtype=value.dtype).requires_grad_()
    (first,) = torch.autograd.grad(value, z, weight, create_graph=True)
    direction = torch.randn(z.shape, generator=generator, dtype=z.dtype)
    return [value, first, *torch.autograd.grad(first, (z, weight), direction)]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_values_are_the_papers_formulas(name, dtype):
    z = inputs(dtype).detach()
    np.testing.assert_allclose(evaluate(FORMULAS[name], z).numpy(), closed_form(name, z.numpy()), rtol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_first_derivative_is_that_of_finite_differences_also_at_zero(name):
    z = torch.tensor([-1.7, -0.3, 0.0, 0.2, 1.1], dtype=torch.float64, requires_grad=True)
    value = evaluate(FORMULAS[name], z)
    expected = (closed_form(name, z.detach().numpy() + 1e-6) - closed_form(name, z.detach().numpy() - 1e-6)) / 2e-6
    for part in ("real", "imag") if value.is_complex() else ("real",):
        (slope,) = torch.autograd.grad(getattr(value, part).sum(), z, retain_graph=True)
        # At 0 the second derivative jumps, and the difference is right to its step only.
        np.testing.assert_allclose(slope.numpy(), getattr(expected, part), atol=1e-5)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_first_and_second_derivatives_pass_gradcheck(name, dtype):
    z = inputs(dtype)
    assert gradcheck(lambda z: evaluate(FORMULAS[name], z), z)
    assert gradgradcheck(lambda z: evaluate(FORMULAS[name], z), z)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_third_derivatives_pass_gradcheck(name, dtype):
    z = inputs(dtype, shape=(3,))
    weight = inputs(evaluate(FORMULAS[name], z).dtype, shape=(3,), seed=1)

    def first(z, weight):
        return torch.autograd.grad(evaluate(FORMULAS[name], z), z, weight, create_graph=True)[0]

    assert gradgradcheck(first, (z, weight))


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_derivatives_are_those_of_the_plain_composition(name, dtype):
    ours = derivatives(lambda z: evaluate(FORMULAS[name], z), inputs(dtype))
    plain = derivatives(lambda z: composition(name, z), inputs(dtype))
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "dtype"), [case for case in CASES if case[0].startswith("finer-")])
def test_the_detached_form_differentiates_as_the_authors_code_does(name, dtype):
    ours = derivatives(lambda z: evaluate(detached(name), z), inputs(dtype))
    plain = derivatives(lambda z: composition(name, z, detach=True), inputs(dtype))
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    true = derivatives(lambda z: evaluate(FORMULAS[name], z), inputs(dtype))
    assert torch.equal(ours[0], true[0])
    assert (ours[1] - true[1]).abs().max() > 0.1


@pytest.mark.parametrize(("name", "dtype"), [case for case in CASES if case[0].startswith("finer-")])
def test_the_detached_form_goes_on_as_the_authors_code_does(name, dtype):
    def third(function):
        z = inputs(dtype)
        derivative = function(z)
        for factor in (0.3, 0.7, 0.9):
            loss = (derivative.real + factor * derivative.imag if derivative.is_complex() else derivative).sum()
            (derivative,) = torch.autograd.grad(loss, z, create_graph=True)
        return derivative

    torch.testing.assert_close(
        third(lambda z: evaluate(detached(name), z)), third(lambda z: composition(name, z, detach=True))
    )


@pytest.mark.parametrize("name", ["finer-sine", "finer-gauss"])
def test_the_second_derivative_at_zero_is_the_mean_of_both_sides(name):
    z = torch.tensor([-1e-9, 0.0, 1e-9], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(evaluate(FORMULAS[name], z).sum(), z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), z)
    assert curvature[1] == pytest.approx(((curvature[0] + curvature[2]) / 2).item(), abs=1e-6)
    if name == "finer-sine":
        assert curvature[2].item() == pytest.approx(2 * OMEGA, rel=1e-6)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_only_the_input_is_kept_for_the_backward_pass(name, dtype):
    z = inputs(dtype)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        evaluate(FORMULAS[name], z)
        assert [t.data_ptr() for t in kept] == [z.data_ptr()]
        with torch.no_grad():
            evaluate(FORMULAS[name], z)
        assert len(kept) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_pieces_change_no_bit(name, dtype, monkeypatch):
    whole = derivatives(lambda z: evaluate(FORMULAS[name], z), inputs(dtype, (37, 24)))
    monkeypatch.setattr(analytic_activations, "PIECE_ON_CPU", 100)
    pieces = derivatives(lambda z: evaluate(FORMULAS[name], z), inputs(dtype, (37, 24)))
    for a, b in zip(whole, pieces, strict=True):
        assert torch.equal(a, b)


def test_no_piece_is_larger_than_it_should_be(monkeypatch):
    sizes = []

    class Observed(SineFormula):
        def value(self, z, out, spare):
            sizes.append((z.numel(), out.numel(), spare.numel()))
            super().value(z, out, spare)

    monkeypatch.setattr(analytic_activations, "PIECE_ON_CPU", 100)
    evaluate(Observed(OMEGA), torch.zeros(37, 24))
    assert sizes == [(96, 96, 96)] * 9 + [(24, 24, 24)]


@pytest.mark.parametrize("shape", [(), (7,), (0, 4), (4, 0), (2, 3, 4)])
@pytest.mark.parametrize("name", FORMULAS)
def test_any_shape_is_taken(name, shape):
    ours = derivatives(lambda z: evaluate(FORMULAS[name], z), inputs(torch.float64, shape))
    plain = derivatives(lambda z: composition(name, z), inputs(torch.float64, shape))
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", REAL)
def test_complex_numbers_are_refused_by_functions_of_real_ones(name):
    with pytest.raises(ValueError, match="takes real numbers, got"):
        evaluate(FORMULAS[name], torch.zeros(2, dtype=torch.complex64))


def test_strided_inputs_and_expanded_gradients_are_taken():
    z = inputs(torch.float64, (6, 5))
    value = evaluate(FORMULAS["finer-sine"], z.T[::2])
    (ours,) = torch.autograd.grad(value.sum(), z)
    (plain,) = torch.autograd.grad(composition("finer-sine", z.T[::2]).sum(), z)
    torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", FORMULAS)
def test_half_precision_rounds_only_input_and_result(name, dtype):
    z = inputs(torch.float64, (50,)).detach().to(dtype).requires_grad_()
    exact = z.detach().double().requires_grad_()
    value, true = evaluate(FORMULAS[name], z), evaluate(FORMULAS[name], exact)
    assert value.dtype == (torch.complex64 if name in WAVELETS else dtype)
    eps = torch.finfo(dtype).eps
    tolerance = {"rtol": eps, "atol": eps / 100}
    torch.testing.assert_close(value.to(true.dtype), true, **tolerance)
    value.real.sum().backward()
    true.real.sum().backward()
    assert z.grad.dtype == dtype
    torch.testing.assert_close(z.grad.double(), exact.grad, **tolerance)


def test_single_precision_keeps_large_phases():
    z = torch.linspace(-3, 3, 1001)
    exact = evaluate(SineFormula(30.0, variable=True), z.double())
    value = evaluate(SineFormula(30.0, variable=True), z)
    # Phases reach 360, where float32 is spaced by 3e-5.
    torch.testing.assert_close(value.double(), exact, rtol=0, atol=5e-5)


@pytest.mark.parametrize("parts", [(0.3, 50.0), (-2.0, -50.0), (40.0, 4.0), (0.0, 30.0)])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("name", WAVELETS)
def test_wavelets_far_from_zero_are_zero_and_so_are_their_derivatives(name, dtype, parts):
    z = torch.tensor([complex(*parts)], dtype=dtype, requires_grad=True)
    for result in derivatives(lambda z: evaluate(FORMULAS[name], z), z):
        assert result.abs().max() < 1e-15


@pytest.mark.parametrize("name", ["finer-sine", "finer-gauss"])
def test_a_compiler_sees_one_graph(name, monkeypatch):
    # It cannot trace the tests' own checks of shapes.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    compiled = torch.compile(lambda z: evaluate(FORMULAS[name], z), backend="eager", fullgraph=True)
    z = inputs(torch.float64)
    torch.testing.assert_close(compiled(z), composition(name, z))


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_what_a_compiler_sees_has_the_same_values_and_gradients(name, dtype, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    z = inputs(dtype)
    value, plain = evaluate(FORMULAS[name], z), composition(name, z)
    torch.testing.assert_close(value, plain)
    assert "_Value" not in value.grad_fn.name()
    weight = torch.randn_like(plain)
    (a,), (b,) = (torch.autograd.grad(result, z, weight) for result in (value, plain))
    torch.testing.assert_close(a, b)


def test_softplus_is_straight_where_float32_cannot_tell_and_has_no_tiny_numbers():
    z = torch.linspace(-3, 3, 60_001, requires_grad=True)
    found = derivatives(lambda t: evaluate(SoftplusFormula(100.0), t), z)
    value, slope, bend = (each.detach() for each in found[:3])
    exact = torch.nn.functional.softplus(z.detach().double(), beta=100.0, threshold=1e4)
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-11)
    assert bool((value[z < -0.3] == 0).all())
    assert bool((slope[z < -0.3] == 0).all())
    assert bool((value[z > 0.3] == z[z > 0.3]).all())
    for each in (value, slope, bend):
        assert each[each != 0].abs().min() > 1e-20
