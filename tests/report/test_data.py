"""What the pages are made of: curves on an even grid, small images, harmless text."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fermedia.images import ArrayImage
from fermedia.render.previews import MOST_FACES, VideoPreviews, read_previews
from fermedia.report import curves
from fermedia.report.curves import ABSENT, JUDGED, SEEN, UNKNOWN, Grid, face_runs, figure_cells, ranges_of, video_grid
from fermedia.report.item import write_item_page
from fermedia.report.pages import is_current, url, write_page
from fermedia.tables.finished import FinishedItem, place
from fermedia.tables.timeline import read_timeline, smoothed_timeline
from fermedia.types import EMOTIONS, Box, Face, Frame, Observation
from tests.made_up import add_measures, video_timeline, write_results
from tests.report.conftest import NAMED, Made
from tests.videos import background, read_image


def cells(runs: list[dict[str, Any]]) -> dict[int, list[int]]:
    """The eight bytes of each cell, by its number."""
    found: dict[int, list[int]] = {}
    for run in runs:
        content = np.frombuffer(base64.b64decode(run["cells"]), np.uint8).reshape(-1, 8)
        found |= {run["begin"] + i: row.tolist() for i, row in enumerate(content)}
    return found


def test_frames_of_an_even_video_have_a_cell_each() -> None:
    times = np.arange(8) / 25
    grid = Grid.over(times, 8 / 25, 1 / 25)
    p = np.eye(7)[[0, 1, 2, 3, 4]]
    found = cells(face_runs(np.array([1, 1, 0, 1, 1], bool), p, np.array([0, 1, 2, 5, 6]), grid))
    assert {n: row[0] for n, row in found.items()} == {0: JUDGED, 1: JUDGED, 2: SEEN, 5: JUDGED, 6: JUDGED}
    assert found[5][1:] == [0, 0, 0, 250, 0, 0, 0]
    assert found[2][1:] == [0] * 7
    assert ABSENT not in {row[0] for row in found.values()}


def test_a_frame_is_held_until_the_next_and_dense_ones_are_averaged() -> None:
    times = np.array([0.0, 0.3, 0.31, 0.32, 0.33])
    grid = Grid.over(times, 0.4, 0.1)
    p = np.eye(7)[[0, 3, 3, 4, 4]]
    found = cells(face_runs(np.ones(5, bool), p, np.arange(5), grid))
    assert [found[n][1] for n in (0, 1, 2)] == [250, 250, 250]
    assert (found[3][4], found[3][5]) == (125, 125)


def test_long_videos_have_larger_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MOST_CELLS", 1000)
    timeline = video_timeline(5000, [(0, 5000), (0, 2500)])
    frames = timeline.drop_duplicates("frame")
    grid = video_grid(frames, len(timeline), 200.0)
    both = [face_runs(np.ones(n, bool), np.full((n, 7), 1 / 7), np.arange(n), grid) for n in (5000, 2500)]
    assert 900 <= sum(len(cells(runs)) for runs in both) <= 1002
    assert sorted(cells(both[0])) == list(range(len(grid.first)))  # no gap


def test_measures_have_a_byte_for_each_cell_or_for_some() -> None:
    times = np.arange(10) / 25
    grid = Grid.over(times, 10 / 25, 1 / 25)
    places = np.array([1, 2, 3, 4, 5, 8, 9])
    runs = face_runs(np.ones(7, bool), np.full((7, 7), 1 / 7), places, grid)
    values = np.column_stack([np.linspace(-30, 30, 7), [0, 1, np.nan, np.nan, 1, 0, 0]])
    ranges = ranges_of(values)
    assert ranges == [(-30, 30), (0, 1)]
    one, other = np.frombuffer(base64.b64decode(figure_cells(values, ranges, places, grid, runs)), np.uint8).reshape(
        2, 7
    )
    assert (-30 + (one - 1.0) / 254 * 60).tolist() == pytest.approx(values[:, 0].tolist(), abs=0.13)
    assert other.tolist() == [1, 255, UNKNOWN, UNKNOWN, 255, 1, 1]
    pairs = np.frombuffer(base64.b64decode(figure_cells(values, ranges, places, grid, runs, 2)), np.uint8)
    assert pairs.reshape(2, 4)[1].tolist() == [128, UNKNOWN, 255, 1]  # a run's last cell stands alone


def test_an_hour_of_two_measured_faces_stays_small(tmp_path: Path) -> None:
    timeline = video_timeline(90_000, [(0, 90_000), (1_000, 80_000)])
    place = write_results(tmp_path, {"hour.mp4": timeline}) / "items/hour.mp4"
    add_measures(place, timeline)
    write_item_page(FinishedItem("hour.mp4", place))
    assert (place / "report.js").stat().st_size < 2_000_000


def test_previews_show_the_strongest_moments_of_the_steady_timeline(made: Made) -> None:
    folder = place(made.results, NAMED)
    smoothed = smoothed_timeline(read_timeline(folder / "timeline.csv"), 0.5)
    faces = [p for p in read_previews(folder) if p.emotion]
    strongest = smoothed.groupby(["face_id", "emotion"])[list(EMOTIONS)].max()
    assert {(p.face_id, p.emotion) for p in faces} == set(strongest.index)
    for preview in faces:
        row = smoothed[(smoothed["frame"] == preview.frame) & (smoothed["face_id"] == preview.face_id)].iloc[0]
        assert preview.probability == pytest.approx(row[preview.emotion], abs=1e-5)
        assert strongest.loc[(preview.face_id, preview.emotion), preview.emotion] - preview.probability < 0.0301
        image = read_image(folder / "previews" / preview.file)
        assert image.shape == (160, 160, 3)
    thumbnail = next(p for p in read_previews(folder) if p.emotion is None)
    assert (thumbnail.width, thumbnail.height) == (480, 360)


def seen(face_id: int, p: float, box: Box) -> Observation:
    probabilities = np.full(7, (1 - p) / 6, np.float32)
    probabilities[3] = p
    return Observation(Face(box, 0.9, np.zeros((6, 2), np.float32)), face_id, probabilities)


def test_a_face_is_cut_out_where_it_is(tmp_path: Path) -> None:
    image = np.zeros((400, 600, 3), np.uint8)
    image[100:200, 450:550] = (250, 20, 20)
    with VideoPreviews(tmp_path / "previews") as previews:
        previews.write(Frame(0, 0.0, ArrayImage(image)), [seen(0, 0.9, Box(450, 100, 100, 100))])
        previews.write(Frame(1, 0.1, ArrayImage(image)), [seen(1, 0.8, Box(-40, -40, 90, 90))])  # partly outside
        previews.write(Frame(2, 0.2, ArrayImage(image * 0)), [seen(0, 0.92, Box(450, 100, 100, 100))])  # no stronger
    cut = read_image(tmp_path / "previews/0-happy.jpg")
    assert cut.shape[0] == cut.shape[1]
    reds = cut[:, :, 2] > 128
    assert reds.mean() == pytest.approx(1 / 1.45**2, abs=0.03)
    assert abs(np.argwhere(reds).mean(axis=0)[1] / cut.shape[1] - 0.5) < 0.03
    assert read_image(tmp_path / "previews/1-happy.jpg").size


def test_of_many_faces_those_seen_longest_have_images(tmp_path: Path) -> None:
    image = ArrayImage(background((64, 48)))
    box = Box(10, 10, 20, 20)
    with VideoPreviews(tmp_path / "previews") as previews:
        for number in range(3 * MOST_FACES):
            faces = [seen(9999, 0.6, box), *([seen(number, 0.6, box)] if number % 3 else [])]
            previews.write(Frame(number, number / 25, image), faces)
            assert len(previews._cut) <= 2 * MOST_FACES
    kept = {p.face_id for p in read_previews(tmp_path) if p.emotion}
    assert len(kept) == MOST_FACES
    assert 9999 in kept


def test_text_cannot_end_a_script_and_links_are_quoted(tmp_path: Path) -> None:
    name = "</script><b>\udcff & 'x' $title"
    write_page(tmp_path, "video", name, "../report", {"name": name, "nothing": float("nan")})
    script = (tmp_path / "report.js").read_text(encoding="utf-8")
    assert "<" not in script
    data = json.loads(script.removeprefix("window.report = ").rstrip(";\n"))
    assert data["name"] == "</script><b>\\xff & 'x' $title"
    assert data["nothing"] is None
    assert "<title>&lt;/script&gt;&lt;b&gt;" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert url("a b/#1?\udcff.mp4") == "a%20b/%231%3F%FF.mp4"


def test_a_page_of_another_version_is_known(tmp_path: Path) -> None:
    place = write_results(tmp_path, {"a.mp4": video_timeline(5, [(0, 5)])}) / "items/a.mp4"
    assert not is_current(place)
    write_item_page(FinishedItem("a.mp4", place))
    assert is_current(place)
    page = place / "report.html"
    page.write_text(page.read_text().replace('content="fermedia', 'content="fermedia 0.0.1'))
    assert not is_current(place)
