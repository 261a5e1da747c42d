"""One folder of results for all tests of the pages, and a browser that notes what a page does wrong."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image as PIL

from fermedia.options import AnalyzeOptions
from fermedia.runs.batch import run_batch
from fermedia.runs.progress import Progress
from tests.films import astronaut, background, moving_faces, numbered, write_film

#: What a browser would run if a name were taken for HTML, and what it would look for if a link were not quoted.
NAMED = '<img src=x onerror=alert(1)> & "50%" #1.mp4'
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Made:
    """The folders of a run with annotated films, and of one with ``--no-video``."""

    results: Path
    tables: Path
    film: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Real runs over a film with sound, one without a face, a folder of pictures, and what cannot be read."""
    if sys.platform == "win32":
        pytest.skip("Windows has no names that read as HTML")
    folder = tmp_path_factory.mktemp("report")
    recordings = folder / "recordings"
    (recordings / "class #1").mkdir(parents=True)
    film = write_film(recordings / NAMED, moving_faces(50), audio="aac")
    write_film(recordings / "nobody.mp4", numbered(10), audio="aac")
    (recordings / "<script>alert(2)<_script>.mp4").write_text("no film")
    for name, picture in (("a <b>1.png", astronaut()), ("b 2.jpg", background((320, 200))), ("c.jpg", astronaut())):
        PIL.fromarray(picture).save(recordings / "class #1" / name)
    with Progress(quiet=True) as progress:
        run_batch([recordings], folder / "results", AnalyzeOptions(), progress=progress)
        part = AnalyzeOptions(video=False, start=0.4, every=2)
        run_batch([film], folder / "tables", part, progress=progress)
    return Made(folder / "results", folder / "tables", film)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """The browser; the tests are skipped where there is none."""
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    playwright = pytest.importorskip("playwright.sync_api")
    if path is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


class Browser:
    """Opens pages, and holds that they neither complain nor reach beyond their folder."""

    def __init__(self, chromium: object) -> None:
        self._chromium = chromium
        self._contexts: list[object] = []
        self.complaints: list[str] = []

    def open(self, path: Path, width: int = 1400, scheme: str = "light", above: int = 0):
        """The page at ``path``, drawn. It may load what lies in the folder ``above`` levels over its own."""
        context = self._chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self._contexts.append(context)
        page = context.new_page()
        inside = path.parents[above].resolve().as_uri() + "/"
        page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda r: r.url.startswith(inside) or self.complaints.append(f"asks for {r.url}"))
        page.on("requestfailed", lambda r: self._note_failure(r))
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("footer")
        return page

    def _note_failure(self, request: object) -> None:
        # A film that is left or moved in gives up what it was fetching.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.complaints.append(f"{request.url}: {request.failure}")

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def browser(chromium: object) -> Iterator[Browser]:
    """See ``Browser``."""
    browser = Browser(chromium)
    yield browser
    browser.close()
    assert browser.complaints == []
