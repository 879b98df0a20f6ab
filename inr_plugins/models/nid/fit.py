"""`ns-train nid-fit`: an unseen shape from few points, as a code over a dictionary that nid-shapes has learnt."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import Parameter

from inr_plugins import ranks
from inr_plugins.errors import InputError
from inr_plugins.fields.code_orientation import (
    believed_sheets,
    neighbour_directions,
    orient,
    settled_directions,
    unbent,
)
from inr_plugins.fields.code_solve import (
    Solver,
    only_near,
    signed_by,
    solve_codes,
    with_free_space,
    without_contradicted,
)
from inr_plugins.fields.code_systems import code_systems, is_held_out
from inr_plugins.fields.detail_fit import fit_detail
from inr_plugins.fields.dictionary_settings import decode, encode
from inr_plugins.fields.dictionary_shape import CodedShape
from inr_plugins.fields.pose_fit import Pose, PosedShape, find_pose
from inr_plugins.fields.surface_detail import DetailedShape, SurfaceDetail
from inr_plugins.losses.shape import surface_and_offset_loss
from inr_plugins.losses.surface import eikonal
from inr_plugins.models.nid.checks import check_fit_config, check_fit_data, same_unit
from inr_plugins.models.nid.config import NidFitSettings
from inr_plugins.models.nid.dictionary import Dictionary, blank_dictionary, dictionary_of, open_dictionary
from inr_plugins.models.nid.panels import CodePanel
from inr_plugins.models.nid.points import (
    PointSource,
    draw_surface,
    free_space,
    has_estimated_normals,
    scanner_of,
    surface_of,
)
from inr_plugins.models.nid.report import DetailReport, FitReport, report_detail, report_fit
from inr_plugins.models.nid.shown_code import BlendsCodes, dense_rows
from inr_plugins.models.shapes.base import ShapeModel
from inr_plugins.shape_points import ShapePoints
from inr_plugins.sparse_codes.code_equations import Drawn, Equations, EquationWeights, surface_equations

_MORE_ACTIVE = 2
"""Experts of an unseen shape for each one of a training shape: with as many, errors were 1.4 times as large (FAUST)."""
_ISOTROPIC, _ISOTROPIC_ESTIMATED = 0.5, 0.9
"""Where the setting is None; of few points without normals a tighter prior keeps a limb where it is not."""
_DETAIL = "detail."
Coded = CodedShape | PosedShape


@dataclass
class NidFitModelConfig(NidFitSettings):
    """A shape over a learnt dictionary."""

    _target: type = field(default_factory=lambda: NidFitModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used."""
        check_fit_config(self)


def _check_code(code: Tensor, index: Tensor, rows: int, experts: int) -> None:
    """ValueError unless a code has a row of numbers for each patch, each number of an expert that there is."""
    if code.ndim != 2 or code.shape != index.shape or len(code) != rows:
        raise ValueError(f"a code of shape {tuple(code.shape)}, of experts of shape {tuple(index.shape)}")
    if index.is_floating_point() or not bool(((index >= 0) & (index < experts)).all()):
        raise ValueError(f"its code is of others than the dictionary's {experts} experts")


class NidFitModel(BlendsCodes, ShapeModel):
    """A frozen dictionary and one code, found by sparse regression and then improved by a few gradient steps.

    After the last of them a correction of the distance around the points is fitted to what the code leaves over
    (`fields.detail_fit`).

    The field is linear in its code, so that what the points say (0 on the surface, ±d beside it along the normals, the
    distance far away) is a linear system, solved when training begins. The steps of training then descend the paper's
    own objective (NID, eq. 17, with an eikonal term), which is in absolute errors and knows nothing of the prior.

    A checkpoint holds the dictionary too, and a model that loads one takes the dictionary from there: the run of
    nid-shapes may be moved or deleted once this one has begun.

    Raises:
        InputError: a setting out of range.
    """

    config: NidFitModelConfig
    always_exact = True
    panel_types = (*ShapeModel.panel_types, CodePanel)
    detail: SurfaceDetail | None
    """What is added to the code's distance around the points."""
    index: Tensor
    codes: Tensor
    part_index: Tensor
    part_code: Tensor
    pose_matrix: Tensor
    """s R beside t, (3, 4), from the frame of the data to that of the dictionary."""

    def populate_modules(self) -> None:
        check_fit_config(self.config)
        super().populate_modules()
        self.is_solved = False
        self.detail = None
        self._finish: Callable[[], Any] | None = None
        self._missing: InputError | None = None
        try:
            self._take(self._opened())
        except InputError as error:
            # Not yet: a checkpoint may be about to bring its own.
            self._missing = error
            self._take(blank_dictionary())

    def _opened(self) -> Dictionary:
        if self.config.dictionary is None:
            raise InputError(
                "nid-fit needs a dictionary: give --pipeline.model.dictionary the folder of a run of nid-shapes."
            )
        return open_dictionary(self.config.dictionary)

    def _take(self, dictionary: Dictionary) -> None:
        """Use a dictionary from now on, with a code that is still zero."""
        self.learnt_frame = dictionary.frame
        self.dictionary = dictionary.field().to(self._device())
        settings = dictionary.settings
        rows = self.dictionary.patches
        k = min(self.config.active or _MORE_ACTIVE * settings.active, settings.experts)
        self.code = Parameter(torch.zeros(rows, k, device=self._device()))
        self.register_buffer("index", torch.arange(k, device=self._device()).repeat(rows, 1))
        self._keep_part(self.index, self.code.detach())
        self.register_buffer("codes", dictionary.codes.to(self._device()))
        self.register_buffer("pose_matrix", Pose.none(self._device()).matrix)

    def _keep_part(self, index: Tensor, weight: Tensor) -> None:
        """The code that was found without the points that are held out, which tells what a correction is worth."""
        self.register_buffer("part_index", index.clone())
        self.register_buffer("part_code", weight.clone())

    def _device(self) -> torch.device:
        return self.trace_box.device

    # -- state ---------------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Tensor:
        """What is known of the dictionary's data, and whether the code was found, saved among the tensors."""
        return encode({**self.learnt_frame.entries(), "solved": self.is_solved})

    def set_extra_state(self, state: Tensor) -> None:
        """Whether the code was found; the rest came with the dictionary."""
        self.is_solved = bool(decode(state).get("solved", False))

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's, after taking on the dictionary and the code's size that the state was saved with."""
        held = dictionary_of(state_dict)
        if held is not None and {"code", "index"} <= state_dict.keys():
            self._missing = None
            self._take(held)
            _check_code(state_dict["code"], state_dict["index"], self.dictionary.patches, held.settings.experts)
            self.code = Parameter(torch.zeros_like(state_dict["code"], device=self._device()))
            self.register_buffer("index", torch.zeros_like(state_dict["index"], device=self._device()))
            self._keep_part(self.index, self.code.detach())
            # Runs of versions before know no such code, and no pose.
            known = {"part_index": state_dict["index"], "part_code": state_dict["code"]}
            state_dict = {**known, "pose_matrix": self.pose_matrix, **state_dict}
        is_detailed = _DETAIL + "values" in state_dict
        self.detail = SurfaceDetail.from_state(state_dict, _DETAIL, self._device()) if is_detailed else None
        return super().load_state_dict(state_dict, *args, **kwargs)

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """The code alone."""
        return {"code": [self.code]}

    # -- the beginning: regression -------------------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on; one that begins finds its code here."""
        trainer, pipeline = training_callback_attributes.trainer, training_callback_attributes.pipeline
        if pipeline is not None:
            source: Any = pipeline.datamanager
            report = self.begin(source)
            folder = None if trainer is None else trainer.base_dir
            if report is not None and folder is not None:
                report.write(folder)
            self._finish = partial(self.end, source, folder)
        return super().get_training_callbacks(training_callback_attributes)

    def after_step(self, step: int) -> None:
        """As ShapeModel's; after the last step of the run the code is settled, and what it leaves over is fitted."""
        super().after_step(step)
        if step + 1 == self.run_steps and self._finish is not None:
            self._finish()

    def begin(self, source: PointSource) -> FitReport | None:
        """Find the code from the first batches, unless it has been: one from a checkpoint stays as it is.

        Returns:
            What was found, which is also printed; None if nothing was looked for, as in all processes but the first.

        Raises:
            InputError: there is no dictionary, the data are not one shape, or its points do not give a code.
        """
        if self.is_solved:
            return None
        if self._missing is not None:
            raise self._missing
        config = self.config
        file_unit = self.metadata.get("file_unit")
        check_fit_data(self.learnt_frame, shapes=len(self.names), file_unit=file_unit, told=self.config.pose == "given")
        if ranks.rank() > 0:
            # The first process finds it for all of them.
            self.is_solved = True
            self._share()
            return None
        start = time.monotonic()
        drawn = draw_surface(source, points=config.points)
        isotropic = config.isotropic or (_ISOTROPIC_ESTIMATED if has_estimated_normals(source) else _ISOTROPIC)
        solver = Solver(config.solver, self.code.shape[1], config.noise, isotropic, config.l1)
        weights = EquationWeights(config.surface_weight, config.offset_weight, config.far_weight)
        try:
            drawn = self._posed(source, drawn)
            drawn = self._oriented(source, drawn, solver, weights)
            equations = surface_equations(drawn, offsets=config.offsets, weights=weights, far_points=config.far_points)
            # A first code tells which distances far away cannot be true, the second does without them.
            near = code_systems(self.dictionary, only_near(equations))
            first = solve_codes(self.codes, near, solver)
            if has_estimated_normals(source):
                equations = signed_by(self.dictionary, first, equations)
            believed = without_contradicted(self.dictionary, first, equations)
            known, scanner = believed, scanner_of(source)
            if scanner is not None:
                place = self.pose.points(scanner.to(drawn.points)[None])[0]
                free = free_space(place, drawn.points, count=config.far_points)
                known = with_free_space(self.dictionary, first, believed, *free)
            far = code_systems(self.dictionary, only_near(known, near=False))
            found = solve_codes(self.codes, [{**one, **other} for one, other in zip(near, far, strict=True)], solver)
        except ValueError as error:
            raise InputError(f"No code was found: {error} (options --pipeline.model.*).") from error
        self.index.copy_(found.index)
        self.code.data.copy_(found.weight)
        self._keep_part(found.index, found.weight)
        if found.part_index is not None and found.part_weight is not None:
            self._keep_part(found.part_index, found.part_weight)
        self.is_solved = True
        self._share()
        report = report_fit(
            found,
            self.codes,
            self.learnt_frame.shapes,
            errors=self._errors(believed),
            on_surface=equations.on_surface,
            left_out=int((believed.weight != equations.weight).sum()),
            file_unit=file_unit,
            seconds=time.monotonic() - start,
        )
        CONSOLE.print(report.text(), markup=False, highlight=False)
        return report

    def _posed(self, source: PointSource, drawn: Drawn) -> Drawn:
        """What was drawn, in the frame of the dictionary, after looking for the pose if one is wanted."""
        turns, learnt, own = self.config.pose, self.learnt_frame.file_unit, self.metadata.get("file_unit")
        if turns == "given":
            return drawn
        start = time.monotonic()
        scaled = learnt is None or own is None or not same_unit(learnt, own)
        found = find_pose(
            self.dictionary,
            self.codes,
            drawn.points,
            drawn.normals,
            turns=turns,
            scaled=scaled,
            signed=not has_estimated_normals(source),
        )
        pose = found.pose
        self.pose_matrix.copy_(pose.matrix)
        size = f", {pose.scale * own / learnt:.4g} times as large" if scaled and learnt and own else ""
        shift = pose.shift.norm() / (learnt or 1)
        CONSOLE.print(
            f"Pose, found in {time.monotonic() - start:.1f} s: the shape is turned by {pose.degrees:.0f} degrees and "
            f"shifted by {float(shift):.3g}{'' if learnt else ' (the box has sides of 2)'}{size} to come to the "
            f"dictionary's frame.",
            markup=False,
            highlight=False,
        )
        at, sdf = pose.points(drawn.anywhere), pose.scale * drawn.sdf
        inside = (at.abs() <= 1).all(-1)
        return Drawn(pose.points(drawn.points), pose.directions(drawn.normals), at[inside], sdf[inside])

    def _oriented(self, source: PointSource, drawn: Drawn, solver: Solver, weights: EquationWeights) -> Drawn:
        """What was drawn, with the signs that the dictionary gives to normals that nobody gave."""
        if not has_estimated_normals(source):
            return drawn
        normals, doubtful = orient(
            self.dictionary,
            self.codes,
            drawn.points,
            unbent(drawn.points, drawn.normals),
            solver,
            offsets=self.config.offsets,
            weights=weights,
            others=neighbour_directions(drawn.points),
        )
        turned = float(((normals * drawn.normals).sum(-1) < 0).float().mean())
        CONSOLE.print(
            f"Normals were estimated; the dictionary turned {100 * turned:.0f} % of them, and does without "
            f"{100 * float(doubtful.float().mean()):.0f} %.",
            markup=False,
            highlight=False,
        )
        return replace(drawn, normals=normals, doubtful=doubtful)

    def end(self, source: PointSource, folder: Path | None = None) -> DetailReport | None:
        """Fit a correction to what the code leaves over at the points, unless the settings want none.

        Args:
            source: of the points.
            folder: of the run, where the report of the beginning is told of it.

        Returns:
            What was found, which is also printed; None if nothing was looked for, as in all processes but the first.
        """
        self.detail = None
        if not self.config.detail_points:
            return None
        if ranks.rank() > 0:
            self._share()
            return None
        start = time.monotonic()
        points, normals = surface_of(source, points=self.config.detail_points, device=self._device())
        coded, without = (
            self._coded(index, weight)
            for index, weight in ((self.index, self.code.detach()), (self.part_index, self.part_code))
        )
        if has_estimated_normals(source):
            normals = unbent(points, normals)
            candidates = [normals, *neighbour_directions(points)]
            normals = settled_directions(coded.normal(points), candidates, believed_sheets(points, normals))
        held_out = is_held_out(torch.arange(len(points), device=points.device))
        found = fit_detail(coded.sdf, points, normals, part=without.sdf, held_out=held_out)
        self.detail = found.detail
        self._share()
        report = report_detail(
            found, points=len(points), file_unit=self.metadata.get("file_unit"), seconds=time.monotonic() - start
        )
        CONSOLE.print(report.text(), markup=False, highlight=False)
        if folder is not None:
            report.add_to(folder)
        return report

    def _share(self) -> None:
        """Give all processes what the first one has found, whatever its shape; all of them call it."""
        if not ranks.is_joint():
            return
        detail = {} if self.detail is None else self.detail.state_dict()
        own = {"part_index": self.part_index, "part_code": self.part_code, "pose_matrix": self.pose_matrix}
        own |= {_DETAIL + name: each for name, each in detail.items()}
        is_first = ranks.rank() == 0
        state = ranks.gather_objects({name: each.cpu() for name, each in own.items()} if is_first else None)[0]
        if is_first:
            return
        self._keep_part(*(state[name].to(self._device()) for name in ("part_index", "part_code")))
        self.pose_matrix.copy_(state["pose_matrix"])
        found = _DETAIL + "values" in state
        self.detail = SurfaceDetail.from_state(state, _DETAIL, self._device()) if found else None

    @torch.no_grad()
    def _errors(self, equations: Equations) -> Float[Tensor, " m"]:
        coded = CodedShape(self.dictionary, self.index, self.code)
        return (equations.left(coded.sdf) - equations.target) * (equations.weight > 0)

    # -- training ------------------------------------------------------------------------------------------------------

    @property
    def field(self) -> Coded | DetailedShape:
        """The distance of the shape."""
        return self.field_of(self.shown_shape)

    def field_of(self, shape: int) -> Coded | DetailedShape:
        """See ShapeModel; there is one shape. Another code than its own is drawn without the correction."""
        coded = self._coded(*(self.drawn_code or (self.index, self.code)))
        return coded if self.detail is None or self.drawn_code else DetailedShape(coded.sdf, self.detail)

    @property
    def pose(self) -> Pose:
        """Where the data lie in the frame of the dictionary."""
        return Pose.of_matrix(self.pose_matrix)

    def _coded(self, index: Tensor, weight: Tensor) -> Coded:
        """A code's shape, in the frame of the data."""
        coded, pose = CodedShape(self.dictionary, index, weight), self.pose
        return coded if pose.is_none else PosedShape(coded.sdf, pose)

    @property
    def code_names(self) -> tuple[str, ...]:
        """The fit, and the shapes that the dictionary was learnt on."""
        return ("the fit", *self.learnt_frame.shapes)

    @property
    def dictionary_names(self) -> tuple[str, ...]:
        """The shapes that the dictionary was learnt on."""
        return self.learnt_frame.shapes

    @torch.no_grad()
    def code_of(self, number: int) -> Float[Tensor, "p n"]:
        """The code of the fit (0) or of one of the dictionary's shapes, zero for experts that it does not use."""
        rows, experts = len(self.index), self.codes.shape[1]
        if number == 0:
            return dense_rows(self.index, self.code, experts)
        return self.codes[(number - 1) * rows : number * rows].clone()

    def values(self, points: ShapePoints) -> Float[Tensor, "shapes points"]:
        """See ShapeModel; in training those of the code, which is what learns."""
        if self.training or self.detail is None:
            pose = self.pose
            return self.dictionary.values(pose.points(points.points), self.index, self.code) / pose.scale
        return torch.stack([self.field.sdf(each) for each in points.points])

    def point_outputs(self, points: ShapePoints) -> dict[str, Tensor]:
        """`value`, and in training `gradient` (s, p, 3), which the loss can be differentiated through."""
        if not (self.training and self.config.eikonal_weight):
            return super().point_outputs(points)
        at = points.points.detach().requires_grad_()
        value = self.values(ShapePoints(at, points.shape))
        (gradient,) = torch.autograd.grad(value.sum(), at, create_graph=True)
        return {"value": value, "gradient": gradient}

    def point_losses(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """NID's eq. 17: absolute errors on the surface and off it, and the slope's.

        Where the field has a point far from the surface on the other side, the distance to the cloud is not believed.
        """
        value, sdf = outputs["value"], batch["sdf"]
        contradicted = (value * sdf < 0) & (sdf.abs() > 2 * max(self.config.offsets))
        sdf = torch.where(contradicted, value.detach(), sdf)
        losses = {"distance_loss": surface_and_offset_loss(value, sdf, batch["on"])}
        if "gradient" in outputs:
            losses["eikonal_loss"] = self.config.eikonal_weight * eikonal(outputs["gradient"].reshape(-1, 3))
        return losses
