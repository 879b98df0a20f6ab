"""What a record says of the machine and the code is so, and the same code has the same digest everywhere."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import numpy as np

from inr_plugins import machine


def test_the_machine_is_described_as_it_is():
    found = machine.hardware(device="cpu")
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["system"].startswith(platform.system())
    assert found["gpus"] == []
    assert 0 < found["memory_gb"] < 100_000
    assert machine.versions()["python"] == platform.python_version()
    assert machine.versions()["code"] == machine.code_digest()


def test_versions_name_what_is_installed_and_nothing_else():
    assert machine.installed("numpy", "no-such-package") == {"numpy": np.__version__}
    line = machine.version_line("no-such-package", "numpy")
    assert line == f"numpy {np.__version__}, Python {platform.python_version()}"


def code(folder: Path, *, presets_inside: bool) -> str:
    """The digest of a package whose presets lie inside it, as installed, or beside it, as in the repository."""
    package = folder / "package"
    presets = package / "method_configs" if presets_inside else folder / "method_configs"
    (package / "deep").mkdir(parents=True)
    presets.mkdir()
    (package / "deep" / "a.py").write_text("a = 1\n")
    (package / "kernel.c").write_text("int a;\n")
    (presets / "b.py").write_text("b = 1\n")
    (package / "notes.txt").write_text(str(presets_inside))
    (package / "deep" / "__pycache__").mkdir()
    return machine.digest_of_code([package, presets])


def test_code_has_one_digest_wherever_it_lies_and_another_when_it_changes(tmp_path):
    inside = code(tmp_path / "1", presets_inside=True)
    assert inside == code(tmp_path / "2", presets_inside=False)
    package, presets = tmp_path / "1" / "package", tmp_path / "1" / "package" / "method_configs"
    seen = {inside}
    for changed, text in (("deep/a.py", "a = 2\n"), ("kernel.c", "int b;\n"), ("method_configs/b.py", "b = 2\n")):
        (package / changed).write_text(text)
        seen.add(machine.digest_of_code([package, presets]))
    shutil.move(package / "deep" / "a.py", package / "deep" / "c.py")
    seen.add(machine.digest_of_code([package, presets]))
    assert len(seen) == 5
