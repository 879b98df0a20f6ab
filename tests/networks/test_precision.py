"""Which precision a network's products have, on this device and pretended others."""

import warnings
from contextlib import nullcontext

import pytest
import torch

from inr_plugins.networks import precision
from inr_plugins.networks.precision import autocast_of

CPU = torch.device("cpu")


def product(wanted, *, training=True, fast=True, monkeypatch=None):
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda: fast)
    with autocast_of(wanted, CPU, training=training):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize(
    ("wanted", "fast", "training", "dtype"),
    [
        ("auto", True, True, torch.bfloat16),
        ("auto", False, True, torch.float32),
        ("float32", True, True, torch.float32),
        ("bfloat16", False, True, torch.bfloat16),
        ("auto", True, False, torch.float32),
        ("bfloat16", True, False, torch.float32),
    ],
)
@pytest.mark.parametrize("caller", [False, True])
def test_a_cpu_computes_as_asked_whatever_its_caller_has_set(wanted, fast, training, dtype, caller, monkeypatch):
    with torch.autocast("cpu", torch.bfloat16, enabled=caller):
        assert product(wanted, training=training, fast=fast, monkeypatch=monkeypatch) == dtype


def test_on_cuda_auto_leaves_to_the_trainer_what_the_others_settle():
    """As far as it can be seen without such a device: what contexts are made."""
    cuda = torch.device("cuda")
    assert isinstance(autocast_of("auto", cuda, training=True), nullcontext)
    for wanted, training, is_low in (("float32", True, False), ("bfloat16", True, True), ("auto", False, False)):
        with warnings.catch_warnings():
            # That there is no CUDA.
            warnings.simplefilter("ignore")
            found = autocast_of(wanted, cuda, training=training)
        assert (found.device, found.fast_dtype) == ("cuda", torch.bfloat16)
        assert found._enabled == (is_low and torch.cuda.is_available())
