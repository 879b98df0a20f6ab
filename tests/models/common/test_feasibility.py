"""What cannot be trained is refused before anything is read or made: settings that do not go together, and sizes."""

import copy

import pytest
import torch
from inr_plugins.method_configs.cn_mipnerf import cn_mipnerf
from inr_plugins.method_configs.diner import diner
from inr_plugins.method_configs.finer_nerf import finer_nerf
from inr_plugins.method_configs.neus import cn_neus
from inr_plugins.method_configs.nid import nid_fit, nid_shapes
from inr_plugins.method_configs.shapes import cn_occupancy, finer_sdf

from inr_plugins.errors import InputError
from inr_plugins.models.common import feasibility
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig


@pytest.mark.parametrize(
    ("preset", "changes", "said"),
    [
        (diner, {"network.skips": (4,)}, "skips name hidden layers"),
        (diner, {"network.octaves": 3}, "has no octaves"),
        (diner, {"network.encoding": "integrated"}, "needs the covariance"),
        (finer_nerf, {"encoding": "positional", "octaves": 0}, "octaves of an encoding"),
        (finer_nerf, {"activation": "wavelet", "normalization": "cross"}, "complex numbers"),
        (cn_mipnerf, {"width": 65_536, "hidden_layers": 1024}, "--pipeline.model.width and --pipeline.model.hidden-la"),
        (cn_neus, {"colour_width": 65_536, "colour_layers": 1024}, "--pipeline.model.colour-width and"),
        (finer_sdf, {"activation": "relu", "omega": 3.0}, "omega"),
        (cn_occupancy, {"octaves": 30}, "octaves"),
        (nid_shapes, {"active": 5000}, "--pipeline.model.active must be at most"),
        (
            nid_shapes,
            {"experts": 10**6, "patches": 64},
            "--pipeline.model.experts and --pipeline.model.patches ask",
        ),
        (nid_fit, {"offsets": ()}, "--pipeline.model.offsets"),
    ],
)
def test_no_folder_is_made_for_what_cannot_be_trained(preset, changes, said, tmp_path):
    config = copy.deepcopy(preset.config)
    config.output_dir, config.experiment_name, config.machine.device_type = tmp_path / "outputs", "mine", "cpu"
    config.check_options()
    for name, value in changes.items():
        holder = config.pipeline.model.network if "." in name else config.pipeline.model
        setattr(holder, name.rpartition(".")[2], value)
    with pytest.raises(InputError, match=said) as caught:
        config.check_options()
    assert "\n" not in str(caught.value)
    if preset is not nid_fit:
        with pytest.raises(InputError, match=said):
            config.set_timestamp()
    assert not (tmp_path / "outputs").exists()


def test_room_is_that_of_the_machine(monkeypatch):
    monkeypatch.setattr(feasibility, "memory_bytes", lambda: 8 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    feasibility.check_room(2 * 10**9, "width")
    with pytest.raises(InputError, match=r"model\.width asks for 32 GB of memory, and this machine has 8: lower it"):
        feasibility.check_room(2 * 10**9, "width", copies=4)
    monkeypatch.setattr(feasibility, "memory_bytes", lambda: None)
    feasibility.check_room(10**12, "width")


def test_a_graphics_card_has_memory_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    feasibility.check_room(10**15, "width")


def test_hidden_weights_are_nearly_all_of_a_wide_network():
    config = CoordinateNetworkConfig(width=200, hidden_layers=4)
    there = sum(each.numel() for each in config.build(3, 1).parameters())
    assert 0.98 * there < feasibility.hidden_weights(config) <= there
