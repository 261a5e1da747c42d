"""Make the two images of the README again, of the demo as the present network reads it.

    python scripts/make_images.py [--browser CHROMIUM]

docs/demo.jpg is a frame of the demo's annotated video, docs/report.jpg the video's page at that moment in headless
Chromium, by Playwright. The page's first choice of a font is Inter; the image looks best where that is installed.
"""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path

import av
import measuring
from PIL import Image

from fermedia.commands.demo import RATE, run_demo
from fermedia.files import whole_file
from fermedia.jobs.progress import Progress

DOCS = measuring.ROOT / "docs"

#: The moment that is shown, both portraits in view.
FRAME = 152

#: What is shown of the page, in its pixels, and how many of the image's each of them takes.
WIDTH, HEIGHT, SCALE = 1120, 1165, 1.5


def main() -> None:
    """Run the demo and take its images."""
    parser = measuring.parser(__doc__, browser=True)
    browser = parser.parse_args().browser
    if browser is None:
        parser.error("no Chromium on the path; name one with --browser")
    with tempfile.TemporaryDirectory() as work, Progress(quiet=True) as progress:
        run_demo(Path(work), progress)
        item = Path(work) / "results" / "items" / "two_portraits.mp4"
        with av.open(str(item / "annotated.mp4")) as video:
            frame = next(islice(video.decode(video=0), FRAME, None))
        save(frame.to_image(), DOCS / "demo.jpg")
        page = Path(work) / "page.png"
        take(item / "report.html", browser, (FRAME + 0.5) / RATE, page)
        size = round(WIDTH * SCALE), round(HEIGHT * SCALE)
        save(Image.open(page).convert("RGB").resize(size, Image.Resampling.LANCZOS), DOCS / "report.jpg")


def take(page: Path, browser: str, time: float, path: Path) -> None:
    """Photograph the top of a video's page with the video at a time in seconds."""
    with measuring.chromium(browser) as chromium:
        window = chromium.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=2, color_scheme="light"
        )
        window.goto(page.resolve().as_uri())
        window.wait_for_selector("footer")
        video = window.locator("video")
        video.evaluate("video => { video.controls = false }")  # as while it plays; they would cover the image
        video.evaluate("(video, t) => new Promise(done => { video.onseeked = done; video.currentTime = t })", time)
        window.wait_for_timeout(500)  # what moves has come to rest then
        window.screenshot(path=path)


def save(image: Image.Image, path: Path) -> None:
    """Write a JPEG, whole or not at all."""
    with whole_file(path) as temporary:
        image.save(temporary, "JPEG", quality=88, optimize=True)
    print(f"{path}: {image.width}x{image.height}, {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
