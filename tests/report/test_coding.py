"""The page of a sample, used by its keys in a browser, and from its sheets to the page of agreement."""

from __future__ import annotations

import csv
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as PIL

from fermedia.cli import cli
from fermedia.columns import SAMPLE
from fermedia.errors import FermediaError, MediaError, UsageError
from fermedia.media.again import sequence_frames, video_frames
from fermedia.media.video import VideoReader
from fermedia.tables.timeline import read_timeline
from fermedia.types import EMOTIONS
from tests.report.conftest import Browser
from tests.videos import astronaut, moving_faces, write_video

if TYPE_CHECKING:
    from playwright.sync_api import Page

COUNT = 12


def run(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(cli, [str(a) for a in arguments], standalone_mode=False)
    if isinstance(done.exception, FermediaError):
        raise done.exception
    assert done.exception is None, done.output
    return done


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_video(folder / "secret talk.mp4", moving_faces(24, (240, 180)))
    (folder / "class").mkdir()
    PIL.fromarray(astronaut()).save(folder / "class/=a photo.png")
    return folder


@pytest.fixture(scope="module")
def results(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "results"
    run("analyze", recordings, "--out", out, "--no-video", "--quiet")
    return out


@pytest.fixture(scope="module")
def sample(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "sample"
    said = run("sample", results, "--frames", str(COUNT), "--out", out)
    assert f"{COUNT} faces to code in {out / 'sample.html'}; keep {out / 'key.csv'} from the coders" in said.output
    return out


def begin(page: Page, name: str) -> None:
    page.get_by_label("Your name or code").fill(name)
    page.keyboard.press("Enter")
    page.wait_for_selector(".coding")


def place(page: Page) -> str:
    return page.locator(".state b").inner_text()


def pressed(page: Page) -> list[str]:
    return page.locator(".choice[aria-pressed=true]").evaluate_all("all => all.map((b) => b.dataset.label)")


def save(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save CSV").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_the_key_says_which_face_of_the_results_each_is(results: Path, sample: Path) -> None:
    key = rows(sample / "key.csv")
    assert tuple(key[0]) == SAMPLE.names
    assert [row["number"] for row in key] == [str(n) for n in range(1, COUNT + 1)]
    assert len({(row["item"], row["frame"], row["face_id"]) for row in key}) == COUNT
    for row in key:
        timeline = read_timeline(results / "items" / row["item"] / "timeline.csv")
        faces = timeline[(timeline["frame"] == int(row["frame"])) & (timeline["face_id"] == int(row["face_id"]))]
        assert faces["judged"].tolist() == [True]


def test_the_page_does_not_know_what_the_machine_says_nor_of_what(sample: Path) -> None:
    """No item, time or label of a face is in its source: only a list of images and the seven names once each."""
    page = (sample / "sample.html").read_text(encoding="utf-8")
    data = re.search(r"window\.report = (\{.*\});", page)
    assert data
    bare = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", data[1])
    for word in ("secret", "talk", "class", "photo", "frame", "timestamp", "item", "face_id", "valence"):
        assert word not in bare
    assert [bare.count(f'"{emotion}"') for emotion in EMOTIONS] == [2] * 7  # of colours and of labels
    assert len(set(re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", data[1]))) == COUNT
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in page
    assert "unsafe" not in page.split("</head>")[0].split("<style>")[0]


def test_the_same_seed_draws_the_same_and_another_others(results: Path, sample: Path, tmp_path: Path) -> None:
    run("sample", results, "--frames", str(COUNT), "--out", tmp_path / "again")
    assert (tmp_path / "again/key.csv").read_bytes() == (sample / "key.csv").read_bytes()
    run("sample", results, "--frames", str(COUNT), "--seed", "1", "--out", tmp_path / "other")
    assert (tmp_path / "other/key.csv").read_bytes() != (sample / "key.csv").read_bytes()
    with pytest.raises(UsageError, match="holds a sample, whose key must not be lost"):
        run("sample", results, "--out", tmp_path / "other")
    few = run("sample", results, "--frames", "200", "--out", tmp_path / "all")
    assert "25 faces (there are no more than these of 200) to code" in few.output


def test_emotions_and_items_are_drawn_evenly(results: Path, sample: Path) -> None:
    """The only photo is one of the faces of its emotion that come first, whatever the number of frames beside it."""
    assert "class/photos" in {row["item"] for row in rows(sample / "key.csv")}
    timeline = read_timeline(results / "items/secret talk.mp4/timeline.csv")
    labels = timeline.set_index("frame")["emotion"]
    there = labels.value_counts().clip(upper=COUNT)
    drawn = [labels[int(row["frame"])] for row in rows(sample / "key.csv") if row["item"] == "secret talk.mp4"]
    counts = {name: drawn.count(name) for name in there.index}
    assert max(counts.values()) - min(min(counts.values()), there.min()) <= COUNT - there.min()
    for name, count in counts.items():
        # A rarer emotion only has fewer if all of it was drawn.
        assert count == there[name] or count >= max(counts.values()) - 2


@pytest.mark.parametrize("suffix", ["mp4", "avi"])  # with an index of its frames, and without
def test_frames_are_those_that_were_analysed(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"video.{suffix}", moving_faces(24, (240, 180)))
    found = {frame.index: frame.image.rgb() for frame in video_frames(path, [20, 3, 4], (240, 180))}
    with VideoReader(path) as reader:
        whole = {frame.index: frame.image.rgb() for frame in reader.frames() if frame.index in (3, 4, 20)}
    assert found.keys() == whole.keys()
    assert all(np.array_equal(found[n], whole[n]) for n in whole)
    with pytest.raises(MediaError, match="frame 99 cannot be read any more"):
        list(video_frames(path, [3, 99], (240, 180)))


def test_numbered_images_are_read_again_by_their_numbers(tmp_path: Path) -> None:
    for n, image in enumerate(moving_faces(6, (240, 180)), 10):
        PIL.fromarray(image).save(tmp_path / f"take_{n}.png")
    frames = list(sequence_frames(tmp_path / "take_%d.png", 25.0, [1, 4], (240, 180)))
    assert [frame.index for frame in frames] == [1, 4]
    with PIL.open(tmp_path / "take_14.png") as original:
        assert np.abs(frames[1].image.rgb().astype(int) - np.asarray(original)).mean() < 4
    with pytest.raises(MediaError, match="its images are gone"):
        list(sequence_frames(tmp_path / "other_%d.png", 25.0, [1], (240, 180)))


def test_a_recording_that_changed_is_not_shown(results: Path, recordings: Path, tmp_path: Path) -> None:
    path, kept = recordings / "secret talk.mp4", tmp_path / "kept.mp4"
    shutil.move(path, kept)
    try:
        with pytest.raises(UsageError, match="is not there any more, and its frames are needed"):
            run("sample", results, "--out", tmp_path / "sample")
        path.write_bytes(kept.read_bytes()[:-1000])
        with pytest.raises(UsageError, match="has changed since it was analysed"):
            run("sample", results, "--out", tmp_path / "sample")
    finally:
        os.replace(kept, path)
    assert not (tmp_path / "sample").exists()


def test_a_coder_goes_forth_and_back_by_keys_and_saves(sample: Path, browser: Browser, tmp_path: Path) -> None:
    page = browser.open(sample / "sample.html")
    begin(page, "Anna, =1")
    assert place(page) == f"1 of {COUNT}"
    page.keyboard.press("4")
    page.keyboard.press("7")
    page.keyboard.press("x")
    assert place(page) == f"4 of {COUNT}"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Backspace")
    assert pressed(page) == ["neutral"]
    page.keyboard.press("5")  # another answer for the second
    page.keyboard.press("ArrowRight")
    page.keyboard.press("0")
    assert page.get_by_role("status").inner_text() == f"{COUNT - 4} faces left · Anna 1"
    assert page.locator("progress").evaluate("bar => bar.value") == 4
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert place(page) == f"5 of {COUNT}"
    page.keyboard.press("Control+1")  # the browser's
    assert pressed(page) == []
    assert page.locator(".face").evaluate("image => image.decode().then(() => image.naturalWidth)") > 50
    path = save(page, tmp_path)
    assert path.name == "codes_Anna_1.csv"
    name = rows(sample / "key.csv")[0]["sample"]
    answers = [("1", "happy"), ("2", "sad"), ("3", "unclear"), ("4", "none")]
    assert [tuple(row.values()) for row in rows(path)] == [(name, n, "Anna 1", label) for n, label in answers]


def test_what_was_coded_survives_a_reload_and_coders_are_kept_apart(sample: Path, browser: Browser) -> None:
    page = browser.open(sample / "sample.html")
    begin(page, "anna")
    for key in "44":
        page.keyboard.press(key)
    page.reload()
    page.wait_for_selector(".coding")
    assert place(page) == f"3 of {COUNT}"
    page.keyboard.press("ArrowLeft")
    assert pressed(page) == ["happy"]
    page.get_by_role("button", name="Another coder").click()
    begin(page, "ben")
    assert place(page) == f"1 of {COUNT}"
    assert pressed(page) == []
    page.get_by_role("button", name="Another coder").click()
    begin(page, "anna")
    assert place(page) == f"2 of {COUNT}"
    page.get_by_role("button", name="Another coder").click()
    page.get_by_label("Your name or code").fill("machine")  # the name of the machine in agreement.csv
    page.keyboard.press("Enter")
    assert page.locator(".coding").count() == 0


def test_the_end_is_said_and_the_page_fits_a_phone(sample: Path, browser: Browser) -> None:
    page = browser.open(sample / "sample.html", width=390, scheme="dark")
    begin(page, "anna")
    for _ in range(COUNT):
        page.get_by_role("button", name="Happy").click()
    assert "All faces are coded" in page.locator(".end").inner_text()
    assert place(page) == f"{COUNT} of {COUNT}"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_from_the_sheets_to_the_page_of_agreement(
    results: Path, sample: Path, browser: Browser, tmp_path: Path
) -> None:
    """Anna says what the machine says, which the test looks up; Ben always says happy."""
    sheets = []
    key = rows(sample / "key.csv")
    timelines = {item: read_timeline(results / "items" / item / "timeline.csv") for item in {k["item"] for k in key}}
    page = browser.open(sample / "sample.html")
    begin(page, "anna")
    for row in key:
        timeline = timelines[row["item"]]
        own = (timeline["frame"] == int(row["frame"])) & (timeline["face_id"] == int(row["face_id"]))
        page.keyboard.press(str(EMOTIONS.index(timeline.loc[own, "emotion"].iloc[0]) + 1))
    sheets.append(save(page, tmp_path))
    page.get_by_role("button", name="Another coder").click()
    begin(page, "ben")
    for _ in key:
        page.keyboard.press("4")
    sheets.append(save(page, tmp_path))
    with pytest.raises(UsageError, match=r"is a sheet of fermedia sample; give the sample's key: --key key\.csv"):
        run("agree", results, *sheets, "--out", tmp_path / "out")
    run("agree", results, *sheets, "--key", sample / "key.csv", "--out", tmp_path / "out")
    found = {
        (row["coder_1"], row["coder_2"], row["statistic"]): row["value"]
        for row in rows(tmp_path / "out/agreement.csv")
        if row["label"] == "all"
    }
    assert float(found["anna", "machine", "agreement"]) == 1
    happy = float(found["ben", "machine", "agreement"])
    assert float(found["anna", "ben", "agreement"]) == pytest.approx(happy)
    page = browser.open(tmp_path / "out/agreement.html")
    table = page.locator("#overall")
    assert table.locator("tbody th").all_inner_texts() == ["anna and ben", "anna and fermedia", "ben and fermedia"]
    shown = table.locator("tr", has_text="ben and fermedia").locator("[data-label=agreement]").inner_text()
    assert shown.split("\n")[0].strip() == f"{happy:.2f}"
    labels = page.locator("#labels")
    labels.get_by_role("button", name="ben and fermedia").click()
    assert labels.locator(".matrix tbody th").first.inner_text() == "happy"
    assert labels.locator(".matrix tbody tr").count() == 1
    assert "Two coders (anna, ben) coded single frames" in page.locator("#method").inner_text()
    narrow = browser.open(tmp_path / "out/agreement.html", width=390, scheme="dark")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
