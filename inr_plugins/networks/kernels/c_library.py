"""C code of this package, compiled for the machine that it runs on when it is first wanted, and kept.

Torch's operations go through memory once each; a function of rows that takes forty of them is several times faster as
one loop in C. Every such function has a twin in torch, which is used where there is no C compiler, on other devices,
and when the environment variable INR_KERNELS is `off`.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from inr_plugins.files import cache_folder, hidden_folder, move

_FLAGS = (
    "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fassociative-math", "-fno-signed-zeros",
    "-freciprocal-math", "-shared", "-fPIC",
)  # fmt: skip
"""Sums may be added in any order; numbers that are not finite keep their meaning."""
_SECONDS = 60.0


@functools.cache
def load_c_library(source: Path) -> ctypes.CDLL | None:
    """The library made of a C file, or None where it cannot be made: no compiler, or no folder to keep it in.

    It is kept in the user's cache folder, under a name that follows from the source, the compiler and the processor,
    and made anew when one of these changes.
    """
    if os.environ.get("INR_KERNELS", "").lower() == "off":
        return None
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    try:
        library = cache_folder() / f"{source.stem}-{_fingerprint(source, compiler)}.so"
        if not library.exists():
            _compile(source, compiler, library)
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError):
        return None


def _fingerprint(source: Path, compiler: str) -> str:
    """Sixteen hexadecimal digits of all that the library depends on."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=_SECONDS).stdout
    digest = hashlib.sha256(source.read_bytes())
    for part in (version, compiler.encode(), " ".join((*_FLAGS, "-fopenmp")).encode(), _processor().encode()):
        digest.update(part)
    return digest.hexdigest()[:16]


def _processor() -> str:
    """What -march=native looks at: the processor's model and abilities."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _compile(source: Path, compiler: str, library: Path) -> None:
    """Compile beside the place and move it there when it is whole: several processes may want it at once."""
    # In a folder, which keeps its lock: linkers remove the file that they are to write, and make another.
    with hidden_folder(library.parent, library.name) as folder:
        made = folder / library.name
        command = [compiler, *_FLAGS, str(source), "-o", str(made), "-lm"]
        # OpenMP's library is the one that torch has loaded, and its threads are torch's: others would fight with them.
        with_threads = subprocess.run([*command, "-fopenmp"], capture_output=True, timeout=_SECONDS)
        if with_threads.returncode:
            subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS)
        move(made, library)
