"""Write the pages that are made from the code: docs/commands.md and docs/columns.md.

    python scripts/write_docs.py

Run it after a change of commands, options or columns; a test holds that the pages are current.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

import click
import measuring

from fermedia.cli import cli
from fermedia.columns import FACTOR, MERGED, PARTICIPANT, TABLES, Column, Table
from fermedia.files import whole_file

DOCS = measuring.ROOT / "docs"

_MADE = "<!-- Made by scripts/write_docs.py from the code; change it there. -->"


def commands() -> str:
    """docs/commands.md: every command with its arguments and options."""
    names = ", ".join(f"[{name}](#fermedia-{name})" for name in cli.commands)
    parts = [
        f"# The commands\n\n{_MADE}\n",
        f"{names}. `--help` prints the same.\n",
        "Exit status: 0 success, 1 the command failed, 2 wrong usage, 3 some inputs failed (they are named), 130 "
        "interrupted.\n",
    ]
    for name, command in cli.commands.items():
        parts += _command(name, command)
    return "\n".join(parts)


def columns() -> str:
    """docs/columns.md: every column of every table."""
    parts = [
        f"# The tables and their columns\n\n{_MADE}\n",
        "Tables are CSV: UTF-8, separated by commas, with a decimal point and line feeds; an empty field is a missing "
        "value. Each folder of results has the content of this page as `data_dictionary.csv`.\n",
    ]
    for table in TABLES:
        given = _given(table)
        parts += [f"## {table.name}\n", f"{table.files}. A row is {table.row}.{given}\n", _columns(table.columns)]
    parts += [
        "## Merged tables\n",
        "`fermedia merge` puts before the columns of a table, followed by those of `--participants`:\n",
        _columns(MERGED),
    ]
    return "\n".join(parts)


def _given(table: Table) -> str:
    """What ``--participants`` adds to a table."""
    if FACTOR.name in table.names:
        return " FACTOR stands for a column for each factor, named as in the file given."
    if not table.keys:
        return ""
    after = table.names[table.keys - 1]
    return f" With `--participants`, the columns `{PARTICIPANT.name}` and those of the factors follow `{after}`."


#: Page -> what makes it.
PAGES = {"commands.md": commands, "columns.md": columns}


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"fermedia {name}")
    yield f"## fermedia {name}\n"
    yield f"```\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    records = [param.get_help_record(context) for param in command.params if isinstance(param, click.Option)]
    yield measuring.table(("option", "what"), ((f"`{flag}`", text) for flag, text in filter(None, records))) + "\n"


def _columns(columns: Iterable[Column]) -> str:
    rows = ((f"`{c.name}`", c.type, c.unit, c.range, c.meaning) for c in columns)
    return measuring.table(("column", "type", "unit", "range", "meaning"), rows) + "\n"


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        with whole_file(DOCS / name) as path:
            path.write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
