"""What stands beside a file of measurements: `<name>.json`, checked as it is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable


def sidecar(path: Path) -> Path:
    """Where the metadata of measurements are: `<name>.json` beside them, of a file without its ending.

    What stands behind a point in a folder's name, as in `height_0.5mm`, is no ending.
    """
    if not path.is_dir():
        return path.with_suffix(".json")
    named = path.resolve() if path.name in ("", "..") else path
    return named.parent / f"{named.name}.json"


class Sidecar:
    """The keys and values of a JSON file.

    Attributes:
        path: of that file.
        values: what it says.
    """

    def __init__(self, path: Path, data: Path, *, needs: str, page: str) -> None:
        """
        Args:
            path: of the metadata.
            data: of the measurements.
            needs: what the metadata have to say, for the sentence.
            page: of the docs that says how to write it.

        Raises:
            InputError: it cannot be read, or is no JSON object.
        """
        self.path = path
        problem = why_unreadable(path)
        if problem is not None:
            raise InputError(
                f"--data {shown(data)} needs {shown(path)} beside it, with {needs}, and that {problem}: write it as "
                f"the page of {page} says."
            )
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise self.error(f"is no JSON ({' '.join(str(error).split())[:100]}): mend it") from error
        if not isinstance(found, dict):
            raise self.error("is no JSON object of keys and values: mend it")
        self.values: dict[str, Any] = found

    def error(self, what: str) -> InputError:
        """One sentence that names the file."""
        return InputError(f"{shown(self.path)} {what}.")

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """A word among those, whose spaces may be underscores."""
        found = self.values.get(key)
        if not isinstance(found, str) or found.replace("_", " ") not in allowed:
            words = " or ".join(f'"{each}"' for each in allowed)
            what = f"has no {key}" if found is None else f"has the {key} {json.dumps(found)[:60]}"
            raise self.error(f"{what}: give {words}")
        return found.replace("_", " ")
