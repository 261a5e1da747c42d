"""Whatever happens to names, folders and inputs: an item keeps its key and its results, and counts once."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from fermedia.store.ledger import Ledger
from tests.forks import Forks
from tests.killing import results
from tests.study_folder import Study
from tests.systems import needs_links

#: Tables of the whole run, whose rows are ordered by the inputs.
TABLES = ("items.csv", "faces.csv", "summary.csv")


@pytest.fixture
def study(forks: Forks, tmp_path: Path) -> Study:
    return Study(forks, tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def capitals_count(folder: Path) -> bool:
    (folder / "Capitals").touch()
    return not (folder / "cAPITALS").exists()


def test_a_renamed_video_counts_once_and_is_not_analysed_again(study: Study) -> None:
    video = study.video("a.mp4", 3)
    study.video("b.mp4", 4)
    study.analyze("--no-video")
    before = study.made("a.mp4")
    video.rename(study.inputs / "renamed.mp4")
    said = study.analyze("--no-video")
    line = f"known by content: {study.inputs / 'renamed.mp4'}, which was {video}; its results stay, called a.mp4\n"
    assert said.startswith(f"fermedia: {line}")
    assert study.items() == ["b.mp4", "a.mp4"]
    assert study.made("a.mp4") == before
    assert "known by content" not in study.analyze("--no-video")
    study.video("a.mp4", 5)  # the name is free again, its key is not
    study.analyze("--no-video")
    assert study.items() == ["a~2.mp4", "b.mp4", "a.mp4"]
    assert study.made("a.mp4") == before


def test_a_moved_folder_keeps_all(study: Study) -> None:
    study.video("day 1/a.mp4", 3)
    study.image("day 1/1.jpg")
    study.analyze("--no-video")
    before = results(study.out)
    (study.inputs / "day 1").rename(study.inputs / "day one")
    said = study.analyze("--no-video")
    assert study.items() == ["day 1/photos", "day 1/a.mp4"]
    assert {n: c for n, c in results(study.out).items() if n not in TABLES} == {
        n: c for n, c in before.items() if n not in TABLES
    }
    assert said.count("\n") == 2  # of both in one line
    moved = study.inputs.rename(study.folder / "elsewhere")
    study.analyze("--no-video", inputs=(moved,))
    assert study.items() == ["day 1/photos", "day 1/a.mp4"]


def test_two_videos_that_swap_their_names_are_analysed_again(study: Study) -> None:
    a, b = study.video("a.mp4", 3), study.video("b.mp4", 4)
    study.analyze("--no-video")
    a.rename(study.inputs / "x")
    b.rename(a)
    (study.inputs / "x").rename(b)
    study.analyze("--no-video")
    assert study.items() == ["a.mp4", "b.mp4"]
    outcomes = Ledger.read(study.out).outcomes
    assert (outcomes["a.mp4"].frames, outcomes["b.mp4"].frames) == (4, 3)


def test_a_video_that_replaces_another_under_its_name(study: Study) -> None:
    a, b = study.video("a.mp4", 3), study.video("b.mp4", 4)
    study.analyze("--no-video")
    a.replace(b)
    study.analyze("--no-video")
    assert study.items() == ["b.mp4"]
    assert Ledger.read(study.out).outcomes["b.mp4"].frames == 3
    assert study.status()["earlier"] == ["a.mp4"]


def test_a_second_input_with_a_video_of_the_same_name(study: Study) -> None:
    p, q = study.video("p/x.mp4", 3).parent, study.video("q/x.mp4", 4).parent
    study.analyze("--no-video", inputs=(p,))
    before = study.made("x.mp4")
    study.analyze("--no-video", inputs=(p, q))
    assert study.items() == ["x.mp4", "q/x.mp4"]
    study.analyze("--no-video", inputs=(q, p))
    assert study.items() == ["q/x.mp4", "x.mp4"]
    study.analyze("--no-video", inputs=(q,))
    assert study.items() == ["q/x.mp4"]
    study.analyze("--no-video")  # the folder of both
    assert study.items() == ["x.mp4", "q/x.mp4"]
    assert study.made("x.mp4") == before


def test_names_that_differ_in_capitals_alone(study: Study) -> None:
    if not capitals_count(study.folder):
        pytest.skip("capitals do not count here")
    study.video("A.mp4", 3)
    study.video("b.mp4", 5)
    study.analyze("--no-video")
    study.video("a.mp4", 4)
    study.video("B.mp4", 6)
    study.analyze("--no-video")
    assert sorted(study.items()) == ["A.mp4", "B~2.mp4", "a~2.mp4", "b.mp4"]
    study.analyze("--no-video", "--redo", "all")
    assert sorted(study.items()) == ["A.mp4", "B~2.mp4", "a~2.mp4", "b.mp4"]


def test_a_folder_called_photos_beside_images(study: Study) -> None:
    study.image("1.jpg")
    study.analyze("--no-video")
    study.video("photos/x.mp4", 3)
    study.video("photos/y.mp4", 4)
    study.analyze("--no-video")
    assert study.items() == ["photos", "photos~2/x.mp4", "photos~2/y.mp4"]
    before = files(study.place("photos~2/x.mp4"))
    study.image("2.jpg")
    study.analyze("--no-video")  # the images are done again
    assert study.items() == ["photos", "photos~2/x.mp4", "photos~2/y.mp4"]
    assert files(study.place("photos~2/x.mp4")) == before


def test_a_video_that_becomes_a_folder_of_its_name(study: Study) -> None:
    video = study.video("x.mp4", 3)
    study.analyze("--no-video")
    before = files(study.place("x.mp4"))
    video.unlink()
    study.video("x.mp4/part.mp4", 4)
    study.analyze("--no-video")
    assert study.items() == ["x~2.mp4/part.mp4"]
    assert files(study.place("x.mp4")) == before
    assert study.status()["earlier"] == ["x.mp4"]
    shutil.rmtree(video)
    study.video("x.mp4", 3)  # and back
    study.analyze("--no-video")
    assert study.items() == ["x.mp4"]


def test_results_of_an_older_layout_within_an_items_folder_stay(study: Study) -> None:
    """Before, a video in a sub-folder called photos lay within the folder of the images' results."""
    study.image("1.jpg")
    study.analyze("--no-video")
    inner = study.place("photos") / "x.mp4"
    inner.mkdir()
    (inner / "timeline.csv").write_text("somebody's")
    (study.place("photos") / "notes.txt").write_text("mine")
    study.image("2.jpg")
    study.analyze("--no-video")
    assert (inner / "timeline.csv").read_text() == "somebody's"
    assert (study.place("photos") / "notes.txt").read_text() == "mine"
    assert len((study.place("photos") / "timeline.csv").read_text().splitlines()) == 3
    study.run("status", "--check")


def test_a_part_of_an_earlier_input_and_the_whole_again(study: Study) -> None:
    study.video("day 1/x.mp4", 3)
    study.video("day 2/x.mp4", 4)
    study.video("y.mp4", 5)
    study.analyze("--no-video")
    study.analyze("--no-video", inputs=(study.inputs / "day 1",))
    assert study.items() == ["day 1/x.mp4"]
    study.analyze("--no-video", inputs=(study.inputs / "day 2/x.mp4", study.inputs / "day 1"))
    assert study.items() == ["day 2/x.mp4", "day 1/x.mp4"]
    study.analyze("--no-video")
    assert study.items() == ["y.mp4", "day 1/x.mp4", "day 2/x.mp4"]
    assert study.status()["earlier"] == []


def test_the_whole_after_a_part(study: Study) -> None:
    study.video("day 1/x.mp4", 3)
    study.video("day 2/x.mp4", 4)
    study.analyze("--no-video", inputs=(study.inputs / "day 1",))
    study.analyze("--no-video")
    assert study.items() == ["x.mp4", "day 2/x.mp4"]


def test_an_interrupted_run_gives_the_keys_that_it_had_begun_with(study: Study) -> None:
    """When it goes on only one of the two videos is new."""
    p, q = study.video("p/x.mp4", 3).parent, study.video("q/x.mp4", 4).parent
    stop = """
from fermedia.store.ledger import Ledger
first = Ledger.add
def add(self, *outcomes):
    first(self, *outcomes)
    raise KeyboardInterrupt
Ledger.add = add
"""
    study.analyze("--no-video", inputs=(p, q), status=130, before=stop)
    study.analyze("--no-video", inputs=(p, q))
    assert study.items() == ["p/x.mp4", "q/x.mp4"]


@needs_links
def test_the_same_video_by_another_way_is_the_same(study: Study) -> None:
    study.video("a.mp4", 3)
    study.analyze("--no-video")
    before = study.made("a.mp4")
    (study.folder / "link").symlink_to(study.inputs)
    study.analyze("--no-video", inputs=(study.folder / "link",))
    assert study.items() == ["a.mp4"]
    assert study.made("a.mp4") == before


@pytest.mark.parametrize("how", [shutil.copy, os.link])
def test_a_video_under_two_names_counts_twice_but_not_in_silence(
    study: Study, how: Callable[[Path, Path], object]
) -> None:
    video = study.video("a.mp4", 3)
    study.analyze("--no-video")
    how(video, study.inputs / "copy.mp4")
    for _ in range(2):
        said = study.analyze("--no-video")
        assert "fermedia: the same recording is there under several names, and each counts: a.mp4 = copy.mp4\n" in said
    assert study.items() == ["a.mp4", "copy.mp4"]
    video.unlink()
    said = study.analyze("--no-video")
    assert "several names" not in said
    assert study.items() == ["copy.mp4"]


def test_results_of_earlier_inputs_are_kept_and_come_in_when_asked(study: Study) -> None:
    study.talk("a.mp4")
    study.talk("b.mp4", 12)
    study.analyze("--no-video")
    (study.inputs / "a.mp4").unlink()
    said = study.analyze("--no-video")
    assert "a.mp4 is no longer among the inputs: kept, but not in the tables; --earlier includes them\n" in said
    assert study.items() == ["b.mp4"]
    assert study.merged("timeline", "--earlier") == ["a.mp4", "b.mp4"]
    assert sorted(study.merged("summary", "--earlier")) == ["a.mp4", "b.mp4"]
    assert study.merged("segments", "--earlier") in (["a.mp4", "b.mp4"], ["a.mp4"], ["b.mp4"], [])
    assert study.run("plot").startswith("b.mp4\n")
    assert not (study.place("a.mp4") / "plots").exists()
    assert study.run("plot", "--earlier").startswith("a.mp4\nb.mp4\n")
    assert "earlier   a.mp4: not among the inputs any more" in study.run("status")
    study.analyze("--no-video", "--redo", "all")
    assert study.merged("timeline", "--earlier") == ["a.mp4", "b.mp4"]
    study.analyze("--no-video", "--earlier")
    assert study.items() == ["b.mp4", "a.mp4"]
    study.run("report")
    study.analyze("--no-video")  # remembers it
    assert study.items() == ["b.mp4", "a.mp4"]
    study.analyze("--no-video", "--no-earlier")
    assert study.items() == ["b.mp4"]


def test_results_of_other_settings_come_back_with_them(study: Study) -> None:
    study.video("a.mp4", 3)
    study.video("b.mp4", 4)
    study.analyze("--no-video")
    before = study.made("a.mp4")
    study.analyze("--no-video", "--every", "2", "--redo", "all", inputs=(study.inputs / "b.mp4",))
    assert study.items() == ["b.mp4"]
    assert study.status()["outdated"] == 1
    study.analyze("--no-video", "--redo", "all")
    assert study.items() == ["a.mp4", "b.mp4"]
    assert study.made("a.mp4") != before


def test_a_failed_item_that_is_gone_needs_no_mention(study: Study) -> None:
    study.video("a.mp4", 3)
    (study.inputs / "b.mp4").write_text("no video")
    study.analyze("--no-video", status=3)
    (study.inputs / "b.mp4").unlink()
    study.analyze("--no-video")
    assert study.status()["failures"] == []
    (study.inputs / "b.mp4").write_text("no video either")
    study.analyze("--no-video", status=3)
    assert [failure["item"] for failure in study.status()["failures"]] == ["b.mp4"]


def test_what_lies_below_items_without_a_word_in_the_ledger_is_nobody_elses_place(study: Study) -> None:
    study.video("b.mp4", 4)
    study.analyze("--no-video")
    shutil.copytree(study.place("b.mp4"), study.place("a.mp4"))  # somebody's copy
    before = files(study.place("a.mp4"))
    study.video("a.mp4", 3)
    study.analyze("--no-video")
    assert study.items() == ["in/a.mp4", "b.mp4"]
    assert files(study.place("a.mp4")) == before


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_whatever_happens_each_recording_counts_once_with_its_own_results(study: Study, seed: int) -> None:
    """Six changes by chance, which are printed should it fail; each video is known by its number of frames."""
    chance = random.Random(seed)
    frames = itertools.count(3)
    names = [f"{folder}{name}.mp4" for folder in ("", "photos/", "day/", "a.mp4/") for name in ("a", "b", "c")]
    study.video("day/first.mp4", next(frames))
    for _ in range(6):
        videos = sorted(path for path in study.inputs.rglob("*.mp4") if path.is_file())
        what, name = chance.choice(["add", "add", "rename", "replace", "delete", "move"]), chance.choice(names)
        target, video = study.inputs / name, chance.choice(videos)
        print(what, video.relative_to(study.inputs), name)
        if what == "delete" and len(videos) > 1:
            video.unlink()
        elif what == "replace":
            study.video(video.relative_to(study.inputs).as_posix(), next(frames))
        elif what == "move" and video.parent != study.inputs:
            video.parent.rename(study.inputs / f"moved {next(frames)}")
        elif not target.is_dir() and not target.parent.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            video.rename(target) if what == "rename" else study.video(name, next(frames))
        if chance.random() < 0.3:
            study.image(f"{chance.choice(['', 'photos/', 'day/'])}{next(frames)}.jpg")
        kinds = sorted(path for path in study.inputs.rglob("*") if path.is_dir() and any(path.rglob("*.mp4")))
        inputs = tuple(chance.sample(kinds, min(len(kinds), chance.choice([0, 0, 1, 2]))))
        study.analyze("--no-video", inputs=inputs)
        there = {str(video.resolve()) for folder in inputs or (study.inputs,) for video in videos_in(folder)}
        ledger = Ledger.read(study.out)
        shown = [outcome for outcome in ledger.chosen() if outcome.kind == "video"]
        assert sorted(outcome.source.path for outcome in shown) == sorted(there)
        for outcome in shown:
            assert outcome.frames == frames_of(Path(outcome.source.path))
        keys = [tuple(key.casefold().split("/")) for key in ledger.named]
        assert not [(a, b) for a, b in itertools.permutations(keys, 2) if a == b[: len(a)]]
        study.items()


def videos_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.mp4") if path.is_file()]


def frames_of(video: Path) -> int:
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))
