"""Pages of the site that are made when it is built: commands from their own help, the API from the package's tree.

mkdocs calls the functions named on_*; see mkdocs.yml.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import tyro
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGE = "inr_plugins"
ROOT = Path(__file__).resolve().parents[1]
SHOWN = re.compile(r"pipeline\.(datamanager(\.dataparser)?|model(\.\w+)*)")
"""The groups of options of a method that are its own; the others are nerfstudio's, or the same for all."""

_TITLE = re.compile(r"^ (\S.*?) options\s*$")
_OPTION = re.compile(r"^  (--[a-z]\S*.*?)\s*$")
_HELP = re.compile(r"^        (\S.*?)\s*$")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the made pages to the navigation."""
    (reference,) = (each["Reference"] for each in config.nav or [] if "Reference" in each)
    commands = [{name: f"reference/{name}.md"} for name in sorted(_commands())]
    methods = [{name: f"reference/ns-train-{name}.md"} for name in sorted(_methods())]
    api = [{name: api_page(name)} for name in package_names()]
    reference += [{"Commands": commands}, {"Options of methods": methods}, {"API": api}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages."""
    pages = {f"reference/{name}.md": command_text(point) for name, point in _commands().items()}
    pages |= {f"reference/ns-train-{name}.md": method_text(point) for name, point in _methods().items()}
    pages |= {api_page(name): api_text(name) for name in package_names()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def _commands() -> dict[str, EntryPoint]:
    points = entry_points(group="console_scripts")
    return {point.name: point for point in points if point.value.startswith(f"{PACKAGE}.")}


def _methods() -> dict[str, EntryPoint]:
    points = entry_points(group="nerfstudio.method_configs")
    return {point.name: point for point in points if point.value.startswith(f"{PACKAGE}.")}


def command_text(point: EntryPoint) -> str:
    """A page of a command: what `--help` prints, of its subcommands too."""
    main = importlib.import_module(point.module).main
    text = _said(lambda: main(["--help"]))
    subcommands = re.findall(r"^    • (\S+)", text, re.MULTILINE)
    parts = [f"# {point.name}", f"```text\n{text}\n```"]
    for name in subcommands:
        said = _said(lambda name=name: main([name, "--help"]))
        parts += [f"## {point.name} {name}", f"```text\n{said}\n```"]
    return "\n\n".join(parts) + "\n"


def method_text(point: EntryPoint) -> str:
    """A page of a method: the options of its model and its data, from `ns-train METHOD --help`."""
    specification = point.load()
    config = specification.config
    kind = tyro.conf.SuppressFixed[tyro.conf.FlagConversionOff[type(config)]]  # as ns-train does
    help_text = _said(lambda: tyro.cli(kind, default=config, prog=f"ns-train {point.name}", args=["--help"]))
    parts = [
        f"# ns-train {point.name}",
        specification.description,
        f"Options of the model and the data; `ns-train {point.name} --help` lists all. See also "
        f"[how the method works](../methods/{_method_page(point.name)}.md).",
    ]
    for title, options in groups(help_text):
        if SHOWN.fullmatch(title):
            parts += [f"## {title}", *(f"`{name}`\n:   {_escaped(text)}" for name, text in options)]
    return "\n\n".join(parts) + "\n"


def _method_page(method: str) -> str:
    """The page that a method is described on: variants have that of what they are variants of."""
    for page in sorted((ROOT / "docs" / "methods").glob("*.md")):
        if re.search(rf"`ns-train\s{method}`", page.read_text(encoding="utf-8")):
            return page.stem
    raise ValueError(f"No page in docs/methods has the words `ns-train {method}`: describe the method in one.")


def groups(help_text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The groups of tyro's help: each one's title, and its options with what is said of them."""
    title, options = "", list[tuple[str, str]]()
    for line in [*help_text.splitlines(), " end options"]:
        if match := _TITLE.match(line):
            if options:
                yield title, options
            title, options = match[1], []
        elif match := _OPTION.match(line):
            options.append((match[1], ""))
        elif (match := _HELP.match(line)) and options:
            name, text = options[-1]
            options[-1] = (name, f"{text} {match[1]}".strip())


def _escaped(text: str) -> str:
    """Plain text for Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", text) or "(no description)"


def _said(run: Callable[[], Any]) -> str:
    """What a command prints before it exits, 100 columns wide and without boxes and colours."""
    output = io.StringIO()
    columns, arguments = os.environ.get("COLUMNS"), sys.argv
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            run()
    finally:
        sys.argv = arguments
        os.environ.pop("COLUMNS") if columns is None else os.environ.update(COLUMNS=columns)
    lines = (line.rstrip() for line in output.getvalue().strip().splitlines())
    return "\n".join("\n".join(textwrap.wrap(line, 100)) if len(line) > 100 else line for line in lines)


def package_names() -> list[str]:
    """The package and the packages in it, by their dotted names."""
    folders = sorted(path.parent for path in (ROOT / PACKAGE).rglob("__init__.py"))
    return [".".join(folder.relative_to(ROOT).parts) for folder in folders]


def api_page(package: str) -> str:
    """Where the page of a package is."""
    return f"reference/api/{package}.md"


def api_text(package: str) -> str:
    """A page of a package: each of its modules with what is public in it."""
    folder = ROOT.joinpath(*package.split("."))
    modules = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    parts = [f"# {package}", f"::: {package}\n    options:\n      members: false"]
    for module in modules:
        parts += [f"## {module}", f"::: {package}.{module}"]
    return "\n\n".join(parts) + "\n"
