"""What every test takes for granted."""

from __future__ import annotations

import signal

# A shell starts its background jobs with Ctrl-C ignored, and Python leaves that so; tests send themselves the signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
