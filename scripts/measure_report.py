"""How long the pages take to write and to open, and how large they are, for results of a size that few have.

    python scripts/measure_report.py [--browser CHROMIUM]

Results that no analysis made: a batch of 500 videos, an hour of two faces, a thousand faces in one video, 3,000 images.
Opened in headless Chromium, if playwright is there: until the page has drawn.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import measuring
import pandas as pd

from fermedia.report.batch import write_report
from fermedia.report.item import write_item_page
from fermedia.tables.finished import FinishedItem
from tests.made_up import photo_timeline, video_timeline, write_results

#: Name -> the items of a folder of results, the first of which is opened.
CASES: dict[str, dict[str, pd.DataFrame]] = {
    "an hour of two faces": {"hour.mp4": video_timeline(90_000, [(0, 90_000), (1_000, 80_000)])},
    "a video of 1,000 faces": {"crowd.mp4": video_timeline(20_000, [(20 * n, 20 * n + 100) for n in range(995)])},
    "3,000 images": {"album/photos": photo_timeline(3_000)},
    "a batch of 500 videos": {f"{n:03}.mp4": video_timeline(250, [(0, 250)], seed=n) for n in range(500)},
}


def main() -> None:
    """Measure and print a table."""
    browser = measuring.parser(__doc__, browser=True).parse_args().browser
    measuring.head("results", "item page, ms", "kB", "opens, ms", "batch page, ms", "kB", "opens, ms")
    for name, items in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            results = write_results(Path(folder), items)
            each = measuring.milliseconds(partial(_write_pages, results, items), 1, time.perf_counter) / len(items)
            batch = measuring.milliseconds(partial(write_report, results, items, items=False), 1, time.perf_counter)
            page = results / "items" / next(iter(items))
            opened = [_opened(browser, path / "report.html") for path in (results, page)]
            kilobytes = [
                _kilobytes(page.glob("report.*")),
                _kilobytes([results / "report.html", *results.glob("report/*")]),
            ]
            cells = [f"{each:.0f}", kilobytes[0], opened[1], f"{batch:.0f}", kilobytes[1], opened[0]]
            measuring.row(name, *cells)


def _write_pages(results: Path, items: Iterable[str]) -> None:
    for key in items:
        write_item_page(FinishedItem(key, results / "items" / key))


def _kilobytes(files: Iterable[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1000:.0f}"


def _opened(browser: str | None, page: Path) -> str:
    if browser is None or find_spec("playwright") is None:
        return "-"
    with measuring.chromium(browser) as opened:
        tab = opened.new_page()
        begun = time.perf_counter()
        tab.goto(page.as_uri())
        tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        taken = time.perf_counter() - begun
    return f"{1000 * taken:.0f}"


if __name__ == "__main__":
    main()
