"""What numbers were measured on and with: the machine, the versions, the code, the environment, the load."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parent
_PACKAGES = (
    "inr-plugins",
    "nerfstudio",
    "torch",
    "torchvision",
    "torchmetrics",
    "numpy",
    "scipy",
    "trimesh",
    "open3d",
    "nerfacc",
    "tinycudann",
)
_VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "INR_ALLOCATOR", "CUDA_VISIBLE_DEVICES")


def hardware(*, device: str) -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system and, for a CUDA device, the names of the GPUs."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_name(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "gpus": _gpu_names() if device.startswith("cuda") else [],
    }


def _gpu_names() -> list[str]:
    """As the driver lists them. torch would take up memory on the device to tell."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def memory_bytes() -> int | None:
    """Memory of the machine, None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def resident_bytes() -> int:
    """Memory that this process holds, in bytes; 0 where the system does not say (it is not Linux)."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _memory_gb() -> float | None:
    found = memory_bytes()
    return None if found is None else round(found / 1e9, 1)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter as far as they are installed, and of this one's code."""
    commit = git_commit(_FOLDER)
    found = {"python": platform.python_version(), **installed(*_PACKAGES)}
    return {**found, **({} if commit is None else {"commit": commit}), "code": code_digest()}


def installed(*packages: str) -> dict[str, str]:
    """Versions of those of the packages that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def version_line(*packages: str) -> str:
    """Versions of packages, as far as they are installed, and of Python, for people to read."""
    found = {**installed(*packages), "Python": platform.python_version()}
    return ", ".join(f"{name} {number}" for name, number in found.items())


def git_commit(folder: Path) -> str | None:
    """Commit of the repository whose part `folder` is, with "+" if tracked files differ from it; None without one."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed package may lie inside somebody else's repository, which ignores it.
    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return None
    return f"{commit}+" if git("status", "--porcelain", "--untracked-files=no") else commit


def code_digest() -> str:
    """Twelve hexadecimal digits of this package's code as it lies on the disk now, also where it is in no repository.

    Any change counts, that of a comment too: which ones change a number nobody can tell by looking at files.
    """
    presets = find_spec("inr_plugins.method_configs")
    assert presets is not None
    assert presets.origin is not None
    return digest_of_code([_FOLDER, Path(presets.origin).resolve().parent])


def digest_of_code(folders: list[Path]) -> str:
    """Twelve hexadecimal digits of the Python and C files in `folders`: of their names below them, and contents."""
    digest = hashlib.sha256()
    for folder in folders:
        files = {
            path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in (".py", ".c")
        }
        for name in sorted(files):
            # The presets lie inside the package where it is installed, and beside it where it is not.
            if not name.startswith("method_configs/"):
                content = files[name].read_bytes().replace(b"\r\n", b"\n")
                digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def environment() -> dict[str, str]:
    """Variables that change how fast training is, as far as they are set."""
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def load_average() -> float | None:
    """Processes that wanted to run in the last minute, on average; None where the system does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
