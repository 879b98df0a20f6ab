"""The C functions against their twins in torch, and what happens where there is no compiler."""

import pwd
import subprocess
import tempfile
from pathlib import Path

import pytest
import torch

from inr_plugins.networks.kernels import c_library
from inr_plugins.networks.kernels import cross_norm as cross_norm_kernels
from inr_plugins.networks.normalization.registry import frozen_statistics, make_normalization, rowwise_gradients

SHAPES = [(1, 1), (2, 3), (5, 1), (130, 17), (700, 256), (3, 1025)]
# bfloat16 has eight bits; sums are added in another order.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def _compiled():
    assert cross_norm_kernels._library() is not None, "no C compiler, which scripts/setup needs too"


def passes(x, weight, *, rowwise, mode):
    """Output, gradients and running statistics of a normalization; of a loss that holds the gradient if rowwise."""
    torch.manual_seed(1)
    norm = make_normalization("cross", x.shape[1])
    with torch.no_grad():
        norm.weight.add_(torch.linspace(0, 1, x.shape[1]))
        norm.bias.add_(torch.linspace(-1, 1, x.shape[1]))
    norm(x)  # Running statistics for the mode that reads them.
    norm.train(mode == "train")
    position = x.clone().requires_grad_()
    if rowwise:
        with rowwise_gradients(norm):
            out = norm(position)
        (gradient,) = torch.autograd.grad((torch.tanh(out) * weight).sum(), position, create_graph=True)
        loss = (gradient.float().square() * weight).sum() + (out * weight).sum()
    else:
        out = norm(position)
        loss = (out * weight).sum()
    loss.backward()
    found = {"out": out.detach(), "x": position.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    return found | {"mean": norm.statistics.mean, "variance": norm.statistics.variance}


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("rowwise", [False, True])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_torch(shape, dtype, rowwise, mode, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = (
        torch.randn(shape, generator=generator) * torch.linspace(0.3, 3, shape[1]) + torch.linspace(-4, 4, shape[1])
    ).to(dtype)
    weight = torch.randn(shape, generator=generator).to(dtype)
    monkeypatch.setattr(cross_norm_kernels, "_LEAST_SHARE", 1000)
    assert cross_norm_kernels.fits(x)
    found = passes(x, weight, rowwise=rowwise, mode=mode)
    monkeypatch.setattr(cross_norm_kernels, "fits", lambda *matrices: False)
    twin = passes(x, weight, rowwise=rowwise, mode=mode)
    for name, value in found.items():
        size = max(1.0, float(twin[name].abs().max()))
        difference = float((value - twin[name]).abs().max()) / size
        assert difference < TOLERANCE[dtype], name


@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_a_row_in_eval_has_the_same_bits_whatever_its_chunk_and_threads(dtype, monkeypatch):
    norm = make_normalization("cross", 37)
    x = torch.randn(500, 37).to(dtype)
    norm(x)
    norm.eval()
    with torch.no_grad(), frozen_statistics(norm):
        whole = norm(x)
        monkeypatch.setattr(cross_norm_kernels, "_LEAST_SHARE", 100)
        for chunk in (1, 7, 64, 500):
            assert torch.equal(torch.cat([norm(part) for part in x.split(chunk)]), whole)


def test_numbers_that_are_not_finite_stay_so_and_in_their_row():
    norm = make_normalization("cross", 8)
    x = torch.randn(6, 8)
    norm(x)
    norm.eval()
    for dtype in TOLERANCE:
        bad = x.to(dtype)
        bad[2, 3], bad[4, 1] = float("nan"), float("inf")
        with torch.no_grad():
            out = norm(bad)
        assert (~torch.isfinite(out)).any(1).tolist() == [False, False, True, False, True, False]
    # Not a number with all bits set: rounded as a number it would become a zero.
    with torch.no_grad():
        norm.bias.view(torch.int32)[5] = 0x7FFFFFFF
        assert norm(x.bfloat16()).isnan().all(0).tolist() == [False] * 5 + [True, False, False]


def test_columns_far_from_zero_keep_their_spread():
    x = (torch.randn(4000, 3, dtype=torch.float64) + torch.tensor([1e3, -1e4, 1e4])).float()
    mean, squares = cross_norm_kernels.column_sums(x)
    torch.testing.assert_close(mean.double(), x.double().mean(0), rtol=1e-7, atol=0)
    torch.testing.assert_close(squares.double() / 3999, x.double().var(0), rtol=1e-5, atol=0)


def test_other_matrices_are_left_to_torch():
    x = torch.randn(4, 6)
    assert cross_norm_kernels.fits(x, x)
    assert not cross_norm_kernels.fits(x.double())
    assert not cross_norm_kernels.fits(x.T)
    assert not cross_norm_kernels.fits(x, x.bfloat16())
    assert not cross_norm_kernels.fits(x[:0])


def load(tmp_path, monkeypatch, *, text="int three(void) { return 3; }"):
    """A library made of some C, in a cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "number.c"
    source.write_text(text)
    return c_library.load_c_library.__wrapped__(source)


def test_a_library_is_compiled_once_and_kept_and_made_anew_when_the_source_changes(tmp_path, monkeypatch):
    assert load(tmp_path, monkeypatch).three() == 3
    kept = list((tmp_path / "cache" / "inr-plugins").iterdir())
    assert [each.suffix for each in kept] == [".so"]

    def refuse(*arguments):
        raise AssertionError("compiled again")

    with monkeypatch.context() as patched:
        patched.setattr(c_library, "_compile", refuse)
        assert load(tmp_path, patched).three() == 3
    assert load(tmp_path, monkeypatch, text="int three(void) { return 4; }").three() == 4


def test_without_a_compiler_or_a_place_or_when_switched_off_there_is_none(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(c_library.shutil, "which", lambda name: None)
        assert load(tmp_path, patched) is None
    with monkeypatch.context() as patched:
        patched.setenv("INR_KERNELS", "off")
        assert load(tmp_path, patched) is None
    assert load(tmp_path, monkeypatch, text="this is no C") is None
    assert list((tmp_path / "cache" / "inr-plugins").iterdir()) == []

    def fails(*arguments, **options):
        raise subprocess.TimeoutExpired("cc", 60)

    monkeypatch.setattr(c_library.subprocess, "run", fails)
    assert load(tmp_path, monkeypatch) is None


def test_a_user_without_a_home_has_them_too(monkeypatch, tmp_path):
    """As in a container with a user id of its own: no HOME, and no entry among the system's users."""

    def unknown(number):
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError):
        Path.home()
    source = tmp_path / "two.c"
    source.write_text("int two(void) { return 2; }")
    library = c_library.load_c_library.__wrapped__(source)
    assert library is not None
    assert library.two() == 2
