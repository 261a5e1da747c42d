"""The documentation as a site of pages, from the files that stand here, with the public names' docstrings.

    pip install ".[site]" && python scripts/build_site.py [FOLDER]        into site/ if no folder is given

Pages are README.md and what its links lead to, at the same places, so that links between files are links between pages.
A link that leads nowhere, or a name that cannot be documented, is an error.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: What is copied, as it is: pages, and what they link to or show.
TAKEN = (
    "*.md",
    "LICENSE",
    "Dockerfile",
    "docs/*",
    "scripts/*.py",
    *(f"models/**/*.{kind}" for kind in ("md", "csv", "png")),
)


def pages_and_what_they_show() -> list[Path]:
    return sorted(path for pattern in TAKEN for path in ROOT.glob(pattern) if path.is_file())


def main(site: Path) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    logging.basicConfig(level=logging.WARNING)  # a strict build ends without a word: what was wrong is only logged
    with tempfile.TemporaryDirectory() as pages:
        for path in pages_and_what_they_show():
            place = Path(pages) / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        build(load_config(str(ROOT / "mkdocs.yml"), docs_dir=pages, site_dir=str(site.resolve()), strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site")
