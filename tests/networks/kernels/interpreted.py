"""Cross normalization by Triton's kernels, which its interpreter runs on a CPU, beside float64; run by a test.

A process of its own: Triton looks at the variable TRITON_INTERPRET when the kernels are made.
"""

from __future__ import annotations

import torch

from inr_plugins.networks.kernels import cross_norm, cross_norm_triton
from inr_plugins.networks.normalization.cross import cross_normalize
from inr_plugins.networks.normalization.registry import CrossNorm

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 3e-2}


def derivatives(norm: CrossNorm, x: torch.Tensor, wanted: torch.Tensor, *, rectify: bool) -> list[torch.Tensor]:
    """Output and gradients of input, weight and bias."""
    x = x.clone().requires_grad_()
    out = norm.activated(x, torch.nn.Identity() if not rectify else RELU)
    return [out.detach(), *torch.autograd.grad((out.to(wanted) * wanted).sum(), (x, norm.weight, norm.bias))]


def by_hand(norm: CrossNorm, x: torch.Tensor, wanted: torch.Tensor, *, rectify: bool) -> list[torch.Tensor]:
    """The same in float64, by the formula that autograd differentiates."""
    x, weight, bias = (each.detach().double().requires_grad_() for each in (x, norm.weight, norm.bias))
    rows = torch.tensor(float(len(x)), dtype=torch.float64)
    out = bias + weight * cross_normalize(x, x.mean(0), x.var(0, correction=min(len(x) - 1, 1)), rows, norm.eps)
    out = out.relu() if rectify else out
    return [out.detach(), *torch.autograd.grad((out * wanted.double()).sum(), (x, weight, bias))]


def compare(rows: int, channels: int, dtype: torch.dtype, *, rectify: bool) -> None:
    """Raise AssertionError where the kernels are wrong."""
    torch.manual_seed(0)
    norm = CrossNorm(channels).train()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    x = (torch.randn(rows, channels) * torch.rand(channels).add(0.5) + 3 * torch.randn(channels)).to(dtype)
    wanted = torch.randn(rows, channels)
    truth = by_hand(norm, x, wanted, rectify=rectify)
    found = derivatives(norm, x, wanted, rectify=rectify)
    for name, a, b in zip(("output", "input", "weight", "bias"), found, truth, strict=True):
        assert a.isfinite().all(), name
        error = float((a.double() - b).abs().max() / b.abs().max())
        # A value that rounding puts on the other side of zero has another gradient.
        wrong = (a.double() - b).abs() > TOLERANCE[dtype] * b.abs().max()
        assert float(wrong.double().mean()) <= (0.01 if rectify and dtype == torch.bfloat16 else 0), (name, error)


if __name__ == "__main__":
    from inr_plugins.networks.activations.settings import ReLU

    RELU = ReLU()
    cross_norm.fits = lambda *_: False
    cross_norm_triton.fits = lambda *_: True
    used = []
    for name in ("column_sums", "normalize_rows", "batch_gradient_rows", "add_column_terms"):
        function = getattr(cross_norm_triton, name)
        setattr(cross_norm_triton, name, lambda *a, f=function, n=name, **k: (used.append(n), f(*a, **k))[1])
    cross_norm_triton._ELEMENTS, cross_norm_triton._PROGRAMS = 64, 3
    for rows, channels, dtype, rectify in (
        (37, 5, torch.float32, False),
        (70, 16, torch.float32, True),
        (1, 3, torch.float32, False),
        (50, 12, torch.bfloat16, True),
    ):
        compare(rows, channels, dtype, rectify=rectify)
    assert set(used) == {"column_sums", "normalize_rows", "batch_gradient_rows", "add_column_terms"}
    assert cross_norm_triton.agrees(torch.device("cpu"))
    print("agreed")
