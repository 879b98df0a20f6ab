"""The layers of the package point one way, and importing it is light."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "inr_plugins"

# The arrows of the architecture: what each layer may import of the others.
ARROWS = {
    "cli": {
        "analysis",
        "bench",
        "evaluation",
        "meshing",
        "photos",
        "scenes",
        "models",
        "data",
        "fields",
        "codecs",
        "geometry",
        "metrics",
        "engine",
    },
    "analysis": {"fields", "networks"},
    "bench": {"evaluation", "engine", "geometry", "metrics"},
    "evaluation": {"meshing", "engine", "geometry", "metrics", "operators"},
    "meshing": {"fields", "geometry", "engine"},
    # Models name networks in their settings only; what they hold are fields.
    "models": {
        "codecs",
        "fields",
        "networks",
        "sparse_codes",
        "rendering",
        "losses",
        "metrics",
        "operators",
        "viewer",
        "engine",
        "meshing",
    },
    "viewer": {"meshing", "geometry", "fields", "rendering", "networks"},
    "fields": {"networks", "sparse_codes"},
    "codecs": {"networks"},
    "rendering": set(),
    "losses": set(),
    "photos": {"data", "geometry"},
    "scenes": {"geometry"},
    "data": {"geometry", "operators"},
    "engine": set(),
    "sparse_codes": set(),
    "networks": set(),
    "operators": set(),
    "geometry": set(),
    "metrics": {"geometry"},
}
# Presets wire everything together, and nothing imports them.
ARROWS["method_configs"] = set(ARROWS) - {"cli"}

WITHOUT_NERFSTUDIO = {"codecs", "networks", "operators", "sparse_codes", "geometry", "metrics"}
# What every layer may import: the package itself (its version), the exception for users' mistakes, boxes, the writer of
# files, the ranges of options, the description of the machine, which kernels it may use, progress, what processes do
# together, and how shapes and pixels are named and handed to models.
COMMON = {"", "boxes", "errors", "files", "leftovers", "locks", "machine", "options", "plotting", "progress"}
COMMON |= {"kernel_trust", "ranks", "shape_names", "shape_points", "signal_grid", "signals_kept"}
# The few types through which other layers use a field without knowing it.
PROTOCOL = "inr_plugins.fields.protocol"
USERS_OF_THE_PROTOCOL = {"metrics", "rendering", "viewer"}
HEAVY = {
    "matplotlib",
    "mcubes",
    "nerfacc",
    "open3d",
    "pillow_heif",
    "pycolmap",
    "skimage",
    "tinycudann",
    "torchmetrics",
    "trimesh",
    "xatlas",
}


def layer_folders(root: Path) -> dict[str, Path]:
    """The folders of the package by layer; method_configs stands beside the package but is installed inside it."""
    folders = {path.name: path for path in (root / PACKAGE).iterdir() if (path / "__init__.py").exists()}
    if (root / "method_configs").is_dir():
        folders["method_configs"] = root / "method_configs"
    return folders


def imported_modules(tree: ast.AST, *, package: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Full names, with line numbers, of all that a module imports; `package` is what it lies in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += [node.module] if node.module else []
            for alias in node.names:
                yield ".".join([*base, alias.name]), node.lineno


def top_level_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported: bodies of functions and of `if TYPE_CHECKING` do not."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending += node.orelse
            continue
        if isinstance(node, ast.stmt):
            yield node
        pending += ast.iter_child_nodes(node)


def wrong_arrows(root: Path) -> list[str]:
    """Imports that the architecture forbids, one line each."""
    found = []
    for layer, folder in sorted(layer_folders(root).items()):
        allowed = ARROWS.get(layer, set()) | COMMON | {layer}
        for path in sorted(folder.rglob("*.py")):
            package = (PACKAGE, layer, *path.relative_to(folder).parent.parts)
            for name, line in imported_modules(ast.parse(path.read_text(encoding="utf-8")), package=package):
                parts = name.split(".")
                target = parts[1] if len(parts) > 1 else ""
                if f"{name}.".startswith(f"{PROTOCOL}.") and layer in USERS_OF_THE_PROTOCOL:
                    continue
                if parts[0] == PACKAGE and target not in allowed and target != "__version__":
                    found.append(f"{path.relative_to(root)}:{line}: {layer} imports {name}")
                if parts[0] == "nerfstudio" and layer in WITHOUT_NERFSTUDIO:
                    found.append(f"{path.relative_to(root)}:{line}: {layer} imports {name}")
                if parts[0] == "method_configs":
                    found.append(f"{path.relative_to(root)}:{line}: {layer} imports {name}, by a name that is not ours")
    return found


def heavy_imports(root: Path) -> list[str]:
    """Imports of slow or optional libraries that happen whenever a module of the package is imported."""
    found = []
    for folder in (root / PACKAGE, root / "method_configs"):
        for path in sorted(folder.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for statement in top_level_statements(tree):
                if isinstance(statement, ast.Import | ast.ImportFrom):
                    for name, line in imported_modules(statement, package=(PACKAGE,)):
                        if name.split(".")[0] in HEAVY:
                            found.append(f"{path.relative_to(root)}:{line}: imports {name}")
    return found


def test_layers_point_one_way() -> None:
    assert wrong_arrows(ROOT) == []


def test_every_folder_is_a_layer_of_the_architecture() -> None:
    assert set(layer_folders(ROOT)) <= set(ARROWS)


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    assert heavy_imports(ROOT) == []


def test_arrows_have_no_cycle() -> None:
    """An order of the layers exists in which each imports earlier ones only."""
    left, placed = dict(ARROWS), set()
    while left:
        ready = {layer for layer, targets in left.items() if targets <= placed}
        assert ready, f"a cycle among {sorted(left)}"
        placed |= ready
        for layer in ready:
            del left[layer]


def import_circles(root: Path) -> list[set[str]]:
    """Modules that import each other, directly or by others, also lazily or for types only."""
    files = {}
    for layer, folder in layer_folders(root).items():
        for path in folder.rglob("*.py"):
            inner = path.relative_to(folder)
            parts = (*inner.parent.parts, *(() if path.stem == "__init__" else (path.stem,)))
            files[".".join((PACKAGE, layer, *parts))] = (path, (PACKAGE, layer, *inner.parent.parts))
    sorter: dict[str, set[str]] = {}
    for name, (path, package) in files.items():
        found = set()
        for target, _ in imported_modules(ast.parse(path.read_text(encoding="utf-8")), package=package):
            known = target if target in files else target.rpartition(".")[0]
            if known in files and known != name:
                found.add(known)
        sorter[name] = found
    # What is imported by no one, or imports no one, is in no circle.
    while True:
        used = set().union(*sorter.values()) if sorter else set()
        kept = {name: targets & set(sorter) for name, targets in sorter.items() if name in used}
        kept = {name: targets & set(kept) for name, targets in kept.items() if targets & set(kept)}
        if len(kept) == len(sorter):
            break
        sorter = kept
    return [{name, *targets} for name, targets in sorter.items()]


def test_no_module_imports_itself_by_others() -> None:
    assert import_circles(ROOT) == []


@pytest.mark.parametrize(
    "back",
    [
        "from inr_plugins.fields.deep.a import x",
        "def f():\n    from inr_plugins.fields.deep import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .deep.a import x",
    ],
)
def test_a_circle_is_found(tree: Path, back: str) -> None:
    (tree / "inr_plugins/fields/deep").mkdir()
    (tree / "inr_plugins/fields/deep/__init__.py").touch()
    (tree / "inr_plugins/fields/deep/a.py").write_text("from inr_plugins.fields import b\n")
    (tree / "inr_plugins/fields/b.py").write_text("from inr_plugins.fields import c\n")
    (tree / "inr_plugins/fields/c.py").write_text("")
    assert import_circles(tree) == []
    (tree / "inr_plugins/fields/c.py").write_text(back + "\n")
    found = set().union(*import_circles(tree))
    assert found == {"inr_plugins.fields.deep.a", "inr_plugins.fields.b", "inr_plugins.fields.c"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package with a module in each of a few layers, and no wrong arrow."""
    for folder in ("inr_plugins/networks", "inr_plugins/fields", "inr_plugins/data/deep", "method_configs"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("inr_plugins", "inr_plugins/networks", "inr_plugins/fields", "inr_plugins/data", "method_configs"):
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "inr_plugins/rendering").mkdir()
    (tmp_path / "inr_plugins/rendering/__init__.py").write_text("from inr_plugins.fields.protocol import SDFField\n")
    (tmp_path / "inr_plugins/fields/voxels.py").write_text(
        "from inr_plugins.networks.sine import Sine\n"
        "from inr_plugins.errors import InputError\n"
        "from . import protocol\n"
    )
    return tmp_path


def test_a_right_tree_passes(tree: Path) -> None:
    assert wrong_arrows(tree) == []
    assert heavy_imports(tree) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("inr_plugins/fields/bad.py", "from inr_plugins.data.images.datamanager import InrDataManager"),
        ("inr_plugins/fields/bad.py", "import inr_plugins.data"),
        ("inr_plugins/fields/bad.py", "from inr_plugins import data"),
        ("inr_plugins/fields/bad.py", "def f():\n    from ..data import datamanager"),
        ("inr_plugins/data/deep/bad.py", "from ...fields import voxels"),
        ("inr_plugins/fields/bad.py", "from inr_plugins.cli import mesh"),
        ("inr_plugins/data/bad.py", "from inr_plugins.method_configs.diner import diner"),
        ("inr_plugins/data/bad.py", "from method_configs.diner import diner"),
        ("inr_plugins/rendering/bad.py", "from inr_plugins.fields import voxels"),
        ("inr_plugins/data/bad.py", "from inr_plugins.fields.protocol import SDFField"),
        ("inr_plugins/networks/bad.py", "import nerfstudio.cameras"),
        ("inr_plugins/networks/bad.py", "def f():\n    from nerfstudio.cameras.rays import RayBundle"),
        ("method_configs/bad.py", "from inr_plugins.cli.mesh import entrypoint"),
    ],
)
def test_a_wrong_arrow_is_found(tree: Path, path: str, code: str) -> None:
    (tree / path).write_text(code + "\n")
    (complaint,) = wrong_arrows(tree)
    assert complaint.startswith(f"{path}:")


@pytest.mark.parametrize(
    "code",
    [
        "import open3d as o3d",
        "from skimage.measure import marching_cubes",
        "try:\n    import tinycudann\nexcept ImportError:\n    pass",
        "class A:\n    import trimesh",
    ],
)
def test_a_heavy_import_is_found(tree: Path, code: str) -> None:
    (tree / "inr_plugins/data/bad.py").write_text(code + "\n")
    assert len(heavy_imports(tree)) == 1


def test_heavy_imports_inside_functions_or_for_types_pass(tree: Path) -> None:
    code = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import open3d\n"
        "def f():\n    import trimesh\n"
        "class A:\n    def g(self):\n        import mcubes\n"
    )
    (tree / "inr_plugins/data/good.py").write_text(code)
    assert heavy_imports(tree) == []
