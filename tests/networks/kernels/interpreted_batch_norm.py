"""Batch normalization's kernels beside float64 and torch's; see interpreted.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from interpreted_cross_norm import compare
from torch import Tensor

from inr_plugins.networks.activations.settings import Activation, ActivationSettings, make_activation
from inr_plugins.networks.kernels import batch_norm_triton, triton_launch
from inr_plugins.networks.normalization import batch
from inr_plugins.networks.normalization.batch_statistics import detached_column_moments
from inr_plugins.networks.normalization.registry import BatchNorm, rowwise_gradients

ACTIVATIONS = {
    "relu": ActivationSettings(),
    "softplus": ActivationSettings("softplus", beta=5.0),
    "finer-sine": ActivationSettings("finer-sine", omega=3.0),
    "gauss": ActivationSettings("gauss", scale=1.5),
    "finer-gauss": ActivationSettings("finer-gauss", omega=2.0, scale=1.0),
}
TOLERANCE = {torch.float32: 5e-5, torch.bfloat16: 1.5e-2}
TRAINING = {"normalize_rows", "gradient_sums", "gradient_rows"}


@contextmanager
def in_small_blocks(kernels: set[str]) -> Iterator[None]:
    """Several programs of several blocks each; all of these kernels must have been used, and no other."""
    used: set[str] = set()
    real = {name: getattr(batch_norm_triton, name) for name in TRAINING}
    triton_launch._ELEMENTS, triton_launch._PROGRAMS = 64, 3
    for name, function in real.items():
        setattr(batch_norm_triton, name, lambda *a, f=function, n=name: (used.add(n), f(*a))[1])
    try:
        yield
        assert used == kernels, used
    finally:
        triton_launch._ELEMENTS, triton_launch._PROGRAMS = 2048, 1024
        for name, function in real.items():
            setattr(batch_norm_triton, name, function)


def made(rows: int, channels: int, dtype: torch.dtype) -> tuple[BatchNorm, Tensor, Tensor]:
    """A normalization in training, values, and what outputs are weighed by."""
    norm = BatchNorm(channels).train()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    x = (torch.randn(rows, channels) * torch.rand(channels).add(0.5) + 2 * torch.randn(channels)).to(dtype)
    return norm, x, torch.randn(rows, channels)


def by_formula(norm: BatchNorm, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """In plain operations, by the columns' means and biased variances."""
    return bias + weight * (x - x.mean(0)) / (x.var(0, correction=0) + norm.eps).sqrt()


def plain(activation: Activation) -> Callable[[Tensor], Tensor]:
    """An activation that autograd differentiates step by step."""
    fused = batch.fused_activation(activation)
    assert fused is not None
    return fused.plain


def training(name: str, rows: int, channels: int, dtype: torch.dtype, *, turned: bool = False) -> None:
    """Output, gradients and running statistics of a step."""
    activation = make_activation(ACTIVATIONS[name])
    norm, x, wanted = made(rows, channels, dtype)
    given = (x.t().contiguous().t() if turned else x.clone()).requires_grad_()
    with in_small_blocks(TRAINING):
        out = norm.activated(given, activation)
        found = [out, *torch.autograd.grad((out.to(wanted) * wanted).sum(), (given, norm.weight, norm.bias))]
    assert out.dtype == dtype
    wide, weight, bias = (each.detach().double().requires_grad_() for each in (x, norm.weight, norm.bias))
    right = plain(activation)(by_formula(norm, wide, weight, bias))
    truth = [right, *torch.autograd.grad((right * wanted.double()).sum(), (wide, weight, bias))]
    compare(found, truth, TOLERANCE[dtype], may_differ=0.01 if dtype == torch.bfloat16 else 0)
    if rows > 1:
        torch.testing.assert_close(norm.statistics.variance[0].double(), x.double().var(0), rtol=1e-5, atol=0)


def evaluation() -> None:
    """By running statistics without a gradient; with one, torch's operations serve."""
    activation = make_activation(ACTIVATIONS["finer-sine"])
    norm, x, _ = made(40, 5, torch.float32)
    norm(x)
    norm.eval()
    with torch.no_grad(), in_small_blocks({"normalize_rows"}):
        found = norm.activated(x, activation)
    with in_small_blocks(set()):
        position = x.clone().requires_grad_()
        twin = norm.activated(position, activation)
        (slope,) = torch.autograd.grad(twin.sum(), position, create_graph=True)
        slope.square().sum().backward()
    torch.testing.assert_close(found, twin.detach(), atol=1e-5, rtol=1e-5)


def left_to_torch() -> None:
    """No rows, second derivatives in training, activations without kernels, and whatever somebody looks at."""
    relu, wavelet = make_activation(ACTIVATIONS["relu"]), torch.nn.Tanh()
    norm, x, _ = made(0, 5, torch.float32)
    with in_small_blocks(set()):
        assert norm.activated(x, relu).shape == (0, 5)
        norm, x, _ = made(20, 5, torch.float32)
        norm.activated(x, wavelet)
        with rowwise_gradients(norm):
            position = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(norm.activated(position, relu).sum(), position, create_graph=True)
        slope.square().sum().backward()
        seen: list[Tensor] = []
        hook = norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
        norm.activated(x, relu)
        assert bool((seen[0] < 0).any())
        hook.remove()
    with in_small_blocks({"normalize_rows"}):
        out = norm.activated(position, relu)
        with pytest.raises(RuntimeError, match="rows are coupled"):
            torch.autograd.grad(out.sum(), position, create_graph=True)


def two_processes() -> None:
    """The gradient of a part of the rows counts what the statistics do to the others."""
    activation = make_activation(ACTIVATIONS["finer-sine"])
    norm, x, wanted = made(30, 4, torch.float32)
    wide = x.double().requires_grad_()
    right = plain(activation)(by_formula(norm, wide, norm.weight.double(), norm.bias.double()))
    (truth,) = torch.autograd.grad((right * wanted.double()).sum(), wide)
    moments, fused = detached_column_moments(x), batch.fused_activation(activation)
    assert fused is not None
    own: list[Tensor] = []
    real, found = batch.sum_over_ranks, []
    try:
        for sums in (lambda t: (own.append(t), t)[1], lambda t: own[0] + own[1]):
            batch.sum_over_ranks = sums
            found = []
            for part in (slice(0, 11), slice(11, 30)):
                given = x[part].clone().requires_grad_()
                out = batch.activated_batch_norm(given, moments, norm.weight, norm.bias, norm.eps, fused)
                found.append(torch.autograd.grad((out * wanted[part]).sum(), given)[0])
    finally:
        batch.sum_over_ranks = real
    compare([torch.cat(found)], [truth], 5e-5)


def checks_of_the_device() -> None:
    """The comparison that a device has to pass does so, and sees a fault in each kernel."""
    device, batch_norm_triton._ROWS = torch.device("cpu"), 37
    for settings in ACTIVATIONS.values():
        fused = batch.fused_activation(make_activation(settings))
        assert fused is not None
        for dtype in TOLERANCE:
            told = batch_norm_triton.trouble(fused, device, 6, dtype)
            assert told is None, (settings.activation, told)
    wrong = fused._replace(plain=torch.sin)
    told = batch_norm_triton.trouble(wrong, device, 6)
    assert told is not None
    assert told.startswith("their output is off by"), told
    for name in ("gradient_sums", "gradient_rows"):
        real = getattr(batch_norm_triton, name)

        def spoilt(*arguments: object, real: Callable[..., object] = real) -> object:
            result = real(*arguments)
            (result[0] if isinstance(result, tuple) else result).view(-1)[-1].mul_(1.2).add_(0.3)
            return result

        setattr(batch_norm_triton, name, spoilt)
        told = batch_norm_triton.trouble(fused, device, 6)
        setattr(batch_norm_triton, name, real)
        assert told is not None, name


F32, BF16 = torch.float32, torch.bfloat16
CHECKS: dict[str, Callable[[], None]] = {
    **{f"batch norm and {name}": lambda n=name: training(n, 37, 5, F32) for name in ACTIVATIONS},
    "batch norm of several blocks, turned": lambda: training("finer-sine", 70, 16, F32, turned=True),
    "batch norm in bfloat16": lambda: training("finer-gauss", 50, 12, BF16),
    "batch norm and ReLU in bfloat16": lambda: training("relu", 50, 12, BF16),
    "batch norm of a row": lambda: training("finer-sine", 1, 3, F32),
    "batch norm in evaluation": evaluation,
    "batch norm left to torch": left_to_torch,
    "batch norm of two processes": two_processes,
    "batch norm's checks": checks_of_the_device,
}
