"""Models that hold an LPIPS metric, built and loaded where its weights are not to be had."""

from __future__ import annotations

import math
import urllib.error

import pytest
import torch
from long_form import long_form
from torch import nn

from inr_plugins.engine.offline_lpips import (
    LpipsWithoutWeights,
    install_without_weights,
    weights_at_hand,
    without_lpips_weights,
)


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    """An empty cache of weights, no server, and torchmetrics as it was afterwards."""
    from torchmetrics import image
    from torchmetrics.image import lpip

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    for module in (image, lpip):
        name = "LearnedPerceptualImagePatchSimilarity"
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    usual = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield
    torch.hub.set_dir(usual)


class Model(nn.Module):
    """Builds its metric as nerfstudio's models do."""

    def __init__(self) -> None:
        super().__init__()
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        self.layer = nn.Linear(2, 2)
        self.lpips = LearnedPerceptualImagePatchSimilarity(normalize=True)


def put_weights_into_the_cache(tmp_path) -> None:
    """Random weights under the name of AlexNet's, without which torch would download them."""
    import torchvision

    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    url = torchvision.models.AlexNet_Weights.DEFAULT.url
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), folder / url.rsplit("/", 1)[-1])


def test_without_it_such_a_model_cannot_be_built():
    with pytest.raises(urllib.error.URLError):
        Model()


def test_a_model_is_built_without_weights_and_only_inside():
    with without_lpips_weights():
        model = Model()
    assert isinstance(model.lpips, LpipsWithoutWeights)
    assert set(model.state_dict()) == {"layer.weight", "layer.bias"}
    image = torch.rand(1, 3, 8, 8)
    assert math.isnan(float(model.lpips(image, image)))
    with pytest.raises(urllib.error.URLError):
        Model()


def test_the_name_in_torchmetrics_image_is_replaced_too():
    from torchmetrics import image

    with without_lpips_weights():
        assert isinstance(image.LearnedPerceptualImagePatchSimilarity(), LpipsWithoutWeights)
        assert isinstance(image.LearnedPerceptualImagePatchSimilarity("vgg"), LpipsWithoutWeights)
    assert isinstance(image.LearnedPerceptualImagePatchSimilarity, type)


def test_an_error_inside_leaves_torchmetrics_as_it_was():
    from torchmetrics.image import lpip

    with pytest.raises(KeyError), without_lpips_weights():
        raise KeyError
    assert isinstance(lpip.LearnedPerceptualImagePatchSimilarity, type)


@long_form
def test_weights_at_hand_are_used_and_checkpoints_of_both_kinds_load_strictly(tmp_path):
    with without_lpips_weights():
        without = Model()
        put_weights_into_the_cache(tmp_path)
        with_weights = Model()
    written_with, written_without = with_weights.state_dict(), without.state_dict()
    assert weights_at_hand("alex")
    assert not weights_at_hand("vgg")
    assert any(key.startswith("lpips.net.") for key in written_with)
    image = torch.rand(1, 3, 64, 64)
    assert float(with_weights.lpips(image, image)) == 0.0
    for state in (written_with, written_without):
        without.layer.weight.data.zero_()
        assert without.load_state_dict(state, strict=True) == ([], [])
        assert torch.equal(without.layer.weight, state["layer.weight"])
    with pytest.raises(RuntimeError, match="layer"):
        without.load_state_dict({key: value for key, value in written_with.items() if key != "layer.bias"})


def test_installed_it_stays_and_may_be_installed_again():
    install_without_weights()
    install_without_weights()
    assert isinstance(Model().lpips, LpipsWithoutWeights)
    with without_lpips_weights():
        assert isinstance(Model().lpips, LpipsWithoutWeights)
    assert isinstance(Model().lpips, LpipsWithoutWeights)


def test_an_unknown_network_is_refused_as_usual():
    from torchmetrics.image import lpip

    with without_lpips_weights(), pytest.raises(ValueError, match="net_type"):
        lpip.LearnedPerceptualImagePatchSimilarity(net_type="resnet")
