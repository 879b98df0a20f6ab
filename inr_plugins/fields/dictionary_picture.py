"""A neural implicit dictionary of pictures: every picture, or patch of one, is a code over the same experts (NID)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inr_plugins.fields.dictionary_settings import DictionarySettings, decode, encode
from inr_plugins.fields.image import ImageField
from inr_plugins.fields.picture_pieces import PicturePieces
from inr_plugins.networks.dictionary.expert_bank import ExpertBank
from inr_plugins.networks.precision import Precision, autocast_of
from inr_plugins.signal_grid import PixelGrid

_QUERY_CHUNK = 1 << 14
"""Places that are evaluated at once."""
_PIECES_AT_ONCE = 4
"""Pieces whose experts are evaluated at once, each its own: more of them have places of less equal numbers."""
_OWN = "_extra_state"


class PictureDictionary(nn.Module):
    """Experts b_j over a shared trunk, of which pieces of pictures are combinations: f(x, y) = Σ_j α_j b_j(x, y) + m.

    Experts are evaluated in the piece's own frame and have the channels of the pictures; α_j is one number for all of
    them, and m one for each. A code is all of these, α before m, so that f is linear in it: with the experts, `atoms`
    has a constant for each channel. (The released code has a number more for each channel, too.) All in numbers of
    [-1, 1], as networks learn values of [0, 1].
    """

    def __init__(
        self,
        settings: DictionarySettings,
        pieces: PicturePieces,
        channels: int,
        *,
        precision: Precision = "float32",
    ) -> None:
        """
        Args:
            settings: of trunk and experts; pieces have no box, whose patches are those of `pieces`.
            pieces: how pictures are cut.
            channels: of a picture.
            precision: of the networks in training.
        """
        super().__init__()
        self.settings, self.pieces, self.channels, self.precision = settings, pieces, channels, precision
        self.trunk = settings.trunk.build(2, 1, make_head=lambda _: nn.Identity())
        self.bank = ExpertBank(
            self.trunk.features,
            settings.experts,
            settings.expert_width,
            channels,
            activation=self.trunk.activation,
            sparse_grad=False,
        )

    @property
    def code_length(self) -> int:
        """Numbers of the code of a piece: of the experts and of the channels."""
        return self.settings.experts + self.channels

    def get_extra_state(self) -> Tensor:
        """Sizes, saved among the tensors."""
        entries = {"settings": asdict(self.settings), "pieces": asdict(self.pieces), "channels": self.channels}
        return encode(entries)

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing: sizes are the constructor's."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> PictureDictionary:
        """That whose tensors these are, by name, frozen.

        Raises:
            ValueError: they are those of no dictionary of this version.
        """
        try:
            entries: dict[str, Any] = decode(tensors[_OWN])
            settings = DictionarySettings.decoded(encode(entries["settings"]))
            found = cls(settings, PicturePieces(**entries["pieces"]), int(entries["channels"]))
            found.load_state_dict(dict(tensors))
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(" ".join(str(error).split())) from error
        return found.requires_grad_(False).eval()

    def experts_at(
        self, places: Float[Tensor, "p 2"], index: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "p n c"]:
        """What experts say at places in a piece's frame; all of them, or those of some numbers."""
        with autocast_of(self.precision, places.device, training=self.training):
            found = self.bank.all_outputs(self.trunk(places), index)
        count = self.settings.experts if index is None else len(index)
        return found.float().view(len(places), count, self.channels)

    def atoms(self, places: Float[Tensor, "p 2"]) -> Float[Tensor, "p c l"]:
        """The equations of a code: what each of its numbers adds at places, of which f is the sum."""
        experts = self.experts_at(places).transpose(1, 2)
        constants = torch.eye(self.channels, device=experts.device).expand(len(places), -1, -1)
        return torch.cat([experts, constants], -1)

    def mixtures(self, places: Float[Tensor, "s p 2"], codes: Float[Tensor, "s l"]) -> Float[Tensor, "s p c"]:
        """What codes make at places of their own, each with as many experts as that which uses most of them."""
        own, constants = codes.float().split((self.settings.experts, self.channels), 1)
        most = max(1, int((own != 0).sum(1).max()))
        index = own.abs().topk(most, dim=1).indices
        with autocast_of(self.precision, places.device, training=self.training):
            found = self.bank.selected(self.trunk(places), index, own.gather(1, index))
        return found.float().view(*places.shape[:2], self.channels) + constants[:, None]


class CodedPictures(ImageField):
    """Pictures that are codes over a dictionary; of several, a place names the picture as a frame of a video."""

    def __init__(
        self,
        dictionary: PictureDictionary,
        grid: PixelGrid,
        pieces: PicturePieces,
        codes: Callable[[], Float[Tensor, "rows l"]],
    ) -> None:
        """
        Args:
            dictionary: whose pieces are of the size of these.
            grid: pixels of the pictures, and how many there are.
            pieces: how these pictures are cut.
            codes: gives the codes of all pieces of all pictures as they are now, a picture after another.
        """
        super().__init__(grid, dictionary.channels)
        # Not as modules and tensors of this one, which would be saved twice.
        self._dictionary, self._codes, self.pieces = (dictionary,), codes, pieces

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        if places is None:
            places = torch.arange(self.grid.count, device=self._codes().device)
        return self.at(self.grid.indices(places).double())

    @torch.no_grad()
    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        last = pixels.new_tensor(self.grid.sides) - 0.5
        place = torch.minimum(pixels.clamp(min=-0.5), last)
        codes = self._codes()
        return torch.cat([self._mixed(part, codes) for part in place.split(_QUERY_CHUNK)])

    def _mixed(self, place: Float[Tensor, "n d"], codes: Float[Tensor, "rows l"]) -> Float[Tensor, "n channels"]:
        piece, weight, local = self.pieces.around(place[:, :2])
        if self.grid.is_video:
            frame = place[:, 2].round().clamp(0, self.grid.frames - 1).long()
            piece = piece + frame[:, None] * self.pieces.count
        # Pixels of many pieces, and of many pictures, are at few different places in them.
        keys = local.flatten(0, 1).float().contiguous().view(torch.int64)[:, 0]
        different, back = torch.unique(keys, return_inverse=True)
        different = different[:, None].view(torch.float32)
        counted = weight.flatten().nonzero()[:, 0]
        rows, group = torch.unique(piece.flatten()[counted], return_inverse=True)
        (dictionary,) = self._dictionary
        experts = dictionary.settings.experts
        asked = torch.bincount(group, minlength=len(rows)) * (codes[rows, :experts] != 0).sum(1)
        if 0 < int(asked.sum()) <= experts * len(different):
            said = weight.new_zeros(len(keys), self.channels, dtype=torch.float32)
            said[counted] = _apart(dictionary, local.flatten(0, 1).float()[counted], group, codes[rows])
            total = (said.view(*weight.shape, -1) * weight[..., None].float()).sum(1)
            return (total + 1) / 2
        atoms, back = dictionary.atoms(different), back.view_as(piece)
        total = place.new_zeros(len(place), self.channels, dtype=torch.float32)
        for each in range(piece.shape[1]):
            code = codes[piece[:, each]].float()
            total += weight[:, each, None].float() * torch.einsum("nl,ncl->nc", code, atoms[back[:, each]])
        return (total + 1) / 2


def _apart(
    dictionary: PictureDictionary, local: Float[Tensor, "e 2"], group: Int[Tensor, " e"], codes: Float[Tensor, "g l"]
) -> Float[Tensor, "e c"]:
    """What each place's code says there, by the experts of this code alone.

    Args:
        dictionary: of the codes.
        local: places, each in the frame of its piece.
        group: the number of the code of each; every code has a place.
        codes: of the pieces.
    """
    order, counts = group.argsort(stable=True), torch.bincount(group)
    first = counts.cumsum(0) - counts
    said = local.new_empty(len(local), dictionary.channels)
    # Batches of pieces with about as many places each, so that few are filled up.
    for some in counts.argsort(descending=True).split(_PIECES_AT_ONCE):
        slot = torch.arange(int(counts[some[0]]), device=local.device)
        is_there = slot < counts[some, None]
        entry = order[(first[some, None] + slot).clamp(max=len(order) - 1)]
        said[entry[is_there]] = dictionary.mixtures(local[entry], codes[some])[is_there]
    return said
