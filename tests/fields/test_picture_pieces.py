"""Pictures cut into patches and put together again, against loops over patches and pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.fields.picture_pieces import PicturePieces


def begins(side, patch, overlap):
    found = []
    at = 0
    while at + patch < side:
        found.append(at)
        at += patch - overlap
    return [*found, side - patch]


@pytest.mark.parametrize(
    ("width", "height", "patch", "overlap"), [(12, 8, 4, 0), (11, 9, 4, 0), (13, 10, 5, 2), (7, 7, 7, 3)]
)
def test_pieces_are_those_of_a_loop(width, height, patch, overlap):
    pieces = PicturePieces(width, height, patch, overlap)
    pictures = torch.rand(2, height, width, 3)
    expected = [
        [
            picture[top : top + patch, left : left + patch].reshape(-1, 3)
            for top in begins(height, patch, overlap)
            for left in begins(width, patch, overlap)
        ]
        for picture in pictures
    ]
    found = pieces.cut(pictures)
    assert pieces.count == len(expected[0])
    torch.testing.assert_close(found, torch.stack([torch.stack(each) for each in expected]))


def test_a_picture_without_patches_is_one_piece():
    pieces = PicturePieces(5, 3)
    pictures = torch.rand(2, 3, 5, 1)
    torch.testing.assert_close(pieces.cut(pictures), pictures.view(2, 1, 15, 1))
    number, weight, at = pieces.around(torch.tensor([[0.0, 0.0], [4.5, 2.5]]))
    assert number.tolist() == [[0], [0]]
    assert weight.tolist() == [[1.0], [1.0]]
    # The longer side lies in [-1, 1].
    torch.testing.assert_close(at[:, 0], torch.tensor([[-0.8, -0.4], [1.0, 0.6]]))


@pytest.mark.parametrize(
    ("width", "height", "patch", "overlap"), [(12, 8, 4, 0), (11, 9, 4, 1), (13, 10, 5, 3), (20, 6, 6, 2)]
)
def test_places_are_in_the_pieces_that_reach_there_and_weighed_by_how_deep(width, height, patch, overlap):
    pieces = PicturePieces(width, height, patch, overlap)
    places = torch.rand(200, 2, dtype=torch.float64) * torch.tensor([width, height]) - 0.5
    number, weight, at = pieces.around(places)
    lefts, tops = begins(width, patch, overlap), begins(height, patch, overlap)
    for (x, y), numbers, weights, ats in zip(
        places.tolist(), number.tolist(), weight.tolist(), at.tolist(), strict=True
    ):
        depth = {}
        for row, top in enumerate(tops):
            for column, left in enumerate(lefts):
                inside = (x - left + 0.5, left + patch - 0.5 - x), (y - top + 0.5, top + patch - 0.5 - y)
                if min(map(min, inside)) >= 0:
                    depth[row * len(lefts) + column] = np.prod([max(min(each), 1e-6) for each in inside])
        found = {n: w for n, w in zip(numbers, weights, strict=True) if w > 0}
        total = sum(depth.values())
        assert found.keys() == depth.keys()
        for n, share in depth.items():
            assert found[n] == pytest.approx(share / total, abs=1e-9)
            column, row = n % len(lefts), n // len(lefts)
            expected = [(2 * (x - lefts[column]) + 1 - patch) / patch, (2 * (y - tops[row]) + 1 - patch) / patch]
            assert ats[next(k for k, other in enumerate(numbers) if other == n and weights[k] > 0)] == pytest.approx(
                expected
            )


def test_overlapping_patches_leave_no_seam():
    pieces = PicturePieces(13, 5, 5, 3)
    values = torch.rand(pieces.count, dtype=torch.float64)
    x = torch.linspace(-0.5, 12.5, 4001, dtype=torch.float64)
    number, weight, _ = pieces.around(torch.stack([x, torch.full_like(x, 2.0)], -1))
    blended = (values[number] * weight).sum(1)
    assert float(blended.diff().abs().max()) < 0.01


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="a patch of 8 pixels is larger than a picture of 10 x 7"):
        PicturePieces(10, 7, 8)
    with pytest.raises(ValueError, match="overlap must be 0 and more, and less than a patch of 4, got 4"):
        PicturePieces(10, 7, 4, 4)
