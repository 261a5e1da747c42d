"""The state of a folder of results, for ``fermedia status``. Does not load the libraries for analysis."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fermedia.files import counted, printable, shown
from fermedia.store.fingerprints import check, glance, in_words
from fermedia.store.ledger import Failure
from fermedia.store.lock import is_held
from fermedia.store.remembered import RememberedOptions
from fermedia.store.results import read_ledger
from fermedia.store.settings import in_flags
from fermedia.tables.finished import place


@dataclass(frozen=True)
class Status:
    """The state of a folder of results.

    Attributes:
        folder: The path of the folder.
        state: Of the last run: "running", "finished", "interrupted" (also if it was killed) or "stopped" (for example
            by a full disk).
        items: Number of items of the last run's inputs: the sum of ``finished``, ``failed`` and ``left``.
        finished: Number of these with results.
        failed: Number of these that failed and have no results.
        left: Number of these that are not done.
        earlier: The keys of finished items that are no longer among the inputs.
        outdated: Number of further results, not in the tables, of an earlier source or with other settings.
        damaged: Descriptions of missing or changed outputs, by the item's key.
        begun: When the last run began; None if unknown.
        inputs: The inputs of the last run.
        settings: The settings of the results.
        remembered: The options that the folder remembers.
        failures: What failed, also in parts of finished items.
        removed: Number of items that ``fermedia remove`` took out.
    """

    folder: str
    state: str
    items: int
    finished: int
    failed: int
    left: int
    earlier: list[str]
    outdated: int
    damaged: dict[str, str]
    begun: str | None
    inputs: list[str]
    settings: dict[str, Any]
    remembered: dict[str, Any]
    failures: list[Failure]
    removed: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.state == "finished" and self.left == 0 and not self.damaged

    def record(self) -> dict[str, Any]:
        """The state as plain values for JSON."""
        return asdict(self)

    def text(self) -> str:
        """The state as lines of text."""
        more = f"; {self.outdated} older results wait to be made again" if self.outdated else ""
        flags = _in_flags(self.remembered)
        lines = [
            f"{self.folder}: {self.state}",
            f"items     {self.finished} of {self.items} finished, {self.failed} failed, {self.left} left{more}",
            f"settings  {in_flags(self.settings)}",
            *([f"remembers {flags}"] if flags else []),
            f"network   {self.settings.get('network', 'unknown')}",
            *([f"removed   {counted(self.removed, 'item')}, which later runs leave out"] if self.removed else []),
            *(f"earlier   {printable(key)}: not among the inputs any more" for key in self.earlier),
            *(f"damaged   {printable(f'{key}: {what}')}" for key, what in self.damaged.items()),
            *(f"failed    {failure.line()}" for failure in self.failures),
        ]
        if not self.complete and self.state != "running":
            lines.append("to go on, give the same command again")
        return "\n".join(lines)


def read_status(folder: Path, thorough: bool = False) -> Status:
    """Read the state of a folder of results, even while a run is writing into it.

    Args:
        folder: The folder of results.
        thorough: Read all outputs completely to find damage; else only their sizes are compared, and nothing while a
            run is writing.

    Raises:
        UsageError: There are no results.
    """
    # If a run begins or ends while the ledger is read, read it again.
    running = _is_running(folder)
    ledger = read_ledger(folder)
    while running != (running := _is_running(folder)):
        ledger = read_ledger(folder)
    outcomes = [outcome for outcome in ledger.chosen(earlier=True) if ledger.is_present(outcome.key)]
    earlier = [o for o in ledger.chosen(earlier=True) if o.finished and not ledger.is_present(o.key)]
    finished = [outcome for outcome in outcomes if outcome.finished]
    damaged: dict[str, str] = {}
    for outcome in (*finished, *earlier) if thorough or not running else ():
        home = place(folder, outcome.key)
        broken = check(home, outcome.outputs, thorough=True)[1] if thorough else glance(home, outcome.outputs)
        if broken:
            damaged[outcome.key] = in_words(broken)
    about = ledger.begun[-1] if ledger.begun else {}
    return Status(
        folder=shown(folder, whole=True),
        state="running" if running else ledger.ended or "interrupted",
        items=len(outcomes) + ledger.left,
        finished=len(finished),
        failed=len(outcomes) - len(finished),
        left=ledger.left,
        earlier=[outcome.key for outcome in earlier],
        outdated=len(ledger.outdated),
        damaged=damaged,
        begun=about.get("begun"),
        inputs=about.get("inputs", []),
        settings=ledger.settings or {},
        remembered=ledger.remembered,
        failures=[failure for outcome in outcomes for failure in outcome.failures],
        removed=len(ledger.removed),
    )


def _is_running(folder: Path) -> bool:
    try:
        return is_held(folder)
    except OSError:  # reading the ledger will report the error
        return False


def _in_flags(remembered: dict[str, Any]) -> str:
    """Format the remembered options as command-line flags."""
    now = RememberedOptions.of(remembered)
    flags = [f"--export {','.join(now.export)}"] if now.export else []
    flags += [f"--format {now.format}"] if now.format != RememberedOptions.format else []
    flags += [f"--participants {printable(now.participants)}"] if now.participants else []
    flags += [f"--people {printable(now.people)}"] if now.people else []
    events = now.events.record()
    flags += [f"--{name} {printable(str(value))}" for name, value in events.items() if value is not None]
    return " ".join(flags + (["--earlier"] if now.earlier else []))
