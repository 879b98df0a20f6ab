"""Panels of networks, for whatever method has such a network: first-layer frequencies, batch statistics."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from inr_plugins.networks.activations.frequencies import fresh_layer, local_frequencies, points_of_cube, sine_of
from inr_plugins.networks.coordinate_network import CoordinateNetwork
from inr_plugins.networks.encodings import Identity
from inr_plugins.networks.normalization.base import NoNormalization
from inr_plugins.networks.normalization.running_statistics import RunningColumns, RunningStatistics
from inr_plugins.viewer import charts
from inr_plugins.viewer.background import Follower
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.snapshot import Snapshot

_SPATIAL = 3
_BINS = 28
_DOTS = 48
"""Channels of a layer that are drawn."""


def network_panels(model: nn.Module) -> list[Panel]:
    """The panels that a model's networks give something to see in."""
    panels: list[Panel] = []
    if periodic_network(model) is not None:
        panels.append(FrequencyPanel())
    if any(isinstance(module, RunningStatistics) for module in model.modules()):
        panels.append(StatisticsPanel())
    return panels


def periodic_network(model: nn.Module) -> CoordinateNetwork | None:
    """The first network of positions whose first layer is a FINER++ one, on positions as they are."""
    for module in model.modules():
        if not isinstance(module, CoordinateNetwork) or module.fused is not None or module.in_dim != _SPATIAL:
            continue
        sine = sine_of(module.activation)
        plain = isinstance(module.encoding, Identity) and isinstance(module.norms[0], NoNormalization)
        if sine is not None and sine.variable and plain:
            return module
    return None


class _Shown(Panel):
    """A panel of one chart and a few words, which are made while its box is ticked, and of nothing but snapshots."""

    hint: str

    def build(self) -> None:
        self._show = self.gui.add_checkbox("Show", initial_value=False, hint=self.hint)
        self._add_controls()
        self._text = self.gui.add_markdown("", visible=False, image_root=Path())
        self._follower = Follower(self.live, self._update, fail=self._fail, name=self.title)
        self._show.on_update(self.safely(lambda _: self._switch()))

    def _add_controls(self) -> None:
        """Those between the box and the chart; none by default."""

    def _switch(self) -> None:
        on = bool(self._show.value)
        self._text.visible = on
        if on and self.live.snapshot is None:
            self._text.content = "Waiting for the first picture."
        self._follower.switch(on)

    def _fail(self, sentence: str) -> None:
        self._text.content = sentence

    def _update(self, snapshot: Snapshot) -> None:
        self._text.content = self.of(snapshot)

    @abstractmethod
    def of(self, snapshot: Snapshot) -> str:
        """Chart and words, in markdown."""

    def close(self) -> None:
        """End the thread that draws."""
        self._follower.close()


class FrequencyPanel(_Shown):
    """How fast the neurons of the first layer oscillate across the scene, beside how fast they start."""

    title = "First-layer frequencies"
    hint = (
        "Cycles of each neuron of the first layer within one unit of the network's input, which is half of the box's "
        "longest side, at points all over the box: ω (2|z| + 1) |w| / 2π."
    )

    @torch.no_grad()
    def of(self, snapshot: Snapshot) -> str:
        network = periodic_network(snapshot.model)
        sine = None if network is None else sine_of(network.activation)
        if network is None or sine is None:
            return "The network has no first layer of this kind."
        points, layer = points_of_cube(_SPATIAL), cast(nn.Linear, network.layers[0])
        weight, bias = (each.detach().float().cpu() for each in (layer.weight, layer.bias))
        now = local_frequencies(weight, bias, sine, points).reshape(-1).numpy()
        start = local_frequencies(*fresh_layer(network.activation, _SPATIAL), sine, points).reshape(-1).numpy()
        return frequency_chart(now, start, snapshot.step)


def frequency_chart(now: np.ndarray, start: np.ndarray, step: int) -> str:
    """Two distributions of frequencies, and their middles, in markdown."""
    both = np.concatenate([now, start])
    low, high = np.quantile(both, 0.002), both.max()
    low = max(float(low), 1e-3 * float(high), 1e-6)
    edges = np.geomspace(low, max(float(high) * 1.001, low * 1.01), _BINS + 1)
    shares = [np.histogram(np.clip(each, low, None), edges)[0] / len(each) for each in (now, start)]
    chart = charts.histograms(
        shares[0], shares[1], edges, labels=(f"step {step:,}", "at the start"), unit="cycles per unit of the input"
    )
    rows = [
        f"| {name} | {np.median(each):.3g} | {np.quantile(each, 0.95):.3g} |"
        for name, each in ((f"Step {step:,}", now), ("Start", start))
    ]
    table = "\n".join(["| Cycles per unit | Median | 95 % below |", "|:-|-:|-:|", *rows])
    return f"{charts.as_markdown(chart, 'First-layer frequencies, now and at the start')}\n\n{table}"


class StatisticsPanel(_Shown):
    """What the last batch said of each layer's columns, against the running averages that pictures are made with."""

    title = "Batch statistics"
    hint = (
        "Each dot is a channel: across, its running mean, which pictures and meshes use; up, its mean in the last "
        "batch. On the diagonal they agree."
    )

    def _add_controls(self) -> None:
        levels = max(each.sampling_levels for each in statistics_of(self.model).values())
        names = ("Coarse", "Fine") if levels == 2 else tuple(f"Pass {number + 1}" for number in range(levels))
        self._level = self.gui.add_dropdown(
            "Samples", names, hint="Whose statistics: each kind of samples has its own.", visible=levels > 1
        )
        self._names = names
        self._level.on_update(self.safely(lambda _: self._switch()))

    def _switch(self) -> None:
        on = bool(self._show.value)
        with self.live.train_lock:
            for each in statistics_of(self.model).values():
                each.keep_last(on)
        super()._switch()

    def of(self, snapshot: Snapshot) -> str:
        level = self._names.index(self._level.value)
        layers = {
            name: (each.last[level], each.running(level))
            for name, each in statistics_of(snapshot.model).items()
            if level in each.last
        }
        if layers:
            return statistics_chart(layers, snapshot.step)
        if self.live.viewer.trainer is None or not self.live.is_learning:
            return "Nothing is trained at this moment, so that there is no batch to compare with."
        return "Waiting for the next training step."


def statistics_of(model: nn.Module) -> dict[str, RunningStatistics]:
    """Running statistics of each normalized layer, by the layer's name."""
    found = {name: each for name, each in model.named_modules() if isinstance(each, RunningStatistics)}
    return {layer_name(name): each for name, each in found.items()}


def layer_name(path: str) -> str:
    """What a layer is called: "distance 3" of field.distance_network.norms.2.statistics."""
    parts = path.split(".")
    if "norms" not in parts:
        return path.removesuffix(".statistics")
    at = parts.index("norms")
    owner = parts[at - 1].removesuffix("network").rstrip("_") if at else ""
    return f"{owner} {int(parts[at + 1]) + 1}".strip()


def statistics_chart(layers: dict[str, tuple[RunningColumns, RunningColumns]], step: int) -> str:
    """Means of batch against running averages as a chart, and for each layer how far both are apart, in markdown.

    Args:
        layers: the batch's statistics and the running ones, by name.
        step: of the batch.
    """
    pairs, rows = [], ["| Layer | Mean off by | Spread |", "|:-|-:|-:|"]
    for name, (batch, running) in layers.items():
        off, ratio = apart(batch, running)
        rows.append(f"| {name} | {off:.2f} σ | x {ratio:.2f} |")
        shown = np.linspace(0, len(running.mean) - 1, min(_DOTS, len(running.mean))).astype(int)
        pairs.append((name, *(each.mean.float().cpu().numpy()[shown] for each in (running, batch))))
    chart = charts.as_markdown(charts.against(pairs), "Means of the last batch against running means")
    table = "\n".join(rows)
    return f"{chart}\n\n{table}\n\nBatch of step {step:,}, {int(next(iter(layers.values()))[0].rows):,} rows."


def apart(batch: RunningColumns, running: RunningColumns) -> tuple[float, float]:
    """How far a batch is from running averages: of the means, the root of the mean square over the channels, in running
    standard deviations; of the standard deviations, the geometric mean of batch over running."""
    tiny = 1e-20
    off = (batch.mean - running.mean).double() / running.variance.double().clamp(min=tiny).sqrt()
    ratio = 0.5 * (batch.variance.double().clamp(min=tiny) / running.variance.double().clamp(min=tiny)).log()
    return float(off.square().mean().sqrt()), float(ratio.mean().exp())
