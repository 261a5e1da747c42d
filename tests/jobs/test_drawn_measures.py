"""``--draw``, from a video to its pixels: the same however the work is shared, and drawn again from what is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fermedia.render import features
from tests.acting import write_acting
from tests.breaking import SPANS
from tests.forks import Forks
from tests.killing import results
from tests.videos import Pixels, astronaut, images

TABLES = ("timeline.csv", "measures.csv", "blinks.csv", "segments.csv")

#: Analysing, or the networks, would end the run.
BLIND = "from fermedia.vision.observe import Observer\nObserver.observe = Observer.detect = lambda *_, **__: 1 / 0\n"


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_acting(tmp_path_factory.mktemp("acting") / "talk.mp4")


@pytest.fixture(scope="module")
def drawn(forks: Forks, acting: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one process, with landmarks."""
    out = tmp_path_factory.mktemp("drawn") / "out"
    run(forks, acting, out, "--landmarks", "--draw", "mesh,pose,gaze", "--end", "1.4")
    return out


def run(forks: Forks, inputs: Path, out: Path, *options: str, status: int = 0, before: str = "") -> str:
    got, said = forks.run("analyze", inputs, "--out", out, *options, before=before)
    assert got == status, said
    return said


def frames(out: Path) -> Pixels:
    return np.array([image for _, image in images(out / "items/talk.mp4/annotated.mp4")])


def shown(out: Path) -> list[dict[str, str]]:
    """What the images of the gallery show."""
    with (out / "items/talk.mp4/previews/index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name not in ("probability", "value")} for row in rows]


def gazes(video: Pixels) -> list[int]:
    """The number of pixels of the gaze's colour in each frame."""
    near = np.abs(video.astype(int) - features._SIGHT).max(axis=-1) < 90
    return np.asarray(near.sum(axis=(1, 2))).tolist()


def tables(out: Path) -> dict[str, bytes]:
    return {name: (out / "items/talk.mp4" / name).read_bytes() for name in TABLES}


def test_lines_are_in_the_video_and_nowhere_else(forks: Forks, acting: Path, drawn: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    run(forks, acting, plain, "--landmarks", "--end", "1.4")
    more, less = frames(drawn).astype(int), frames(plain).astype(int)
    changed = np.abs(more - less).max(axis=-1) > 60
    assert (changed.mean(axis=(1, 2)) > 0.003).all()  # in every frame
    assert changed.mean() < 0.05
    assert tables(drawn) == tables(plain)
    for out, expected in ((drawn, ["mesh", "pose", "gaze"]), (plain, None)):
        record = json.loads((out / "run.json").read_text())
        assert record["options"]["draw"] == expected
        assert record["options"]["measures"] is True


@pytest.mark.parametrize(("workers", "before"), [("2", ""), ("0", SPANS)])
def test_it_is_the_same_with_workers_and_across_spans(
    forks: Forks, acting: Path, drawn: Path, tmp_path: Path, workers: str, before: str
) -> None:
    options = ("--landmarks", "--draw", "gaze", "--draw", "pose,mesh", "--end", "1.4", "--workers", workers)
    run(forks, acting, tmp_path / "out", *options, before=before)
    one, other = frames(drawn).astype(int), frames(tmp_path / "out").astype(int)
    assert one.shape == other.shape
    if before:  # spans are encoded separately, and the images are grainy
        assert np.abs(one - other).mean(axis=(1, 2, 3)).max() < 5
        assert gazes(other) == pytest.approx(gazes(one), rel=0.3)
        assert min(gazes(one)) > 50
    else:
        assert (one == other).all()
    assert tables(drawn) == tables(tmp_path / "out")
    assert shown(drawn) == shown(tmp_path / "out")
    described = json.loads((tmp_path / "out/items/talk.mp4/item.json").read_text())
    assert ("spans" in described) == bool(before)


def test_landmarks_that_are_stored_are_drawn_without_analysing(
    forks: Forks, acting: Path, drawn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(forks, acting, out, "--landmarks", "--end", "1.4")
    before, gallery = tables(out), shown(out)
    assert {"blink"} <= {row["kind"] for row in gallery}
    options = ("--landmarks", "--draw", "mesh,pose,gaze", "--end", "1.4")
    said = run(forks, acting, out, *options, before=BLIND)
    assert "1 item is drawn again, but not analysed again (--draw not given, now mesh,pose,gaze)" in said
    assert tables(out) == before
    assert shown(out) == gallery
    assert '"kind":"blink"' in (out / "items/talk.mp4/report.js").read_text()
    # Boxes have two decimals in the timeline, which may move an outline by a pixel.
    assert np.abs(frames(out).astype(int) - frames(drawn)).mean(axis=(1, 2, 3)).max() < 2
    assert gazes(frames(out)) == pytest.approx(gazes(frames(drawn)), rel=0.3)


def test_landmarks_that_are_not_stored_are_measured_again(forks: Forks, acting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(forks, acting, out, "--measures", "--end", "1")
    before, plain = tables(out), frames(out)
    timeline = out / "items/talk.mp4/segments.csv"
    timeline.write_text(timeline.read_text() + "mine\n")
    said = run(forks, acting, out, "--draw", "mesh", "--end", "1")
    assert "1 item is analysed again: --draw draws landmarks, which are only kept with --landmarks" in said
    assert tables(out) == before
    assert timeline.with_name("segments.csv.changed").read_text().endswith("mine\n")
    assert not (out / "items/talk.mp4/landmarks.parquet").exists()
    assert np.abs(frames(out).astype(int) - plain).max(axis=-1).max() > 60
    # And without lines from the tables alone.
    gallery = shown(out)
    said = run(forks, acting, out, "--measures", "--end", "1", before=BLIND)
    assert "drawn again, but not analysed again (--draw mesh, now not given)" in said
    assert tables(out) == before
    assert shown(out) == gallery
    assert np.abs(frames(out).astype(int) - plain).mean() < 2


def test_a_missing_video_is_drawn_with_the_same_lines(forks: Forks, acting: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", ("--draw", "mesh", "--end", "0.6")
    run(forks, acting, out, *options)
    undisturbed = results(out)
    (out / "items/talk.mp4/annotated.mp4").unlink()
    said = run(forks, acting, out, *options)
    assert "annotated.mp4" in said
    assert results(out) == undisturbed
    assert "--draw mesh" in forks.run("status", out)[1]


def test_photos_and_faces_that_are_not_classified(forks: Forks, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(astronaut()).save(folder / "a.png")
    photos = []
    for number, options in enumerate(((), ("--draw", "mesh,pose"))):
        out = tmp_path / f"{number}"
        run(forks, folder, out, "--measures", "--max-yaw", "0.1", *options)
        (path,) = (out / "items").rglob("annotated/a.png.jpg")
        photos.append(np.asarray(Image.open(path)).astype(int))
        assert set(json.loads((out / "run.json").read_text())["options"]) >= {"draw"}
    assert (np.abs(photos[1] - photos[0]).max(axis=-1) > 60).mean() > 0.002


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--draw", "mash"), "--draw takes any of mesh, pose, gaze, got mash"),
        (("--draw", ""), "--draw takes any of mesh, pose, gaze"),
        (("--draw", "mesh", "--no-video"), "--no-video leaves out"),
    ],
)
def test_wrong_options_are_one_line(forks: Forks, acting: Path, tmp_path: Path, options: list[str], said: str) -> None:
    text = run(forks, acting, tmp_path / "out", *options, status=2)
    assert said in text
    assert len(text.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_results_of_versions_without_the_option_stay_valid(forks: Forks, acting: Path, tmp_path: Path) -> None:
    """Their ledger does not name it."""
    old = "import fermedia.store.settings as s\nfirst = s.made_with\n"
    old += "import fermedia.jobs.batch as b\n"
    old += "b.made_with = lambda *a: {k: v for k, v in first(*a).items() if k != 'draw'}\n"
    out = tmp_path / "out"
    run(forks, acting, out, "--end", "0.3", "--no-video", before=old)
    said = run(forks, acting, out, "--end", "0.3", "--no-video")
    assert "drawn again" not in said
    assert "1 of 1 items (1 of them before)" in said
