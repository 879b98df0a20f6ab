"""What may stand in a checkpoint that is a whole file: changes of its content, by what is to come of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]
Change = Callable[[State, random.Random], object]


def _without(name: str) -> Change:
    return lambda state, rng: {key: value for key, value in state.items() if key != name}


def _with(name: str, value: object) -> Change:
    return lambda state, rng: {**state, name: value}


def _weight(make: Callable[[Tensor], object], *, least_dim: int = 1) -> Change:
    """One of the weights replaced; `make` gets it."""

    def change(state: State, rng: random.Random) -> State:
        weights = dict(state["pipeline"])
        names = [
            name for name, value in weights.items()
            if isinstance(value, Tensor) and value.is_floating_point() and value.ndim >= least_dim and value.numel() > 1
        ]  # fmt: skip
        chosen = rng.choice(names)
        weights[chosen] = make(weights[chosen])
        return {**state, "pipeline": weights}

    return change


def _nan(weight: Tensor) -> Tensor:
    spoilt = weight.clone()
    spoilt.view(-1)[0] = float("nan")
    return spoilt


def _lacking(state: State, rng: random.Random) -> State:
    weights = dict(state["pipeline"])
    del weights[rng.choice([name for name in weights if not name.endswith("_extra_state")])]
    return {**state, "pipeline": weights}


def _settings(name: str, value: object) -> Change:
    """Another value of the first setting whose name ends so; of a network of other functions in weights of the same
    sizes."""

    def change(state: State, rng: random.Random) -> State:
        found = next(key for key in state["settings"] if key.startswith("pipeline.model.") and key.endswith(name))
        return {**state, "settings": {**state["settings"], found: value}}

    return change


def _optimizer(make: Callable[[State], object]) -> Change:
    def change(state: State, rng: random.Random) -> State:
        optimizers = dict(state["optimizers"])
        chosen = rng.choice(sorted(optimizers))
        optimizers[chosen] = make(optimizers[chosen])
        return {**state, "optimizers": optimizers}

    return change


def _moments(state: State) -> State:
    moments = {
        key: {name: torch.zeros(2, 3, 5) if isinstance(value, Tensor) and value.ndim else value
              for name, value in each.items()}
        for key, each in state["state"].items()
    }  # fmt: skip
    return {**state, "state": moments}


BROKEN: dict[str, Change] = {
    "nan": _weight(_nan),
    "no-pipeline": _without("pipeline"),
    "no-step": _without("step"),
    "pipeline-none": _with("pipeline", None),
    "pipeline-list": _with("pipeline", [1, 2]),
    "pipeline-empty": _with("pipeline", {}),
    "step-text": _with("step", "three"),
    "step-negative": _with("step", -1),
    "step-float": _with("step", 3.0),
    "step-true": _with("step", True),
    "step-tensor": _with("step", torch.tensor(3)),
    "step-of-another": _with("step", 7777),
    "list": lambda state, rng: [state["pipeline"]],
    "tensor": lambda state, rng: torch.zeros(3),
    "weights-alone": lambda state, rng: state["pipeline"],
    "none": lambda state, rng: None,
    "name-is-a-number": lambda state, rng: {**state, "pipeline": {**state["pipeline"], 7: torch.zeros(3)}},
}
"""As good as not there: an older one is taken, or it is refused."""

_FIT = (
    "does not fit",
    "lacks",
    "unknown to the model",
    "damaged",
    "The checkpoint holds",
    "The dictionary was written by another version",
)
MISFITS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "longer": (_weight(lambda weight: torch.cat([weight, weight])), _FIT),
    "transposed": (_weight(lambda weight: weight[..., None, :], least_dim=1), _FIT),
    "flat": (_weight(lambda weight: weight.reshape(-1), least_dim=2), _FIT),
    "empty-weight": (_weight(lambda weight: weight[:0]), _FIT),
    "whole-numbers": (_weight(lambda weight: weight.long()), _FIT),
    "complex": (_weight(lambda weight: weight + 1j), _FIT),
    "text": (_weight(lambda weight: "text"), _FIT),
    "number": (_weight(lambda weight: 3.0), _FIT),
    "no-value": (_weight(lambda weight: None), _FIT),
    "lacking": (_lacking, _FIT),
    "one-more": (lambda state, rng: {**state, "pipeline": {**state["pipeline"], "_model.more": torch.zeros(3)}}, _FIT),
}
"""Whole, but not of this model."""

HARMLESS: dict[str, Change] = {
    "as-it-is": lambda state, rng: state,
    "more-entries": _with("notes", "of mine"),
    "double": lambda state, rng: {
        **state,
        "pipeline": {
            name: value.double() if isinstance(value, Tensor) and value.dtype == torch.float32 else value
            for name, value in state["pipeline"].items()
        },
    },
    "behind-ddp": lambda state, rng: {
        **state, "pipeline": {f"module.{name}": value for name, value in state["pipeline"].items()}
    },
    "no-settings": _without("settings"),
}  # fmt: skip
"""To be taken."""

NOT_TO_GO_ON_FROM: dict[str, tuple[Change, tuple[str, ...]]] = {
    "no-optimizers": (_without("optimizers"), ("optimizers",)),
    "no-schedulers": (_without("schedulers"), ("schedulers",)),
    "no-scalers": (_without("scalers"), ("scalers",)),
    "optimizers-list": (_with("optimizers", [1]), ("optimizers",)),
    "schedulers-text": (_with("schedulers", "x"), ("schedulers",)),
    "other-optimizers": (_with("optimizers", {"strangers": {}}), ("optimizes",)),
    "optimizer-empty": (_optimizer(lambda state: {}), ("optimizers", "do not fit")),
    "optimizer-none": (_optimizer(lambda state: None), ("optimizers", "do not fit")),
    "optimizer-moments": (_optimizer(_moments), ("optimizers", "do not fit")),
    "optimizer-groups": (_optimizer(lambda state: {**state, "param_groups": []}), ("optimizers", "do not fit")),
    "resume-list": (_with("resume", [1]), ("gone on from", "does not fit")),
    "resume-empty": (_with("resume", {"generators": {}}), ("gone on from", "does not fit")),
    "resume-generators": (lambda state, rng: {**state, "resume": {**state["resume"], "generators": None}},
                          ("does not fit",)),
    "resume-data": (lambda state, rng: {**state, "resume": {**state["resume"], "data": {"own": 3}}}, ("does not fit",)),
}  # fmt: skip
"""Of the training and not of the function: to be read all the same."""

TOLD: dict[str, tuple[Change, str]] = {"no-resume": (_without("resume"), "random numbers")}
"""To be gone on from, with a note."""
