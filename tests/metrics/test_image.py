"""Image metrics against closed forms, scikit-image and LPIPS written out by hand."""

from __future__ import annotations

import io
import math
import os
import socket
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from inr_plugins.errors import InputError
from inr_plugins.metrics import download
from inr_plugins.metrics import image as metrics
from inr_plugins.metrics import lpips as lpips_module

REAL_URLOPEN = urllib.request.urlopen


@pytest.fixture(autouse=True)
def _fresh_network(monkeypatch, tmp_path):
    """No weights anywhere, no server, and no memory of earlier tests."""

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.delenv("INR_LPIPS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    usual = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    lpips_module.lpips_network.cache_clear()
    yield
    lpips_module.lpips_network.cache_clear()
    torch.hub.set_dir(usual)


def pair(size=(40, 33), noise=0.1):
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(*size, 3, generator=generator)
    return (target + noise * torch.randn(*size, 3, generator=generator)).clamp(0, 1), target


def test_psnr_closed_form():
    target = torch.full((5, 4, 3), 0.25)
    assert metrics.psnr(target + 0.1, target) == pytest.approx(20.0, abs=1e-4)
    assert metrics.psnr(target, target) == math.inf


def test_ssim_equals_scikit_image():
    from skimage.metrics import structural_similarity

    pred, target = pair()
    expected = structural_similarity(
        pred.double().numpy(),
        target.double().numpy(),
        channel_axis=-1,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert metrics.ssim(pred, target) == pytest.approx(expected, abs=1e-4)
    assert metrics.ssim(target, target) == pytest.approx(1.0)


def test_prediction_is_clamped_as_a_display_would():
    pred, target = pair()
    assert metrics.image_metrics(pred + (pred == 1) * 5.0, target) == metrics.image_metrics(pred, target)


def test_keys_and_types_are_json_numbers():
    pred, target = pair()
    values = metrics.ImageMetrics()(pred.requires_grad_(), target)
    assert list(values) == ["psnr", "ssim"]
    assert all(type(value) is float and math.isfinite(value) for value in values.values())
    assert list(metrics.image_metrics(*pair((8, 8)))) == ["psnr"]


def test_metrics_stay_out_of_a_models_state():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.metrics = metrics.ImageMetrics()

    assert Holder().state_dict() == {}


@pytest.mark.parametrize("shapes", [((4, 4, 3), (4, 5, 3)), ((4, 4, 4), (4, 4, 4)), ((2, 4, 4, 3), (2, 4, 4, 3))])
def test_wrong_shapes_are_refused(shapes):
    # ValueError, or the shape check's TypeError where shapes are checked at run time.
    with pytest.raises((ValueError, TypeError)):
        metrics.psnr(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_lpips_is_left_out_with_one_line_when_offline(caplog):
    pred, target = pair((64, 64))
    assert "lpips" not in metrics.image_metrics(pred, target)
    assert "lpips" not in metrics.image_metrics(pred, target)
    assert len(caplog.messages) == 1
    assert "LPIPS is left out" in caplog.messages[0]
    assert "INR_LPIPS" in caplog.messages[0]


def test_a_server_is_looked_for_only_where_lpips_is_computed(monkeypatch):
    asked = []

    def look_up(host, *args, **kwargs):
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", REAL_URLOPEN)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    small = torch.rand(63, 200, 3)
    assert set(metrics.image_metrics(small, small)) == {"psnr", "ssim"}
    assert metrics.lpips(small, small) is None
    assert asked == []
    image = torch.rand(64, 64, 3)
    assert set(metrics.image_metrics(image, image)) == {"psnr", "ssim"}
    assert asked != []


def test_lpips_does_not_wait_for_a_server_that_does_not_answer(monkeypatch, caplog):
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: time.sleep(60))
    begin = time.monotonic()
    assert metrics.lpips(*pair((64, 64))) is None
    assert time.monotonic() - begin < 30
    assert "does not answer" in caplog.messages[0]


def test_download_cut_short_leaves_nothing(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: io.BytesIO(b"half of the weights"))
    assert metrics.lpips(*pair((64, 64))) is None
    assert "cut short" in caplog.messages[0]
    assert [path for path in (tmp_path / "hub").rglob("*") if path.is_file()] == []


def test_a_damaged_file_in_the_cache_is_named_and_no_traceback(tmp_path, caplog):
    cached = tmp_path / "cache" / "inr-plugins" / lpips_module._weights_url().rsplit("/", 1)[-1]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half of the weights")
    assert metrics.lpips(*pair((64, 64))) is None
    assert f"remove the damaged file {cached}" in caplog.messages[0]


def test_code_in_a_file_of_weights_is_not_run(tmp_path, monkeypatch):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "payload"),)

    torch.save({"features.0.weight": Payload()}, tmp_path / "weights.pth")
    monkeypatch.setenv("INR_LPIPS", str(tmp_path / "weights.pth"))
    with pytest.raises(InputError, match=r"weights\.pth"):
        metrics.lpips(*pair((64, 64)))
    assert not (tmp_path / "payload").exists()


def test_without_a_home_no_folder_called_tilde_is_made(monkeypatch, tmp_path):
    # What torch says where nobody has a home.
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "~/.cache/torch/hub")
    assert [path.is_relative_to(tmp_path) for path in lpips_module._cached_weights()] == [True]


def test_lpips_off_is_silent(monkeypatch, caplog):
    monkeypatch.setenv("INR_LPIPS", "off")
    assert metrics.lpips(*pair((64, 64))) is None
    assert caplog.messages == []


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_wrong_weights_are_an_input_error(monkeypatch, tmp_path, content):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("INR_LPIPS", str(path))
    with pytest.raises(InputError, match=r"weights\.pth"):
        metrics.lpips(*pair((64, 64)))


def random_alexnet(path: Path) -> nn.Sequential:
    """Save AlexNet weights (random features, a classifier of zeros that takes no room); return the features."""
    from torchvision.models import alexnet

    torch.manual_seed(0)
    with torch.device("meta"):
        skeleton = alexnet()
    state = {
        name: torch.randn(value.shape) * 0.05 if name.startswith("features") else torch.zeros(1).expand(value.shape)
        for name, value in skeleton.state_dict().items()
    }
    torch.save(state, path)
    features = skeleton.features.to_empty(device="cpu")
    features.load_state_dict({name[len("features.") :]: v for name, v in state.items() if name.startswith("feat")})
    return features


def test_lpips_equals_its_formula(monkeypatch, tmp_path):
    features = random_alexnet(tmp_path / "any name.pth")
    monkeypatch.setenv("INR_LPIPS", str(tmp_path / "any name.pth"))
    pred, target = pair((64, 70))
    value = metrics.lpips(pred, target)

    origin = find_spec("torchmetrics")
    assert origin is not None
    assert origin.origin is not None
    heads = torch.load(Path(origin.origin).parent / "functional/image/lpips_models/alex.pth", "cpu", weights_only=True)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    a, b = (((x * 2 - 1 - shift) / scale).movedim(-1, 0)[None] for x in (pred, target))
    expected, head = 0.0, 0
    for index, layer in enumerate(features):
        # The features overwrite their input: each gets its own.
        a, b = layer(a.clone()), layer(b.clone())
        if index in (1, 4, 7, 9, 11):
            unit_a, unit_b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
            weights = heads[f"lin{head}.model.1.weight"]
            expected += float(((unit_a - unit_b) ** 2 * weights.view(1, -1, 1, 1)).sum(1).mean())
            head += 1
    assert value == pytest.approx(expected, rel=1e-3)
    assert np.isfinite(value)
    assert metrics.lpips(target, target) == pytest.approx(0.0, abs=1e-6)
    assert "lpips" in metrics.image_metrics(pred, target)
