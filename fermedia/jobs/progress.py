"""Progress display on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType

from tqdm import tqdm

from fermedia.files import printable
from fermedia.store.ledger import Outcome

#: Seconds between two plain progress lines.
PLAIN_EVERY = 30.0

#: Steps of the bar, and the share done from which on the remaining time is estimated.
_STEPS, _GUESSED = 1000, 0.02


@dataclass
class _Begun:
    """An item that is being analysed: frames done and frames expected (None if unknown)."""

    done: float = 0.0
    expected: int | None = None

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.expected) if self.expected else 0.0


class Progress:
    """The progress display of a run. A context manager; with ``quiet`` only errors and notes are printed.

    The progress is estimated from file sizes, since the length of a video is only known once it is open.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.terminal = sys.stderr.isatty()
        self._sizes: dict[str, int] = {}
        self._begun: dict[str, _Begun] = {}
        self._items = self._failures = self._finished_size = 0
        self._frames = 0.0
        self._since = self._said = time.monotonic()
        self._bar: tqdm | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, sizes: dict[str, int]) -> None:
        """Start the display of a run with these items; sizes are in bytes."""
        self._sizes = {key: max(1, size) for key, size in sizes.items()}
        self._since = self._said = time.monotonic()
        if self.terminal and not self.quiet:
            # A fixed width, so that the bar does not jump with the text; a narrow terminal cuts the text off.
            form = "{percentage:3.0f}% |{bar:10}| {postfix[0]}"
            text = f"{self.line()}, loading the models"
            self._bar = tqdm(total=_STEPS, bar_format=form, postfix=[text], leave=False, dynamic_ncols=True)

    def frames(self, key: str, expected: int | None, done: float) -> None:
        """Report frames of an item that are done; ``expected`` is its number of frames, given once."""
        if not self._begun and not self._items:
            self._since = time.monotonic()  # the models are loaded
        begun = self._begun.setdefault(key, _Begun())
        begun.expected = expected or begun.expected
        begun.done += done
        self._frames += done
        now = time.monotonic()
        if self._bar is None and not self.quiet and now - self._said >= PLAIN_EVERY:
            self._said = now
            self._say(self.line())
        self._show()

    def report(self, outcome: Outcome) -> None:
        """Print a line for a finished item, and one for each failure."""
        self._begun.pop(outcome.key, None)
        self._items += 1
        self._failures += len(outcome.failures)
        self._finished_size += self._sizes.get(outcome.key, 0)
        for failure in outcome.failures:
            self._say(f"fermedia: {failure.line()}", always=True)
        if outcome.finished:
            rate = outcome.frames / outcome.seconds if outcome.seconds else 0.0
            self._say(
                f"[{self._items}/{len(self._sizes)}] {outcome.key}: {outcome.analysed} frames, "
                f"{outcome.with_face} with a face, {rate:.1f} frames/s"
            )
        self._show()

    def line(self) -> str:
        """The progress in one line: items done, failures, frames per second, time left, current items."""
        seconds = time.monotonic() - self._since
        parts = [f"{self._items} of {len(self._sizes)} items"]
        if self._failures:
            parts.append(f"{self._failures} failed")
        if self._frames and seconds:
            parts.append(f"{self._frames / seconds:.1f} frames/s")
        share = self._share()
        if share > _GUESSED:
            parts.append(f"{tqdm.format_interval(int(seconds * (1 - share) / share))} left")
        if len(self._begun) == 1:
            ((key, begun),) = self._begun.items()
            name = key if len(key) <= 32 else "…" + key[-31:]
            parts.append(f"{name} {100 * begun.share:.0f}%" if begun.expected else name)
        elif self._begun:
            parts.append(f"{len(self._begun)} at work")
        return ", ".join(parts)

    def _share(self) -> float:
        """The estimated share of the run that is done, 0..1."""
        begun = sum(self._sizes.get(key, 0) * item.share for key, item in self._begun.items())
        return (self._finished_size + begun) / max(1, sum(self._sizes.values()))

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.postfix[0] = printable(self.line())
            self._bar.update(int(self._share() * _STEPS) - self._bar.n)

    def note(self, line: str) -> None:
        """Print a message that is not a failure, even with ``quiet``."""
        self._say(f"fermedia: {line}", always=True)

    def _say(self, line: str, always: bool = False) -> None:
        if always or not self.quiet:
            # In one write: Ctrl-C between a line and its end would put the next message on the same line.
            tqdm.write(printable(line) + "\n", file=sys.stderr, end="")
