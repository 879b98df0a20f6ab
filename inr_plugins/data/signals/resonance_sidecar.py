"""What `<name>.json` says of a volume or of k-space, checked as it is asked for (see `resonance_file`)."""

from __future__ import annotations

import json
import math
from pathlib import Path

from inr_plugins.data.signals.sidecar import Sidecar

IN_SPACE, IN_K_SPACE = "image", "k-space"
"""How slices of k-space are told: each an acquisition of its own, or transformed as rows and columns are."""
SPACE = ("slices", "rows", "columns")
SPACING_MM = (1e-3, 50.0)
"""Between a microscope's voxels and those of a scan that finds the patient."""
_KEYS = ("values", "spacing_mm", "spacing_um", "axes", "centre", "origin", "slices", "notes")
_LENGTHS_MM = {"mm": 1.0, "um": 1e-3}
_EXAMPLES = {
    (2, False): "rows columns",
    (3, False): "slices rows columns",
    (2, True): "rows columns",
    (3, True): "coils rows columns",
    (4, True): "slices coils rows columns",
}
"""Of axes, by how many there are and whether coils may be among them."""


class ResonanceSidecar(Sidecar):
    """What stands beside a file, checked as it is asked for."""

    def __init__(self, path: Path, data: Path) -> None:
        super().__init__(path, data, needs="values and spacing_mm", page="cn-mri")
        for key in self.values:
            if key not in _KEYS:
                unit = ", whose unit is not known: call it spacing_mm or spacing_um" if "spacing" in key.lower() else ""
                raise self.error(
                    f"has the key {key}{unit or ', which is none of ' + ', '.join(_KEYS) + ': take it out'}"
                )

    def axes(self, count: int, *, coils: bool) -> tuple[str, ...]:
        """The names of the axes of an array of so many."""
        found = self.values.get("axes")
        if found is None and (count == 2 or (count == 3 and not coils)):
            return SPACE[-count:]
        if (count, coils) not in _EXAMPLES:
            most = "coils, slices, rows and columns" if coils else "slices, rows and columns"
            raise self.error(f"is of an array of {count} axes, and there are {most} at most: save an array of those")
        names = tuple(found.split()) if isinstance(found, str) else ()
        space = [each for each in names if each != "coils"]
        is_known = len(set(names)) == len(names) == count and sorted(space) in (sorted(SPACE), sorted(SPACE[1:]))
        if not is_known or ("coils" in names and not coils):
            told = "no axes" if found is None else f"the axes {json.dumps(found)[:60]}"
            example = _EXAMPLES[count, coils]
            raise self.error(f'has {told}, and the array has {count}: give "axes", such as "{example}", in its order')
        return names

    def slices(self, axes: tuple[str, ...], *, k_space: bool) -> str | None:
        """IN_SPACE or IN_K_SPACE, as it is said of an array of those axes; None: nothing is said."""
        if "slices" not in self.values:
            return None
        if "slices" not in axes or not k_space:
            raise self.error('has the key slices, which is of k-space with "slices" among its axes: take it out')
        return self.choice("slices", (IN_SPACE, IN_K_SPACE))

    def spacing(self, axes: list[str]) -> tuple[float, ...]:
        """Of the axes of space, mm, in the order of the array."""
        given = [key for key in ("spacing_mm", "spacing_um") if key in self.values]
        if len(given) != 1:
            raise self.error("must have spacing_mm (or spacing_um), the distance of voxels, once")
        found = self.values[given[0]]
        listed = found if isinstance(found, list) else [found] * len(axes)
        if len(listed) != len(axes) or any(
            isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in listed
        ):
            raise self.error(
                f"has {given[0]} {json.dumps(found)[:60]}: give one number, or one for each of {' '.join(axes)}"
            )
        spacing = tuple(x * _LENGTHS_MM[given[0].rpartition("_")[2]] for x in listed)
        low, high = SPACING_MM
        wrong = [each for each in spacing if not low <= each <= high]
        if wrong:
            raise self.error(
                f"has {given[0]} {json.dumps(found)[:60]}, and voxels of {wrong[0]:.6g} mm are out of reason "
                f"({low:g} to {high:g} mm): give their distance in that unit"
            )
        return spacing
