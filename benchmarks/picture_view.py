"""Places of dictionaries of pictures a second, as the page sees them: the experts of each patch, beside all of them.

.venv/bin/python benchmarks/picture_view.py [--side 256] [--rounds 5] [--threads 1]

A view of one of three pictures of random codes over a fresh dictionary of the usual size, and the middles of all pixels
of all three. Both ways take turns; the median of the processors' seconds counts. What they say differs by rounding.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from side_by_side import in_turns
from torch import Tensor

from inr_plugins.fields.dictionary_picture import CodedPictures, PictureDictionary
from inr_plugins.fields.picture_codes import largest_of
from inr_plugins.fields.picture_pieces import PicturePieces
from inr_plugins.models.nid.images import NidImagesModelConfig
from inr_plugins.signal_grid import PixelGrid

PICTURES = 3
ROWS = (
    ("grey, 64 x 64, patches of 16", 64, 1, 16, 0),
    ("colour, 64 x 64, patches of 16", 64, 3, 16, 0),
    ("grey, 64 x 64, overlap 4", 64, 1, 16, 4),
    ("grey, 256 x 256, patches of 16", 256, 1, 16, 0),
    ("grey, 64 x 64, whole", 64, 1, 0, 0),
)


def coded(side: int, channels: int, patch: int, overlap: int) -> CodedPictures:
    """Pictures of random codes."""
    torch.manual_seed(0)
    config = NidImagesModelConfig(patch=patch, overlap=overlap)
    pieces = PicturePieces(side, side, patch, overlap)
    dictionary = PictureDictionary(config.dictionary(pieces.grid.longer), pieces, channels)
    dictionary.requires_grad_(False).eval()
    raw = torch.randn(PICTURES * pieces.count, dictionary.code_length)
    codes = largest_of(raw, config.experts, config.resolved_active)
    return CodedPictures(dictionary, PixelGrid(side, side, PICTURES), pieces, lambda: codes)


@torch.no_grad()
def by_all_experts(field: CodedPictures, place: Tensor) -> Tensor:
    """What `field.at` says, by all experts at each place that differs from others in its patch."""
    (dictionary,), codes, found = field._dictionary, field._codes(), []
    for part in place.split(1 << 14):
        piece, weight, local = field.pieces.around(part[:, :2])
        piece = piece + part[:, 2:].long() * field.pieces.count
        different, back = torch.unique(local.flatten(0, 1).float(), dim=0, return_inverse=True)
        atoms, back = dictionary.atoms(different), back.view_as(piece)
        total = torch.zeros(len(part), field.channels)
        for each in range(piece.shape[1]):
            values = torch.einsum("nl,ncl->nc", codes[piece[:, each]], atoms[back[:, each]])
            total += weight[:, each, None].float() * values
        found.append((total + 1) / 2)
    return torch.cat(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256, help="places along a side of the view")
    parser.add_argument("--rounds", type=int, default=5, help="measured turns of each way")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| pictures | places | all experts, places/s | those of each patch, places/s | times | largest difference |")
    print("|" + "---|" * 6)
    for name, side, *sizes in ROWS:
        field = coded(side, *sizes)
        along = torch.linspace(-0.5, side - 0.5, options.side, dtype=torch.float64)
        rows, columns = torch.meshgrid(along, along, indexing="ij")
        view = torch.stack([columns.flatten(), rows.flatten(), torch.ones(options.side**2)], -1)
        middles = field.grid.indices(torch.arange(field.grid.count)).double()
        for seen, place in (("a view", view), ("middles of pixels", middles)):
            costs = in_turns(
                {"all": partial(by_all_experts, field, place), "own": partial(field.at, place)}, options.rounds
            )
            before, after = (len(place) / costs[way].cpu for way in ("all", "own"))
            off = float((by_all_experts(field, place) - field.at(place)).abs().max())
            print(f"| {name} | {seen} | {before:,.0f} | {after:,.0f} | {after / before:.2f} | {off:.1e} |", flush=True)


if __name__ == "__main__":
    main()
