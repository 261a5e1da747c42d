"""The pages in a real browser, opened from the disk as people do."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import pytest

from fermedia.report.batch import write_report
from fermedia.study.groups import Groups
from fermedia.study.participants import Participants
from fermedia.study.people import People
from fermedia.tables.finished import place
from fermedia.tables.measures import read_measures
from fermedia.tables.summary import read_summary
from fermedia.tables.timeline import read_timeline, smoothed_timeline
from fermedia.types import EMOTIONS
from tests.acting import SECONDS
from tests.made_up import photo_timeline, video_timeline, write_results
from tests.report.conftest import NAMED, Browser, Made

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator, Page

SHARE = re.compile(r"([\d.]+)\s*%")


def video_page(made: Made) -> Path:
    return place(made.results, NAMED) / "report.html"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def share(text: str) -> float:
    """The first percentage in a text."""
    found = SHARE.search(text)
    assert found, text
    return float(found[1])


def place_of(element: Locator) -> FloatRect:
    """Where an element that is shown lies in the page, in pixels."""
    box = element.bounding_box()
    assert box, element
    return box


def cursor(page: Page) -> float:
    """Where the cursor stands, as a share of the timeline."""
    return float(page.locator(".cursor").evaluate("c => parseFloat(c.style.left)")) / 100


def moment(page: Page) -> float:
    return float(page.evaluate("document.querySelector('video').currentTime"))


def settle(page: Page, time: float) -> None:
    """Wait until the video stands at ``time`` and the page has followed."""
    page.wait_for_function(
        "t => { const v = document.querySelector('video');"
        " return !v.seeking && v.readyState >= 2 && Math.abs(v.currentTime - t) < 0.05"
        " && Math.abs(document.querySelector('.tl-body').getAttribute('aria-valuenow') - t) < 0.05; }",
        arg=time,
    )


# -- the batch ------------------------------------------------------------------------------------------------------


def test_the_batch_shows_every_item_and_leads_to_its_page(made: Made, browser: Browser) -> None:
    page = browser.open(made.results / "report.html")
    names = page.locator(".items tbody b").all_inner_texts()
    assert names == [NAMED, "class #1", "nobody.mp4"]
    page.wait_for_function("() => [...document.querySelectorAll('.items img')].every(i => i.naturalWidth > 100)")
    for name in names:
        page.get_by_role("link", name=name).click()
        page.wait_for_selector("footer")
        assert page.locator("h1").inner_text() == name
        page.get_by_role("link", name="All results").click()
        page.wait_for_selector(".items")


def test_names_stay_text(made: Made, browser: Browser) -> None:
    page = browser.open(made.results / "report.html")
    assert "<script>alert(2)<_script>.mp4" in page.locator("#failures").inner_text()
    assert page.locator("img[src=x]").count() == 0
    video = browser.open(video_page(made), above=2)
    assert video.title() == f"{NAMED} · fermedia"
    assert video.locator("img[src=x]").count() == 0
    assert (
        "<b>"
        in browser.open(made.results / "items/class #1/photos/report.html", above=3).locator(".sheet").inner_text()
    )


def test_the_table_sorts_and_filters(made: Made, browser: Browser) -> None:
    page = browser.open(made.results / "report.html")
    names = page.locator(".items tbody b")
    head = page.locator("th", has=page.get_by_role("button", name="Coverage"))
    head.get_by_role("button").click()  # the largest first
    assert head.get_attribute("aria-sort") == "descending"
    assert names.all_inner_texts() == [NAMED, "class #1", "nobody.mp4"]
    head.get_by_role("button").click()
    assert names.all_inner_texts() == ["nobody.mp4", "class #1", NAMED]
    page.get_by_role("searchbox").fill("NOB")
    assert names.all_inner_texts() == ["nobody.mp4"]
    assert page.get_by_role("status").first.inner_text() == "1 of 3 items"
    page.get_by_role("searchbox").fill("")
    page.locator(".chip[data-value='no face']").click()
    assert names.all_inner_texts() == ["nobody.mp4"]
    page.locator(".chip[data-value='no face']").click()
    assert len(names.all_inner_texts()) == 3


def test_the_batch_says_what_it_was_made_with_and_coverage_beside_shares(made: Made, browser: Browser) -> None:
    text = browser.open(made.results / "report.html").locator("main").inner_text()
    for words in (
        "detector",
        "balanced",
        "network",
        "models/emotion",
        "ai-edge-litert",
        "coverage",
        "1 photo folder",
    ):
        assert words in text
    whole = [r for r in rows(made.results / "summary.csv") if r["level"] == "item"]
    images = next(r for r in whole if r["item"] == "class #1/photos")
    assert f"share of classified faces, {100 * float(images['coverage']):.0f}\u202f% coverage" in text


def test_conditions_stand_side_by_side_where_somebody_said_who_is_who(
    made: Made, browser: Browser, tmp_path: Path
) -> None:
    results = write_results(tmp_path, {f"{n}.mp4": video_timeline(20, [(0, 20)], seed=n) for n in range(4)})
    people = tmp_path / "people.csv"
    lines = [f"{n}.mp4,p{n},{'<i>calm</i>' if n % 2 else 'loud'}" for n in range(4)]
    people.write_text("\n".join(["item,participant,condition", *lines]))
    given, summary = Participants.read(people), read_summary(results / "summary.csv")
    groups = Groups.of(given, given.matched(summary)[0], summary)
    conditions = groups.conditions
    groups.participants.to_csv(results / "participants.csv", index=False)
    blinking = {"measure": "blinks_per_minute", "participants": 2, "value": 17.34, "low": -2.5, "high": 37.2}
    more = pd.DataFrame([blinking | {"condition": "loud"}, blinking | {"condition": "loud", "measure": "yaw_mean"}])
    pd.concat([conditions, more]).to_csv(results / "conditions.csv", index=False)
    write_report(results, [f"{n}.mp4" for n in range(4)])
    page = browser.open(results / "report.html")
    panel = page.locator(".panel", has=page.get_by_role("heading", name="Conditions"))
    assert panel.locator("thead").first.locator("th").all_inner_texts() == ["Emotion", "loud (2)", "<i>calm</i> (2)"]
    row = conditions.query("emotion == 'happy' and measure == 'mean' and condition == '<i>calm</i>'").iloc[0]
    shown = panel.locator("tbody").first.locator("tr", has_text="Happy").locator("td").last.inner_text()
    numbers = [float(x) for x in SHARE.findall(shown.replace("\u2212", "-"))]
    assert numbers[0] == pytest.approx(100 * row["value"], abs=0.6)
    done = panel.locator("table").last
    assert done.locator("tbody th").all_inner_texts() == ["Blinks a minute"]
    assert done.locator("tbody td").all_inner_texts() == ["17.3\u22122.5 to 37.2", "\u2013"]
    listed = page.locator(".panel", has=page.get_by_role("heading", name="Participants"))
    assert listed.locator("tbody tr").count() == 4
    assert listed.locator("td", has_text="<i>calm</i>").count() == 2


def test_several_factors_and_differences_within_participants_are_named(
    made: Made, browser: Browser, tmp_path: Path
) -> None:
    results = write_results(tmp_path, {f"{n}.mp4": video_timeline(20, [(0, 20)], seed=n) for n in range(4)})
    people = tmp_path / "people.csv"
    lines = [f"{n}.mp4,p{n // 2},{'after' if n % 2 else 'before'},{'old' if n < 2 else 'new'},3{n}" for n in range(4)]
    people.write_text("\n".join(["item,participant,condition,group,#age", *lines]))
    given, summary = Participants.read(people), read_summary(results / "summary.csv")
    groups = Groups.of(given, given.matched(summary)[0], summary)
    for name in ("participants", "conditions", "comparisons"):
        getattr(groups, name).to_csv(results / f"{name}.csv", index=False)
    write_report(results, [f"{n}.mp4" for n in range(4)])
    page = browser.open(results / "report.html")
    panel = page.locator(".panel", has=page.get_by_role("heading", name="Conditions"))
    assert panel.locator("thead").first.locator("th").all_inner_texts() == [
        "Emotion",
        *("condition: before (2)", "condition: after (2)", "group: old (1)", "group: new (1)"),
        *("before, old (1)", "after, old (1)", "before, new (1)", "after, new (1)"),
    ]
    panel = page.locator(".panel", has=page.get_by_role("heading", name="Differences within participants"))
    assert panel.locator("thead").first.locator("th").all_inner_texts() == ["Emotion", "after \u2212 before (2)"]
    listed = page.locator(".panel", has=page.get_by_role("heading", name="Participants", exact=True))
    assert listed.locator("tbody tr").first.locator("td").nth(1).inner_text() == "before, old"


# -- a video ---------------------------------------------------------------------------------------------------------


def test_the_video_plays_with_its_audio_and_moves_the_cursor(made: Made, browser: Browser) -> None:
    page = browser.open(video_page(made), above=2)
    page.wait_for_function("() => document.querySelector('video').readyState >= 2")
    assert cursor(page) == pytest.approx(0, abs=0.01)
    page.locator(".tl-body").press(" ")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.6")
    page.locator(".tl-body").press(" ")
    page.wait_for_function("() => document.querySelector('video').paused")
    heard, seen = page.evaluate(
        "[document.querySelector('video').webkitAudioDecodedByteCount, document.querySelector('video').videoWidth]"
    )
    assert heard > 0
    assert seen == 480
    assert 0.2 < cursor(page) <= 1


def test_a_click_on_the_timeline_moves_the_video(made: Made, browser: Browser) -> None:
    page = browser.open(video_page(made), above=2)
    lane = page.locator("canvas.lane").first
    box = place_of(lane)
    lane.click(position={"x": box["width"] * 0.75, "y": 40})
    settle(page, 1.5)
    assert cursor(page) == pytest.approx(0.75, abs=0.02)


def test_the_video_moves_the_timeline_and_the_figures_of_the_moment(made: Made, browser: Browser) -> None:
    page = browser.open(video_page(made), above=2)
    smoothed = smoothed_timeline(read_timeline(video_page(made).with_name("timeline.csv")), 0.5).set_index("frame")
    for frame in (10, 40):
        page.evaluate("t => { document.querySelector('video').currentTime = t }", (frame + 0.5) / 25)
        settle(page, (frame + 0.5) / 25)
        assert cursor(page) == pytest.approx(frame / 50, abs=0.02)
        shown = [share(text) for text in page.locator(".now .prob em").all_inner_texts()]
        assert shown == pytest.approx((100 * smoothed.loc[frame, list(EMOTIONS)].astype(float)).tolist(), abs=0.75)


def test_the_timeline_by_keyboard(made: Made, browser: Browser) -> None:
    page = browser.open(video_page(made), above=2)
    slider = page.get_by_role("slider", name="Time in the video")
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    settle(page, 2 / 25)
    slider.press("End")
    page.wait_for_function("() => document.querySelector('.tl-body').getAttribute('aria-valuenow') > 1.95")
    slider.press("Home")
    settle(page, 0)
    slider.press("+")
    page.wait_for_selector(".window:not([hidden])")
    slider.press("0")
    page.wait_for_selector(".window", state="hidden")


def test_the_view_can_be_drawn_in_two_ways_and_zoomed(made: Made, browser: Browser) -> None:
    page = browser.open(video_page(made), above=2)

    def image() -> str:
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return page.locator("canvas.lane").first.evaluate("c => c.toDataURL()")

    images = [image()]
    for pressed in (
        page.get_by_role("button", name="Lines"),
        page.locator(".timeline .chip").nth(3),
        page.get_by_role("button", name="Stacked"),
        page.get_by_role("button", name="Zoom in"),
    ):
        pressed.click()
        images.append(image())
    assert len(set(images)) == len(images)
    box = place_of(page.locator("canvas.overview"))
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 5)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.window').style.left.startsWith('50')")


def test_the_gallery_shows_each_strongest_moment_and_leads_there(made: Made, browser: Browser) -> None:
    page = browser.open(video_page(made), above=2)
    index = [r for r in rows(video_page(made).with_name("previews") / "index.csv") if r["emotion"]]
    assert index
    shown = page.locator(".moment")
    assert shown.count() == len(index)
    last = shown.last
    last.scroll_into_view_if_needed()
    page.wait_for_function("() => [...document.querySelectorAll('.moment img')].every(i => i.naturalWidth === 160)")
    said = float(last.inner_text().split("\n")[1].split("\u202f")[0])
    assert said == pytest.approx(100 * float(index[-1]["probability"]), abs=0.51)
    last.click()
    settle(page, float(index[-1]["timestamp"]))


def test_the_player_has_the_segments_as_captions(made: Made, browser: Browser) -> None:
    page = browser.open(video_page(made), above=2)
    cues = page.evaluate(
        "(() => { const t = document.querySelector('video').textTracks[0]; t.mode = 'hidden';"
        " return [...t.cues].map(c => [c.startTime, c.endTime, c.text]) })()"
    )
    table = rows(video_page(made).with_name("segments.csv"))
    assert table
    assert [c[2] for c in cues] == [f"#{r['face_id']} {r['emotion']}" for r in table]
    times = [t for c in cues for t in c[:2]]
    assert times == pytest.approx([float(r[name]) for r in table for name in ("begin", "end")], abs=1e-3)


def test_a_video_without_a_face_says_so(made: Made, browser: Browser) -> None:
    page = browser.open(made.results / "items/nobody.mp4/report.html", above=2)
    assert page.get_by_role("heading", name="No face was found in this video").is_visible()
    assert page.locator("video").count() == 1
    assert page.locator("canvas").count() == 0


def test_without_an_annotated_video_the_timeline_works_alone(made: Made, browser: Browser) -> None:
    page = browser.open(place(made.tables, NAMED) / "report.html", above=2)
    assert page.locator("video").count() == 0
    assert "--no-video" in page.locator(".still").inner_text()
    slider = page.get_by_role("slider", name="Time in the video")
    assert slider.get_attribute("aria-valuetext") == "0:00.40"  # --start, in the time of the recording
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "0:00.48"  # --every 2
    assert page.locator(".now .card").count() == 1
    assert page.locator(".moment").count() > 0


# -- measures -----------------------------------------------------------------------------------------------------


def number(text: str) -> float:
    found = re.search(r"-?[\d.]+", text.replace("\u2212", "-"))
    assert found is not None
    return float(found[0])


def test_lanes_show_what_faces_do_at_the_cursor(measured: Path, browser: Browser) -> None:
    folder = place(measured, "talk.mp4")
    page = browser.open(folder / "report.html", above=2)
    table = read_measures(folder / "measures.csv").set_index(["frame", "face_id"])
    face = int(page.locator(".face-rows b").first.inner_text().removeprefix("#"))
    for frame in (10, 70):
        page.evaluate("t => { document.querySelector('video').currentTime = t }", (frame + 0.5) / 25)
        settle(page, (frame + 0.5) / 25)
        keys = page.locator(".face-rows").first.locator(".key")
        said = dict(text.rsplit("\n", 1) for text in keys.all_inner_texts())
        for word, name in (("yaw", "yaw"), ("pitch", "pitch"), ("roll", "roll"), ("right", "right_eye")):
            value = table.loc[(frame, face), name]
            assert number(said[word]) == pytest.approx(value, abs=0.02 if name == "right_eye" else 1), name
        doing = page.locator(".now .doing").first.inner_text()
        assert number(doing) == pytest.approx(table.loc[(frame, face), "yaw"], abs=1)
    blinks = pd.read_csv(folder / "blinks.csv")
    assert int(said["blinks"]) == (blinks["face_id"] == face).sum()


def test_a_measure_is_picked_from_a_list_and_lanes_can_be_left_out(measured: Path, browser: Browser) -> None:
    folder = place(measured, "talk.mp4")
    page = browser.open(folder / "report.html", above=2)
    tools, lanes = page.locator(".measures-tools"), page.locator("canvas.measure-lane")
    assert lanes.count() == 2 * 4
    tools.get_by_role("combobox", name="Add a measure").select_option("jawOpen")
    assert lanes.count() == 2 * 5
    page.evaluate("t => { document.querySelector('video').currentTime = t }", 2.5)
    settle(page, 2.5)
    table = read_measures(folder / "measures.csv").set_index(["frame", "face_id"])
    face = int(page.locator(".face-rows b").first.inner_text().removeprefix("#"))
    shown = page.locator(".face-rows").first.locator(".measure-row").last.locator(".key em").inner_text()
    assert number(shown) == pytest.approx(100 * table.loc[(62, face), "jawOpen"], abs=1)
    for name in ("Head", "Eyes", "Mouth", "Gaze", "jawOpen"):
        tools.get_by_role("button", name=name).click()
    assert lanes.count() == 0
    tools.get_by_role("button", name="Eyes").click()
    assert lanes.count() == 2


def test_blinks_are_drawn_at_their_times(measured: Path, browser: Browser) -> None:
    folder = place(measured, "talk.mp4")
    page = browser.open(folder / "report.html", above=2)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    blinks, faces = pd.read_csv(folder / "blinks.csv"), page.locator(".face-rows")
    row = "c => { const p = c.getContext('2d').getImageData(0, 1, c.width, 1).data; return [...p] }"
    for n in range(2):
        face = int(faces.nth(n).locator("b").first.inner_text().removeprefix("#"))
        canvas = faces.nth(n).locator("canvas.measure-lane").nth(1)
        colors = np.reshape(canvas.evaluate(row), (-1, 4))
        marked = (colors[:, :3] == (208, 82, 124)).all(axis=1)
        times = (np.arange(len(marked)) + 0.5) * SECONDS / len(marked)
        within = np.zeros(len(marked), bool)
        for blink in blinks[blinks["face_id"] == face].itertuples():
            within |= (times > blink.begin) & (times < blink.end)
        assert (marked != within).sum() <= 4 * len(blinks)  # but for edges
        assert marked.sum() > 0 or not within.any()
    assert len(blinks) >= 3


def test_the_page_says_what_was_read_and_what_faces_did(measured: Path, browser: Browser) -> None:
    page = browser.open(place(measured, "talk.mp4") / "report.html", above=2)
    row = next(r for r in rows(measured / "summary.csv") if r["item"] == "talk.mp4" and r["level"] == "item")
    quality = page.locator(".panel", has=page.get_by_role("heading", name="Can the readings be trusted?"))
    assert number(quality.locator("b").first.inner_text()) == pytest.approx(100 * float(row["good_share"]), abs=0.6)
    did = page.locator(".panel", has=page.get_by_role("heading", name="What faces did")).locator("tbody tr").first
    cells = [number(text) for text in did.locator("td").all_inner_texts()]
    names = ("measured", "speaking_share", "looks_at_camera_share")
    assert cells[:3] == pytest.approx([100 * float(row[name]) for name in names], abs=0.6)
    assert cells[3:] == pytest.approx([float(row["blinks"]), float(row["blinks_per_minute"])], abs=0.06)
    assert page.locator(".with-speech .overall").count() == 2


def test_a_photo_tells_quality_and_pose_of_its_faces(measured: Path, browser: Browser) -> None:
    folder = place(measured, "album/photos")
    page = browser.open(folder / "report.html", above=3)
    page.locator(".photo").first.click()
    row = rows(folder / "measures.csv")[0]
    said = page.get_by_role("dialog").locator(".doing").first.inner_text()
    assert said.startswith("good quality")
    assert number(said) == pytest.approx(float(row["yaw"]), abs=0.6)


def test_nothing_of_measures_overflows_on_a_phone(measured: Path, browser: Browser) -> None:
    page = browser.open(place(measured, "talk.mp4") / "report.html", width=400, above=2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


# -- images -------------------------------------------------------------------------------------------------------


def test_the_contact_sheet_filters_and_shows_images_large(made: Made, browser: Browser) -> None:
    page = browser.open(made.results / "items/class #1/photos/report.html", above=3)
    names = page.locator(".sheet .name")
    assert names.all_inner_texts() == ["a <b>1.png", "b 2.jpg", "c.jpg"]
    page.wait_for_function("() => [...document.querySelectorAll('.sheet img')].every(i => i.naturalWidth > 100)")
    page.locator(".chip[data-value='no face']").click()
    assert names.all_inner_texts() == ["b 2.jpg"]
    page.locator(".chip[data-value='no face']").click()
    timeline = rows(made.results / "items/class #1/photos/timeline.csv")
    emotion = timeline[0]["emotion"]
    page.locator(f".chip[data-value='{emotion}']").click()
    assert names.all_inner_texts() == [r["source"] for r in timeline if r["emotion"] == emotion]
    page.locator(".photo").first.click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("heading").inner_text() == "a <b>1.png"
    page.wait_for_function("() => document.querySelector('.large > img').naturalWidth === 512")
    shown = share(dialog.locator(".card header em").inner_text())
    assert shown == pytest.approx(100 * float(timeline[0][emotion]), abs=0.6)
    page.keyboard.press("ArrowRight")
    assert dialog.get_by_role("heading").inner_text() == "c.jpg"
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


# -- everywhere -----------------------------------------------------------------------------------------------------


def pages(made: Made) -> list[tuple[Path, int]]:
    items = made.results / "items"
    return [(made.results / "report.html", 0), (video_page(made), 2), (items / "class #1/photos/report.html", 3)]


def test_nothing_overflows_on_a_phone(made: Made, browser: Browser) -> None:
    for path, above in pages(made):
        page = browser.open(path, width=400, above=above)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, path


def test_dark_and_light_follow_the_system_and_the_button(made: Made, browser: Browser) -> None:
    def background(page: Page) -> int:
        color = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color)[:3]))

    schemes: list[tuple[Literal["dark", "light"], bool]] = [("dark", True), ("light", False)]
    for scheme, is_dark in schemes:
        page = browser.open(video_page(made), scheme=scheme, above=2)
        assert (background(page) < 200) == is_dark
        page.get_by_role("button", name="Light or dark").click()
        assert (background(page) < 200) != is_dark


def test_on_paper_there_is_ink_on_white_and_nothing_to_press(made: Made, browser: Browser) -> None:
    page = browser.open(video_page(made), scheme="dark", above=2)
    page.emulate_media(media="print")
    assert not page.get_by_role("button", name="Lines").is_visible()
    assert page.locator("canvas.lane").first.is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.panel')).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_on_paper_the_table_is_as_wide_as_the_sheet_and_no_wider(browser: Browser, tmp_path: Path) -> None:
    name = "the-first-interview-of-the-morning_camera-2_2026-11-24.mp4"
    results = write_results(tmp_path, {name: video_timeline(4000, [(0, 4000)]), "album/photos": photo_timeline(30)})
    write_report(results, [name, "album/photos"])
    page = browser.open(results / "report.html")
    page.set_viewport_size({"width": 794, "height": 1123})  # A4, and what lies between its margins of 14 mm
    page.emulate_media(media="print")
    page.evaluate("document.body.style.width = '688px'")
    table = place_of(page.locator(".rows.items"))
    panel = place_of(page.locator(".panel", has=page.locator(".rows.items")))
    assert table["x"] + table["width"] < panel["x"] + panel["width"]


def test_many_faces_and_images_come_in_parts(browser: Browser, tmp_path: Path) -> None:
    crowd = video_timeline(800, [(10 * n, 10 * n + 9) for n in range(80)])
    results = write_results(tmp_path, {"crowd.mp4": crowd, "album/photos": photo_timeline(1000)})
    write_report(results, ["crowd.mp4", "album/photos"])
    video = browser.open(results / "items/crowd.mp4/report.html", above=2)
    assert video.locator("canvas.lane").count() == 6
    video.get_by_role("button", name="Show 6 more of 80 faces").click()
    assert video.locator("canvas.lane").count() == 12
    assert video.locator("tbody tr").count() == 26  # all together, and 25
    video.get_by_role("button", name="Show 25 more of 80 faces").click()
    assert video.locator("tbody tr").count() == 51
    album = browser.open(results / "items/album/photos/report.html", above=3)
    assert album.locator(".photo").count() == 60
    album.get_by_role("button", name="Show 60 more of 1\u202f000 photos").click()
    assert album.locator(".photo").count() == 120


def test_the_pages_are_made_again_from_the_tables_alone(made: Made, browser: Browser, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made.results, copy)
    before = {p.relative_to(copy): p.read_bytes() for p in copy.rglob("report*") if p.is_file()}
    for path in before:
        (copy / path).unlink()
    for folder in (*copy.rglob("previews"), *copy.rglob("annotated"), copy / "report"):
        shutil.rmtree(folder)
    for video in copy.rglob("annotated.mp4"):
        video.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "fermedia", "report", str(copy)], capture_output=True, text=True, check=True
    )
    assert "3 pages made again" in done.stderr
    assert {p.relative_to(copy) for p in copy.rglob("report*") if p.is_file()} == set(before)
    for path, above in ((place(copy, NAMED), 2), (copy / "items/class #1/photos", 3)):
        assert browser.open(path / "report.html", above=above).locator("img").count() == 0


@pytest.mark.parametrize("content", [None, "item\n", ""])
def test_what_is_no_folder_of_results_is_refused_in_one_line(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "summary.csv").write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "fermedia", "report", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if content is None else 1)
    assert len(done.stderr.splitlines()) == 1
    assert "summary" in done.stderr


def test_faces_with_names_are_called_by_them_and_stand_together(tmp_path: Path, browser: Browser) -> None:
    timeline = video_timeline(200, [(0, 90), (0, 200), (110, 200)])
    name = "<b>\u00c4nne</b> M\u00fcller-L\u00fcdenscheidt-Gr\u00f6\u00dfe"
    timeline["person"] = timeline["face_id"].map({0: name, 2: name})
    folder = write_results(tmp_path / "results", {"talk.mp4": timeline, "other.mp4": video_timeline(50, [(0, 50)])})
    write_report(folder, ["talk.mp4", "other.mp4"])
    page = browser.open(folder / "items/talk.mp4/report.html", above=2)
    lanes = page.locator(".face-rows .label b").all_inner_texts()
    assert lanes == ["#1", name, name]  # face 1 is seen for longer than both faces of the person
    small = page.locator(".face-rows .label small").all_inner_texts()
    assert [text.split(",")[0] for text in small[1:]] == ["#0", "#2"]
    names = page.locator("table.rows").first.locator("th[scope=row]").all_inner_texts()
    assert names == ["All", "#1", f"{name} #0", f"{name} #2"]
    assert page.locator(".card header b").all_inner_texts() == ["#1", name]
    page = browser.open(folder / "report.html")
    page.get_by_role("searchbox").fill("m\u00fcller")
    assert page.locator(".items tbody tr").count() == 1
    assert name in page.locator(".items tbody th").inner_text()


# -- who is who -------------------------------------------------------------------------------------------------------


def test_faces_are_named_and_saved_as_a_table_for_people(made: Made, browser: Browser, tmp_path: Path) -> None:
    page = browser.open(made.results / "report.html")
    panel = page.locator(".people")
    faces = [row for row in rows(made.results / "faces.csv") if row["seconds"]]
    assert panel.locator("tbody tr").count() == len(faces)
    heights = panel.locator("tbody tr").evaluate_all("rows => rows.map((row) => row.getBoundingClientRect().height)")
    assert max(heights) < 90
    save = panel.get_by_role("button", name="Save people.csv")
    assert save.is_disabled()
    for row in panel.locator("tbody tr").all():
        row.locator("input").fill('Ann, "A"')
    assert f"{len(faces)} face" in panel.locator("[role=status]").inner_text()
    with page.expect_download() as saved:
        save.click()
    assert saved.value.suggested_filename == "people.csv"
    saved.value.save_as(tmp_path / "people.csv")
    given = People.read(tmp_path / "people.csv").table
    assert {*given["person"]} == {'Ann, "A"'}
    columns = ("item", "face_id", "first", "last")
    wanted = [(row["item"], *(float(row[name]) for name in columns[1:])) for row in faces]
    assert sorted(given[list(columns)].itertuples(index=False, name=None)) == sorted(wanted)
