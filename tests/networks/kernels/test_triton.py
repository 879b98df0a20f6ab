"""Triton's kernels for CUDA, run by Triton's interpreter, and when they are used."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from long_form import long_form
from pretend_cuda import PretendCuda

from inr_plugins import kernel_trust
from inr_plugins.networks.activations.settings import ActivationSettings, ReLU, make_activation
from inr_plugins.networks.kernels import batch_norm_triton, cross_norm_trust, pointwise_triton
from inr_plugins.networks.normalization.batch import fused_activation


@long_form
def test_kernels_give_what_the_formulas_give_and_their_gradients():
    """In a process of its own, as Triton's variable has to be set before it is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "INR_KERNELS": "off", "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("interpreted.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout)
    assert not failed, "\n".join(f"{name}: {told}" for name, told in failed.items())


@pytest.fixture
def _asked_anew(monkeypatch):
    kernel_trust.forget()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    yield
    kernel_trust.forget()


def sine():
    return make_activation(ActivationSettings("sine"))


CROSS, SECOND = "cross normalization", "cross normalization's second derivatives"
USES = {
    CROSS: (cross_norm_trust, "first_trouble", cross_norm_trust.fits),
    SECOND: (cross_norm_trust, "second_trouble", cross_norm_trust.pullback_fits),
    "batch normalization and relu": (
        *(batch_norm_triton, "trouble"),
        lambda x: batch_norm_triton.fits(x, fused_activation(ReLU())),
    ),
    "the activation sine (pullback)": (
        *(pointwise_triton, "trouble"),
        lambda x: pointwise_triton.fits(sine().formula.fused(), "pullback", sine().formula.plain, x, x),
    ),
}
"""Kernels by what a sentence calls them: the module and the name of their check, and who asks for them."""


@pytest.mark.usefixtures("_asked_anew")
@pytest.mark.parametrize("kernels", list(USES))
@pytest.mark.parametrize("fault", ["differs", "raises", "switched off", "none"])
def test_kernels_that_do_not_do_what_they_should_are_left_with_one_sentence(kernels, fault, monkeypatch, caplog):
    def check(*_):
        # In the middle of a step, whatever that is in.
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cuda")
        if fault == "raises":
            raise RuntimeError("no compiler\nand much more")
        return "their output is off by 3" if fault == "differs" else None

    module, name, fits = USES[kernels]
    monkeypatch.setattr(cross_norm_trust, "first_trouble", lambda *_: None)
    monkeypatch.setattr(module, name, check)
    if fault == "switched off":
        monkeypatch.setenv("INR_KERNELS", "off")
    with PretendCuda(), caplog.at_level(logging.WARNING), torch.no_grad():
        for width in (4, 5, 4):
            assert fits(torch.ones(3, width, device="cuda")) == (fault == "none")
    why = {"differs": "their output is off by 3", "raises": "they fail with RuntimeError (no compiler)"}.get(fault)
    sentence = f"Triton's kernels of {kernels} are not used on cuda:0, because {why}: "
    told = [] if why is None else [sentence + "torch's own operations are used instead."]
    assert [each.getMessage() for each in caplog.records] == told


@pytest.mark.usefixtures("_asked_anew")
def test_a_device_without_room_for_the_check_says_nothing_about_kernels(monkeypatch):
    def check(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with PretendCuda():
        x = torch.ones(3, 4, device="cuda")
        with monkeypatch.context() as patched:
            patched.setattr(cross_norm_trust, "first_trouble", check)
            with pytest.raises(torch.cuda.OutOfMemoryError):
                cross_norm_trust.fits(x)
        monkeypatch.setattr(cross_norm_trust, "first_trouble", lambda *_: None)
        assert cross_norm_trust.fits(x)


@pytest.mark.usefixtures("_asked_anew")
def test_other_tensors_are_left_to_torch(monkeypatch):
    for module, name, _ in USES.values():
        monkeypatch.setattr(module, name, lambda *_: None)
    with PretendCuda():
        x = torch.ones(3, 4, device="cuda")
        for _, _, fits in USES.values():
            assert fits(x)
            assert fits(x.bfloat16())
            assert not fits(x.double())
            assert not fits(x[:0])
        assert cross_norm_trust.fits(x, x.t().contiguous().t())
        assert not cross_norm_trust.fits(x, x.bfloat16())
    assert not any(fits(torch.ones(3, 4)) for _, _, fits in USES.values())
