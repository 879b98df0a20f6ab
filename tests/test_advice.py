"""Options that are named exist on the command that is meant: in sentences, in the help and in the pages."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from long_form import long_form
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.scripts.render import DatasetRender, RenderCameraPath, RenderInterpolated, SpiralRender
from nerfstudio.scripts.viewer.run_viewer import RunViewer

import inr_plugins
from inr_plugins.cli import bench, demo, photos, scene
from inr_plugins.cli.analyze import AnalyzeOptions
from inr_plugins.cli.arguments import american, texts_of
from inr_plugins.cli.check import CheckOptions
from inr_plugins.cli.compress import CompressOptions
from inr_plugins.cli.decompress import DecompressOptions
from inr_plugins.cli.eval_options import EvalOptions
from inr_plugins.cli.fit_scans import FitOptions
from inr_plugins.cli.mesh_options import MeshOptions
from inr_plugins.cli.phantom import PhantomOptions
from inr_plugins.cli.signal_file import SignalOptions
from inr_plugins.cli.view import ViewOptions
from inr_plugins.scenes.make import SceneOptions

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9.-]*[a-z0-9]")
"""An option at the beginning of a word."""
HOLE = "\0"
"""In place of what is only known at run time."""
OURS: dict[str, tuple[Any, ...]] = {
    "inr-analyze": (AnalyzeOptions,),
    "inr-bench": (bench.Run, bench.Report, bench.Presets),
    "inr-check": (CheckOptions,),
    "inr-compress": (CompressOptions,),
    "inr-decompress": (DecompressOptions,),
    "inr-fit": (FitOptions,),
    "inr-phantom": (PhantomOptions,),
    "inr-demo": (demo.Options,),
    "inr-eval": (EvalOptions,),
    "inr-mesh": (MeshOptions,),
    "inr-photos": (photos.Arguments,),
    "inr-scene": (scene.Arguments, SceneOptions()),
    "inr-signal": (SignalOptions,),
    "inr-view": (ViewOptions,),
}
NERFSTUDIOS: dict[str, tuple[Any, ...]] = {
    "ns-eval": (ComputePSNR,),
    "ns-render": (DatasetRender, RenderCameraPath, RenderInterpolated, SpiralRender),
    "ns-viewer": (RunViewer,),
}
ANY_RUN = ("inr-mesh", "inr-eval", "inr-view", "inr-check")
"""Commands that take a run."""
MEANT: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cli/arguments.py", tuple(OURS)),
    ("cli/runs.py", ANY_RUN),
    *((f"cli/{name}", (f"inr-{name}",)) for name in ("demo", "mesh", "view")),
    # What they say of next steps is ns-train's.
    ("cli/check", ("inr-check", "ns-train")),
    ("cli/scene", ("inr-scene", "ns-train")),
    ("cli/photos", ("inr-photos", "ns-train")),
    ("cli/eval", ("inr-eval",)),
    ("cli/analyze", ("inr-analyze", "inr-eval")),
    ("cli/signal", ("inr-signal", "inr-eval")),
    ("cli/compress", ("inr-compress", "ns-train")),
    ("cli/decompress", ("inr-decompress",)),
    ("cli/fit", ("inr-fit", "ns-train")),
    ("cli/phantom", ("inr-phantom", "ns-train")),
    ("codecs/", ("inr-decompress",)),
    ("models/signals/compression.py", ("inr-compress",)),
    ("models/signals/readout.py", ("inr-signal",)),
    ("cli/bench", ("inr-bench", "ns-train")),
    # A worker has options of its own.
    ("bench/worker.py", ("worker",)),
    ("bench/runner.py", ("inr-bench", "ns-train", "worker")),
    ("bench/", ("inr-bench", "ns-train")),
    ("evaluation/", ("inr-eval", "ns-train")),
    ("meshing/", ("inr-mesh",)),
    ("geometry/", ("inr-mesh",)),
    ("scenes/", ("inr-scene",)),
    ("photos/", ("inr-photos",)),
    ("options.py", ("ns-train",)),
    ("engine/address.py", ("inr-view", "ns-train")),
    ("", ("ns-train",)),
)
"""Which commands' options a file may name, by the beginning of its place; the first that fits."""
PARSERS = (BlenderDataParserConfig, ColmapDataParserConfig, NerfstudioDataParserConfig)
"""Of nerfstudio's dataparsers, those whose options are advised; they stand alone behind the parser's name."""
PLACEHOLDERS = {"--option", "--name", "--no-name"}
"""Stand for any option in the sentences that say how options are given."""


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


def sentences_of_package() -> Iterator[tuple[str, int, str]]:
    """Place, line and text of each string of the package with more than one word."""
    root = Path(inr_plugins.__file__).parent
    for file in sorted(root.rglob("*.py")):
        for line, text in sentences(file.read_text(encoding="utf-8")):
            yield file.relative_to(root).as_posix(), line, text


def named(text: str) -> Iterator[str]:
    """The options that a text names; the beginnings of those that end at run time have three dots."""
    for match in OPTION.finditer(text):
        end = text[match.end() : match.end() + 2]
        yield match[0] + ("..." if end.lstrip(".-")[:1] == HOLE and not end.startswith(" ") else "")


def meant(place: str) -> tuple[str, ...]:
    """The commands whose options a file of the package may name."""
    return next(commands for beginning, commands in MEANT if place.startswith(beginning))


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
def known() -> dict[str, set[str]]:
    """The options of each command."""
    every = {"--help", "--version", *PLACEHOLDERS}
    found = {name: every | {each for kind in kinds for each in options_of(kind)} for name, kinds in OURS.items()}
    for options in found.values():
        options |= {f"--no-{name[2:]}" for name in options} | {american(name) for name in options}
    found |= {
        name: every | {each for kind in kinds for each in options_of(kind)} for name, kinds in NERFSTUDIOS.items()
    }
    training = set(every)
    for parser in PARSERS:
        training |= set(options_of(parser()))
    for point in entry_points(group="nerfstudio.method_configs"):
        if point.value.startswith("inr_plugins."):
            config = point.load().config
            training |= set(options_of(config)) | set(options_of(config.pipeline.datamanager.dataparser))
    worker = (Path(inr_plugins.__file__).parent / "bench/worker.py").read_text(encoding="utf-8")
    return found | {"ns-train": training, "worker": set(re.findall(r'add_argument\("(--[a-z-]+)"', worker))}


def exists(name: str, commands: Iterable[str], known: dict[str, set[str]]) -> bool:
    """Whether an option, or one that begins so, is one of the commands'."""
    options = set().union(*(known[each] for each in commands))
    return any(each.startswith(name[:-3]) for each in options) if name.endswith("...") else name in options


@long_form
def test_the_options_that_sentences_name_exist_on_the_command_that_is_meant(known):
    """Of the commands that the sentence names, or of those that its file belongs to."""
    wrong, said = [], set[str]()
    for place, line, text in sentences_of_package():
        commands = {*meant(place), *(command for command in known if command in text)}
        said |= set(named(text))
        wrong += [(place, line, name) for name in named(text) if not exists(name, commands, known)]
    assert len(said) > 50
    assert wrong == []


@long_form
def test_the_settings_that_sentences_name_are_settings_and_options(known):
    root, found = Path(inr_plugins.__file__).parent, []
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setting":
                name = node.args[0]
                if isinstance(name, ast.Constant):
                    commands = ANY_RUN[:3] if place == "engine/defaults.py" else meant(place)
                    found.append((place, node.lineno, f"--{name.value.replace('_', '-')}", commands))
    assert len(found) > 40
    assert [each[:3] for each in found if not exists(each[2], each[3], known)] == []


@pytest.mark.parametrize("command", OURS)
def test_the_options_that_a_help_names_are_of_its_command(command, known):
    """And those of ns-train, where it is named beside them."""
    for kind in OURS[command]:
        kind = kind if isinstance(kind, type) else type(kind)
        texts = [kind.__doc__ or "", *(text for _, text in texts_of(kind))]
        for text in texts:
            commands = {command} | {other for other in known if other in text}
            assert [name for name in named(text) if not exists(name, commands, known)] == []


def paragraphs(page: str) -> Iterator[str]:
    """Paragraphs, items and rows of a page; its blocks of code are commands, which are parsed elsewhere."""
    plain = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    return iter(re.split(r"\n(?:\s*\n|(?=- |\|))", plain))


def test_the_options_that_pages_name_are_of_a_command_that_is_meant(known):
    """The command is named beside the option; else it is one that the page speaks of. ns-train is meant everywhere."""
    root, wrong, count = Path(__file__).resolve().parents[1], [], 0
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        spoken, of_scripts = {command for command in known if command in text}, options_of_scripts(root, text)
        for part in paragraphs(text):
            near = set(OURS) if "`inr-` commands" in part else {command for command in known if command in part}
            for name in {*named(part.replace("`", " "))} - of_scripts:
                count += 1
                if not exists(name, (near or spoken) | {"ns-train"}, known):
                    wrong.append((page.name, name, sorted(near or spoken)))
    assert count > 25
    assert wrong == []


def options_of_scripts(root: Path, page: str) -> set[str]:
    """Options of the scripts that a page names: words of their source, and the fields of the campaign's options."""
    scripts = set(re.findall(r"(?:scripts|benchmarks)/\w+(?:\.py)?", page))
    # Packages are started by their names.
    scripts |= {f"benchmarks/{name}/__main__.py" for name in re.findall(r"benchmarks\.(\w+)", page)}
    files = [root / each for each in scripts if (root / each).is_file()]
    found = {name for file in files for name in OPTION.findall(file.read_text(encoding="utf-8"))}
    if "scripts/campaign" in scripts:
        source = (root / "tests/campaign/__main__.py").read_text(encoding="utf-8")
        found |= {f"--{name.replace('_', '-')}" for name in re.findall(r"^    (\w+): .* = ", source, re.MULTILINE)}
    return found


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
    assert {name for _, _, text in sentences_of_package() for name in named(text)} == expected


def test_an_option_of_another_command_is_not_enough(known):
    assert exists("--voxel-size", ["inr-mesh"], known)
    assert not exists("--voxel-size", ["inr-eval"], known)
    assert exists("--no-closed", ["inr-mesh"], known)
    assert exists("--pipeline.model.w...", ["ns-train"], known)
    assert not exists("--pipeline.modle.w...", ["ns-train"], known)
    assert list(paragraphs("a `--x`\nb\n\n```sh\ninr-mesh --y\n```\n| c |\n| d |")) == ["a `--x`\nb", "| c |", "| d |"]
