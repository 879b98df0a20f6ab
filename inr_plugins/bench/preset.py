"""What a preset is, and rows that several of them have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inr_plugins.bench.papers import Numbers

ACTIVATIONS = {
    "PEMLP": "relu",
    "SIREN": "sine",
    "FINER++ (Sine)": "finer-sine",
    "Gauss": "gauss",
    "FINER++ (Gauss)": "finer-gauss",
    "WIRE": "wavelet",
    "FINER++ (Wavelet)": "finer-wavelet",
}
NORMALIZATIONS = {"": "none", "BN": "batch", "LN": "layer", "GN": "global", "CN": "cross"}


@dataclass(frozen=True)
class Entry:
    """One row of a table.

    Attributes:
        label: what the paper calls the method.
        method: its name in ns-train; None for a row that stands in the paper only.
        options: options of ns-train that make the method the paper's.
        steps: length of the training; None: the user gives a budget.
    """

    label: str
    method: str | None
    options: tuple[str, ...] = ()
    steps: int | None = None


@dataclass(frozen=True)
class Preset:
    """A benchmark that is laid out in advance.

    Attributes:
        name: what --preset takes.
        source: the table that it repeats.
        entries: its rows.
        scenes: names of the scenes that it wants; empty: any.
        data: words on where such data comes from.
        resolution: width and height of the paper's images; None where there are none.
        train_views: the paper's training views; None where there are none.
        metrics: metrics of the paper that are compared.
        eval_every_view: test views to evaluate: the first and every n-th after it.
        seconds: budgets of a preset that goes by time.
        printed: the paper's numbers by label.
        note: what a reader of the table must know.
        not_computed: metrics of the paper's table that are not computed, and why, as a sentence's end.
    """

    name: str
    source: str
    entries: tuple[Entry, ...]
    scenes: tuple[str, ...] = ()
    data: str = "any dataset"
    resolution: tuple[int, int] | None = None
    train_views: int | None = None
    metrics: tuple[str, ...] = ("psnr", "ssim")
    eval_every_view: int = 20
    seconds: tuple[float, ...] = ()
    printed: Mapping[str, Numbers] = field(default_factory=dict)
    note: str = ""
    not_computed: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """A sentence on each metric of the paper's that is not computed."""
        return [
            f"{metric} of the paper's table is not computed, because {why}."
            for metric, why in self.not_computed.items()
        ]

    def scene_of(self, name: str) -> str | None:
        """The wanted scene that a folder called `name` holds: its own name, or it and a suffix (lego_200)."""
        lowered = name.lower()
        for scene in self.scenes:
            if lowered == scene or lowered.startswith((f"{scene}_", f"{scene}-")):
                return scene
        return None


def paper_only(*labels: str) -> tuple[Entry, ...]:
    """Rows that stand in the paper only."""
    return tuple(Entry(label, None) for label in labels)


def normalised(method: str, label: str, *, options: tuple[str, ...] = (), steps: int | None = None) -> Entry:
    """A row of the normalization paper: an activation of its own, or ReLU without or with encoding and a norm."""
    if label == "MFN":
        return Entry(label, None)
    if label in ("SIREN", "WIRE"):
        network = ("--pipeline.model.activation", ACTIVATIONS[label], "--pipeline.model.normalization", "none")
        return Entry(label, method, (*network, *options), steps)
    start, _, normalization = label.partition("+")
    encoding = ("identity",) if start == "ReLU" else ("positional", "--pipeline.model.octaves", "10")
    network = ("--pipeline.model.encoding", *encoding)
    return Entry(
        label,
        method,
        (*network, "--pipeline.model.normalization", NORMALIZATIONS[normalization], *options),
        steps,
    )
