"""Make the command line's flags from the option classes (``fermedia.options``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from fermedia.options import Options, seconds, type_hints

FOLDER = click.Path(path_type=Path, file_okay=False)
PATH = click.Path(path_type=Path)


class Time(click.ParamType):  # type: ignore[type-arg]  # older versions of click have no type argument
    """A time, given as seconds, MM:SS or HH:MM:SS, optionally with decimals; converted to seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the time, or fail with a message of one line."""
        try:
            return seconds(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write seconds, MM:SS or HH:MM:SS", param, ctx)


class Names(click.ParamType):  # type: ignore[type-arg]  # as above
    """Names separated by commas; converted to a tuple."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split the value; whether the names are valid is checked by the option class."""
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(name.strip() for name in parts if name.strip())


def _flat(_ctx: click.Context, _option: click.Parameter, values: tuple[tuple[str, ...], ...]) -> tuple[str, ...] | None:
    """Join the values of a list flag, given once or several times, without duplicates; None if it is not given.

    ``--export srt,vtt`` is the same as ``--export srt --export vtt``.
    """
    return tuple(dict.fromkeys(name for part in values for name in part)) if values else None


def flags(cls: type[Options]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds the flags for the fields of an option class to a command."""
    hints = type_hints(cls)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for item in reversed(fields(cls)):
            meta = item.metadata
            kind: Any = {"time": Time(), "folder": FOLDER, "path": PATH, "list": Names()}.get(meta.get("kind", ""))
            if meta.get("choices"):
                kind = click.Choice(meta["choices"])
            elif kind is None:
                kind = next(t for t in (bool, int, float, str) if t in (hints[item.name], *_members(hints[item.name])))
            flag = meta.get("flag") or "--" + item.name.replace("_", "-")
            shown = item.default not in (None, ())
            command = click.option(
                flag,
                item.name,
                type=kind,
                default=item.default,
                help=meta["help"],
                metavar=meta.get("metavar"),
                show_default=shown,
                multiple=meta.get("kind") == "list",
                callback=_flat if meta.get("kind") == "list" else None,
            )(command)
        return command

    return decorate


def _members(hint: Any) -> tuple[Any, ...]:
    """The types that a type hint is made of, such as those of a union."""
    return getattr(hint, "__args__", ())
