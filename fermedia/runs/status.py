"""What a folder of results holds: for ``fermedia status``. Loads none of the libraries that do the work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fermedia.errors import UsageError
from fermedia.files import shown
from fermedia.runs.ledger import LEDGER, Failure, Ledger
from fermedia.runs.lock import is_held
from fermedia.runs.settings import in_flags


@dataclass(frozen=True)
class Status:
    """The state of a run.

    ``state`` is "running", "finished", "interrupted" (killed ones too), or "stopped" (no room on the disk, say).
    ``items`` are ``finished``, ``failed`` (no results) or ``left``. ``gone`` of the finished ones were not among the
    inputs of the last run; ``outdated`` more results, not in the tables, are of an earlier source or other settings.
    """

    folder: str
    state: str
    items: int
    finished: int
    failed: int
    left: int
    gone: int
    outdated: int
    begun: str | None
    inputs: list[str]
    settings: dict[str, Any]
    failures: list[Failure]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.state == "finished" and self.left == 0

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        others = ""
        if self.gone:
            others += f"; {self.gone} of the finished ones are no longer among the inputs"
        if self.outdated:
            others += f"; {self.outdated} older results wait to be made again"
        lines = [
            f"{self.folder}: {self.state}",
            f"items     {self.finished} of {self.items} finished, {self.failed} failed, {self.left} left{others}",
            f"settings  {in_flags(self.settings)}",
            f"network   {self.settings.get('network', 'unknown')}",
            *(f"failed    {failure.line()}" for failure in self.failures),
        ]
        if not self.complete and self.state != "running":
            lines.append("to go on, give the same command again")
        return "\n".join(lines)


def read_status(folder: Path) -> Status:
    """The state of the results in ``folder``; a run may be writing them. Raises UsageError if there are none."""
    where = shown(folder, whole=True)
    try:
        # A run may begin or end between the two: then look again.
        running = is_held(folder)
        ledger = Ledger.read(folder)
        while running != (running := is_held(folder)):
            ledger = Ledger.read(folder)
    except OSError as error:
        reason = "" if isinstance(error, FileNotFoundError | NotADirectoryError) else f" ({error.strerror})"
        raise UsageError(f"{where}: holds no results of fermedia, {LEDGER} cannot be read{reason}") from error
    outcomes = [ledger.outcomes[key] for key in sorted(ledger.outcomes)]
    finished = sum(outcome.finished for outcome in outcomes)
    about = ledger.begun or {}
    return Status(
        folder=where,
        state="running" if running else ledger.ended or "interrupted",
        items=len(outcomes) + ledger.left,
        finished=finished,
        failed=len(outcomes) - finished,
        left=ledger.left,
        gone=about.get("gone", 0),
        outdated=len(ledger.outdated),
        begun=about.get("at"),
        inputs=about.get("inputs", []),
        settings=ledger.settings or {},
        failures=[failure for outcome in outcomes for failure in outcome.failures],
    )
