"""Text for the cells of tables, made safe for spreadsheets, terminals and other readers."""

from __future__ import annotations

import re
import unicodedata

#: Characters that are escaped: control characters, which end lines for some readers and control terminals, other line
#: ends, characters that change the writing direction, and lone surrogates (Windows allows any in a name).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udc7f\udd00-\udfff]")

#: First characters that make a spreadsheet run a cell as a formula (OWASP, "CSV Injection"; the last four are the
#: first four in the wide forms of East Asian keyboards). A tab or a line end would, too, but these are escaped.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[-+]?[0-9]+([.,][0-9]+)?")


def cell(text: str) -> str:
    """Make a name, a relative path, or a message that begins with one, safe as a cell.

    Text that a spreadsheet would take for a formula is prefixed with ``./``, which as a path means the same to
    ``pandas``, ``pathlib`` and people. Numbers are not formulas. Otherwise as ``plain``.
    """
    shown = plain(text)
    return "./" + shown if shown.startswith(_FORMULA) and not _NUMBER.fullmatch(shown) else shown


def name_cell(text: str) -> str:
    """The name of a person as a cell: as ``cell``, and with its accents composed, so that one name is one text."""
    return cell(unicodedata.normalize("NFC", text))


def plain(text: str) -> str:
    """Make ``text`` valid for every table and page, on one line.

    Bytes that are not valid text (Linux allows any in a name) become ``\\xNN``, control characters Python's escapes:
    ``\\r``, ``\\x1b``.
    """
    escaped = _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)
    return escaped.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
