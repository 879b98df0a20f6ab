"""Codes of pieces of pictures, against a dictionary's own atoms and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.fields.dictionary_picture import CodedPictures, PictureDictionary
from inr_plugins.fields.dictionary_settings import DictionarySettings
from inr_plugins.fields.picture_codes import (
    Pieces,
    _Around,
    all_atoms,
    coded_at_once,
    encoded,
    largest_of,
    least_squares,
    most_likely,
    pursued,
)
from inr_plugins.fields.picture_pieces import PicturePieces
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.dictionary.picture_gate import PictureGate
from inr_plugins.signal_grid import PixelGrid
from inr_plugins.sparse_codes.code_prior import CodePrior
from inr_plugins.sparse_codes.many_codes import likely_code

EXPERTS, CHANNELS = 9, 2


def dictionary(width=5, height=4, *, pieces=None):
    torch.manual_seed(0)
    trunk = CoordinateNetworkConfig(activation="sine", omega=8.0, width=10, hidden_layers=2)
    pieces = pieces or PicturePieces(width, height)
    made = PictureDictionary(DictionarySettings(trunk, EXPERTS, 3, 4), pieces, CHANNELS)
    torch.nn.init.normal_(made.bank.last_weight)
    return made.requires_grad_(False).eval()


def atoms_of(made):
    """(pixels, channels, numbers of a code), each expert by itself."""
    places = made.pieces.grid.middles(torch.arange(made.pieces.grid.count))
    h, bank = made.trunk(places), made.bank
    each = [
        bank.activation(h @ bank.hidden_weight[j].T + bank.hidden_bias[j]) @ bank.last_weight[j] + bank.last_bias[j]
        for j in range(EXPERTS)
    ]
    constants = [torch.eye(CHANNELS)[c].expand(len(places), CHANNELS) for c in range(CHANNELS)]
    return torch.stack([*each, *constants], -1).double()


def known_all(values):
    return Pieces(values, torch.ones(values.shape[:2], dtype=torch.bool))


def test_a_dictionary_is_the_same_after_it_was_saved():
    made = dictionary()
    again = PictureDictionary.of({name: value.clone() for name, value in made.state_dict().items()})
    places = torch.rand(7, 2) - 0.5
    torch.testing.assert_close(again.atoms(places), made.atoms(places))
    assert again.pieces == made.pieces
    torch.testing.assert_close(
        made.atoms(made.pieces.grid.middles(torch.arange(20))).double(), atoms_of(made), atol=1e-5, rtol=0
    )


def test_pictures_are_read_out_between_pixels_and_frames_are_pictures():
    made = dictionary()
    codes = torch.randn(3, EXPERTS + CHANNELS)
    field = CodedPictures(made, PixelGrid(5, 4, 3), made.pieces, lambda: codes)
    place = torch.tensor([[1.25, 2.5, 2.0], [0.0, 0.0, 1.2], [-3.0, 9.0, 7.0]], dtype=torch.float64)
    local = torch.tensor([[(2 * 1.25 + 1 - 5) / 5, (2 * 2.5 + 1 - 4) / 5], [-0.8, -0.6], [-1.0, 0.8]])
    wanted = torch.einsum("pcl,pl->pc", made.atoms(local), codes[[2, 1, 2]])
    torch.testing.assert_close(field.at(place), (wanted + 1) / 2, atol=1e-5, rtol=0)


def test_least_squares_are_those_of_numpy_with_a_row_for_each_number_of_the_code():
    made = dictionary()
    atoms, values = all_atoms(made), torch.randn(6, 20, CHANNELS)
    torch.testing.assert_close(atoms, atoms_of(made).flatten(0, 1), atol=1e-5, rtol=0)
    for ridge in (0.5, 1e-3):
        found = least_squares(atoms, values.flatten(1), channels=CHANNELS, ridge=ridge)
        own = atoms[:, :EXPERTS]
        size = np.sqrt(ridge * float(own.square().sum(0).mean()))
        rows = np.vstack([atoms.numpy(), size * np.eye(EXPERTS, EXPERTS + CHANNELS)])
        right = np.vstack([values.flatten(1).numpy().T, np.zeros((EXPERTS, 6))])
        wanted = np.linalg.lstsq(rows, right, rcond=None)[0].T
        assert found.dtype == values.dtype
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)


def test_what_least_squares_miss_has_the_gradient_that_it_has_where_codes_follow_the_experts():
    # By differences of what is missed with codes solved for anew.
    atoms, values = all_atoms(dictionary()), torch.randn(6, 20 * CHANNELS, dtype=torch.float64)

    def missed(atoms, codes=None):
        if codes is None:
            codes = least_squares(atoms.detach(), values, channels=CHANNELS, ridge=0.0)
        return (values - codes @ atoms.T).square().mean()

    learnt = atoms.clone().requires_grad_()
    missed(learnt).backward()
    way = torch.randn_like(atoms)
    way[:, EXPERTS:] = 0
    step = 1e-5
    by_differences = (missed(atoms + step * way) - missed(atoms - step * way)) / (2 * step)
    torch.testing.assert_close((learnt.grad * way).sum(), by_differences, rtol=1e-4, atol=1e-9)


def sparse_codes(rows, most):
    """Of different experts, one to so many of them in each row."""
    codes = torch.randn(rows, EXPERTS + CHANNELS)
    for number, row in enumerate(codes):
        row[torch.randperm(EXPERTS)[number % most + 1 :]] = 0
    return codes


def by_atoms(made, pieces, codes, place):
    """Values at places of the first picture, by all experts at each."""
    number, weight, local = pieces.around(place)
    total = torch.zeros(len(place), CHANNELS)
    for each in range(number.shape[1]):
        atoms = made.atoms(local[:, each].float())
        total += weight[:, each, None].float() * torch.einsum("pcl,pl->pc", atoms, codes[number[:, each]])
    return (total + 1) / 2


@pytest.mark.parametrize("overlap", [0, 2])
def test_between_pixels_the_experts_of_each_patch_alone_say_what_all_do(overlap, monkeypatch):
    pieces = PicturePieces(13, 10, 4, overlap)
    made = dictionary(pieces=pieces)
    codes = sparse_codes(pieces.count, 3)
    field = CodedPictures(made, PixelGrid(13, 10), pieces, lambda: codes)
    place = torch.rand(500, 2, dtype=torch.float64) * torch.tensor([13, 10]) - 0.5
    # A patch with one place, and many with none.
    place[:200] = torch.rand(200, 2) + 5
    place[0] = torch.tensor([12.2, 9.2])
    wanted = by_atoms(made, pieces, codes, place)
    asked, selected = [], made.bank.selected

    def counted(h, index, weight):
        asked.append(h.shape[1] * index.numel())
        return selected(h, index, weight)

    monkeypatch.setattr(made.bank, "selected", counted)
    torch.testing.assert_close(field.at(place), wanted, atol=2e-6, rtol=0)
    evaluations = int((pieces.around(place)[1] > 0).sum()) * EXPERTS
    assert 0 < sum(asked) < 0.6 * evaluations
    assert field.at(place[:0]).shape == (0, CHANNELS)


def test_at_the_middles_of_pixels_all_experts_are_evaluated_once_for_all_patches(monkeypatch):
    pieces = PicturePieces(12, 12, 4)
    made = dictionary(pieces=pieces)
    codes = sparse_codes(pieces.count, 4)
    field = CodedPictures(made, PixelGrid(12, 12), pieces, lambda: codes)
    monkeypatch.setattr(made.bank, "selected", None)
    middles = field.grid.indices(torch.arange(144)).double()
    torch.testing.assert_close(field(None), by_atoms(made, pieces, codes, middles), atol=2e-6, rtol=0)


def test_the_largest_entries_are_those_of_experts_and_channels_stay():
    raw = torch.tensor([[0.1, -3.0, 2.0, 0.5, 0.01, -0.02]])
    assert largest_of(raw, 4, 2).tolist() == [[0.0, -3.0, 2.0, 0.0, *raw[0, 4:].tolist()]]


def test_an_encoder_sees_what_is_left_of_the_mean_and_corrects_it():
    torch.manual_seed(0)
    gate = PictureGate(5, 4, CHANNELS, EXPERTS + CHANNELS)
    pieces = torch.rand(6, 20, CHANNELS)
    mean = pieces.mean(1)
    raw = encoded(gate, pieces)
    expected = gate(pieces - mean[:, None])
    torch.testing.assert_close(raw[:, :EXPERTS], expected[:, :EXPERTS])
    torch.testing.assert_close(raw[:, EXPERTS:], expected[:, EXPERTS:] + mean)
    kept = coded_at_once(gate, known_all(pieces), 3)
    assert (kept[:, :EXPERTS] != 0).sum(1).tolist() == [3] * 6
    torch.testing.assert_close(kept[:, EXPERTS:], raw[:, EXPERTS:])


def test_a_pursuit_has_every_channels_constant_and_so_many_experts():
    made = dictionary()
    values = torch.rand(5, 20, CHANNELS)
    alone = pursued(made, known_all(values), 3, pictures=5)
    assert (alone[:, :EXPERTS] != 0).sum(1).tolist() == [3] * 5
    codes = pursued(made, known_all(torch.cat([values[:4], 0.1 * values[4:] + 0.4])), 3, pictures=1)
    used = (codes[:, :EXPERTS] != 0).sum(1)
    assert int(used.sum()) == 5 * 3
    # What has little contrast needs few, and none has more than one and a half times as many.
    assert int(used[4]) < 3
    assert int(used.max()) == 4
    values[4] = 0.1 * values[4] + 0.4
    assert bool((codes[:, EXPERTS:] != 0).all())
    atoms = atoms_of(made).flatten(0, 1).numpy()
    for code, value in zip(codes.numpy(), values.numpy(), strict=True):
        (used,) = code.nonzero()
        best, *_ = np.linalg.lstsq(atoms[:, used], value.reshape(-1), rcond=None)
        np.testing.assert_allclose(code[used], best, atol=2e-3)


def prior():
    torch.manual_seed(1)
    return CodePrior.from_codes(torch.randn(30, EXPERTS + CHANNELS), isotropic=0.2)


def test_sixteen_pixels_count_as_one_where_something_is_missing():
    made, values = dictionary(), torch.rand(2, 20, CHANNELS)
    known = torch.ones(2, 20, dtype=torch.bool)
    known[1, 5:9] = False
    codes, believed = most_likely(made, Pieces(values, known), prior(), robust=False)
    assert torch.equal(believed, known)
    atoms = atoms_of(made).flatten(0, 1)
    for number, independent in enumerate((1.0, 1 / 16)):
        each = known[number].repeat_interleave(CHANNELS)
        wanted = likely_code(atoms, values[number].flatten(), prior(), known=each, independent=independent)
        torch.testing.assert_close(codes[number], wanted.code, atol=1e-3, rtol=1e-3)
    nothing, _ = most_likely(made, Pieces(values[:1], ~known[:1]), prior(), robust=False)
    torch.testing.assert_close(nothing[0], prior().mean)


def test_what_is_wrong_in_one_channel_is_not_believed_in_any():
    made = dictionary(40, 40)
    code = torch.randn(EXPERTS + CHANNELS, dtype=torch.float64) / 3
    values = torch.einsum("pcl,l->pc", atoms_of(made), code).float()
    values += 0.01 * torch.randn_like(values)
    wrong = torch.zeros(40, 40, dtype=torch.bool)
    wrong[10:20, 5:15] = True
    values[wrong.flatten(), 1] += 2
    _, believed = most_likely(made, known_all(values[None]), prior(), robust=True)
    left_out = ~believed.view(40, 40)
    assert bool(left_out[wrong].all())
    # A sixteenth of 40 pixels is averaged over, 1 to either side, and neighbours go with it.
    assert int(left_out.sum()) == 14 * 14


def test_means_around_are_those_of_a_loop_over_what_is_known():
    made = dictionary(6, 5)
    around = _Around(made)
    known = torch.rand(5, 6, CHANNELS) < 0.8
    numbers = torch.rand(5, 6, CHANNELS, dtype=torch.float64)
    found = torch.zeros(5, 6, CHANNELS, dtype=torch.float64)
    found[known] = around(numbers[known], known=known.flatten())
    for row, column, channel in known.nonzero().tolist():
        near = (slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2), channel)
        np.testing.assert_allclose(found[row, column, channel], numbers[near][known[near]].mean())
