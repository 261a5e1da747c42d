"""One folder of results for all tests of the pages, and a browser that notes what a page does wrong."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Literal

import psutil
import pytest
from PIL import Image as PIL

from fermedia.jobs.batch import run_batch
from fermedia.jobs.progress import Progress
from fermedia.options import AnalyzeOptions
from tests.acting import write_acting
from tests.videos import astronaut, background, moving_faces, numbered, write_video

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request

#: Seconds for which a test may have the browser. Much of what is asked of it is waited for without a limit.
PATIENCE = 120.0
#: What a browser would run if a name were taken for HTML, and what it would look for if a link were not quoted.
NAMED = '<img src=x onerror=alert(1)> & "50%" #1.mp4'
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Made:
    """The folders of a run with annotated videos, and of one with ``--no-video``."""

    results: Path
    tables: Path
    video: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Real runs over a video with audio, one without a face, a photo folder, and what cannot be read."""
    if sys.platform == "win32":
        pytest.skip("Windows has no names that read as HTML")
    folder = tmp_path_factory.mktemp("report")
    recordings = folder / "recordings"
    (recordings / "class #1").mkdir(parents=True)
    video = write_video(recordings / NAMED, moving_faces(50), audio="aac")
    write_video(recordings / "nobody.mp4", numbered(10), audio="aac")
    (recordings / "<script>alert(2)<_script>.mp4").write_text("no video")
    for name, image in (("a <b>1.png", astronaut()), ("b 2.jpg", background((320, 200))), ("c.jpg", astronaut())):
        PIL.fromarray(image).save(recordings / "class #1" / name)
    with Progress(quiet=True) as progress:
        run_batch([recordings], folder / "results", AnalyzeOptions(), progress=progress)
        part = AnalyzeOptions(video=False, start=0.4, every=2)
        run_batch([video], folder / "tables", part, progress=progress)
    return Made(folder / "results", folder / "tables", video)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run with measures, over a video of two people of whom one blinks, and a photo folder."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "album").mkdir()
    write_acting(folder / "talk.mp4")
    PIL.fromarray(astronaut()).save(folder / "album/a.png")
    with Progress(quiet=True) as progress:
        run_batch([folder], folder / "results", AnalyzeOptions(measures=True), progress=progress)
    return folder / "results"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """The browser; the tests are skipped where there is none."""
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    playwright = pytest.importorskip("playwright.sync_api")
    if path is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=["--disable-gpu"])
        yield browser
        browser.close()


class Browser:
    """Opens pages, and holds that they neither complain nor reach beyond their folder."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def open(self, path: Path, width: int = 1400, scheme: Literal["light", "dark"] = "light", above: int = 0) -> Page:
        """The page at ``path``, drawn. It may load what lies in the folder ``above`` levels over its own."""
        context = self._chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self._contexts.append(context)
        page = context.new_page()
        inside = path.parents[above].resolve().as_uri() + "/"
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._note_dialog)
        page.on("request", lambda request: self._note_request(request, inside))
        page.on("requestfailed", self._note_failure)
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("footer")
        return page

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _note_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def _note_request(self, request: Request, inside: str) -> None:
        if not request.url.startswith(inside):
            self.complaints.append(f"asks for {request.url}")

    def _note_failure(self, request: Request) -> None:
        # A video that is left or moved in gives up what it was fetching.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.complaints.append(f"{request.url}: {request.failure}")

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def kill(self) -> None:
        """End it, so that whoever waits for its answer is told that there will be none."""
        self.complaints.append(f"the test was not done after {PATIENCE:.0f} seconds")
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if process.name().startswith("chrom"):
                    process.kill()


@pytest.fixture
def browser(chromium: Chromium) -> Iterator[Browser]:
    """See ``Browser``."""
    browser = Browser(chromium)
    watch = Timer(PATIENCE, browser.kill)
    watch.start()
    try:
        yield browser
        browser.close()
    finally:
        watch.cancel()
    assert browser.complaints == []
