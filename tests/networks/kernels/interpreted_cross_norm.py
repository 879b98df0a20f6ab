"""Cross normalization's kernels beside float64; see interpreted.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from inr_plugins.networks.activations.settings import ReLU
from inr_plugins.networks.kernels import cross_norm_triton, cross_norm_trust, triton_launch
from inr_plugins.networks.normalization.cross import cross_normalize
from inr_plugins.networks.normalization.registry import CrossNorm, rowwise_gradients

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 3e-2}
FIRST = {"column_sums", "normalize_rows", "batch_gradient_rows", "add_column_terms"}
SECOND = {"column_sums", "normalize_rows", "pullback_rows", "pullback_backward_rows", "add_column_terms"}


@contextmanager
def in_small_blocks(kernels: set[str]) -> Iterator[None]:
    """Several programs of several blocks each; all of these kernels must have been used, and no other."""
    module, used = cross_norm_triton, set()
    real = {name: getattr(module, name) for name in FIRST | SECOND}
    triton_launch._ELEMENTS, triton_launch._PROGRAMS = 64, 3
    for name, function in real.items():
        setattr(module, name, lambda *a, f=function, n=name, **k: (used.add(n), f(*a, **k))[1])
    try:
        yield
        assert used == kernels, used
    finally:
        triton_launch._ELEMENTS, triton_launch._PROGRAMS = 2048, 1024
        for name, function in real.items():
            setattr(module, name, function)


def made(rows: int, channels: int, dtype: torch.dtype) -> tuple[CrossNorm, Tensor, Tensor]:
    """A normalization, values, and what their outputs are weighed by."""
    norm = CrossNorm(channels).train()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    x = (torch.randn(rows, channels) * torch.rand(channels).add(0.5) + 3 * torch.randn(channels)).to(dtype)
    return norm, x, torch.randn(rows, channels)


def by_formula(x: Tensor, every: Tensor, norm: CrossNorm) -> Tensor:
    """The output for rows x, by the statistics of rows `every`, in plain operations."""
    rows = torch.tensor(float(len(x)), dtype=x.dtype)
    variance = every.var(0, correction=min(len(x) - 1, 1))
    return cross_normalize(x, every.mean(0), variance, rows, norm.eps)


def first_derivatives(rows: int, channels: int, dtype: torch.dtype, *, rectify: bool) -> None:
    """Output and gradients of a normalization in training."""
    norm, x, wanted = made(rows, channels, dtype)
    given = x.clone().requires_grad_()
    with in_small_blocks(FIRST):
        out = norm.activated(given, ReLU() if rectify else torch.nn.Identity())
        found = [out, *torch.autograd.grad((out.to(wanted) * wanted).sum(), (given, norm.weight, norm.bias))]
    wide, weight, bias = (each.detach().double().requires_grad_() for each in (x, norm.weight, norm.bias))
    right = bias + weight * by_formula(wide, wide, norm)
    right = right.relu() if rectify else right
    truth = [right, *torch.autograd.grad((right * wanted.double()).sum(), (wide, weight, bias))]
    # A value that rounding puts on the other side of zero has another gradient.
    compare(found, truth, TOLERANCE[dtype], may_differ=0.01 if rectify and dtype == torch.bfloat16 else 0)


def second_derivatives(rows: int, channels: int, dtype: torch.dtype, *, turned: bool = False) -> None:
    """Gradients of a loss that holds the gradient of each row's own output; statistics count where they should."""
    norm, x, wanted = made(rows, channels, dtype)
    given = (x.t().contiguous().t() if turned else x.clone()).requires_grad_()
    assert given.is_contiguous() != turned
    leaves = (given, norm.weight, norm.bias)
    with in_small_blocks(SECOND | {"batch_gradient_rows"}):
        with rowwise_gradients(norm):
            out = norm(given)
        (slope,) = torch.autograd.grad((torch.tanh(out.float()) * wanted).sum(), given, create_graph=True)
        loss = (slope.float().square() * wanted).sum() + (out.float() * wanted).sum()
        found = [out, slope, *torch.autograd.grad(loss, leaves)]
    wide, weight, bias = (each.detach().double().requires_grad_() for each in (x, norm.weight, norm.bias))
    own = wide * 1
    right = bias + weight * by_formula(own, wide, norm)
    (pulled,) = torch.autograd.grad((torch.tanh(right) * wanted).sum(), own, create_graph=True)
    loss = (pulled.square() * wanted).sum() + (right * wanted).sum()
    compare(found, [right, pulled, *torch.autograd.grad(loss, (wide, weight, bias))], TOLERANCE[dtype])


def compare(found: list[Tensor], truth: list[Tensor], tolerance: float, *, may_differ: float = 0) -> None:
    """Raise AssertionError where a tensor is off by more than a part of its largest number."""
    for number, (a, b) in enumerate(zip(found, truth, strict=True)):
        assert a.isfinite().all(), number
        wrong = (a.detach().double() - b.detach()).abs() / b.detach().abs().max()
        assert float((wrong > tolerance).double().mean()) <= may_differ, (number, float(wrong.max()))


def no_rows() -> None:
    """What has no rows is left to torch, and has no gradients."""
    norm, x, _ = made(0, 5, torch.float32)
    with in_small_blocks(set()), rowwise_gradients(norm):
        out = norm(x.requires_grad_())
    assert out.shape == (0, 5)
    out.sum().backward()


def checks_of_the_device() -> None:
    """The comparisons that a device has to pass do so, and see a fault in each kernel."""
    cross_norm_trust._ROWS = 37
    for dtype in TOLERANCE:
        for trouble in (cross_norm_trust.first_trouble, cross_norm_trust.second_trouble):
            assert trouble(torch.device("cpu"), 6, dtype) is None, (trouble, dtype)
    for trouble, names in ((cross_norm_trust.first_trouble, FIRST), (cross_norm_trust.second_trouble, SECOND - FIRST)):
        for name in names:
            right = getattr(cross_norm_trust, name)
            setattr(cross_norm_trust, name, lambda *a, f=right, **k: _spoilt(f(*a, **k), a))
            told = trouble(torch.device("cpu"), 3)
            setattr(cross_norm_trust, name, right)
            assert told is not None, name
            assert told.startswith("their "), told


def _spoilt(result: Tensor | tuple[Tensor, ...] | None, arguments: tuple[Tensor, ...]) -> object:
    """What a kernel gave, a number of it altered."""
    first = arguments[1] if result is None else result if isinstance(result, Tensor) else result[0]
    first.view(-1)[-1] += 0.3
    return result


F32, BF16 = torch.float32, torch.bfloat16
CHECKS = {
    "cross norm": lambda: first_derivatives(37, 5, F32, rectify=False),
    "cross norm and ReLU": lambda: first_derivatives(70, 16, F32, rectify=True),
    "cross norm of a row": lambda: first_derivatives(1, 3, F32, rectify=False),
    "cross norm in bfloat16": lambda: first_derivatives(50, 12, BF16, rectify=True),
    "second derivatives of cross norm": lambda: second_derivatives(37, 5, F32),
    "second derivatives of cross norm, several blocks": lambda: second_derivatives(70, 16, F32, turned=True),
    "second derivatives of cross norm of a channel": lambda: second_derivatives(9, 1, F32),
    "second derivatives of cross norm of a row": lambda: second_derivatives(1, 3, F32),
    "second derivatives of cross norm in bfloat16": lambda: second_derivatives(50, 12, BF16),
    "cross norm of nothing": no_rows,
    "cross norm's checks": checks_of_the_device,
}
