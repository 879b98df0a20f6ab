"""Every numeric option at the ends of its range, and beyond them, on a method or command that has it."""

from __future__ import annotations

import contextlib
import io
import math
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from campaign.case import Case, Fault
from campaign.rules import Refused, check_sentence, hold, read, refused

from inr_plugins.options import COMMANDS, TRAINING, Range

_PARSER = "pipeline.datamanager.dataparser."


@cache
def _presets() -> dict[str, Any]:
    points = entry_points(group="nerfstudio.method_configs")
    return {point.name: point.load().config for point in points if point.value.startswith("inr_plugins.")}


def _places(config: Any, key: str) -> Iterator[tuple[Any, str]]:
    """Holders of the option in a configuration, with its name there; none where the configuration has no such one."""
    holders = [config]
    *path, last = key.replace("-", "_").split(".")
    for part in path:
        found = []
        for holder in holders:
            if part == "*" and isinstance(holder, dict):
                found += list(holder.values())
            elif isinstance(holder, dict):
                found += [holder[part]] if holder.get(part) is not None else []
            elif getattr(holder, part, None) is not None:
                found.append(getattr(holder, part))
        holders = found
    for holder in holders:
        if last == "*" and isinstance(holder, dict):
            holder.setdefault("fields", 1)
            yield holder, "fields"
        elif hasattr(holder, last):
            yield holder, last


def _configured(key: str) -> tuple[Any, Any, str] | None:
    """A method's configuration with the option, its holder and name; other dataparsers are tried too."""
    from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
    from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
    from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGPDataParserConfig
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

    for preset in _presets().values():
        if any(True for _ in _places(preset, key)):
            config = deepcopy(preset)
            holder, name = next(_places(config, key))
            return config, holder, name
    for parser in (
        BlenderDataParserConfig,
        ColmapDataParserConfig,
        InstantNGPDataParserConfig,
        NerfstudioDataParserConfig,
    ):
        config = deepcopy(_presets()["diner"])
        config.pipeline.datamanager.dataparser = parser()
        for holder, name in _places(config, key):
            return config, holder, name
    return None


def outside(allowed: Range) -> list[float]:
    """Numbers that are not in a range."""
    found = [math.nan, math.inf, -math.inf]
    if allowed.least > -math.inf:
        found += [allowed.least - 1, -(2**70)] + ([allowed.least] if allowed.above else [])
    if allowed.most < math.inf:
        found += [allowed.most + 1, 2**70] + ([allowed.most] if allowed.below else [])
    return [value for value in found if value != allowed.also]


def inside(allowed: Range) -> list[float]:
    """Numbers at the ends of a range."""
    found = [] if allowed.least == -math.inf or allowed.above else [allowed.least]
    found += [] if allowed.most == math.inf or allowed.below else [allowed.most]
    return found + ([] if allowed.also is None else [allowed.also])


def _set(holder: Any, name: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[name] = value
        return
    old = getattr(holder, name)
    kinds = {each.name: str(each.type) for each in fields(holder)}
    if isinstance(old, tuple | list):
        value = type(old)([value, *old[1:]])
    elif kinds[name].startswith("tuple[") and old is None:
        value = (value,)
    object.__setattr__(holder, name, value)


def _training(key: str, values: list[float], within: bool, place: Path, rng: random.Random) -> None:
    typed = key.removeprefix(_PARSER) if key.startswith(_PARSER) else key
    last = typed.rpartition(".")[2] if "*" not in typed.rpartition(".")[2] else typed.split(".")[0]
    for value in values:
        found = _configured(key)
        hold(found is not None, f"no method has {key}")
        assert found is not None
        config, holder, name = found
        config.machine.device_type = "cpu"
        _set(holder, name, value)
        if not within:
            sentence = refused(config.check_options, last)
            hold("must be" in sentence or "has" in sentence, f"{value}: {sentence}")
        else:
            answer = read(config.check_options)
            # What depends on several options may still be refused, but not by this one's range.
            if isinstance(answer, Refused):
                hold(
                    f"{last} must be {TRAINING[key]}" not in answer.sentence, f"{value} is in range: {answer.sentence}"
                )


def _mains() -> dict[str, Callable[[list[str]], int]]:
    from inr_plugins.cli import bench, demo, eval, mesh, scene, view

    return {"inr-mesh": mesh.main, "inr-eval": eval.main, "inr-scene": scene.main, "inr-bench": bench.main,
            "inr-demo": demo.main, "inr-view": view.main}  # fmt: skip


def _arguments(command: str, option: str, value: str, place: Path) -> list[str]:
    before = {
        "inr-scene": ["knot", str(place / "out")],
        "inr-demo": ["--output", str(place / "out")],
        "inr-bench": ["run", "--output", str(place / "out")],
    }.get(command, [str(place / "run")])
    count = {"box": 6, "crop": 6, "resolution": 2 if command == "inr-scene" else 1}.get(option, 1)
    return [*before, f"--{option}", *[value] * count]


def _command(command: str, option: str, values: list[str], place: Path, rng: random.Random) -> None:
    (place / "run").mkdir()
    (place / "run" / "config.yml").touch()
    for value in values:
        said, status = _called(command, _arguments(command, option, value, place))
        hold(status in (1, 2), f"--{option} {value}: exit status {status}")
        hold(option in said, f"--{option} {value} is not named: {said[-300:]}")
        hold("Traceback" not in said, f"--{option} {value}: {said[-300:]}", "traceback")
        if status == 1:
            check_sentence(said.strip())
        left = sorted(path.name for path in place.iterdir())
        hold(left == ["run"], f"--{option} {value} left {left}")


def _called(command: str, arguments: list[str]) -> tuple[str, int]:
    errors, output = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
            status = _mains()[command](arguments)
    except SystemExit as stop:
        if not isinstance(stop.code, int):
            raise Fault("wrong", f"exit with {stop.code!r}") from stop
        status = stop.code
    return errors.getvalue() if status == 1 else errors.getvalue() + output.getvalue(), status


_NO_NUMBERS = ["abc", "", "1e", "0x10", "1,5"]


def cases() -> list[Case]:
    """All of the group."""
    # Here, not once in the process of each case.
    _presets(), _mains()
    found: list[Case] = []

    def add(name: str, attack: Callable[[Path, random.Random], None]) -> None:
        found.append(Case(f"options/{name}", "options", attack, 60))

    for key, allowed in TRAINING.items():
        add(f"ns-train/{key}/outside", partial(_training, key, outside(allowed), False))
        if inside(allowed):
            add(f"ns-train/{key}/inside", partial(_training, key, inside(allowed), True))
    for command, table in COMMANDS.items():
        if command not in ("inr-mesh", "inr-eval", "inr-scene", "inr-bench", "inr-demo", "inr-view"):
            continue
        for option, allowed in table.items():
            if command == "inr-bench" and option not in ("seconds", "steps", "seeds"):
                continue
            add(f"{command}/{option}/outside", partial(_command, command, option, _written(outside(allowed))))
            add(f"{command}/{option}/no-number", partial(_command, command, option, _NO_NUMBERS))
    return found


def _written(values: list[float]) -> list[str]:
    return [str(int(value)) if math.isfinite(value) and value == int(value) else repr(value) for value in values]
