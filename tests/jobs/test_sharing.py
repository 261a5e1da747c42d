"""Sharing results: faces hidden in every image, no audio, or no images at all; through the real command."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PIL

from fermedia.images import ArrayImage
from fermedia.vision.detect import FaceDetector
from tests.breaking import SPANS, before
from tests.forks import Forks
from tests.jobs.test_spans import run
from tests.study_folder import Study
from tests.videos import background, head, images, resized, write_video

Pixels = NDArray[np.uint8]

#: The beginnings of image and video files.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"II*\0", b"MM\0*", b"BM", b"\0\0\0\x0cjP")
SIZE, SIDE, RATE = (480, 270), 150, 25


def coming_and_going(frames: int = 75) -> list[Pixels]:
    """Someone walks in from the left, behind a pillar, and out on the right; another stands still on the right."""
    small, other = (resized(head(), (side, side), cv2.INTER_AREA) for side in (SIDE, 110))
    made = []
    for n in range(frames):
        image = np.pad(background(SIZE), ((0, 0), (SIDE, SIDE), (0, 0)), mode="edge")
        image[20:130, SIDE + 360 : SIDE + 470] = other
        left = left_of(n, frames) + SIDE
        image[120:270, left : left + SIDE] = small
        image = image[:, SIDE:-SIDE].copy()
        image[:, 200:260] = (90, 80, 70)
        made.append(image)
    return made


def left_of(n: int, frames: int = 75) -> int:
    return round(-SIDE + (SIZE[0] + SIDE) * n / frames)


def true_boxes(n: int) -> list[tuple[slice, slice]]:
    """The rows and columns of both faces' boxes that are inside the image; the astronaut's face is 105 of 240 wide."""
    found = []
    for left, top, side in ((left_of(n), 120, SIDE), (360, 20, 110)):
        x, y, width = left + side * 67 / 240, top + side * 63 / 240, side * 105 / 240
        rows = slice(round(y), round(y + width))
        found.append((rows, slice(max(0, round(x)), min(SIZE[0], max(0, round(x + width))))))
    return found


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "two.mp4", coming_and_going(), RATE, audio="aac", options={"g": "25", "crf": "10"})
    return folder


def detail(image: Pixels, width: float) -> NDArray[np.float32]:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(gray - cv2.GaussianBlur(gray, (0, 0), width / 8), np.float32)


def left_of_faces(video: Path, source: list[Pixels]) -> list[list[float]]:
    """How much of each face's details is left in each frame of a video, of those of which half is in sight."""
    made = [image for _, image in images(video)]
    assert len(made) == len(source)
    found = []
    for n, (one, two) in enumerate(zip(source, made, strict=True)):
        shares = []
        for rows, columns in true_boxes(n):
            fine = [detail(image, 60)[rows, columns] for image in (one, two)]
            bar = range(max(columns.start, 200), min(columns.stop, 260))
            width = columns.stop - columns.start
            # The outline is drawn on the box's edge, and a panel may be before the other face.
            if width - len(bar) > 30:
                keep = np.array([c not in bar for c in range(columns.start, columns.stop)])
                keep[:6] = keep[-6:] = False
                a, b = (f[8:-8, keep] for f in fine)
                shares.append(float((a * b).sum() / (a**2).sum()))
        found.append(shares)
    return found


@pytest.mark.parametrize("options", [(), ("--every", "8")])
def test_no_frame_shows_a_hidden_face(forks: Forks, videos: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    bare = "import fermedia.render.video\nfermedia.render.video.blend_yuv420 = lambda *_: None\n"
    status, said = forks.run("analyze", videos, "--out", out, "--blur", "all", *options, before=bare)
    assert status == 0, said
    place = out / "items/two.mp4"
    left = left_of_faces(place / "annotated.mp4", coming_and_going())
    assert max(map(max, filter(None, left))) < 0.12, left
    assert [path.name for path in (place / "previews").iterdir() if path.suffix == ".jpg"] == ["video.jpg"]
    with FaceDetector() as detector, PIL.open(place / "previews/video.jpg") as poster:
        assert detector.detect(ArrayImage(np.asarray(poster.convert("RGB")))) == []


def test_the_measurement_sees_faces_that_are_not_hidden(forks: Forks, videos: Path, tmp_path: Path) -> None:
    """Otherwise it would prove nothing; and only the one who was named is hidden."""
    out = tmp_path / "out"
    assert forks.run("analyze", videos, "--out", out)[0] == 0
    left = left_of_faces(out / "items/two.mp4/annotated.mp4", coming_and_going())
    assert np.median([share for frame in left for share in frame]) > 0.7
    first = json.loads((out / "items/two.mp4/item.json").read_text())
    for who in ("others", "0"):
        status, said = forks.run("analyze", videos, "--out", out, "--blur", who)
        assert status == 0, said
        assert "drawn again" in said
        record = json.loads((out / "items/two.mp4/item.json").read_text())
        assert {k: record[k] for k in ("frames", "frames_analysed", "end")} == {
            k: first[k] for k in ("frames", "frames_analysed", "end")
        }
        ids = {path.name.split("-")[0] for path in (out / "items/two.mp4/previews").glob("*-*.jpg")}
        assert ids, "whoever is not hidden has previews"
        assert "0" not in ids or who == "others"


def test_drawn_again_is_the_same_as_at_once(forks: Forks, videos: Path, tmp_path: Path) -> None:
    for out, steps in (("once", [("--blur", "all")]), ("again", [(), ("--blur", "all")])):
        for step in steps:
            assert forks.run("analyze", videos, "--out", tmp_path / out, *step)[0] == 0
    one, two = (tmp_path / out / "items/two.mp4" for out in ("once", "again"))
    for name in ("annotated.mp4", "timeline.csv", "previews/video.jpg"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_spans_and_workers_hide_the_same(forks: Forks, videos: Path, tmp_path: Path) -> None:
    one = run(videos / "two.mp4", tmp_path / "one", None, blur="all")
    options = "--blur", "all", "--workers", "2"
    status, said = forks.run("analyze", videos, "--out", tmp_path / "many", *options, before=SPANS + before("dividing"))
    assert status == 0, said
    many = tmp_path / "many/items/two.mp4"
    assert json.loads((many / "item.json").read_text())["spans"] > 1
    source = coming_and_going()
    assert max(map(max, filter(None, left_of_faces(many / "annotated.mp4", source)))) < 0.12
    for (_, a), (_, b) in zip(images(one / "annotated.mp4"), images(many / "annotated.mp4"), strict=True):
        assert np.abs(a.astype(int) - b).mean() < 3
    assert (one / "previews/video.jpg").read_bytes() == (many / "previews/video.jpg").read_bytes()
    assert not list((tmp_path / "many").glob(".*"))


def test_photos_are_hidden_too(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    study.image("a.png", 256)
    study.analyze("--blur", "all")
    (annotated,) = study.out.rglob("annotated/*.jpg")
    (thumbnail,) = study.out.rglob("previews/*.jpg")
    with FaceDetector() as detector:
        for path in (annotated, thumbnail):
            with PIL.open(path) as image:
                assert detector.detect(ArrayImage(np.asarray(image.convert("RGB")))) == []
    study.analyze("--blur", "others")  # all but the largest
    with FaceDetector() as detector, PIL.open(next(study.out.rglob("annotated/*.jpg"))) as image:
        assert len(detector.detect(ArrayImage(np.asarray(image.convert("RGB"))))) == 1


def test_an_unknown_face_is_said(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    study.talk("a.mp4")
    assert "--blur: there is no face 5, so it is not hidden" in study.analyze("--blur", "5")
    assert "--blur Ann: no face has a name; give faces names with --people" in study.analyze("--blur", "Ann", status=2)


@pytest.mark.parametrize("spans", [False, True])
def test_audio_is_left_out(forks: Forks, tmp_path: Path, spans: bool) -> None:
    study = Study(forks, tmp_path)
    study.talk("a.mp4", 60)
    study.analyze()
    tracks = []
    for options in ((), ("--no-audio",)):
        study.analyze(*options, "--redo", "all", before=SPANS if spans else "")
        with av.open(str(study.place("a.mp4") / "annotated.mp4")) as video:
            tracks.append((len(video.streams.audio), [f.pts for f in video.decode(video=0)]))
    assert [count for count, _ in tracks] == [1, 0]
    assert tracks[0][1] == tracks[1][1]


def is_image(content: bytes) -> bool:
    return content.startswith(MAGIC) or content[4:8] == b"ftyp" or b"matroska" in content[:100]


def test_no_faces_leaves_no_image_anywhere(forks: Forks, tmp_path: Path) -> None:
    study = Study(forks, tmp_path)
    study.talk("a.mp4", 60)
    study.image("b.png")
    study.analyze()
    assert any(is_image(path.read_bytes()) for path in study.out.rglob("*") if path.is_file())
    tables = {path: path.read_bytes() for path in study.out.rglob("timeline.csv")}
    for options, setup in (((), ""), (("--redo", "all"), ""), (("--redo", "all"), SPANS)):
        study.analyze("--no-faces", *options, before=setup)
        files = [path for path in study.out.rglob("*") if path.is_file()]
        for path in files:
            content = path.read_bytes()
            assert not is_image(content), path
            assert b"data:image" not in content, path
            for text in re.findall(rb"[A-Za-z0-9+/=]{400,}", content):
                assert not is_image(base64.b64decode(text[: len(text) // 4 * 4]) if path.suffix == ".js" else b""), path
        assert not list(study.out.rglob("previews"))
        assert {path: path.read_bytes() for path in study.out.rglob("timeline.csv")} == tables
    assert len(study.items()) == 2
    assert '"faces":false' in (study.place("a.mp4") / "report.js").read_text()
    study.analyze("--no-faces", "--blur", "all", status=2)
    study.analyze()  # and back: drawn from the tables
    assert (study.place("a.mp4") / "annotated.mp4").is_file()


def test_images_of_what_is_no_longer_given_are_named(forks: Forks, videos: Path, tmp_path: Path) -> None:
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for name in ("one.mp4", "two.mp4"):
        shutil.copy(videos / "two.mp4", inputs / name)
    assert forks.run("analyze", inputs, "--out", out, "--end", "0.4")[0] == 0
    (inputs / "one.mp4").unlink()
    status, said = forks.run("analyze", inputs, "--out", out, "--end", "0.4", "--no-faces")
    assert status == 0, said
    assert "one.mp4: not among the inputs, so that earlier images remain in the folder" in said


def test_a_table_edited_by_hand_is_kept_when_it_is_drawn_again(forks: Forks, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("analyze", videos / "two.mp4", "--out", out, "--end", "0.4")
    assert forks.run(*command)[0] == 0
    segments = out / "items/two.mp4/segments.csv"
    segments.write_text(segments.read_text() + "mine\n")
    status, said = forks.run(*command, "--blur", "all")
    assert status == 0, said
    assert "two.mp4: segments.csv" in said
    assert segments.with_name("segments.csv.changed").read_text().endswith("mine\n")


def test_what_cannot_be_hidden_is_deleted(forks: Forks, tmp_path: Path) -> None:
    """Redrawing fails: the images in which faces can be seen do not stay."""
    study = Study(forks, tmp_path)
    study.talk("a.mp4")
    study.analyze()
    place = study.place("a.mp4")
    assert (place / "annotated.mp4").exists()
    fail = "import fermedia.jobs.item as item, fermedia.errors as errors\n"
    fail += "def fail(*_):\n    raise errors.MediaError('a.mp4: fails', 'write')\nitem.AnnotatedVideoWriter = fail\n"
    said = study.analyze("--blur", "all", before=fail, status=3)
    assert "a.mp4: its earlier images, which show faces, are deleted" in said
    assert not (place / "annotated.mp4").exists()
    assert not (place / "previews").exists()
    study.analyze("--blur", "all", "--redo", "failed")
    assert (place / "annotated.mp4").exists()
