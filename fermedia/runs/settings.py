"""What a run's results are made with, so that no folder mixes results that cannot be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from fermedia.options import AnalyzeOptions

#: Raise it whenever the same input with the same options gives other tables or pictures than before.
METHOD = 5

#: What is compared beside the options, in words.
_OTHERS = {"network": "the network", "detectors": "the face detectors", "method": "fermedia's method"}


def made_with(options: AnalyzeOptions, network: str, labels: str, detectors: Iterable[str]) -> dict[str, Any]:
    """Everything that results depend on beside their source, as plain values for JSON.

    ``network`` and ``detectors`` are checksums, since models count by their content and not by their place; ``labels``
    are those that the network speaks. What is only derived from timelines does not count, nor do the versions of other
    packages; run.json has them.
    """
    left_out = {"model"} | {item.name for item in fields(AnalyzeOptions) if item.metadata.get("derived")}
    chosen = {name: value for name, value in options.record().items() if name not in left_out}
    return chosen | {"labels": labels, "network": network, "detectors": sorted(detectors), "method": METHOD}


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs, each as "--every 5, now 1". An option that the older fermedia had not counts as its default."""
    defaults = {item.name: item.default for item in fields(AnalyzeOptions)}
    names = [name for name in {**new, **old} if old.get(name, defaults.get(name)) != new.get(name)]
    return [_difference(name, old.get(name, defaults.get(name)), new.get(name)) for name in names]


def in_flags(settings: dict[str, Any]) -> str:
    """The options among the settings as one would type them."""
    chosen = ((item.name, settings.get(item.name)) for item in fields(AnalyzeOptions))
    return " ".join(_flag(name, value) for name, value in chosen if value is not None)


def _difference(name: str, old: Any, new: Any) -> str:
    if name in _OTHERS:
        return f"{_OTHERS[name]} {_short(old)}, now {_short(new)}"
    if isinstance(old, bool) or isinstance(new, bool):
        return f"{_flag(name, old)}, now {_flag(name, new)}"
    flag = _flag(name, old if old is not None else new).split(" ")[0]
    return f"{flag} {'not given' if old is None else old}, now {'not given' if new is None else new}"


def _flag(name: str, value: Any) -> str:
    given = {item.name: item.metadata.get("flag") for item in fields(AnalyzeOptions)}
    flag: str = given.get(name) or "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return flag.split("/")[not value]
    return f"{flag} {value}"


def _short(value: Any) -> str:
    """A checksum, some of them, or a number."""
    return "+".join(part[:8] for part in value) if isinstance(value, list) else str(value)[:8]
