"""What inr-mesh prints of the mesh that it made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Less than this is a rim that no one sees.
_TELL_FROM = 0.02


def summarise(sidecar: dict[str, Any], files: dict[str, Path], *, seconds: float) -> None:
    """Print what was made, where it is, and how long it took."""
    low, high = np.array(sidecar["bounds"])
    size = " x ".join(f"{side:.4g}" for side in high - low)
    box = " to ".join(" ".join(f"{x:.4g}" for x in corner) for corner in sidecar["box_in_dataset"])
    step = max(sidecar["lattice_spacing"])
    lines = {
        "shape": _which(sidecar),
        "blend": f"{sidecar['blend']:g} of the way to {sidecar['towards']}" if sidecar["towards"] else "",
        "mesh": f"{sidecar['vertices']:,} vertices, {sidecar['faces']:,} faces, "
        f"{'watertight' if sidecar['watertight'] else 'not watertight'}"
        f"{'' if sidecar['colours'] else ', without colours'}",
        "size": f"{size} {sidecar['units']}",
        "box": f"{box} in the dataset's frame ({sidecar['box_source']})",
        "surface": f"{sidecar['field']} = {sidecar['level']:.4g} ({sidecar['level_source']})",
        "samples": f"{sidecar['resolution']} along the longest side, {step:.4g} apart"
        f"{' (normalised)' if sidecar['box_frame'] == 'normalised' else ''}; "
        f"{sidecar['evaluated']:,} evaluated, {sidecar['evaluated_share']:.1%} of all",
        "dropped": dropped(sidecar["cleaned"]),
        _trim_name(sidecar["beyond_points"]): tell_trimmed(sidecar["beyond_points"]),
        **{name: str(path) for name, path in files.items()},
        "seconds": f"{seconds:.1f}",
    }
    for name, text in lines.items():
        if text:
            print(f"{name:>9}  {text}")


def _trim_name(beyond: dict[str, Any] | None) -> str:
    return "trimmed" if beyond is not None and beyond["cut"] else "note"


def _which(sidecar: dict[str, Any]) -> str:
    """Which of several shapes it is, in words; empty where there is no choice."""
    if (sidecar["shapes"] or 0) < 2:
        return ""
    return f"{sidecar['shape']}, number {sidecar['shape_number']} of {sidecar['shapes']} (--shape chooses)"


def dropped(cleaned: dict[str, Any]) -> str:
    """What cleaning took away, in words; empty where that is nothing."""
    names = {
        "cavities": ("closed cavity filled", "closed cavities filled"),
        "pieces": ("connected piece", "connected pieces"),
        "unseen": ("face that no camera sees", "faces that no camera sees"),
        "degenerate": ("face without area", "faces without area"),
        "duplicate": ("double face", "double faces"),
        "decimated": ("face by thinning out", "faces by thinning out"),
    }
    return ", ".join(f"{cleaned[key]:,} {words[cleaned[key] != 1]}" for key, words in names.items() if cleaned[key])


def tell_trimmed(described: dict[str, Any] | None) -> str:
    """A line on what was cut off, or might be; empty where that is nothing."""
    if described is None:
        return ""
    share, distance = described["area"], described["distance"]
    if described["cut"]:
        return f"{share:.1%} of the surface, farther than {distance:.4g} from all points"
    if share < _TELL_FROM:
        return ""
    return (
        f"{share:.0%} of the surface is farther than {distance:.4g} from all points; --trim-to-points auto cuts it off"
    )
