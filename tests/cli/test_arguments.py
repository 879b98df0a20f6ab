"""The command line of every command: groups in the help, other spellings, --version, runs named in two ways."""

from __future__ import annotations

import dataclasses
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pytest

from inr_plugins.cli import bench, check, demo, eval, mesh, scene, view
from inr_plugins.cli.arguments import Groups, parse
from inr_plugins.cli.eval_options import EvalOptions
from inr_plugins.cli.mesh_options import MeshOptions

MAINS: dict[str, Any] = {
    "inr-mesh": mesh.main,
    "inr-eval": eval.main,
    "inr-scene": scene.main,
    "inr-bench": bench.main,
    "inr-demo": demo.main,
    "inr-view": view.main,
    "inr-check": check.main,
}
OPTIONS: dict[str, Any] = {
    "inr-mesh": MeshOptions,
    "inr-eval": EvalOptions,
    "inr-scene": scene.Arguments,
    "inr-bench run": bench.Run,
    "inr-demo": demo.Options,
    "inr-view": view.ViewOptions,
    "inr-check": check.CheckOptions,
}


def helped(command: str, capsys, monkeypatch, *, width: int = 100) -> str:
    program, *rest = command.split()
    monkeypatch.setitem(os.environ, "COLUMNS", str(width))
    with pytest.raises(SystemExit) as end:
        MAINS[program]([*rest, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def read(options: type, *arguments: str) -> Any:
    return parse(options, prog="command", args=arguments)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", OPTIONS)
def test_help_lists_every_option_once_and_fits(command, width, capsys, monkeypatch):
    text = helped(command, capsys, monkeypatch, width=width)
    listed = re.findall(r"^  (--[a-z][\w.-]*)", text, re.MULTILINE)
    named = {each.name.replace("_", "-") for each in dataclasses.fields(OPTIONS[command])}
    named -= {"run", "runs", "source", "output" if command == "inr-scene" else "", "light"}
    assert sorted(each for each in listed if "." not in each) == sorted(f"--{name}" for name in {*named, "version"})
    assert "color" not in text
    assert "normalized" not in text
    assert max(len(line) for line in text.splitlines() if line.startswith(" ")) <= width
    assert "None" not in text
    # No option without a word of its own.
    assert not re.search(r"^  --\S+(, --\S+)?( ([A-Z|=\[\].]+|\{\S+\}))*\s+\(default", text, re.MULTILINE)


def test_options_stand_in_groups(capsys, monkeypatch):
    text = helped("inr-mesh", capsys, monkeypatch)
    titles = re.findall(r"^ (\w.*?) *\n -----", text, re.MULTILINE)
    groups = ["run", "surface", "box", "cleaning", "appearance", "output"]
    assert titles == ["positional arguments", "options", *(f"{name} options" for name in groups)]
    (cleaning,) = re.findall(r"^ cleaning options .*?^ \w", text, re.DOTALL | re.MULTILINE)
    assert "--max-faces" in cleaning
    assert "--crop" not in cleaning


@pytest.mark.parametrize("arguments", [["--version"], ["somewhere", "--version"], ["run", "--version"]])
@pytest.mark.parametrize("command", MAINS)
def test_every_command_tells_its_version(command, arguments, capsys):
    with pytest.raises(SystemExit) as end:
        MAINS[command](arguments)
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"inr-plugins {version('inr-plugins')} (")
    assert f"torch {version('torch')}" in printed
    assert f"nerfstudio {version('nerfstudio')}" in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--color", "views"], {"colour": "views"}),
        (["--color=none"], {"colour": "none"}),
        (["--frame", "normalized"], {"frame": "normalised"}),
        (["--frame=normalized"], {"frame": "normalised"}),
        (["--fill-cavities"], {"fill_cavities": True}),
        (["--no-fill-cavities"], {"fill_cavities": False}),
        (["--no_fill_cavities"], {"fill_cavities": False}),
        ([], {"fill_cavities": None, "closed": True, "dense": False, "resolution": None}),
        # As nerfstudio's commands have it.
        (["--fill-cavities", "False", "--dense", "True"], {"fill_cavities": False, "dense": True}),
        (["--closed=false", "--keep-largest", "true"], {"closed": False, "keep_largest": True}),
        (["--load_config", "a/config.yml"], {"load_config": Path("a/config.yml")}),
        # Names of files are nobody's spelling.
        (["--output", "color-normalized.ply"], {"output": Path("color-normalized.ply")}),
        (["--output=normalized"], {"output": Path("normalized")}),
        (["--trim-to-points", "auto"], {"trim_to_points": "auto"}),
        (["--box", "-1", "-2", "-3", "1", "2", "3.5"], {"box": (-1, -2, -3, 1, 2, 3.5)}),
    ],
)
def test_what_is_understood(arguments, expected):
    found = read(MeshOptions, *arguments)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize("arguments", [["--colors", "views"], ["--frame", "normal"], ["--resolution", "None"]])
def test_what_is_not(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        read(MeshOptions, *arguments)
    assert end.value.code == 2
    assert arguments[0].rstrip("s") in capsys.readouterr().err.replace("colour", "color")


def test_groups_may_be_called_as_fields_are_and_a_group_names_fields_only():
    @dataclasses.dataclass(frozen=True)
    class Plain:
        """Plain."""

        GROUPS: ClassVar[Groups] = {"size": "size weight"}
        size: int = 3
        """Size."""
        weight: float = 1.0
        """Weight."""
        rest: bool = True
        """Rest."""

    assert read(Plain, "--size", "4", "--no-rest") == Plain(4, 1.0, False)
    with pytest.raises(KeyError):
        read(type("Wrong", (Plain,), {"GROUPS": {"size": "height"}}))


@pytest.mark.parametrize("command", ["inr-mesh", "inr-eval", "inr-view", "inr-check"])
def test_a_run_is_named_in_one_of_two_ways(command, run_folder, capsys):
    config = str(run_folder / "config.yml")
    assert MAINS[command]([str(run_folder), "--load-config", config]) == 1
    assert "either alone or as --load-config" in capsys.readouterr().err
    said = []
    for way in ([str(run_folder)], [config], ["--load-config", config], ["--load-config", str(run_folder)]):
        assert MAINS[command](way) == 1
        printed = capsys.readouterr()
        said.append((printed.out + printed.err).replace(f"{config} is not safe", f"{run_folder} is not safe"))
    # The file is no configuration, which is found in whichever way it was named.
    assert len(set(said)) == 1
    assert "config.yml" in said[0]
