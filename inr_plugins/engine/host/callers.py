"""nerfstudio's commands start in half the time: what they ask of their callers is found without reading source files.

While it lists the methods that could be installed (`nerfstudio.configs.external_methods`), nerfstudio asks 26 times for
the name of a calling function, by ``inspect.stack()``, which looks for each caller's lines among the files of all
modules that are loaded: by then thousands. ``context=0`` gives the same names without those lines. benchmarks/start.py
measures it.
"""

from __future__ import annotations

import inspect
import sys
from functools import partial
from types import ModuleType

_ASKS = "nerfstudio.configs.external_methods"


def find_callers_quickly() -> None:
    """See above. Only where that module is loaded already, which it is when methods of plugins are being looked for."""
    asks = sys.modules.get(_ASKS)
    if asks is None or getattr(asks, "inspect", None) is not inspect:
        return
    quick = ModuleType(inspect.__name__, inspect.__doc__)
    quick.__dict__.update(vars(inspect))
    # No function of its own, which would be one more caller.
    quick.__dict__["stack"] = partial(inspect.stack, context=0)
    vars(asks)["inspect"] = quick
