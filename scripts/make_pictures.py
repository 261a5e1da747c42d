"""Make the two pictures of the README again, of the demo as the present network reads it.

    python scripts/make_pictures.py [--browser CHROMIUM]

docs/demo.jpg is a frame of the demo's annotated film, docs/report.jpg the film's page at that moment in headless
Chromium, by Playwright. The page's first choice of a font is Inter; the picture looks best where that is installed.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from itertools import islice
from pathlib import Path

import av
from PIL import Image

from fermedia.files import whole_file
from fermedia.runs.demo import RATE, run_demo
from fermedia.runs.progress import Progress

DOCS = Path(__file__).resolve().parents[1] / "docs"

#: The moment that is shown, both portraits in view.
FRAME = 152

#: What is shown of the page, in its pixels, and how many of the picture's each of them takes.
WIDTH, HEIGHT, SCALE = 1120, 1165, 1.5


def main() -> None:
    """Run the demo and take its pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default=shutil.which("chromium"), help="headless Chromium (default: on the path)")
    browser = parser.parse_args().browser
    if browser is None:
        parser.error("no Chromium on the path; name one with --browser")
    with tempfile.TemporaryDirectory() as work, Progress(quiet=True) as progress:
        run_demo(Path(work), progress)
        item = Path(work) / "results" / "items" / "two_portraits.mp4"
        with av.open(str(item / "annotated.mp4")) as film:
            frame = next(islice(film.decode(video=0), FRAME, None))
        save(frame.to_image(), DOCS / "demo.jpg")
        page = Path(work) / "page.png"
        take(item / "report.html", browser, (FRAME + 0.5) / RATE, page)
        size = round(WIDTH * SCALE), round(HEIGHT * SCALE)
        save(Image.open(page).convert("RGB").resize(size, Image.Resampling.LANCZOS), DOCS / "report.jpg")


def take(page: Path, browser: str, time: float, path: Path) -> None:
    """Photograph the top of a film's page with the film at a time in seconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        window = chromium.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=2, color_scheme="light"
        )
        window.goto(page.resolve().as_uri())
        window.wait_for_selector("footer")
        film = window.locator("video")
        film.evaluate("film => { film.controls = false }")  # as while it plays; they would cover the picture
        film.evaluate("(film, t) => new Promise(done => { film.onseeked = done; film.currentTime = t })", time)
        window.wait_for_timeout(500)  # what moves has come to rest then
        window.screenshot(path=path)
        chromium.close()


def save(picture: Image.Image, path: Path) -> None:
    """Write a JPEG, whole or not at all."""
    with whole_file(path) as temporary:
        picture.save(temporary, "JPEG", quality=88, optimize=True)
    print(f"{path}: {picture.width}x{picture.height}, {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
