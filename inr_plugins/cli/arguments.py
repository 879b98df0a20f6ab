"""One place that reads the command line of every command: groups in the help, other spellings, --version.

A command's options are a flat dataclass, whose `GROUPS` says under which title of the help each of them stands. tyro
makes one group of each nested dataclass: such ones are made here of the flat one, and what was read is flat again.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache, reduce
from itertools import pairwise
from operator import or_
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import tyro

from inr_plugins.machine import installed, version_line

T = TypeVar("T")

Groups = Mapping[str, str]
"""Titles, and the names of the fields under each, in one string; what is in none stands under "options"."""

_SPELLINGS = (("colour", "color"), ("normalis", "normaliz"), ("centre", "center"), ("grey", "gray"))
_TRUTHS = ("True", "False", "true", "false")


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """What every command takes."""

    GROUPS: ClassVar[Groups] = {}

    quiet: bool = False
    """Print errors, warnings and where the result is, and nothing else."""


def parse(options: type[T], *, prog: str, args: Sequence[str] | None, description: str | None = None) -> T:
    """The options of a command, read from its arguments. Help, the version and what is wrong end the process.

    Args:
        options: a dataclass with `GROUPS`; its docstring and those of its fields are the help.
        prog: the command.
        args: what was typed after it; None: this process's own.
        description: in place of the docstring.
    """
    kind: type = options
    return _flat(options, _read(grouped(kind), [options], prog, args, description or options.__doc__))


def parse_subcommand(
    options: Mapping[str, type], *, prog: str, args: Sequence[str] | None, description: str | None = None
) -> Any:
    """The options of one of several subcommands, by their names; see `parse`."""
    kinds = {name: grouped(each) for name, each in options.items()}
    named = [Annotated[kind, tyro.conf.subcommand(name, prefix_name=False)] for name, kind in kinds.items()]
    found = _read(reduce(or_, named[1:], named[0]), list(options.values()), prog, args, description)
    (name,) = (name for name, kind in kinds.items() if type(found) is kind)
    return _flat(options[name], found)


def _read(kind: Any, options: list[type], prog: str, args: Sequence[str] | None, description: str | None) -> Any:
    given = sys.argv[1:] if args is None else list(args)
    if "--version" in given:
        print(versions())
        raise SystemExit(0)
    return tyro.cli(
        kind,
        prog=prog,
        description=inspect.cleandoc(description or ""),
        args=british(given, options),
        config=(tyro.conf.DisallowNone,),
    )


def versions() -> str:
    """The version of this package, and those of Python and of what it stands on."""
    own = installed("inr-plugins").get("inr-plugins", "not installed")
    return f"inr-plugins {own} ({version_line('nerfstudio', 'torch')})"


@cache
def grouped(options: type) -> Any:
    """A dataclass with the fields of `options` in nested ones, one for each group, and --version."""
    hints, texts = typing.get_type_hints(options, include_extras=True), dict(texts_of(options))
    specs = {each.name: _spec(each, hints[each.name], texts.get(each.name)) for each in fields(options)}
    parts = []
    for title, names in _groups(options).items():
        inner: Any = make_dataclass(title, [specs.pop(name) for name in names.split()], frozen=True)
        inner.__doc__ = ""
        kind = Annotated[inner, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name=title)]
        parts.append((_place(title), kind, field(default_factory=inner)))
    told = tyro.conf.arg(
        help="Print the versions of this package, nerfstudio, torch and Python.", help_behavior_hint=""
    )
    about = ("version", Annotated[bool, told, tyro.conf.FlagCreatePairsOff], field(default=False))
    alone = [spec for spec in specs.values() if not is_dataclass(spec[2].default_factory)]
    nested = [spec for spec in specs.values() if is_dataclass(spec[2].default_factory)]
    outer = make_dataclass(options.__name__, [*_required_first(alone), about, *parts, *nested], frozen=True)
    outer.__doc__ = options.__doc__
    return outer


def _spec(each: Any, hint: Any, text: str | None) -> tuple[str, Any, Any]:
    """A field for make_dataclass, with its help."""
    if text is not None:
        hint = Annotated[hint, tyro.conf.arg(help=text)]
    if each.default is not MISSING:
        return each.name, hint, field(default=each.default)
    if each.default_factory is not MISSING:
        return each.name, hint, field(default_factory=each.default_factory)
    return each.name, hint, field()


def _required_first(specs: list[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    return sorted(specs, key=lambda spec: not (spec[2].default is MISSING and spec[2].default_factory is MISSING))


def _place(title: str) -> str:
    """The field that a group is in; a group may be called as a field is."""
    return f"group_{title}"


def _groups(options: type) -> Groups:
    return getattr(options, "GROUPS", {})


def _flat(options: type[T], found: Any) -> T:
    places = {name: title for title, names in _groups(options).items() for name in names.split()}
    values = {}
    for each in fields(options):  # type: ignore[arg-type]
        holder = getattr(found, _place(places[each.name])) if each.name in places else found
        values[each.name] = getattr(holder, each.name)
    return options(**values)


def texts_of(options: type) -> Iterator[tuple[str, str]]:
    """The docstrings of a dataclass's fields, those of its bases first; each is one paragraph."""
    for kind in reversed(options.__mro__):
        if "__dataclass_fields__" not in vars(kind):
            continue
        try:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        except OSError:  # no source is installed: the help has no words
            continue
        statements = getattr(body, "body", [])
        for named, told in pairwise(statements):
            if (
                isinstance(named, ast.AnnAssign)
                and isinstance(named.target, ast.Name)
                and isinstance(told, ast.Expr)
                and isinstance(told.value, ast.Constant)
            ):
                yield named.target.id, " ".join(str(told.value.value).split())


def american(text: str) -> str:
    """The same in American spelling."""
    for ours, theirs in _SPELLINGS:
        text = text.replace(ours, theirs)
    return text


def british(args: Sequence[str], options: Sequence[type]) -> list[str]:
    """Arguments in this package's own form: British spelling, and `--x` and `--no-x` where nerfstudio has `--x True`.

    Only options and words that one of `options` has are changed: names of files stay as they are.
    """
    names, words, flags = dict[str, str](), dict[str, dict[str, str]](), set[str]()
    for kind in options:
        hints = typing.get_type_hints(kind)
        for each in fields(kind):
            name = f"--{each.name.replace('_', '-')}"
            names |= {american(way): way for way in (name, f"--no-{name[2:]}")}
            words.setdefault(name, {}).update({american(word): word for word in _choices(hints[each.name])})
            flags |= {name} if hints[each.name] in (bool, bool | None) else set()
    found: list[str] = []
    for arg in args:
        if not arg.startswith("--"):
            option = found[-1] if found else ""
            if option in flags and arg in _TRUTHS:
                found[-1] = _flag(option, arg)
            else:
                found.append(words.get(option, {}).get(arg, arg))
            continue
        typed, equals, value = arg.partition("=")
        name = typed.replace("_", "-")
        name = names.get(name, name)
        if name in flags and value in _TRUTHS:
            found.append(_flag(name, value))
        else:
            found.append(name + equals + words.get(name, {}).get(value, value))
    return found


def _flag(name: str, value: str) -> str:
    return name if value.lower() == "true" else f"--no-{name[2:]}"


def _choices(hint: Any) -> Iterator[str]:
    if typing.get_origin(hint) is Literal:
        yield from (word for word in typing.get_args(hint) if isinstance(word, str))
    else:
        for each in typing.get_args(hint):
            yield from _choices(each)
