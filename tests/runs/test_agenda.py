"""The order of work: what is begun first, who is tried again, and what comes too late."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fermedia.runs.agenda import Agenda, Job, Split, Task
from fermedia.runs.ledger import Outcome
from fermedia.runs.source import Source
from fermedia.types import MediaItem


def task(name: str) -> Task:
    path = Path("/in") / name
    return Task(MediaItem("video", PurePosixPath(name), path, (path,)), Path("/s"), Path("/p"), Path("/spans"))


def outcome(job: Job) -> Outcome:
    return Outcome(job.task.key, "video", Source("", 0, "", ""), {"timeline.csv": 1})


def split(job: Job, parts: int) -> Split:
    return Split(tuple(Job(job.task, "look", n) for n in range(parts)), Job(job.task, "follow"))


def taken(agenda: Agenda, others: int = 0) -> Job:
    job = agenda.take(others)
    assert job is not None
    return job


def test_parts_come_before_new_tasks_and_the_rest_when_all_are_done() -> None:
    agenda = Agenda([task("a"), task("b")])
    first = taken(agenda)
    assert agenda.done(first, split(first, 2)) is None
    one, two = taken(agenda), taken(agenda)
    assert [one.name, two.name] == [("a", "look", 0), ("a", "look", 1)]
    assert agenda.done(two, None) is None
    other = taken(agenda)
    assert other.name == ("b", "begin", 0)
    assert agenda.take(2) is None
    assert agenda.done(one, None) is None
    then = taken(agenda)
    assert then.name == ("a", "follow", 0)
    assert agenda.done(then, outcome(then)) == outcome(then)
    assert agenda.done(other, outcome(other)) == outcome(other)
    assert agenda.take(0) is None


def test_a_split_without_parts_goes_on_at_once() -> None:
    agenda = Agenda([task("a")])
    first = taken(agenda)
    agenda.done(first, split(first, 0))
    assert taken(agenda).step == "follow"


def test_one_that_died_is_tried_again_alone_and_once() -> None:
    agenda = Agenda([task("a"), task("b")])
    bad = taken(agenda)
    assert agenda.died(bad, "it crashed") is None
    good = taken(agenda)
    assert good.task.key == "b"
    assert agenda.take(1) is None  # not beside another
    agenda.done(good, outcome(good))
    assert taken(agenda) == bad
    failed = agenda.died(bad, "it crashed")
    assert failed is not None
    assert not failed.finished
    assert [f.error for f in failed.failures] == ["a: it crashed, twice; it was left out"]
    assert agenda.take(0) is None


def test_nothing_more_is_done_for_what_has_failed() -> None:
    agenda = Agenda([task("a")])
    first = taken(agenda)
    agenda.done(first, split(first, 3))
    one, two = taken(agenda), taken(agenda)
    assert agenda.failed(one, "took too long") is not None
    assert agenda.take(1) is None  # the third part neither
    assert agenda.done(two, None) is None
    assert agenda.died(two, "it crashed") is None
    assert agenda.failed(two, "took too long") is None
    assert agenda.take(0) is None


def test_what_turns_out_to_be_indivisible_is_done_in_one_go() -> None:
    agenda = Agenda([task("a")])
    first = taken(agenda)
    agenda.done(first, split(first, 2))
    one, two = taken(agenda), taken(agenda)
    agenda.done(one, Split((), Job(first.task, "whole")))
    assert agenda.done(two, None) is None  # comes too late
    whole = taken(agenda)
    assert whole.step == "whole"
    assert agenda.done(whole, outcome(whole)) == outcome(whole)


def test_what_was_lost_is_done_again() -> None:
    agenda = Agenda([task("a"), task("b")])
    first = taken(agenda)
    agenda.lost(first)
    assert taken(agenda, 3) == first
