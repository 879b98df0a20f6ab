"""What the user reads when open3d cannot be imported."""

import builtins
import sys

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
