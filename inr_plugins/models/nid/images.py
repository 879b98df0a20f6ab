"""`ns-train nid-images`: a neural implicit dictionary, learnt over the pictures of a folder (NID, sec. 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from torch import Tensor
from torch.nn import Parameter

from inr_plugins import ranks
from inr_plugins.errors import InputError
from inr_plugins.fields.dictionary_picture import CodedPictures, PictureDictionary
from inr_plugins.fields.dictionary_settings import DictionarySettings
from inr_plugins.fields.image import ImageField
from inr_plugins.fields.picture_codes import all_atoms, encoded, largest_of, least_squares
from inr_plugins.fields.picture_pieces import PicturePieces
from inr_plugins.losses.dictionary import code_length, soft_load, squared_variation
from inr_plugins.losses.means import joint_squared_error
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.common.run_length import KnowsRunLength
from inr_plugins.models.nid.picture_dictionary import settings_of
from inr_plugins.models.nid.picture_panels import picture_pages
from inr_plugins.models.nid.shown_picture import ShowsPictures
from inr_plugins.models.signals.base import ImageModelConfig
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.dictionary.gates import TableGate
from inr_plugins.networks.dictionary.picture_gate import PictureGate
from inr_plugins.options import model_option
from inr_plugins.signal_grid import PictureBatch, SignalPixels

_REFRESHED = 250
"""Steps after which the codes of all pictures are made anew; between, a picture keeps that of its last step."""
_OMEGA, _USUAL_PIXELS, _LEAST_OMEGA, _MOST_OMEGA = 30.0, 64, 4.0, 60.0
"""SIREN's frequency, and the pixels along a piece that it is for; of 16 pixels it makes noise between them."""
_MOST_OF_WHOLE = 10.0
"""Of whole pictures, which share what is coarse. (Unseen ones with codes that are solved for, in dB. Heads of 64 x 64
pixels after 50 s of a processor: 31.25 with 8, 31.14 with 10, 30.96 with 15, 29.71 with 30. Heads of 128 x 128 after
120 steps: 26.16 with 10, 25.63 with 20, 24.71 with 30. Faces of 64 x 64 after 100: 26.18 with 8, 25.83 with 15, 25.24
with 30.)"""
_AT_ONCE = 64
"""Pictures whose codes are made at once."""
_PIXELS_AT_ONCE = 1 << 21
"""Of pictures whose codes are solved for at once: all of these have the same equations."""
_RIDGE = 1e-3
"""Of codes that are solved for."""
_FOR_EACH = 4
"""Places by which they are, for each expert. (1,000 heads of 64 x 64 pixels, 256 experts, 200 steps: unseen ones have
30.1 dB, and 28.4 dB by 512 places.)"""


@dataclass
class NidImagesModelConfig(ImageModelConfig):
    """A dictionary of pictures. Sizes are for two CPU cores; the paper has 128 or 256 experts in use of 4,096."""

    _target: type = field(default_factory=lambda: NidImagesModel)
    """Class to instantiate."""
    experts: int = 256
    """Number of experts in the dictionary."""
    active: int | None = None
    """Number of experts that a patch, or a picture, is made of, those with the largest entries in its code; by default
    a quarter of them, and without patches all."""
    expert_width: int = 8
    """Width of the first of the two layers that each expert has of its own."""
    trunk_width: int = 128
    """Width of the layers that all experts share."""
    trunk_layers: int = 2
    """Number of layers that all experts share."""
    omega: float | None = None
    """Frequency of the sines of these; by default 30 for pieces of 64 pixels, in proportion for others, and from 4 to
    60, of whole pictures to 10. A higher one fits pixels by what is noise between them."""
    patch: int = 16
    """Side in pixels of the patches that have a code each; 0: a picture has one, by which what is missing is known."""
    overlap: int = 0
    """Pixels that neighbouring patches share; more of them, fewer seams and more codes."""
    gate: Literal["auto", "pictures", "table", "solved"] = "auto"
    """Where codes come from: pictures (an encoder, which gives those of unseen ones at once), table (one for each patch
    of each picture, learnt with the experts) or solved (those of all experts that miss what a step sees least). auto:
    pictures with patches; without, solved, by which dictionaries are learnt soonest, or table if not all are active."""
    pieces: int = 1024
    """Patches, or pictures without, that a step takes at the most."""
    places: int = 1024
    """Pixels of each of these that a step takes at the most; by which codes are solved for, four for each expert at
    least: fewer are fitted by codes that say nothing of the others."""
    warmup_steps: int = 100
    """Steps with codes of all experts, made sparse by their l1 norm, before only the largest entries are kept."""
    sparsity_weight: float = 0.01
    """Weight of the codes' l1 norm during the warm-up."""
    balance_weight: float = 0.01
    """Weight of the variation between experts of how much pictures use them."""
    load_weight: float = 0.01
    """Weight of the variation between experts of how many pictures use them, after the warm-up."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        super().check_options()
        if self.active is not None and self.active > self.experts:
            raise InputError(
                f"{model_option('active')} {self.active} is more than there are {model_option('experts')}, "
                f"{self.experts}: give at most as many."
            )
        if self.gate == "solved" and self.resolved_active < self.experts:
            raise InputError(
                f"{model_option('gate')} solved is for codes of all experts, and {model_option('active')} is "
                f"{self.resolved_active} of {self.experts}: give as many, or {model_option('gate')} table."
            )
        if 0 < self.patch <= self.overlap:
            raise InputError(
                f"{model_option('overlap')} {self.overlap} leaves nothing of {model_option('patch')} {self.patch}: "
                "give less."
            )
        settings = self.dictionary()
        check_room(hidden_weights(settings.trunk), "trunk_width", "trunk_layers", copies=IN_TRAINING)
        bank = self.experts * self.expert_width * self.trunk_width
        check_room(bank, "experts", "expert_width", "trunk_width", copies=IN_TRAINING)

    @property
    def resolved_active(self) -> int:
        """`active`, or what stands for it."""
        if self.active is None:
            return max(1, self.experts // 4) if self.patch else self.experts
        return self.active

    @property
    def resolved_gate(self) -> Literal["pictures", "table", "solved"]:
        """`gate`, or what stands for it."""
        if self.gate != "auto":
            return self.gate
        if self.patch:
            return "pictures"
        return "solved" if self.resolved_active == self.experts else "table"

    def dictionary(self, pixels: int = _USUAL_PIXELS) -> DictionarySettings:
        """The dictionary's sizes; InputError where settings cannot go together.

        Args:
            pixels: along the longer side of a piece.
        """
        most = _MOST_OMEGA if self.patch else _MOST_OF_WHOLE
        omega = min(max(_OMEGA * pixels / _USUAL_PIXELS, _LEAST_OMEGA), most)
        with naming_options():
            trunk = CoordinateNetworkConfig(
                activation="sine", omega=self.omega or omega, width=self.trunk_width, hidden_layers=self.trunk_layers
            )
            return DictionarySettings(trunk, self.experts, self.expert_width, self.resolved_active)


class NidImagesModel(KnowsRunLength, ShowsPictures):
    """Pictures as sparse combinations of experts that they share (Wang et al. 2022): f = Σ_j α_j b_j + m, k of n.

    The pictures are the frames of what nerfstudio sees as one image. A step takes some of them, cut into patches, at
    some of the places of a patch, the same for all; experts are evaluated once for a place. Codes are not divided by
    their norm, as those of shapes are: a patch of little contrast has a small one. With an encoder the whole is an
    autoencoder whose decoder can be asked anywhere.

    The checkpoint holds the dictionary, the encoder and the codes of all pictures, as they were when they were last
    looked at; the pictures themselves it does not hold.

    Raises:
        InputError: a setting out of range, or a patch larger than the pictures.
    """

    config: NidImagesModelConfig
    field: CodedPictures
    codes: Tensor

    def populate_modules(self) -> None:
        """As the base class."""
        self._source: Any = None
        self.is_sparse = self.config.warmup_steps == 0
        super().populate_modules()
        self.page = picture_pages(self)

    def make_field(self) -> ImageField:
        """See ImageModel; also what it is made of, codes and where these come from."""
        config, grid = self.config, self.grid
        if not grid.is_video:
            raise InputError("nid-images learns what pictures share, and there is one: give --data a folder of some.")
        pieces = PicturePieces(grid.width, grid.height, config.patch, config.overlap)
        field = self._make_dictionary(config.dictionary(pieces.grid.longer), pieces)
        rows, length = grid.frames * pieces.count, self.dictionary.code_length
        gate = config.resolved_gate
        check_room(rows * length, "experts", copies=IN_TRAINING if gate == "table" else 1)
        self.gate: PictureGate | TableGate | None = None
        if gate == "pictures":
            self.gate = PictureGate(pieces.grid.width, pieces.grid.height, self.channels, length)
        elif gate == "table":
            self.gate = TableGate(rows, length)
        self.register_buffer("codes", torch.zeros(rows, length))
        return field

    def _make_dictionary(self, settings: DictionarySettings, pieces: PicturePieces) -> CodedPictures:
        self.dictionary = PictureDictionary(settings, pieces, self.channels, precision=self.config.precision)
        return CodedPictures(self.dictionary, self.grid, pieces, self.own_codes)

    def own_codes(self) -> Tensor:
        """See ShowsPictures."""
        return self.codes

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """The experts with what they share, and what codes come from, if that is learnt: a table or an encoder."""
        bias = self.dictionary.bank.last_bias
        # Codes that are solved for have a constant for each channel, so that none of an expert's own has a gradient:
        # it would be moved by rounding.
        bias.requires_grad_(self.gate is not None)
        groups = {"dictionary": [each for each in self.dictionary.parameters() if each.requires_grad]}
        if self.gate is not None:
            groups["codes" if isinstance(self.gate, TableGate) else "encoder"] = list(self.gate.parameters())
        return groups

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's; InputError if the checkpoint is of another dictionary.

        What is not given is as it was when the run began, whatever it is by now: the sines' frequency, and a table.
        """
        held = settings_of(state_dict)
        own = self.dictionary.settings
        if held is not None and self.config.omega is None and held.trunk.omega != own.trunk.omega:
            trunk = replace(own.trunk, omega=held.trunk.omega)
            self.field = self._make_dictionary(replace(own, trunk=trunk), self.dictionary.pieces)
        if self.gate is None and self.config.gate == "auto" and "gate.codes" in state_dict:
            self.gate = TableGate(*self.codes.shape)
        self.to(self.codes.device)
        try:
            return super().load_state_dict(state_dict, *args, **kwargs)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip().rstrip(".")
            raise InputError(
                f"The checkpoint does not fit: {reason}; give the options that the run was started with."
            ) from error

    # -- training ------------------------------------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on."""
        self.note_run_length(training_callback_attributes)
        pipeline = training_callback_attributes.pipeline
        self._source = None if pipeline is None else pipeline.datamanager
        before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
        return [
            TrainingCallback([before], self.before_step, update_every_num_iters=1),
            TrainingCallback([after], self.after_step, update_every_num_iters=1),
        ]

    def before_step(self, step: int) -> None:
        """Keep only the largest entries of codes if training step `step` is past the warm-up."""
        self.is_sparse = step >= self.config.warmup_steps

    def after_step(self, step: int) -> None:
        """Now and then, and after the last step, have the codes of all pictures as they are by now."""
        if self._source is not None and ((step + 1) % _REFRESHED == 0 or step + 1 == self.run_steps):
            self.refresh_codes(self._source)

    @torch.no_grad()
    def refresh_codes(self, source: Any) -> None:
        """Make the codes of all pictures of a datamanager anew, by all of their pixels."""
        atoms = all_atoms(self.dictionary) if self.gate is None else None
        at_once = _AT_ONCE if atoms is None else max(_AT_ONCE, _PIXELS_AT_ONCE // (self.grid.width * self.grid.height))
        for numbers in torch.arange(self.grid.frames, device=self.device).split(at_once):
            rows = self._rows(numbers)
            pieces = self._pieces_of(source.values_of(numbers.cpu().numpy()))
            self.codes[rows] = self._kept(self._raw(rows, pieces) if atoms is None else self._solved(atoms, pieces))

    def _pieces_of(self, values: Float[Tensor, "s h w c"]) -> Float[Tensor, "sp n c"]:
        return 2 * self.dictionary.pieces.cut(values).flatten(0, 1) - 1

    def _rows(self, numbers: Int[Tensor, " s"]) -> Int[Tensor, " sp"]:
        """Numbers of the codes of pictures."""
        of_each = torch.arange(self.dictionary.pieces.count, device=numbers.device)
        return (numbers[:, None] * len(of_each) + of_each).flatten()

    def _raw(self, rows: Int[Tensor, " s"], pieces: Float[Tensor, "s n c"]) -> Float[Tensor, "s l"]:
        """Codes of pieces, from what gives them, before any entry is left out."""
        if isinstance(self.gate, PictureGate):
            with torch.autocast(pieces.device.type, enabled=False):
                return encoded(self.gate, pieces)
        return cast(TableGate, self.gate)(rows)

    def _solved(self, atoms: Float[Tensor, "pc l"], seen: Float[Tensor, "s p c"]) -> Float[Tensor, "s l"]:
        """Codes of pieces that miss what is seen of them least."""
        return least_squares(atoms, seen.flatten(1), channels=self.channels, ridge=_RIDGE)

    def _kept(self, raw: Float[Tensor, "s l"]) -> Float[Tensor, "s l"]:
        return largest_of(raw, self.config.experts, self.config.resolved_active) if self.is_sparse else raw

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels | PictureBatch) -> dict[str, Any]:
        """As the base class; for pictures, `values` (pieces, places, channels) of some places in their pieces, `truth`
        of the same, both in [-1, 1], and the codes `raw` and `code` that they were made with."""
        if not isinstance(ray_bundle, PictureBatch):
            return super().forward(ray_bundle)
        pieces, rows = self._pieces_of(ray_bundle.values), self._rows(ray_bundle.numbers)
        grid, generator = self.dictionary.pieces.grid, torch.Generator().manual_seed(ray_bundle.draw)
        most = self.config.places if self.gate is not None else max(self.config.places, _FOR_EACH * self.config.experts)
        places = _some(grid.count, most, generator).to(pieces.device)
        chosen = _some(len(pieces), self.config.pieces, generator).to(pieces.device)
        pieces, rows = pieces[chosen], rows[chosen]
        atoms = self.dictionary.atoms(grid.middles(places))
        truth = pieces[:, places]
        raw = self._solved(atoms.flatten(0, 1), truth) if self.gate is None else self._raw(rows, pieces)
        code = self._kept(raw)
        values = torch.einsum("sl,pcl->spc", code, atoms)
        if self.training:
            # Of several processes each notes its own, until all of them make those of all pictures.
            self.codes.index_copy_(0, rows, code.detach())
        return {"values": values, "truth": truth, "raw": raw, "code": code}

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Squared errors, and NID's balance of experts (see losses.dictionary); in the warm-up the codes' l1 norm.

        Codes that are solved for need neither, and all experts have their part in them.
        """
        config, n = self.config, self.config.experts
        raw, code = outputs["raw"][:, :n], outputs["code"][:, :n]
        losses = {"mse_loss": joint_squared_error(outputs["values"], outputs["truth"])}
        if self.gate is None:
            return losses
        losses["balance_loss"] = config.balance_weight * squared_variation(ranks.joint_sum(code.abs().sum(0)))
        if self.is_sparse:
            load = ranks.joint_sum(soft_load(raw, config.resolved_active))
            losses["load_loss"] = config.load_weight * squared_variation(load)
        else:
            losses["sparsity_loss"] = config.sparsity_weight * code_length(code)
        return losses

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Of a batch: PSNR of all its pixels together, clamped; the share of experts that any patch uses."""
        error = ((outputs["values"].clamp(-1, 1) - outputs["truth"]) / 2).square().mean()
        used = (outputs["code"][:, : self.config.experts] != 0).any(0)
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-12)), "experts_used": used.float().mean()}


def _some(count: int, most: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    """So many of the first `count` numbers, at the most, ascending."""
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=generator)[:most].sort().values
