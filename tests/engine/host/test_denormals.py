"""Numbers next to zero count as zero in trainings on the CPU."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.images import finer_image
from long_form import long_form
from PIL import Image

from inr_plugins.engine.host.denormals import flush_denormals


def tiny_product() -> float:
    return float(torch.tensor([1e-30]) * 1e-10)


@pytest.fixture
def _as_before():
    torch.set_flush_denormal(False)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("_as_before")
def test_products_below_the_smallest_normal_number_are_zero_and_that_number_is_not():
    assert tiny_product() > 0
    assert flush_denormals()
    assert tiny_product() == 0
    assert float(torch.tensor([1e-30]) * 1.2e-8) > 0


@pytest.mark.usefixtures("_as_before")
def test_a_pipeline_on_the_cpu_has_them_flushed(tmp_path):
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5).save(tmp_path / "image.png")
    config = copy.deepcopy(finer_image.config.pipeline)
    config.datamanager.data = tmp_path / "image.png"
    config.setup(device="cpu", test_mode="val")
    assert tiny_product() == 0


@long_form
def test_all_threads_of_torch_have_them_flushed():
    lines = [
        "import torch",
        "from inr_plugins.engine.host.denormals import flush_denormals",
        "torch.set_num_threads(2)",
        "assert flush_denormals()",
        "print(int((torch.full((1 << 22,), 1e-30) * 1e-10 != 0).sum()))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
