"""The same work on a Ray cluster: real nodes (on this machine), one of which is lost in the middle.

It takes a minute to start a cluster and to load the models on its nodes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fermedia.errors import UsageError, WorkerError
from fermedia.options import AnalyzeOptions, RunOptions
from fermedia.runs import spans
from fermedia.runs.batch import run_batch
from fermedia.runs.execute import in_process
from fermedia.runs.ledger import Ledger, Outcome
from fermedia.runs.progress import Progress
from tests.films import moving_faces, numbered, write_film
from tests.runs.breaking import SPANS
from tests.runs.test_resume import results

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.slow

ROOT = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven films, one of which is worked in spans here, and one that is none."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(6):
        pictures = moving_faces(12, (240, 180)) if number % 2 else numbered(5 + number, (160, 120))
        write_film(folder / f"film {number}.mp4", pictures, audio="aac")
    write_film(folder / "long.mp4", moving_faces(60, (240, 180)), options={"g": "10", "bf": "3"})
    (folder / "notes.mp4").write_text("not a film\n")
    return folder


@pytest.fixture(scope="module")
def expected(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of this process."""
    out = tmp_path_factory.mktemp("expected") / "out"
    with pytest.MonkeyPatch.context() as patch, Progress(quiet=True) as progress:
        patch.setattr(spans, "LONG", 1.0)
        patch.setattr(spans, "SPAN", 0.7)
        run_batch([films], out, AnalyzeOptions(), progress=progress, executor=in_process)
    assert '"spans": 3' in (out / "items/long.mp4/item.json").read_text()
    return out


def divide() -> None:
    """In each process of the cluster: short films are long ones."""
    exec(SPANS, {})


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Three nodes of one processor, and a head that has none."""
    from ray.cluster_utils import Cluster

    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([ROOT, path] if path else [ROOT])
    small = {"object_store_memory": 80_000_000, "memory": 2_000_000_000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    for _ in range(3):
        made.add_node(num_cpus=1, **small)
    ray.init(
        address=made.address,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"worker_process_setup_hook": divide},
    )
    yield made
    ray.shutdown()
    made.shutdown()
    if path is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = path


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
    from fermedia.runs.cluster import Cluster

    return Cluster(RunOptions(executor="ray", **options))


def test_a_cluster_that_loses_a_node_makes_the_same(cluster: Any, films: Path, expected: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Loses(cluster) as progress:
        totals = run_batch([films], out, AnalyzeOptions(), progress=progress, executor=executor())
    assert progress.done == 8
    assert sum(node["Alive"] for node in ray.nodes()) == 3
    assert [failure.item for failure in totals.failures] == ["notes.mp4"]
    assert results(out) == results(expected)
    assert not list(out.glob(".*"))

    # Only what is not seen by all is refused; and nothing has been done then.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    film = write_film(hidden / "a.mp4", numbered(3, (160, 120)))
    with Progress(quiet=True) as quiet, pytest.raises(UsageError, match=r"does not see .*a\.mp4 as this machine does"):
        run_batch([hidden], tmp_path / "b", AnalyzeOptions(), progress=quiet, executor=_elsewhere(film))
    assert Ledger.read(tmp_path / "b").outcomes == {}


def _elsewhere(film: Path) -> Any:
    """The executor, on whose machine the film is longer than on the nodes."""
    made = executor()

    def run(options: AnalyzeOptions, tasks: Any, progress: Progress) -> Any:
        import fermedia.runs.cluster as module

        with pytest.MonkeyPatch.context() as patch:
            size = module._size
            patch.setattr(module, "_size", lambda path: size(path) + 1)
            yield from made(options, tasks, progress)

    return run


def test_without_a_cluster_one_line_says_so(films: Path, tmp_path: Path) -> None:
    with (
        Progress(quiet=True) as progress,
        pytest.raises(WorkerError, match=r"no cluster at 127\.0\.0\.1:1 \(.*refused"),
    ):
        run_batch(
            [films],
            tmp_path / "out",
            AnalyzeOptions(),
            progress=progress,
            executor=executor(ray_address="127.0.0.1:1"),
        )
