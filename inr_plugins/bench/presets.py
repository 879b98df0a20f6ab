"""Presets: the papers' tables as benchmarks, with the printed numbers to put beside ours."""

from __future__ import annotations

from collections.abc import Collection

from inr_plugins.bench import papers
from inr_plugins.bench.dictionary_presets import DICTIONARY_PRESETS
from inr_plugins.bench.image_presets import IMAGE_PRESETS
from inr_plugins.bench.measured_presets import MEASURED_PRESETS
from inr_plugins.bench.preset import ACTIVATIONS, Entry, Preset, normalised, paper_only


def missing_methods(preset: Preset, known: Collection[str]) -> list[str]:
    """Methods of `preset` that are not among `known`, each once."""
    wanted = dict.fromkeys(entry.method for entry in preset.entries if entry.method is not None)
    return [method for method in wanted if method not in known]


_HULL_ALONE = (
    *("--pipeline.model.hull-sizes", "--pipeline.model.hull-steps", "--pipeline.model.stage-steps"),
    *("--pipeline.model.lattice-sizes", "256", "--pipeline.model.smooth-share", "4"),
    *("--pipeline.model.colour-degrees", "2", "--max-num-iterations", "1"),
)
"""Options of diner-surface by which it ends where it starts, on one lattice."""

_NETWORK_ALONE = ("--pipeline.model.lattice-cells", "0", "--pipeline.model.average-decay", "0")
"""finer-sdf as the paper has it, without what this package puts under and behind the network."""
_SDF_CONSTANTS = {
    "PEMLP": ("--pipeline.model.octaves", "10"),
    "Gauss": ("--pipeline.model.scale", "30"),
    "WIRE": ("--pipeline.model.scale", "10", "--pipeline.model.carrier", "20"),
}
"""Those of FINER++'s code, where finer-sdf has others."""

_DINER_STEPS = 6000
_MIPNERF_STEPS = 1_000_000
_FINER_STEPS = 37_500
_NEUS_STEPS = 300_000
_BLENDER_DATA = "NeRF-synthetic (Blender) scenes, area-averaged to this size"
_EVERY_FOURTH = ("--pipeline.datamanager.train-view-stride", "4")


def _backbone(label: str, activation: str) -> Entry:
    options = ("--pipeline.model.activation", activation, *_EVERY_FOURTH)
    return Entry(label, "finer-nerf", options, steps=_FINER_STEPS)


_ALL = (
    Preset(
        name="first-use",
        source="diner and finer-nerf against nerfstudio's own methods, at 1, 5 and 15 minutes",
        entries=tuple(
            Entry(name, name) for name in ("diner", "finer-nerf", "nerfacto", "tensorf", "vanilla-nerf", "mipnerf")
        ),
        seconds=(60.0, 300.0, 900.0),
    ),
    Preset(
        name="surfaces",
        source="diner-surface's meshes against diner's and cn-neus's, and the visual hull, at 1 and 5 minutes",
        entries=(
            *(Entry(name, name) for name in ("diner-surface", "diner", "cn-neus")),
            Entry("visual hull", "diner-surface", _HULL_ALONE),
        ),
        data="objects with masks or alpha; of inr-scene with their true surface",
        note="The visual hull is diner-surface's start on its finest lattice, after one step. Surfaces of dense stereo "
        "(COLMAP, then Poisson) are not among the rows: that stereo needs CUDA.",
        metrics=("normal_consistency", "iou"),
        seconds=(60.0, 300.0),
    ),
    Preset(
        name="diner-table4",
        source="DINER (Zhu et al. 2023, journal version), Table 4",
        entries=(
            Entry("DINER", "diner", steps=_DINER_STEPS),
            *paper_only("NeRF", "Plenoxels", "InstantNGP", "DVGO"),
        ),
        scenes=papers.BLENDER,
        data=_BLENDER_DATA,
        resolution=(400, 400),
        train_views=100,
        eval_every_view=1,
        printed=papers.DINER_TABLE_4,
        note="The paper prints means over the eight scenes; its steps and its GPU are not stated.",
        not_computed={
            "lpips": "its networks' weights would have to be downloaded; inr-eval measures it where they are"
        },
    ),
    Preset(
        name="diner-fig17",
        source="DINER (Zhu et al. 2023, journal version), Figure 17(a): PSNR against the width of the keys",
        entries=tuple(
            Entry(f"width {width}", "diner", ("--pipeline.model.key-width", str(width)), steps=_DINER_STEPS)
            for width in (1, 2, 3, 5, 8, 11, 15, 19, 23, 27)
        ),
        scenes=papers.BLENDER,
        data=_BLENDER_DATA,
        resolution=(400, 400),
        train_views=100,
        eval_every_view=1,
        metrics=("psnr",),
        note="The figure is a curve without numbers: PSNR rises steeply at first and is level from about 15.",
    ),
    *IMAGE_PRESETS,
    *MEASURED_PRESETS,
    Preset(
        name="finer-table2",
        source="FINER++ (Zhu et al. 2024), Table 2",
        entries=tuple(
            Entry(
                label,
                "finer-sdf",
                ("--pipeline.model.activation", ACTIVATIONS[label], *_SDF_CONSTANTS.get(label, ()), *_NETWORK_ALONE),
                steps=200_000,
            )
            for label in papers.FINER_TABLE_2
        ),
        scenes=papers.STANFORD[:-1],
        data="meshes of the Stanford 3D Scanning Repository",
        metrics=("chamfer_e6", "iou"),
        printed=papers.FINER_TABLE_2,
        note="Most of the best printed distances is the metric's own floor; the printed means are not of these rows.",
    ),
    Preset(
        name="finer-table3",
        source="FINER++ (Zhu et al. 2024), Table 3",
        entries=(
            _backbone("PEMLP", "relu"),
            _backbone("SIREN", "sine"),
            Entry("FINER++ (Sine)", "finer-nerf", _EVERY_FOURTH, steps=_FINER_STEPS),
            _backbone("Gauss", "gauss"),
            Entry("FINER++ (Gauss)", "finer-gauss-nerf", _EVERY_FOURTH, steps=_FINER_STEPS),
            _backbone("WIRE", "wavelet"),
            Entry("FINER++ (Wavelet)", "finer-wavelet-nerf", _EVERY_FOURTH, steps=_FINER_STEPS),
        ),
        scenes=papers.BLENDER,
        data=_BLENDER_DATA + "; every fourth training view is used",
        resolution=(200, 200),
        train_views=100,
        eval_every_view=1,
        printed=papers.FINER_TABLE_3,
        note="The networks of the paper's baselines are not published; ours differ in nothing but the activation.",
    ),
    Preset(
        name="norm-table3",
        source="Towards the Spectral Bias Alleviation by Normalizations in Coordinate Networks, Table III",
        entries=tuple(normalised("cn-occupancy", label) for label in papers.NORM_TABLE_3),
        scenes=papers.OCCUPANCY_SHAPES[:-1],
        data="meshes of the Stanford 3D Scanning Repository",
        metrics=("iou",),
        printed=papers.NORM_TABLE_3,
        note="The paper gives 200 epochs and not how long one is: give a budget.",
    ),
    Preset(
        name="norm-table6",
        source="Towards the Spectral Bias Alleviation by Normalizations in Coordinate Networks, Table VI",
        entries=(
            Entry("CN-MipNeRF", "cn-mipnerf", steps=_MIPNERF_STEPS),
            Entry("MipNeRF", "mipnerf", steps=_MIPNERF_STEPS),
            Entry("DINER", "diner", steps=_DINER_STEPS),
            *paper_only("NeRF", "Plenoxels", "DVGO", "InstantNGP"),
        ),
        scenes=papers.BLENDER,
        data=_BLENDER_DATA,
        resolution=(400, 400),
        train_views=100,
        eval_every_view=1,
        printed=papers.NORM_TABLE_6,
        note="MipNeRF here is nerfstudio's, whose encoding and schedule differ from the paper's.",
    ),
    Preset(
        name="norm-table7",
        source="Towards the Spectral Bias Alleviation by Normalizations in Coordinate Networks, Table VII",
        entries=(
            Entry("CN-NeuS", "cn-neus", steps=_NEUS_STEPS),
            *paper_only("NeuS", "HF-NeuS", "VolSDF", "IDR", "NeRF", "InstantNGP"),
        ),
        scenes=papers.DTU,
        data="DTU scans with IDR's masks",
        resolution=(1600, 1200),
        metrics=("chamfer_mm",),
        printed=papers.NORM_TABLE_7,
        not_computed={
            "chamfer_mm": "it is measured against DTU's reference scans inside of its observation masks, which are not "
            "read; inr-eval --truth SCAN compares a mesh with a scan without them"
        },
    ),
    Preset(
        name="nid-table3",
        source="Neural Implicit Dictionary (Wang et al. 2022), Table 3",
        entries=(
            Entry("NID, k = 128", "nid-fit", ("--pipeline.model.active", "128")),
            Entry("NID, k = 256", "nid-fit", ("--pipeline.model.active", "256")),
            *paper_only("SIREN", "IGR", "DeepSDF", "MetaSDF", "ConvONet"),
        ),
        scenes=papers.POINTS,
        data="ShapeNet chairs as clouds of 500k, 50k and 10k points",
        metrics=("chamfer_e3", "normal_consistency"),
        printed=papers.NID_TABLE_3,
        not_computed={
            "chamfer_e3": "the paper does not define it; the table of surfaces has distances that are defined"
        },
        note="The paper does not define its distance: baselines have to be run again under one definition. Give the "
        'dictionary by --options nid-fit="--pipeline.model.dictionary RUN".',
    ),
    *DICTIONARY_PRESETS,
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
"""All presets by name."""
