"""Write the pages that are made from the code: docs/commands.md and docs/columns.md.

    python scripts/write_docs.py

Run it after a change of commands, options or columns; a test holds that the pages are current.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from fermedia.cli import cli
from fermedia.columns import MERGED, TABLES, Column
from fermedia.files import whole_file

DOCS = Path(__file__).resolve().parents[1] / "docs"

_MADE = "<!-- Made by scripts/write_docs.py from the code; change it there. -->"


def commands() -> str:
    """docs/commands.md: every command with its arguments and options."""
    names = ", ".join(f"[{name}](#fermedia-{name})" for name in cli.commands)
    parts = [
        f"# The commands\n\n{_MADE}\n",
        f"{names}. `--help` prints the same.\n",
        "Exit status: 0 all well, 1 the one thing asked for failed, 2 a wrong call, 3 some inputs failed (they are "
        "named), 130 interrupted.\n",
    ]
    for name, command in cli.commands.items():
        parts += _command(name, command)
    return "\n".join(parts)


def columns() -> str:
    """docs/columns.md: every column of every table."""
    parts = [
        f"# The tables and their columns\n\n{_MADE}\n",
        "Tables are CSV: UTF-8, commas, a point for decimals, plain line feeds; an empty field says that there is "
        "nothing to say. Each folder of results has this page's content as `data_dictionary.csv`.\n",
    ]
    for table in TABLES:
        parts += [f"## {table.name}\n", f"{table.files}. A row is {table.row}.\n", *_columns(table.columns)]
    parts += ["## Merged tables\n", "`fermedia merge` puts before the columns of a table:\n", *_columns(MERGED)]
    return "\n".join(parts)


#: Page -> what makes it.
PAGES = {"commands.md": commands, "columns.md": columns}


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"fermedia {name}")
    yield f"## fermedia {name}\n"
    yield f"```\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    records = [param.get_help_record(context) for param in command.params if isinstance(param, click.Option)]
    yield from _table(("option", "what"), ((f"`{flag}`", text) for flag, text in filter(None, records)))


def _columns(columns: Iterable[Column]) -> Iterator[str]:
    rows = ((f"`{c.name}`", c.type, c.unit, c.range, c.meaning) for c in columns)
    return _table(("column", "type", "unit", "range", "meaning"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    yield "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        with whole_file(DOCS / name) as path:
            path.write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
