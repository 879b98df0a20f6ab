"""Presets of the papers' tables and figures of what is known by measurements alone: slices, volumes, holograms."""

from __future__ import annotations

from inr_plugins.bench import papers
from inr_plugins.bench.preset import Entry, Preset, normalised, paper_only

_CT_STEPS = 20_000
_MRI_STEPS = 1000
_HOLOGRAM_STEPS = 10_000
_SOLVED_STEPS = 40
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


_DINER = "DINER (Zhu et al. 2023, journal version)"
_DESCENDED = ("--pipeline.model.solve-share", "0")
"""As in the paper."""
_INTENSITIES = ("--pipeline.model.loss", "intensity")
"""The loss of the paper's code."""


def _of_places(layers: int, width: int) -> tuple[str, ...]:
    """A network of the coordinates, with which DINER compares."""
    network = {"activation": "relu", "encoding": "positional", "hidden-layers": str(layers), "width": str(width)}
    options = (word for name, value in network.items() for word in (f"--pipeline.model.network.{name}", value))
    return ("--pipeline.model.keys", "False", *options)


_FIGURE_13 = Preset(
    name="diner-fig13",
    source=f"{_DINER}, Figures 13 and 14: an object by its holograms at several heights",
    entries=(
        Entry("DINER", "diner-lensless", (*_DESCENDED, *_INTENSITIES), steps=_HOLOGRAM_STEPS),
        Entry("DINER, light solved for", "diner-lensless", steps=_SOLVED_STEPS),
        Entry("DNF", "diner-lensless", (*_of_places(8, 256), *_INTENSITIES), steps=_HOLOGRAM_STEPS),
        *paper_only("PhysenNet", "InstantNGP"),
    ),
    data="holograms or an object, with their .json; the paper's section of skin is not published",
    eval_every_view=1,
    metrics=("psnr",),
    note="The figures have curves without numbers, of the learnt holograms; the paper's text has DINER ahead of "
    "PhysenNet by more than 7 dB and of InstantNGP by 3, and DNF beside it after 100 times as long. Here holograms "
    "that were held out judge a fit, and the object where it is known; without it there is no PSNR of pictures.",
)
_FIGURE_15 = Preset(
    name="diner-fig15",
    source=f"{_DINER}, Figure 15: the refractive index of a cell by its pictures in the light of LEDs",
    entries=(
        Entry("DINER", "diner-tomography", ("--pipeline.model.network.hidden-layers", "2")),
        Entry("DeCAF", "diner-tomography", _of_places(10, 208)),
    ),
    data="pictures or a volume, with their .json; the paper's granulocyte is DeCAF's",
    eval_every_view=1,
    metrics=("psnr",),
    note="The figure has pictures without numbers, and the text says minutes alone: DeCAF 401, DINER 91. Steps and "
    "weights of the loss are not printed: give a budget. DeCAF is its network here, without its directions of "
    "encoding and its denoiser.",
)


def _heads(views: int) -> Preset:
    """One number of views of NID's table of tomography."""
    seen = ("--pipeline.datamanager.dataparser.views", str(views))
    plain = ("--pipeline.model.normalization", "none", *seen)
    return Preset(
        name=f"nid-table2-{views}",
        source=f"Neural Implicit Dictionary (Wang et al. 2022), Table 2: slices through heads by {views} views",
        entries=(
            Entry("FFM", "cn-ct", ("--pipeline.model.activation", "relu", *plain)),
            Entry("SIREN", "cn-ct", ("--pipeline.model.activation", "sine", *plain)),
            *paper_only("Meta", "NID, k = 128"),
            Entry("NID, k = 256", "nid-ct", seen),
        ),
        data="grey images of slices that the dictionary has not seen; inr-phantom heads makes them, and those to learn",
        eval_every_view=1,
        metrics=("psnr", "ssim"),
        printed=papers.NID_TABLE_2[views],
        note="The paper's slices have 128x128 pixels, and its angles are random; its views are made by the fit's own "
        "operator. A code over all experts is solved for, where the paper descends over k of 1,024. Give the "
        'dictionary by --options nid-ct="--pipeline.model.dictionary RUN". Steps of the others are not printed: theirs '
        "are cn-ct's.",
    )


MEASURED_PRESETS: tuple[Preset, ...] = (
    *(_slices(*size) for size in papers.NORM_TABLE_4),
    *(_volumes(*size) for size in papers.NORM_TABLE_5),
    _FIGURE_13,
    _FIGURE_15,
    *(_heads(views) for views in papers.NID_TABLE_2),
)
"""In the order in which they are listed."""
