"""Results change only together with ``METHOD``, which keeps runs from mixing what cannot be compared.

A small corpus is made from the package's own portraits, analysed without and with measures, and compared with what it
gave when ``golden.json`` was written, within what other processors and libraries may change: half a pixel, 0.02 of a
probability or a blendshape, a degree of the head and three of gaze. When
results are meant to change, raise ``METHOD`` (``fermedia.store.settings``) and write the file again::

    python -m tests.jobs.test_golden
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fermedia.columns import (
    BLINK_COLUMNS,
    MEASURE_COLUMNS,
    PHOTO_COLUMNS,
    SEGMENT_COLUMNS,
    SUMMARY_COLUMNS,
    TIMELINE_COLUMNS,
)
from fermedia.commands.demo import PORTRAITS
from fermedia.jobs.batch import run_batch
from fermedia.jobs.progress import Progress
from fermedia.options import AnalyzeOptions
from fermedia.store.settings import METHOD
from tests.videos import background, write_video

FILE = Path(__file__).parent / "golden.json"
SIZE = 400, 260
RATE = 10

#: How far a number may be from the golden one, by its column; all others must be the same. A segment may begin or end
#: a frame sooner or later, where a probability is near a threshold.
PIXELS, SHARE, SECONDS, HEAD, GAZE = 0.5, 0.02, 1.5 / RATE, 1.0, 3.0
TIMES = {"begin", "end", "duration"}
EXACT = {"frame", "timestamp", "face_id", "success", "judged", "frames", "frames_with_face", "first", "last", "seconds"}

Table = dict[str, list[Any]]


def portrait(name: str) -> NDArray[np.uint8]:
    """RGB, 180 pixels high."""
    image = cv2.imread(str(PORTRAITS / f"{name}.jpg"))
    assert image is not None
    small = cv2.resize(image, (180 * image.shape[1] // image.shape[0], 180), interpolation=cv2.INTER_AREA)
    return np.asarray(small[:, :, ::-1], np.uint8)


def images() -> Iterator[NDArray[np.uint8]]:
    """One person who moves, then a second one beside her, and after a cut he alone and growing."""
    collins, hopper = portrait("collins"), portrait("hopper")
    for n in range(24):
        image = background(SIZE).copy()
        if n < 16:
            image[60 : 60 + 180, 5 + 2 * n : 5 + 2 * n + collins.shape[1]] = collins
        if 8 <= n < 16:
            image[70 : 70 + 180, 230 : 230 + hopper.shape[1]] = hopper
        if n >= 16:
            image[:] = 255 - image
            side = 180 + 4 * (n - 16)
            image[20 : 20 + side, 100 : 100 + side] = cv2.resize(hopper, (side, side))
        yield image


def make_corpus(folder: Path) -> None:
    # Without loss, so that no encoder has a part in the results.
    write_video(folder / "video.mkv", images(), Fraction(RATE), codec="ffv1", pix_fmt="yuv444p")
    for name in ("collins", "hopper"):
        image = portrait(name)[:, :, ::-1]
        cv2.imwrite(str(folder / f"{name}.png"), image)
        cv2.imwrite(str(folder / f"{name}_rolled.png"), np.rot90(image))


def results(folder: Path) -> dict[str, Table]:
    """Every table of the corpus' results, by its file: columns of values, rounded.

    Of those with measures only what is measured, in a folder ``measured``: the others are the same but for quality.
    Where a peak lies is left out: at a level, as here, any sighting may be the highest.
    """
    import pandas as pd

    recordings = folder / "corpus"
    recordings.mkdir()
    make_corpus(recordings)
    plain = {
        "timeline": TIMELINE_COLUMNS,
        "segments": SEGMENT_COLUMNS,
        "summary": SUMMARY_COLUMNS,
        "photos": PHOTO_COLUMNS,
    }
    measured = {"measures": MEASURE_COLUMNS, "blinks": BLINK_COLUMNS, "summary": SUMMARY_COLUMNS}
    tables = {}
    for kind, columns in (("", plain), ("measured", measured)):
        out = folder / f"results {kind}"
        with Progress(quiet=True) as progress:
            run_batch([recordings], out, AnalyzeOptions(video=False, measures=bool(kind)), progress=progress)
        for path in sorted(out.rglob("*.csv")):
            if path.stem in columns:
                table = pd.read_csv(path).drop(columns=["source", "peak_time"], errors="ignore").round(3)
                if kind:  # a gaze near the limit may fall on either side
                    table = table.drop(columns=["looks_at_camera", "looks_at_camera_share"], errors="ignore")
                assert set(table) <= set(columns[path.stem])
                name = str(PurePosixPath(kind) / path.relative_to(out).as_posix())
                tables[name] = {column: json.loads(table[column].to_json(orient="values")) for column in table}
    return tables


def unlike(golden: Table, table: Table) -> list[str]:
    """The columns that differ by more than they may."""
    wrong = [name for name in golden if name not in table or len(golden[name]) != len(table[name])]
    for name in golden.keys() - set(wrong):
        most = tolerance(name)
        for was, now in zip(golden[name], table[name], strict=True):
            numbers = isinstance(was, int | float) and isinstance(now, int | float) and name not in EXACT
            if (abs(was - now) > most) if numbers else was != now:
                wrong.append(f"{name} ({was}, now {now})")
                break
    return sorted([*wrong, *(table.keys() - golden.keys())])


def tolerance(column: str) -> float:
    """How far a number of this column may be from the golden one."""
    kind = column.removesuffix("_mean")
    if kind in TIMES:
        return SECONDS
    if kind in ("x", "y", "width", "height"):
        return PIXELS
    return HEAD if kind in ("yaw", "pitch", "roll") else GAZE if "gaze_" in kind else SHARE


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")[:2]))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    return results(tmp_path_factory.mktemp("golden"))


#: The libraries whose older versions give other pixels and shares; the file says with which it was written.
LIBRARIES = "ai-edge-litert", "opencv-python-headless", "av"


def test_results_change_only_with_the_method(found: dict[str, Table]) -> None:
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    older = [name for name in LIBRARIES if numbers(version(name)) < numbers(golden["libraries"][name])]
    if older:
        pytest.skip(f"{', '.join(older)} of an older version")
    assert golden["method"] == METHOD, "METHOD is another: python -m tests.jobs.test_golden writes its results down"
    assert found.keys() == golden["tables"].keys()
    wrong = {name: unlike(table, found[name]) for name, table in golden["tables"].items()}
    assert not any(wrong.values()), f"results changed, so METHOD must be raised: {wrong}"


def test_the_corpus_has_what_may_change(found: dict[str, Table]) -> None:
    """Two people, a cut, rolled faces, more than one emotion, and segments."""
    video = found["items/video.mkv/timeline.csv"]
    assert set(video["face_id"]) == {0, 1, 2}
    assert all(found["items/photos/timeline.csv"]["success"])
    assert len(found["items/video.mkv/segments.csv"]["emotion"]) >= 2


def test_changed_measures_are_seen(found: dict[str, Table]) -> None:
    """Measures of faces whose quality, and so the timeline, stays the same."""
    table = found["measured/items/video.mkv/measures.csv"]
    assert len(table["yaw"]) == len(found["items/video.mkv/timeline.csv"]["x"])
    for column, change in (("yaw", 1.5), ("gaze_x", 4), ("left_eye", 0.03), ("mouthSmileLeft", 0.03)):
        assert None not in table[column]
        other = table | {column: [value + change for value in table[column]]}
        assert [name.split()[0] for name in unlike(table, other)] == [column]


@pytest.mark.parametrize(
    ("column", "change"), [("x", 0.8), ("happy", 0.03), ("timestamp", 0.01), ("face_id", 1), ("emotion", None)]
)
def test_small_changes_are_seen(found: dict[str, Table], column: str, change: float | None) -> None:
    table = found["items/video.mkv/timeline.csv"]
    other = table | {column: ["sad" if change is None else value + change for value in table[column]]}
    assert [name.split()[0] for name in unlike(table, other)] == [column]
    assert not unlike(table, table)
    assert unlike(table, {name: values[1:] for name, values in table.items()}) == sorted(table)


def main() -> None:
    """Write the results of today down."""
    with tempfile.TemporaryDirectory() as folder:
        libraries = {name: ".".join(map(str, numbers(version(name)))) for name in LIBRARIES}
        golden = {"method": METHOD, "libraries": libraries, "tables": results(Path(folder))}
    text = json.dumps(golden).replace('"items', '\n"items').replace('"summary', '\n"summary')
    text = text.replace('"measured/', '\n"measured/')
    FILE.write_text(text.replace("], ", "],\n ") + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
