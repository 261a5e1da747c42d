"""How long the pages take to write and to open, and how large they are, for results of a size that few have.

    python scripts/measure_report.py [--browser CHROMIUM]

Results that no analysis made: a batch of 500 films, an hour of two faces, a thousand faces in one film, 3,000 pictures.
Opened in headless Chromium, if playwright is there: until the page has drawn.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fermedia.outputs.finished import FinishedItem
from fermedia.outputs.report.batch import write_report
from fermedia.outputs.report.item import write_item_page
from tests.made_up import film_timeline, photo_timeline, write_results

#: Name -> the items of a folder of results, the first of which is opened.
CASES: dict[str, dict[str, pd.DataFrame]] = {
    "an hour of two faces": {"hour.mp4": film_timeline(90_000, [(0, 90_000), (1_000, 80_000)])},
    "a film of 1,000 faces": {"crowd.mp4": film_timeline(20_000, [(20 * n, 20 * n + 100) for n in range(995)])},
    "3,000 pictures": {"album/photos": photo_timeline(3_000)},
    "a batch of 500 films": {f"{n:03}.mp4": film_timeline(250, [(0, 250)], seed=n) for n in range(500)},
}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default=shutil.which("chromium"), help="headless Chromium (default: on the path)")
    browser = parser.parse_args().browser
    columns = "results", "item page, ms", "kB", "opens, ms", "batch page, ms", "kB", "opens, ms"
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for name, items in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            results = write_results(Path(folder), items)
            begun = time.perf_counter()
            for key in items:
                write_item_page(FinishedItem(results / "items" / key), key)
            each = (time.perf_counter() - begun) / len(items)
            begun = time.perf_counter()
            write_report(results, items=False)
            batch = time.perf_counter() - begun
            page = results / "items" / next(iter(items))
            opened = [_opened(browser, path / "report.html") for path in (results, page)]
            kilobytes = [
                _kilobytes(page.glob("report.*")),
                _kilobytes([results / "report.html", *results.glob("report/*")]),
            ]
            cells = [f"{1000 * each:.0f}", kilobytes[0], opened[1], f"{1000 * batch:.0f}", kilobytes[1], opened[0]]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _kilobytes(files: Iterable[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1000:.0f}"


def _opened(browser: str | None, page: Path) -> str:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return "-"
    if browser is None:
        return "-"
    with sync_playwright() as play:
        opened: Any = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        tab = opened.new_page()
        begun = time.perf_counter()
        tab.goto(page.as_uri())
        tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        taken = time.perf_counter() - begun
        opened.close()
    return f"{1000 * taken:.0f}"


if __name__ == "__main__":
    main()
