"""`ns-train nid-shapes`: a neural implicit dictionary, learnt over a folder of shapes (NID)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from torch import Tensor
from torch.nn import Parameter

from inr_plugins import ranks
from inr_plugins.errors import InputError
from inr_plugins.fields.dictionary_settings import DictionarySettings, decode, encode
from inr_plugins.fields.dictionary_shape import CodedShape, ShapeDictionary
from inr_plugins.losses.dictionary import code_length, soft_load, squared_variation
from inr_plugins.losses.shape import surface_and_offset_loss
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.nid.checks import check_shapes_config, say_how_learnt
from inr_plugins.models.nid.config import NidShapesSettings
from inr_plugins.models.nid.dictionary import LearntFrame
from inr_plugins.models.nid.panels import CodePanel
from inr_plugins.models.nid.points import draw_clouds
from inr_plugins.models.nid.shown_code import BlendsCodes, dense_rows
from inr_plugins.models.shapes.backbones import network_config
from inr_plugins.models.shapes.base import ShapeModel
from inr_plugins.networks.dictionary.gates import PointSetGate, TableGate, dense_code, top_k_code
from inr_plugins.shape_points import ShapePoints

_LEAST_WARM_POINTS = 64
"""Points of a shape that a step of the warm-up takes at the least, however many experts there are."""


@dataclass
class NidShapesModelConfig(NidShapesSettings):
    """A dictionary of shapes. Sizes are for two CPU cores and a folder of about a hundred shapes; those of the paper,
    for thousands of them, are experts 4096, active 128 or 256, trunk 4 x 256."""

    _target: type = field(default_factory=lambda: NidShapesModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        check_shapes_config(self)
        settings = self.dictionary()
        check_room(hidden_weights(settings.trunk), "trunk_width", "trunk_layers", copies=IN_TRAINING)
        bank = self.experts * self.expert_width * self.trunk_width
        check_room(bank, "experts", "expert_width", "trunk_width", copies=IN_TRAINING)
        check_room(self.experts * self.patches**3, "experts", "patches", copies=IN_TRAINING + 1)

    def dictionary(self) -> DictionarySettings:
        """The dictionary's sizes; InputError where settings cannot go together."""
        with naming_options():
            trunk = network_config(
                self.activation,
                encoding=self.encoding,
                constants={"omega": self.omega},
                width=self.trunk_width,
                hidden_layers=self.trunk_layers,
            )
            return DictionarySettings(trunk, self.experts, self.expert_width, self.active, self.patches)


class NidShapesModel(BlendsCodes, ShapeModel):
    """Shapes as sparse combinations of experts that they share: f = Σ_j α_j b_j, k of n (Wang et al. 2022).

    A step of training shows some shapes at points of their own. In the warm-up codes are dense, so that every entry
    has a gradient, and the step takes fewer points, in the proportion in which more experts are evaluated; after it the
    k largest entries are kept. Balance is judged over all shapes, with the codes that those outside of the batch had
    when they were last in one: a batch of few shapes of a large dictionary is never balanced, and a penalty on it would
    only keep its shapes from sharing experts.

    The checkpoint holds all that opens the dictionary again (`nid_dictionary.open_dictionary`).

    Raises:
        InputError: a setting out of range.
    """

    config: NidShapesModelConfig
    always_exact = True
    panel_types = (*ShapeModel.panel_types, CodePanel)
    codes: Tensor
    clouds: Tensor
    patch_numbers: Tensor

    def populate_modules(self) -> None:
        config = self.config
        check_shapes_config(config)
        super().populate_modules()
        self.frame = LearntFrame.of(self.metadata)
        self.is_sparse = config.warmup_steps == 0
        shapes = len(self.names)
        with naming_options():
            self.dictionary = ShapeDictionary(config.dictionary())
        patches = self.dictionary.patches
        self.gate: TableGate | PointSetGate
        if config.gate == "table":
            self.gate = TableGate(shapes * patches, config.experts)
        else:
            self.gate = PointSetGate(config.experts * patches)
        self.register_buffer("clouds", torch.zeros(shapes, config.gate_points if config.gate == "points" else 0, 6))
        self.register_buffer("codes", torch.zeros(shapes * patches, config.experts))
        self.register_buffer("patch_numbers", torch.arange(patches), persistent=False)

    # -- state ---------------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Tensor:
        """Names and scale of the shapes, and whether codes are sparse by now, saved among the tensors."""
        return encode({**self.frame.entries(), "sparse": self.is_sparse})

    def set_extra_state(self, state: Tensor) -> None:
        """Whether codes are sparse; names and scale are those of the data, wherever they are now."""
        self.is_sparse = bool(decode(state).get("sparse", True))

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's; InputError if the checkpoint is of another dictionary or of other shapes."""
        saved, own = state_dict.get("codes"), tuple(self.codes.shape)
        if saved is not None and tuple(saved.shape) != own:
            raise InputError(
                f"The checkpoint holds {saved.shape[0]} codes of {saved.shape[1]} experts, the run has {own[0]} of "
                f"{own[1]}: give it the data and the options that it was started with."
            )
        try:
            return super().load_state_dict(state_dict, *args, **kwargs)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[-1].strip().rstrip(".")
            raise InputError(
                f"The checkpoint does not fit: {reason}; give the options that the run was started with."
            ) from error

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """The shared layers, the experts' tables, and what codes come from: a table or an encoder."""
        gate = "codes" if isinstance(self.gate, TableGate) else "encoder"
        return {
            "trunk": list(self.dictionary.trunk.parameters()),
            "experts": list(self.dictionary.bank.parameters()),
            gate: list(self.gate.parameters()),
        }

    # -- training ------------------------------------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on; surface points are drawn for the encoder."""
        callbacks = super().get_training_callbacks(training_callback_attributes)
        pipeline = training_callback_attributes.pipeline
        say_how_learnt(self.config, shapes=len(self.names), steps=self.run_steps)
        if self.config.gate == "points" and pipeline is not None and not bool(self.clouds.any()):
            source: Any = pipeline.datamanager
            self.clouds.copy_(draw_clouds(source, shapes=len(self.clouds), points=self.clouds.shape[1]))
        before = [TrainingCallbackLocation.BEFORE_TRAIN_ITERATION]
        return [*callbacks, TrainingCallback(before, self.before_step, update_every_num_iters=1)]

    def before_step(self, step: int) -> None:
        """Keep only the largest entries of codes if training step `step` is past the warm-up."""
        self.is_sparse = step >= self.config.warmup_steps

    def _rows(self, shape: Int[Tensor, " s"]) -> Int[Tensor, " c"]:
        """Numbers of the codes of shapes, P for each."""
        return (shape[:, None] * len(self.patch_numbers) + self.patch_numbers).flatten()

    def raw_codes(self, shape: Int[Tensor, " s"]) -> Float[Tensor, "c n"]:
        """Codes of shapes before any entry is left out, a row for each patch."""
        if isinstance(self.gate, TableGate):
            return self.gate(self._rows(shape))
        with torch.autocast(shape.device.type, enabled=False):
            return self.gate(self.clouds[shape]).view(-1, self.config.experts)

    def values(self, points: ShapePoints) -> Float[Tensor, "shapes points"]:
        """See ShapeModel."""
        return self.point_outputs(points)["value"]

    def point_outputs(self, points: ShapePoints) -> dict[str, Any]:
        """`value` of the points `kept` (of all, if None), and the codes (rows, n) that it was made with."""
        at, kept = points.points, None
        outputs: dict[str, Any] = {"rows": self._rows(points.shape), "raw": self.raw_codes(points.shape)}
        if self.is_sparse:
            index, weight = top_k_code(outputs["raw"], self.config.active)
            outputs["code"] = torch.zeros_like(outputs["raw"]).scatter(1, index, weight)
            outputs["value"] = self.dictionary.values(at, index, weight)
        else:
            if self.training:
                kept = torch.randperm(at.shape[1], device=at.device)[: self._warm_points(at.shape[1])]
                at = at[:, kept]
            outputs["code"] = dense_code(outputs["raw"])
            outputs["value"] = self.dictionary.mixed(at, outputs["code"])
        if self.training:
            outputs |= self._note_codes(outputs["rows"], outputs["code"])
        return {**outputs, "kept": kept}

    @torch.no_grad()
    def _note_codes(self, rows: Tensor, code: Tensor) -> dict[str, Tensor]:
        """Keep the codes of a batch, those of all processes.

        Returns:
            `batch_rows`, their numbers, and `own` (c,): which of this process's no earlier process has as well.
        """
        batch_rows = ranks.gather_rows(rows)
        self.codes.index_copy_(0, batch_rows, ranks.gather_rows(code))
        earlier = batch_rows[: len(rows) * ranks.rank()] if ranks.is_joint() else rows[:0]
        return {"batch_rows": batch_rows, "own": ~torch.isin(rows, earlier)}

    def _warm_points(self, points: int) -> int:
        """How many points with all experts cost as much as these with some of them."""
        return min(points, max(_LEAST_WARM_POINTS, points * self.config.active // self.config.experts))

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        return super().get_loss_dict(outputs, _evaluated(outputs, batch), metrics_dict)

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """What all models of shapes tell; of the codes of all shapes, the share of experts in use and how uneven that
        use is (standard deviation over mean)."""
        used = self.codes.abs().sum(0)
        return {
            **super().get_metrics_dict(outputs, _evaluated(outputs, batch)),
            "experts_used": (used > 0).float().mean(),
            "variation": squared_variation(used).sqrt(),
        }

    def point_losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Of the distances (NID, eq. 17, or the released code's squares), and in training of the codes.

        The balance of the released code counts integers, which have no gradient: see inr_plugins.losses.dictionary.
        """
        config, value, sdf = self.config, outputs["value"], batch["sdf"]
        if config.loss == "l1":
            losses = {"distance_loss": surface_and_offset_loss(value, sdf, batch["on"])}
        else:
            losses = {"distance_loss": (value - sdf).square().mean()}
        if not self.training:
            return losses
        code, raw, own = outputs["code"], outputs["raw"], outputs["own"]
        if ranks.is_joint():
            # A shape that several processes look at counts once.
            code, raw = code[own], raw[own]
        others = self.codes.index_fill(0, outputs["batch_rows"], 0.0)
        used = others.abs().sum(0) + ranks.joint_sum(code.abs().sum(0))
        losses["balance_loss"] = config.balance_weight * squared_variation(used)
        if self.is_sparse:
            count = (others != 0).sum(0) + ranks.joint_sum(soft_load(raw, config.active))
            losses["load_loss"] = config.load_weight * squared_variation(count)
        else:
            losses["sparsity_loss"] = config.sparsity_weight * code_length(code)
        return losses

    # -- shapes --------------------------------------------------------------------------------------------------------

    @property
    def field(self) -> CodedShape:
        """The distance of the shape that is shown."""
        return self.field_of(self.shown_shape)

    @torch.no_grad()
    def field_of(self, shape: int) -> CodedShape:
        """The distance of one of the shapes."""
        if self.drawn_code is not None and shape == self.shown_shape:
            return CodedShape(self.dictionary, *self.drawn_code)
        return CodedShape(self.dictionary, *self._own_code(shape))

    def _own_code(self, shape: int) -> tuple[Int[Tensor, "p k"], Float[Tensor, "p k"]]:
        raw = self.raw_codes(torch.tensor([shape], device=self.device))
        if self.is_sparse:
            return top_k_code(raw, self.config.active)
        everyone = torch.arange(raw.shape[1], device=raw.device).expand_as(raw)
        return everyone, dense_code(raw)

    @property
    def code_names(self) -> tuple[str, ...]:
        """Names of the shapes."""
        return self.names

    @property
    def dictionary_names(self) -> tuple[str, ...]:
        """The same: all of them are the dictionary's."""
        return self.names

    @torch.no_grad()
    def code_of(self, number: int) -> Float[Tensor, "p n"]:
        """The code that one of the shapes has now, zero for experts that it does not use."""
        return dense_rows(*self._own_code(number), self.config.experts)


def _evaluated(outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
    """The batch, cut down to the points that were evaluated."""
    kept = outputs.get("kept")
    if kept is None:
        return batch
    whole = batch["sdf"].shape
    return {name: value[:, kept] if value.shape[:2] == whole else value for name, value in batch.items()}
