"""The activations' kernels beside float64 and their twins; see interpreted.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from inr_plugins.networks.activations.pointwise import Pointwise, evaluate
from inr_plugins.networks.activations.real import GaussFormula, SineFormula, SoftplusFormula
from inr_plugins.networks.activations.wavelet import WaveletFormula
from inr_plugins.networks.kernels import pointwise_triton, pointwise_triton_kernels

FINER = SineFormula(10.0, variable=True)
HELD = SineFormula(10.0, variable=True, detach=True)
REAL: dict[str, tuple[Pointwise, float]] = {
    "sine": (SineFormula(30.0), 0.2),
    "finer-sine": (SineFormula(30.0, variable=True), 0.2),
    "finer-sine, detached": (SineFormula(30.0, variable=True, detach=True), 0.2),
    "gauss": (GaussFormula(5.0), 0.3),
    "finer-gauss": (GaussFormula(3.0, FINER), 0.5),
    "finer-gauss, detached": (GaussFormula(3.0, HELD), 0.5),
    "softplus": (SoftplusFormula(100.0), 0.03),
}
"""Functions, and how far the numbers spread that they are given."""
COMPLEX: dict[str, tuple[Pointwise, float]] = {
    "wavelet": (WaveletFormula(6.0, 3.0), 0.4),
    "finer-wavelet": (WaveletFormula(4.0, 2.0, SineFormula(5.0, variable=True)), 0.2),
    "finer-wavelet, detached": (WaveletFormula(4.0, 2.0, SineFormula(5.0, variable=True, detach=True)), 0.2),
}
TOLERANCE = {torch.float32: 5e-5, torch.complex64: 5e-5, torch.bfloat16: 1.5e-2}


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Small programs; how often each method was computed by kernels."""
    used: Counter[str] = Counter()
    run, block = pointwise_triton.run, pointwise_triton._BLOCK

    def noted(formula: object, order: str, *rest: object) -> Tensor:
        used[order] += 1
        return run(formula, order, *rest)

    pointwise_triton.run, pointwise_triton._BLOCK = noted, 64
    try:
        yield used
    finally:
        pointwise_triton.run, pointwise_triton._BLOCK = run, block


def derivatives(
    function: Callable[[Tensor], Tensor], z: Tensor, wanted: Tensor, across: Tensor, wide: torch.dtype
) -> list[Tensor]:
    """Values, gradients, and the gradients of a loss that holds those."""
    z, wanted = z.detach().requires_grad_(), wanted.detach().requires_grad_()
    values = function(z)
    (slope,) = torch.autograd.grad(values, z, wanted.to(values.dtype), create_graph=True)
    loss = (slope.to(wide) * across.to(wide).conj()).real.sum()
    return [each.detach() for each in (values, slope, *torch.autograd.grad(loss, (z, wanted)))]


def compare(function: Pointwise, spread: float, dtype: torch.dtype, *, turned: bool = False) -> None:
    """Raise AssertionError where the kernels are wrong."""
    shape = (70, 2) if turned else (5, 27)
    z = (torch.randn(shape, dtype=torch.promote_types(dtype, torch.float32)) * spread).to(dtype)
    z.view(-1)[3] = 0
    z = z.t() if turned else z
    of_values = torch.complex64 if function.complex_values else dtype
    wanted, across = torch.randn_like(z, dtype=of_values), torch.randn_like(z)
    exact = torch.promote_types(dtype, torch.float64)
    values_exact = torch.promote_types(of_values, torch.float64)
    narrow = torch.promote_types(dtype, torch.float32)
    with counted() as used:
        found = derivatives(lambda z: evaluate(function, z), z, wanted, across, narrow)
    assert used == {"value": 1, "pullback": 1, "curvature": 1, "pushforward": 1}, used
    truth = derivatives(function.plain, z.to(exact), wanted.to(values_exact), across.to(exact), exact)
    for name, a, b in zip(("values", "gradient", "curvature", "pushforward"), found, truth, strict=True):
        assert a.shape == z.shape
        assert a.dtype == (of_values if name in ("values", "pushforward") else dtype), name
        error = float((a.to(b.dtype) - b).abs().max() / b.abs().max())
        assert error < TOLERANCE[dtype], (name, error)


def strange_numbers() -> None:
    """What is no number, what is infinite and what is far away do as in the twins; nothing stays nothing."""
    numbers = torch.tensor([float("nan"), float("inf"), -float("inf"), 50.0, -50.0, 1e-30])
    for name, (function, _) in {**REAL, **COMPLEX}.items():
        with counted() as used:
            found = evaluate(function, numbers)
            nothing = evaluate(function, numbers[:0].requires_grad_())
            nothing.sum().abs().backward()
        assert used == {"value": 1}
        assert nothing.shape == (0,)
        twin = function.plain(numbers)
        torch.testing.assert_close(found, twin, equal_nan=True, atol=2e-4, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def checks_of_the_device() -> None:
    """The comparisons that a device has to pass do so, for all methods, and see a fault in each."""
    device = torch.device("cpu")
    pointwise_triton._COUNT = 97
    for name, (function, _) in {**REAL, **COMPLEX}.items():
        formula = function.fused()
        dtypes = (torch.float32, torch.bfloat16) + ((torch.complex64,) if function.complex_values else ())
        for dtype in dtypes:
            for order in ("value", "pullback", "pushforward", "curvature"):
                told = pointwise_triton.trouble(formula, order, function.plain, device, dtype)
                assert told is None, (name, dtype, order, told)
    formula, wrong = FINER.fused(), SineFormula(10.02, variable=True)
    for order in ("value", "pullback", "pushforward", "curvature"):
        told = pointwise_triton.trouble(formula, order, wrong.plain, device, torch.float32)
        assert told is not None
        assert told.startswith(f"their {order} is off by"), told


def constants() -> None:
    """Constants that kernels hold are those of the twins."""
    from inr_plugins.networks.activations.real import lowest_exponent

    z, kernels = torch.ones(1), pointwise_triton_kernels
    reach = SoftplusFormula._reach(z)
    assert abs(kernels.LOWEST.value - lowest_exponent(z)) < 1e-4
    assert abs(kernels.REACH.value - reach) < 1e-5
    assert abs(kernels.LEAST.value / SoftplusFormula._least(reach) - 1) < 1e-3


F32, BF16, C64 = torch.float32, torch.bfloat16, torch.complex64
CHECKS: dict[str, Callable[[], None]] = {"activations' constants": constants}
for _name, (_function, _spread) in {**REAL, **COMPLEX}.items():
    for _dtype in (F32, BF16):
        CHECKS[f"{_name} {_dtype}"] = lambda f=_function, s=_spread, d=_dtype: compare(f, s, d)
    CHECKS[f"{_name}, turned"] = lambda f=_function, s=_spread: compare(f, s, F32, turned=True)
for _name, (_function, _spread) in COMPLEX.items():
    CHECKS[f"{_name} of complex numbers"] = lambda f=_function, s=_spread: compare(f, s, C64)
CHECKS["strange numbers"] = strange_numbers
CHECKS["activations' checks"] = checks_of_the_device
