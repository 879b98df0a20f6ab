"""The inr- commands: what is said on the command line, checked and worded; the work is done in the other layers."""

from __future__ import annotations

import os
import sys

_NAME = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""

if _NAME.startswith("inr-"):
    # A command is about to import the rest of itself, which takes a second: Ctrl-C is no error there either.
    _usual_hook = sys.excepthook

    def _hook(kind, error, trace):
        if issubclass(kind, KeyboardInterrupt):
            print(f"{_NAME}: stopped; nothing was written.", file=sys.stderr)
        else:
            _usual_hook(kind, error, trace)

    sys.excepthook = _hook
