"""The same work on a Ray cluster: real nodes (on this machine), one of which is lost in the middle.

It takes a minute to start a cluster and to load the models on its nodes.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fermedia.errors import UsageError, WorkerError
from fermedia.jobs import spans
from fermedia.jobs.batch import run_batch
from fermedia.jobs.execute import in_process
from fermedia.jobs.progress import Progress
from fermedia.options import AnalyzeOptions, RunOptions
from fermedia.store.ledger import Ledger, Outcome
from tests.breaking import SPANS
from tests.forks import Forks, until
from tests.jobs.test_workers import is_gone
from tests.killing import results
from tests.videos import moving_faces, numbered, write_video

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.slow

ROOT = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven videos, one of which is worked in spans here, and one that is none."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        images = moving_faces(12, (240, 180)) if number % 2 else numbered(5 + number, (160, 120))
        write_video(folder / f"video {number}.mp4", images, audio="aac")
    write_video(folder / "long.mp4", moving_faces(60, (240, 180)), options={"g": "10", "bf": "3"})
    (folder / "notes.mp4").write_text("not a video\n")
    return folder


@pytest.fixture(scope="module")
def expected(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of this process."""
    out = tmp_path_factory.mktemp("expected") / "out"
    with pytest.MonkeyPatch.context() as patch, Progress(quiet=True) as progress:
        patch.setattr(spans, "LONG", 1.0)
        patch.setattr(spans, "SPAN", 0.7)
        run_batch([videos], out, AnalyzeOptions(), progress=progress, executor=in_process)
    assert '"spans": 3' in (out / "items/long.mp4/item.json").read_text()
    return out


def divide() -> None:
    """In each process of the cluster: short videos are long ones."""
    exec(SPANS, {})


@pytest.fixture
def nodes() -> Iterator[Any]:
    """Three nodes of one processor, and a head that has none."""
    from ray.cluster_utils import Cluster

    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([ROOT, path] if path else [ROOT])
    small = {"object_store_memory": 80_000_000, "memory": 2_000_000_000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    for _ in range(3):
        made.add_node(num_cpus=1, **small)
    yield made
    made.shutdown()
    if path is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = path


@pytest.fixture
def cluster(nodes: Any) -> Iterator[Any]:
    """The same, and this process connected to it."""
    ray.init(
        address=nodes.address,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"worker_process_setup_hook": divide},
    )
    yield nodes
    ray.shutdown()


class Loses(Progress):
    """Takes a node away when the first item is done."""

    def __init__(self, cluster: Any) -> None:
        super().__init__(quiet=True)
        self._cluster = cluster
        self.done = 0

    def report(self, outcome: Outcome) -> None:
        super().report(outcome)
        self.done += 1
        if self.done == 1:
            self._cluster.remove_node(next(n for n in self._cluster.list_all_nodes() if not n.is_head()))


def executor(**options: Any) -> Any:
    from fermedia.jobs.cluster import Cluster

    return Cluster(RunOptions(executor="ray", **options))


def test_a_cluster_that_loses_a_node_makes_the_same(cluster: Any, videos: Path, expected: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    progress = Loses(cluster)
    with progress:
        totals = run_batch([videos], out, AnalyzeOptions(), progress=progress, executor=executor())
    assert progress.done == 8
    assert sum(node["Alive"] for node in ray.nodes()) == 3
    assert [failure.item for failure in totals.failures] == ["notes.mp4"]
    assert results(out) == results(expected)
    assert not list(out.glob(".*"))

    # Only what is not seen by all is refused; and nothing has been done then.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    video = write_video(hidden / "a.mp4", numbered(3, (160, 120)))
    with Progress(quiet=True) as quiet, pytest.raises(UsageError, match=r"does not see .*a\.mp4 as this machine does"):
        run_batch([hidden], tmp_path / "b", AnalyzeOptions(), progress=quiet, executor=_elsewhere(video))
    assert Ledger.read(tmp_path / "b").outcomes == {}


def _elsewhere(video: Path) -> Any:
    """The executor, on whose machine the video is longer than on the nodes."""
    made = executor()

    def run(options: AnalyzeOptions, tasks: Any, progress: Progress) -> Any:
        import fermedia.jobs.cluster as module

        with pytest.MonkeyPatch.context() as patch:
            size = module._size
            patch.setattr(module, "_size", lambda path: size(path) + 1)
            yield from made(options, tasks, progress)

    return run


def test_without_a_cluster_one_line_says_so(videos: Path, tmp_path: Path) -> None:
    with (
        Progress(quiet=True) as progress,
        pytest.raises(WorkerError, match=r"no cluster at 127\.0\.0\.1:1 \(.*refused"),
    ):
        run_batch(
            [videos],
            tmp_path / "out",
            AnalyzeOptions(),
            progress=progress,
            executor=executor(ray_address="127.0.0.1:1"),
        )


def nodes_doing(what: str, **environment: str) -> str:
    """Code before the command: a function of ``tests.breaking`` or of this module begins each process of its."""
    runtime = {"worker_process_setup_hook": what, "env_vars": environment}
    return f"import functools, ray\nray.init = functools.partial(ray.init, runtime_env={runtime!r})\n"


def on(nodes: Any) -> tuple[str, ...]:
    return ("--executor", "ray", "--ray-address", nodes.address)


DIVIDING = "tests.jobs.test_cluster.divide"
HANGING = "tests.breaking.hanging_with_the_lock"


def test_interrupted_and_continued(nodes: Any, forks: Forks, videos: Path, expected: Path, tmp_path: Path) -> None:
    """As it starts, over an item that hangs, and in the middle of a long video."""
    out, hangs = tmp_path / "out", tmp_path / "hangs"
    moments = [
        (signal.SIGTERM, DIVIDING, lambda: list(out.glob(".working-*/probe"))),
        (signal.SIGINT, HANGING, lambda: hangs.exists() and hangs.read_text()),
        (signal.SIGTERM, DIVIDING, lambda: list(out.glob(".spans/*/look-001.npz"))),
    ]
    for sent, hook, moment in moments:
        before = nodes_doing(hook, FERMEDIA_TEST_HANGS=str(hangs))
        child = forks.start("analyze", videos, "--out", out, *on(nodes), before=before)
        until(moment, child)
        child.kill(sent)
        assert child.wait() == 130, child.said()
        assert "Traceback" not in child.said()
        assert child.said().strip().splitlines()[-1].endswith("to go on, give the same command again")
        assert forks.run("status", out)[0] == 1
    until(lambda: all(is_gone(int(number)) for number in hangs.read_text().split()), child)
    status, said = forks.run("analyze", videos, "--out", out, *on(nodes), before=nodes_doing(DIVIDING))
    assert status == 3, said
    assert results(out) == results(expected)
    assert not list(out.glob(".*"))


def test_what_takes_too_long_is_ended(nodes: Any, forks: Forks, videos: Path, expected: Path, tmp_path: Path) -> None:
    out, hangs = tmp_path / "out", tmp_path / "hangs"
    before = nodes_doing(HANGING, FERMEDIA_TEST_HANGS=str(hangs))
    status, said = forks.run("analyze", videos, "--out", out, "--timeout", "30", *on(nodes), before=before)
    assert status == 3, said
    assert len(hangs.read_text().split()) == 1
    assert all(is_gone(int(number)) for number in hangs.read_text().split())
    (failure,) = Ledger.read(out).outcomes["video 3.mp4"].failures
    assert (failure.stage, failure.error) == ("worker", "video 3.mp4: took longer than 30 seconds")
    for name in ("video 0.mp4", "video 1.mp4", "video 2.mp4", "video 4.mp4", "video 5.mp4"):
        timeline = f"items/{name}/timeline.csv"
        assert (out / timeline).read_bytes() == (expected / timeline).read_bytes()
    assert sum(outcome.finished for outcome in Ledger.read(out).outcomes.values()) == 6
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("how", ["file", "variable"])
def test_an_address_that_is_left_of_a_cluster_is_not_waited_for(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if how == "variable":
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    else:
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1\n")
    with (
        Progress(quiet=True) as progress,
        pytest.raises(WorkerError, match=r"no cluster at 127\.0\.0\.1:1 \(.*refused"),
    ):
        run_batch([videos], tmp_path / "out", AnalyzeOptions(), progress=progress, executor=executor())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("raise RuntimeError('Token authentication is enabled but none was found. Ensure')", "none was found"),
        ("time.sleep(60)", "no answer within 1 seconds"),
    ],
)
def test_who_answers_and_lets_nobody_in(forks: Forks, videos: Path, tmp_path: Path, call: str, words: str) -> None:
    broken = f"""
import ray, time, fermedia.jobs.cluster as cluster
cluster._PATIENCE_WITH_RAY = 1
def init(*_, **__):
    {call}
ray.init = init
"""
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        given = ("--executor", "ray", "--ray-address", address)
        status, said = forks.run("analyze", videos, "--out", tmp_path / "out", *given, before=broken)
    assert status == 1
    (line,) = said.splitlines()
    assert line.startswith(f"fermedia: --executor ray: what answers at {address} refuses the connection (")
    assert words in line
    assert "RAY_AUTH_MODE=token" in line


def test_an_empty_address_is_none(forks: Forks, videos: Path, tmp_path: Path) -> None:
    given = ("--executor", "ray", "--ray-address", "")
    status, said = forks.run("analyze", videos, "--out", tmp_path / "out", *given)
    assert (status, "--ray-address is empty" in said) == (2, True), said
