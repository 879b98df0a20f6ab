"""Cross normalization's kernels for CUDA, run by Triton's interpreter, and when they are used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pretend_cuda import PretendCuda

from inr_plugins.networks.kernels import cross_norm_triton


def test_kernels_give_what_the_formula_gives_and_its_gradients():
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
    assert done.stdout.split() == ["agreed"]


@pytest.fixture
def _asked_anew():
    cross_norm_triton.works.cache_clear()
    yield
    cross_norm_triton.works.cache_clear()


@pytest.mark.usefixtures("_asked_anew")
@pytest.mark.parametrize("fault", ["differs", "raises", "switched off"])
def test_kernels_that_do_not_do_what_they_should_are_not_used(fault, monkeypatch):
    def agrees(_):
        assert torch.is_grad_enabled()
        if fault == "raises":
            raise RuntimeError("no compiler")
        return fault != "differs"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cross_norm_triton, "agrees", agrees)
    with PretendCuda():
        x = torch.ones(3, 4, device="cuda")
        assert not cross_norm_triton.fits(x) or fault == "switched off"
        cross_norm_triton.works.cache_clear()
        # In a pass without gradients, as the first use of all is.
        monkeypatch.setattr(cross_norm_triton, "agrees", lambda _: torch.is_grad_enabled())
        if fault == "switched off":
            monkeypatch.setenv("INR_KERNELS", "off")
        with torch.no_grad():
            assert cross_norm_triton.fits(x) == (fault != "switched off")
        assert not cross_norm_triton.fits(x, x.t().contiguous().t())
        assert not cross_norm_triton.fits(x.double())
    assert not cross_norm_triton.fits(torch.ones(3, 4))
