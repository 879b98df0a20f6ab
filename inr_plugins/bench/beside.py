"""Tables of what fits are judged by that know measurements alone, with other answers from the same measurements."""

from __future__ import annotations

from inr_plugins.bench.record import BESIDE
from inr_plugins.bench.tables import NOTHING, Group, Spread, markdown_table, spread

_CAPTION = (
    "By measurements that were held out, once training has ended: `held_out_error` is what they are missed by, as a "
    "share of them. Names with an ending are of answers without a network from the same measurements "
    "(`psnr_tv`: total variation's)."
)


def beside_table(group: Group, scene: str) -> str:
    """The scores of one scene, a row for each method; "" of methods that are not learnt from measurements."""
    rows = {
        label: [record["measured"].get(BESIDE) or {} for record in group.of(label=label, scene=scene)]
        for label in group.labels()
    }
    names = list(dict.fromkeys(name for found in rows.values() for each in found for name in each))
    if not names:
        return ""
    table = [
        [label, *(_cell(spread(each.get(name) for each in found)) for name in names)]
        for label, found in rows.items()
        if any(found)
    ]
    return f"{_CAPTION}\n\n{markdown_table(['method', *names], table)}"


def _cell(found: Spread) -> str:
    return NOTHING if found.mean is None else f"{found.mean:.4g}"
