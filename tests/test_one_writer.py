"""Files get their names from one writer, and nobody else makes names that are not to be seen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from long_form import long_form

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("inr_plugins", "method_configs", "scripts")
WRITERS = {Path("inr_plugins", name) for name in ("files.py", "leftovers.py", "locks.py")}
MODULES = ("os", "shutil")
RENAMING = ("replace", "rename", "renames", "move", "link")
# What temporary names have ended in, here and elsewhere.
ENDINGS = (".partial", ".tmp", ".temp")


def other_writers(root: Path) -> list[str]:
    """Places outside of the writers that rename files or make temporary names, one line each."""
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            place = path.relative_to(root)
            if place not in WRITERS:
                tree = ast.parse(path.read_text(encoding="utf-8"))
                found += [f"{place}:{line}: {what}" for what, line in writing(tree)]
    return found


def writing(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """What renames files or makes temporary names in a module, with line numbers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.name, node.lineno) for each in node.names if each.name == "tempfile")
        elif isinstance(node, ast.ImportFrom):
            renames = node.module in MODULES and any(each.name in RENAMING for each in node.names)
            if renames or node.module == "tempfile":
                yield f"from {node.module}", node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RENAMING:
            of_module = isinstance(node.func.value, ast.Name) and node.func.value.id in MODULES
            # A path's own takes the new name alone; str.replace takes two, and dataclasses.replace keywords.
            of_path = node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords
            if of_module or of_path:
                yield ast.unparse(node.func), node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(ENDINGS):
            yield repr(node.value), node.lineno


@long_form
def test_there_is_one_writer_of_files() -> None:
    assert other_writers(ROOT) == []


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.replace(a, b)",
        "import os\nos.rename(a, b)",
        "from os import replace",
        "import shutil\nshutil.move(a, b)",
        "path.replace(target)",
        "(folder / 'a').rename(target)",
        "import tempfile",
        "def f():\n    from tempfile import NamedTemporaryFile",
        "partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')",
        "partial = path.with_suffix('.tmp')",
    ],
)
def test_another_is_found(tmp_path: Path, code: str) -> None:
    module = tmp_path / "inr_plugins/bench/record.py"
    module.parent.mkdir(parents=True)
    module.write_text(code + "\n")
    (found,) = other_writers(tmp_path)
    assert found.startswith("inr_plugins/bench/record.py:")
    module.rename(tmp_path / "inr_plugins/files.py")
    assert other_writers(tmp_path) == []


def test_texts_and_dataclasses_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "inr_plugins").mkdir()
    (tmp_path / "inr_plugins/a.py").write_text("'a.b'.replace('a', 'b')\ndataclasses.replace(a, b=1)\nos.remove(a)\n")
    assert other_writers(tmp_path) == []
