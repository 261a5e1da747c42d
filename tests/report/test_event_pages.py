"""Events on the pages, in a real browser: a lane of a video's timeline, and what a run's page says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fermedia.commands.report import remake
from fermedia.options import EventOptions
from fermedia.tables.finished import place
from tests.made_up import response, write_run
from tests.report.conftest import Browser

#: A label that a browser would run if it were taken for HTML.
NAUGHTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events")
    write_run(folder / "results", {f"p{n}.mp4": response(n, 1.0, rate=10.0)[0] for n in range(3)})
    rows = ["item,begin,end,label,trial,condition", "*,0,10,rest,,", "*,20,32,film,7,loud", "*,30,50,music,,"]
    rows += [f'p0.mp4,45,,"{NAUGHTY}",,', "p0.mp4,70,80,late,,"]
    (folder / "events.csv").write_text("\n".join(rows) + "\n")
    remake(folder / "results", EventOptions(events=folder / "events.csv", baseline="rest", before=4.0, after=10.0))
    return folder / "results"


def test_events_are_a_lane_of_the_timeline(results: Path, browser: Browser) -> None:
    page = browser.open(place(results, "p0.mp4") / "report.html", above=2)
    row, lane = page.locator(".event-row"), page.locator(".event-lane")
    assert "5 events" in row.inner_text()
    assert "5 labels" in row.inner_text()
    box, face = lane.bounding_box(), page.locator("canvas.lane").first.bounding_box()
    assert box
    assert face
    assert box["x"] == face["x"]  # on one time axis
    assert box["width"] == face["width"]
    assert box["height"] == 2 * 22 + 4  # film and music overlap

    def tip(share: float, level: int) -> str:
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 13 + 22 * level)
        return page.locator(".tip").inner_text() if page.locator(".tip").is_visible() else ""

    assert [part.strip() for part in tip(25 / 60, 0).splitlines() if part.strip()] == [
        "film",
        "0:20.00 to 0:32.00",
        "trial 7",
        "loud",
    ]
    assert tip(25 / 60, 1) == ""
    assert "music" in tip(35 / 60, 1)
    assert NAUGHTY in tip(45 / 60, 0)  # as text; anything else is a complaint
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 13)
    assert abs(float(page.locator(".tl-body").get_attribute("aria-valuenow") or 0) - 30) < 0.2
    page.locator(".tl-body").press("+")
    assert "film" in tip(0.2, 0)  # 15 to 45 seconds are in view


def test_a_video_without_events_has_no_lane(results: Path, browser: Browser, tmp_path: Path) -> None:
    write_run(tmp_path / "results", {"p.mp4": response(0, 1.0, rate=10.0)[0]})
    remake(tmp_path / "results")
    page = browser.open(place(tmp_path / "results", "p.mp4") / "report.html", above=2)
    assert page.locator("canvas.lane").count() == 1
    assert page.locator(".event-row").count() == 0
    assert "Events" not in browser.open(tmp_path / "results" / "report.html").locator("main").inner_text()


@pytest.mark.parametrize("width", [1400, 420])
def test_a_run_s_page_shows_windows_and_courses(results: Path, browser: Browser, width: int) -> None:
    page = browser.open(results / "report.html", width)
    section = page.locator("section", has=page.get_by_role("heading", name="Events", exact=True))
    rows = section.locator("tbody tr")
    assert [row.locator("th").inner_text() for row in rows.all()] == [
        *("rest", "film, loud", "music", NAUGHTY, "late"),
    ]
    assert "3in 3 items" in rows.nth(1).inner_text()
    plots = section.locator("svg.course-plot")
    assert plots.count() == 8  # two for each label that has a course; nothing is known of the late one
    assert plots.first.locator("path.course:not(.casing)").count() == 7
    values = plots.nth(2).inner_html()
    section.get_by_role("button", name="Change from the baseline").click()
    assert section.locator("svg.course-plot").nth(2).inner_html() != values
    assert section.get_by_text("Change of valence").count() >= 4
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
