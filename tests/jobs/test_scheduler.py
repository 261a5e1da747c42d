"""The order of work: what is begun first, who is tried again, and what comes too late."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fermedia.jobs.scheduler import Job, NextJobs, Scheduler, Task
from fermedia.store.ledger import Outcome
from fermedia.store.source import SourceState
from fermedia.types import MediaItem


def task(name: str) -> Task:
    path = Path("/in") / name
    return Task(MediaItem("video", PurePosixPath(name), path, (path,)), Path("/s"), Path("/p"), Path("/spans"))


def outcome(job: Job) -> Outcome:
    return Outcome(job.task.key, "video", SourceState("", 0, "", ""), {"timeline.csv": None})


def split(job: Job, parts: int) -> NextJobs:
    return NextJobs(tuple(Job(job.task, "observe", n) for n in range(parts)), Job(job.task, "follow"))


def taken(scheduler: Scheduler, others: int = 0) -> Job:
    job = scheduler.take(others)
    assert job is not None
    return job


def test_parts_come_before_new_tasks_and_the_rest_when_all_are_done() -> None:
    scheduler = Scheduler([task("a"), task("b")])
    first = taken(scheduler)
    assert scheduler.done(first, split(first, 2)) is None
    one, two = taken(scheduler), taken(scheduler)
    assert [one.name, two.name] == [("a", "observe", 0), ("a", "observe", 1)]
    assert scheduler.done(two, None) is None
    other = taken(scheduler)
    assert other.name == ("b", "begin", 0)
    assert scheduler.take(2) is None
    assert scheduler.done(one, None) is None
    then = taken(scheduler)
    assert then.name == ("a", "follow", 0)
    assert scheduler.done(then, outcome(then)) == outcome(then)
    assert scheduler.done(other, outcome(other)) == outcome(other)
    assert scheduler.take(0) is None


def test_a_split_without_parts_goes_on_at_once() -> None:
    scheduler = Scheduler([task("a")])
    first = taken(scheduler)
    scheduler.done(first, split(first, 0))
    assert taken(scheduler).step == "follow"


def test_one_that_died_is_tried_again_alone_and_once() -> None:
    scheduler = Scheduler([task("a"), task("b")])
    bad = taken(scheduler)
    assert scheduler.died(bad, "it crashed") is None
    good = taken(scheduler)
    assert good.task.key == "b"
    assert scheduler.take(1) is None  # not beside another
    scheduler.done(good, outcome(good))
    assert taken(scheduler) == bad
    failed = scheduler.died(bad, "it crashed")
    assert failed is not None
    assert not failed.finished
    assert [f.error for f in failed.failures] == ["a: it crashed, twice; it was left out"]
    assert scheduler.take(0) is None


def test_nothing_more_is_done_for_what_has_failed() -> None:
    scheduler = Scheduler([task("a")])
    first = taken(scheduler)
    scheduler.done(first, split(first, 3))
    one, two = taken(scheduler), taken(scheduler)
    assert scheduler.failed(one, "took too long") is not None
    assert scheduler.take(1) is None  # the third part neither
    assert scheduler.done(two, None) is None
    assert scheduler.died(two, "it crashed") is None
    assert scheduler.failed(two, "took too long") is None
    assert scheduler.take(0) is None


def test_what_turns_out_to_be_indivisible_is_done_in_one_go() -> None:
    scheduler = Scheduler([task("a")])
    first = taken(scheduler)
    scheduler.done(first, split(first, 2))
    one, two = taken(scheduler), taken(scheduler)
    scheduler.done(one, NextJobs((), Job(first.task, "whole")))
    assert scheduler.done(two, None) is None  # comes too late
    whole = taken(scheduler)
    assert whole.step == "whole"
    assert scheduler.done(whole, outcome(whole)) == outcome(whole)


def test_what_was_lost_is_done_again() -> None:
    scheduler = Scheduler([task("a"), task("b")])
    first = taken(scheduler)
    scheduler.lost(first)
    assert taken(scheduler, 3) == first
