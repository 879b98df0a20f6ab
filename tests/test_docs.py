"""The documentation says what is true: links lead somewhere, commands are understood, each variable is described."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import tyro
from long_form import long_form

from inr_plugins.cli import bench, demo, photos, scene
from inr_plugins.cli.analyze import AnalyzeOptions
from inr_plugins.cli.arguments import parse, parse_subcommand
from inr_plugins.cli.check import CheckOptions
from inr_plugins.cli.compress import CompressOptions
from inr_plugins.cli.decompress import DecompressOptions
from inr_plugins.cli.eval_options import EvalOptions
from inr_plugins.cli.fit_scans import FitOptions
from inr_plugins.cli.mesh_options import MeshOptions
from inr_plugins.cli.phantom import PhantomOptions
from inr_plugins.cli.signal_file import SignalOptions
from inr_plugins.cli.view import ViewOptions

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MADE = ("docs/reference/ns-train-", "docs/reference/inr-", "docs/reference/api/")
"""Pages that exist in the built site only, which scripts/docs checks."""

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SNIPPET = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(
    r"`((?:ns-train|inr-[a-z]+|\./scripts/\w+|\.venv/bin/python (?:scripts|benchmarks)/\w+\.py)(?: [^`]+)?)`"
)
_VARIABLE = re.compile(r"\bINR_[A-Z]+\b")
_SEPARATORS = {"&&", "||", ";", "|", "&"}

COMMANDS: dict[str, Any] = {
    "inr-mesh": MeshOptions,
    "inr-eval": EvalOptions,
    "inr-photos": photos.Arguments,
    "inr-scene": scene.Arguments,
    "inr-bench": bench.SUBCOMMANDS,
    "inr-demo": demo.Options,
    "inr-signal": SignalOptions,
    "inr-analyze": AnalyzeOptions,
    "inr-compress": CompressOptions,
    "inr-decompress": DecompressOptions,
    "inr-phantom": PhantomOptions,
    "inr-fit": FitOptions,
    "inr-view": ViewOptions,
    "inr-check": CheckOptions,
    "./scripts/demo": demo.Options,
}


def links(text: str) -> Iterator[str]:
    """Targets of links and pictures that are no addresses."""
    return (target for target in _LINK.findall(text) if "://" not in target and not target.startswith("mailto:"))


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as Markdown makes them of the words."""
    headings = re.findall(
        r"^#+ +(.+?)\s*$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    plain = (re.sub(r"[^\w\s-]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", each)).strip().lower() for each in headings)
    return {re.sub(r"[\s-]+", "-", each) for each in plain}


def broken_links(page: Path, text: str, root: Path = ROOT) -> list[str]:
    """Links of a page that lead to no file, or to no heading."""
    broken = []
    for link in links(text):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if path.is_relative_to(root) and path.relative_to(root).as_posix().startswith(MADE):
            continue
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in a page's blocks of shell and in its sentences; NAME=VALUE before it is left out."""
    lines = (line for block in _SNIPPET.findall(text) for line in re.sub(r"\\\n\s*", " ", block).splitlines())
    for line in [*lines, *_INLINE.findall(text.replace("\n", " "))]:
        command: list[str] = []
        for word in [*shlex.split(line, comments=True), ";"]:
            if word in _SEPARATORS:
                yield from [command] if command else []
                command = []
            elif command or not re.fullmatch(r"[A-Z_]+=.*", word):
                command.append(word)


@cache
def methods() -> dict[str, Any]:
    points = entry_points(group="nerfstudio.method_configs")
    return {point.name: point.load().config for point in points if point.value.startswith("inr_plugins.")}


def understood(arguments: list[str], parse: Callable[[], Any]) -> str:
    """What is said against arguments by a function that reads them; "" if nothing."""
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            parse()
    except SystemExit as stop:
        return "" if stop.code == 0 else f"not understood: {' '.join(arguments)}"
    return ""


def parsed(program: str, arguments: list[str]) -> str:
    """What a command of this package has against arguments; "" if nothing."""
    kind = COMMANDS[program]
    read: Any = parse_subcommand if isinstance(kind, dict) else parse
    return understood(arguments, lambda: read(kind, prog=program, args=arguments))


@cache
def fault(command: tuple[str, ...]) -> str:
    """What is wrong with a command; "" if nothing, or if it is none of this project's."""
    program, arguments = command[0], list(command[1:])
    if program == "ns-train" and arguments and arguments[0].islower():
        return fault_of_training(arguments)
    if program in COMMANDS and arguments:
        return parsed(program, arguments) or "".join(fault(each) for each in nested(arguments))
    if program.startswith("./scripts/") or (
        program == ".venv/bin/python" and arguments[0].startswith(("scripts/", "benchmarks/"))
    ):
        script = ROOT / (program if program.startswith("./") else arguments[0])
        if not script.is_file():
            return f"there is no {script.relative_to(ROOT)}"
        named = {word for word in arguments if word.startswith("--")} - set(
            arguments[arguments.index("--") :] if "--" in arguments else ()
        )
        source = script.read_text(encoding="utf-8")
        unknown = [word for word in named if word not in source and word[2:].replace("-", "_") not in source]
        return f"{script.name} has no {', '.join(unknown)}" if unknown else ""
    return ""


def nested(arguments: list[str]) -> Iterator[tuple[str, ...]]:
    """The trainings that METHOD="--option value" stands for."""
    for word in arguments:
        method, equals, options = word.partition("=")
        if equals and method in methods():
            yield ("ns-train", method, *shlex.split(options))


def fault_of_training(arguments: list[str]) -> str:
    method, *options = arguments
    if method not in methods():
        return "" if method in ("vanilla-nerf", "nerfacto") else f"there is no method {method}"
    config = methods()[method]
    # As ns-train does.
    kind = tyro.conf.SuppressFixed[tyro.conf.FlagConversionOff[type(config)]]
    return understood(options, lambda: tyro.cli(kind, args=options, default=config))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("pages", "least"), [([ROOT / "README.md"], 10), pytest.param(PAGES, 100, marks=long_form)], ids=["readme", "all"]
)
def test_commands_are_understood(pages: list[Path], least: int) -> None:
    found = {page: [tuple(each) for each in commands(page.read_text(encoding="utf-8"))] for page in pages}
    assert sum(len(each) for each in found.values()) > least
    faults = {
        f"{page.relative_to(ROOT)}: {fault(each)}" for page, some in found.items() for each in some if fault(each)
    }
    assert not faults


def test_every_variable_of_ours_is_described() -> None:
    folders = (ROOT / "inr_plugins").rglob("*.py"), (ROOT / "scripts").iterdir(), (ROOT / "benchmarks").iterdir()
    files = [path for folder in folders for path in folder if path.is_file()]
    used = {name for file in files for name in _VARIABLE.findall(file.read_text(encoding="utf-8"))}
    described = set(_VARIABLE.findall((ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")))
    assert len(used) >= 7
    assert used == described


def test_the_readme_is_short_and_begins_with_a_picture() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 110
    assert any(line.startswith("![") for line in lines[:10])


def test_every_method_has_a_page_and_a_row_in_the_readme() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/methods").glob("*.md"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for method in methods():
        # The build of the site looks for these words.
        assert re.search(rf"`ns-train\s{method}`", pages), method
        assert re.search(rf"`(ns-train )?{method}`", readme), method


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](b.md) ![p](p.png) [s](https://example.org/x)", []),
        ("[a](c.md)", ["c.md"]),
        ("[a](b.md#two-words) [b](#own)\n# Own", []),
        ("[a](b.md#three)", ["b.md#three"]),
    ],
)
def test_broken_links_are_found(text: str, broken: list[str], tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Two words\n")
    (tmp_path / "p.png").touch()
    page = tmp_path / "page.md"
    page.write_text(text)
    assert broken_links(page, text, tmp_path) == broken


@pytest.mark.parametrize(
    ("line", "is_wrong"),
    [
        ("ns-train diner --pipeline.model.key-width 9 nerfstudio-data --data data/fox", False),
        ("ns-train diner --pipeline.model.key-with 9", True),
        ("ns-train diner --pipeline.model.key-width wide", True),
        ("ns-train dinner", True),
        ("inr-mesh RUN --resolution 3 && inr-eval RUN --evry 2", True),
        ('inr-bench run --methods diner --scenes a --options diner="--pipeline.model.no 9"', True),
        ("./scripts/setupp", True),
        (".venv/bin/python benchmarks/cpu.py --dta x", True),
    ],
)
def test_wrong_commands_are_found(line: str, is_wrong: bool) -> None:
    faults = [fault(tuple(each)) for each in commands(f"```sh\n{line}\n```\n")]
    assert any(faults) == is_wrong
