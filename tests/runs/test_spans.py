"""Long films are worked in spans: without a seam, the same by one and by many, and little is lost by a kill.

The films are short here, and so are the spans.
"""

from __future__ import annotations

import json
import math
import random
import signal
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from fermedia.options import AnalyzeOptions
from fermedia.runs import spans
from fermedia.runs.batch import run_batch
from fermedia.runs.execute import in_process
from fermedia.runs.progress import Progress
from fermedia.vision.observe import SEARCH_EVERY
from tests.films import moving_faces, read_number, write_film
from tests.runs.breaking import SPANS, UNFINISHED, before
from tests.runs.forks import Forks, until
from tests.runs.killing import DIE, killed_and_continued, killed_fifty_times, results
from tests.runs.test_workers import is_gone, workers
from tests.systems import KILLED, needs_signals


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long film of uneven times with sound and B-frames, and one that is not long.

    Its key frames are where an undivided film is searched anyway: a span's first frame always is.
    """
    folder = tmp_path_factory.mktemp("films")
    chance = random.Random(7)
    times = [Fraction(0)]
    while len(times) < 75:
        times.append(times[-1] + Fraction(chance.randint(20, 70), 1000))
        if len(times) % 10 == 1:
            times[-1] = math.ceil(times[-1] / SEARCH_EVERY) * Fraction(SEARCH_EVERY)
    options = {"g": "10", "bf": "3"}
    write_film(folder / "long.mp4", moving_faces(75, (240, 180)), times=times, audio="aac", options=options)
    write_film(folder / "short.mp4", moving_faces(10, (240, 180)))
    return folder


def run(source: Path, out: Path, lengths: tuple[float, float] | None, **options: object) -> Path:
    """Analyse one film in this process; gives the folder of its results."""
    with pytest.MonkeyPatch.context() as patch, Progress(quiet=True) as progress:
        if lengths:
            patch.setattr(spans, "LONG", lengths[0])
            patch.setattr(spans, "SPAN", lengths[1])
        chosen = AnalyzeOptions(**options)  # type: ignore[arg-type]
        totals = run_batch([source], out, chosen, progress=progress, executor=in_process)
    assert totals.failures == []
    assert not list(out.glob(".*"))
    return out / "items" / source.name


def frames(film: Path) -> list[tuple[Fraction, np.ndarray]]:
    with av.open(str(film)) as container:
        return [(f.pts * f.time_base, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def previews(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "previews").iterdir()}


def sound(film: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(film)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0)]


@pytest.mark.parametrize("options", [{}, {"fps": 5.0}, {"start": 0.3, "end": 3.5, "every": 3, "smooth": 0.0}])
def test_there_is_no_seam(films: Path, tmp_path: Path, options: dict[str, object]) -> None:
    source = films / "long.mp4"
    one = run(source, tmp_path / "one", None, **options)
    many = run(source, tmp_path / "many", (1.0, 0.7), **options)
    record = json.loads((many / "item.json").read_text())
    assert record["spans"] >= 3
    for name, value in json.loads((one / "item.json").read_text()).items():
        assert record[name] == value or name == "seconds_taken"
    assert (many / "timeline.csv").read_bytes() == (one / "timeline.csv").read_bytes()
    expected, found = frames(one / "annotated.mp4"), frames(many / "annotated.mp4")
    assert [time for time, _ in found] == [time for time, _ in expected]
    assert [read_number(p) for _, p in found] == [read_number(p) for _, p in expected]
    for (_, a), (_, b) in zip(expected, found, strict=True):  # the panels too are where they were
        assert np.abs(a.astype(int) - b).mean() < 2.5
        assert np.percentile(np.abs(a.astype(int) - b), 99.5) < 40
    assert previews(many) == previews(one)
    assert len(previews(one)) > 2  # the film, its index, and faces
    assert sound(many / "annotated.mp4") == sound(one / "annotated.mp4")
    with av.open(str(one / "annotated.mp4")) as a, av.open(str(many / "annotated.mp4")) as b:
        assert a.duration == b.duration
        assert a.streams.video[0].duration == b.streams.video[0].duration


def test_a_film_of_tables_alone(films: Path, tmp_path: Path) -> None:
    one = run(films / "long.mp4", tmp_path / "one", None, video=False)
    many = run(films / "long.mp4", tmp_path / "many", (1.0, 0.7), video=False)
    assert {path.name for path in many.iterdir()} == {path.name for path in one.iterdir()}
    assert previews(many) == previews(one)
    assert (many / "timeline.csv").read_bytes() == (one / "timeline.csv").read_bytes()


@pytest.mark.parametrize("kind", ["ts", "damaged"])
def test_what_cannot_be_divided_is_done_in_one_go(tmp_path: Path, kind: str) -> None:
    film = write_film(
        tmp_path / ("a.ts" if kind == "ts" else "a.mp4"), moving_faces(50, (240, 180)), options={"g": "10"}
    )
    if kind == "damaged":
        content = bytearray(film.read_bytes())
        middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
        content[middle : middle + 300] = bytes(300)
        film.write_bytes(content)
    for name, lengths in (("one", None), ("many", (1.0, 0.5))):
        with pytest.MonkeyPatch.context() as patch, Progress(quiet=True) as progress:
            if lengths:
                patch.setattr(spans, "LONG", lengths[0])
                patch.setattr(spans, "SPAN", lengths[1])
            totals = run_batch([film], tmp_path / name, AnalyzeOptions(), progress=progress, executor=in_process)
        assert len(totals.failures) == (kind == "damaged")
    assert results(tmp_path / "one") == results(tmp_path / "many")
    assert "spans" not in json.loads((tmp_path / "many/items" / film.name / "item.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(forks: Forks, films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one run by one process."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    status, said = forks.run("analyze", films, "--out", out, before=SPANS)
    assert status == 0, said
    return out


def test_several_workers_share_a_film(forks: Forks, films: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said = forks.run("analyze", films, "--out", out, "--workers", "3", before=before("dividing"))
    assert status == 0, said
    assert results(out) == results(undisturbed)
    film = "items/long.mp4/annotated.mp4"
    assert (out / film).read_bytes() == (undisturbed / film).read_bytes()


@needs_signals
@pytest.mark.parametrize(("count", "waiting_for"), [("0", "film-000.nut"), ("2", "look-001.npz")])
def test_interrupted_in_the_middle_of_a_film(
    forks: Forks, films: Path, undisturbed: Path, tmp_path: Path, count: str, waiting_for: str
) -> None:
    out, options = tmp_path / "out", ("--workers", count)
    child = forks.start("analyze", films, "--out", out, *options, before=UNFINISHED + before("never_joining"))
    until(lambda: list(out.glob(f".spans/*/{waiting_for}")), child)
    child.kill(signal.SIGTERM)
    assert child.wait() == 130, child.said()
    assert child.said().strip().splitlines()[-1].endswith("to go on, give the same command again")
    assert "Traceback" not in child.said()
    assert list(out.glob(f".spans/*/{waiting_for}"))  # it is not done again
    until(lambda: all(map(is_gone, workers(child))), child)
    status, said = forks.run("analyze", films, "--out", out, *options, before=SPANS + before("dividing"))
    assert status == 0, said
    assert results(out) == results(undisturbed)
    assert not list(out.glob(".*"))


STEPS = {
    "a span is being looked at": """
import fermedia.runs.spans as spans
first = spans.save
def save(path, **arrays):
    if path.name == 'look-001.npz':
        die()
    first(path, **arrays)
spans.save = save
""",
    "the people are followed": "import fermedia.runs.spans as spans\nspans.pack_found = die",
    "a span is being drawn": """
import fermedia.outputs.joined as joined
first = joined.SpanWriter._finish
def finish(self):
    if self.path.parent.joinpath('film-000.json').exists():
        die()
    first(self)
joined.SpanWriter._finish = finish
""",
    "a span is drawn but not yet noted": """
import fermedia.runs.spans as spans
first = spans.write_json
def write_json(path, value):
    if path.name == 'film-001.json':
        die()
    first(path, value)
spans.write_json = write_json
""",
    "the film is put together": "import fermedia.outputs.joined as joined\njoined.JoinedFilm._finish = die",
    "before the rename": "import fermedia.runs.item\nfermedia.runs.item.put = die",
    "after the rename": """
import fermedia.runs.spans as spans
first = spans.shutil.rmtree
def rmtree(path, *arguments, **more):
    if path.parent.name == '.spans' and (path / 'film-000.json').exists():
        die()
    first(path, *arguments, **more)
class shutil:
    copyfile = spans.shutil.copyfile
shutil.rmtree = rmtree
spans.shutil = shutil
""",
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_and_continued(
    forks: Forks, films: Path, undisturbed: Path, tmp_path: Path, step: str
) -> None:
    out = tmp_path / "out"
    assert forks.run("analyze", films, "--out", out, before=SPANS + DIE + STEPS[step])[0] == KILLED
    kept = {path.name for path in out.glob(".spans/*/look-*.npz")}
    assert kept
    count = "import fermedia.runs.spans as s\nfirst = s.LongFilm._look\n"
    count += "def look(self, plan, span, on):\n    print('LOOKED', flush=True)\n    first(self, plan, span, on)\n"
    status, said = forks.run("analyze", films, "--out", out, before=SPANS + count + "s.LongFilm._look = look\n")
    assert status == 0, said
    if step == "a span is being looked at":
        assert said.count("LOOKED") == json.loads((out / "items/long.mp4/item.json").read_text())["spans"] - len(kept)
    elif step != "after the rename":
        assert "LOOKED" not in said
    assert results(out) == results(undisturbed)
    assert not list(out.glob(".*"))


def test_spans_of_a_film_that_has_changed_are_not_used(forks: Forks, films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    film = folder / "long.mp4"
    film.write_bytes((films / "long.mp4").read_bytes())
    die = SPANS + DIE + STEPS["a span is being drawn"]
    assert forks.run("analyze", folder, "--out", tmp_path / "out", before=die)[0] == KILLED
    write_film(film, moving_faces(60, (240, 180)), options={"g": "12"})
    assert forks.run("analyze", folder, "--out", tmp_path / "out", before=SPANS)[0] == 0
    assert forks.run("analyze", folder, "--out", tmp_path / "anew", before=SPANS)[0] == 0
    assert results(tmp_path / "out") == results(tmp_path / "anew")


def test_killed_at_random_moments_and_continued(forks: Forks, films: Path, undisturbed: Path, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    moments = partial(chance.uniform, 0.2, 2.0)
    killed_and_continued(forks, films, undisturbed, tmp_path / "out", 3, moments, before=SPANS)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_killed_fifty_times(
    forks: Forks, films: Path, undisturbed: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    moments = partial(random.Random(7).uniform, 0.0, 9.0 if options else 2.5)  # workers have to start first
    code = before("dividing") if options else SPANS

    def killed(out: Path, kills: int) -> int:
        return killed_and_continued(forks, films, undisturbed, out, kills, moments, *options, before=code)

    killed_fifty_times(tmp_path, killed)
