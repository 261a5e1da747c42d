"""The flags of the command line that are made from the option classes (``fermedia.options``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import click

from fermedia.options import Options

FOLDER = click.Path(path_type=Path, file_okay=False)


class Time(click.ParamType):
    """Seconds, MM:SS or HH:MM:SS, each with decimals where wanted; gives seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse, or fail with one line."""
        if isinstance(value, int | float):
            return float(value)
        try:
            parts = [float(p) for p in value.split(":")]
            if len(parts) > 3 or any(p < 0 for p in parts) or any(p >= 60 for p in parts[1:]):
                raise ValueError
        except ValueError:
            self.fail(f"{value!r} is not a time; write seconds, MM:SS or HH:MM:SS", param, ctx)
        return sum(p * 60**i for i, p in enumerate(reversed(parts)))


class Names(click.ParamType):
    """Names parted by commas; gives a tuple."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Part; what the names mean is the option's own check."""
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(name.strip() for name in parts if name.strip())


def _flat(_ctx: click.Context, _option: click.Parameter, values: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """A list may be given at once or bit by bit: ``--export srt,vtt`` or ``--export srt --export vtt``."""
    return tuple(dict.fromkeys(name for part in values for name in part))


def flags(cls: type[Options]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of an option class."""
    hints = get_type_hints(cls)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for item in reversed(fields(cls)):
            meta = item.metadata
            kind: Any = {"time": Time(), "folder": FOLDER, "list": Names()}.get(meta.get("kind", ""))
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
    return getattr(hint, "__args__", ())
