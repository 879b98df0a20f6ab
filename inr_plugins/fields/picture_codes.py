"""Codes of pieces of pictures over a dictionary: by its encoder, by matching pursuit, or the most likely ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.dictionary_picture import PictureDictionary
from inr_plugins.networks.dictionary.picture_gate import PictureGate
from inr_plugins.sparse_codes.code_prior import CodePrior
from inr_plugins.sparse_codes.many_codes import likely_code, likely_codes, pursue

_PURSUED_AT_ONCE = 512
"""Signals of a pursuit at once: 96 atoms of 256 take 100 MB."""
_RIDGE = 1e-6
_AT_MOST = 1.5
"""Experts of a piece at the most, of those that all pieces of its picture have on the average. (50 faces, 64 on the
average: 33.32 dB where all have as many, 33.79 dB with 1.5, 33.80 dB with 2, at 54, 28 and 18 pictures a second.)"""
_INDEPENDENT = 1 / 16
"""Of pixels, where some are missing or may be wrong."""
_SQUARES = 16
"""Of which the longer side of a piece has so many, over which errors are averaged."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of pictures.

    Attributes:
        values: of their pixels, row by row, in [-1, 1].
        known: which of these there are.
    """

    values: Float[Tensor, "s p c"]
    known: Bool[Tensor, "s p"]


def largest_of(raw: Float[Tensor, "s l"], experts: int, k: int) -> Float[Tensor, "s l"]:
    """Codes with the k largest entries of their experts, in size, and 0 for the others; channels stay."""
    index = raw[:, :experts].detach().abs().topk(k, dim=1).indices
    kept = torch.zeros_like(raw[:, :experts]).scatter(1, index, 1.0)
    return torch.cat([raw[:, :experts] * kept, raw[:, experts:]], 1)


def encoded(gate: PictureGate, pieces: Float[Tensor, "s n c"]) -> Float[Tensor, "s l"]:
    """Raw codes of pieces by an encoder: of what is left of their mean colours, which it corrects.

    Args:
        gate: of as many numbers as a code has, channels last.
        pieces: numbers in [-1, 1].
    """
    mean = pieces.mean(1)
    raw = gate(pieces - mean[:, None])
    channels = mean.shape[1]
    return torch.cat([raw[:, :-channels], raw[:, -channels:] + mean], 1)


@torch.no_grad()
def least_squares(
    atoms: Float[Tensor, "m l"], values: Float[Tensor, "s m"], *, channels: int, ridge: float
) -> Float[Tensor, "s l"]:
    """Codes of all experts that miss the values of pieces at some places least, |y - Φ α|² + r |α|² over experts.

    Where codes are these, what is missed has the same gradient in the experts whether codes follow them or not, as it
    has none in the codes (variable projection, Golub and Pereyra 1973; but for r).

    Args:
        atoms: Φ, an equation for each channel of each place, channels' constants last.
        values: y, in the same order; numbers in [-1, 1].
        channels: how many.
        ridge: r, as a share of the experts' mean square length: they begin much alike.
    """
    rows, right = atoms.double(), values.double()
    gram = rows.T @ rows
    more = torch.zeros_like(gram.diagonal())
    more[:-channels] = ridge * gram.diagonal()[:-channels].mean() + 1e-12
    factor = torch.linalg.cholesky(gram + more.diag())
    return torch.cholesky_solve(rows.T @ right.T, factor).T.to(values)


@torch.no_grad()
def coded_at_once(gate: PictureGate, pieces: Pieces, k: int) -> Float[Tensor, "s l"]:
    """Codes of k experts by an encoder."""
    channels = pieces.values.shape[-1]
    raw = encoded(gate, pieces.values)
    return largest_of(raw, raw.shape[1] - channels, k)


@torch.no_grad()
def pursued(dictionary: PictureDictionary, pieces: Pieces, k: int, *, pictures: int) -> Float[Tensor, "s l"]:
    """Codes of k experts on the average of a picture's pieces, by orthogonal matching pursuit; all is known.

    A piece takes as many as gain more than those of other pieces of its picture, up to one and a half times k; and the
    channels' constants.

    Args:
        dictionary: of the pieces.
        pieces: of pictures one after another, equally many of each.
        k: experts.
        pictures: how many these are.
    """
    atoms, experts = all_atoms(dictionary), dictionary.settings.experts
    gram, constants = atoms.T @ atoms, torch.arange(experts, dictionary.code_length)
    of_each = len(pieces.values) // pictures
    most = min(int(_AT_MOST * k), experts) if of_each > 1 else k
    found = []
    for values in pieces.values.split(of_each * max(1, _PURSUED_AT_ONCE // of_each)):
        moments, count = values.flatten(1).double() @ atoms, len(values) // of_each
        pursuit = pursue(gram, moments, most + len(constants), first=constants.to(gram.device), ridge=_RIDGE)
        pursuit.gains[:, : len(constants)] = torch.inf
        taken = pursuit.shared_out(of_each * (k + len(constants)), count)
        found.append(torch.zeros_like(moments).scatter(1, pursuit.index, pursuit.weights(taken)))
    return torch.cat(found)


@torch.no_grad()
def most_likely(
    dictionary: PictureDictionary, pieces: Pieces, prior: CodePrior, *, robust: bool
) -> tuple[Float[Tensor, "s l"], Bool[Tensor, "s p"]]:
    """Codes by a prior; of a piece of which nothing is known, the prior's mean.

    Where pixels are missing or may be wrong, sixteen of them count as one: what is missed is alike at neighbours, and a
    code that follows it goes astray where nothing holds it. (25 faces of 64 x 64 pixels with a hole of 17 x 17: 20.98
    dB in it, 20.18 where each counts, 20.29 where 64 count as one.)

    Args:
        dictionary: of the pieces.
        pieces: the pixels; robust, what is not known is taken as wrong.
        prior: of codes.
        robust: whether some of the known pixels may be wrong, and are looked for.

    Returns:
        Codes, and the pixels that are known and believed in every channel.
    """
    atoms, channels = all_atoms(dictionary), dictionary.channels
    codes, believed = prior.mean.to(atoms).repeat(len(pieces.values), 1), pieces.known.clone()
    if robust:
        around = _Around(dictionary)
        for number in pieces.known.any(1).nonzero()[:, 0].tolist():
            each = pieces.known[number].repeat_interleave(channels)
            found = likely_code(
                atoms,
                pieces.values[number].flatten(),
                prior,
                known=each,
                independent=_INDEPENDENT,
                around=partial(around, known=each),
            )
            codes[number], believed[number] = found.code, found.used.view(-1, channels).all(-1)
        return codes, believed
    # Pieces of which the same is known have the same equations.
    different, which = torch.unique(pieces.known, dim=0, return_inverse=True)
    for number, known in enumerate(different):
        if bool(known.any()):
            some, each = (which == number).nonzero()[:, 0], known.repeat_interleave(channels)
            independent = 1.0 if bool(known.all()) else _INDEPENDENT
            wanted = pieces.values[some].flatten(1)[:, each]
            codes[some], _ = likely_codes(atoms[each], wanted, prior, independent=independent)
    return codes, believed


class _Around:
    """Means over a small square of pixels around each equation of a piece, of its own channel."""

    def __init__(self, dictionary: PictureDictionary) -> None:
        self.grid, self.channels = dictionary.pieces.grid, dictionary.channels
        self.reach = max(1, round(self.grid.longer / _SQUARES / 2))

    def __call__(self, numbers: Tensor, *, known: Bool[Tensor, " m"]) -> Tensor:
        """Of numbers at the equations that are known, over those."""
        shape = (self.grid.height, self.grid.width, self.channels)
        sums = []
        for values in (numbers.new_zeros(len(known)).masked_scatter(known, numbers), known.to(numbers)):
            planes = values.view(shape).permute(2, 0, 1)[:, None]
            sums.append(F.avg_pool2d(planes, 2 * self.reach + 1, 1, self.reach)[:, 0].permute(1, 2, 0).flatten())
        return (sums[0] / sums[1].clamp(min=1e-12))[known]


def all_atoms(dictionary: PictureDictionary) -> Float[Tensor, "pc l"]:
    """What each number of a code adds in each channel of each pixel of a piece, float64."""
    grid = dictionary.pieces.grid
    device = next(dictionary.parameters()).device
    places = grid.middles(torch.arange(grid.count, device=device))
    return torch.cat([dictionary.atoms(part) for part in places.split(1024)]).flatten(0, 1).double()
