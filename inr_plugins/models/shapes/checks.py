"""What can be known to go wrong with models of shapes: too many shapes, a surface that has vanished."""

from __future__ import annotations

from collections.abc import Sequence

from inr_plugins.errors import InputError


def check_one_shape(names: Sequence[str]) -> None:
    """Raise InputError where there are several shapes, for models that learn one."""
    if len(names) > 1:
        raise InputError(
            f"This method learns one shape, and --data holds {len(names)} ({', '.join(names[:3])}"
            f"{', ...' if len(names) > 3 else ''}): give one file, or learn a dictionary of them with nid-shapes."
        )


def sign_problem(true_inside: float, fitted_inside: float, *, group: str) -> str | None:
    """What is wrong with the side on which a fit has its points, and what to try; None if nothing is.

    Args:
        true_inside: part of a batch's points that are inside.
        fitted_inside: part of them that the fit has inside.
        group: name of the optimizer whose learning rate to lower.
    """
    if not 0 < true_inside < 1:
        side = "outside" if true_inside == 0 else "inside"
        return (
            f"All points of the data are {side}, so that the fit can have no surface: choose another "
            "--pipeline.datamanager.dataparser.sign, with which the shape has an inside and an outside."
        )
    if 0 < fitted_inside < 1:
        return None
    what = "vanished: no point is inside" if fitted_inside == 0 else "filled the box: every point is inside"
    return (
        f"The surface has {what}, of the data {100 * true_inside:.0f} % are. Lower "
        f"--optimizers.{group}.optimizer.lr, or --pipeline.model.omega or scale of a rough activation."
    )
