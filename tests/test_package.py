"""What pyproject.toml and setup.py say of the package: what it needs, and what is installed of it."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pkgutil
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath
from typing import Any

from long_form import long_form
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools.config.pyprojecttoml import load_file

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("inr_plugins", "method_configs")
# Imported where they are. One is on no index: an error that names the repository stands in for a declaration. The other
# comes with torch where that is for CUDA.
UNDECLARABLE = {"tinycudann", "triton"}


@cache
def project() -> dict[str, Any]:
    return load_file(ROOT / "pyproject.toml")["project"]


def declared(*extras: str) -> dict[str, Requirement]:
    """Requirements of the package and of some of its extras, by the normalised names of the distributions."""
    lines = [*project()["dependencies"]]
    for extra in extras:
        lines += project()["optional-dependencies"][extra]
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def imported_names(tree: ast.AST) -> Iterator[str]:
    """The modules that code imports or looks for, by statements or by calls with their names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "find_spec")):
            yield from (str(each.value) for each in node.args[:1] if isinstance(each, ast.Constant))


def foreign_imports(*folders: str) -> set[str]:
    """Top-level modules that some folders of the repository import and that neither Python nor the repository has."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    names = {name.split(".")[0] for path in files for name in imported_names(ast.parse(path.read_text("utf-8")))}
    beside = {path.name for folder in ("tests", "benchmarks") for path in (ROOT / folder).iterdir()}
    own = {path.stem for path in files} | beside | {"inr_plugins", "benchmarks"}
    return names - own - set(sys.stdlib_module_names) - {""}


@cache
def providers() -> dict[str, set[str]]:
    """The distributions that bring each top-level module of this environment.

    As importlib.metadata.packages_distributions, which does not know of modules that are one compiled file before
    Python 3.12.
    """
    found: dict[str, set[str]] = {}
    for distribution in distributions():
        tops = set((distribution.read_text("top_level.txt") or "").split())
        for file in distribution.files or ():
            top = file.parts[0] if len(file.parts) > 1 else inspect.getmodulename(file.name)
            tops |= {top} if top is not None and top.isidentifier() else set()
        for top in tops:
            found.setdefault(top, set()).add(canonicalize_name(distribution.metadata["Name"]))
    return found


def undeclared(modules: set[str], requirements: dict[str, Requirement]) -> list[str]:
    """The modules that no distribution brings which is declared; one that is not installed counts as such."""
    return sorted(module for module in modules if not providers().get(module, set()) & set(requirements))


@long_form
def test_each_distribution_that_is_imported_is_declared() -> None:
    assert undeclared(foreign_imports(*FOLDERS), declared("cluster", "photos", "inverse")) == sorted(UNDECLARABLE)


@long_form
def test_what_tests_and_scripts_import_is_declared_for_development() -> None:
    assert (
        undeclared(
            foreign_imports("tests", "scripts", "benchmarks"),
            declared("dev", "docs", "browser", "cluster", "photos", "inverse"),
        )
        == []
    )


@long_form
def test_what_is_declared_is_imported_or_only_held_back() -> None:
    """A dependency of a dependency is named where too new a version of it does harm, and then says only that."""
    used = {name for module in foreign_imports(*FOLDERS) for name in providers().get(module, {module})}
    for name, requirement in declared().items():
        operators = {each.operator for each in requirement.specifier}
        if name in used:
            assert ">=" in operators, f"{requirement} has no lower bound"
        else:
            assert operators == {"<"}, f"nothing imports {requirement}"


def test_signatures_are_checked_in_every_package_but_engine() -> None:
    """By where their modules are loaded from: the finder of jaxtyping, or Python's."""
    names = [each.name for each in pkgutil.iter_modules([str(ROOT / "inr_plugins")]) if each.ispkg]
    assert {"engine", "geometry", "networks", "cli"} <= set(names)
    checked = set()
    for name in names:
        spec = importlib.util.find_spec(f"inr_plugins.{name}")
        assert spec is not None
        if type(spec.loader).__module__.startswith("jaxtyping"):
            checked.add(name)
    assert checked == set(names) - {"engine"}


def source_files() -> set[PurePosixPath]:
    """All files of the package under the names that they are installed by."""
    found = set()
    for folder, name in zip(FOLDERS, ("inr_plugins", "inr_plugins/method_configs"), strict=True):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(PurePosixPath(name, path.relative_to(ROOT / folder).as_posix()))
    return found


@long_form
def test_a_wheel_has_every_file_of_the_package_and_no_other(tmp_path: Path) -> None:
    """A folder without __init__.py would be left out, as would a data file that no pattern names."""
    copy = tmp_path / "copy"
    for folder in (*FOLDERS, "tests", "scripts", "benchmarks"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    run = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=copy, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
    assert {name for name in names if not name.parts[0].endswith(".dist-info")} == source_files()
