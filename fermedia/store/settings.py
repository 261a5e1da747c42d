"""The settings that results depend on, so that no folder mixes results that cannot be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from fermedia.options import AnalyzeOptions

#: Raise it whenever the same input with the same options gives other tables or images than before.
METHOD = 8

#: Descriptions of the settings other than options.
_OTHERS = {
    "network": "the network",
    "detectors": "the face detectors",
    "mesh": "the face mesh",
    "method": "fermedia's method",
}


def made_with(
    options: AnalyzeOptions, network: str, labels: str, detectors: Iterable[str], mesh: Iterable[str]
) -> dict[str, Any]:
    """Everything that results depend on besides their source, as plain values for JSON.

    Options for files that are only derived from timelines are not included, nor are the versions of other packages,
    which are in run.json.

    Args:
        options: The options of the run.
        network: Checksum of the emotion network; models are identified by content, not by path.
        labels: The output head.
        detectors: Checksums of the face detector's networks.
        mesh: Checksums of the face mesh's networks; only included if faces are measured.
    """
    left_out = {"model"} | {item.name for item in fields(AnalyzeOptions) if item.metadata.get("derived")}
    chosen = {name: value for name, value in options.record().items() if name not in left_out}
    models = {"network": network, "detectors": sorted(detectors)} | ({"mesh": sorted(mesh)} if options.measures else {})
    return chosen | {"labels": labels, **models, "method": METHOD}


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """Describe the differences, by name, as "--every 5, now 1". Options missing in ``old`` count as their defaults."""
    defaults = AnalyzeOptions().record()
    names = [name for name in {**new, **old} if old.get(name, defaults.get(name)) != new.get(name)]
    return {name: _difference(name, old.get(name, defaults.get(name)), new.get(name)) for name in names}


def only_drawn(names: Iterable[str]) -> bool:
    """Whether these settings do not affect timelines, only what is drawn and computed from them."""
    return {item.name for item in fields(AnalyzeOptions) if item.metadata.get("drawn")}.issuperset(names)


def hides(settings: dict[str, Any]) -> bool:
    """Whether images in which faces can be seen are not wanted."""
    return settings.get("blur") is not None or not settings.get("faces", True)


def in_flags(settings: dict[str, Any]) -> str:
    """Format the options among the settings as command-line flags."""
    chosen = ((item.name, settings.get(item.name)) for item in fields(AnalyzeOptions))
    return " ".join(_flag(name, value) for name, value in chosen if value is not None)


def _difference(name: str, old: Any, new: Any) -> str:
    if name in _OTHERS:
        return f"{_OTHERS[name]} {_short(old)}, now {_short(new)}"
    if isinstance(old, bool) or isinstance(new, bool):
        return f"{_flag(name, old)}, now {_flag(name, new)}"
    flag = _flag(name, old if old is not None else new).split(" ")[0]
    return f"{flag} {_text(old)}, now {_text(new)}"


def _flag(name: str, value: Any) -> str:
    given = {item.name: item.metadata.get("flag") for item in fields(AnalyzeOptions)}
    flag: str = given.get(name) or "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return flag.split("/")[not value]
    return f"{flag} {_text(value)}"


def _text(value: Any) -> str:
    if value is None:
        return "not given"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(value: Any) -> str:
    """Shorten a checksum, a list of them, or a number."""
    return "+".join(part[:8] for part in value) if isinstance(value, list) else str(value)[:8]
