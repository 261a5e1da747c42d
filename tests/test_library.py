"""``fermedia.observe`` and ``analyze``: the command's numbers, without its files, in a process that stays as it is."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from rlcompleter import Completer
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

import fermedia
from fermedia.columns import TIMELINE_COLUMNS
from fermedia.errors import MediaError, MediaWarning, UsageError
from fermedia.jobs.batch import run_batch
from fermedia.jobs.progress import Progress
from fermedia.media.video import VideoReader
from fermedia.options import AnalyzeOptions, ObserveOptions, Sampling
from fermedia.tables.timeline import smoothed_timeline
from fermedia.types import EMOTIONS, Frame
from tests.jobs.test_recordings import faces, write_parts
from tests.systems import needs_proc
from tests.videos import head, moving_faces, numbered, write_video


def timelines(path: Path, folder: Path, **options: Any) -> pd.DataFrame:
    """What the command writes of a recording, read back."""
    with Progress(quiet=True) as progress:
        run_batch([path], folder, AnalyzeOptions(video=False, **options), progress=progress)
    tables = map(fermedia.read_timeline, folder.glob("items/**/timeline.csv"))
    return pd.concat(sorted(tables, key=lambda table: table["source"][0]), ignore_index=True)


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The table's items in the order of ``timelines``."""
    return pd.concat([rows for _, rows in table.groupby("source")], ignore_index=True)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, face_video: Path) -> Path:
    """A video with one face, one that begins without any, and images, one of them without a face."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "face.mp4").write_bytes(face_video.read_bytes())
    write_video(folder / "later.mkv", [*numbered(6, (480, 360)), *moving_faces(12)], rate=12)
    for name, image in (("a.png", head()), ("b.jpg", np.hstack([head(), head()])), ("c.png", np.zeros((90, 90, 3)))):
        cv2.imwrite(str(folder / name), image[:, :, ::-1])
    return folder


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence")
    for n, image in enumerate(moving_faces(6)):
        cv2.imwrite(str(folder / f"take_{n:03}.png"), image[:, :, ::-1])
    return folder


# -- the same numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"every": 3, "smooth": 0.2}, {"start": 0.2, "end": 1.0, "min_face": 130.0, "labels": "ferplus"}]
)
def test_analyze_gives_what_the_command_writes(recordings: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    table = fermedia.analyze(recordings, **options)
    pd.testing.assert_frame_equal(in_order(table), timelines(recordings, tmp_path / "out", **options))
    assert set(table["success"]) == {True, False}


def test_numbered_images_are_a_video(sequence: Path, tmp_path: Path) -> None:
    table = fermedia.analyze(sequence, sequence_fps=12)
    pd.testing.assert_frame_equal(table, timelines(sequence, tmp_path / "out", sequence_fps=12))
    assert table["timestamp"].tolist() == pytest.approx([n / 12 for n in range(6)], abs=1e-6)


def test_shared_recordings_give_the_same(shared: Path, tmp_path: Path) -> None:
    table = fermedia.analyze(shared / "media", every=25)
    pd.testing.assert_frame_equal(in_order(table), timelines(shared / "media", tmp_path / "out", every=25))


def test_observe_gives_the_rows_of_the_timeline_frame_by_frame(recordings: Path) -> None:
    video = recordings / "face.mp4"
    table, results = fermedia.analyze(video), list(fermedia.observe(video))
    assert [r.index for r in results] == table["frame"].tolist()
    assert [r.time for r in results] == pytest.approx(table["timestamp"].tolist(), abs=1e-6)
    assert {(r.source, r.width, r.height) for r in results} == {(str(video), 480, 360)}
    averaged = smoothed_timeline(table, ObserveOptions.smooth)
    for result, raw, smoothed in zip(results, table.itertuples(), averaged.itertuples(), strict=True):
        (seen,) = result.observations
        box = seen.face.box
        assert (box.x, box.y, box.width, box.height) == pytest.approx((raw.x, raw.y, raw.width, raw.height), abs=0.005)
        assert seen.face_id == raw.face_id
        assert seen.emotion == raw.emotion
        assert seen.probabilities is not None
        assert seen.smoothed is not None
        assert seen.probabilities.tolist() == pytest.approx([getattr(raw, e) for e in EMOTIONS], abs=1e-6)
        assert seen.smoothed.tolist() == pytest.approx([getattr(smoothed, e) for e in EMOTIONS], abs=1e-5)
    faces = [o for r in results for o in r.observations]
    assert any(o.smoothed.tolist() != o.probabilities.tolist() for o in faces)  # type: ignore[union-attr]


def test_images_have_no_time_and_their_own_sizes(recordings: Path) -> None:
    one, two, none = [r for r in fermedia.observe(recordings, every=50) if r.time is None]
    assert [r.source for r in (one, two, none)] == ["a.png", "b.jpg", "c.png"]
    assert (one.width, one.height, two.width, none.height) == (240, 240, 480, 90)
    assert [o.face_id for o in two.observations] == [0, 1]
    assert none.observations == ()
    assert one.observations[0].probabilities is not None
    assert one.observations[0].smoothed is one.observations[0].probabilities


def test_a_video_whose_frames_grow_has_one_size_in_the_table(tmp_path: Path) -> None:
    video = write_parts(tmp_path / "a.webm", [faces((160, 90), 60, 100), faces((640, 360), 240, 10)], "libvpx")
    table = fermedia.analyze(video)
    pd.testing.assert_frame_equal(table, timelines(video, tmp_path / "out"))
    results = list(fermedia.observe(video))
    assert [r.index for r in results] == table["frame"].tolist() == list(range(110))
    assert (results[0].width, results[-1].width) == (160, 640)
    last = results[-1].observations[0].face.box
    assert last.x == pytest.approx(table["x"].iloc[-1], abs=0.005)


# -- lazily, and without a trace ----------------------------------------------------------------------------------

#: Run before a call and after it: what of a process anybody could notice.
STATE = """
import gc, locale, logging, os, signal, sys, threading, warnings
from pathlib import Path
def state():
    gc.collect()
    threads = {int(p.name) for p in Path("/proc/self/task").iterdir()}
    return {
        "threads": len(threads),
        "affinity": os.sched_getaffinity(0),
        "scheduler": os.sched_getscheduler(0),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "masked": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "wakeup": signal.set_wakeup_fd(signal.set_wakeup_fd(-1)),
        "environment": dict(os.environ),
        "files": {p.name: os.readlink(p) for p in Path("/proc/self/fd").iterdir() if p.exists()},
        "streams": [sys.stdin, sys.stdout, sys.stderr],
        "hooks": [sys.excepthook, threading.excepthook, sys.unraisablehook],
        "folder": os.getcwd(),
        "mask": os.umask(os.umask(0)),
        "locale": locale.setlocale(locale.LC_ALL),
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "arrays": (numpy.geterr(), numpy.get_printoptions()),
        "pictures": (PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES, cv2.getNumThreads()),
    }
def turns():
    "Of each thread: where it may run, and how it takes turns."
    for task in threading.enumerate():
        yield os.sched_getaffinity(task.native_id), os.sched_getscheduler(task.native_id), os.getpriority(
            os.PRIO_PROCESS, task.native_id)
"""


def run(code: str, *arguments: Path) -> str:
    """What a program says; it must not say anything on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@needs_proc
def test_nothing_of_the_process_is_changed(recordings: Path) -> None:
    said = run(
        f"import PIL.Image, PIL.ImageFile, cv2, numpy\n{STATE}\n"
        """
import fermedia, fermedia.machine
fermedia.machine._ask_glibc = lambda *_: print("malloc was changed")
fermedia.analyze(sys.argv[1])  # what libraries leave open or begin once, when they are loaded or first used
before = state()
fermedia.analyze(sys.argv[1], every=5)
frames = fermedia.observe(sys.argv[1])
seen = [next(frames) for _ in range(5)]
assert len(list(turns())) > 1
assert all(turn == next(turns()) for turn in turns()), list(turns())
during = state()
frames.close()
after = state()
for name in before:
    if before[name] != after[name]:
        print(name, before[name], after[name])
for name in set(before) - {"threads", "files"}:
    if before[name] != during[name]:
        print("meanwhile", name, before[name], during[name])
""",
        recordings / "face.mp4",
    )
    assert said == ""


def test_nothing_is_written(recordings: Path) -> None:
    said = run(
        """
import os, sys, fermedia
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if (writes and isinstance(arguments[0], str) and arguments[0] != os.devnull) or event in (
        "os.mkdir", "os.rename", "os.remove", "os.truncate", "shutil.copyfile", "tempfile.mkdtemp", "tempfile.mkstemp"
    ):
        print(event, arguments)
sys.dont_write_bytecode = True
sys.addaudithook(watch)
assert len(fermedia.analyze(sys.argv[1], every=10)) > 5
for _ in fermedia.observe(sys.argv[1], every=25): pass
open(sys.argv[2], "w").close()
""",
        recordings,
        recordings.parent / "written.txt",
    )
    assert said.count("\n") == 1, said
    assert "written.txt" in said


def busy() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread is not threading.current_thread()}


@pytest.mark.parametrize("leave", [lambda frames: frames.close(), lambda frames: None], ids=["closed", "dropped"])
@pytest.mark.parametrize("frames", [0, 1, 20])
def test_leaving_early_ends_all_threads(
    tmp_path: Path, leave: Callable[[object], None], frames: int, face_video: Path
) -> None:
    before = busy()
    results = fermedia.observe(face_video)
    assert len(list(islice(results, frames))) == frames
    leave(results)
    del results
    gc.collect()
    assert busy() <= before


def test_python_ends_while_results_are_left(face_video: Path) -> None:
    code = "import sys, fermedia; results = fermedia.observe(sys.argv[1]); print(next(results).index)"
    done = subprocess.run([sys.executable, "-c", code, face_video], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_the_first_result_does_not_wait_for_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a video of a minute no more is read than what is looked at side by side, and half of ``smooth``."""
    video = write_video(tmp_path / "a.mp4", numbered(1500, (64, 48)))
    read = []
    frames = VideoReader.frames

    def counted(self: VideoReader, sampling: Sampling) -> Iterator[Frame]:
        for frame in frames(self, sampling):
            read.append(frame.index)
            yield frame

    monkeypatch.setattr(VideoReader, "frames", counted)
    results = fermedia.observe(video)
    assert not read
    assert next(results).index == 0
    results.close()
    assert 0 < len(read) < 300


# -- options and errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [fermedia.observe, fermedia.analyze])
def test_the_signature_has_the_options(function: Callable[..., object]) -> None:
    path, *keywords = inspect.signature(function).parameters.values()
    assert path.name == "path"
    assert {k.name: k.default for k in keywords} == {o.name: o.default for o in fields(ObserveOptions)}
    assert all(k.kind is k.KEYWORD_ONLY for k in keywords)
    assert all(f"    {o.name}: {o.metadata['help']}" in (function.__doc__ or "") for o in fields(ObserveOptions))
    assert function.__module__ == "fermedia.library"


def test_times_are_understood_as_on_the_command_line(face_video: Path) -> None:
    times: list[Any] = ["0:01.2", "1.2", "00:00:01.2", 1.2]
    until: Any = "0:01.4"
    for given in times:
        assert fermedia.analyze(face_video, start=given, end=until)["frame"].tolist() == [30, 31, 32, 33, 34]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "soon"}, "start is not a time; write seconds, MM:SS or HH:MM:SS, got 'soon'"),
        ({"start": "1:75"}, "start is not a time; write seconds, MM:SS or HH:MM:SS, got '1:75'"),
        ({"start": 3, "end": "0:02"}, "end must lie after start, got 3.0 to 2.0 seconds"),
        ({"every": "2"}, "every must be a whole number, got '2'"),
        ({"every": 0}, "every must be greater than 0, got 0"),
        ({"every": 2, "fps": 5}, "every and fps exclude each other; give one of them"),
        ({"min_face": float("nan")}, "min_face must be 0 or more, got nan"),
        ({"detector": "slow"}, "detector must be one of fast, balanced, thorough, got 'slow'"),
        ({"model": 7}, "model must be a path, got 7"),
    ],
)
def test_wrong_options_are_refused_at_once_in_one_line(face_video: Path, options: dict[str, Any], message: str) -> None:
    for function in (fermedia.observe, fermedia.analyze):
        with pytest.raises(UsageError) as caught:
            function(face_video, **options)
        assert str(caught.value) == message


def test_options_of_the_commands_files_are_unknown(face_video: Path) -> None:
    with pytest.raises(UsageError, match=r"^observe has no option evry, video; there are: detection_confidence, "):
        fermedia.observe(face_video, evry=2, video=True)  # type: ignore[call-arg]


def test_a_missing_recording_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        fermedia.observe(tmp_path / "none.mp4")


def test_a_failure_is_told_once(recordings: Path, tmp_path: Path) -> None:
    for name in ("b.jpg", "c.png"):
        (tmp_path / name).write_bytes((recordings / name).read_bytes())
    (tmp_path / "a.png").write_bytes((recordings / "a.png").read_bytes()[:400])
    (tmp_path / "text.mp4").write_text("no video")
    said = run(
        "import sys, warnings, fermedia\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    print(len(fermedia.analyze(sys.argv[1])))\n"
        "print(*(f'{w.category.__name__} {w.filename} {w.message}' for w in told), sep='\\n')",
        tmp_path,
    )
    count, *told = said.splitlines()
    assert count == "3"
    assert len(told) == 2
    assert all(line.startswith("MediaWarning <string> ") for line in told)
    assert ["a.png: the image is damaged" in line or "text.mp4: " in line for line in told] == [True, True]


@pytest.mark.parametrize("name", ["text.mp4", "text.png"])
def test_a_recording_that_cannot_be_read_is_an_error_and_no_warning(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("neither video nor image")
    for path in (tmp_path / name, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(MediaError, match=name):
                fermedia.analyze(path)
            with pytest.raises(MediaError, match=name):
                next(fermedia.observe(path))


def test_a_warning_points_at_the_callers_line(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes((recordings / "b.jpg").read_bytes())
    (tmp_path / "a.png").write_text("no image")
    for call in (lambda: fermedia.analyze(tmp_path), lambda: list(fermedia.observe(tmp_path))):
        with pytest.warns(MediaWarning, match=r"a\.png") as told:
            call()
        assert [Path(w.filename).name for w in told] == ["test_library.py"]


# -- the names ----------------------------------------------------------------------------------------------------


def test_the_package_shows_its_public_names_and_no_others() -> None:
    code = "import fermedia; print(dir(fermedia)); fermedia.segments, fermedia.observe; print(dir(fermedia))"
    first, second = run(code).splitlines()
    assert first == second == str(sorted(fermedia.__all__))
    assert {"observe", "analyze", "FrameResult"} <= set(fermedia.__all__)
    assert all(getattr(fermedia, name) is not None for name in fermedia.__all__)
    with pytest.raises(AttributeError, match="no attribute 'anlyze'"):
        fermedia.anlyze  # type: ignore[attr-defined]  # noqa: B018


def test_names_are_completed() -> None:
    matches = Completer({"fermedia": fermedia}).attr_matches("fermedia.")
    assert {match.removeprefix("fermedia.").rstrip("()") for match in matches} == set(fermedia.__all__) - {
        "__version__"
    }
    assert fermedia.observe is vars(fermedia)["observe"]  # no longer asked for by name


def test_the_help_shows_options_with_defaults_and_texts() -> None:
    shown = run("import fermedia; help(fermedia.observe)")
    assert "every: int = 1" in shown
    assert "start: float | None | str = None" in shown
    assert "Begin here: seconds, MM:SS or HH:MM:SS." in shown
    assert "observe(path: str | pathlib.Path, *" in shown


def test_a_result_can_be_looked_at_in_a_notebook(recordings: Path) -> None:
    (result,) = fermedia.observe(recordings / "b.jpg")
    shown = result._repr_html_()
    assert shown.count("<rect ") == 2
    assert 'viewBox="0 0 480 240"' in shown
    assert "b.jpg, frame 0" in shown
    assert str(result.observations[0].emotion) in shown
    (nobody,) = fermedia.observe(recordings / "c.png")
    assert "<rect" not in nobody._repr_html_()
    (small,) = fermedia.observe(recordings / "a.png", min_face=500)
    assert "not classified" in small._repr_html_()
    assert tuple(fermedia.analyze(recordings / "a.png").columns) == TIMELINE_COLUMNS
