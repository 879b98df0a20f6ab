"""Tables of what fits are judged by beside pictures, with answers without a network: of measurements, and of videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inr_plugins.bench.record import BESIDE
from inr_plugins.bench.tables import NOTHING, Group, Spread, markdown_table, spread

Scores = Mapping[str, Sequence[Mapping[str, float]]]
"""What each record of a method has, by the method's label."""
_CAPTION = (
    "By measurements that were held out, once training has ended: `held_out_error` is what they are missed by, as a "
    "share of them. Names with an ending are of answers without a network from the same measurements "
    "(`psnr_tv`: total variation's)."
)


_OF_VIDEOS = (
    "Background and foreground of all frames, once training has ended: `foreground_share`, of pixels, and "
    "`psnr_background`, of the background where there is no foreground; where the clip's own truth is beside it, "
    "`psnr_still`, of the background over all of every frame, and `precision`, `recall` and `f` of the foreground. "
    "The last rows are of answers without a network: `median`, over the frames, and `pursuit`, of principal components."
)


def beside_table(group: Group, scene: str) -> str:
    """The scores of one scene, a row for each method; "" of methods that have none."""
    rows = {
        label: [record["measured"].get(BESIDE) or {} for record in group.of(label=label, scene=scene)]
        for label in group.labels()
    }
    names = list(dict.fromkeys(name for found in rows.values() for each in found for name in each))
    if not names:
        return ""
    rows = {label: found for label, found in rows.items() if any(found)}
    if group.of(scene=scene)[0]["definition"]["scene"]["parser"] == "video-data":
        return _answers_below(rows, names)
    table = [[label, *_cells(found, names)] for label, found in rows.items()]
    return f"{_CAPTION}\n\n{markdown_table(['method', *names], table)}"


def _answers_below(rows: Scores, names: Sequence[str]) -> str:
    """A row for each method and then for each other answer, once where it has the same scores beside all methods."""
    own = [name for name in names if not any(name.startswith(f"{other}_") for other in names)]
    endings = dict.fromkeys(
        name.removeprefix(f"{each}_") for each in own for name in names if name.startswith(f"{each}_")
    )
    table = [[label, *_cells(found, own)] for label, found in rows.items()]
    for ending in endings:
        cells = dict.fromkeys(tuple(_cells(found, [f"{name}_{ending}" for name in own])) for found in rows.values())
        table += [[ending, *each] for each in cells if set(each) != {NOTHING}]
    return f"{_OF_VIDEOS}\n\n{markdown_table(['method', *own], table)}"


def _cells(found: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[str]:
    return [_cell(spread(each.get(name) for each in found)) for name in names]


def _cell(found: Spread) -> str:
    return NOTHING if found.mean is None else f"{found.mean:.4g}"
