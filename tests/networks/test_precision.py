"""Which precision a network's products have, on this device and pretended others."""

from contextlib import nullcontext

import pytest
import torch

from inr_plugins.errors import InputError
from inr_plugins.models.common.network_settings import PrecisionSettings
from inr_plugins.networks import precision
from inr_plugins.networks.precision import autocast_of, tf32_in_step

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


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


@pytest.mark.parametrize(
    ("wanted", "capability", "training", "is_low"),
    [
        ("auto", (9, 0), True, True),
        ("auto", (8, 0), True, True),
        ("auto", (7, 5), True, False),
        ("auto", (9, 0), False, False),
        ("float32", (9, 0), True, False),
        ("bfloat16", (9, 0), True, True),
        ("bfloat16", (9, 0), False, False),
    ],
)
def test_on_cuda_auto_is_bfloat16_where_the_hardware_has_it(wanted, capability, training, is_low, monkeypatch):
    """As far as it can be seen without such a device: what contexts are made."""
    there = torch.cuda.is_available()
    monkeypatch.setattr(precision.torch.cuda, "get_device_capability", lambda *_: capability)
    made = []

    class Context(nullcontext):
        def __init__(self, device, dtype, *, enabled, cache_enabled):
            super().__init__()
            made.append((device, dtype, enabled))

    monkeypatch.setattr(precision.torch, "autocast", Context)
    monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: True)
    autocast_of(wanted, CUDA, training=training)
    monkeypatch.undo()
    assert made == [("cuda", torch.bfloat16, is_low)]
    assert torch.cuda.is_available() == there


def test_a_step_on_cuda_may_multiply_in_tf32_and_nothing_else_does():
    flags = torch.backends.cuda.matmul
    before = flags.allow_tf32
    for wanted, device, inside in (("auto", CUDA, True), ("bfloat16", CUDA, True), ("float32", CUDA, False)):
        for outside in (False, True):
            flags.allow_tf32 = outside
            with pytest.raises(KeyError), tf32_in_step(wanted, device):  # noqa: PT012
                assert flags.allow_tf32 == inside
                raise KeyError
            assert flags.allow_tf32 == outside
    flags.allow_tf32 = before
    with tf32_in_step("auto", CPU):
        assert flags.allow_tf32 == before


def test_a_gpu_without_bfloat16_is_named(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Pretended RTX 2080")
    with pytest.raises(InputError, match=r"RTX 2080, compute capability 7.5\) has no bfloat16: leave out --p"):
        PrecisionSettings("bfloat16").check_device("cuda")
    assert capsys.readouterr().out == ""
    PrecisionSettings("float32").check_device("cuda")
    PrecisionSettings("bfloat16").check_device("cpu")
    assert capsys.readouterr().out == ""
    PrecisionSettings("auto").check_device("cuda")
    assert "networks are trained in float32" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    PrecisionSettings("bfloat16").check_device("cuda")
    assert capsys.readouterr().out == ""
