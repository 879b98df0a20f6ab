"""What a regression found: for the terminal, and as a file beside the run's configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.fields.code_solve import FoundCode
from inr_plugins.fields.detail_fit import FittedDetail
from inr_plugins.files import write_json

REPORT_NAME = "nid_fit.json"
_EXPERTS = 5
_SHAPES = 3


@dataclass(frozen=True)
class FitReport:
    """How well a code meets its equations, and which experts and training shapes it resembles.

    Attributes:
        seconds: that it took to find it.
        equations: how many there were.
        surface_points: how many of them say that a point lies on the surface.
        surface_residual: root mean square of what those are missed by, normalised units.
        left_out: equations that counted nothing, as a code that met the others had their points on the other side.
        residual: root mean square of what all are missed by, normalised units.
        surface_residual_in_file_units: the former in the units of the file; None if they are not known.
        experts: share of the code's squared length of every expert in use, the largest first.
        outside: share of the code's squared distance from the training codes' mean that leaves their span; None where
            there are no training codes.
        noise: error of an equation that the prior reckoned with, normalised units; None where no prior was used.
        alike: cosine of the code with those of the training shapes that are most alike.
    """

    seconds: float
    equations: int
    surface_points: int
    surface_residual: float
    residual: float
    left_out: int
    surface_residual_in_file_units: float | None
    experts: dict[int, float]
    outside: float | None
    noise: float | None
    alike: dict[str, float]

    def text(self) -> str:
        """A few lines."""
        file_units = self.surface_residual_in_file_units
        own = "" if file_units is None else f" ({file_units:.3g} in the file's unit)"
        experts = ", ".join(f"{each} ({100 * share:.0f} %)" for each, share in list(self.experts.items())[:_EXPERTS])
        lines = [
            f"Code of {len(self.experts)} experts from {self.equations} equations in {self.seconds:.1f} s; "
            f"{self.left_out} of them were contradicted by the others and left out.",
            f"{self.surface_points} points of the surface are missed by {self.surface_residual:.2e}{own}, all equations"
            f" by {self.residual:.2e} (root mean squares; the box has sides of 2).",
            f"Most used experts: {experts}.",
        ]
        if self.outside is not None:
            alike = ", ".join(f"{name} ({cosine:.2f})" for name, cosine in self.alike.items())
            lines.append(
                f"{100 * self.outside:.0f} % of what sets it apart from the mean of the training codes leaves their "
                f"span; most alike: {alike}."
            )
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Write it as JSON into a run's folder.

        Raises:
            OSError: the folder cannot be written.
        """
        write_json(folder / REPORT_NAME, asdict(self), indent=2)


def read_report(folder: Path) -> dict[str, Any]:
    """What `FitReport.write` and `DetailReport.add_to` have written into a run's folder.

    Raises:
        OSError: there is none.
    """
    found: dict[str, Any] = json.loads((folder / REPORT_NAME).read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class DetailReport:
    """What a correction of the code's distance makes of points that it was not fitted to.

    Attributes:
        seconds: that it took to find it.
        points: of the surface that it was fitted to.
        smoothness: that was chosen; None: no correction, as points that were held out were met no better with one.
        missed: mean distance of held-out points from the code's surface, normalised units.
        left: and from the corrected one.
        missed_in_file_units: the former in the units of the file; None if they are not known.
        left_in_file_units: so of the latter.
        cells: of the lattice that holds it.
    """

    seconds: float
    points: int
    smoothness: float | None
    missed: float
    left: float
    missed_in_file_units: float | None
    left_in_file_units: float | None
    cells: int

    def text(self) -> str:
        """A line."""
        own = self.missed_in_file_units is not None
        before, after = (self.missed_in_file_units, self.left_in_file_units) if own else (self.missed, self.left)
        unit = "in the file's unit" if own else "the box has sides of 2"
        if self.smoothness is None:
            return f"No correction: with one, points that were held out were missed by more than {before:.2e} ({unit})."
        return (
            f"Corrected around {self.points:,} points in {self.seconds:.1f} s: those that were held out were missed by "
            f"{before:.2e} on average and then by {after:.2e} ({unit})."
        )

    def add_to(self, folder: Path) -> None:
        """Write it into the report that lies in a run's folder, or beside where that would be.

        Raises:
            OSError: the folder cannot be written.
        """
        path = folder / REPORT_NAME
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_json(path, {**known, "detail": asdict(self)}, indent=2)


def report_detail(found: FittedDetail, *, points: int, file_unit: float | None, seconds: float) -> DetailReport:
    """Put together what was found.

    Args:
        found: the correction.
        points: that it was fitted to.
        file_unit: normalised units in a unit of the file; None if that is not known.
        seconds: that it took.
    """
    own = [None if file_unit is None else each / file_unit for each in (found.missed, found.left)]
    cells = 0 if found.detail is None else len(found.detail.lattice.corner_rows)
    return DetailReport(seconds, points, found.smoothness, found.missed, found.left, own[0], own[1], cells)


def report_fit(
    found: FoundCode,
    codes: Float[Tensor, "rows n"],
    names: Sequence[str],
    *,
    errors: Float[Tensor, " m"],
    on_surface: int,
    left_out: int,
    file_unit: float | None,
    seconds: float,
) -> FitReport:
    """Put together what was found.

    Args:
        found: the code.
        codes: of training shapes, a row for each patch of each.
        names: of those shapes.
        errors: what the equations are missed by, normalised units; those on the surface first.
        on_surface: how many of them are on the surface.
        left_out: how many counted nothing, contradicted by the others.
        file_unit: normalised units in a unit of the file; None if that is not known.
        seconds: that it took.
    """
    missed = float(errors[:on_surface].square().mean().sqrt())
    return FitReport(
        seconds=seconds,
        equations=len(errors),
        surface_points=on_surface,
        surface_residual=missed,
        left_out=left_out,
        residual=float(errors.square().mean().sqrt()),
        surface_residual_in_file_units=None if file_unit is None else missed / file_unit,
        experts=_shares(found),
        outside=found.outside,
        noise=found.noise,
        alike=_alike(found, codes, names),
    )


def _shares(found: FoundCode) -> dict[int, float]:
    """Share of the code's squared length of each expert in use."""
    strength: dict[int, float] = {}
    for expert, weight in zip(found.index.flatten().tolist(), found.weight.flatten().tolist(), strict=True):
        if weight != 0:
            strength[expert] = strength.get(expert, 0.0) + weight**2
    total = sum(strength.values())
    return {each: strength[each] / total for each in sorted(strength, key=lambda expert: -strength[expert])}


def _alike(found: FoundCode, codes: Tensor, names: Sequence[str]) -> dict[str, float]:
    """The training shapes whose codes have the largest cosines with the one found."""
    patches = len(found.index)
    code = torch.zeros(patches, codes.shape[1], device=codes.device).scatter(1, found.index, found.weight).flatten()
    rows = codes.view(-1, len(code))
    cosine = rows @ code / (rows.norm(dim=-1) * code.norm() + 1e-12)
    first = cosine.argsort(descending=True)[:_SHAPES].tolist()
    return {names[each] if each < len(names) else str(each): float(cosine[each]) for each in first}
