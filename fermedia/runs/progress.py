"""What a run says of itself on stderr while it goes on: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from tqdm import tqdm

from fermedia.files import printable
from fermedia.runs.item import OnFrames
from fermedia.runs.ledger import Outcome

#: Seconds between two plain lines about the same item.
PLAIN_EVERY = 30.0


class Progress:
    """The display of one run. A context manager; ``quiet`` leaves errors alone to be said."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @contextmanager
    def item(self, name: str) -> Iterator[OnFrames]:
        """Show the frames of one item; gives the function to be called with (expected, done)."""
        shown = name if len(name) <= 48 else "…" + name[-47:]
        bar = tqdm(desc=shown, unit=" frames", leave=False, disable=self.quiet or not self.terminal, dynamic_ncols=True)
        begun = said = time.monotonic()
        count, total = 0, None

        def on_frames(expected: int | None, done: int) -> None:
            nonlocal count, total, said
            if expected:
                bar.total = total = expected
                bar.refresh()
            count += done
            bar.update(done)
            now = time.monotonic()
            if not self.terminal and not self.quiet and now - said >= PLAIN_EVERY:
                said = now
                rate = count / (now - begun)
                left = f", about {tqdm.format_interval(int((total - count) / rate))} left" if total and rate else ""
                self._say(f"{name}: {count} of {total or '?'} frames, {rate:.1f} frames/s{left}")

        with bar:
            yield on_frames

    def report(self, number: int, total: int, outcome: Outcome) -> None:
        """One line for a finished item, and one for each thing that failed."""
        for failure in outcome.failures:
            self._say(f"fermedia: {failure.line()}", always=True)
        if outcome.finished:
            rate = outcome.frames / outcome.seconds if outcome.seconds else 0.0
            self._say(
                f"[{number}/{total}] {outcome.key}: {outcome.analysed} frames, {outcome.with_face} with a face, "
                f"{rate:.1f} frames/s"
            )

    def note(self, line: str) -> None:
        """Say something that is no failure but should not be missed."""
        self._say(f"fermedia: {line}", always=True)

    def _say(self, line: str, always: bool = False) -> None:
        if always or not self.quiet:
            tqdm.write(printable(line), file=sys.stderr)
