"""Peak memory of training alone: the high-water marks are reset after whatever else happened."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Largest memory that this process held while it was watched, on the host and on the CUDA device.

    Processes that it starts are not counted. Where the system's mark cannot be reset (it is not Linux),
    :attr:`is_of_training_alone` is False and the host's figure is that of the whole process.
    """

    def __init__(self) -> None:
        self.host_gb = 0.0
        self.device_gb: float | None = None
        self.is_of_training_alone = True

    def watch(self) -> None:
        """Forget what the marks say; what follows counts."""
        try:
            # From Linux's proc(5): 5 resets the mark of resident memory.
            _CLEAR.write_text("5", encoding="ascii")
        except OSError:
            self.is_of_training_alone = False
        if _cuda_is_used():
            import torch

            torch.cuda.reset_peak_memory_stats()

    def note(self) -> None:
        """Take over what the marks say now."""
        self.host_gb = max(self.host_gb, host_peak_gb())
        if _cuda_is_used():
            import torch

            self.device_gb = max(self.device_gb or 0.0, torch.cuda.max_memory_allocated() / 1e9)


def host_peak_gb() -> float:
    """High-water mark of this process's resident memory, in 10^9 bytes."""
    try:
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e9
    except OSError:
        pass
    # Kilobytes everywhere but on macOS, where it is bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _cuda_is_used() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()
