"""The table of a preset: what was measured beside what the paper prints, scene by scene."""

from __future__ import annotations

from inr_plugins.bench import papers
from inr_plugins.bench.preset import Preset
from inr_plugins.bench.tables import NOTHING, Group, Spread, markdown_table, mean_over_scenes, metric_spread

_NAMES = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "chamfer_e6": "Chamfer² of the shape with a longest side of 0.9, in millionths",
    "iou": "IoU of the volumes",
    "normal_consistency": "Normal consistency",
}
_DIGITS = {"psnr": 2, "ssim": 3, "chamfer_e6": 3, "iou": 4, "normal_consistency": 3}
_MARK = "†"


def paper_section(group: Group, preset: Preset) -> str:
    """One table a metric, rows as the paper has them, each cell "ours / the paper's".

    The last column is the mean over all scenes of the paper; ours is there when all of them were run. Of a preset that
    names none it is ours over all that were run, beside the paper's over its own. Scenes whose images or views are not
    as many or as large as the paper's are marked.
    """
    present = {scene: found for found in group.scenes() if (scene := preset.scene_of(found)) is not None}
    others = [found for found in group.scenes() if preset.scene_of(found) is None]
    parts = [
        f"{_NAMES[metric]}, ours / the paper's:\n\n{_table(group, preset, metric, present)}"
        for metric in preset.metrics
        if metric in _DIGITS
    ]
    differing = [differs for scene in present.values() if (differs := difference(group, preset, scene))]
    if differing:
        parts.append(f"{_MARK} Not the paper's data: {'; '.join(differing)}.")
    parts += [sentence[0].upper() + sentence[1:] for sentence in preset.missing()]
    if others and preset.scenes:
        parts.append(f"Scenes that the paper does not have: {', '.join(others)}.")
    return "\n\n".join(parts)


def _table(group: Group, preset: Preset, metric: str, present: dict[str, str]) -> str:
    scenes = [scene for scene in preset.scenes if scene in present]
    headings = ["method", *(f"{scene}{_MARK if difference(group, preset, present[scene]) else ''}" for scene in scenes)]
    mean_of = [*present.values()] if preset.scenes else group.scenes()
    headings.append(
        f"mean of {len(preset.scenes)}" if preset.scenes else f"mean of {len(mean_of)} here / of the paper's"
    )
    entry_of = {label: _entry_of(preset, label) for label in group.labels()}
    entry_of |= {entry.label: entry.label for entry in preset.entries if entry.label not in entry_of.values()}
    rows = []
    for label, entry in entry_of.items():
        printed = preset.printed.get(entry, {})
        cells = [
            _cell(metric_spread(group.of(label=label, scene=present[scene]), metric, None), printed, scene, metric)
            for scene in scenes
        ]
        everywhere = len(scenes) == len(preset.scenes)
        ours = mean_over_scenes(group, label, mean_of, metric, None) if everywhere else Spread(None, None, 0, 0)
        rows.append([label, *cells, _cell(ours, printed, papers.MEAN, metric)])
    return markdown_table(headings, rows)


def _entry_of(preset: Preset, label: str) -> str:
    """The row of the preset that a method's label is of, which may have the user's options after it (plan.labelled)."""
    found = [entry.label for entry in preset.entries if label == entry.label or label.startswith(f"{entry.label} (")]
    return max(found, key=len, default=label)


def _cell(ours: Spread, printed: papers.Numbers, scene: str, metric: str) -> str:
    paper = printed.get(scene, {}).get(metric)
    text = NOTHING if paper is None else f"{paper:.{_DIGITS[metric]}f}"
    return f"{ours.text(_DIGITS[metric])} / {text}"


def difference(group: Group, preset: Preset, scene: str) -> str:
    """How a scene that was run differs from the paper's, in words; empty if it does not."""
    record = next(iter(group.of(scene=scene)), None)
    if record is None:
        return ""
    size = tuple(record["scene"]["resolution"] or ())
    views = record["scene"]["train_views"]
    said = []
    if preset.resolution is not None and size and size != preset.resolution:
        said.append(f"{size[0]}x{size[1]} pixels and not {preset.resolution[0]}x{preset.resolution[1]}")
    if preset.train_views is not None and views != preset.train_views:
        said.append(f"{views} training views and not {preset.train_views}")
    return f"{scene} has {' and '.join(said)}" if said else ""
