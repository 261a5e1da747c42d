"""Figures: what stands where in them, in which colour, and names that might break them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text
from PIL import Image

from fermedia.errors import DataError
from fermedia.render.colors import EMOTION_COLORS, rgb
from fermedia.report.plots import MOST_FACES, plot_distribution, plot_heatmap, plot_timeline, save, strip
from fermedia.tables.bins import STEPS, binned, edges_of
from fermedia.tables.tables import complete, shown
from fermedia.types import EMOTIONS
from tests.tables.test_segments import every, video

HALVES = video(every(0.1, (0, 4, "happy", 1.0), (6, 10, "sad", 1.0)), frames=[round(n / 10, 6) for n in range(100)])


def color_at(figure: Figure, axes: Axes, x: float, y: float) -> tuple[int, ...]:
    """The colour of the drawn figure at a point given in the axes' data."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    column, row = axes.transData.transform((x, y))
    return tuple(int(v) for v in pixels[pixels.shape[0] - 1 - int(row), int(column), :3])


def height(bar: Patch) -> float:
    assert isinstance(bar, Rectangle)
    return bar.get_height()


WHITE = (255, 255, 255)
HAPPY, SAD = rgb(EMOTION_COLORS["happy"]), rgb(EMOTION_COLORS["sad"])


@pytest.mark.parametrize(("time", "color"), [(2, HAPPY), (5, WHITE), (8, SAD)])
def test_the_timeline_has_the_colours_at_their_times(time: float, color: tuple[int, ...]) -> None:
    figure = plot_timeline(HALVES, end=10, smooth=0)
    (axes,) = figure.axes
    assert color_at(figure, axes, time, 0.7) == color  # of the probabilities
    assert color_at(figure, axes, time - 0.7, -0.15) == color  # of the ribbon, beside its word
    assert axes.get_xlim() == (0, 10)


def test_every_face_has_its_row_up_to_some() -> None:
    rows = [seen for n in range(11) for seen in every(0.5, (0, 2 + n, "happy", 0.9), face_id=n)]
    figure = plot_timeline(video(rows), title="crowd")
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == [f"face {n}" for n in range(3, 11)]
    assert len(figure.axes) == MOST_FACES
    assert figure.get_suptitle() == "crowd (8 of 11 faces)"
    assert plot_distribution(video(rows), title="crowd").get_suptitle() == "crowd (8 of 11 faces)"


def test_the_distribution_shows_what_the_summary_says() -> None:
    rows = every(0.5, (0, 3, "happy", 0.9), (3, 4, "sad", 0.8))
    (axes,) = plot_distribution(video(rows), smooth=0).axes
    bars = dict(zip(EMOTIONS, map(height, axes.patches), strict=True))
    assert bars["happy"] == 0.75
    assert bars["sad"] == 0.25
    marks = np.asarray(axes.lines[0].get_ydata())
    assert marks[EMOTIONS.index("happy")] == pytest.approx(0.75 * 0.9 + 0.25 * 0.2 / 6, abs=1e-6)


@pytest.mark.parametrize("faces", [1, 2, 5])
def test_nothing_of_the_distribution_is_cut_off(faces: int) -> None:
    rows = [seen for n in range(faces) for seen in every(0.5, (0, 3, "happy", 0.9), face_id=n)]
    figure = plot_distribution(video(rows))
    figure.draw_without_rendering()
    for words in figure.legends[0].get_texts():
        box = words.get_window_extent()
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1


#: Anna before and after a cut, with nobody in between, and somebody without a name.
CUT = video(
    [
        *every(0.1, (0, 4, "happy", 1.0), face_id=0),
        *every(0.1, (6, 10, "sad", 1.0), face_id=1),
        *every(0.1, (0, 10, "angry", 1.0), face_id=2),
    ]
).assign(person=lambda table: table["face_id"].map({0: "Anna", 1: "Anna"}))


def test_faces_of_one_person_are_one_row_with_a_gap() -> None:
    figure = plot_timeline(CUT, end=10, smooth=0)
    anna, other = figure.axes
    assert [axes.get_title(loc="left") for axes in (anna, other)] == ["Anna", "face 2"]
    assert [color_at(figure, anna, time, 0.7) for time in (2, 5, 8)] == [HAPPY, WHITE, SAD]
    assert [axes.get_title() for axes in plot_distribution(CUT, smooth=0).axes] == [
        "Anna\n0:08 in view",
        "face 2, 0:10 in view",
    ]


@pytest.mark.parametrize(
    ("faces", "titles", "seen"), [(["Anna"], ["Anna"], 8), (["1"], ["Anna"], 4), (["Anna", "2"], ["Anna", "face 2"], 8)]
)
def test_faces_are_chosen_by_names_and_ids(faces: list[str], titles: list[str], seen: int) -> None:
    figure = plot_timeline(CUT, end=10, smooth=0, faces=faces)
    assert [axes.get_title(loc="left") for axes in figure.axes] == titles
    assert color_at(figure, figure.axes[0], 5, 0.7) == WHITE  # frames without Anna do not prolong the ones before
    assert plot_distribution(CUT, smooth=0, faces=faces).axes[0].get_title() == f"Anna\n0:0{seen} in view"


@pytest.mark.parametrize("name", ["\u00c4nne M\u00fcller-L\u00fcdenscheidt-Gr\u00f6\u00dfe", "Wilhelmine " * 9])
@pytest.mark.parametrize("width", [3.15, 7.2])
def test_no_long_name_of_a_person_is_cut_off(name: str, width: float) -> None:
    table = CUT.replace({"person": {"Anna": name}})
    for draw in (plot_timeline, plot_distribution):
        assert cut_off(draw(table, end=10, title=LONG, width=width)) == []


LONG = "Ana M\u00fcller \u2013 an interview with a name that nobody would call short, second recording, camera 2.mp4"


def cut_off(figure: Figure) -> list[str]:
    """The texts of a figure that are not wholly inside it."""
    figure.draw_without_rendering()
    undrawn = set()
    for axes in figure.axes:
        if not axes.axison:
            undrawn |= {id(text) for axis in (axes.xaxis, axes.yaxis) for text in axis.findobj(Text)}
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            beyond = [tick for tick in axis.get_major_ticks() if not low - 1e-9 <= tick.get_loc() <= high + 1e-9]
            undrawn |= {id(label) for tick in beyond for label in (tick.label1, tick.label2)}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and id(text) not in undrawn]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_visible() and t.get_text().strip()]
    inside = figure.bbox.padded(1)
    return [text for text, box in boxes if not (inside.contains(*box.min) and inside.contains(*box.max))]


@pytest.mark.parametrize("faces", [1, 2, 5, 12])
@pytest.mark.parametrize("width", [3.15, 7.2])
def test_no_text_of_an_items_figures_is_cut_off(faces: int, width: float) -> None:
    rows = [seen for n in range(faces) for seen in every(0.5, (0, 3, "happy", 0.9), face_id=n)]
    for draw in (plot_timeline, plot_distribution):
        figure = draw(video(rows), title=LONG, width=width)
        assert cut_off(figure) == []
        title = figure.get_suptitle()
        assert title.startswith("Ana")
        assert ("camera 2.mp4" in title) or width < 7
    labelled = [axes for axes in figure.axes if any(t.get_text() and t.get_visible() for t in axes.get_xticklabels())]
    columns = {round(axes.get_position().x0, 3) for axes in figure.axes if axes.axison}
    assert {round(axes.get_position().x0, 3) for axes in labelled} == columns


@pytest.mark.parametrize("videos", [1, 3, 40])
@pytest.mark.parametrize("width", [3.15, 7.2])
def test_names_in_the_heat_map_can_be_told_apart(videos: int, width: float) -> None:
    edges = np.linspace(0, 10, 11)
    names = [LONG.replace("second", f"no. {n}") for n in range(videos)]
    figure = plot_heatmap([strip(HALVES, name, edges, 10, 0) for name in names], edges, width=width)
    assert cut_off(figure) == []
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(labels)) == videos
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        *EMOTIONS,
        "no face classified",
        "paler: less probable",
    }


def test_figures_show_the_faces_and_emotions_that_are_asked_for() -> None:
    rows = [seen for n in range(4) for seen in every(0.1, (0, 3, "happy", 0.6), (3, 6, "sad", 0.9), face_id=n)]
    table = video(rows)
    faces, emotions = ("1", "3"), ("sad", "angry")
    figure = plot_distribution(table, faces=faces, emotions=emotions)
    assert [axes.get_title().split(",")[0] for axes in figure.axes] == ["face 1", "face 3"]
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["angry", "sad"]
    figure = plot_timeline(table, smooth=0, faces=faces, emotions=emotions)
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == ["face 1", "face 3"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["angry", "sad"]
    assert color_at(figure, figure.axes[0], 1.5, 0.5) == WHITE
    assert color_at(figure, figure.axes[0], 4.5, 0.5) == SAD
    edges = np.linspace(0, 6, 61)
    figure = plot_heatmap([strip(table, "a", edges, 6, 0)], edges, emotions=("sad",))
    assert "another emotion" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_images_are_counted_together() -> None:
    table = video(every(1, (0, 3, "happy", 0.9), (3, 4, "sad", 0.9))).assign(timestamp=np.nan, source=list("abcd"))
    (axes,) = plot_distribution(table).axes
    assert axes.get_title() == "all faces, 4 images"
    assert height(axes.patches[EMOTIONS.index("happy")]) == 0.75
    with pytest.raises(DataError, match="of one video"):
        plot_timeline(table)


def test_videos_in_the_heat_map_are_rows_over_one_time() -> None:
    edges = np.linspace(0, 20, STEPS + 1)
    short = strip(HALVES, "short", edges, 10, 0)
    empty = strip(video([], frames=[0, 1, 2]), "empty", edges, 20, 0)
    figure = plot_heatmap([short, empty], edges)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["short", "empty"]
    assert [color_at(figure, axes, t, -0.3) for t in (2, 5, 8, 15)] == [HAPPY, WHITE, SAD, WHITE]
    assert color_at(figure, axes, 8, 0.7) == WHITE
    assert (short.begin, short.end, empty.end) == (0, 10, 20)


def test_a_thousand_videos_fit_on_a_page() -> None:
    edges = np.linspace(0, 10, 11)
    figure = plot_heatmap([strip(HALVES, str(n), edges, 10, 0) for n in range(3)] * 400, edges)
    assert figure.get_size_inches()[1] < 11
    assert figure.axes[0].get_ylabel() == "1,200 videos"


@pytest.mark.parametrize("frames", [100, 3 * STEPS + 7])
def test_steps_hold_the_means_over_time(frames: int) -> None:
    rng = np.random.default_rng(5)
    times = np.cumsum(rng.uniform(0.01, 0.1, frames))
    p = rng.dirichlet(np.ones(7), frames)
    seen = rng.random(frames) < 0.8
    table = pd.DataFrame(p, columns=list(EMOTIONS)).assign(frame=range(frames), timestamp=times, face_id=0)
    table.loc[~seen, ["face_id", *EMOTIONS]] = np.nan
    table = complete(table)
    lengths = shown(table, times[-1] + 0.05)
    edges = edges_of(lengths)
    steps = binned(table[table["judged"]], lengths["weight"], edges)
    assert len(steps) == min(frames, STEPS)
    ends = np.append(times[1:], times[-1] + 0.05)
    for number in range(0, len(steps), 13):  # by hand, frame by frame
        part = np.clip(np.minimum(ends, edges[number + 1]) - np.maximum(times, edges[number]), 0, None) * seen
        if part.sum() < np.diff(edges)[number] / 2:
            assert np.isnan(steps[number]).all()
        else:
            assert steps[number] == pytest.approx(part @ np.nan_to_num(p) / part.sum())


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a $x^ and $ b", "\u5bb6\u65cf & co", "x" * 300, "\udcff\n"]
)
def test_any_name_is_only_text(name: str, tmp_path: Path) -> None:
    save(plot_timeline(HALVES, title=name), tmp_path / "a")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    texts = [text for e in root.iter("{http://www.w3.org/2000/svg}text") for text in e.itertext()]
    assert any(name[:10].strip("\n\udcff") in text for text in texts) or len(name) == 300
    assert {"sad", "happy"} <= set(texts)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 2160  # 7.2 inches at 300 a inch


@pytest.mark.parametrize("table", [video([], frames=[0, 1, 2]), video([])])
def test_without_a_face_the_figure_says_so(table: pd.DataFrame) -> None:
    for figure in (plot_timeline(table), plot_distribution(table)):
        assert "no face that could be classified" in [text.get_text() for text in figure.axes[0].texts]


def test_the_same_table_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(plot_timeline(HALVES), tmp_path / name, ("png", "svg", "pdf"))
    for suffix in (".png", ".svg", ".pdf"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert not re.search(r"<dc:date>", (tmp_path / "a.svg").read_text())
