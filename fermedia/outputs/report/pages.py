"""HTML files: a shell with a title, and beside it what it shows, as a script that the page's own script reads.

A page opened from the disk may load scripts and pictures but not fetch, so the data are a script. Names reach the page
as text only: through ``html.escape`` here, through ``textContent`` in the scripts; and should one slip through, the
shell's Content-Security-Policy lets nothing run that is not a file of ours.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import fermedia
from fermedia.files import whole_file
from fermedia.outputs.cells import plain
from fermedia.outputs.colors import EMOTION_COLORS

#: The folder of the scripts and the style, beside ``items``, and what stands in it.
ASSETS = "report"
_FILES = ("report.css", "base.js", "drawing.js", "timeline.js", "film.js", "photos.js", "batch.js")

#: What a page is called, and its data.
PAGE, DATA = "report.html", "report.js"


def write_page(folder: Path, kind: str, title: str, assets: str, data: dict[str, Any]) -> None:
    """Write ``report.html`` and ``report.js`` into ``folder``, each whole or not at all. Raises OSError.

    ``kind`` names the page's script, ``assets`` is the relative way to the folder of the scripts. ``data`` are plain
    values; NaN becomes null.
    """
    _write_data(folder / DATA, data)
    _write_shell(folder / PAGE, title=plain(title), assets=url(assets), kind=kind, data=DATA)


def is_current(folder: Path) -> bool:
    """Whether the page in ``folder`` is there and goes with the scripts of this fermedia."""
    try:
        return f'content="{_stamp()}"' in (folder / PAGE).read_text(encoding="utf-8") and (folder / DATA).is_file()
    except (OSError, ValueError):
        return False


def write_batch(folder: Path, title: str, data: dict[str, Any]) -> None:
    """Write ``report.html`` into ``folder``, and what all pages share into ``folder/report``. Raises OSError."""
    for name in _FILES:
        _write(folder / ASSETS / name, _asset(name))
    _write_data(folder / ASSETS / "items.js", data)
    _write_shell(folder / PAGE, title=plain(title), assets=ASSETS, kind="batch", data=f"{ASSETS}/items.js")


def url(path: str) -> str:
    """A relative path as a link that works from the disk, whatever bytes it has."""
    return quote(os.fsencode(path))


def _write_data(path: Path, data: dict[str, Any]) -> None:
    emotions = [{"name": name, "color": color} for name, color in EMOTION_COLORS.items()]
    text = json.dumps(_finite({"emotions": emotions, **data}), separators=(",", ":"))
    # Nothing in it can end a script element, should somebody put it into one.
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    _write(path, f"window.report = {text};\n")


def _finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON does not have, and with names that are valid text."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, str):
        return plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_shell(path: Path, **fields: str) -> None:
    shell = Template(_asset("page.html"))
    _write(path, shell.substitute({name: escape(text) for name, text in (fields | {"stamp": _stamp()}).items()}))


@cache
def _stamp() -> str:
    """The version, and a digest of the scripts: pages and data of another do not go with these."""
    digest = hashlib.sha256("".join(map(_asset, (*_FILES, "page.html"))).encode()).hexdigest()
    return f"fermedia {fermedia.__version__} {digest[:12]}"


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
