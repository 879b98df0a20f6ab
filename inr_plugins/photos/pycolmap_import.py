"""Importing pycolmap, which is optional, where it is used."""

from __future__ import annotations

from types import ModuleType

from inr_plugins.errors import InputError
from inr_plugins.signals_kept import sigterm_kept


def import_pycolmap() -> ModuleType:
    """The pycolmap module, quiet: of what it logs only errors are printed.

    Raises:
        InputError: it is missing or cannot be loaded; the message says how to install it.
    """
    try:
        with sigterm_kept():
            import pycolmap
    except ModuleNotFoundError as error:
        raise InputError(
            "Poses are found by pycolmap, which is not installed: install it with `pip install pycolmap`, or "
            "inr-plugins with its extra photos, inr-plugins[photos]."
        ) from error
    except (ImportError, RuntimeError) as error:
        # Its own words for a compiled part that does not load.
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(
            f"pycolmap cannot be loaded ({reason}): uninstall it, and install it anew with `pip install pycolmap`."
        ) from error
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    return pycolmap
