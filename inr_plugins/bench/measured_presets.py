"""Presets of the papers' tables of what is known by measurements alone: computed tomography and MRI."""

from __future__ import annotations

from inr_plugins.bench import papers
from inr_plugins.bench.preset import Entry, Preset, normalised

_CT_STEPS = 20_000
_MRI_STEPS = 1000
_PAPER = "Towards the Spectral Bias Alleviation by Normalizations in Coordinate Networks"
_CT = (
    *("--pipeline.model.weighting", "none", "--pipeline.model.positive", "False"),
    *("--pipeline.datamanager.dataparser.views", "100"),
)
"""The paper's loss of the projections as they are, and values of any sign."""
_MRI = ("--pipeline.model.positive", "False", "--pipeline.datamanager.dataparser.same-operator", "True")
"""The paper's volume is measured as a fit is, voxels as points."""


def _entries(method: str, layers: int, width: int, steps: int, more: tuple[str, ...]) -> tuple[Entry, ...]:
    size = ("--pipeline.model.hidden-layers", str(layers), "--pipeline.model.width", str(width))
    return tuple(
        normalised(method, label, options=(*size, *more), steps=steps) for label in papers.NORM_MEASURED_COLUMNS
    )


def _slices(layers: int, width: int) -> Preset:
    return Preset(
        name=f"norm-table4-{layers}x{width}",
        source=f"{_PAPER}, Table IV, {layers} layers of {width}: a slice by 100 views",
        entries=_entries("cn-ct", layers, width, _CT_STEPS, _CT),
        data="a grey image of a slice; the paper's is a chest of 256x256 pixels",
        eval_every_view=1,
        metrics=("psnr",),
        printed=papers.NORM_TABLE_4[layers, width],
        note="The paper's loss, encoding of ten octaves and values of any sign, without what cn-ct has by default; "
        "each row at its own rate. Views are made by finer rays and pixels than a fit has, where the paper's are made "
        "by the fit's own operator.",
    )


def _volumes(layers: int, width: int) -> Preset:
    return Preset(
        name=f"norm-table5-{layers}x{width}",
        source=f"{_PAPER}, Table V, {layers} layers of {width}: a volume by an eighth of its k-space",
        entries=_entries("cn-mri", layers, width, _MRI_STEPS, _MRI),
        data="a volume (.npy with its .json, NIfTI or DICOM); the paper's is a head of 96x96x96 voxels",
        eval_every_view=1,
        metrics=("psnr",),
        printed=papers.NORM_TABLE_5[layers, width],
        note="The paper's encoding of ten octaves and values of any sign, without what cn-mri has by default; each row "
        "at its own rate.",
    )


MEASURED_PRESETS: tuple[Preset, ...] = (
    *(_slices(*size) for size in papers.NORM_TABLE_4),
    *(_volumes(*size) for size in papers.NORM_TABLE_5),
)
"""In the order in which they are listed."""
