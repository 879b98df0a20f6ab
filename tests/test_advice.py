"""Advice names options that exist: those in the package's sentences are looked up among the commands' settings."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

import inr_plugins
from inr_plugins.cli import bench, demo, scene
from inr_plugins.cli.check import CheckOptions
from inr_plugins.cli.eval_options import EvalOptions
from inr_plugins.cli.mesh_options import MeshOptions
from inr_plugins.cli.view import ViewOptions
from inr_plugins.scenes.make import SceneOptions

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9.-]*[a-z0-9]")
"""An option at the beginning of a word."""
HOLE = "\0"
"""In place of what is only known at run time."""
OURS = (
    bench.Run,
    bench.Report,
    CheckOptions,
    demo.Options,
    EvalOptions,
    MeshOptions,
    scene.Arguments,
    SceneOptions,
    ViewOptions,
)
PARSERS = (BlenderDataParserConfig, ColmapDataParserConfig, NerfstudioDataParserConfig)
"""Of nerfstudio's dataparsers, those whose options are advised; they stand alone behind the parser's name."""
PLACEHOLDER = "--option"
"""Stands for any option in the sentence that says how options are given."""


def sentences(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of the strings with more than one word, but for docstrings."""
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            text = "".join(part.value if isinstance(part, ast.Constant) else HOLE for part in node.values)
            yield from ((node.lineno, text) for _ in [0] if " " in text.strip())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield from ((node.lineno, node.value) for _ in [0] if " " in node.value.strip())


def advised() -> dict[str, list[str]]:
    """The options named in sentences, or the beginnings of those that end at run time, and where."""
    found: dict[str, list[str]] = {}
    root = Path(inr_plugins.__file__).parent
    for file in sorted(root.rglob("*.py")):
        for line, text in sentences(file.read_text(encoding="utf-8")):
            for match in OPTION.finditer(text):
                end = text[match.end() : match.end() + 2]
                name = match[0] + ("..." if end.lstrip(".-")[:1] == HOLE and not end.startswith(" ") else "")
                found.setdefault(name, []).append(f"{file.relative_to(root)}:{line}")
    return found


def options_of(settings: Any, prefix: str = "--") -> Iterator[str]:
    """The options that tyro makes of settings: their fields', and those of the settings in them."""
    for field in dataclasses.fields(settings):
        name, value = prefix + field.name.replace("_", "-"), getattr(settings, field.name, None)
        yield name
        if isinstance(value, dict):
            nested = {f"{name}.{key}".replace("_", "-"): each for key, each in value.items()}
        else:
            nested = {name: value}
        for inner, each in nested.items():
            if isinstance(each, dict):
                yield from (option for key, one in each.items() for option in options_in(one, f"{inner}.{key}."))
            else:
                yield from options_in(each, f"{inner}.")


def options_in(value: Any, prefix: str) -> Iterator[str]:
    if dataclasses.is_dataclass(value):
        yield from options_of(value, prefix)


@pytest.fixture(scope="module")
def known() -> set[str]:
    found = {PLACEHOLDER}
    for command in OURS:
        found |= set(options_of(command))
    for parser in PARSERS:
        found |= set(options_of(parser()))
    for point in entry_points(group="nerfstudio.method_configs"):
        if point.value.startswith("inr_plugins."):
            config = point.load().config
            found |= set(options_of(config)) | set(options_of(config.pipeline.datamanager.dataparser))
    return found


def test_the_options_that_sentences_name_exist(known):
    said = advised()
    assert len(said) > 50
    unknown = {
        name: places
        for name, places in said.items()
        if not (any(each.startswith(name[:-3]) for each in known) if name.endswith("...") else name in known)
    }
    assert not unknown


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise InputError("Pass --no-colour, or train again.")', {"--no-colour"}),
        ('f"give --pipeline.model.{name} another value"', {"--pipeline.model..."}),
        ('run(["git", "--porcelain"])', set()),
        ('"""A docstring may speak of --anything at all."""', set()),
    ],
)
def test_sentences_are_told_from_other_strings(source, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(inr_plugins, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "module.py").write_text(source)
    assert set(advised()) == expected
