"""What every reader and every sink holds to, whatever it reads and makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

import cv2
import numpy as np
import pytest

from fermedia.errors import MediaError
from fermedia.media.sequence import SequenceReader
from fermedia.media.video import VideoReader
from fermedia.options import Sampling
from fermedia.render.photos import PhotoWriter
from fermedia.render.previews import FOLDER, INDEX, PhotoPreviews, VideoPreviews, read_previews
from fermedia.render.video import AnnotatedVideoWriter
from fermedia.tables.timeline import TimelineWriter, read_timeline
from fermedia.types import EMOTIONS, Box, Face, Frame, MediaItem, Observation, Reader, Sink
from tests.videos import numbered, write_video

FRAMES, SIZE = 6, (320, 240)

#: A happy one.
FACE = Observation(
    Face(Box(100.0, 60.0, 80.0, 80.0), 0.9, np.full((6, 2), 120, np.float32)),
    0,
    np.eye(7, dtype=np.float32)[EMOTIONS.index("happy")],
    np.eye(7, dtype=np.float32)[EMOTIONS.index("happy")],
)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "video.mp4", numbered(FRAMES, SIZE))


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> MediaItem:
    """Numbered images."""
    folder = tmp_path_factory.mktemp("take")
    files = tuple(folder / f"{number:02}.png" for number in range(FRAMES))
    for path, image in zip(files, numbered(FRAMES, SIZE), strict=True):
        cv2.imwrite(str(path), image)
    return MediaItem("sequence", PurePosixPath("take"), folder / "%02d.png", files, tuple(range(FRAMES)))


@pytest.fixture(scope="module")
def frames(video: Path) -> list[Frame]:
    with VideoReader(video) as reader:
        return [replace(frame, name=f"{frame.index}.jpg") for frame in reader.frames()]


class TestReaders:
    @pytest.fixture(params=["video", "sequence"])
    def reader(self, request: pytest.FixtureRequest, video: Path, take: MediaItem) -> Reader:
        makers: dict[str, Callable[[], Reader]] = {
            "video": lambda: VideoReader(video),
            "sequence": lambda: SequenceReader(take, 25),
        }
        return makers[request.param]()

    def test_it_gives_every_frame_in_the_size_that_it_says_and_again(self, reader: Reader) -> None:
        with reader as entered:
            assert entered is reader
            for _ in range(2):
                frames = list(reader.frames())
                assert [frame.index for frame in frames] == list(range(FRAMES))
                times = [frame.time or 0.0 for frame in frames]
                assert times == sorted(set(times))
                assert all(frame.sampled for frame in frames)
                sizes = {(frame.image.width, frame.image.height) for frame in frames}
                assert sizes == {(reader.info.width, reader.info.height)} == {SIZE}
            assert (reader.warning, reader.notes, list(reader.seams), reader.larger) == (None, [], [], None)

    def test_it_keeps_to_the_chosen_part(self, reader: Reader) -> None:
        with reader:
            frames = list(reader.frames(Sampling(start=0.04, end=0.2, every=2)))
        assert [(frame.index, frame.sampled) for frame in frames] == [(1, True), (2, False), (3, True), (4, False)]

    def test_it_can_be_given_up(self, reader: Reader) -> None:
        with pytest.raises(KeyError), reader:  # noqa: PT012
            next(reader.frames())
            raise KeyError


class TestSinks:
    """Each is given a video's frames, with names, which those for photos need."""

    #: Kind -> the last that it makes.
    MADE: ClassVar = {
        "timeline": "timeline.csv",
        "video": "annotated.mp4",
        "photos": "annotated",
        "video previews": f"{FOLDER}/{INDEX}",
        "photo previews": f"{FOLDER}/{INDEX}",
    }

    @pytest.fixture(params=MADE)
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def sink(self, kind: str, folder: Path, video: Path) -> Sink:
        with VideoReader(video) as reader:
            info = reader.info
        makers: dict[str, Callable[[], Sink]] = {
            "timeline": lambda: TimelineWriter(folder / "timeline.csv", "video.mp4"),
            "video": lambda: AnnotatedVideoWriter(folder / "annotated.mp4", None, info),
            "photos": lambda: PhotoWriter(folder / "annotated"),
            "video previews": lambda: VideoPreviews(folder / FOLDER),
            "photo previews": lambda: PhotoPreviews(folder / FOLDER),
        }
        return makers[kind]()

    def test_it_takes_faces_nobody_and_what_was_not_analysed(
        self, kind: str, frames: list[Frame], video: Path, tmp_path: Path
    ) -> None:
        sink = self.sink(kind, tmp_path, video)
        with sink as entered:
            assert entered is sink
            for frame, seen in zip(frames, ([FACE], [], None, [FACE], None, []), strict=True):
                sink.write(frame, seen)
        made = tmp_path / self.MADE[kind]
        assert made.exists()
        if kind == "timeline":
            assert read_timeline(made)["frame"].tolist() == [0, 1, 3, 5]
        elif kind == "video":
            with VideoReader(made) as reader:
                assert len(list(reader.frames())) == FRAMES
        elif kind == "video previews":
            assert {preview.emotion for preview in read_previews(tmp_path)} >= {None, "happy"}
        elif kind == "photo previews":
            assert [preview.frame for preview in read_previews(tmp_path)] == [0, 1, 3, 5]
        else:
            assert sorted(path.name for path in made.iterdir()) == ["0.jpg", "1.jpg", "3.jpg", "5.jpg"]

    def test_after_an_error_nothing_could_be_taken_for_complete(
        self, kind: str, frames: list[Frame], video: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(KeyError), self.sink(kind, tmp_path, video) as sink:  # noqa: PT012
            sink.write(frames[0], [FACE])
            raise KeyError
        made = tmp_path / self.MADE[kind]
        if kind == "photos":  # each image stands for itself
            assert [path.name for path in made.iterdir()] == ["0.jpg"]
            assert cv2.imread(str(made / "0.jpg")) is not None
        else:
            assert not made.exists()

    def test_what_cannot_be_written_is_said_as_such(
        self, kind: str, frames: list[Frame], video: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(MediaError, match="cannot be written") as caught:  # noqa: SIM117
            with self.sink(kind, tmp_path / "file", video) as sink:
                sink.write(frames[0], [FACE])
        assert caught.value.stage == "write"
