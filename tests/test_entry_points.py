"""What is installed loads in a clean interpreter, quickly, and under names that are free."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import sysconfig
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from long_form import long_form

METHODS = [point for point in entry_points(group="nerfstudio.method_configs") if point.value.startswith("inr_plugins.")]
COMMANDS = ["inr-scene", "inr-view", "inr-check", "inr-mesh", "inr-eval", "inr-bench", "inr-demo", "inr-photos"]
COMMANDS += ["inr-signal", "inr-analyze", "inr-compress", "inr-decompress", "inr-phantom", "inr-fit"]
MOST = 0.06
"""Of what nerfstudio takes to load, the part that a method may add."""

# Imports what every ns-train has loaded before it comes to plugins, then loads the entry points of each module in a
# child of its own, so that none finds this package imported already; the first of a module loads it for the others.
# The built-in names are read from the source of the module that holds them, since importing that one loads all plugins.
LOAD = """
import ast, gc, importlib, importlib.util, json, locale, logging, os, random, signal, sys, threading, time
from importlib.metadata import EntryPoint
from pathlib import Path
import nerfstudio.engine.trainer
import nerfstudio.plugins.registry
from nerfstudio.plugins.types import MethodSpecification

folder = Path(importlib.util.find_spec("nerfstudio.configs").submodule_search_locations[0])
tree = ast.parse((folder / "method_configs.py").read_text(encoding="utf-8"))
for node in tree.body:
    if isinstance(node, ast.ImportFrom) and node.module.startswith("nerfstudio.") and "external" not in node.module:
        importlib.import_module(node.module)
built_in = [
    node.slice.value
    for node in ast.walk(tree)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("method_configs", "descriptions")
    and isinstance(node.slice, ast.Constant)
]
import matplotlib, numpy, torch
before = set(sys.modules)
own_seconds = time.process_time()
assert not any(name.startswith("inr_plugins") for name in before)

def state():
    # What a training of another method could notice, by names for it.
    seen = {f"environment variable {name}": value for name, value in os.environ.items()}
    seen |= {f"handler of signal {number}": signal.getsignal(number) for number in signal.valid_signals()}
    seen |= {f"matplotlib's {name}": str(dict.__getitem__(matplotlib.rcParams, name)) for name in matplotlib.rcParams}
    seen |= {f"logger {name}": (logger.level, len(logger.handlers)) for name, logger in (
        ("root", logging.getLogger()), *((name, logging.getLogger(name)) for name in ("torch", "nerfstudio", "trimesh"))
    )}
    return seen | {
        "sys.excepthook": sys.excepthook,
        "sys.unraisablehook": sys.unraisablehook,
        "threading.excepthook": threading.excepthook,
        "sys.path": list(sys.path),
        "sys.meta_path": list(sys.meta_path),
        "recursion limit": sys.getrecursionlimit(),
        "working directory": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "threads": [thread.name for thread in threading.enumerate()],
        "torch's threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch's defaults": (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()),
        "torch's precision": torch.get_float32_matmul_precision(),
        "torch's safe globals": set(map(str, torch.serialization.get_safe_globals())),
        "torch's load": torch.load,
        "random numbers": (random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()),
        "numpy's errors": numpy.geterr(),
    }

def load(points):
    earlier = state()
    begin = time.process_time()
    EntryPoint(*points[0], "nerfstudio.method_configs").load()
    seconds = time.process_time() - begin
    for name, value in points:
        describe(name, EntryPoint(name, value, "nerfstudio.method_configs").load(), seconds, earlier)
    return seconds

def describe(name, specification, seconds, earlier):
    later = state()
    print(json.dumps({
        "name": name,
        "seconds": seconds,
        "nerfstudio_seconds": own_seconds,
        "is_specification": isinstance(specification, MethodSpecification),
        "method_name": specification.config.method_name,
        "description": specification.description,
        "new_modules": sorted(set(sys.modules) - before),
        "modules": sorted(sys.modules),
        "built_in": built_in,
        "changed": sorted(key for key in {*earlier, *later} if earlier.get(key) != later.get(key)),
        "started_cuda": sys.modules["torch"].cuda.is_initialized(),
    }), flush=True)

# A full collection goes through all that nerfstudio has loaded, twice what a method takes itself, and falls to
# whichever methods happen to make objects enough for it: what is there by now is not looked through any more.
gc.collect()
gc.freeze()
modules, most, SLOW = {}, float(sys.argv[2]), 3
for name, value in json.loads(sys.argv[1]):
    modules.setdefault(value.partition(":")[0], []).append((name, value))
for module, points in modules.items():
    for _ in range(5):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if load(points) < most * own_seconds else SLOW
            finally:
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, SLOW):
            sys.exit(f"{module} does not load")
        if status != SLOW:
            break
"""


def load_all(folder: Path) -> dict[str, dict]:
    """Load all entry points in an interpreter of their own, away from the checkout and with no commands on PATH.

    Those that take too long are loaded again, up to five times; the last time counts.
    """
    points = json.dumps([(point.name, point.value) for point in METHODS])
    run = subprocess.run(
        [sys.executable, "-c", LOAD, points, str(MOST)],
        cwd=folder,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line for line in lines}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    return load_all(tmp_path_factory.mktemp("elsewhere"))


def test_methods_are_registered() -> None:
    assert METHODS, "no entry point of this package is installed: run scripts/setup"
    methods = {"diner", "finer-nerf", "finer-gauss-nerf", "finer-wavelet-nerf", "cn-mipnerf", "cn-neus"}
    assert methods | {
        "diner-surface",
        "cn-neus-table",
        "cn-neus-room",
        "finer-neus",
        "finer-sdf",
        "cn-occupancy",
        "diner-image",
        "finer-image",
        "cn-image",
        "finer-stream",
        "cn-ct",
        "cn-mri",
        "diner-lensless",
        "diner-tomography",
        "diner-video",
        "finer-video",
        "nid-shapes",
        "nid-video",
        "nid-images",
        "nid-image-fit",
        "nid-ct",
        "nid-fit",
    } <= {point.name for point in METHODS}


@pytest.mark.parametrize("name", [point.name for point in METHODS])
def test_entry_point_is_a_method_of_its_own_name(name: str, loaded: dict[str, dict]) -> None:
    assert loaded[name]["is_specification"]
    assert loaded[name]["method_name"] == name
    assert loaded[name]["description"].strip()


@pytest.mark.parametrize("name", [point.name for point in METHODS])
def test_name_is_none_of_nerfstudios(name: str, loaded: dict[str, dict]) -> None:
    built_in = set(loaded[name]["built_in"])
    assert {"nerfacto", "neus", "vanilla-nerf", "tensorf"} <= built_in
    assert name not in built_in


def test_loading_takes_a_small_part_of_what_nerfstudio_takes(loaded: dict[str, dict]) -> None:
    """Of the processor, each method in the best of five tries; a part, because machines differ and are busy."""
    parts = {name: each["seconds"] / each["nerfstudio_seconds"] for name, each in loaded.items()}
    assert max(parts.values()) < MOST, parts


@pytest.mark.parametrize("name", [point.name for point in METHODS])
def test_loading_pulls_in_nothing_but_this_package(name: str, loaded: dict[str, dict]) -> None:
    assert {module.split(".")[0] for module in loaded[name]["new_modules"]} == {"inr_plugins"}
    assert not loaded[name]["started_cuda"]
    assert not {"open3d", "mcubes"} & {module.split(".")[0] for module in loaded[name]["modules"]}


@pytest.mark.parametrize("name", [point.name for point in METHODS])
def test_loading_changes_nothing_for_other_methods(name: str, loaded: dict[str, dict]) -> None:
    """ns-train nerfacto loads all methods too; only the filters of warnings are not compared."""
    assert loaded[name]["changed"] == []


def test_importing_the_package_takes_under_300_ms(tmp_path: Path) -> None:
    """Of the processor, less what Python itself takes to start."""
    clock = "import time; begin = time.process_time(); import inr_plugins; print(time.process_time() - begin)"
    run = subprocess.run([sys.executable, "-c", clock], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert float(run.stdout) < 0.3, run.stderr


def test_each_command_has_an_entry_point() -> None:
    points = entry_points(group="console_scripts")
    assert sorted(p.name for p in points if p.value.startswith("inr_plugins.")) == sorted(COMMANDS)
    for command in COMMANDS:
        assert os.access(Path(sysconfig.get_path("scripts")) / command, os.X_OK), command


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_module_of_a_command_runs_it(command: str, monkeypatch, capsys) -> None:
    """As `python -m` does, in this process."""
    (point,) = (point for point in entry_points(group="console_scripts") if point.name == command)
    monkeypatch.setattr(sys, "argv", ["python -m", "--help"])
    # What checks types in the tests would be compiled into the files that commands read.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with pytest.raises(SystemExit) as end:
        runpy.run_module(point.module, run_name="__main__", alter_sys=True)
    assert end.value.code == 0
    assert f"usage: {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [COMMANDS[0], *(pytest.param(each, marks=long_form) for each in COMMANDS[1:])])
def test_command_explains_itself(command: str, tmp_path: Path) -> None:
    program = Path(sysconfig.get_path("scripts")) / command
    run = subprocess.run([program, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert command in run.stdout
    assert "Traceback" not in run.stderr
