"""Packed compositing by nerfacc's scan, whose kernel is stood in for by what its documentation says it does."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from pretend_cuda import PretendCuda

from inr_plugins import kernel_trust
from inr_plugins.rendering import nerfacc_scan
from inr_plugins.rendering.packed import packed_weights


def exclusive_sum(starts, counts, values, normalize, backward):
    """Of each ray's chunk by itself, in the type of the values, from its front or from its back."""
    assert not normalize
    assert values.is_contiguous()
    found = values.new_zeros(len(values))
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        one = values[start : start + count]
        one = one.flip(0) if backward else one
        sums = torch.cat([one.new_zeros(1), one.cumsum(0)])[:count]
        found[start : start + count] = sums.flip(0) if backward else sums
    return found


@pytest.fixture
def built(monkeypatch):
    """nerfacc with its CUDA code, on a machine that has none; how often its scan is called."""
    calls, real = [], nerfacc_scan.importlib.import_module

    class Module:
        def exclusive_sum(self, *arguments):
            calls.append(arguments[-1])
            return exclusive_sum(*arguments)

    module = Module()
    monkeypatch.setattr(
        nerfacc_scan.importlib, "import_module", lambda name: module if name == "nerfacc.cuda" else real(name)
    )
    monkeypatch.setattr(nerfacc_scan, "_is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    kernel_trust.forget()
    yield module, calls
    kernel_trust.forget()


def packed(counts):
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def on_cuda(depths, ray, wanted, num_rays):
    """Weights, transmittances and gradients on the pretended device, and where the host waited for it."""
    with PretendCuda() as pretended:
        given = depths.clone().to("cuda").requires_grad_()
        there = ray.to("cuda")
        nerfacc_scan.fits(given)
        pretended.waits.clear()
        weights, light = packed_weights(given, there, num_rays)
        waits = [line for line in pretended.waits if "/tests/" not in line]
        loss = ((weights + 2 * light).cpu() * wanted).sum()
        (gradient,) = torch.autograd.grad(loss, given)
        return [each.detach().cpu() for each in (weights, light, gradient)], waits


def test_weights_and_gradients_are_those_of_torch(built):
    counts = [3, 0, 40, 1, 0, 300, 0]
    ray, drawn = packed(counts), torch.Generator().manual_seed(0)
    depths = torch.rand(len(ray), generator=drawn) ** 4
    depths[[1, 50]] = math.inf
    wanted = torch.randn(len(ray), generator=drawn)
    found, waits = on_cuda(depths, ray, wanted, len(counts))
    # In the check, and then in the passes.
    assert built[1] == [False, True] * 2
    assert not waits
    given = depths.clone().requires_grad_()
    weights, light = packed_weights(given, ray, len(counts))
    (gradient,) = torch.autograd.grad(((weights + 2 * light) * wanted).sum(), given)
    for a, b in zip(found, (weights, light, gradient), strict=True):
        torch.testing.assert_close(a, b.detach(), atol=1e-6, rtol=1e-5)


def test_second_derivatives_go_through_it(built):
    ray = packed([4, 0, 3])
    values = torch.rand(7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: nerfacc_scan.sums_before(v, ray, 3), values)
    assert torch.autograd.gradgradcheck(lambda v: nerfacc_scan.sums_before(v, ray, 3).square(), values)


def test_what_it_is_not_made_for_is_left_to_torch(built):
    with PretendCuda():
        assert nerfacc_scan.fits(torch.rand(5, device="cuda"))
        assert not nerfacc_scan.fits(torch.rand(0, device="cuda"))
        assert not nerfacc_scan.fits(torch.rand(5, device="cuda").double())
        weights, _ = packed_weights(torch.rand(0, device="cuda"), torch.zeros(0, dtype=torch.long, device="cuda"), 4)
        assert len(weights) == 0
    assert not nerfacc_scan.fits(torch.rand(5))


@pytest.mark.parametrize("fault", ["of a ray's last", "from the front alone", "raises"])
def test_a_scan_that_is_wrong_is_left_with_one_sentence(built, fault, caplog):
    module, _ = built

    def wrong(starts, counts, values, normalize, backward):
        if fault == "raises":
            raise RuntimeError("no kernel image is available")
        found = exclusive_sum(starts, counts, values, normalize, backward and fault != "from the front alone")
        if fault == "of a ray's last":
            found[-1] += 1
        return found

    module.exclusive_sum = wrong
    ray, depths = packed([3, 4]), torch.rand(7)
    with caplog.at_level(logging.WARNING):
        found, _ = on_cuda(depths, ray, torch.ones(7), 2)
        on_cuda(depths, ray, torch.ones(7), 2)
    torch.testing.assert_close(found[0], packed_weights(depths, ray, 2)[0])
    (told,) = (each.getMessage() for each in caplog.records)
    assert told.startswith("nerfacc's scans are not used on cuda:0, because they" if fault == "raises" else "nerfacc's")
    assert ("no kernel image" in told) == (fault == "raises")
    assert told.endswith("torch's own operations are used instead.")
