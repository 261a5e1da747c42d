"""Write a page: an HTML file with its title, and a script with its data, which the page's own script reads.

A page opened from the disk can load scripts and images but cannot use ``fetch``, so the data are a script. Names are
inserted as text only: with ``html.escape`` here, with ``textContent`` in the scripts. In addition, the HTML's
Content-Security-Policy allows no scripts but files.
"""

from __future__ import annotations

import base64
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
from fermedia.files import regular, unlinked, write_text
from fermedia.render.colors import EMOTION_COLORS
from fermedia.tables.cells import plain

#: The folder of the scripts and the style sheet, beside ``items``, and its files.
ASSETS = "report"
_SCRIPTS = ("base.js", "drawing.js", "measures.js", "events.js", "timeline.js", "video.js", "photos.js", "batch.js")
_FILES = ("report.css", *_SCRIPTS)

#: The file names of a page and of its data.
PAGE, DATA = "report.html", "report.js"

#: The table of the events that the page of a video shows, in the video's folder (``store.events``).
EVENTS_FILE = "events.csv"


def write_page(folder: Path, kind: str, title: str, assets: str, data: dict[str, Any]) -> None:
    """Write the page of an item, ``report.html`` and ``report.js``, each atomically.

    Args:
        folder: Where the files are written.
        kind: The name of the page's script, without its suffix.
        title: The page's title.
        assets: The relative path to the folder of the scripts.
        data: Plain values for JSON; NaN and infinity become null.

    Raises:
        OSError: A file cannot be written.
    """
    _write_data(folder / DATA, data)
    stamp = _stamp() + _events_stamp(folder)
    _write_shell(folder / PAGE, stamp=stamp, title=plain(title), assets=url(assets), kind=kind, data=DATA)


def is_current(folder: Path) -> bool:
    """Whether ``folder`` has a page that fits the scripts of this version of fermedia, and shows its events."""
    try:
        page = regular(folder / PAGE).read_text(encoding="utf-8")
        return f'content="{_stamp()}{_events_stamp(folder)}"' in page and (folder / DATA).is_file()
    except (OSError, ValueError):
        return False


def write_batch(folder: Path, title: str, data: dict[str, Any]) -> None:
    """Write the page of a run into ``folder``, and its data and the files that all pages share into ``folder/report``.

    Args:
        folder: The folder of results.
        title: The page's title.
        data: As for ``write_page``.

    Raises:
        OSError: A file cannot be written.
        UsageError: ``folder/report`` is a link.
    """
    unlinked(folder, ASSETS)
    for name in _FILES:
        write_text(folder / ASSETS / name, _asset(name))
    _write_data(folder / ASSETS / "items.js", data)
    data_file = f"{ASSETS}/items.js"
    _write_shell(folder / PAGE, stamp=_stamp(), title=plain(title), assets=ASSETS, kind="batch", data=data_file)


def write_single(path: Path, kind: str, title: str, data: dict[str, Any]) -> None:
    """Write a page that is one file, to be handed on: with its style, scripts and data, and images as data in these.

    Its policy allows just these scripts and this style, by their digests.

    Args:
        path: The file.
        kind: The name of the page's script, without its suffix.
        title: The page's title.
        data: As for ``write_page``.

    Raises:
        OSError: The file cannot be written.
    """
    parts = {"base": _asset("base.js"), "data": _as_script(data), "script": _asset(f"{kind}.js")}
    style = _asset("report.css")
    digests = {"styles": _digest(style), "scripts": " ".join(map(_digest, parts.values()))}
    fields = digests | {"stamp": _stamp(), "title": plain(title), "kind": kind}
    shell = Template(_asset("single.html"))
    escaped = {name: escape(text, quote=name not in digests) for name, text in fields.items()}
    write_text(path, shell.substitute(escaped | parts | {"style": style}))


def _digest(text: str) -> str:
    """The source of a Content-Security-Policy for an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def url(path: str) -> str:
    """Quote a relative path for a link; names that are not valid text work, too."""
    return quote(os.fsencode(path))


def _write_data(path: Path, data: dict[str, Any]) -> None:
    write_text(path, _as_script(data))


def _as_script(data: dict[str, Any]) -> str:
    emotions = [{"name": name, "color": color} for name, color in EMOTION_COLORS.items()]
    text = json.dumps(_finite({"emotions": emotions, **data}), separators=(",", ":"))
    # So that the text cannot end a script element if it is ever put into one.
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f"window.report = {text};\n"


def _finite(value: Any) -> Any:
    """A copy with None for NaN and infinity, which JSON does not have, and with names as valid text."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, str):
        return plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_shell(path: Path, **fields: str) -> None:
    shell = Template(_asset("page.html"))
    write_text(path, shell.substitute({name: escape(text) for name, text in fields.items()}))


@cache
def _stamp() -> str:
    """The version and a digest of the scripts, by which pages of other versions are recognized."""
    digest = hashlib.sha256("".join(map(_asset, (*_FILES, "page.html"))).encode()).hexdigest()
    return f"fermedia {fermedia.__version__} {digest[:12]}"


def _events_stamp(folder: Path) -> str:
    """A digest of the events in an item's folder, empty if there are none."""
    try:
        return f" {hashlib.sha256(regular(folder / EVENTS_FILE).read_bytes()).hexdigest()[:12]}"
    except OSError:
        return ""


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
