"""Text in the cells of our tables, harmless wherever they are opened."""

from __future__ import annotations

#: What makes a spreadsheet run a cell as a formula, at its beginning (OWASP, "CSV Injection"; the last four are the
#: first four in the wide forms of East Asian keyboards).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def cell(text: str) -> str:
    """A name, a relative path, or a message that begins with one, as a cell.

    What a spreadsheet would take for a formula gets ``./`` before it: as a path it means the same, to ``pandas`` and
    ``pathlib`` as to people. Bytes that are no valid text (Linux allows any in a name) become ``\\xNN``.
    """
    shown = plain(text)
    return "./" + shown if shown.startswith(_FORMULA) else shown


def plain(text: str) -> str:
    """``text`` as UTF-8 can hold it: bytes that are no valid text become ``\\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
