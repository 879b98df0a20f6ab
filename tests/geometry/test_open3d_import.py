"""What the user reads when open3d cannot be imported."""

import _ctypes
import builtins
import shutil
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from inr_plugins.errors import InputError
from inr_plugins.geometry import open3d_import


def break_open3d(monkeypatch, error: ImportError) -> None:
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "open3d":
            raise error
        return original(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "open3d", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ModuleNotFoundError("No module named 'open3d'"), "pip install open3d"),
        (ImportError("libusb-1.0.so.0: cannot open shared object file"), "libusb-package"),
        (ImportError("libEGL.so.1: cannot open shared object file"), "libEGL"),
    ],
)
def test_the_message_names_what_to_install(monkeypatch, error, remedy):
    break_open3d(monkeypatch, error)
    with pytest.raises(InputError, match=remedy):
        open3d_import.import_open3d()


def test_the_module_comes_back_when_it_is_there():
    assert hasattr(open3d_import.import_open3d().geometry, "TriangleMesh")


@pytest.mark.parametrize(("content", "loads"), [("sound", True), ("broken", False), ("absent", False)])
def test_a_packaged_libusb_is_loaded_before_a_second_try(monkeypatch, tmp_path, content, loads):
    if content == "sound":
        shutil.copy(_ctypes.__file__, tmp_path / "libusb-1.0.so")  # any library that loads
    elif content == "broken":
        (tmp_path / "libusb-1.0.so").write_bytes(b"not a library")
    spec = ModuleSpec("libusb_package", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(open3d_import.importlib.util, "find_spec", lambda name: spec)
    module, tries, original = ModuleType("open3d"), [], builtins.__import__

    def refuse_once(name, *args, **kwargs):
        if name != "open3d":
            return original(name, *args, **kwargs)
        tries.append(name)
        if len(tries) == 1:
            raise ImportError("libusb-1.0.so.0: cannot open shared object file")
        return module

    monkeypatch.setattr(builtins, "__import__", refuse_once)
    if loads:
        assert open3d_import.import_open3d() is module
    else:
        with pytest.raises(InputError, match="libusb-package"):
            open3d_import.import_open3d()
