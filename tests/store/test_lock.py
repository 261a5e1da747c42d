"""The lock of a run's folder: one holds it, anybody may ask, and nothing is left of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fermedia.names import LEDGER
from fermedia.store import lock as module
from fermedia.store.lock import LOCK, FolderLock, is_held
from tests.forks import Forks
from tests.systems import KILLED


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    lock = FolderLock.take(tmp_path, 0)
    assert lock
    assert FolderLock.take(tmp_path, 0.1) is None
    assert is_held(tmp_path)
    lock.release()
    assert os.listdir(tmp_path) == []
    again = FolderLock.take(tmp_path, 0)
    assert again
    again.release()
    assert os.listdir(tmp_path) == []


def test_who_waits_gets_it_when_the_file_of_the_one_before_has_gone(tmp_path: Path) -> None:
    """Many, one after the other: never are there two."""
    inside, most = [], []

    def work() -> None:
        for _ in range(20):
            lock = FolderLock.take(tmp_path, 60)
            assert lock
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert os.listdir(tmp_path) == []


def test_it_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom fermedia.store.lock import FolderLock\n"
        f"lock = FolderLock.take(Path({str(tmp_path)!r}), 0)\nos.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == KILLED
    assert os.listdir(tmp_path) == [LOCK]
    assert not is_held(tmp_path)
    lock = FolderLock.take(tmp_path, 0)
    assert lock
    lock.release()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "lock_descriptor", refuse)
    lock = FolderLock.take(tmp_path, 0)
    assert lock
    assert not is_held(tmp_path)
    lock.release()


def test_a_lock_alone_makes_no_folder_of_other_things(forks: Forks, tmp_path: Path) -> None:
    """As a run leaves it that is killed at its very beginning."""
    out = tmp_path / "out"
    out.mkdir()
    (out / LOCK).touch()
    (tmp_path / "a.mp4").write_text("no video")
    status, said = forks.run("analyze", tmp_path / "a.mp4", "--out", out)
    assert status == 3, said
    assert (out / LEDGER).is_file()
    assert not (out / LOCK).exists()
