"""Reading a run's config.yml without running what it says.

nerfstudio writes its configuration with PyYAML's tags for Python objects, and reads it with a loader that does whatever
the tags say: a file from somebody else can start any program. Here a tag can only make what a configuration is made of:

- a configuration class (a dataclass of nerfstudio's base class for them) of nerfstudio, of this package, or of an
  installed package that registers methods or dataparsers with nerfstudio, and any dataclass of this package; its
  ``__init__`` is not called;
- a member of an enumeration of those packages;
- a path or a tuple;
- the class or function that a configuration class has in that field by default or in a registered method, nerfstudio's
  function that collates batches, and a data manager's class for a given class of dataset.

Modules are imported from those packages only.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml
from nerfstudio.configs.base_config import PrintableConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.utils.nerfstudio_collate import nerfstudio_collate
from nerfstudio.engine.trainer import TrainerConfig

from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable

_PYTHON = "tag:yaml.org,2002:python/"
_REGISTRIES = {
    "nerfstudio.method_configs": "NERFSTUDIO_METHOD_CONFIGS",
    "nerfstudio.dataparser_configs": "NERFSTUDIO_DATAPARSER_CONFIGS",
}
# Python 3.13 moved the classes of paths.
_PATHS = {f"{module}.{kind}Path" for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows", "")}

# What PyYAML lets through of numbers, dates and truth values that are none, and of text that is no UTF-8.
_OF_BAD_VALUES = (ValueError, TypeError, KeyError, AttributeError)


class UnsafeConfig(yaml.YAMLError):
    """A tag that is none of a configuration's; the text says which, and where."""


@dataclass(frozen=True)
class _Named:
    """A class or function that the file names, not looked up."""

    name: str
    line: int

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class _Subscript:
    """A generic class for one class, as in ``VanillaDataManager[DepthDataset]``, neither looked up."""

    name: str
    argument: str
    line: int

    def __str__(self) -> str:
        return f"{self.name}[{self.argument}]"


def read_run_config(config_path: Path) -> TrainerConfig:
    """Read the config.yml of a run of any installed method; nothing that it names is called.

    Fields that the file lacks, as those of an older version do, have their defaults.

    Raises:
        InputError: the file cannot be read, is not a configuration of a training, names what is not installed, or
            asks for something that no configuration needs; the sentence names it.
    """
    problem = why_unreadable(config_path)
    if problem is not None:
        raise InputError(f"{shown(config_path)} {problem}: give the config.yml of a run.")
    try:
        config = yaml.load(config_path.read_text(encoding="utf8"), Loader=_ConfigLoader)
    except UnsafeConfig as error:
        raise InputError(
            f"{config_path} {error}, which no configuration of nerfstudio needs: it may be made to run a program, and "
            "was not read further. Take the run from somebody you trust, or train again."
        ) from error
    except yaml.constructor.ConstructorError as error:
        raise InputError(
            f"{config_path} names what there is not in this version ({error.problem}): it was written by another one, "
            "or for a method that is not installed; use that version, or train again."
        ) from error
    except (yaml.YAMLError, OSError, RecursionError, *_OF_BAD_VALUES) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{config_path} cannot be read ({reason}): give the config.yml of a run.") from error
    if not isinstance(config, TrainerConfig):
        raise InputError(f"{config_path} is not a configuration that ns-train wrote: give the config.yml of a run.")
    return config


def unknown_option(settings: Any, name: str = "") -> str | None:
    """The first entry of this package's configurations, the innermost ones included, that they do not have.

    nerfstudio's own loader, that of ns-train --load-config, puts in whatever the file says.
    """
    if isinstance(settings, dict):
        inner = settings.items()
    elif is_dataclass(settings) and not isinstance(settings, type):
        inner = vars(settings).items()
        if type(settings).__module__.startswith("inr_plugins."):
            known = {each.name for each in fields(settings)}
            for key, _ in inner:
                if key not in known and not key.startswith("_"):
                    return f"{name}{key}"
    else:
        return None
    found = (unknown_option(value, f"{name}{key}.") for key, value in inner)
    return next((each for each in found if each is not None), None)


class _ConfigLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the tags of a configuration."""


def _tuple(loader: _ConfigLoader, node: yaml.Node) -> tuple[Any, ...]:
    return tuple(_sequence(loader, node))


def _name(loader: _ConfigLoader, name: str, node: yaml.Node) -> _Named:
    return _Named(name, _line(node))


def _apply(loader: _ConfigLoader, name: str, node: yaml.Node) -> Any:
    """What a configuration calls: a path's class, an enumeration, or square brackets."""
    arguments = _sequence(loader, node)
    if name in _PATHS and all(isinstance(part, str) for part in arguments):
        return Path(*arguments)
    match (name, arguments):
        case ["_operator.getitem", [_Named(generic), (_Named(argument),) | _Named(argument)]]:
            return _Subscript(generic, argument, _line(node))
        # How the first releases of Python 3.11 write a member of an enumeration.
        case ["builtins.getattr", [_Named(enumeration), str(member)]]:
            kind = _look_up(enumeration, node)
            if isinstance(kind, type) and issubclass(kind, Enum) and member in kind.__members__:
                return kind[member]
        case [_, [value]] if name.split(".")[0] in _packages():
            kind = _look_up(name, node)
            if isinstance(kind, type) and issubclass(kind, Enum):
                try:
                    return kind(value)
                except ValueError as error:
                    raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error
    raise UnsafeConfig(f"calls {name} (line {_line(node)})")


def _object(loader: _ConfigLoader, name: str, node: yaml.Node) -> Any:
    """A configuration object in two steps, so that anchors inside it can refer to it."""
    found = _look_up(name, node)
    is_ours = name.startswith("inr_plugins.")
    if not (isinstance(found, type) and is_dataclass(found) and (is_ours or issubclass(found, PrintableConfig))):
        raise UnsafeConfig(f"makes an object of {name} (line {_line(node)})")
    made = object.__new__(found)
    yield made
    values = loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else {}
    known = {each.name: each for each in fields(found)}
    for key, value in values.items():
        if not isinstance(key, str):
            raise UnsafeConfig(f"has an entry of {name} whose name is no text (line {_line(node)})")
        if is_ours and key not in known:
            # It has had a meaning, which would be lost without a word.
            raise yaml.constructor.ConstructorError(None, None, f"the option {key} of {name}", node.start_mark)
        # Not setattr: a configuration may be frozen, or have properties.
        made.__dict__[key] = _settled(value, known.get(key), of=f"{name}.{key}", node=node)
    for key, each in known.items():
        if key not in made.__dict__ and (default := _default(each)) is not MISSING:
            made.__dict__[key] = default


_ConfigLoader.add_constructor(_PYTHON + "tuple", _tuple)
_ConfigLoader.add_multi_constructor(_PYTHON + "name:", _name)
_ConfigLoader.add_multi_constructor(_PYTHON + "object/apply:", _apply)
_ConfigLoader.add_multi_constructor(_PYTHON + "object:", _object)


def _refuse(loader: _ConfigLoader, name: str, node: yaml.Node) -> Any:
    raise UnsafeConfig(f"has the tag !!python/{name} (line {_line(node)})")


_ConfigLoader.add_multi_constructor(_PYTHON, _refuse)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _sequence(loader: _ConfigLoader, node: yaml.Node) -> list[Any]:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    raise UnsafeConfig(f"has a call with arguments that are no list (line {_line(node)})")


def _settled(value: Any, field: Field[Any] | None, *, of: str, node: yaml.Node) -> Any:
    """What a field holds: the named classes and functions in it are those that belong there."""
    if isinstance(value, list):
        return [_settled(each, field, of=of, node=node) for each in value]
    if isinstance(value, tuple):
        return tuple(_settled(each, field, of=of, node=node) for each in value)
    if isinstance(value, dict):
        return {key: _settled(each, field, of=of, node=node) for key, each in value.items()}
    if not isinstance(value, _Named | _Subscript):
        return value
    default = MISSING if field is None else _default(field)
    for known in (default, nerfstudio_collate):
        if isinstance(value, _Named) and value.name == _full_name(known):
            return known
    if isinstance(value, _Subscript) and isinstance(default, type) and value.name == _full_name(default):
        argument = _look_up(value.argument, node)
        if isinstance(argument, type) and issubclass(argument, InputDataset):
            return default[argument]  # type: ignore[index]
    registered = _registered()
    if (of, str(value)) in registered:
        return registered[of, str(value)]
    raise UnsafeConfig(f"has {value} in {of} (line {value.line})")


@cache
def _registered() -> dict[tuple[str, str], Any]:
    """Classes and functions in the configurations of all registered methods, by the class's field and their names.

    A few methods of nerfstudio's have a class in a field where the field's default is another.
    """
    from nerfstudio.configs.method_configs import all_methods

    found: dict[tuple[str, str], Any] = {}
    waiting: list[Any] = list(all_methods.values())
    while waiting:
        config = waiting.pop()
        if isinstance(config, dict | list | tuple):
            waiting += config.values() if isinstance(config, dict) else config
        elif is_dataclass(config) and not isinstance(config, type):
            for each in fields(config):
                value = getattr(config, each.name, None)
                if name := _full_name(value):
                    found[f"{_full_name(type(config))}.{each.name}", name] = value
                waiting.append(value)
    return found


def _default(field: Field[Any]) -> Any:
    """A field's default; MISSING where it has none."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _full_name(value: Any) -> str | None:
    """A class's or function's name as the dumper writes it."""
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    return f"{module}.{name}" if module and name else None


def _packages() -> set[str]:
    """Top-level packages whose configurations may be made: those that register something with nerfstudio.

    As nerfstudio has it, that is done by entry points, or by name=module:object in an environment variable.
    """
    places = list(_registered_places())
    for variable in _REGISTRIES.values():
        places += [each.partition("=")[2] for each in os.environ.get(variable, "").split(",")]
    return {"nerfstudio", "inr_plugins"} | {place.partition(":")[0].partition(".")[0] for place in places}


@cache
def _registered_places() -> tuple[str, ...]:
    """Where the objects of all entry points are; asked once, since each time all installed packages are looked at."""
    return tuple(point.value for group in _REGISTRIES for point in entry_points(group=group))


def _look_up(name: str, node: yaml.Node) -> Any:
    """What a module of the allowed packages has by a name."""
    module, _, attribute = name.rpartition(".")
    if module.split(".")[0] not in _packages():
        raise UnsafeConfig(f"names {_cut(name)} (line {_line(node)})")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # the last two for names with dots astray
        raise yaml.constructor.ConstructorError(None, None, f"{_cut(name)}: {error}", node.start_mark) from error


def _cut(name: str) -> str:
    return name if len(name) <= 200 else name[:197] + "..."
