"""The picture of the README: test views of a run, truth above, render and normals below.

    ns-render dataset --load-config RUN/config.yml --output-path VIEWS --split test \
        --rendered-output-names rgb gt-rgb normals
    .venv/bin/python scripts/readme_picture.py VIEWS/test docs/pictures/windmill.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

COLUMNS = 5
ROWS = ("gt-rgb", "rgb", "normals")


def main(views: Path, output: Path) -> None:
    """Paste evenly spread views of each kind into one picture."""
    files = {row: sorted(path for path in (views / row).rglob("*") if path.is_file()) for row in ROWS}
    count = len(files["rgb"])
    chosen = [count * k // COLUMNS for k in range(COLUMNS)]
    width, height = Image.open(files["rgb"][0]).size
    picture = Image.new("RGB", (width * COLUMNS, height * len(ROWS)), "white")
    for y, row in enumerate(ROWS):
        for x, index in enumerate(chosen):
            picture.paste(Image.open(files[row][index]).convert("RGB"), (x * width, y * height))
    picture.save(output, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
