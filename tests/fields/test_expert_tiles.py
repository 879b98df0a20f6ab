"""Small pictures of a dictionary's experts, against the experts themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.fields.dictionary_picture import PictureDictionary
from inr_plugins.fields.dictionary_settings import DictionarySettings
from inr_plugins.fields.expert_tiles import expert_tiles, strongest_experts
from inr_plugins.fields.picture_pieces import PicturePieces
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig


def dictionary(channels):
    torch.manual_seed(0)
    trunk = CoordinateNetworkConfig(activation="sine", omega=5.0, width=8, hidden_layers=2)
    made = PictureDictionary(DictionarySettings(trunk, 6, 3, 4), PicturePieces(8, 4), channels)
    return made.requires_grad_(False).eval()


def test_experts_are_ranked_by_what_they_add_in_all_patches():
    made = dictionary(2)
    # Expert 4 is a hundred times as large as it was, and 1 says nothing.
    for table in (made.bank.last_weight, made.bank.last_bias):
        table[4] *= 100
        table[1] = 0
    made.bank.last_bias[:] = made.bank.last_bias + 1e-3
    made.bank.last_bias[1] = 0
    code = torch.zeros(3, 8)
    code[0, 4], code[1, 1], code[:, 7] = 0.5, 10.0, 50.0
    code[0, 2], code[1, 2], code[2, 5] = 1.0, -1.0, 1e-3
    assert strongest_experts(made, code, 5) == [4, 2, 5]
    assert strongest_experts(made, code, 1) == [4]


@pytest.mark.parametrize(
    ("channels", "has_alpha", "shown"), [(1, False, [0, 0, 0]), (3, False, [0, 1, 2]), (2, True, [0, 0, 0])]
)
def test_a_tile_is_an_expert_over_a_piece_and_zero_is_grey(channels, has_alpha, shown):
    made = dictionary(channels)
    tiles = expert_tiles(made, [3, 0, 5], columns=2, side=16, has_alpha=has_alpha)
    # Pieces are twice as wide as high.
    assert tiles.shape == (2 * 8 + 4, 2 * 16 + 4, 4)
    assert not tiles[8:12].any()
    assert not tiles[:, 16:20].any()
    assert not tiles[12:, 20:].any()
    for expert, top, left in ((3, 0, 0), (0, 0, 20), (5, 12, 0)):
        tile = tiles[top : top + 8, left : left + 16]
        x, y = np.meshgrid((np.arange(16) - 7.5) / 8, (np.arange(8) - 3.5) / 8)
        places = torch.from_numpy(np.stack([x, y], -1).reshape(-1, 2)).float()
        values = made.experts_at(places)[:, expert, shown].numpy().reshape(8, 16, 3)
        assert (tile[..., 3] == 255).all()
        np.testing.assert_allclose(tile[..., :3], 127.5 * (1 + values / np.abs(values).max()), atol=0.6)
