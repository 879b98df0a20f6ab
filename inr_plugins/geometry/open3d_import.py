"""Importing open3d where it is used, also on machines that lack the USB library it is linked against."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from types import ModuleType

from inr_plugins.errors import InputError


def import_open3d() -> ModuleType:
    """The open3d module.

    open3d's wheels are linked against libusb (for depth cameras, which nothing here uses), and bare machines do not
    have it. If it is missing and the package libusb-package is installed, its copy of the library is loaded first:
    the loader takes any library of that name already in the process.

    Raises:
        InputError: open3d or a system library it needs is missing; the message names what to install.
    """
    try:
        import open3d
    except ImportError as error:
        if "libusb" not in str(error) or not _load_packaged_libusb():
            raise InputError(_advice(error)) from error
        try:
            import open3d
        except ImportError as second:
            raise InputError(_advice(second)) from second
    return open3d


def _load_packaged_libusb() -> bool:
    spec = importlib.util.find_spec("libusb_package")
    if spec is None:
        return False
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    libraries = [path for folder in folders for path in sorted(folder.glob("libusb-1.0*.so*"))]
    for library in libraries:
        try:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue  # built for another system; the next may fit
        return True
    return False


def _advice(error: ImportError) -> str:
    if "libusb" in str(error):
        remedy = "install it with `pip install libusb-package` or `apt-get install libusb-1.0-0`"
    elif isinstance(error, ModuleNotFoundError):
        remedy = "install it with `pip install open3d`"
    else:
        remedy = "install the library that is named there"
    return f"open3d cannot be imported ({error}); {remedy}."
