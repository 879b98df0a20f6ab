"""The record of a campaign: a line of JSON for each case that has ended, so that one that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from campaign.case import Case
from campaign.sandbox import Outcome

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Key:
    """What an outcome depends on, besides the case."""

    seed: int
    commit: str


class Record:
    """Outcomes by the names of cases, of one key; those of others stay in the file and are not looked at."""

    def __init__(self, path: Path, key: Key, *, fresh: bool = False) -> None:
        self.path, self.key, self.outcomes = path, key, dict[str, Outcome]()
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # Cut when the campaign was killed.
            if (row["seed"], row["commit"]) == (key.seed, key.commit):
                outcome = (row[name] for name in ("kind", "sentence", "seconds", "megabytes"))
                self.outcomes[row["name"]] = Outcome(*outcome)

    def add(self, case: Case, outcome: Outcome) -> None:
        """Keep an outcome, on the disk too."""
        self.outcomes[case.name] = outcome
        row = {"name": case.name, "group": case.group, **asdict(self.key), **asdict(outcome)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def commit() -> str:
    """The commit of this repository, with a hash of what was changed since; "none" where git knows nothing."""
    try:
        head = _git("rev-parse", "HEAD").decode().strip()
        changed = _git("diff", "HEAD")
        for name in _git("ls-files", "--others", "--exclude-standard", "-z").split(b"\0"):
            path = ROOT / name.decode()
            changed += name + (path.read_bytes() if name and path.is_file() else b"")
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return head if not changed else f"{head}+{hashlib.sha256(changed).hexdigest()[:12]}"


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout
